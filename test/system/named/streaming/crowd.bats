#!/usr/bin/env bats
# Many sessions: one after the other, at once, and more than there may be.
source "$BATS_TEST_DIRNAME/stream.bash"

teardown() { finish_test; }

resident() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }
# not_larger NAME BEFORE NOW: within what an allocator keeps.
not_larger() {
  echo "$1: $2 KiB before, $3 KiB now" >&3
  (($3 - $2 <= ${STREAM_MEMORY_KIB:-16384})) || fail "$1 has grown from $2 to $3 KiB"
}
shims_memory() { # private memory of all shims of the lab, KiB
  local pid sum=0
  for pid in $(pgrep -f "interlink-shim .*$LAB_DIR/"); do
    sum=$((sum + $(awk '/^Private_(Clean|Dirty)/ { sum += $2 } END { print sum + 0 }' "/proc/$pid/smaps_rollup")))
  done
  echo "$sum"
}

@test "${STREAM_SESSIONS:-1000} commands one after the other, then 100 at once, leave nothing" {
  setup_pod crowd
  other=$(start_container "$pod" other crowd . sh -c "$RUN")
  # As many as there will be, so that what is kept for use is there.
  for transport in $TRANSPORTS; do
    client -transport "$transport" -container "$box,$other" -what row -count 20
    client -transport "$transport" -container "$box,$other" -what crowd -count 100
  done
  remember
  node=$(resident "$LAB_NODE_PID") site=$(resident "$LAB_SITE_PID") shims=$(shims_memory)
  for transport in $TRANSPORTS; do
    client -transport "$transport" -container "$box,$other" -what row -count $((${STREAM_SESSIONS:-1000} / 2))
    client -transport "$transport" -container "$box,$other" -what crowd -count 100
  done | tee /dev/fd/3
  nothing_left
  not_larger interlink-cri "$node" "$(resident "$LAB_NODE_PID")"
  not_larger interlink-api "$site" "$(resident "$LAB_SITE_PID")"
  not_larger "all shims" "$shims" "$(shims_memory)"
}

# hold NAME CONTAINERS COUNT: holds attaches until release.
hold() {
  begin "$1" client -what hold -transport websocket -container "$2" -count "$3"
  eventually 60 says "$1" "^held"
}

@test "sessions are limited in a container and for a node at its site, with clear words; a full container can be stopped" {
  setup_pod limits
  # They say less than $SAYS: 256 hear it, which a build with a sanitizer carries too.
  for n in 1 2 3; do ids="${ids:-}${ids:+,}$(start_container "$pod" "says$n" limits . sh -c "${SAYS/0.05/0.2}")"; done
  remember
  first=${ids%%,*}

  hold full "$first" 200
  says full "held 112, refused: .*sessions" || fail "$(cat "$BATS_TEST_TMPDIR/full" "$BATS_TEST_TMPDIR/full.err")"
  refused "sessions" crictl exec "$first" true
  # The others of the pod have room, until the site's limit.
  hold more "${ids#*,}" 200
  says more "held 144, refused: .*256 sessions open already" || fail "$(cat "$BATS_TEST_TMPDIR/more" "$BATS_TEST_TMPDIR/more.err")"
  client -what left | has -x "interlink-cri: 256 clients"
  client -what left | has -x "interlink-api: 256 sessions"
  refused "256 sessions open already" crictl exec "$box" true
  refused "256 sessions open already" crictl exec -r websocket "$box" true
  crictl stop -t 0 "$first"
  eventually 20 is_exited "$first"
  crictl exec "$box" true
  crictl rm "$first"
  end_all
  crictl exec "$box" true
}
