package cri

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Metrics are the lines of a /metrics answer: name with labels -> value.
type Metrics map[string]float64

// ParseMetrics leaves out what is no sample.
func ParseMetrics(text []byte) Metrics {
	metrics := Metrics{}
	for line := range strings.Lines(string(text)) {
		name, value, found := strings.Cut(strings.TrimSpace(line), "} ")
		if found {
			name += "}"
		} else {
			name, value, found = strings.Cut(strings.TrimSpace(line), " ")
		}
		if number, err := strconv.ParseFloat(value, 64); found && err == nil {
			metrics[name] = number
		}
	}
	return metrics
}

// Sum over all labels.
func (m Metrics) Sum(name string) float64 {
	sum := 0.0
	for key, value := range m {
		if key == name || strings.HasPrefix(key, name+"{") {
			sum += value
		}
	}
	return sum
}

// NodeMetrics asks the CRI socket, over a connection of its own.
func NodeMetrics(socket string) (Metrics, error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}}}
	request, err := http.NewRequest("GET", "http://localhost/metrics", nil)
	if err != nil {
		return nil, err
	}
	text, err := body(&client, request)
	return ParseMetrics(text), err
}

// Metrics of the site.
func (s *Site) Metrics() (Metrics, error) {
	text, err := s.Get("/metrics")
	return ParseMetrics(text), err
}
