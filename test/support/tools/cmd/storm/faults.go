package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// fault is one that was made.
type fault struct {
	kind  string
	of    string // sandbox or container, of what is in a job
	from  time.Time
	until time.Time // of daemons: they were away meanwhile
}

type weighted struct {
	kind   string
	weight int
}

type faults struct {
	daemons, inJobs []weighted

	mutex sync.Mutex
	made  []*fault
}

func newFaults(text string) *faults {
	f := &faults{}
	for i, list := range strings.SplitN(text, ";", 2) {
		for _, item := range strings.Split(list, ",") {
			kind, number, found := strings.Cut(item, "=")
			weight, err := strconv.Atoi(number)
			if item == "" {
				continue
			}
			if !found || err != nil {
				fail("-faults: %q is not KIND=WEIGHT", item)
			}
			if i == 0 {
				f.daemons = append(f.daemons, weighted{kind, weight})
			} else {
				f.inJobs = append(f.inJobs, weighted{kind, weight})
			}
		}
	}
	return f
}

func choose(random *rand.Rand, from []weighted) string {
	sum := 0
	for _, item := range from {
		sum += item.weight
	}
	number := random.IntN(sum)
	for _, item := range from {
		if number -= item.weight; number < 0 {
			return item.kind
		}
	}
	panic("unreachable")
}

// begin makes faults until the returned function is called, which brings everything back.
func (f *faults) begin(seed uint64) func() {
	ctx, stop := context.WithCancel(context.Background())
	var loops sync.WaitGroup
	loop := func(number uint64, kinds []weighted, shortest, longest time.Duration, strike func(*rand.Rand, string)) {
		if len(kinds) == 0 {
			return
		}
		loops.Go(func() {
			random := rand.New(rand.NewPCG(seed, number))
			for {
				rest := shortest + time.Duration(random.Int64N(int64(longest-shortest)))
				select {
				case <-time.After(rest):
				case <-ctx.Done():
					return
				}
				strike(random, choose(random, kinds))
			}
		})
	}
	loop(1<<32, f.daemons, time.Second, 5*time.Second, f.strikeDaemon)
	loop(2<<32, f.inJobs, 200*time.Millisecond, 1400*time.Millisecond, f.strikeInJob)
	loop(3<<32, []weighted{{"mend", 1}}, 3*time.Second, 4*time.Second, func(*rand.Rand, string) { mendMachines() })
	return func() { stop(); loops.Wait(); mendMachines() }
}

// pause until a moment that says nothing of what happens at it: what a storm is made of.
func pause(duration time.Duration) { <-time.After(duration) }

func (f *faults) note(kind, of string) *fault {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	made := &fault{kind: kind, of: of, from: time.Now()}
	f.made = append(f.made, made)
	return made
}

func (f *faults) over(made *fault) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	made.until = time.Now()
}

// labCommand must succeed: nothing was asked of the lab that it cannot do.
func labCommand(words ...string) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, *lab, append([]string{words[0], *dir}, words[1:]...)...)
	// A start with a dead site would wait for it, and a dead node's restart too.
	command.Env = append(os.Environ(), "LAB_NO_READY=1")
	if out, err := command.CombinedOutput(); err != nil {
		fail("test/lab %s: %v\n%s", strings.Join(words, " "), err, out)
	}
}

func (f *faults) strikeDaemon(random *rand.Rand, kind string) {
	away := time.Duration(random.Int64N(int64(3 * time.Second)))
	machine := strconv.Itoa(1 + random.IntN(3))
	targets := map[string][][]string{"site": {{"site"}}, "node": {{"node"}}, "both": {{"site"}, {"node"}},
		"slurmctld": {{"slurmctld"}}, "slurmd": {{"slurmd", machine}}, "freeze": nil}
	parts, known := targets[kind]
	if !known {
		fail("-faults: there is no daemon %q", kind)
	}
	// A pod whose agent died together with its parent is over when a site has lived for its lease and 90 s: never, if each
	// lives for 20. A long storm would come to a stand, with such a pod in each place.
	if (kind == "site" || kind == "both") && longestWait() > *patient {
		say("the site is let alone: a pod has waited for %s", *patient)
		return
	}
	if kind == "freeze" {
		f.freeze(6*time.Second + 2*away)
		return
	}
	say("kill -9 %s %s, away for %s", kind, map[bool]string{true: machine}[kind == "slurmd"], away.Round(time.Millisecond))
	made := f.note(kind, map[bool]string{true: machine}[kind == "slurmd"])
	for _, words := range parts {
		labCommand(append([]string{"kill-" + words[0]}, words[1:]...)...)
	}
	pause(away)
	for _, words := range parts {
		labCommand(append([]string{"start-" + words[0]}, words[1:]...)...)
	}
	f.over(made)
}

