package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"example.invalid/interlink-test-tools/internal/cri"
)

const (
	ends    = iota // by itself
	stopped        // at TERM, with 143
	deaf           // by KILL
)

type container struct {
	name   string // to the witness
	kind   int
	code   int
	lasts  time.Duration
	rest   time.Duration // from its start to its stop
	ids    []string      // one for each attempt
	status *runtime.ContainerStatus
	told   time.Time // the lists show its end since
	log    string
}

// How a pod is treated.
const (
	usual     = iota
	hasty     // deleted as soon as it is there
	abandoned // deleted while it is being created
)

type pod struct {
	name       string
	treatment  int
	patience   time.Duration // until it is abandoned
	abandoned  atomic.Bool
	containers []*container

	sandbox string
	attempt uint32
	begun   time.Time // its first RunPodSandbox of this attempt
	ready   time.Time
	gone    time.Time
	trouble string // why it did not get to its end
}

func newPod(number int, random *rand.Rand) *pod {
	p := &pod{name: fmt.Sprintf("storm-%d", number), patience: time.Duration(random.IntN(1500)) * time.Millisecond}
	switch random.IntN(25) {
	case 0, 1:
		p.treatment = hasty
		return p
	case 2:
		p.treatment = abandoned
		return p
	}
	for i := range 1 + random.IntN(4)/3 {
		c := &container{name: fmt.Sprintf("%s/c%d", p.name, i)}
		c.lasts = time.Duration(random.IntN(8000)) * time.Millisecond
		c.rest = time.Duration(random.IntN(4000)) * time.Millisecond
		if random.IntN(5) > 1 {
			c.code = 1 + random.IntN(120)
		}
		switch random.IntN(10) {
		case 0, 1:
			c.kind, c.code, c.lasts = stopped, 143, time.Hour
		case 2:
			c.kind, c.code, c.lasts = deaf, 137, time.Hour
		}
		p.containers = append(p.containers, c)
	}
	return p
}

// command: what it does is told before it ends; what it tells is in its log too.
func (c *container) command(port int) []string {
	ignored := "trap '' TERM; "
	if c.kind != deaf {
		ignored = "trap 'leave 143' TERM; "
	}
	return []string{"sh", "-c", fmt.Sprintf(`run=$(cat /proc/sys/kernel/random/uuid)
tell() { echo "$*"; until [ "$(echo "$*" | nc 127.0.0.1 %d)" = ok ]; do sleep 0.1; done; }
leave() { trap '' TERM; tell end %s $run $1; exit $1; }
%stell start %s $run
sleep %.3f & wait $!
leave %d`, port, c.name, ignored, c.name, c.lasts.Seconds(), c.code)}
}

func (p *pod) config() *runtime.PodSandboxConfig {
	config := cri.Pod(p.name, *logs, nil)
	config.Hostname = p.name
	config.Metadata.Attempt = p.attempt
	config.Linux.SecurityContext = &runtime.LinuxSandboxSecurityContext{NamespaceOptions: jobNamespaces()}
	return config
}

// A job has the machine's network; each container has its own processes.
func jobNamespaces() *runtime.NamespaceOption {
	return &runtime.NamespaceOption{Network: runtime.NamespaceMode_NODE, Pid: runtime.NamespaceMode_CONTAINER}
}

// waits has since when each pod waits for the end of a step: *pod to time.Time.
var waits sync.Map

// longestWait of all that go on.
func longestWait() time.Duration {
	longest := time.Duration(0)
	waits.Range(func(_, since any) bool {
		longest = max(longest, time.Since(since.(time.Time)))
		return true
	})
	return longest
}

// again repeats a step until it answers true; an error is the last thing it said.
func (p *pod) again(what string, step func(ctx context.Context) (bool, error)) bool {
	began := time.Now()
	waits.Store(p, began)
	defer waits.Delete(p)
	var last error
	for time.Since(began) < *limit {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		done, err := step(ctx)
		cancel()
		if done {
			return true
		}
		if err != nil {
			if *verbose && (last == nil || last.Error() != err.Error()) {
				say("%s: %s: %v", p.name, what, err)
			}
			last = err
		}
		pause(time.Duration(500+rand.IntN(700)) * time.Millisecond)
	}
	p.trouble = fmt.Sprintf("%s did not come to an end within %s: %v", what, *limit, last)
	return false
}

func (p *pod) live(s *storm) {
	if p.treatment == abandoned {
		ctx, cancel := context.WithTimeout(context.Background(), p.patience)
		defer cancel()
		// What came of it is ended with all others' remains: see endAbandoned.
		_, _ = s.clients.Runtime.RunPodSandbox(ctx, &runtime.RunPodSandboxRequest{Config: p.config(), RuntimeHandler: *handler})
		p.abandoned.Store(true)
		return
	}
	if !p.start(s) {
		s.wrong("%s (%s): %s", p.name, p.sandbox, p.trouble)
		return
	}
	for _, c := range p.containers {
		if len(c.ids) == 0 || p.end(s, c) {
			continue
		}
		s.wrong("%s (%s of %s): %s", c.name, strings.Join(c.ids, " "), p.sandbox, p.trouble)
	}
	if !p.remove(s) {
		s.wrong("%s (%s): %s", p.name, p.sandbox, p.trouble)
	}
}

