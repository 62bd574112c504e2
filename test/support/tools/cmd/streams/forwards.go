package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

func (f *forwarding) dial() (net.Conn, error) {
	return net.Dial("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(f.local))))
}

// through sends `sent` on a connection of its own, ends that half, and reads to the other half's end.
func (f *forwarding) through(sent *noise) (*sink, error) {
	tcp, err := f.dial()
	if err != nil {
		return nil, err
	}
	defer tcp.Close()
	failed := make(chan error, 1)
	go func() {
		_, err := io.Copy(tcp, sent)
		if err == nil {
			err = tcp.(*net.TCPConn).CloseWrite()
		}
		failed <- err
	}()
	got := newSink()
	if _, err := io.Copy(got, tcp); err != nil {
		return got, err
	}
	return got, <-failed
}

func forwards(ctx context.Context) {
	c := clients()
	f := forward(ctx, c, *pod, strconv.Itoa(*port))
	begin := time.Now()
	var wait sync.WaitGroup
	for i := range *count {
		wait.Go(func() {
			sent := newNoise(byte(i), *size)
			got, err := f.through(sent)
			if err != nil || notes.String() != "" {
				fail("connection %d: %d bytes came: %v; %s", i, got.count, err, notes)
			}
			got.compare(sent, fmt.Sprintf("connection %d", i))
		})
	}
	wait.Wait()
	took := time.Since(begin)
	f.end()

	// A port where nobody listens is told, and ends kubectl's whole command: that is how it is made.
	closed := forward(ctx, c, *pod, "9")
	got, err := closed.through(newNoise(0, 0))
	if err == nil && got.count != 0 {
		fail("port 9 answers %d bytes", got.count)
	}
	if err := <-closed.over; err == nil || !strings.Contains(err.Error(), "lost connection") {
		fail("port 9: %v", err)
	}
	if !strings.Contains(notes.String(), "nothing listens on 127.0.0.1 and [::1], port 9") {
		fail("port 9: %q", notes)
	}
	fmt.Printf("%s: %d connections at once, %d kB each way on each, %.0f MB/s each way\n", *transport, *count, *size/1000,
		float64(*size)*float64(*count)/1e6/took.Seconds())
}

// serve until it is killed.
func serve(context.Context) {
	echoes := must(net.Listen("tcp4", ":"+strconv.Itoa(*port)))
	talks := must(net.Listen("tcp4", ":"+strconv.Itoa(*port+1)))
	go accept(talks, func(tcp net.Conn) error {
		var err error
		for next := 0; err == nil; {
			var text []byte
			for range 1000 {
				text = fmt.Appendf(text, "%08d\n", next)
				next++
			}
			_, err = tcp.Write(text)
		}
		return err
	})
	fmt.Println("serving")
	accept(echoes, func(tcp net.Conn) error {
		_, err := io.Copy(tcp, tcp)
		return err
	})
}

func accept(listener net.Listener, each func(net.Conn) error) {
	for {
		tcp := must(listener.Accept())
		go func() {
			defer tcp.Close()
			_ = each(tcp) // the other side hears of it
		}()
	}
}
