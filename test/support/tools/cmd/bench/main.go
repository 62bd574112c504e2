// bench: how long the calls of a pod's life take through the whole path, what lists cost, how fast logs arrive, and how
// much memory it takes. It prints figures, no verdict.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"example.invalid/interlink-test-tools/internal/cri"
)

var (
	socket  = flag.String("socket", "", "CRI socket of the node")
	logs    = flag.String("logs", "", "folder for log directories")
	image   = flag.String("image", "docker.io/library/busybox:latest", "image of the containers")
	what    = flag.String("what", "life", "life, memory, log or list")
	count   = flag.Int("count", 60, "life: pods; memory: pods at the end; log: MiB; list: containers")
	nodePid = flag.Int("node-pid", 0, "pid of interlink-cri")
	sitePid = flag.Int("site-pid", 0, "pid of interlink-api")
	folder  = flag.String("lab", "", "folder of the lab: its shims have it in their command line")
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
	return value
}

type pod struct {
	id, container string
	config        *runtime.PodSandboxConfig
}

var order = []string{"RunPodSandbox", "CreateContainer", "StartContainer", "ContainerStatus", "ExecSync", "StopContainer",
	"RemoveContainer", "StopPodSandbox", "RemovePodSandbox"}

type bench struct {
	*cri.Clients
	ctx   context.Context
	times map[string]*cri.Durations
}

func (b *bench) timed(name string, f func() error) {
	if b.times[name] == nil {
		b.times[name] = &cri.Durations{}
	}
	if err := b.times[name].Timed(f); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %s: %v\n", name, err)
		os.Exit(1)
	}
}

// start makes a pod with one running container.
func (b *bench) start(name string, command ...string) pod {
	p := pod{config: cri.Pod(name, *logs, nil)}
	b.timed("RunPodSandbox", func() error {
		answer, err := b.Runtime.RunPodSandbox(b.ctx, &runtime.RunPodSandboxRequest{Config: p.config})
		p.id = answer.GetPodSandboxId()
		return err
	})
	b.timed("CreateContainer", func() error {
		answer, err := b.Runtime.CreateContainer(b.ctx, &runtime.CreateContainerRequest{PodSandboxId: p.id,
			Config: cri.Container("main", *image, command...), SandboxConfig: p.config})
		p.container = answer.GetContainerId()
		return err
	})
	b.timed("StartContainer", func() error {
		_, err := b.Runtime.StartContainer(b.ctx, &runtime.StartContainerRequest{ContainerId: p.container})
		return err
	})
	return p
}

func (b *bench) end(p pod) {
	b.timed("StopContainer", func() error {
		_, err := b.Runtime.StopContainer(b.ctx, &runtime.StopContainerRequest{ContainerId: p.container, Timeout: 10})
		return err
	})
	b.timed("RemoveContainer", func() error {
		_, err := b.Runtime.RemoveContainer(b.ctx, &runtime.RemoveContainerRequest{ContainerId: p.container})
		return err
	})
	b.timed("StopPodSandbox", func() error {
		_, err := b.Runtime.StopPodSandbox(b.ctx, &runtime.StopPodSandboxRequest{PodSandboxId: p.id})
		return err
	})
	b.timed("RemovePodSandbox", func() error {
		_, err := b.Runtime.RemovePodSandbox(b.ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: p.id})
		return err
	})
}

var sleeper = []string{"sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"}

