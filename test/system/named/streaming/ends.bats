#!/usr/bin/env bats
# Either end is killed, at each stage: the other one hears of it, and nothing is left on node and site.
source "$BATS_TEST_DIRNAME/stream.bash"

setup() { setup_pod ends; }
teardown() {
  lab start-site "$LAB_DIR" 2>/dev/null || true
  lab start-node "$LAB_DIR" 2>/dev/null || true
  use_lab "$LAB_DIR"
  eventually 60 crictl pods
  finish_test
}

# exec_in_progress TRANSPORT: clients at each stage of their commands. Each command has said "ready".
exec_in_progress() {
  local t=$1 name
  begin "waits-$t" crictl exec -i -r "$t" "$box" sh -c 'echo ready >&2; exec cat'
  begin "hears-$t" bash -c "exec crictl exec -r $t $box sh -c 'echo ready >&2; exec yes' >/dev/null"
  begin "talks-$t" bash -c "exec crictl exec -i -r $t $box sh -c 'echo ready >&2; exec cat >/dev/null' </dev/zero"
  begin "terminal-$t" script -qefc "crictl exec -it -r $t $box sh -c 'echo ready; exec cat'" /dev/null
  for name in waits hears talks; do eventually 20 says "$name-$t.err" ready; done
  eventually 20 says "terminal-$t" ready
  stages="waits hears talks terminal"
}

@test "a client that is given up at each stage of its beginning leaves nothing" {
  remember
  client -container "$box" -what leave -count 10
  nothing_left
}

@test "a killed exec client ends its command: waiting, hearing, talking, at a terminal, standing still, after the end" {
  remember
  for t in $TRANSPORTS; do
    exec_in_progress "$t"
    # Commands that do not care have 10 s.
    begin "stubborn-$t" crictl exec -i -r "$t" "$box" sh -c 'trap "" HUP TERM INT; echo ready >&2; while :; do sleep 1; done'
    # A client that does not read, and one whose command ends then.
    begin "stands-$t" crictl exec -r "$t" "$box" sh -c 'echo ready >&2; exec yes'
    begin "late-$t" crictl exec -r "$t" "$box" sh -c 'echo ready >&2; until [ -e /tmp/end ]; do sleep 0.05; done; head -c 3000 /dev/zero; exit 3'
    for name in stubborn stands late; do eventually 20 says "$name-$t.err" ready; done
    kill -STOP "${begun[stands-$t]}" "${begun[late-$t]}"
  done
  crictl exec -s "$box" touch /tmp/end
  eventually 20 none crictl exec -s "$box" sh -c 'ps | grep "[u]ntil .*tmp/end"'
  end_all
  nothing_left 40
}

@test "a killed attach client leaves its container as it was" {
  says=$(start_container "$pod" says ends '.stdin = true' sh -c "$SAYS")
  remember
  for t in $TRANSPORTS; do
    begin "hears-$t" crictl attach -r "$t" "$says"
    begin "talks-$t" crictl attach -i -r "$t" "$says"
    begin "stands-$t" crictl attach -r "$t" "$says"
    for name in hears talks stands; do eventually 20 says "$name-$t" '[0-9]'; done
    kill -STOP "${begun[stands-$t]}"
  done
  end_all
  nothing_left
  last=$(crictl logs --tail 1 "$says")
  goes_on() { [ "$(crictl logs --tail 1 "$says")" -gt $((last + 5)) ]; }
  eventually 10 goes_on
}

# forwards_in_progress TRANSPORT: a connection that waits and one that is sent to without end.
forwards_in_progress() {
  local t=$1 offset
  for offset in 0 1; do
    begin "forward-$offset-$t" crictl port-forward -r "$t" "$pod" ":$((PORT + offset))"
    eventually 20 has_port "forward-$offset-$t"
    begin "connected-$offset-$t" bash -c "exec 3<>/dev/tcp/127.0.0.1/$(local_port "forward-$offset-$t"); echo word >&3; head -c 5 <&3; exec cat <&3 3>&- >/dev/null"
    eventually 20 test -s "$BATS_TEST_TMPDIR/connected-$offset-$t"
  done
}

@test "a killed port-forward client, and one whose connections are killed, leave nothing" {
  start_server ends
  remember
  for t in $TRANSPORTS; do forwards_in_progress "$t"; done
  for t in $TRANSPORTS; do
    kill -9 "${begun[forward-0-$t]}" "${begun[forward-1-$t]}"
    code_of "connected-0-$t"
    code_of "connected-1-$t"
  done
  end_all
  rm "$BATS_TEST_TMPDIR"/connected-*
  nothing_left
  for t in $TRANSPORTS; do
    forwards_in_progress "$t"
    kill -9 "${begun[connected-0-$t]}" "${begun[connected-1-$t]}"
  done
  # The clients serve on; their connections are gone.
  for t in $TRANSPORTS; do
    begin "again-$t" bash -c "exec 3<>/dev/tcp/127.0.0.1/$(local_port "forward-0-$t"); echo word >&3; exec head -n 1 <&3"
    code_of "again-$t"
    same word "$(cat "$BATS_TEST_TMPDIR/again-$t")"
  done
  end_all
  nothing_left
}

