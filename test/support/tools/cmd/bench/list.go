package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"example.invalid/interlink-test-tools/internal/cri"
)

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
func (s *side) list() {
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
			answer := must(s.Runtime.RunPodSandbox(s.ctx, &runtime.RunPodSandboxRequest{Config: config}))
			for j := range perPod {
				container := cri.Container(fmt.Sprintf("c-%d", j), *image, "run")
				container.LogPath = ""
				container.Labels = map[string]string{"io.kubernetes.pod.name": config.Metadata.Name,
					"io.kubernetes.pod.namespace": "default", "io.kubernetes.pod.uid": config.Metadata.Uid,
					"io.kubernetes.container.name": container.Metadata.Name}
				must(s.Runtime.CreateContainer(s.ctx, &runtime.CreateContainerRequest{PodSandboxId: answer.PodSandboxId,
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
				answer := must(s.Runtime.ListContainers(s.ctx, &runtime.ListContainersRequest{Filter: filter}))
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