// start brings the sandbox up and its containers to run. A sandbox that ended before it had a container gets a next attempt.
func (p *pod) start(s *storm) bool {
	for {
		p.begun = time.Now()
		if !p.again("RunPodSandbox", func(ctx context.Context) (bool, error) {
			answer, err := s.clients.Runtime.RunPodSandbox(ctx, &runtime.RunPodSandboxRequest{Config: p.config(), RuntimeHandler: *handler})
			id := answer.GetPodSandboxId()
			if err != nil {
				id = s.listed(p.name, p.attempt)
			}
			if id != "" {
				p.sandbox, p.ready = id, time.Now()
			}
			return id != "", err
		}) {
			return false
		}
		s.expect(p.sandbox)
		for _, c := range p.containers {
			p.startContainer(s, c)
		}
		if p.trouble != "" {
			return false
		}
		created := 0
		for _, c := range p.containers {
			created += len(c.ids)
		}
		if created > 0 || p.treatment == hasty {
			return true
		}
		if !p.remove(s) { // kubelet's garbage collection
			return false
		}
		p.attempt++
		say("%s has ended before it had a container: attempt %d", p.name, p.attempt)
	}
}

func (p *pod) isDown(s *storm) bool {
	state, _ := s.state(p.sandbox)
	return state == int32(runtime.PodSandboxState_SANDBOX_NOTREADY)
}

// startContainer gives up when its sandbox has ended. A container that was not started gets a next attempt: kubelet does not
// start one that it sees CREATED after a failed start.
func (p *pod) startContainer(s *storm, c *container) {
	next := true
	p.again("start of "+c.name, func(ctx context.Context) (bool, error) {
		if p.isDown(s) {
			return true, nil
		}
		if next {
			s.expectNothing(c.ids...) // never started: the next attempt takes their place
			answer, err := s.clients.Runtime.CreateContainer(ctx, &runtime.CreateContainerRequest{
				PodSandboxId: p.sandbox, Config: p.containerConfig(s, c), SandboxConfig: p.config()})
			if status.Code(err) == codes.AlreadyExists {
				// The answer to an earlier call was lost, and it has ended since: kubelet finds it in its list.
				return p.adopt(ctx, s, c)
			}
			if err != nil {
				return false, err
			}
			c.ids = append(c.ids, answer.ContainerId)
			s.expect(answer.ContainerId)
			next = false
			if _, err = s.clients.Runtime.StartContainer(ctx, &runtime.StartContainerRequest{ContainerId: answer.ContainerId}); err == nil {
				return true, nil
			}
		}
		answer, err := s.clients.Runtime.ContainerStatus(ctx, &runtime.ContainerStatusRequest{ContainerId: c.ids[len(c.ids)-1]})
		if err != nil {
			return false, err
		}
		next = answer.Status.State == runtime.ContainerState_CONTAINER_CREATED
		return !next, nil
	})
}

// adopt takes the container that has this name and attempt; what it is may be looked at afterwards.
func (p *pod) adopt(ctx context.Context, s *storm, c *container) (bool, error) {
	answer, err := s.clients.Runtime.ListContainers(ctx, &runtime.ListContainersRequest{
		Filter: &runtime.ContainerFilter{PodSandboxId: p.sandbox}})
	if err != nil {
		return false, err
	}
	wanted := p.containerConfig(s, c).Metadata
	for _, item := range answer.Containers {
		if item.Metadata.Name == wanted.Name && item.Metadata.Attempt == wanted.Attempt {
			c.ids = append(c.ids, item.Id)
			s.expect(item.Id)
			return true, nil
		}
	}
	return false, fmt.Errorf("%s %d is there already, and in no list", wanted.Name, wanted.Attempt)
}

func (p *pod) containerConfig(s *storm, c *container) *runtime.ContainerConfig {
	config := cri.Container(filepath.Base(c.name), *image, c.command(s.witness.port)...)
	config.Metadata.Attempt = uint32(len(c.ids))
	config.LogPath = fmt.Sprintf("%s-%d.log", filepath.Base(c.name), len(c.ids))
	c.log = filepath.Join(*logs, p.name, config.LogPath)
	config.Linux.SecurityContext = &runtime.LinuxContainerSecurityContext{NamespaceOptions: jobNamespaces()}
	return config
}

