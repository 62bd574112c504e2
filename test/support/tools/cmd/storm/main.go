// storm: many pods through the CRI socket of a lab, as SLURM jobs or local ones, while what carries them is killed. Each pod
// is driven as kubelet drives one with restartPolicy Never: the same metadata again until it is there, lists every second.
// Each container tells a witness, over a connection of its own, when it begins and with which code it is about to end; so
// what is counted is what ran, not what anybody says of it. Afterwards: what ran twice, what was reported otherwise than it
// ended, what is left.
//
// The same -seed gives the same pods and the same order of faults; their moments differ with the machine's speed.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"example.invalid/interlink-test-tools/internal/cri"
)

var (
	dir     = flag.String("dir", "", "folder of the lab (test/lab up DIR; with --plugin slurm for jobs)")
	lab     = flag.String("lab", "", "the command test/lab")
	socket  = flag.String("socket", "", "CRI socket of the node")
	site    = flag.String("site", "", "https://HOST:PORT of the site")
	pki     = flag.String("pki", "", "folder with ca.crt, node-1.crt, node-1.key")
	logs    = flag.String("logs", "", "folder of the pods' logs")
	handler = flag.String("handler", "slurm", "RuntimeHandler of the pods: slurm or local")
	image   = flag.String("image", "", "a busybox")
	pods    = flag.Int("pods", 200, "pods in all")
	width   = flag.Int("width", 24, "pods at once")
	seed    = flag.Uint64("seed", 0, "of pods and faults; 0: by the time")
	kinds   = flag.String("faults", "site=30,node=25,both=10,slurmctld=12,slurmd=12,freeze=6;agent=80,shim=14,parent=6",
		"what is killed, with weights: daemons;what is in jobs. Empty: nothing")
	calm    = flag.Duration("calm", 15*time.Second, "faults go on so long after the last pod was begun")
	patient = flag.Duration("patient", 3*time.Minute, "the site is let alone while a step of a pod has waited for longer")
	verbose = flag.Bool("verbose", false, "tell what is repeated, and why")
	limit   = flag.Duration("limit", 10*time.Minute, "for each step of a pod, and for all to be gone in the end")
)

func fail(format string, arguments ...any) {
	fmt.Fprintf(os.Stderr, "storm: "+format+"\n", arguments...)
	os.Exit(1)
}

var begun = time.Now()

func say(format string, arguments ...any) {
	fmt.Printf("%7.2f "+format+"\n", append([]any{time.Since(begun).Seconds()}, arguments...)...)
}

func main() {
	flag.Parse()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	say("seed %d: %d pods, %d at once", *seed, *pods, *width)
	retry := backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.5, MaxDelay: 500 * time.Millisecond}
	clients, err := cri.Connect(*socket, grpc.WithConnectParams(grpc.ConnectParams{Backoff: retry, MinConnectTimeout: time.Second}))
	if err != nil {
		fail("%v", err)
	}
	told, err := cri.NewSite(*site, *pki)
	if err != nil {
		fail("%v", err)
	}
	witness, err := newWitness()
	if err != nil {
		fail("%v", err)
	}
	all := &storm{clients: clients, witness: witness, faults: newFaults(*kinds), seen: map[string]*sighting{}}
	stopLists := all.keepListing()
	stopFaults := all.faults.begin(*seed)

	numbers := make(chan int)
	var workers sync.WaitGroup
	for range *width {
		workers.Go(func() {
			for number := range numbers {
				all.add(newPod(number, rand.New(rand.NewPCG(*seed, uint64(number))))).live(all)
			}
		})
	}
	for number := range *pods {
		numbers <- number
	}
	close(numbers)
	// Not to the last end: a pod that waits for the proof of one waits from the last start of the site.
	pause(*calm)
	stopFaults()
	workers.Wait()
	took := time.Since(begun)
	left := awaitNothingLeft(told, *limit)
	stopLists()
	if !all.judge(took, left) {
		os.Exit(1)
	}
}