// freeze stops the controller in the middle of whatever it does: who waits for its answer gives up.
func (f *faults) freeze(duration time.Duration) {
	text, err := os.ReadFile(*dir + "/run/slurmctld.json")
	if err != nil {
		fail("%v", err)
	}
	var pid int
	if _, err := fmt.Sscanf(string(text), `{"pid": %d`, &pid); err != nil {
		fail("slurmctld's file: %v", err)
	}
	say("SIGSTOP slurmctld for %s", duration.Round(time.Millisecond))
	made := f.note("freeze", "")
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		fail("SIGSTOP slurmctld: %v", err)
	}
	pause(duration)
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		fail("SIGCONT slurmctld: %v", err)
	}
	f.over(made)
}

// mendMachines: a controller that was killed drains a machine on which it finds a job that it did not start.
func mendMachines() {
	if !inJobs() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "sinfo", "-h", "-N", "-o", "%N %T").Output()
	if err != nil {
		return // it is dead, or frozen
	}
	for line := range strings.Lines(string(out)) {
		name, state, _ := strings.Cut(strings.TrimSpace(line), " ")
		if strings.HasPrefix(state, "drain") || strings.HasPrefix(state, "down") {
			say("%s is %s: mended", name, state)
			_ = exec.CommandContext(ctx, "scontrol", "update", "NodeName="+name, "State=RESUME").Run()
		}
	}
}

// inJob is a process of ours in a job.
type inJob struct {
	pid  int
	kind string // agent, parent, shim
	of   string
}

func wordAfter(words []string, option string) string {
	for i := range len(words) - 1 {
		if words[i] == option {
			return words[i+1]
		}
	}
	return ""
}

// lookAt answers what a process is; false: nothing of this lab's pods.
func lookAt(pid int) (inJob, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(text), *dir+"/") {
		return inJob{}, false
	}
	words := strings.Split(strings.TrimSuffix(string(text), "\x00"), "\x00")
	program := filepath.Base(words[0])
	switch {
	case program == "interlink-shim" && len(words) > 1 && words[1] == "supervise":
		return inJob{pid, "parent", wordAfter(words, "--sandbox")}, true
	case program == "interlink-shim" && len(words) > 1 && words[1] == "run":
		return inJob{pid, "shim", wordAfter(words, "--id")}, true
	case strings.HasPrefix(program, "interlink-agent") && words[len(words)-1] == "--supervised":
		return inJob{pid, "agent", wordAfter(words, "--sandbox")}, true
	}
	return inJob{}, false
}

func living() []inJob {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		fail("%v", err)
	}
	var all []inJob
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			if found, ours := lookAt(pid); ours {
				all = append(all, found)
			}
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].of < all[j].of })
	return all
}

func (f *faults) strikeInJob(random *rand.Rand, kind string) {
	var candidates []inJob
	for _, found := range living() {
		if found.kind == kind {
			candidates = append(candidates, found)
		}
	}
	number := random.Uint64()
	if len(candidates) == 0 {
		return
	}
	victim := candidates[number%uint64(len(candidates))]
	process, err := os.FindProcess(victim.pid) // a descriptor: no other process gets the signal
	if err != nil {
		return
	}
	defer process.Release()
	if now, ours := lookAt(victim.pid); !ours || now != victim {
		return
	}
	made := f.note(kind, victim.of)
	if process.Kill() != nil {
		made.kind = "missed" // it has ended by itself
		return
	}
	say("kill -9 %s of %.12s", kind, victim.of)
}

// struck: a shim of one of these containers was killed.
func (f *faults) struck(ids ...string) bool { return f.find("shim", ids...) }

func (f *faults) find(kind string, ids ...string) bool {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, made := range f.made {
		for _, id := range ids {
			if made.kind == kind && made.of == id {
				return true
			}
		}
	}
	return false
}

// excuse says by what this pod may have lost its job; empty: by nothing. Agents, the site and the node are no excuse.
func (f *faults) excuse(p *pod) string {
	const (
		unsaved  = 8 * time.Second  // what a killed controller may have forgotten
		starting = 3 * time.Second  // of a job: until its machine has it
		settling = 20 * time.Second // a controller that starts again meets its machines
	)
	f.mutex.Lock()
	defer f.mutex.Unlock()
	for _, made := range f.made {
		if p.gone.Before(made.from) && !p.gone.IsZero() {
			continue
		}
		switch made.kind {
		case "parent":
			if made.of == p.sandbox {
				return "its parent process was killed"
			}
		case "slurmctld":
			if made.from.Before(p.ready.Add(unsaved)) && p.begun.Before(made.until.Add(settling)) {
				return "slurmctld was killed when its job was young"
			}
		case "slurmd":
			if made.from.Before(p.ready.Add(starting)) && p.begun.Before(made.until.Add(starting)) {
				return "slurmd was killed when its job began"
			}
		}
	}
	return ""
}
