package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/tools/remotecommand"

	"example.invalid/interlink-test-tools/internal/cri"
)

// noise gives `left` bytes that look like any, and their sum.
type noise struct {
	source *rand.ChaCha8
	left   int64
	sum    hash.Hash
}

func newNoise(seed byte, size int64) *noise {
	return &noise{rand.NewChaCha8([32]byte{seed}), size, sha256.New()}
}

func (n *noise) Read(p []byte) (int, error) {
	if n.left == 0 {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), n.left)]
	_, _ = n.source.Read(p)
	n.sum.Write(p)
	n.left -= int64(len(p))
	return len(p), nil
}

// sink counts and sums what is written to it.
type sink struct {
	count int64
	sum   hash.Hash
}

func newSink() *sink { return &sink{sum: sha256.New()} }

func (s *sink) Write(p []byte) (int, error) {
	s.count += int64(len(p))
	return s.sum.Write(p)
}

func (s *sink) compare(n *noise, what string) {
	if n.left != 0 || !bytes.Equal(n.sum.Sum(nil), s.sum.Sum(nil)) {
		fail("%s: %d bytes were not sent, %d came, sum of what was sent %x, of what came %x", what, n.left, s.count,
			n.sum.Sum(nil), s.sum.Sum(nil))
	}
}

func echo(ctx context.Context) {
	in, out, notes := newNoise(1, *size), newSink(), &strings.Builder{}
	begin := time.Now()
	err := command{*container, []string{"sh", "-c", "cat; echo the end >&2; exit 4"},
		remotecommand.StreamOptions{Stdin: in, Stdout: out, Stderr: notes}}.run(ctx, clients())
	took := time.Since(begin)
	if codeOf(err) != 4 {
		fail("echo ended with %v", err)
	}
	out.compare(in, "echo")
	if notes.String() != "the end\n" {
		fail("stderr has %q", notes)
	}
	fmt.Printf("%s: %d MB in and out, %.0f MB/s each way\n", *transport, *size/1_000_000, float64(*size)/1e6/took.Seconds())
}

// status: the code comes after the last byte, however the two meet.
func status(ctx context.Context) {
	c := clients()
	for i := range *count {
		size := 1 + rand.IntN(300_000)
		out, notes := newSink(), newSink()
		err := command{*container, []string{"sh", "-c", fmt.Sprintf("head -c %d /dev/zero; head -c %d /dev/zero >&2; exit %d", size, size/2, i%100+1)},
			remotecommand.StreamOptions{Stdout: out, Stderr: notes}}.run(ctx, c)
		if codeOf(err) != i%100+1 || out.count != int64(size) || notes.count != int64(size/2) {
			fail("command %d: code %d, %d of %d and %d of %d bytes; %v", i, codeOf(err), out.count, size, notes.count, size/2, err)
		}
	}
}

// never is an input at which nobody types.
type never struct{}

func (never) Read([]byte) (int, error) { select {} }

// sizes are given one by one.
type sizes chan remotecommand.TerminalSize

func (s sizes) Next() *remotecommand.TerminalSize {
	size, more := <-s
	if !more {
		return nil
	}
	return &size
}

// buffer is written by one and searched by another.
type buffer struct {
	mutex sync.Mutex
	text  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.text.String()
}

func (b *buffer) await(ctx context.Context, text string) {
	if !cri.Eventually(ctx, 20*time.Second, func() bool { return strings.Contains(b.String(), text) }) {
		fail("%q does not come, but %q", text, b.String())
	}
}

// terminal: the size that the client says at first, a later one with its signal, words, and the end of input.
func terminal(ctx context.Context) {
	c := clients()
	window := make(sizes, 2)
	out := &buffer{}
	over := make(chan error, 1)
	go func() {
		over <- command{*container, []string{"sh", "-c", `until stty size 2>/dev/null | grep -qv "^0 0"; do sleep 0.05; done; stty size
			trap "stty size; exit 6" WINCH; echo ready; while :; do sleep 1000 & wait $!; done`},
			remotecommand.StreamOptions{Stdin: never{}, Stdout: out, Tty: true, TerminalSizeQueue: window}}.run(ctx, c)
	}()
	window <- remotecommand.TerminalSize{Width: 80, Height: 24}
	out.await(ctx, "24 80\r\nready\r\n")
	window <- remotecommand.TerminalSize{Width: 132, Height: 50}
	if err := <-over; codeOf(err) != 6 || out.String() != "24 80\r\nready\r\n50 132\r\n" {
		fail("the terminal's command ended with %v, after %q", err, out)
	}
	close(window)

	keys, typed := io.Pipe()
	out = &buffer{}
	go func() {
		over <- command{*container, []string{"sh", "-c", `stty -echo; test -t 0 && test -t 1 && test -t 2 && echo "terminal $TERM"
			while read word; do echo "got $word"; done; exit 7`},
			remotecommand.StreamOptions{Stdin: keys, Stdout: out, Tty: true}}.run(ctx, c)
	}()
	out.await(ctx, "terminal xterm\r\n")
	_, err := io.WriteString(typed, "word\n")
	check(err, "type")
	out.await(ctx, "got word\r\n")
	check(typed.Close(), "the end of input")
	if err := <-over; codeOf(err) != 7 {
		fail("the terminal's command ended with %v, after %q", err, out)
	}
}

func resize(ctx context.Context) {
	c := clients()
	ctx, cancel := context.WithCancel(ctx)
	window := make(sizes, 2)
	out := &buffer{}
	over := make(chan error, 1)
	go func() {
		over <- command{*container, nil, remotecommand.StreamOptions{Stdin: never{}, Stdout: out, Tty: true, TerminalSizeQueue: window}}.run(ctx, c)
	}()
	for _, size := range []remotecommand.TerminalSize{{Width: 81, Height: 25}, {Width: 133, Height: 51}} {
		window <- size
		out.await(ctx, fmt.Sprintf("%d %d\r\n", size.Height, size.Width))
	}
	cancel()
	if err := <-over; !errors.Is(err, context.Canceled) {
		fail("attach ended with %v, after %q", err, out)
	}
	close(window)
}

// input: a command that ends its input early, one that never reads it, and one that goes on long after its end.
func input(ctx context.Context) {
	c := clients()
	out := &buffer{}
	// Bytes that nobody takes do not hold the end back.
	err := command{*container, []string{"sh", "-c", "exec <&-; sleep 0.2; echo over; exit 5"},
		remotecommand.StreamOptions{Stdin: newNoise(2, 4<<20), Stdout: out}}.run(ctx, c)
	if codeOf(err) != 5 || out.String() != "over\n" {
		fail("a command without input: %v, %q", err, out)
	}
	out = &buffer{}
	err = command{*container, []string{"sh", "-c", "wc -c; for i in 1 2 3; do echo $i; sleep 0.1; done; exit 7"},
		remotecommand.StreamOptions{Stdin: newNoise(3, 3_000_000), Stdout: out}}.run(ctx, c)
	if codeOf(err) != 7 || out.String() != "3000000\n1\n2\n3\n" {
		fail("output after the input's end: %v, %q", err, out)
	}
	// No input at all is its end.
	out = &buffer{}
	err = command{*container, []string{"sh", "-c", "cat; echo none; exit 8"},
		remotecommand.StreamOptions{Stdout: out}}.run(ctx, c)
	if codeOf(err) != 8 || out.String() != "none\n" {
		fail("a command that reads an input that is not there: %v, %q", err, out)
	}
}
