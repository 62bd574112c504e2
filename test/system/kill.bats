#!/usr/bin/env bats
# kill -9 of either daemon while containers run: the same pods, no stop, no gap, no lost exit.
source "$BATS_TEST_DIRNAME/common.bash"

teardown() {
  lab start-site "$LAB_DIR" 2>/dev/null || true
  lab start-node "$LAB_DIR" 2>/dev/null || true
  eventually 60 crictl pods
  remove_all
}

COUNTING='i=0; while :; do echo $i; i=$((i+1)); sleep 0.02; done'
# The numbers of a log are 0, 1, 2, ...: nothing lost, nothing twice.
counts() { awk '{ if ($4 != NR - 1) { print "line " NR " is " $0; exit 1 } }' "$1"; }
lines_of() { wc -l <"$1"; }
more_lines_than() { [ "$(lines_of "$1")" -gt "$2" ]; }
# What both daemons say of everything, without times that run.
seen() { { crictl pods -o json | jq -S '[.items[] | {id, state, metadata}] | sort_by(.id)'; crictl ps -a -o json | jq -S '[.containers[] | {id, state, metadata}] | sort_by(.id)'; }; }
recovered() { [ "$(seen 2>/dev/null)" = "$1" ]; }

prepare() {
  pod=$(start_pod "$1")
  log=$LAB_LOGS/$1/counting.log
  counting=$(start_container "$pod" counting "$1" . sh -c "$COUNTING")
  ending=$(start_container "$pod" ending "$1" ".mounts = [{host_path: \"$BATS_TEST_TMPDIR\", container_path: \"/t\"}]" sh -c 'while [ ! -e /t/end ]; do sleep 0.1; done; exit 9')
  pid=$(crictl exec -s "$counting" sh -c 'cat /proc/1/stat' | awk '{print $22}')
  eventually 20 more_lines_than "$log" 20
}

verify() {
  eventually 60 crictl exec -s "$counting" true
  same "$pid" "$(crictl exec -s "$counting" sh -c 'cat /proc/1/stat' | awk '{print $22}')" "start time of the container's first process"
  now=$(lines_of "$log")
  eventually 20 more_lines_than "$log" "$((now + 50))"
  counts "$log"
}

@test "kill -9 of interlink-cri" {
  prepare kill-node
  before=$(seen)
  lab kill-node "$LAB_DIR"
  lab start-node "$LAB_DIR"
  eventually 30 recovered "$before"
  verify
}

@test "kill -9 of interlink-api" {
  prepare kill-site
  before=$(seen)
  lab kill-site "$LAB_DIR"
  same "$before" "$(seen)" "lists while the site is away"
  lab start-site "$LAB_DIR"
  eventually 30 recovered "$before"
  verify
}

@test "kill -9 of both, with an exit meanwhile" {
  prepare kill-both
  lab kill-site "$LAB_DIR"
  lab kill-node "$LAB_DIR"
  touch "$BATS_TEST_TMPDIR/end"
  lab start-site "$LAB_DIR"
  lab start-node "$LAB_DIR"
  eventually 30 is_exited "$ending"
  same 9 "$(crictl inspect "$ending" | jq .status.exitCode)"
  verify
}

@test "an exit while interlink-cri is dead keeps its code and its last lines" {
  pod=$(start_pod late)
  id=$(start_container "$pod" c late ".mounts = [{host_path: \"$BATS_TEST_TMPDIR\", container_path: \"/t\"}]" sh -c 'while [ ! -e /t/go ]; do sleep 0.1; done; seq 1 500; echo last; touch /t/gone; exit 4')
  lab kill-node "$LAB_DIR"
  touch "$BATS_TEST_TMPDIR/go"
  eventually 20 test -e "$BATS_TEST_TMPDIR/gone"
  lab start-node "$LAB_DIR"
  eventually 30 is_exited "$id"
  same 4 "$(crictl inspect "$id" | jq .status.exitCode)"
  same 501 "$(crictl logs "$id" | wc -l)"
  same last "$(crictl logs --tail 1 "$id")"
}

@test "five kills of each in a row, while pods come and go" {
  prepare often
  for n in 1 2 3 4 5; do
    start_pod "often-$n" >/dev/null
    lab kill-node "$LAB_DIR"
    lab kill-site "$LAB_DIR"
    lab start-site "$LAB_DIR"
    lab start-node "$LAB_DIR"
    eventually 30 crictl stopp "$(crictl pods -q --name "often-$n")"
    eventually 30 crictl rmp "$(crictl pods -q --name "often-$n")"
  done
  same 1 "$(crictl pods -q | wc -l)"
  verify
}
