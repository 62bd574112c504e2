package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"k8s.io/client-go/tools/remotecommand"

	"example.invalid/interlink-test-tools/internal/cri"
)

// row: one after the other, each with a word in and out and a code.
func row(ctx context.Context) {
	c := clients()
	var times cri.Durations
	for i := range *count {
		word, out := fmt.Sprintf("word %d\n", i), &strings.Builder{}
		err := times.Timed(func() error {
			return command{containers()[i%len(containers())], []string{"sh", "-c", fmt.Sprintf("cat; exit %d", i%3)},
				remotecommand.StreamOptions{Stdin: strings.NewReader(word), Stdout: out, Stderr: os.Stderr}}.run(ctx, c)
		})
		if codeOf(err) != i%3 || out.String() != word {
			fail("command %d: %v, %q", i, err, out)
		}
	}
	fmt.Printf("%s: %d commands one after the other, p50 %s ms, p99 %s ms\n", *transport, *count,
		cri.Milliseconds(times.Quantile(0.5)), cri.Milliseconds(times.Quantile(0.99)))
}

// crowd: all run before the first is told its word.
func crowd(ctx context.Context) {
	c := clients()
	begin := time.Now()
	var running, over sync.WaitGroup
	running.Add(*count)
	for i := range *count {
		over.Go(func() {
			in, word := io.Pipe()
			output, out := io.Pipe()
			ended := make(chan error, 1)
			go func() {
				ended <- command{containers()[i%len(containers())], []string{"sh", "-c", fmt.Sprintf("echo ready; cat; exit %d", i%3)},
					remotecommand.StreamOptions{Stdin: in, Stdout: out, Stderr: os.Stderr}}.run(ctx, c)
				_ = out.Close()
			}()
			lines := bufio.NewReader(output)
			if line, err := lines.ReadString('\n'); line != "ready\n" {
				fail("command %d: %q, %v; %v", i, line, err, <-ended)
			}
			running.Done()
			running.Wait()
			_, err := fmt.Fprintf(word, "word %d\n", i)
			check(err, "a word")
			check(word.Close(), "the end of input")
			rest, err := io.ReadAll(lines)
			if err != nil || string(rest) != fmt.Sprintf("word %d\n", i) {
				fail("command %d: %q, %v", i, rest, err)
			}
			if err := <-ended; codeOf(err) != i%3 {
				fail("command %d ended with %v", i, err)
			}
		})
	}
	over.Wait()
	fmt.Printf("%s: %d commands at once, %s s\n", *transport, *count, cri.Milliseconds(time.Since(begin)/1000))
}

// hold attaches, one after the other, until one is refused or all are there; then until its own stdin ends.
func hold(ctx context.Context) {
	c := clients()
	ctx, cancel := context.WithCancel(ctx)
	var over sync.WaitGroup
	held := 0
	refusal := errors.New("none")
	for i := 0; i < *count; i++ {
		out := &buffer{}
		ended := make(chan error, 1)
		over.Go(func() {
			ended <- command{containers()[i%len(containers())], nil, remotecommand.StreamOptions{Stdout: out}}.run(ctx, c)
		})
		// Each container says something all the time.
		var err error
		if !cri.Eventually(ctx, 20*time.Second, func() bool {
			select {
			case err = <-ended:
				return true
			default:
				return out.String() != ""
			}
		}) {
			fail("attach %d hears nothing", i)
		}
		if err != nil {
			refusal = err
			break
		}
		held++
	}
	fmt.Printf("held %d, refused: %v\n", held, refusal)
	_, err := io.Copy(io.Discard, os.Stdin)
	check(err, "stdin")
	cancel()
	over.Wait()
}
