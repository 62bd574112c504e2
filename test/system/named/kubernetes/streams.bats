#!/usr/bin/env bats
# kubectl logs, exec, attach, port-forward and cp, through API server and kubelet.
source "$BATS_TEST_DIRNAME/kube.bash"

teardown() { end_test; }

numbers() { awk -v first="${1:-0}" '{ if ($1 != NR - 1 + first) { print "line " NR " is " $0; exit 1 } }'; }

@test "logs: all, the last lines, one container's, with times, and since" {
  run_pod talk '.spec.containers += [.spec.containers[0] + {name: "d", command: ["echo", "other"]}]' sh -c "seq 0 999; echo error >&2; sleep 8; echo late; $RUN"
  eventually 30 log_says talk -c c --since=1h
  kubectl logs talk -c c --tail=-1 | sed -n 1,1000p | numbers
  same other "$(kubectl logs talk -c d)"
  eventually 30 last_line talk late
  same "error late" "$(kubectl logs talk -c c --tail=2 | tr '\n' ' ' | sed 's/ $//')"
  same late "$(kubectl logs talk -c c --since=6s)"
  kubectl logs talk -c c --timestamps --tail=1 | grep -Eq '^[0-9-]{10}T[0-9:]{8}\.[0-9]+Z late$'
  [ "$(kubectl logs talk --all-containers --prefix | grep -c '^\[pod/talk/d\]')" = 1 ]
}
last_line() { [ "$(kubectl logs "$1" -c c --tail=1)" = "$2" ]; }

@test "logs --previous are the words of the container that was" {
  apply_pod before '.spec.restartPolicy = "Always" | .spec.volumes = [{name: "v", emptyDir: {}}] | .spec.containers[0].volumeMounts = [{name: "v", mountPath: "/v"}]' \
    sh -c "echo run \$(ls /v | wc -l); touch /v/\$(ls /v | wc -l); [ \$(ls /v | wc -l) -gt 1 ] || exit 1; $RUN"
  await 60 before '.status.containerStatuses[0].restartCount' 1
  await 60 before .status.phase Running
  eventually 20 log_says before
  same "run 1" "$(kubectl logs before)"
  same "run 0" "$(kubectl logs before --previous)"
}

@test "logs -f follows through kubelet's rotations to the end, and loses nothing" {
  # 1 MiB is rotated in a lab, looked at every 3 s: about 5 MB in 12 s.
  run_pod much . sh -c 'i=0; while [ $i -lt 60000 ]; do echo "$i ...................................................................."; i=$((i+1)); [ $((i % 5000)) != 0 ] || sleep 1; done'
  timeout 120 kubectl logs -f much >"$BATS_TEST_TMPDIR/followed"
  await 60 much .status.phase Succeeded
  folder=$LAB_KUBERNETES_LOGS/default_much_$(pod_is much .metadata.uid)/c
  [ "$(find "$folder" -type f | wc -l)" -ge 3 ] || fail "not rotated: $(ls -l "$folder")"
  for file in $(find "$folder" -type f | sort -V | grep -v '/0.log$') "$folder/0.log"; do
    case $file in *.gz) gunzip -c "$file" ;; *) cat "$file" ;; esac
  done | cut -d' ' -f4- | numbers
  numbers <"$BATS_TEST_TMPDIR/followed"
  same 60000 "$(wc -l <"$BATS_TEST_TMPDIR/followed")"
}

@test "exec: output, error output, the code, and standard input" {
  run_pod box . sh -c "$RUN"
  same hello "$(kubectl exec box -- echo hello)"
  same wrong "$(kubectl exec box -- sh -c 'echo wrong >&2' 2>&1 >/dev/null)"
  run kubectl exec box -- sh -c 'exit 3'
  same 3 "$status"
  same "$(seq 1 200000 | sha256sum)" "$(seq 1 200000 | kubectl exec -i box -- sha256sum)"
  same "$(seq 1 200000 | sha256sum)" "$(kubectl exec box -- seq 1 200000 | sha256sum)"
  refused "no-such-command" kubectl exec box -- no-such-command
}

@test "exec -it: a terminal with its size" {
  run_pod term . sh -c "$RUN"
  # A keyboard at which nobody types: at the end of its input script types a NUL, which the terminal shows.
  mkfifo "$BATS_TEST_TMPDIR/keys"
  exec 8<>"$BATS_TEST_TMPDIR/keys"
  script -qec "stty rows 33 cols 99; kubectl exec -it term -- sh -c 'tty; for i in 1 2 3 4 5 6 7 8 9; do stty size; sleep 0.3; done'" /dev/null <&8 >"$BATS_TEST_TMPDIR/out"
  exec 8<&-
  grep -q '^/dev/pts/' "$BATS_TEST_TMPDIR/out" || fail "$(cat "$BATS_TEST_TMPDIR/out")"
  grep -q '^33 99' "$BATS_TEST_TMPDIR/out" || fail "$(cat "$BATS_TEST_TMPDIR/out")"
}

@test "attach: what a running container says, and what it is told" {
  run_pod echo '.spec.containers[0] += {stdin: true}' sh -c 'while read line; do echo "got $line"; [ "$line" != end ] || exit 6; done'
  same "got one got end" "$(printf 'one\nend\n' | timeout 60 kubectl attach -i echo 2>/dev/null | tr '\n' ' ' | sed 's/ $//')"
  await 30 echo .status.phase Failed
  same "6 Error" "$(ended echo)"
}

forwards() { curl -sf --max-time 5 "http://127.0.0.1:$1/index.html"; }
local_port() { sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$1"; }
has_port() { [ -n "$(local_port "$1")" ]; }

@test "port-forward: one request, many at once, and a large answer" {
  run_pod web '.spec.containers[0].readinessProbe = {httpGet: {path: "/index.html", port: 8080}, periodSeconds: 1}' \
    sh -c 'mkdir /w; echo hello >/w/index.html; head -c 5000000 /dev/zero >/w/large; exec httpd -f -p 8080 -h /w'
  await_ready 60 web
  kubectl port-forward pod/web :8080 >"$BATS_TEST_TMPDIR/forward" 2>&1 3>&- &
  forward=$!
  eventually 30 has_port "$BATS_TEST_TMPDIR/forward"
  port=$(local_port "$BATS_TEST_TMPDIR/forward")
  same hello "$(forwards "$port")"
  same 5000000 "$(curl -sf --max-time 30 "http://127.0.0.1:$port/large" | wc -c)"
  local n jobs=()
  for n in $(seq 20); do
    forwards "$port" >/dev/null &
    jobs+=($!)
  done
  for n in "${jobs[@]}"; do wait "$n"; done
  kill "$forward"
}

@test "cp there and back: the same bytes" {
  run_pod files . sh -c "$RUN"
  mkdir "$BATS_TEST_TMPDIR/tree"
  head -c 3000000 /dev/urandom >"$BATS_TEST_TMPDIR/tree/large"
  echo small >"$BATS_TEST_TMPDIR/tree/small"
  kubectl cp "$BATS_TEST_TMPDIR/tree" files:/tmp/there
  kubectl cp files:/tmp/there "$BATS_TEST_TMPDIR/back" >/dev/null
  diff -r "$BATS_TEST_TMPDIR/tree" "$BATS_TEST_TMPDIR/back"
}
