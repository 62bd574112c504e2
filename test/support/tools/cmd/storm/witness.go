package main

import (
	"bufio"
	"fmt"
	"net"
	"sync"
	"time"
)

// run is one execution of a container's command, by its own account.
type run struct {
	started, ended time.Time // ended: zero, it has not told of an end
	code           int
	last           time.Time // its last word
}

// witness hears what containers tell: "start NAME RUN" and "end NAME RUN CODE", one line a connection, answered "ok".
// RUN is a random number that the command makes when it begins: two executions have two.
type witness struct {
	port  int
	mutex sync.Mutex
	runs  map[string]map[string]*run // by name and run
}

func newWitness() (*witness, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &witness{port: listener.Addr().(*net.TCPAddr).Port, runs: map[string]map[string]*run{}}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				fail("the witness: %v", err)
			}
			go w.hear(connection)
		}
	}()
	return w, nil
}

func (w *witness) hear(connection net.Conn) {
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return
	}
	line, err := bufio.NewReader(connection).ReadString('\n')
	if err != nil {
		return
	}
	var word, name, id string
	var code int
	count, _ := fmt.Sscan(line, &word, &name, &id, &code)
	if !(count == 3 && word == "start") && !(count == 4 && word == "end") {
		fail("the witness heard %q", line)
	}
	w.mutex.Lock()
	if w.runs[name] == nil {
		w.runs[name] = map[string]*run{}
	}
	r := w.runs[name][id]
	if r == nil {
		r = &run{started: time.Now()}
		w.runs[name][id] = r
	}
	r.last = time.Now()
	if word == "end" {
		r.ended, r.code = time.Now(), code
	}
	w.mutex.Unlock()
	// It tells again until it has this: what it has told is known here.
	_, _ = connection.Write([]byte("ok\n"))
}

// of returns copies of a container's runs.
func (w *witness) of(name string) []run {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	var runs []run
	for _, r := range w.runs[name] {
		runs = append(runs, *r)
	}
	return runs
}