func (b *bench) life() {
	for i := range *count {
		p := b.start(fmt.Sprintf("life-%d", i), sleeper...)
		b.timed("ContainerStatus", func() error {
			_, err := b.Runtime.ContainerStatus(b.ctx, &runtime.ContainerStatusRequest{ContainerId: p.container})
			return err
		})
		b.timed("ExecSync", func() error {
			answer, err := b.Runtime.ExecSync(b.ctx, &runtime.ExecSyncRequest{ContainerId: p.container, Cmd: []string{"true"}, Timeout: 10})
			if err == nil && answer.ExitCode != 0 {
				err = fmt.Errorf("exit code %d", answer.ExitCode)
			}
			return err
		})
		b.end(p)
	}
	fmt.Printf("%-18s | %5s | %8s | %8s | %8s\n", "ms", "n", "p50", "p90", "max")
	for _, name := range order {
		d := *b.times[name]
		fmt.Printf("%-18s | %5d | %8s | %8s | %8s\n", name, len(d), cri.Milliseconds(d.Quantile(0.5)),
			cri.Milliseconds(d.Quantile(0.9)), cri.Milliseconds(d.Quantile(1)))
	}
}

// shims of this lab: pids.
func shims() []int {
	var pids []int
	entries := must(filepath.Glob("/proc/[0-9]*/cmdline"))
	for _, entry := range entries {
		text, err := os.ReadFile(entry)
		if err != nil || !strings.Contains(string(text), *folder+"/") {
			continue
		}
		if filepath.Base(strings.SplitN(string(text), "\x00", 2)[0]) == "interlink-shim" {
			pids = append(pids, must(strconv.Atoi(strings.Split(entry, "/")[2])))
		}
	}
	return pids
}

func (b *bench) memory() {
	fmt.Printf("%-18s | %9s | %9s | %9s | %16s | %12s\n", "KiB (PSS)", "pods", "node", "site", "shim (private)", "shims")
	var pods []pod
	for _, target := range []int{0, 1, 10, 100} {
		if target > *count {
			break
		}
		for len(pods) < target {
			pods = append(pods, b.start(fmt.Sprintf("memory-%d", len(pods)), sleeper...))
		}
		private, found := 0, shims()
		for _, pid := range found {
			private += cri.ProcessFigure(pid, "smaps_rollup", "Private_Dirty") + cri.ProcessFigure(pid, "smaps_rollup", "Private_Clean")
		}
		fmt.Printf("%-18s | %9d | %9d | %9d | %16d | %12d\n", "memory", target, cri.ProcessFigure(*nodePid, "smaps_rollup", "Pss"),
			cri.ProcessFigure(*sitePid, "smaps_rollup", "Pss"), private/max(1, len(found)), len(found))
	}
	for _, p := range pods {
		b.end(p)
	}
}

// throughput of a container's output to the node's file.
func (b *bench) throughput() {
	const line = 64
	lines := *count << 20 / line
	begin := time.Now()
	p := b.start("log", "sh", "-c", fmt.Sprintf("yes %s | head -n %d; echo the end", strings.Repeat("x", line-1), lines))
	file := filepath.Join(*logs, "log", "main.log")
	last := ""
	arrived := cri.Eventually(b.ctx, 5*time.Minute, func() bool {
		f, err := os.Open(file)
		if err != nil {
			return false
		}
		defer f.Close()
		buffer := make([]byte, 200)
		size := must(f.Stat()).Size()
		n, _ := f.ReadAt(buffer, max(0, size-200))
		last = string(buffer[:n])
		return strings.HasSuffix(last, "the end\n")
	})
	took := time.Since(begin)
	if !arrived {
		fmt.Fprintf(os.Stderr, "bench: the last line did not arrive within 5 minutes; the file ends with %q\n", last)
		os.Exit(1)
	}
	text := must(os.ReadFile(file))
	if got := strings.Count(string(text), "\n"); got != lines+1 {
		fmt.Fprintf(os.Stderr, "bench: %d lines arrived, %d were written\n", got, lines+1)
		os.Exit(1)
	}
	fmt.Printf("%-18s | %.1f MB/s of the container's output, %.1f MB/s of file (%d lines, none lost, in %.2f s with the start)\n", "log",
		float64(lines*line)/1e6/took.Seconds(), float64(len(text))/1e6/took.Seconds(), lines, took.Seconds())
	b.end(p)
}

