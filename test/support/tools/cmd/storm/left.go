package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.invalid/interlink-test-tools/internal/cri"
)

// awaitNothingLeft returns what is still there after that time.
func awaitNothingLeft(told *cri.Site, limit time.Duration) []string {
	var left []string
	before := -1
	cri.Eventually(context.Background(), limit, func() bool {
		left = nowLeft(told)
		if len(left) > 0 && len(left) != before {
			say("%d things are left, one is %s", len(left), left[0])
			before = len(left)
		}
		return len(left) == 0
	})
	return left
}

// Folders in which each pod or container has something of its own; those that stay are folders of this list themselves.
var (
	perPodOfJobs = []string{"slurm/jobs/pods", "site/plugins/slurm/agent-pods", "site/plugins/slurm/agent-pods/contents",
		"site/plugins/slurm/jobs", "site/agents/bound", "site/images/holds"}
	perPodHere = []string{"site/images/holds"}
)

func inJobs() bool { return *handler == "slurm" }

func nowLeft(told *cri.Site) []string {
	left := sandboxesAtSite(told)
	perPod := perPodHere
	if inJobs() {
		left = append(left, jobs()...)
		perPod = perPodOfJobs
	} else {
		left = append(left, localPods()...)
	}
	for _, folder := range perPod {
		entries, err := os.ReadDir(filepath.Join(*dir, folder))
		// Jobs that share no folder with the site have theirs on their machines: stateFolders.
		if err != nil && !(folder == "slurm/jobs/pods" && errors.Is(err, fs.ErrNotExist)) {
			left = append(left, err.Error())
		}
		for _, entry := range entries {
			stays := entry.Name()[0] == '.' || slices.Contains(perPod, folder+"/"+entry.Name())
			if !stays { // the mark of a file system that is mounted does
				left = append(left, folder+"/"+entry.Name())
			}
		}
	}
	for _, found := range living() {
		left = append(left, fmt.Sprintf("process %d: %s of %s", found.pid, found.kind, found.of))
	}
	return append(left, inContainers()...)
}

func sandboxesAtSite(told *cri.Site) []string {
	answer, err := told.Get("/v1/sandboxes")
	if err != nil {
		return []string{err.Error()}
	}
	var list struct{ Sandboxes []struct{ Id string } }
	if err := json.Unmarshal(answer, &list); err != nil {
		return []string{err.Error()}
	}
	var left []string
	for _, sandbox := range list.Sandboxes {
		left = append(left, "sandbox at the site: "+sandbox.Id)
	}
	return left
}

// jobs that have not ended, of anybody: the cluster is the lab's own.
func jobs() []string {
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "squeue", "-h", "-o", "%A %T %j").Output()
	if err != nil {
		return []string{"squeue: " + err.Error()}
	}
	var left []string
	for line := range strings.Lines(string(out)) {
		left = append(left, "job: "+strings.TrimSpace(line))
	}
	return left
}

// localPods that the plugin has on this machine: a folder for each, in one of the site's, and what the trash there holds.
func localPods() []string {
	var left []string
	for _, pattern := range []string{"site/plugins/local/pods/*/*", "site/plugins/local/pods/*/trash/*"} {
		found, err := filepath.Glob(filepath.Join(*dir, pattern))
		if err != nil {
			return []string{err.Error()}
		}
		for _, path := range found {
			if filepath.Base(path) != "trash" {
				left = append(left, path)
			}
		}
	}
	return left
}

// inContainers finds processes whose root is a layer of a container in the lab.
func inContainers() []string {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		fail("%v", err)
	}
	var left []string
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		text, err := os.ReadFile("/proc/" + entry.Name() + "/mountinfo")
		if err != nil {
			continue // it has ended, or is a zombie
		}
		first, _, _ := strings.Cut(string(text), "\n")
		if strings.Contains(first, "upperdir="+*dir+"/") {
			command, _ := os.ReadFile("/proc/" + entry.Name() + "/cmdline")
			left = append(left, fmt.Sprintf("process %s in a container: %.60q", entry.Name(), command))
		}
	}
	return left
}

// stateFolders that jobs have left on their machines.
func stateFolders() int {
	if !inJobs() {
		return 0
	}
	entries, err := os.ReadDir(filepath.Join(*dir, "slurm/local"))
	if err != nil {
		fail("%v", err)
	}
	return len(entries)
}
