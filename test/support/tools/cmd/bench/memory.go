package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"example.invalid/interlink-test-tools/internal/cri"
)

// running are the processes of this lab whose program is named so and whose command line ends so: pids.
func running(program, end string) []int {
	var pids []int
	entries := must(filepath.Glob("/proc/[0-9]*/cmdline"))
	for _, entry := range entries {
		text, err := os.ReadFile(entry)
		if err != nil || !strings.Contains(string(text), *folder+"/") {
			continue
		}
		words := strings.TrimSuffix(string(text), "\x00")
		name := filepath.Base(strings.SplitN(words, "\x00", 2)[0])
		if strings.HasPrefix(name, program) && strings.HasSuffix(words, end) {
			pids = append(pids, must(strconv.Atoi(strings.Split(entry, "/")[2])))
		}
	}
	return pids
}

func (s *side) memory() {
	fmt.Printf("%-18s | %9s | %9s | %9s | %16s | %12s", "KiB (PSS)", "pods", "node", "site", "shim (private)", "shims")
	if *jobs {
		fmt.Printf(" | %12s | %9s", "agent", "agents")
	}
	fmt.Println()
	var pods []pod
	for _, target := range []int{0, 1, 10, 100} {
		if target > *count {
			break
		}
		for len(pods) < target {
			pods = append(pods, s.start(fmt.Sprintf("memory-%d", len(pods)), sleeper...))
		}
		private, found := 0, running("interlink-shim", "")
		for _, pid := range found {
			private += cri.ProcessFigure(pid, "smaps_rollup", "Private_Dirty") + cri.ProcessFigure(pid, "smaps_rollup", "Private_Clean")
		}
		fmt.Printf("%-18s | %9d | %9d | %9d | %16d | %12d", "memory", target, cri.ProcessFigure(*nodePid, "smaps_rollup", "Pss"),
			cri.ProcessFigure(*sitePid, "smaps_rollup", "Pss"), private/max(1, len(found)), len(found))
		if *jobs {
			all, agents := 0, running("interlink-agent", "--supervised")
			for _, pid := range agents {
				all += cri.ProcessFigure(pid, "smaps_rollup", "Pss")
			}
			fmt.Printf(" | %12d | %9d", all/max(1, len(agents)), len(agents))
		}
		fmt.Println()
	}
	for _, p := range pods {
		s.end(p)
	}
}
