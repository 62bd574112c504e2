package main

import (
	"context"
	"errors"
	"io"
	"net/url"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
	"sigs.k8s.io/cri-tools/pkg/common"

	"example.invalid/interlink-test-tools/internal/cri"
)

// command is one exec of `argv`, or an attach without any.
type command struct {
	container string
	argv      []string
	options   remotecommand.StreamOptions
}

func (c command) address(ctx context.Context, clients *cri.Clients) (string, error) {
	in, out, err := c.options.Stdin != nil, c.options.Stdout != nil, c.options.Stderr != nil
	if c.argv == nil {
		answer, failure := clients.Runtime.Attach(ctx, &runtime.AttachRequest{ContainerId: c.container, Stdin: in,
			Stdout: out, Stderr: err, Tty: c.options.Tty})
		return answer.GetUrl(), failure
	}
	answer, failure := clients.Runtime.Exec(ctx, &runtime.ExecRequest{ContainerId: c.container, Cmd: c.argv, Stdin: in,
		Stdout: out, Stderr: err, Tty: c.options.Tty})
	return answer.GetUrl(), failure
}

// run to the end. A code that is not 0 is an error; codeOf finds it.
func (c command) run(ctx context.Context, clients *cri.Clients) error {
	text, err := c.address(ctx, clients)
	if err != nil {
		return err
	}
	address, err := url.Parse(text)
	if err != nil {
		return err
	}
	executor, err := common.GetExecutor(*transport, address, &rest.TLSClientConfig{})
	if err != nil {
		return err
	}
	return executor.StreamWithContext(ctx, c.options)
}

// codeOf a command that ended with `err`; -1: it did not end by itself.
func codeOf(err error) int {
	if err == nil {
		return 0
	}
	var code exec.CodeExitError
	if errors.As(err, &code) {
		return code.Code
	}
	return -1
}

// forwarding is what kubectl port-forward does, on a port of loopback.
type forwarding struct {
	local uint16
	stop  chan struct{}
	over  chan error
}

// forward the pod's port. What goes wrong on its connections is in `notes`.
func forward(ctx context.Context, clients *cri.Clients, sandbox, remote string) *forwarding {
	answer, err := clients.Runtime.PortForward(ctx, &runtime.PortForwardRequest{PodSandboxId: sandbox})
	check(err, "PortForward")
	address := must(url.Parse(answer.Url))
	dialer := must(common.GetDialer(*transport, address, &rest.TLSClientConfig{}))
	f := &forwarding{stop: make(chan struct{}), over: make(chan error, 1)}
	ready := make(chan struct{})
	forwarder := must(portforward.NewOnAddressesForStreaming(dialer, []string{"127.0.0.1"}, []string{"0:" + remote},
		f.stop, ready, nil, io.Discard))
	go func() { f.over <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-f.over:
		fail("port-forward: %v", err)
	}
	f.local = must(forwarder.GetPorts())[0].Local
	return f
}

func (f *forwarding) end() {
	close(f.stop)
	check(<-f.over, "the end of a port-forward")
}
