#!/usr/bin/env bats
# What goes through exec, attach and port-forward arrives, whole and in order.
source "$BATS_TEST_DIRNAME/stream.bash"

setup() { setup_pod carry; }
teardown() { finish_test; }

@test "crictl exec: 100 MB in and out, error output, the code" {
  head -c 100000000 /dev/urandom >"$BATS_TEST_TMPDIR/bytes"
  for transport in $TRANSPORTS; do
    timeout 60 crictl exec -i -r "$transport" "$box" cat <"$BATS_TEST_TMPDIR/bytes" | cmp - "$BATS_TEST_TMPDIR/bytes"
    same wrong "$(crictl exec -r "$transport" "$box" sh -c 'echo out; echo wrong >&2' 2>&1 >/dev/null)"
    refused "exit code 3" crictl exec -r "$transport" "$box" sh -c 'exit 3'
    refused "no-such-command" crictl exec -r "$transport" "$box" no-such-command
  done
}

@test "client-go: 100 MB echoed, and the code behind the last byte each time" {
  remember
  for transport in $TRANSPORTS; do
    client -transport "$transport" -container "$box" -what echo -bytes 100000000
    client -transport "$transport" -container "$box" -what status -count 50
  done | tee /dev/fd/3
  nothing_left
}

@test "a terminal's sizes and signals, and stdin that ends before, beside and after the output" {
  remember
  for transport in $TRANSPORTS; do
    client -transport "$transport" -container "$box" -what terminal
    client -transport "$transport" -container "$box" -what input
    shows=$(start_container "$pod" "shows-$transport" carry '.tty = true | .stdin = true' sh -c 'trap "stty size" WINCH; while :; do sleep 1000 & wait $!; done')
    client -transport "$transport" -container "$shows" -what resize
    crictl rm -f "$shows"
  done
  nothing_left
}

@test "crictl exec -it: a terminal with the size of ours" {
  for transport in $TRANSPORTS; do
    script -qec "stty rows 33 cols 99; crictl exec -it -r $transport $box sh -c 'tty; for i in 1 2 3 4 5 6 7 8 9; do stty size; sleep 0.2; done'" /dev/null \
      <&8 >"$BATS_TEST_TMPDIR/out"
    grep -q '^/dev/pts/' "$BATS_TEST_TMPDIR/out" || fail "$(cat "$BATS_TEST_TMPDIR/out")"
    grep -q '^33 99' "$BATS_TEST_TMPDIR/out" || fail "$(cat "$BATS_TEST_TMPDIR/out")"
  done
}

@test "port-forward: 50 connections at once carry what they are given, half-close included, and a closed port says so" {
  start_server carry
  remember
  for transport in $TRANSPORTS; do
    client -transport "$transport" -pod "$pod" -port $PORT -what forwards -bytes 1000000
  done | tee /dev/fd/3
  nothing_left
}

@test "crictl port-forward: 100 MB each way" {
  start_server carry
  head -c 100000000 /dev/urandom >"$BATS_TEST_TMPDIR/bytes"
  for transport in $TRANSPORTS; do
    begin "$transport" crictl port-forward -r "$transport" "$pod" ":$PORT"
    eventually 20 has_port "$transport"
    python3 -c 'import socket, sys, threading
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30)
def send():
    with open(sys.argv[2], "rb") as f: s.sendfile(f)
    s.shutdown(socket.SHUT_WR)
threading.Thread(target=send).start()
while data := s.recv(65536): sys.stdout.buffer.write(data)' "$(local_port "$transport")" "$BATS_TEST_TMPDIR/bytes" |
      cmp - "$BATS_TEST_TMPDIR/bytes"
  done
}