// serverSide is what interlink-cri says of its own answers to an RPC: how many, and their seconds in all.
func serverSide(rpc string) (count, seconds float64) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", *socket)
		}}}
	answer := must(client.Get("http://localhost/metrics"))
	defer answer.Body.Close()
	for _, line := range strings.Split(string(must(io.ReadAll(answer.Body))), "\n") {
		name, value, _ := strings.Cut(line, " ")
		if !strings.Contains(name, `rpc="`+rpc+`"`) {
			continue
		}
		if strings.HasPrefix(name, "interlink_cri_call_seconds_count{") {
			count = must(strconv.ParseFloat(value, 64))
		} else if strings.HasPrefix(name, "interlink_cri_call_seconds_sum{") {
			seconds = must(strconv.ParseFloat(value, 64))
		}
	}
	return count, seconds
}

// list needs a site that can hold many containers (the fake plugin).
func (b *bench) list() {
	const perPod = 100
	var group sync.WaitGroup
	slots := make(chan struct{}, 16)
	begin := time.Now()
	for i := range *count / perPod {
		group.Add(1)
		go func() {
			defer group.Done()
			slots <- struct{}{}
			defer func() { <-slots }()
			config := cri.Pod(fmt.Sprintf("list-%d", i), "", nil)
			answer := must(b.Runtime.RunPodSandbox(b.ctx, &runtime.RunPodSandboxRequest{Config: config}))
			for j := range perPod {
				container := cri.Container(fmt.Sprintf("c-%d", j), *image, "run")
				container.LogPath = ""
				container.Labels = map[string]string{"io.kubernetes.pod.name": config.Metadata.Name,
					"io.kubernetes.pod.namespace": "default", "io.kubernetes.pod.uid": config.Metadata.Uid,
					"io.kubernetes.container.name": container.Metadata.Name}
				must(b.Runtime.CreateContainer(b.ctx, &runtime.CreateContainerRequest{PodSandboxId: answer.PodSandboxId,
					Config: container, SandboxConfig: config}))
			}
		}()
	}
	group.Wait()
	fmt.Printf("%-18s | %d containers made in %.1f s\n", "list", *count, time.Since(begin).Seconds())
	for name, filter := range map[string]*runtime.ContainerFilter{"ListContainers": nil,
		"  one state": {State: &runtime.ContainerStateValue{State: runtime.ContainerState_CONTAINER_RUNNING}}} {
		var durations cri.Durations
		size := 0
		calls, seconds := serverSide("ListContainers")
		for range 200 {
			durations.Timed(func() error {
				answer := must(b.Runtime.ListContainers(b.ctx, &runtime.ListContainersRequest{Filter: filter}))
				size = len(answer.Containers)
				return nil
			})
		}
		callsNow, secondsNow := serverSide("ListContainers")
		fmt.Printf("%-18s | p50 %s ms | p90 %s ms with decoding in the client | %.2f ms on average in interlink-cri | %d containers in the answer\n", name,
			cri.Milliseconds(durations.Quantile(0.5)), cri.Milliseconds(durations.Quantile(0.9)), (secondsNow-seconds)/(callsNow-calls)*1000, size)
	}
	fmt.Printf("%-18s | node %d KiB, site %d KiB PSS with %d containers\n", "memory", cri.ProcessFigure(*nodePid, "smaps_rollup", "Pss"),
		cri.ProcessFigure(*sitePid, "smaps_rollup", "Pss"), *count)
}

func main() {
	flag.Parse()
	b := &bench{must(cri.Connect(*socket)), context.Background(), map[string]*cri.Durations{}}
	must(b.Image.PullImage(b.ctx, &runtime.PullImageRequest{Image: &runtime.ImageSpec{Image: *image}}))
	switch *what {
	case "life":
		b.life()
	case "memory":
		b.memory()
	case "log":
		b.throughput()
	case "list":
		b.list()
	default:
		fmt.Fprintf(os.Stderr, "bench: -what %s: life, memory, log or list\n", *what)
		os.Exit(2)
	}
}
