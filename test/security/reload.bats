#!/usr/bin/env bats
# `interlink-api reload` and `interlink-cri reload` on daemons that serve: all of it, or nothing and why.
source "$BATS_TEST_DIRNAME/../system/common.bash"
source "$BATS_TEST_DIRNAME/../system/own_site.bash"

setup_file() {
  own_lab
  export POLICY=$LAB_DIR/policy.yaml
  echo 'Rules: [{Name: all, May: [run]}]' >"$POLICY"
  printf 'Policy:\n  File: "%s"\n' "$POLICY" >>"$LAB_SITE_CONFIG"
  lab stop-site "$LAB_DIR" >&2
  lab start-site "$LAB_DIR" >&2
  eventually 20 site_is_reachable
}
teardown_file() { end_own_lab; }
setup() { cp "$LAB_SITE_CONFIG" "$BATS_TEST_TMPDIR/site.yaml" && cp "$LAB_NODE_CONFIG" "$BATS_TEST_TMPDIR/node.yaml"; }
teardown() {
  cp "$BATS_TEST_TMPDIR/site.yaml" "$LAB_SITE_CONFIG" && cp "$BATS_TEST_TMPDIR/node.yaml" "$LAB_NODE_CONFIG"
  remove_all
}

reload_site() { api --config "$LAB_SITE_CONFIG" reload; }
reload_node() { cri --config "$LAB_NODE_CONFIG" reload; }

# with_key FILE KEY VALUE: in its place.
with_key() {
  sed -i "/^$2:/d" "$1"
  printf '%s: %s\n' "$2" "$3" >>"$1"
}

debug_lines() { grep -c " debug " "$LAB_SITE_LOG" || true; }

@test "what can be in force is, the rest waits for a restart by name, and no pod notices" {
  pod=$(start_pod work)
  same 0 "$(debug_lines)"
  with_key "$LAB_SITE_CONFIG" VerboseLogging true
  with_key "$LAB_SITE_CONFIG" NodeGoneAfter 240h
  reload_site >"$BATS_TEST_TMPDIR/said"
  cat "$BATS_TEST_TMPDIR/said"
  has "read again: certificates.*policy" <"$BATS_TEST_TMPDIR/said"
  has "in force now: VerboseLogging" <"$BATS_TEST_TMPDIR/said"
  has "at the next restart, which ends nothing that runs: NodeGoneAfter" <"$BATS_TEST_TMPDIR/said"
  crictl inspectp "$pod" >&2
  [ "$(debug_lines)" -gt 0 ]
  same SANDBOX_READY "$(pod_state "$pod")"
  with_key "$LAB_NODE_CONFIG" VerboseLogging true
  reload_node | has "in force now: VerboseLogging"
  same SANDBOX_READY "$(pod_state "$pod")"
}

@test "a configuration, or a policy, that is wrong changes nothing and is told with its line" {
  with_key "$LAB_SITE_CONFIG" ErrorsOnlyLogging true
  echo 'Rules: [{Name: all, May: [fly]}]' >"$POLICY"
  refused "nothing was changed: policy: .*policy.yaml:1: .*one of run" reload_site
  echo 'Rules: [{Name: all, May: [run]}]' >"$POLICY"
  with_key "$LAB_SITE_CONFIG" VerbousLogging true
  refused "VerbousLogging.*nearest known key" reload_site
  with_key "$LAB_NODE_CONFIG" VerbousLogging true
  refused "VerbousLogging.*nearest known key" reload_node
  crictl pods >&2
}

@test "a signal does the same" {
  pid=$(lab env "$LAB_DIR" | sed -n 's/.*LAB_SITE_PID=\([0-9]*\).*/\1/p')
  before=$(grep -c "info reloaded" "$LAB_SITE_LOG" || true)
  kill -HUP "$pid"
  reloaded() { [ "$(grep -c "info reloaded" "$LAB_SITE_LOG")" -gt "$before" ]; }
  eventually 10 reloaded
}
