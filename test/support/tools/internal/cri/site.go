package cri

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// Site is what the site tells the lab's first node.
type Site struct {
	address string
	client  http.Client
}

// NewSite takes https://HOST:PORT and a folder with ca.crt, node-1.crt and node-1.key. Each question has a connection of
// its own, which is closed afterwards.
func NewSite(address, pki string) (*Site, error) {
	certificate, err := tls.LoadX509KeyPair(pki+"/node-1.crt", pki+"/node-1.key")
	if err != nil {
		return nil, err
	}
	authority, err := os.ReadFile(pki + "/ca.crt")
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, errors.New(pki + "/ca.crt has no certificate")
	}
	return &Site{address, http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{certificate}}}}}, nil
}

// Get a path; JSON where the site has a choice.
func (s *Site) Get(path string) ([]byte, error) {
	request, err := http.NewRequest("GET", s.address+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	return body(&s.client, request)
}

func body(client *http.Client, request *http.Request) ([]byte, error) {
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %s", request.URL.Path, answer.Status, text)
	}
	return text, err
}
