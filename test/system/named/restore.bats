#!/usr/bin/env bats
# Either store restored from a backup of 20 pods ago, or lost. Shown by what the containers wrote: nothing is started twice,
# nothing living is killed, nothing is left for ever.
source "$BATS_TEST_DIRNAME/../common.bash"

setup() {
  own_lab
  crictl pull "$BUSYBOX"
  mkdir "$BATS_TEST_TMPDIR/w"
}
teardown() { end_own_lab; }

# worker NAME: a pod whose container writes a line when it starts, and then keeps a file young.
worker() {
  local pod
  pod=$(start_pod "$1")
  start_container "$pod" c "$1" ".mounts = [{host_path: \"$BATS_TEST_TMPDIR/w\", container_path: \"/w\"}]" \
    sh -c "echo start >>/w/$1.starts; while :; do date +%s%N >/w/$1.beat; sleep 0.1; done" >/dev/null
  eventually 10 test -s "$BATS_TEST_TMPDIR/w/$1.beat"
}

started_once() { [ "$(wc -l <"$BATS_TEST_TMPDIR/w/$1.starts")" = 1 ] || fail "$1 was started $(wc -l <"$BATS_TEST_TMPDIR/w/$1.starts") times"; }
beats() {
  local before
  before=$(cat "$BATS_TEST_TMPDIR/w/$1.beat")
  eventually 5 beats_again "$1" "$before" || fail "$1 does not live any more"
}
beats_again() { local now; now=$(cat "$BATS_TEST_TMPDIR/w/$1.beat"); [ -n "$now" ] && [ "$now" != "$2" ]; }

twenty() {
  for n in $(seq 20); do worker "new-$n"; done
  for n in 1 2 3; do crictl rmp -f "$(crictl pods -q --name "new-$n\$")"; done
}

shows() { [ "$(crictl pods -q --state ready | wc -l)" = "$1" ]; }

# Whatever a store forgot, a person's word is enough: then all that lives is shown and can be removed.
settle() {
  "$LAB_BUILD/bin/interlink-api" node takeover "$LAB_NODE_NAME" --config "$LAB_SITE_CONFIG" || true
  eventually 90 shows "$1"
  for name in old new-4 new-20; do
    started_once $name
    beats $name
  done
  # A removed pod did not come back to life.
  for n in 1 2 3; do started_once "new-$n"; done
  remove_all
  eventually 60 nothing_left
}
nothing_left() {
  remove_all
  [ -z "$(crictl pods -q)$(crictl ps -aq)" ] && [ "$(lab status "$LAB_DIR" | sed -n '/^{/,$p' | jq '[.processes[]] | length')" -le 3 ] && ! pgrep -f "$LAB_DIR/.*interlink-shim|interlink-shim.*$LAB_DIR/"
}

copy_of() { rm -rf "$BATS_TEST_TMPDIR/backup" && mkdir "$BATS_TEST_TMPDIR/backup" && find "$1" -maxdepth 1 -type f -exec cp -a {} "$BATS_TEST_TMPDIR/backup/" \; ; }
put_back() { find "$1" -maxdepth 1 -type f -delete && cp -a "$BATS_TEST_TMPDIR/backup/." "$1/"; }

@test "the node's store restored from a backup of 20 pods ago" {
  worker old
  lab stop-node "$LAB_DIR"
  copy_of "$LAB_DIR/node-1"
  lab start-node "$LAB_DIR"
  twenty
  lab stop-node "$LAB_DIR"
  put_back "$LAB_DIR/node-1"
  LAB_NO_READY=1 lab start-node "$LAB_DIR"
  settle 18
}

@test "the node's store lost" {
  worker old
  twenty
  lab stop-node "$LAB_DIR"
  find "$LAB_DIR/node-1" -mindepth 1 -delete
  LAB_NO_READY=1 lab start-node "$LAB_DIR"
  refused "unavailable|link|not ready|site" crictl pods
  settle 18
}

@test "the site's store restored from a backup of 20 pods ago" {
  worker old
  lab stop-site "$LAB_DIR"
  copy_of "$LAB_DIR/site"
  lab start-site "$LAB_DIR"
  eventually 30 crictl exec -s "$(crictl ps -q --name c)" true
  twenty
  lab stop-site "$LAB_DIR"
  put_back "$LAB_DIR/site"
  lab start-site "$LAB_DIR"
  settle 18
}

@test "the site's store lost" {
  worker old
  twenty
  lab stop-site "$LAB_DIR"
  find "$LAB_DIR/site" -maxdepth 1 -type f -delete
  lab start-site "$LAB_DIR"
  settle 18
}
