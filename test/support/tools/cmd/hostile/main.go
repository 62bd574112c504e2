// hostile: many connections to a site's port that mean no good, while ordinary clients ask it. Hostile ones are silent, slow,
// speak nonsense, or speak TLS and then nonsense; what the site closes comes again after a while. They come from an address
// of their own. Each ordinary client is node 1 with its certificate, a new connection for each question.
//
// Three phases: before, while the hostile ones connect, while they stand. No ordinary question may fail in any; their times
// are printed. Then all leave, and the site is to be as small as before.
package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.invalid/interlink-test-tools/internal/cri"
)

var (
	site     = flag.String("site", "", "https://HOST:PORT of the site")
	pki      = flag.String("pki", "", "folder with ca.crt, node-1.crt, node-1.key")
	pid      = flag.Int("pid", 0, "of interlink-api")
	count    = flag.Int("count", 10000, "hostile connections")
	ordinary = flag.Int("ordinary", 20, "ordinary clients")
	phase    = flag.Duration("phase", 10*time.Second, "how long before, and while they stand, is measured")
	memory   = flag.Int("memory", 256, "MiB that the site may grow by meanwhile")
)

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "hostile: "+format+"\n", arguments...)
	os.Exit(1)
}

// ask until stop; durations, and the first thing that failed.
func ask(stop *atomic.Bool) (cri.Durations, error) {
	client, err := cri.NewSite(*site, *pki)
	if err != nil {
		return nil, err
	}
	var durations cri.Durations
	pace := time.NewTicker(50 * time.Millisecond)
	defer pace.Stop()
	for !stop.Load() {
		if err := durations.Timed(func() error { _, err := client.Get("/v1/info"); return err }); err != nil {
			return durations, err
		}
		<-pace.C
	}
	return durations, nil
}

// measure what all ordinary clients see while `during` runs.
func measure(name string, during func()) cri.Durations {
	var stop atomic.Bool
	var wait sync.WaitGroup
	var mutex sync.Mutex
	var all cri.Durations
	var failed error
	for range *ordinary {
		wait.Add(1)
		go func() {
			defer wait.Done()
			durations, err := ask(&stop)
			mutex.Lock()
			defer mutex.Unlock()
			all = append(all, durations...)
			if err != nil && failed == nil {
				failed = err
			}
		}()
	}
	during()
	stop.Store(true)
	wait.Wait()
	if failed != nil {
		fail("an ordinary client failed %s: %v", name, failed)
	}
	fmt.Printf("%-22s %6d questions, p50 %s p99 %s ms\n", name, len(all), cri.Milliseconds(all.Quantile(0.5)), cri.Milliseconds(all.Quantile(0.99)))
	return all
}

type attack struct {
	leave   chan struct{}
	wait    sync.WaitGroup
	open    atomic.Int64
	refused atomic.Int64
}

// one hostile connection until it is closed or the attack ends.
func (a *attack) once(kind int, dialer *net.Dialer, address string) {
	connection, err := dialer.Dial("tcp", address)
	if err != nil {
		a.refused.Add(1)
		return
	}
	a.open.Add(1)
	defer a.open.Add(-1)
	defer connection.Close()
	switch kind % 5 {
	case 0: // silent
	case 1: // a record of TLS that never ends
		connection.Write([]byte{22, 3, 1, 64, 0})
	case 2:
		nonsense := make([]byte, 512)
		rand.Read(nonsense)
		connection.Write(nonsense)
	case 3: // TLS, and what is no handshake
		nonsense := make([]byte, 512)
		rand.Read(nonsense)
		copy(nonsense, []byte{22, 3, 3, 1, 251, 1, 0, 1, 247})
		connection.Write(nonsense)
	case 4: // a handshake without a certificate, then half a request
		connection.SetDeadline(time.Now().Add(20 * time.Second))
		secure := tls.Client(connection, &tls.Config{InsecureSkipVerify: true})
		secure.Write([]byte("GET /v1/info HTTP/1.1\r\nHost: x\r\nX-Slow: "))
	}
	gone := make(chan struct{})
	go func() {
		connection.SetReadDeadline(time.Time{})
		buffer := make([]byte, 1024)
		for {
			if _, err := connection.Read(buffer); err != nil {
				close(gone)
				return
			}
		}
	}()
	for beat := 0; ; beat++ {
		select {
		case <-a.leave:
			return
		case <-gone:
			return
		case <-time.After(time.Second):
			if kind%5 == 1 {
				connection.Write([]byte{0}) // slowly
			}
		}
	}
}

func (a *attack) keep(kind int, dialer *net.Dialer, address string) {
	defer a.wait.Done()
	for {
		begin := time.Now()
		a.once(kind, dialer, address)
		pause := 20 * time.Second // it was not taken
		if time.Since(begin) > time.Second {
			pause = 100 * time.Millisecond // it stood, and its place is free
		}
		select {
		case <-a.leave:
			return
		case <-time.After(pause):
		}
	}
}

func resident() int { return cri.ProcessFigure(*pid, "status", "VmRSS") }
func files() int {
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", *pid))
	if err != nil {
		fail("%v", err)
	}
	return len(entries)
}

func main() {
	flag.Parse()
	address := strings.TrimPrefix(*site, "https://")
	dialer := &net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP("127.0.0.66")}}
	wait := func() { <-time.After(*phase) } // what is measured goes on meanwhile

	usual := measure("before", wait)
	memoryBefore, filesBefore := resident(), files()
	a := &attack{leave: make(chan struct{})}
	measure("while they connect", func() {
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		for i := range *count {
			a.wait.Add(1)
			go a.keep(i, dialer, address)
			if i%50 == 49 {
				<-pace.C
			}
		}
	})
	standing := measure("while they stand", wait)
	open, memoryDuring, filesDuring := a.open.Load(), resident(), files()
	close(a.leave)
	a.wait.Wait()
	recovered := cri.Eventually(context.Background(), 60*time.Second, func() bool { return files() <= filesBefore+2 })
	measure("after", wait)

	fmt.Printf("%d hostile connections, %d open at the end of the phase, %d not taken by the kernel\n", *count, open, a.refused.Load())
	fmt.Printf("p99 while they stand: %.2f of the usual\n", float64(standing.Quantile(0.99))/float64(usual.Quantile(0.99)))
	fmt.Printf("interlink-api: %d -> %d -> %d KiB, %d -> %d -> %d descriptors\n", memoryBefore, memoryDuring, resident(), filesBefore, filesDuring, files())
	if memoryDuring-memoryBefore > *memory*1024 {
		fail("interlink-api grew by more than %d MiB", *memory)
	}
	if !recovered {
		fail("descriptors are left")
	}
}
