// bench: how long the calls of a pod's life take through the whole path, what lists cost, how fast logs and the output of
// commands arrive, and how much memory it takes; beside a peer where one is named. It prints figures, no verdict.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"

	"example.invalid/interlink-test-tools/internal/cri"
)

var (
	socket   = flag.String("socket", "", "CRI socket of the node")
	logs     = flag.String("logs", "", "folder for log directories")
	peer     = flag.String("peer", "", "CRI socket of another runtime: life, log and exec are measured there too, in turn")
	peerName = flag.String("peer-name", "peer", "its name in the tables")
	image    = flag.String("image", "docker.io/library/busybox:latest", "image of the containers")
	what     = flag.String("what", "life", "life, memory, log, exec, exits, queue or list")
	count    = flag.Int("count", 60, "life, queue: pods; memory: pods at the end; log, exec: MiB; exits, list: containers")
	nodePid  = flag.Int("node-pid", 0, "pid of interlink-cri")
	sitePid  = flag.Int("site-pid", 0, "pid of interlink-api")
	jobs     = flag.Bool("jobs", false, "pods are jobs: they get namespaces as these have them")
	siteURL  = flag.String("site", "", "queue: https://HOST:PORT of the site")
	pki      = flag.String("pki", "", "queue: folder with ca.crt, node-1.crt, node-1.key")
	notes    = flag.String("notes", "", "queue: file with a line for each squeue of the site")
	folder   = flag.String("lab", "", "folder of the lab: its shims have it in their command line")
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
	return value
}

// side is a runtime that is measured.
type side struct {
	*cri.Clients
	name, logs string
	ctx        context.Context
	times      map[string]*cri.Durations
}

func connect(name, socket, logs string) *side {
	s := &side{must(cri.Connect(socket)), name, logs, context.Background(), map[string]*cri.Durations{}}
	must(s.Image.PullImage(s.ctx, &runtime.PullImageRequest{Image: &runtime.ImageSpec{Image: *image}}))
	return s
}

func main() {
	flag.Parse()
	ours := connect("interlink", *socket, *logs)
	sides := []*side{ours}
	if *peer != "" {
		sides = append(sides, connect(*peerName, *peer, *logs+"/"+*peerName))
	}
	switch *what {
	case "life":
		lives(sides)
	case "memory":
		ours.memory()
	case "log":
		for _, s := range sides {
			s.logThroughput()
		}
	case "exec":
		for _, s := range sides {
			s.execThroughput()
		}
	case "exits":
		ours.exits()
	case "queue":
		ours.queue()
	case "list":
		ours.list()
	default:
		fmt.Fprintf(os.Stderr, "bench: -what %s: life, memory, log, exec, exits, queue or list\n", *what)
		os.Exit(2)
	}
}
