package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"example.invalid/interlink-test-tools/internal/cri"
)

// sighting is what the lists have said of a sandbox or container.
type sighting struct {
	rank    int32
	first   time.Time // in this state
	expects time.Time // it must be in lists asked for after this; zero: it need not be
}

type storm struct {
	clients *cri.Clients
	witness *witness
	faults  *faults

	mutex  sync.Mutex
	pods   []*pod
	seen   map[string]*sighting
	names  map[string]string // ids of sandboxes by name and attempt, of the last list
	wrongs []string
}

func (s *storm) add(p *pod) *pod {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.pods = append(s.pods, p)
	return p
}

// wrong notes what must not be, once.
func (s *storm) wrong(format string, arguments ...any) {
	text := fmt.Sprintf(format, arguments...)
	say("WRONG: %s", text)
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.wrongs = append(s.wrongs, text)
}

// expect says that lists show it from now on; expectNothing that it may go.
func (s *storm) expect(id string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.seen[id] == nil {
		s.seen[id] = &sighting{rank: -1}
	}
	s.seen[id].expects = time.Now()
}

func (s *storm) expectNothing(ids ...string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	for _, id := range ids {
		if s.seen[id] != nil {
			s.seen[id].expects = time.Time{}
		}
	}
}

// state that the lists show; -1: never listed.
func (s *storm) state(id string) (int32, time.Time) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if known := s.seen[id]; known != nil {
		return known.rank, known.first
	}
	return -1, time.Time{}
}

func (s *storm) saw(id string, rank int32, what string) {
	s.mutex.Lock()
	known := s.seen[id]
	if known == nil {
		known = &sighting{rank: -1}
		s.seen[id] = known
	}
	before := known.rank
	if rank != before {
		known.rank, known.first = rank, time.Now()
	}
	s.mutex.Unlock()
	if rank < before {
		s.wrong("%s %.12s is in state %d after it was in state %d", what, id, rank, before)
	}
}

// listed returns the id of a sandbox that kubelet would find, and take for the pod's, in whatever state.
func (s *storm) listed(name string, attempt uint32) string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.names[fmt.Sprintf("%s %d", name, attempt)]
}

// keepListing plays kubelet's PLEG and its housekeeping until the returned function is called.
func (s *storm) keepListing() func() {
	ctx, stop := context.WithCancel(context.Background())
	var loops sync.WaitGroup
	loop := func(every time.Duration, step func(context.Context)) {
		loops.Go(func() {
			ticker := time.NewTicker(every)
			defer ticker.Stop()
			for ctx.Err() == nil {
				limited, done := context.WithTimeout(ctx, 20*time.Second)
				step(limited)
				done()
				select {
				case <-ticker.C:
				case <-ctx.Done():
				}
			}
		})
	}
	loop(500*time.Millisecond, s.list)
	loop(2*time.Second, s.endAbandoned)
	return func() { stop(); loops.Wait() }
}

func (s *storm) list(ctx context.Context) {
	asked := time.Now()
	sandboxes, err := s.clients.Runtime.ListPodSandbox(ctx, &runtime.ListPodSandboxRequest{})
	if err != nil {
		return // the node is dead, or has not met its site: kubelet keeps what it knew
	}
	containers, err := s.clients.Runtime.ListContainers(ctx, &runtime.ListContainersRequest{})
	if err != nil {
		return
	}
	listed := map[string]bool{}
	names := map[string]string{}
	for _, item := range sandboxes.Items {
		listed[item.Id] = true
		names[fmt.Sprintf("%s %d", item.Metadata.Name, item.Metadata.Attempt)] = item.Id
		s.saw(item.Id, int32(item.State), "sandbox")
	}
	for _, item := range containers.Containers {
		listed[item.Id] = true
		s.saw(item.Id, int32(item.State), "container")
	}
	s.mutex.Lock()
	s.names = names
	var absent []string
	for id, known := range s.seen {
		if !known.expects.IsZero() && known.expects.Before(asked) && !listed[id] {
			known.expects = time.Time{}
			absent = append(absent, id)
		}
	}
	s.mutex.Unlock()
	for _, id := range absent {
		s.wrong("%.12s is listed no more, and nobody has removed it", id)
	}
}
