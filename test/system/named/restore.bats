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
  link=$(link_now)
}
living() { echo old; seq -f 'new-%g' 4 20; }

link_now() { "$LAB_BUILD/bin/interlink-cri" status --config "$LAB_NODE_CONFIG" | jq -r 'select(.siteReachable).link'; }
linked_anew() { local now; now=$(link_now); [ -n "$now" ] && [ "$now" != "$link" ]; }
takeover() { eventually 30 "$LAB_BUILD/bin/interlink-api" node takeover "$LAB_NODE_NAME" --config "$LAB_SITE_CONFIG"; }
shows_all() { [ "$(crictl pods -q --state ready | wc -l)" = 18 ] && [ "$(crictl ps -q | wc -l)" = 18 ]; }

# After the new link all that lives is shown, works, goes on, was started once, and can be removed.
settle() {
  eventually 60 linked_anew
  eventually 90 shows_all
  always 10 shows_all
  for id in $(crictl ps -q); do crictl exec -s "$id" true; done
  for name in $(living); do
    started_once "$name"
    beats "$name"
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

# The whole folder of a store, while its daemon is stopped.
copy_of() { test -s "$1/store.db" && cp -a "$1" "$BATS_TEST_TMPDIR/backup"; }
put_back() {
  cmp -s "$1/store.db" "$BATS_TEST_TMPDIR/backup/store.db" && fail "nothing was stored since the backup"
  rm -r "$1"
  cp -a "$BATS_TEST_TMPDIR/backup" "$1"
}
lose() { test -s "$1/store.db" && rm -r "$1"; }

@test "the node's store restored from a backup of 20 pods ago" {
  worker old
  lab stop-node "$LAB_DIR"
  copy_of "$LAB_DIR/node-1/store"
  lab start-node "$LAB_DIR"
  twenty
  lab stop-node "$LAB_DIR"
  put_back "$LAB_DIR/node-1/store"
  LAB_NO_READY=1 lab start-node "$LAB_DIR"
  takeover
  settle
}

@test "the node's store lost" {
  worker old
  twenty
  lab stop-node "$LAB_DIR"
  lose "$LAB_DIR/node-1/store"
  LAB_NO_READY=1 lab start-node "$LAB_DIR"
  refused "unavailable|link|not ready|site" crictl pods
  takeover
  settle
}

@test "the site's store restored from a backup of 20 pods ago" {
  worker old
  lab stop-site "$LAB_DIR"
  copy_of "$LAB_DIR/site/store"
  lab start-site "$LAB_DIR"
  eventually 30 crictl exec -s "$(crictl ps -q --name c)" true
  twenty
  lab stop-site "$LAB_DIR"
  put_back "$LAB_DIR/site/store"
  lab start-site "$LAB_DIR"
  takeover
  settle
}

@test "the site's store lost" {
  worker old
  twenty
  lab stop-site "$LAB_DIR"
  lose "$LAB_DIR/site/store"
  lab start-site "$LAB_DIR"
  settle
}
