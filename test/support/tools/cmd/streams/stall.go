package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/tools/remotecommand"

	"example.invalid/interlink-test-tools/internal/cri"
)

// numbers checks "00000000\n00000001\n...", and can stop taking.
type numbers struct {
	pause   chan struct{} // closed: it goes on
	count   atomic.Int64  // bytes taken
	rest    []byte
	next    int
	enough  int // lines after which it says so
	satisfy func()
}

const lineSize = 9

func (n *numbers) Write(p []byte) (int, error) {
	if n.count.Load() > 0 {
		<-n.pause
	}
	n.count.Add(int64(len(p)))
	n.rest = append(n.rest, p...)
	for len(n.rest) >= lineSize {
		if want := fmt.Appendf(nil, "%08d\n", n.next); !bytes.Equal(want, n.rest[:lineSize]) {
			fail("line %d is %q", n.next, n.rest[:lineSize])
		}
		n.rest = n.rest[lineSize:]
		n.next++
	}
	if n.next >= n.enough {
		n.satisfy()
	}
	return len(p), nil
}

type figures struct{ node, site int }

func resident() figures {
	return figures{cri.ProcessFigure(*nodePid, "status", "VmRSS"), cri.ProcessFigure(*sitePid, "status", "VmRSS")}
}

// stall: readers of endless outputs stop. What they do not take is held back at the command, or in the pod: the daemons
// carry nothing more and grow by a bounded size. Then they go on, and miss nothing.
func stall(ctx context.Context) {
	c := clients()
	before, begun := resident(), carried()
	readers := make([]*numbers, *count)
	over := make(chan error, *count)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var unsatisfied atomic.Int64
	unsatisfied.Store(int64(*count))
	var forwarded *forwarding
	if *pod != "" {
		forwarded = forward(ctx, c, *pod, strconv.Itoa(*port+1))
	}
	for i := range readers {
		readers[i] = &numbers{pause: make(chan struct{}), enough: 1_000_000, satisfy: sync.OnceFunc(func() {
			if unsatisfied.Add(-1) == 0 {
				cancel()
			}
		})}
		go func() {
			if forwarded != nil {
				over <- forwarded.read(ctx, readers[i])
				return
			}
			over <- command{*container, []string{"sh", "-c", "seq -w 0 99999999"},
				remotecommand.StreamOptions{Stdout: readers[i]}}.run(ctx, c)
		}()
	}
	standStill(ctx, readers, begun)
	compare(before, resident())
	for _, reader := range readers {
		close(reader.pause)
	}
	for range readers {
		if err := <-over; !errors.Is(err, context.Canceled) {
			fail("what a reader that went on reads ended with %v", err)
		}
	}
	if forwarded != nil {
		forwarded.end()
	}
}

func carried() float64 { return must(cri.NodeMetrics(*socket)).Sum("interlink_stream_bytes_total") }

// standStill waits until nothing was carried for a while: then nothing moves until a reader does.
func standStill(ctx context.Context, readers []*numbers, begun float64) {
	last, since := -1.0, time.Now()
	if !cri.Eventually(ctx, 60*time.Second, func() bool {
		for _, reader := range readers {
			if reader.count.Load() == 0 {
				return false
			}
		}
		if now := carried(); now != last {
			last, since = now, time.Now()
		}
		return time.Since(since) > 2*time.Second
	}) {
		fail("what %d readers do not read goes on: %.0f bytes", len(readers), last)
	}
	// What fits into the sockets and into client-go.
	if each := (last - begun) / float64(len(readers)); each > 16<<20 {
		fail("%.0f bytes were carried for each reader that had stopped", each)
	}
}

func compare(before, during figures) {
	for _, figure := range []struct {
		name          string
		before, after int
	}{{"interlink-cri", before.node, during.node}, {"interlink-api", before.site, during.site}} {
		fmt.Printf("%s: %d readers stand still: %s has %d KiB, %d before\n", *transport, *count, figure.name, figure.after, figure.before)
		if figure.before <= 0 || figure.after <= 0 {
			fail("%s is not there", figure.name)
		}
		if figure.after-figure.before > *memory {
			fail("%s has grown by more than %d KiB", figure.name, *memory)
		}
	}
}

// read a connection of its own until the context is done.
func (f *forwarding) read(ctx context.Context, to io.Writer) error {
	tcp, err := f.dial()
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { tcp.Close() })()
	_, err = io.Copy(to, tcp)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("the connection ended: %w", err)
}
