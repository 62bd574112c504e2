package main

import (
	"fmt"
	"os"
	"strings"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"example.invalid/interlink-test-tools/internal/cri"
)

type pod struct {
	id, container string
	config        *runtime.PodSandboxConfig
}

var order = []string{"PullImage", "RunPodSandbox", "CreateContainer", "StartContainer", "ContainerStatus", "ExecSync", "Exec (stream)",
	"StopContainer", "RemoveContainer", "StopPodSandbox", "RemovePodSandbox"}

func (s *side) timed(name string, f func() error) {
	if s.times[name] == nil {
		s.times[name] = &cri.Durations{}
	}
	if err := s.times[name].Timed(f); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %s of %s: %v\n", name, s.name, err)
		os.Exit(1)
	}
}

// start makes a pod with one running container.
func (s *side) start(name string, command ...string) pod {
	p := pod{config: podConfig(name, s.logs)}
	s.timed("RunPodSandbox", func() error {
		answer, err := s.Runtime.RunPodSandbox(s.ctx, &runtime.RunPodSandboxRequest{Config: p.config})
		p.id = answer.GetPodSandboxId()
		return err
	})
	s.timed("CreateContainer", func() error {
		answer, err := s.Runtime.CreateContainer(s.ctx, &runtime.CreateContainerRequest{PodSandboxId: p.id,
			Config: containerConfig("main", command...), SandboxConfig: p.config})
		p.container = answer.GetContainerId()
		return err
	})
	s.timed("StartContainer", func() error {
		_, err := s.Runtime.StartContainer(s.ctx, &runtime.StartContainerRequest{ContainerId: p.container})
		return err
	})
	return p
}

func (s *side) end(p pod) {
	s.timed("StopContainer", func() error {
		_, err := s.Runtime.StopContainer(s.ctx, &runtime.StopContainerRequest{ContainerId: p.container, Timeout: 10})
		return err
	})
	s.timed("RemoveContainer", func() error {
		_, err := s.Runtime.RemoveContainer(s.ctx, &runtime.RemoveContainerRequest{ContainerId: p.container})
		return err
	})
	s.timed("StopPodSandbox", func() error {
		_, err := s.Runtime.StopPodSandbox(s.ctx, &runtime.StopPodSandboxRequest{PodSandboxId: p.id})
		return err
	})
	s.timed("RemovePodSandbox", func() error {
		_, err := s.Runtime.RemovePodSandbox(s.ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: p.id})
		return err
	})
}

var sleeper = []string{"sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"}

// One pod from its start to its end.
func (s *side) life(name string) {
	p := s.start(name, sleeper...)
	s.timed("ContainerStatus", func() error {
		_, err := s.Runtime.ContainerStatus(s.ctx, &runtime.ContainerStatusRequest{ContainerId: p.container})
		return err
	})
	s.timed("ExecSync", func() error {
		answer, err := s.Runtime.ExecSync(s.ctx, &runtime.ExecSyncRequest{ContainerId: p.container, Cmd: []string{"true"}, Timeout: 10})
		if err == nil && answer.ExitCode != 0 {
			err = fmt.Errorf("exit code %d", answer.ExitCode)
		}
		return err
	})
	s.timed("Exec (stream)", func() error {
		written, err := s.exec(p.container, "echo", "hello")
		if err == nil && written != int64(len("hello\n")) {
			err = fmt.Errorf("%d bytes came, not 6", written)
		}
		return err
	})
	s.end(p)
}

// pull removes the image and pulls it again.
func (s *side) pull() {
	if _, err := s.Image.RemoveImage(s.ctx, &runtime.RemoveImageRequest{Image: &runtime.ImageSpec{Image: *image}}); err != nil {
		fmt.Fprintf(os.Stderr, "bench: RemoveImage of %s: %v\n", s.name, err)
		os.Exit(1)
	}
	s.timed("PullImage", func() error {
		_, err := s.Image.PullImage(s.ctx, &runtime.PullImageRequest{Image: &runtime.ImageSpec{Image: *image}})
		return err
	})
}

// table prints the figures of each side, and ours as a part of the peer's.
func table(sides []*side) {
	fmt.Printf("%-16s | %5s", "ms", "n")
	for _, s := range sides {
		fmt.Printf(" | %10s p50 | %8s | %8s", s.name, "p90", "max")
	}
	if len(sides) == 2 {
		fmt.Printf(" | %5s p50 | %5s", "ratio", "p90")
	}
	fmt.Println()
	for _, name := range order {
		if sides[0].times[name] == nil {
			continue
		}
		fmt.Printf("%-16s | %5d", name, len(*sides[0].times[name]))
		for _, s := range sides {
			d := *s.times[name]
			fmt.Printf(" | %14s | %8s | %8s", cri.Milliseconds(d.Quantile(0.5)), cri.Milliseconds(d.Quantile(0.9)), cri.Milliseconds(d.Quantile(1)))
		}
		if len(sides) == 2 {
			ours, peers := *sides[0].times[name], *sides[1].times[name]
			fmt.Printf(" | %9.2f | %5.2f", ours.Quantile(0.5).Seconds()/peers.Quantile(0.5).Seconds(),
				ours.Quantile(0.9).Seconds()/peers.Quantile(0.9).Seconds())
		}
		fmt.Println()
	}
	fmt.Println(strings.Repeat("-", 40))
}

// lives runs the pods of all sides in turn, so that what else the machine does hits all alike.
func lives(sides []*side) {
	for i := range 10 {
		for _, s := range sides {
			if i == 0 {
				s.pull() // the first one also fills caches
				delete(s.times, "PullImage")
			}
			s.pull()
		}
	}
	for i := range *count {
		for _, s := range sides {
			s.life(fmt.Sprintf("life-%d", i))
		}
	}
	table(sides)
}