// end waits for the container's, or makes it, and keeps what is said of it.
func (p *pod) end(s *storm, c *container) bool {
	id := c.ids[len(c.ids)-1]
	if c.kind != ends {
		p.again("begin of "+c.name, func(context.Context) (bool, error) { return len(s.witness.of(c.name)) > 0 || isExited(s, id), nil })
		pause(c.rest)
		grace := int64(30)
		if c.kind == deaf {
			grace = 1
		}
		if !p.again("StopContainer", func(ctx context.Context) (bool, error) {
			_, err := s.clients.Runtime.StopContainer(ctx, &runtime.StopContainerRequest{ContainerId: id, Timeout: grace})
			return err == nil, err
		}) {
			return false
		}
	}
	if !p.again("the end of "+c.name, func(context.Context) (bool, error) { return isExited(s, id), nil }) {
		return false
	}
	_, c.told = s.state(id)
	ask := func(ctx context.Context) (bool, error) {
		answer, err := s.clients.Runtime.ContainerStatus(ctx, &runtime.ContainerStatusRequest{ContainerId: id})
		if err != nil {
			return false, err
		}
		if c.status != nil && c.status.ExitCode != answer.Status.ExitCode {
			s.wrong("%s has exit code %d, and %d later", c.name, c.status.ExitCode, answer.Status.ExitCode)
		}
		c.status = answer.Status
		return true, nil
	}
	if !p.again("ContainerStatus", ask) {
		return false
	}
	pause(c.rest) // its answer must stay
	return p.again("ContainerStatus", ask)
}

func isExited(s *storm, id string) bool {
	state, _ := s.state(id)
	return state == int32(runtime.ContainerState_CONTAINER_EXITED)
}

var logLine = regexp.MustCompile(`^\S+ std(?:out|err) ([FP]) (.*)$`)

// inLog returns the lines of the container's file on the node.
func (c *container) inLog() string {
	text, err := os.ReadFile(c.log)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if match := logLine.FindStringSubmatch(strings.TrimSpace(line)); match != nil {
			if match[2] == "Terminated" {
				continue // its shell says so when a whole job is told
			}
			lines = append(lines, match[2])
		} else {
			lines = append(lines, "garbled: "+line)
		}
	}
	return strings.Join(lines, "\n")
}

// wantedLog is what the witness heard of it, as it stands in the log.
func (c *container) wantedLog(s *storm) string {
	s.witness.mutex.Lock()
	defer s.witness.mutex.Unlock()
	var lines []string
	for id, r := range s.witness.runs[c.name] {
		lines = append(lines, fmt.Sprintf("start %s %s", c.name, id))
		if !r.ended.IsZero() {
			lines = append(lines, fmt.Sprintf("end %s %s %d", c.name, id, r.code))
		}
	}
	return strings.Join(lines, "\n")
}

// awaitLogs: what was not read while a container ran is the site's until the pod is removed.
func (p *pod) awaitLogs(s *storm) {
	for _, c := range p.containers {
		if c.status == nil || s.faults.struck(c.ids...) || s.faults.excuse(p) != "" {
			continue
		}
		if !cri.Eventually(context.Background(), 90*time.Second, func() bool { return c.inLog() == c.wantedLog(s) }) {
			say("%s %v: 90 s after its pod's end its log says %q", c.name, c.ids, c.inLog())
		}
	}
}

// endAbandoned is kubelet's housekeeping: what is listed of a pod that was deleted is stopped and removed.
func (s *storm) endAbandoned(ctx context.Context) {
	answer, err := s.clients.Runtime.ListPodSandbox(ctx, &runtime.ListPodSandboxRequest{})
	if err != nil {
		return
	}
	s.mutex.Lock()
	pods := s.pods
	s.mutex.Unlock()
	for _, item := range answer.Items {
		for _, p := range pods {
			if p.name == item.Metadata.Name && p.abandoned.Load() {
				// Repeated until it is gone.
				_, _ = s.clients.Runtime.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: item.Id})
				_, _ = s.clients.Runtime.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: item.Id})
			}
		}
	}
}

func (p *pod) remove(s *storm) bool {
	ids := []string{p.sandbox}
	for _, c := range p.containers {
		ids = append(ids, c.ids...)
	}
	if !p.again("StopPodSandbox", func(ctx context.Context) (bool, error) {
		_, err := s.clients.Runtime.StopPodSandbox(ctx, &runtime.StopPodSandboxRequest{PodSandboxId: p.sandbox})
		return err == nil, err
	}) {
		return false
	}
	p.awaitLogs(s)
	s.expectNothing(ids...)
	removed := p.again("RemovePodSandbox", func(ctx context.Context) (bool, error) {
		_, err := s.clients.Runtime.RemovePodSandbox(ctx, &runtime.RemovePodSandboxRequest{PodSandboxId: p.sandbox})
		if status.Code(err) == codes.NotFound {
			s.wrong("%s: RemovePodSandbox answers %v", p.name, err)
		}
		return err == nil, err
	})
	p.gone = time.Now()
	return removed
}
