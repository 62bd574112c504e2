package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"example.invalid/interlink-test-tools/internal/cri"
)

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

func (s *side) memory() {
	fmt.Printf("%-18s | %9s | %9s | %9s | %16s | %12s\n", "KiB (PSS)", "pods", "node", "site", "shim (private)", "shims")
	var pods []pod
	for _, target := range []int{0, 1, 10, 100} {
		if target > *count {
			break
		}
		for len(pods) < target {
			pods = append(pods, s.start(fmt.Sprintf("memory-%d", len(pods)), sleeper...))
		}
		private, found := 0, shims()
		for _, pid := range found {
			private += cri.ProcessFigure(pid, "smaps_rollup", "Private_Dirty") + cri.ProcessFigure(pid, "smaps_rollup", "Private_Clean")
		}
		fmt.Printf("%-18s | %9d | %9d | %9d | %16d | %12d\n", "memory", target, cri.ProcessFigure(*nodePid, "smaps_rollup", "Pss"),
			cri.ProcessFigure(*sitePid, "smaps_rollup", "Pss"), private/max(1, len(found)), len(found))
	}
	for _, p := range pods {
		s.end(p)
	}
}
