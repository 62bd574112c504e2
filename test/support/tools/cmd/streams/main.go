// streams: what crictl cannot do to exec, attach and port-forward, with the libraries that crictl and kubectl use
// (client-go, and the executors of cri-tools), over both transports. Each -what is one check, or a question:
//
//	echo      -bytes through a command and back, compared by checksum
//	status    a command's last byte and its code, many times
//	terminal  a terminal's sizes, and the end of its input
//	resize    the same of a container that is attached to, and says its size at each signal
//	input     stdin that ends before, beside and after the output
//	forwards  -count forwarded connections at once, -bytes each way on each; then a closed port and one more
//	row       -count commands one after the other
//	crowd     -count commands at once; each is told a word when all run, and answers it
//	stall     readers that stop: nothing grows but the clock; then they read on and nothing is missing. With -pod also of
//	          forwarded connections
//	hold      -count attaches to -container (several, with commas); prints "held N" or the refusal, ends with its stdin
//	leave     connections that are given up at each stage of their beginning
//	serve     inside a pod: echoes on -port, and on the next one sends without end
//	left      prints what a session could leave behind, to be compared
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/klog/v2"

	"example.invalid/interlink-test-tools/internal/cri"
)

var (
	socket    = flag.String("socket", "", "CRI socket of the node")
	site      = flag.String("site", "", "https://HOST:PORT of the site")
	pki       = flag.String("pki", "", "folder with ca.crt, node-1.crt, node-1.key")
	folder    = flag.String("lab", "", "folder of the lab: its shims have it in their command line")
	nodePid   = flag.Int("node-pid", 0, "pid of interlink-cri")
	sitePid   = flag.Int("site-pid", 0, "pid of interlink-api")
	what      = flag.String("what", "", "see above")
	transport = flag.String("transport", "spdy", "spdy or websocket")
	container = flag.String("container", "", "id of a container")
	pod       = flag.String("pod", "", "id of a sandbox")
	port      = flag.Int("port", 0, "forwards: a port of the pod that echoes")
	size      = flag.Int64("bytes", 100<<20, "echo: in all; forwards: of each connection")
	count     = flag.Int("count", 50, "of what there are many")
	memory    = flag.Int("memory", 32<<10, "stall: KiB by which a daemon may grow")
	limit     = flag.Duration("limit", 2*time.Minute, "everything must be over by then")
)

// notes are what client-go tells nobody but its log.
var notes = &buffer{}

func fail(format string, arguments ...any) {
	fmt.Fprint(os.Stderr, notes)
	fmt.Fprintf(os.Stderr, "streams: "+format+"\n", arguments...)
	os.Exit(1)
}

func check(err error, what string) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func must[T any](value T, err error) T {
	check(err, *what)
	return value
}

var checks = map[string]func(context.Context){
	"echo": echo, "status": status, "terminal": terminal, "resize": resize, "input": input, "forwards": forwards, "row": row,
	"crowd": crowd, "stall": stall, "hold": hold, "leave": leave, "serve": serve, "left": left,
}

// clients of the node's CRI socket.
func clients() *cri.Clients { return must(cri.Connect(*socket)) }

func containers() []string { return strings.Split(*container, ",") }

func main() {
	flag.Parse()
	quiet := flag.NewFlagSet("klog", flag.ExitOnError)
	klog.InitFlags(quiet)
	check(quiet.Parse([]string{"-logtostderr=false", "-stderrthreshold=FATAL"}), "klog")
	klog.SetOutput(notes)
	run, known := checks[*what]
	if !known {
		fail("there is no -what %q", *what)
	}
	if *what == "serve" {
		run(context.Background())
	}
	time.AfterFunc(*limit, func() { fail("%s over %s is not over after %v", *what, *transport, *limit) })
	run(context.Background())
}
