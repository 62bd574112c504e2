package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/moby/spdystream"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"example.invalid/interlink-test-tools/internal/cri"
)

// leave gives connections up: with no byte, in the head, behind it, behind the answer, with one stream of three, with all
// before anything was carried. Each has an address of its own, some of which stay unused.
func leave(ctx context.Context) {
	c := clients()
	for range *count {
		dial(ctx, c).Close()
		half, head := opened(ctx, c)
		send(half, head[:len(head)/2])
		half.Close()
		whole, head := opened(ctx, c)
		send(whole, head)
		whole.Close()
		upgraded(ctx, c).Close()
		for _, streams := range [][]string{{"error"}, {"error", "stdin", "stdout"}} {
			tcp := upgraded(ctx, c)
			spdy := must(spdystream.NewConnection(tcp, false))
			go spdy.Serve(spdystream.NoOpStreamHandler)
			for _, kind := range streams {
				stream := must(spdy.CreateStream(http.Header{"Streamtype": {kind}}, nil, false))
				check(stream.WaitTimeout(10*time.Second), "a stream's reply")
			}
			tcp.Close()
		}
		address(ctx, c) // nobody comes to it
	}
	fmt.Printf("%d times given up at each of 7 stages\n", *count)
}

func address(ctx context.Context, c *cri.Clients) *url.URL {
	answer := must(c.Runtime.Exec(ctx, &runtime.ExecRequest{ContainerId: *container, Cmd: []string{"sleep", "98765"}, Stdin: true, Stdout: true}))
	return must(url.Parse(answer.Url))
}

func dial(ctx context.Context, c *cri.Clients) net.Conn {
	tcp, _ := opened(ctx, c)
	return tcp
}

// opened connects, and returns what is to be sent.
func opened(ctx context.Context, c *cri.Clients) (net.Conn, string) {
	where := address(ctx, c)
	return must(net.Dial("tcp", where.Host)), "POST " + where.Path + " HTTP/1.1\r\nHost: " + where.Host + "\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n" +
		"X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n"
}

func send(connection net.Conn, text string) {
	_, err := io.WriteString(connection, text)
	check(err, "send")
}

func upgraded(ctx context.Context, c *cri.Clients) net.Conn {
	tcp, head := opened(ctx, c)
	send(tcp, head)
	// The server says nothing more before the first frame: the reader holds nothing back.
	answer := must(http.ReadResponse(bufio.NewReader(tcp), nil))
	if answer.StatusCode != http.StatusSwitchingProtocols {
		fail("the upgrade is answered %s", answer.Status)
	}
	return tcp
}
