package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"example.invalid/interlink-test-tools/internal/cri"
)

// Kept connections between the daemons, and the threads of gRPC's pool, come and go: up to these numbers they are the same.
const (
	keptConnections = 24
	poolThreads     = 80
)

// left tells of both daemons and all shims of the lab: descriptors by kind, threads, children, sessions. Each session would
// be seen several times: its client's connection, the site's count of it, the shim's connection and its command.
func left(context.Context) {
	// What is counted first is not what the questions below open.
	lines := append(daemon("interlink-cri", *nodePid), daemon("interlink-api", *sitePid)...)
	lines = append(lines, shims()...)
	node := must(cri.NodeMetrics(*socket))
	lines = append(lines, fmt.Sprintf("interlink-cri: %.0f clients", node.Sum("interlink_stream_sessions_open")))
	told := must(cri.NewSite(*site, *pki))
	lines = append(lines, fmt.Sprintf("interlink-api: %.0f sessions", must(told.Metrics()).Sum("interlink_rest_sessions_open")))
	fmt.Println(strings.Join(lines, "\n"))
}

func atMost(count, maximum int) string {
	if count <= maximum {
		return "at most " + strconv.Itoa(maximum)
	}
	return strconv.Itoa(count)
}

func daemon(name string, pid int) []string {
	threads := cri.ProcessFigure(pid, "status", "Threads")
	if threads < 0 {
		fail("%s (process %d) is not there", name, pid)
	}
	lines := []string{fmt.Sprintf("%s: %s threads", name, atMost(threads, poolThreads))}
	kinds := descriptors(pid)
	for kind, count := range kinds {
		number := strconv.Itoa(count)
		if kind == keptKind {
			continue
		}
		lines = append(lines, fmt.Sprintf("%s: %s of %s", name, number, kind))
	}
	lines = append(lines, fmt.Sprintf("%s: %s of %s", name, atMost(kinds[keptKind], keptConnections), keptKind))
	sort.Strings(lines)
	return lines
}

const keptKind = "tcp between the daemons"

var numbersIn = regexp.MustCompile(`\[[0-9]+\]|[0-9a-f]{64}`)

// descriptors of a process by kind.
func descriptors(pid int) map[string]int {
	sockets := socketsOf(pid)
	kinds := map[string]int{}
	folder := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, err := os.ReadDir(folder)
	check(err, "descriptors")
	for _, entry := range entries {
		target, err := os.Readlink(folder + entry.Name())
		if err != nil {
			continue // closed meanwhile
		}
		if inode, found := strings.CutPrefix(target, "socket:["); found {
			kind, known := sockets[strings.TrimSuffix(inode, "]")]
			if !known {
				kind = "sockets of a pod" // another network namespace's, or not connected
			}
			target = kind
		}
		kinds[numbersIn.ReplaceAllString(target, "")]++
	}
	return kinds
}

// socketsOf the process's network namespace: inode -> kind.
func socketsOf(pid int) map[string]string {
	kinds := map[string]string{}
	for _, row := range rows(fmt.Sprintf("/proc/%d/net/unix", pid)) {
		if len(row) > 6 {
			kinds[row[6]] = "unix"
		}
	}
	const listening = "0A"
	tcp := append(rows(fmt.Sprintf("/proc/%d/net/tcp", pid)), rows(fmt.Sprintf("/proc/%d/net/tcp6", pid))...)
	ports := map[string]bool{}
	own := inodes(pid)
	for _, row := range tcp {
		if len(row) > 9 && row[3] == listening && own[row[9]] {
			ports[portOf(row[1])] = true
			kinds[row[9]] = "tcp that listens"
		}
	}
	for _, row := range tcp {
		if len(row) <= 9 || row[3] == listening {
			continue
		}
		kinds[row[9]] = keptKind
		if ports[portOf(row[1])] && pid == *nodePid {
			kinds[row[9]] = "tcp of clients" // the node listens for these only
		}
	}
	return kinds
}

func portOf(address string) string { return address[strings.LastIndex(address, ":")+1:] }

func inodes(pid int) map[string]bool {
	found := map[string]bool{}
	targets, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, link := range targets {
		if target, err := os.Readlink(link); err == nil {
			found[strings.TrimSuffix(strings.TrimPrefix(target, "socket:["), "]")] = true
		}
	}
	return found
}

func rows(path string) [][]string {
	text, err := os.ReadFile(path)
	check(err, "sockets")
	var found [][]string
	for line := range strings.Lines(string(text)) {
		found = append(found, strings.Fields(line))
	}
	return found
}

// shims of this lab, with how many descriptors each has, and their children by name.
func shims() []string {
	parents := map[int]string{}
	var lines []string
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range processes {
		arguments, err := os.ReadFile(path + "/cmdline")
		words := strings.Split(string(arguments), "\x00")
		if err != nil || filepath.Base(words[0]) != "interlink-shim" || !strings.Contains(string(arguments), *folder+"/") {
			continue
		}
		pid := must(strconv.Atoi(filepath.Base(path)))
		entries, err := os.ReadDir(path + "/fd")
		if err != nil {
			continue // ended meanwhile
		}
		parents[pid] = words[1]
		lines = append(lines, fmt.Sprintf("shim %s: %d descriptors", words[1], len(entries)))
	}
	for _, path := range processes {
		parent := cri.ProcessFigure(must(strconv.Atoi(filepath.Base(path))), "status", "PPid")
		if kind, ours := parents[parent]; ours {
			name, _ := os.ReadFile(path + "/comm")
			lines = append(lines, fmt.Sprintf("child of shim %s: %s", kind, strings.TrimSpace(string(name))))
		}
	}
	sort.Strings(lines)
	return lines
}
