#!/usr/bin/env bats
# The life of a container, through crictl.
source "$BATS_TEST_DIRNAME/common.bash"

setup() { pod=$(start_pod "p$BATS_TEST_NUMBER"); name=p$BATS_TEST_NUMBER; }
teardown() { remove_all; }

@test "created, running, exited with its code, removed" {
  id=$(create "$pod" c "$name" . sh -c 'exit 7')
  same CONTAINER_CREATED "$(container_state "$id")"
  crictl start "$id"
  eventually 10 is_exited "$id"
  status=$(crictl inspect "$id" | jq .status)
  same 7 "$(jq .exitCode <<<"$status")"
  same Error "$(jq -r .reason <<<"$status")"
  [[ $(jq -r .startedAt <<<"$status") < $(jq -r .finishedAt <<<"$status") ]]
  crictl rm "$id"
  refused "not ?found" crictl inspect "$id"
}

@test "an exit code of 0 is Completed" {
  id=$(start_container "$pod" c "$name" . true)
  eventually 10 is_exited "$id"
  same "0 Completed" "$(crictl inspect "$id" | jq -r '.status | "\(.exitCode) \(.reason)"')"
}

@test "a command that is not in the image is refused by name, and a right one can take the container's place" {
  refused "InvalidArgument.*/no/such/command.*not found" create "$pod" c "$name" . /no/such/command
  same "" "$(crictl ps -aq)"
  create "$pod" c "$name" . sh -c "$RUN"
}

@test "create twice is one container; start twice is refused or harmless" {
  first=$(create "$pod" c "$name" . sh -c "$RUN")
  second=$(create "$pod" c "$name" . sh -c "$RUN")
  same "$first" "$second"
  crictl start "$first"
  refused "running|FailedPrecondition" crictl start "$first"
  same 1 "$(crictl ps -q | wc -l)"
}

@test "stdout and stderr are in the log, in order and in CRI's format" {
  id=$(start_container "$pod" c "$name" . sh -c 'for i in 1 2 3; do echo out $i; echo err $i >&2; done')
  eventually 10 is_exited "$id"
  same "out 1 out 2 out 3" "$(crictl logs "$id" 2>/dev/null | tr '\n' ' ' | sed 's/ $//')"
  same 3 "$(crictl logs "$id" 2>&1 >/dev/null | grep -c '^err')"
  same 6 "$(grep -Ec '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9:]{5}) std(out|err) F ' "$LAB_LOGS/$name/c.log")"
}

@test "the whole log is there as soon as the exit is" {
  id=$(start_container "$pod" c "$name" . sh -c 'seq 1 20000')
  eventually 20 is_exited "$id"
  # A disk that takes nothing for 2 s does not hold up the exit.
  whole() { [ "$(crictl logs "$id" | wc -l)" = 20000 ]; }
  eventually 30 whole
  same 20000 "$(crictl logs --tail 1 "$id")"
}

@test "a long line is cut into parts and whole again for a reader" {
  id=$(start_container "$pod" c "$name" . sh -c 'head -c 40000 /dev/zero | tr "\0" x; echo')
  eventually 10 is_exited "$id"
  same 40000 "$(crictl logs "$id" | tr -d '\n' | wc -c)"
  grep -q ' stdout P ' "$LAB_LOGS/$name/c.log"
}

@test "logs -f follows until the end" {
  id=$(start_container "$pod" c "$name" . sh -c 'for i in 1 2 3; do echo line $i; sleep 0.3; done')
  same 3 "$(timeout 20 crictl logs -f "$id" | grep -c line)"
}

