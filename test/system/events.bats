#!/usr/bin/env bats
# GetContainerEvents and the streamed lists, through crictl and a site that runs real containers.
source "$BATS_TEST_DIRNAME/common.bash"

teardown() {
  [ -z "${LISTENER:-}" ] || kill "$LISTENER" 2>/dev/null || true
  remove_all
}

# Starts `crictl events` and waits until it hears: only what comes after that is told.
listen() {
  EVENTS=$BATS_TEST_TMPDIR/events.json
  crictl events --output json >"$EVENTS" 2>"$BATS_TEST_TMPDIR/events.err" 3>&- &
  LISTENER=$!
  local probe
  for probe in {1..20}; do
    crictl rmp -f "$(start_pod "probe-$probe")" >/dev/null
    [ ! -s "$EVENTS" ] || return 0
  done
  fail "crictl events says nothing: $(cat "$BATS_TEST_TMPDIR/events.err")"
}

# The kinds of events about an id, in their order, as one line.
told() {
  jq -r --arg id "$1" 'select(.containerId == $id).containerEventType' "$EVENTS" | sed 's/CONTAINER_//; s/_EVENT//' | xargs
}
tells() { [ "$(told "$1")" = "$2" ]; }

@test "crictl events shows the life of a pod and of a container" {
  listen
  pod=$(start_pod told)
  id=$(start_container "$pod" main told '' sh -c 'exit 3')
  eventually 20 is_exited "$id"
  crictl rm "$id"
  crictl rmp -f "$pod"

  eventually 20 tells "$pod" "CREATED STARTED STOPPED DELETED"
  eventually 20 tells "$id" "CREATED STARTED STOPPED DELETED"
  same 3 "$(jq -r --arg id "$id" 'select(.containerId == $id and .containerEventType == "CONTAINER_STOPPED_EVENT").containersStatuses[0].exitCode' "$EVENTS")"
  same told "$(jq -r --arg id "$id" 'select(.containerId == $id).podSandboxStatus.metadata.uid' "$EVENTS" | sort -u)"
  # The times rise strictly.
  jq -r '.createdAt' "$EVENTS" >"$BATS_TEST_TMPDIR/times"
  same "$(sort -n -u "$BATS_TEST_TMPDIR/times")" "$(cat "$BATS_TEST_TMPDIR/times")"
}

@test "a daemon that stops ends the streams and does not wait for their readers" {
  [ -z "${LAB:-}" ] || skip "it would stop the daemon of a lab that others use"
  listen
  before=$SECONDS
  lab stop-node "$LAB_DIR" >&2
  ((SECONDS - before < 10)) || fail "the stop took $((SECONDS - before)) s"
  eventually 10 sh -c "! kill -0 $LISTENER"
  lab start-node "$LAB_DIR" >&2
}