@test "attach: several at once hear the same, one of them speaks, and its end is the container's when it asks for that" {
  speaker=$(start_container "$pod" speaker carry '.stdin = true | .stdin_once = true' \
    sh -c 'while read word; do echo "got $word"; done; echo over; exit 6')
  for transport in $TRANSPORTS; do
    begin "hears-$transport" crictl attach -r "$transport" "$speaker"
    begin "hears-too-$transport" crictl attach -r "$transport" "$speaker"
  done
  # Who comes later hears nothing of what was: they all hear a word that each of them has waited for.
  mkfifo "$BATS_TEST_TMPDIR/words"
  exec 9<>"$BATS_TEST_TMPDIR/words"
  crictl attach -i "$speaker" <"$BATS_TEST_TMPDIR/words" >"$BATS_TEST_TMPDIR/speaks" 2>"$BATS_TEST_TMPDIR/speaks.err" 3>&- 8<&- 9<&- &
  begun[speaks]=$!
  all_hear() {
    echo early >&9
    grep -qc early "$BATS_TEST_TMPDIR/speaks" && [ "$(grep -l early "$BATS_TEST_TMPDIR"/hears-* | wc -l)" = 4 ]
  }
  eventually 20 all_hear
  for word in one two three; do echo $word >&9; done
  # Nobody else holds the words: this is their end.
  exec 9<&-
  eventually 20 is_exited "$speaker"
  same 6 "$(crictl inspect "$speaker" | jq .status.exitCode)"
  for name in speaks hears-spdy hears-too-spdy hears-websocket hears-too-websocket; do
    code_of $name
    same 1 "$code" "what $name ends with"
    says $name.err "exit code 6" || fail "$name: $(cat "$BATS_TEST_TMPDIR/$name.err")"
    same "got one got two got three over" "$(grep -v early "$BATS_TEST_TMPDIR/$name" | tr -d '\r' | tr '\n' ' ' | sed 's/ $//')" "what $name has heard"
  done
}

@test "attach without stdin_once: one who leaves ends nothing, the next one goes on" {
  speaker=$(start_container "$pod" patient carry '.stdin = true' sh -c 'while read word; do echo "got $word"; done; exit 6')
  echo one >"$BATS_TEST_TMPDIR/word"
  for transport in $TRANSPORTS $TRANSPORTS; do
    rm -f "$BATS_TEST_TMPDIR/out"
    crictl attach -i -r "$transport" "$speaker" <"$BATS_TEST_TMPDIR/word" >"$BATS_TEST_TMPDIR/out" 3>&- 8<&- &
    begun[leaves]=$!
    eventually 20 says out "got one"
    end_all
  done
  same CONTAINER_RUNNING "$(container_state "$speaker")"
  four() { [ "$(crictl logs "$speaker" | grep -c "got one")" = 4 ]; }
  eventually 10 four
  same "got one got one got one got one" "$(crictl logs "$speaker" | tr '\n' ' ' | sed 's/ $//')"
}

@test "attach goes through rotations of the log and loses nothing" {
  id=$(start_container "$pod" counts carry ".mounts = [{host_path: \"$BATS_TEST_TMPDIR\", container_path: \"/t\"}]" \
    sh -c 'until [ -e /t/go ]; do echo wait; sleep 0.1; done; i=0; while [ $i -lt 200 ]; do echo $i; i=$((i+1)); sleep 0.02; done')
  log=$LAB_LOGS/carry/counts.log
  for transport in $TRANSPORTS; do begin "$transport" crictl attach -r "$transport" "$id"; done
  for transport in $TRANSPORTS; do eventually 20 says "$transport" wait; done
  touch "$BATS_TEST_TMPDIR/go"
  for n in 1 2 3; do
    eventually 20 grep -q ' [0-9]*$' "$log"
    mv "$log" "$log.$n"
    crictl logs --reopen "$id"
  done
  eventually 30 is_exited "$id"
  cat "$log".[123] "$log" | grep -v 'wait$' | awk '{ if ($4 != NR - 1) { print "line " NR " is " $0; exit 1 } } END { exit NR != 200 }'
  for transport in $TRANSPORTS; do
    code_of "$transport"
    same 0 "$code" "what attach over $transport ends with"
    tr -d '\r' <"$BATS_TEST_TMPDIR/$transport" | grep -v wait | cmp - <(seq 0 199)
  done
}

@test "readers that stop hold their commands and their pods back: both daemons stay as large as they are" {
  start_server carry
  for transport in $TRANSPORTS; do
    client -transport "$transport" -container "$box" -what echo -bytes 30000000
  done
  remember
  for transport in $TRANSPORTS; do
    client -transport "$transport" -container "$box" -what stall -count 8 -memory "${STREAM_MEMORY_KIB:-32768}"
    client -transport "$transport" -pod "$pod" -port $PORT -what stall -count 8 -memory "${STREAM_MEMORY_KIB:-32768}"
  done | tee /dev/fd/3
  nothing_left
}
