// spdy: speaks to our SPDY server with moby/spdystream, the library of kubectl, crictl and kubelet. It starts the
// server (build/PRESET/test/spdy_peer) and prints a line per check.
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/moby/spdystream"
)

var (
	size     = flag.Int("size", 32<<20, "bytes through a command")
	forwards = flag.Int("forwards", 50, "forwarded connections at once")
	limit    = flag.Duration("limit", 60*time.Second, "everything must be over by then")
)

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "spdy: "+format+"\n", arguments...)
	os.Exit(1)
}

func check(err error, what string) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

type client struct {
	address string
	conn    *spdystream.Connection
}

// dial opens a connection for what the server calls so. The line goes out with the first frames.
func dial(address, what string) *client {
	tcp, err := net.Dial("tcp", address)
	check(err, "dial")
	_, err = tcp.Write([]byte(what + "\n"))
	check(err, "first line")
	conn, err := spdystream.NewConnection(tcp, false)
	check(err, "spdystream")
	go conn.Serve(func(stream *spdystream.Stream) { fail("the server opens a stream") })
	return &client{address, conn}
}

func (c *client) open(headers ...string) *spdystream.Stream {
	all := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		all.Set(headers[i], headers[i+1])
	}
	stream, err := c.conn.CreateStream(all, nil, false)
	check(err, "create a stream")
	check(stream.WaitTimeout(10*time.Second), "reply to "+fmt.Sprint(headers))
	return stream
}

// The client leaves a server that goes on.
func (c *client) end() {
	check(c.conn.Close(), "close")
}

// The server has told how the command ended, and leaves by itself.
func (c *client) ended() {
	select {
	case <-c.conn.CloseChan():
	case <-time.After(10 * time.Second):
		fail("the server keeps the connection of a command that has ended")
	}
}

func all(stream *spdystream.Stream) []byte {
	read, err := io.ReadAll(stream)
	check(err, "read")
	return read
}

func bytesOf(n int) []byte {
	random := make([]byte, n)
	_, err := rand.Read(random)
	check(err, "random")
	return random
}

// In the pieces of io.Copy, then the end.
func send(stream *spdystream.Stream, data []byte) {
	for len(data) > 0 {
		n := min(len(data), 32<<10)
		_, err := stream.Write(data[:n])
		check(err, "write")
		data = data[n:]
	}
	check(stream.Close(), "half-close")
}

func status(stream *spdystream.Stream) (string, string) {
	var status struct {
		Status, Reason string
		Details        struct {
			Causes []struct{ Reason, Message string }
		}
	}
	text := all(stream)
	check(json.Unmarshal(text, &status), "status "+string(text))
	if len(status.Details.Causes) == 0 {
		return status.Status, ""
	}
	return status.Status + " " + status.Reason, status.Details.Causes[0].Message
}

func command(address string) {
	c := dial(address, "command")
	errors := c.open("streamtype", "error")
	in := c.open("streamtype", "stdin")
	out := c.open("streamtype", "stdout")
	notes := c.open("streamtype", "stderr")
	took, err := c.conn.Ping()
	check(err, "ping")
	if took > 10*time.Second {
		fail("a ping took %v", took)
	}
	sent := bytesOf(*size)
	begin := time.Now()
	go send(in, sent)
	var noted []byte
	var wait sync.WaitGroup
	wait.Go(func() { noted = all(notes) })
	got := all(out)
	spent := time.Since(begin)
	wait.Wait()
	if !bytes.Equal(sent, got) {
		fail("%d bytes went in, %d others came out", len(sent), len(got))
	}
	if string(noted) != "note" {
		fail("stderr has %q", noted)
	}
	what, cause := status(errors)
	if what != "Failure NonZeroExitCode" || cause != "3" {
		fail("the command ended with %s, %s", what, cause)
	}
	c.ended()
	fmt.Printf("command: %d MiB in and out, %.0f MB/s, exit code 3\n", *size>>20, float64(*size)/1e6/spent.Seconds())
}

func terminal(address string) {
	c := dial(address, "terminal")
	errors := c.open("streamtype", "error")
	in := c.open("streamtype", "stdin")
	out := c.open("streamtype", "stdout")
	resize := c.open("streamtype", "resize")
	type terminalSize struct{ Width, Height uint16 }
	lines := bufio.NewReader(out)
	for _, size := range []terminalSize{{80, 24}, {132, 50}} {
		check(json.NewEncoder(resize).Encode(size), "resize")
		line, err := lines.ReadString('\n')
		check(err, "read")
		if line != fmt.Sprintf("%dx%d\n", size.Width, size.Height) {
			fail("the size is %q", line)
		}
	}
	check(in.Close(), "half-close")
	if rest, _ := io.ReadAll(lines); len(rest) > 0 {
		fail("there is more: %q", rest)
	}
	if what, _ := status(errors); what != "Success" {
		fail("the command ended with %s", what)
	}
	c.ended()
	fmt.Println("terminal: sizes arrive, exit code 0")
}

// connect does what client-go does for one connection: the text of its error stream.
func connect(c *client, request, port int, data []byte) (got []byte, failure string) {
	id := strconv.Itoa(request)
	errors := c.open("streamtype", "error", "port", strconv.Itoa(port), "requestid", id)
	check(errors.Close(), "half-close")
	stream := c.open("streamtype", "data", "port", strconv.Itoa(port), "requestid", id)
	go func() {
		_, _ = stream.Write(data)
		_ = stream.Close() // one that was reset refuses it
	}()
	got = all(stream)
	check(stream.Reset(), "reset")
	return got, string(all(errors))
}

func forward(address string) {
	c := dial(address, "forward")
	var wait sync.WaitGroup
	for i := range *forwards {
		wait.Go(func() {
			sent := bytesOf(256 << 10)
			got, failure := connect(c, i, 1000+i, sent)
			if failure != "" || !bytes.Equal(sent, got) {
				fail("connection %d: %d bytes went in, %d came out; %q", i, len(sent), len(got), failure)
			}
		})
	}
	wait.Wait()
	if _, failure := connect(c, 1000, 9, nil); !strings.Contains(failure, "refused") {
		fail("port 9 answers %q", failure)
	}
	if got, failure := connect(c, 1001, 80, []byte("still here")); failure != "" || string(got) != "still here" {
		fail("after a failure: %q, %q", got, failure)
	}
	bad, err := c.conn.CreateStream(http.Header{"Streamtype": {"data"}, "Port": {"0"}}, nil, false)
	check(err, "create a stream")
	if err = bad.WaitTimeout(10 * time.Second); err != spdystream.ErrReset {
		fail("port 0: %v", err)
	}
	c.end()
	fmt.Printf("forward: %d connections at once, a failure, and one more\n", *forwards)
}

func main() {
	flag.Parse()
	if flag.NArg() != 1 {
		fail("usage: spdy [flags] SERVER")
	}
	time.AfterFunc(*limit, func() { fail("not over after %v", *limit) })
	server := exec.Command(flag.Arg(0))
	server.Stderr = os.Stderr
	stdin, err := server.StdinPipe()
	check(err, "stdin")
	stdout, err := server.StdoutPipe()
	check(err, "stdout")
	check(server.Start(), "start the server")
	port, err := bufio.NewReader(stdout).ReadString('\n')
	check(err, "the server's port")
	address := "127.0.0.1:" + strings.TrimSpace(port)
	command(address)
	terminal(address)
	forward(address)
	check(stdin.Close(), "end the server")
	check(server.Wait(), "the server")
}
