// Package cri is what the test clients share: a connection to a CRI socket, pod and container configurations, figures.
package cri

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Clients of both services over one connection.
type Clients struct {
	Runtime runtime.RuntimeServiceClient
	Image   runtime.ImageServiceClient
}

// Connect to a socket given as a path.
func Connect(socket string, more ...grpc.DialOption) (*Clients, error) {
	options := append([]grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64 << 20))}, more...)
	connection, err := grpc.NewClient("unix://"+socket, options...)
	if err != nil {
		return nil, err
	}
	return &Clients{runtime.NewRuntimeServiceClient(connection), runtime.NewImageServiceClient(connection)}, nil
}

// Pod returns a configuration; `name` is its uid too.
func Pod(name, logs string, annotations map[string]string) *runtime.PodSandboxConfig {
	config := &runtime.PodSandboxConfig{
		Metadata:    &runtime.PodSandboxMetadata{Name: name, Namespace: "default", Uid: name, Attempt: 0},
		Hostname:    "pod",
		Annotations: annotations,
		Linux:       &runtime.LinuxPodSandboxConfig{},
	}
	if logs != "" {
		config.LogDirectory = logs + "/" + name
	}
	return config
}

// Container returns a configuration of a container that runs `command`.
func Container(name, image string, command ...string) *runtime.ContainerConfig {
	return &runtime.ContainerConfig{
		Metadata: &runtime.ContainerMetadata{Name: name},
		Image:    &runtime.ImageSpec{Image: image},
		Command:  command,
		LogPath:  name + ".log",
		Linux:    &runtime.LinuxContainerConfig{},
	}
}

// Durations of one operation.
type Durations []time.Duration

// Quantile of 0..1.
func (d Durations) Quantile(q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := append(Durations(nil), d...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}

// Milliseconds with one or two digits.
func Milliseconds(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 2, 64)
}

// Timed runs f and adds its duration.
func (d *Durations) Timed(f func() error) error {
	begin := time.Now()
	err := f()
	*d = append(*d, time.Since(begin))
	return err
}

// ProcessFigure reads "Name: value" from a file of /proc/PID; -1 when the process is gone.
func ProcessFigure(pid int, file, name string) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return -1
	}
	for _, line := range strings.Split(string(text), "\n") {
		if rest, found := strings.CutPrefix(line, name+":"); found {
			value, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				return -1
			}
			return value
		}
	}
	return -1
}

// Eventually looks every 100 ms until the condition holds; false after that time.
func Eventually(ctx context.Context, limit time.Duration, condition func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		if condition() {
			return true
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return condition()
		}
	}
}