@test "a log file that kubelet rotated is made again" {
  id=$(start_container "$pod" c "$name" . sh -c 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done')
  file=$LAB_LOGS/$name/c.log
  eventually 10 test -s "$file"
  mv "$file" "$file.1"
  crictl logs --reopen "$id"
  test -e "$file"
  eventually 10 test -s "$file"
  crictl stop -t 0 "$id"
  # Nothing lost, nothing twice: the numbers of both files are 0, 1, 2, ...
  cat "$file.1" "$file" | awk '{ if ($4 != NR - 1) { print "line " NR " is " $0; exit 1 } }'
}

@test "exec gives output, error output and the code of the command" {
  id=$(start_container "$pod" c "$name" . sh -c "$RUN")
  same hello "$(crictl exec -s "$id" echo hello)"
  # crictl prints both to its stdout; test/contract holds them apart.
  crictl exec -s "$id" sh -c 'echo wrong >&2' | has -x wrong
  run crictl exec -s "$id" sh -c 'exit 3'
  [[ $output == *"exited with 3"* ]] || fail "status $status: $output"
}

@test "exec of a missing command and in an ended container are refused" {
  id=$(start_container "$pod" c "$name" . sh -c "$RUN")
  refused "no-such-command|not found|executable" crictl exec -s "$id" no-such-command
  crictl stop -t 0 "$id"
  refused "not running|exited|state" crictl exec -s "$id" true
}

@test "exec that overruns its timeout leaves no process" {
  id=$(start_container "$pod" c "$name" . sh -c "$RUN")
  refused "deadline|timed? ?out" crictl exec -s --timeout 1 "$id" sh -c 'sleep 98765 & sleep 98765'
  eventually 10 none pgrep -af 'sleep 98765'
}

@test "stop sends TERM, waits for the grace and then kills" {
  polite=$(start_container "$pod" polite "$name" . sh -c 'trap "exit 5" TERM; while :; do sleep 3600 & wait $!; done')
  stubborn=$(start_container "$pod" stubborn "$name" . sh -c 'trap "" TERM; while :; do sleep 1; done')
  crictl stop -t 20 "$polite"
  same 5 "$(crictl inspect "$polite" | jq .status.exitCode)"
  begin=$SECONDS
  crictl stop -t 2 "$stubborn"
  ((SECONDS - begin >= 1 && SECONDS - begin <= 10))
  same 137 "$(crictl inspect "$stubborn" | jq .status.exitCode)"
  crictl stop "$stubborn"
}

@test "the kernel's memory limit: OOMKilled with 137" {
  id=$(start_container "$pod" c "$name" '.linux.resources.memory_limit_in_bytes = 20000000' sh -c 'x=x; while :; do x=$x$x; done')
  eventually 30 is_exited "$id"
  same "137 OOMKilled" "$(crictl inspect "$id" | jq -r '.status | "\(.exitCode) \(.reason)"')"
}

@test "update changes the limits of a running container and shows them" {
  id=$(start_container "$pod" c "$name" '.linux.resources.memory_limit_in_bytes = 33554432' sh -c "$RUN")
  crictl update --memory 67108864 --cpu-quota 50000 --cpu-period 100000 "$id"
  same 67108864 "$(crictl inspect "$id" | jq -r .status.resources.linux.memoryLimitInBytes)"
  same 67108864 "$(crictl exec -s "$id" sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max')"
}

@test "user, groups, environment, working directory, arguments" {
  id=$(start_container "$pod" c "$name" '.linux.security_context = {run_as_user: {value: 1000}, run_as_group: {value: 2000}, supplemental_groups: [3000]} |
    .envs = [{key: "WHO", value: "a b"}] | .working_dir = "/tmp" | .args = ["x y"]' sh -c 'echo "$(id -u):$(id -g):$(id -G):$WHO:$(pwd):$0"')
  eventually 10 is_exited "$id"
  [[ $(crictl logs "$id") =~ ^1000:2000:.*3000.*:a\ b:/tmp:x\ y$ ]] || fail "$(crictl logs "$id")"
}

@test "capabilities, no new privileges, seccomp and a read-only root" {
  plain=$(start_container "$pod" plain "$name" . sh -c 'grep -E "CapEff|NoNewPrivs|Seccomp:" /proc/self/status; touch /here && echo written')
  tight=$(start_container "$pod" tight "$name" '.linux.security_context = {capabilities: {drop_capabilities: ["ALL"]}, no_new_privs: true, readonly_rootfs: true, seccomp: {profile_type: 0}}' \
    sh -c 'grep -E "CapEff|NoNewPrivs|Seccomp:" /proc/self/status; touch /here || echo refused')
  eventually 10 is_exited "$plain"
  eventually 10 is_exited "$tight"
  crictl logs "$plain" | has 'CapEff:.*a80425fb'
  crictl logs "$plain" | has 'Seccomp:.*0'
  crictl logs "$tight" | has 'Seccomp:.*2'
  crictl logs "$plain" | has written
  crictl logs "$tight" | has 'CapEff:.*0000000000000000'
  crictl logs "$tight" | has 'NoNewPrivs:.*1'
  crictl logs "$tight" | has refused
}

@test "host folders are mounted, also read-only" {
  mkdir "$BATS_TEST_TMPDIR/rw" "$BATS_TEST_TMPDIR/ro"
  echo given >"$BATS_TEST_TMPDIR/ro/file"
  id=$(start_container "$pod" c "$name" ".mounts = [{host_path: \"$BATS_TEST_TMPDIR/rw\", container_path: \"/rw\"},
    {host_path: \"$BATS_TEST_TMPDIR/ro\", container_path: \"/ro\", readonly: true}]" sh -c 'cat /ro/file; echo back >/rw/file; touch /ro/x || echo refused')
  eventually 10 is_exited "$id"
  same "given refused" "$(crictl logs "$id" 2>/dev/null | tr '\n' ' ' | sed 's/ $//')"
  same back "$(cat "$BATS_TEST_TMPDIR/rw/file")"
  same /rw "$(crictl inspect "$id" | jq -r '.status.mounts[0].containerPath')"
}

@test "the last words of a container are its message" {
  mkdir "$BATS_TEST_TMPDIR/message"
  touch "$BATS_TEST_TMPDIR/message/log"
  id=$(start_container "$pod" c "$name" ".mounts = [{host_path: \"$BATS_TEST_TMPDIR/message/log\", container_path: \"/dev/termination-log\"}]
    | .annotations = {\"io.kubernetes.container.terminationMessagePath\": \"/dev/termination-log\"}" sh -c 'echo farewell >/dev/termination-log; exit 1')
  eventually 10 is_exited "$id"
  same farewell "$(cat "$BATS_TEST_TMPDIR/message/log")"
}

@test "a container needs an image that was pulled" {
  refused "NotFound.*pull it first" crictl create "$pod" "$(write_container c "$name" '.image.image = "docker.io/library/never-pulled:1"' true)" "$BATS_TEST_TMPDIR/pod-$name.json"
  same "" "$(crictl ps -aq)"
}

@test "names and paths that try to leave their place are refused" {
  refused "InvalidArgument.*log.*\.\." crictl create "$pod" "$(write_container c "$name" '.log_path = "../../escape.log"' true)" "$BATS_TEST_TMPDIR/pod-$name.json"
  refused "NotFound|InvalidArgument" crictl inspect "../../../etc/passwd"
  same "" "$(crictl ps -aq)"
}

@test "fields that this runtime does not honour are refused by path, before anything starts" {
  refused "cdi" crictl create "$pod" "$(write_container c "$name" '.CDI_devices = [{name: "nvidia.com/gpu=0"}]' true)" "$BATS_TEST_TMPDIR/pod-$name.json"
  refused "propagation" crictl create "$pod" "$(write_container d "$name" '.mounts = [{host_path: "/tmp", container_path: "/x", propagation: 2}]' true)" "$BATS_TEST_TMPDIR/pod-$name.json"
  refused "seccomp" crictl create "$pod" "$(write_container e "$name" '.linux.security_context.seccomp = {profile_type: 2, localhost_ref: "localhost/x"}' true)" "$BATS_TEST_TMPDIR/pod-$name.json"
  same "" "$(crictl ps -aq)"
}

# Kubelet's, after a creation whose answer it did not get.
@test "the next attempt takes the place of a container that was never started" {
  first=$(create "$pod" c "$name" . sh -c "$RUN")
  second=$(start_container "$pod" c "$name" '.metadata.attempt = 1 | .log_path = "c1.log"' sh -c "$RUN")
  [ "$first" != "$second" ]
  same "$second" "$(crictl ps -aq --no-trunc)"
  same CONTAINER_RUNNING "$(container_state "$second")"
}

@test "a removed container's next attempt is another container" {
  first=$(start_container "$pod" c "$name" . sh -c 'exit 1')
  eventually 10 is_exited "$first"
  second=$(start_container "$pod" c "$name" '.metadata.attempt = 1 | .log_path = "c1.log"' sh -c "$RUN")
  [ "$first" != "$second" ]
  crictl rm "$first"
  same CONTAINER_RUNNING "$(container_state "$second")"
}
