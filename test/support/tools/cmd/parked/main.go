// parked: many RunPodSandbox calls wait at once on a backend that accepts and does not report. Lists must stay fast and
// threads few. Then all calls are cancelled, as kubelet does when the pods are deleted; the backend goes on being silent
// for one half and reports the other half up, which kubelet then finds in its lists and ends. Nothing may be left.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"example.invalid/interlink-test-tools/internal/cri"
)

var (
	socket  = flag.String("socket", "", "CRI socket of the node")
	calls   = flag.Int("calls", 1000, "calls to park")
	site    = flag.String("site", "", "https://HOST:PORT of the site")
	pki     = flag.String("pki", "", "folder with ca.crt, node-1.crt, node-1.key")
	nodePid = flag.Int("node-pid", 0, "pid of interlink-cri")
	sitePid = flag.Int("site-pid", 0, "pid of interlink-api")
	limit   = flag.Duration("limit", 120*time.Second, "nothing may be left that long after the calls were cancelled")
	threads = flag.Int("threads", 100, "no daemon may have more threads")
)

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "parked: "+format+"\n", arguments...)
	os.Exit(1)
}

// sandboxes at the site, as its /status tells this node.
func siteSandboxes(s *cri.Site) (int, error) {
	answer, err := s.Get("/status")
	if err != nil {
		return 0, err
	}
	var state struct{ Sandboxes json.RawMessage }
	if err := json.Unmarshal(answer, &state); err != nil {
		return 0, err
	}
	text := string(state.Sandboxes) // proto3 JSON writes 64-bit numbers as strings
	if len(text) > 1 && text[0] == '"' {
		text = text[1 : len(text)-1]
	}
	return strconv.Atoi(text)
}

// lists for a while, one call after the other, and returns their durations.
func lists(ctx context.Context, clients *cri.Clients, count int) cri.Durations {
	var durations cri.Durations
	for range count {
		if err := durations.Timed(func() error {
			_, err := clients.Runtime.ListPodSandbox(ctx, &runtime.ListPodSandboxRequest{})
			return err
		}); err != nil {
			fail("ListPodSandbox: %v", err)
		}
	}
	return durations
}

// endListed stops and removes what the list shows, as kubelet does with a pod that is gone; returns how many are removed.
func endListed(ctx context.Context, clients *cri.Clients) int {
	answer, err := clients.Runtime.ListPodSandbox(ctx, &runtime.ListPodSandboxRequest{})
	if err != nil {
		fail("ListPodSandbox: %v", err)
	}
	for _, item := range answer.Items {
		if _, err := clients.Runtime.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: item.Id}); err != nil {
			fail("StopPodSandbox: %v", err)
		}
		if _, err := clients.Runtime.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: item.Id}); err != nil {
			fail("RemovePodSandbox: %v", err)
		}
	}
	return len(answer.Items)
}

func report(what string, durations cri.Durations) {
	fmt.Printf("ListPodSandbox %s: p50 %s ms, p99 %s ms (%d calls); threads: node %d, site %d\n", what,
		cri.Milliseconds(durations.Quantile(0.5)), cri.Milliseconds(durations.Quantile(0.99)), len(durations),
		cri.ProcessFigure(*nodePid, "status", "Threads"), cri.ProcessFigure(*sitePid, "status", "Threads"))
}

func main() {
	flag.Parse()
	ctx := context.Background()
	clients, err := cri.Connect(*socket)
	if err != nil {
		fail("%v", err)
	}
	told, err := cri.NewSite(*site, *pki)
	if err != nil {
		fail("%v", err)
	}
	report("alone", lists(ctx, clients, 1000))

	reports := *pki + "/backend-reports" // once this file is there, every second sandbox comes up
	parked, cancel := context.WithCancel(ctx)
	var waiting, early atomic.Int64
	var all sync.WaitGroup
	for i := range *calls {
		all.Add(1)
		waiting.Add(1)
		go func() {
			defer all.Done()
			defer waiting.Add(-1)
			annotations := map[string]string{"fake.interlink.io/run": "never"}
			if i%2 == 1 {
				annotations = map[string]string{"fake.interlink.io/up-when": reports}
			}
			config := cri.Pod(fmt.Sprintf("parked-%d", i), "", annotations)
			limited, done := context.WithTimeout(parked, 5*time.Minute)
			defer done()
			_, err := clients.Runtime.RunPodSandbox(limited, &runtime.RunPodSandboxRequest{Config: config})
			if parked.Err() == nil || status.Code(err) != codes.Canceled {
				early.Add(1)
				fmt.Fprintf(os.Stderr, "parked: call %d ended: %v\n", i, err)
			}
		}()
	}
	begin := time.Now()
	if !cri.Eventually(ctx, 2*time.Minute, func() bool { count, err := siteSandboxes(told); return err == nil && count == *calls }) {
		count, err := siteSandboxes(told)
		fail("the site has %d of %d sandboxes after 2 minutes (%v)", count, *calls, err)
	}
	fmt.Printf("%d calls parked, all at the site after %s\n", *calls, time.Since(begin).Round(time.Millisecond))
	report(fmt.Sprintf("beside %d parked calls", waiting.Load()), lists(ctx, clients, 1000))
	if waiting.Load() != int64(*calls) {
		fail("%d calls ended by themselves", early.Load())
	}
	for _, pid := range []int{*nodePid, *sitePid} {
		if count := cri.ProcessFigure(pid, "status", "Threads"); count > *threads {
			fail("process %d has %d threads, the limit is %d", pid, count, *threads)
		}
	}

	cancel()
	all.Wait()
	begin = time.Now()
	if err := os.WriteFile(reports, nil, 0o644); err != nil {
		fail("%v", err)
	}
	ended := 0
	gone := func() bool {
		ended += endListed(ctx, clients)
		count, err := siteSandboxes(told)
		return err == nil && count == 0
	}
	if !cri.Eventually(ctx, *limit, gone) {
		count, err := siteSandboxes(told)
		fail("%d sandboxes are left at the site %s after all calls were cancelled (%v)", count, *limit, err)
	}
	fmt.Printf("all cancelled, %d came up later and were ended, nothing left after %s\n", ended, time.Since(begin).Round(time.Millisecond))
	if ended == 0 {
		fail("no sandbox came up after its call was cancelled: the test did not see what it is about")
	}
	answer, err := clients.Runtime.ListPodSandbox(ctx, &runtime.ListPodSandboxRequest{})
	if err != nil || len(answer.Items) != 0 {
		fail("ListPodSandbox shows %d sandboxes (%v)", len(answer.GetItems()), err)
	}
	if early.Load() != 0 {
		fail("%d calls did not end with CANCELLED", early.Load())
	}
}
