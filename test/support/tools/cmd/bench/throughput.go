package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"example.invalid/interlink-test-tools/internal/cri"
)

// logThroughput is that of a container's output to the node's file.
func (s *side) logThroughput() {
	const line, block = 64, 64 << 10
	lines := *count << 20 / line
	begin := time.Now()
	// Not by head: it takes each byte by itself, and that was a quarter of all work that was measured.
	p := s.start("log", "sh", "-c", fmt.Sprintf("yes %s | dd bs=%d count=%d iflag=fullblock 2>/dev/null; echo the end",
		strings.Repeat("x", line-1), block, *count<<20/block))
	file := filepath.Join(s.logs, "log", "main.log")
	last := ""
	arrived := cri.Eventually(s.ctx, 5*time.Minute, func() bool {
		f, err := os.Open(file)
		if err != nil {
			return false
		}
		defer f.Close()
		buffer := make([]byte, 200)
		size := must(f.Stat()).Size()
		n, _ := f.ReadAt(buffer, max(0, size-200))
		last = string(buffer[:n])
		return strings.HasSuffix(last, "the end\n")
	})
	took := time.Since(begin)
	if !arrived {
		fmt.Fprintf(os.Stderr, "bench: the last line did not arrive within 5 minutes; the file ends with %q\n", last)
		os.Exit(1)
	}
	text := must(os.ReadFile(file))
	if got := strings.Count(string(text), "\n"); got != lines+1 {
		fmt.Fprintf(os.Stderr, "bench: %d lines arrived, %d were written\n", got, lines+1)
		os.Exit(1)
	}
	fmt.Printf("%-18s | %.1f MB/s of the container's output, %.1f MB/s of file (%d lines, none lost, in %.2f s with the start)\n", "log of "+s.name,
		float64(lines*line)/1e6/took.Seconds(), float64(len(text))/1e6/took.Seconds(), lines, took.Seconds())
	s.end(p)
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// exec runs a command through the runtime's streaming address and counts its output.
func (s *side) exec(container string, command ...string) (int64, error) {
	answer, err := s.Runtime.Exec(s.ctx, &runtime.ExecRequest{ContainerId: container, Cmd: command, Stdout: true, Stderr: true})
	if err != nil {
		return 0, err
	}
	address, err := url.Parse(answer.Url)
	if err != nil {
		return 0, err
	}
	config := &rest.Config{Host: address.Host, TLSClientConfig: rest.TLSClientConfig{Insecure: address.Scheme == "https"}}
	executor, err := remotecommand.NewSPDYExecutor(config, http.MethodPost, address)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(s.ctx, 5*time.Minute)
	defer cancel()
	var output counter
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &output, Stderr: os.Stderr})
	return int64(output), err
}

// execThroughput is that of a command's output to a client.
func (s *side) execThroughput() {
	p := s.start("exec", sleeper...)
	begin := time.Now()
	written, err := s.exec(p.container, "dd", "if=/dev/zero", "bs=65536", fmt.Sprintf("count=%d", *count*16), "status=none")
	took := time.Since(begin)
	if err != nil || written != int64(*count)<<20 {
		fmt.Fprintf(os.Stderr, "bench: exec of %s: %d bytes came of %d: %v\n", s.name, written, int64(*count)<<20, err)
		os.Exit(1)
	}
	fmt.Printf("%-18s | %.1f MB/s of a command's output to the client (%d MiB in %.2f s)\n", "exec of "+s.name,
		float64(written)/1e6/took.Seconds(), *count, took.Seconds())
	s.end(p)
}
