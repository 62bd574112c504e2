package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"example.invalid/interlink-test-tools/internal/cri"
)

// As pods in jobs must be: the machine's network, processes of each container's own.
func inJob() *runtime.NamespaceOption {
	return &runtime.NamespaceOption{Network: runtime.NamespaceMode_NODE, Pid: runtime.NamespaceMode_CONTAINER, Ipc: runtime.NamespaceMode_POD}
}

func podConfig(name, logs string) *runtime.PodSandboxConfig {
	config := cri.Pod(name, logs, nil)
	if *jobs {
		config.Linux.SecurityContext = &runtime.LinuxSandboxSecurityContext{NamespaceOptions: inJob()}
	}
	return config
}

func containerConfig(name string, command ...string) *runtime.ContainerConfig {
	config := cri.Container(name, *image, command...)
	if *jobs {
		config.Linux.SecurityContext = &runtime.LinuxContainerSecurityContext{NamespaceOptions: inJob()}
	}
	return config
}

// exits measures from the end of a container's process, as the runtime tells it, until the list shows it.
func (s *side) exits() {
	p := s.start("exits", sleeper...)
	var durations cri.Durations
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for i := range *count {
		made := must(s.Runtime.CreateContainer(s.ctx, &runtime.CreateContainerRequest{PodSandboxId: p.id,
			Config: containerConfig(fmt.Sprintf("exit-%d", i), "sleep", "0.2"), SandboxConfig: p.config}))
		must(s.Runtime.StartContainer(s.ctx, &runtime.StartContainerRequest{ContainerId: made.ContainerId}))
		filter := &runtime.ContainerFilter{Id: made.ContainerId}
		deadline := time.Now().Add(time.Minute)
		for {
			list := must(s.Runtime.ListContainers(s.ctx, &runtime.ListContainersRequest{Filter: filter}))
			if len(list.Containers) == 1 && list.Containers[0].State == runtime.ContainerState_CONTAINER_EXITED {
				break
			}
			if time.Now().After(deadline) {
				fmt.Fprintf(os.Stderr, "bench: container %s did not end within a minute\n", made.ContainerId)
				os.Exit(1)
			}
			<-tick.C
		}
		now := time.Now()
		state := must(s.Runtime.ContainerStatus(s.ctx, &runtime.ContainerStatusRequest{ContainerId: made.ContainerId}))
		durations = append(durations, now.Sub(time.Unix(0, state.Status.FinishedAt)))
		must(s.Runtime.RemoveContainer(s.ctx, &runtime.RemoveContainerRequest{ContainerId: made.ContainerId}))
	}
	fmt.Printf("%-18s | p50 %s ms, p90 %s ms from the end of its process until the list says EXITED (%d containers)\n", "exit of "+s.name,
		cri.Milliseconds(durations.Quantile(0.5)), cri.Milliseconds(durations.Quantile(0.9)), len(durations))
	s.end(p)
}

// linesOf counts the lines of the file that notes each call of a command.
func linesOf(file string) int {
	text, err := os.ReadFile(file)
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
	return strings.Count(string(text), "\n")
}

func sandboxesAt(site *cri.Site) int {
	var state struct{ Sandboxes json.Number }
	text := must(site.Get("/status"))
	// proto3 JSON writes 64-bit numbers as strings; json.Number takes both.
	if err := json.Unmarshal(text, &state); err != nil {
		fmt.Fprintf(os.Stderr, "bench: /status of the site: %v\n", err)
		os.Exit(1)
	}
	count, err := state.Sandboxes.Int64()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: /status of the site: %v\n", err)
		os.Exit(1)
	}
	return int(count)
}

// queue has `count` pods wait for a cluster that is full, and counts how often the scheduler is asked.
func (s *side) queue() {
	site := must(cri.NewSite(*siteURL, *pki))
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	before := linesOf(*notes)
	begin := time.Now()
	var all sync.WaitGroup
	for i := range *count {
		all.Add(1)
		go func() {
			defer all.Done()
			limited, done := context.WithTimeout(ctx, 20*time.Minute)
			defer done()
			_, err := s.Runtime.RunPodSandbox(limited, &runtime.RunPodSandboxRequest{Config: podConfig(fmt.Sprintf("queue-%d-%d", *count, i), s.logs)})
			if ctx.Err() == nil {
				fmt.Fprintf(os.Stderr, "bench: a call that should wait ended: %v\n", err)
			}
		}()
	}
	submitted := func() bool { return sandboxesAt(site) == *count && queued() >= *count }
	if !cri.Eventually(s.ctx, 10*time.Minute, submitted) {
		fmt.Fprintf(os.Stderr, "bench: the site has %d of %d pods, SLURM %d jobs after 10 minutes\n", sandboxesAt(site), *count, queued())
		os.Exit(1)
	}
	took := time.Since(begin)
	asking := linesOf(*notes) - before
	<-time.After(2 * time.Minute) // what is asked often after a change has slowed down
	quiet := linesOf(*notes)
	<-time.After(time.Minute) // of which the figure is
	fmt.Printf("%-18s | %d pods queued after %.1f s (%.1f jobs/s), %d squeue meanwhile; then %d squeue per minute; site %d KiB PSS, node %d KiB PSS\n", "queue",
		*count, took.Seconds(), float64(*count)/took.Seconds(), asking, linesOf(*notes)-quiet,
		cri.ProcessFigure(*sitePid, "smaps_rollup", "Pss"), cri.ProcessFigure(*nodePid, "smaps_rollup", "Pss"))
	cancel()
	all.Wait()
	begin = time.Now()
	gone := func() bool {
		must(s.Runtime.ListPodSandbox(s.ctx, &runtime.ListPodSandboxRequest{}))
		return sandboxesAt(site) == 0 && queued() == 0
	}
	if !cri.Eventually(s.ctx, 10*time.Minute, gone) {
		fmt.Fprintf(os.Stderr, "bench: 10 minutes after all were cancelled the site has %d pods, SLURM %d jobs\n", sandboxesAt(site), queued())
		os.Exit(1)
	}
	fmt.Printf("%-18s | all cancelled: nothing left at the site and in the queue after %.1f s (60 s are for a caller that comes back)\n", "queue",
		time.Since(begin).Seconds())
}

// queued counts the jobs that wait.
func queued() int {
	text, err := exec.Command("squeue", "-h", "-t", "PENDING", "-o", "%A").Output()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: squeue: %v\n", err)
		os.Exit(1)
	}
	return strings.Count(string(text), "\n")
}