@test "a killed container ends what goes on in it: exec with the code of a kill, attach with the container's" {
  begin held crictl exec -i "$box" sh -c 'echo ready; exec cat'
  eventually 20 says held ready
  says=$(start_container "$pod" says ends . sh -c "$SAYS")
  shells=$box
  box=$says
  for t in $TRANSPORTS; do
    exec_in_progress "$t"
    begin "attach-$t" crictl attach -r "$t" "$says"
    eventually 20 says "attach-$t" '[0-9]'
  done
  crictl stop -t 0 "$says"
  for t in $TRANSPORTS; do
    for name in $stages attach; do
      code_of "$name-$t"
      same 1 "$code" "what $name over $t ends with"
    done
    for name in waits hears talks attach; do says "$name-$t.err" "exit code 137" || fail "$name over $t: $(tail -n 3 "$BATS_TEST_TMPDIR/$name-$t.err")"; done
  done
  crictl rm "$says"
  box=$shells
  # The other container's session went on beside it.
  if is_over held; then fail "the other container's session has ended too: $(cat "$BATS_TEST_TMPDIR/held.err")"; fi
}

# all_end TEXT [NAMES]: every client that was begun ends, none with success, and says so; but those NAMES that match.
all_end() {
  local name text=$1
  for name in "${!begun[@]}"; do
    code_of "$name"
    # shellcheck disable=SC2053 # a pattern
    [[ $name != ${2:-} ]] || continue
    [ "$code" != 0 ] || fail "$name ended with 0: $(cat "$BATS_TEST_TMPDIR/$name.err")"
    case $name in
      terminal*) ;; # it writes to its terminal
      *) grep -Eqi -- "$text" "$BATS_TEST_TMPDIR/$name.err" || fail "$name does not say '$text': $(tail -n 3 "$BATS_TEST_TMPDIR/$name.err")" ;;
    esac
  done
}

# every_kind: commands, attaches and forwarded connections in progress, over both transports.
every_kind() {
  local t
  for t in $TRANSPORTS; do
    exec_in_progress "$t"
    begin "attach-$t" crictl attach -r "$t" "$says"
    eventually 20 says "attach-$t" '[0-9]'
    forwards_in_progress "$t"
  done
}

# What a forwarded connection's end is called is its own client's matter.
end_forwards() {
  local t offset
  for t in $TRANSPORTS; do
    for offset in 0 1; do
      code_of "connected-$offset-$t"
      kill -9 "${begun[forward-$offset-$t]}" 2>/dev/null || true
      wait "${begun[forward-$offset-$t]}" 2>/dev/null || true
      unset "begun[forward-$offset-$t]"
    done
  done
}

works_again() {
  local t
  for t in $TRANSPORTS; do
    eventually 30 crictl exec -r "$t" "$box" true
    same again "$(echo again | crictl exec -i -r "$t" "$box" cat)"
    begin "attach-$t" crictl attach -r "$t" "$says"
    eventually 20 says "attach-$t" '[0-9]'
  done
  forwards_in_progress spdy
  end_all
}

@test "interlink-api is killed, then stopped: every client hears that it is lost, every command ends, all works again" {
  start_server ends
  says=$(start_container "$pod" says ends . sh -c "$SAYS")
  for how in kill-site stop-site; do
    remember
    every_kind
    lab $how "$LAB_DIR"
    end_forwards
    all_end "connection lost|shutting down"
    lab start-site "$LAB_DIR"
    use_lab "$LAB_DIR"
    works_again
    nothing_left_but_new
  done
  same CONTAINER_RUNNING "$(container_state "$box")"
}

@test "interlink-cri is killed, then stopped: every client is cut, every command ends, all works again" {
  start_server ends
  says=$(start_container "$pod" says ends . sh -c "$SAYS")
  for how in kill-node stop-node; do
    remember
    every_kind
    lab $how "$LAB_DIR"
    end_forwards
    # client-go takes the sudden end of a SPDY connection for success. A daemon that is stopped still says why.
    if [ $how = kill-node ]; then all_end . '*-spdy'; else all_end "shutting down"; fi
    lab start-node "$LAB_DIR"
    use_lab "$LAB_DIR"
    works_again
    nothing_left_but_new
  done
  same CONTAINER_RUNNING "$(container_state "$box")"
}
