package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// outcome of one container, by what it told the witness and what was said of it.
type outcome struct {
	runs     int
	wrong    string
	excused  string // why it need not have come to its end
	lost     bool   // it did not
	reported int32
}

func (s *storm) judgeContainer(p *pod, c *container) outcome {
	runs := s.witness.of(c.name)
	o := outcome{runs: len(runs), excused: s.faults.excuse(p)}
	if s.faults.struck(c.ids...) {
		o.excused = "its shim was killed"
	}
	if len(runs) > 1 {
		o.wrong = fmt.Sprintf("ran %d times", len(runs))
		return o
	}
	if len(runs) == 0 {
		o.lost = true
		if c.status != nil && c.status.ExitCode == 0 {
			o.wrong = "never ran, and is said to have exit code 0"
		} else if o.excused == "" {
			o.wrong = "never ran"
		}
		return o
	}
	if c.status == nil {
		o.lost, o.wrong = true, "no end of it was told"
		return o
	}
	o.reported = c.status.ExitCode
	r := runs[0]
	if r.last.After(c.told) {
		o.wrong = fmt.Sprintf("went on for %s after its end was told", r.last.Sub(c.told))
		return o
	}
	return c.judgeEnd(r, o)
}

func (c *container) judgeEnd(r run, o outcome) outcome {
	said := fmt.Sprintf("exit code %d (%s: %s)", c.status.ExitCode, c.status.Reason, c.status.Message)
	killed := c.kind == deaf && o.reported == 137
	switch {
	case !r.ended.IsZero() && int(o.reported) == r.code, killed:
	case o.reported == 0:
		o.wrong = fmt.Sprintf("is said to have ended with 0; it said %s", r.word())
	case o.excused != "":
		o.lost = true
	default:
		o.lost, o.wrong = true, fmt.Sprintf("is said to have %s; it said %s", said, r.word())
	}
	return o
}

func (r run) word() string {
	if r.ended.IsZero() {
		return "nothing of an end"
	}
	return fmt.Sprintf("%d", r.code)
}

// judge prints what there was and returns whether all of it may be.
func (s *storm) judge(took time.Duration, left []string) bool {
	containers, ran, duplicates, lost, legitimate := 0, 0, 0, 0, map[string]int{}
	for _, p := range s.pods {
		for _, c := range p.containers {
			containers++
			o := s.judgeContainer(p, c)
			ran += min(o.runs, 1)
			if o.runs > 1 {
				duplicates++
			}
			if o.wrong != "" {
				s.wrong("%s (%s) %s", c.name, strings.Join(c.ids, " "), o.wrong)
			}
			if o.lost && o.wrong == "" {
				legitimate[o.excused]++
			} else if o.lost {
				lost++
			}
			if o.wrong == "" && o.excused == "" && c.inLog() != c.wantedLog(s) {
				s.wrong("the log of %s (%s of %s) says %q, it said %q", c.name, strings.Join(c.ids, " "), p.sandbox, c.inLog(), c.wantedLog(s))
			}
		}
	}
	for _, thing := range left {
		s.wrong("left: %s", thing)
	}
	kills := map[string]int{}
	for _, made := range s.faults.made {
		kills[made.kind]++
	}
	// Of agents that were killed together with their parents, by us or by a SLURM that did not know their young job.
	folders, allowed := stateFolders(), kills["parent"]
	for _, p := range s.pods {
		if s.faults.excuse(p) != "" {
			allowed += 1 + int(p.attempt)
		}
	}
	if folders > allowed {
		s.wrong("%d folders are left on compute nodes, of %d pods that lost their jobs' processes", folders, allowed)
	}
	var struck []string
	for _, kind := range slices.Sorted(maps.Keys(kills)) {
		struck = append(struck, fmt.Sprintf("%s %d", kind, kills[kind]))
	}
	say("seed %d: %d pods with %d containers in %.1f min; killed: %s", *seed, len(s.pods), containers, took.Minutes(), strings.Join(struck, ", "))
	say("%d ran; duplicates %d, lost exits %d, orphans %d; lost with what was killed: %v", ran, duplicates, lost, len(left), legitimate)
	if len(s.wrongs) > 0 {
		say("%d wrongs:\n%s", len(s.wrongs), strings.Join(s.wrongs, "\n"))
	}
	return len(s.wrongs) == 0
}
