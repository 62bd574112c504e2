#!/usr/bin/env bats
# Quotas of the policy, by the real crictl: what is too much is refused by name and leaves nothing, ends are always taken,
# a restart of the site forgets nothing.
source "$BATS_TEST_DIRNAME/../system/common.bash"
source "$BATS_TEST_DIRNAME/../system/policy.bash"

setup_file() {
  own_lab
  begin_policy < <(quota "Sandboxes: 1")
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }
teardown() {
  use_quota "Sandboxes: 100"
  remove_all
}

quota() { # LIMITS
  echo "Rules:"
  echo "  - {Name: all, May: [run, create, update, exec, exec-sync, attach, port-forward, pull]}"
  echo "Quotas:"
  echo "  - {Name: small, Nodes: [\"$LAB_NODE_NAME\"], $1}"
}
use_quota() { quota "$1" | exchange_policy; }

@test "a pod beyond the quota is refused by name and leaves nothing; one that has ended makes room, also after a restart" {
  use_quota "Sandboxes: 1"
  first=$(start_pod first)
  refused "quota .*small.*: node .*$LAB_NODE_NAME.* has 1 of 1 sandboxes: end some" start_pod second
  same "$first" "$(crictl pods -q --no-trunc)"
  restart_lab_site
  refused "has 1 of 1 sandboxes" start_pod second
  crictl stopp "$first"
  second=$(start_pod second)
  same SANDBOX_READY "$(pod_state "$second")"
}

@test "containers and sessions have limits of their own" {
  use_quota "Containers: 1, Sessions: 1"
  pod=$(start_pod work)
  container=$(start_container "$pod" one work . sh -c "$RUN")
  refused "has 1 of 1 containers" create "$pod" two work . true
  same "$container" "$(crictl ps -aq --no-trunc)"
  # crictl takes no TERM while its command runs.
  crictl exec "$container" sh -c 'echo open; until [ -e /tmp/over ]; do usleep 100000; done' >"$BATS_TEST_TMPDIR/session" 2>&1 3>&- &
  session=$!
  eventually 10 grep -q open "$BATS_TEST_TMPDIR/session"
  refused "has 1 of 1 sessions" crictl exec "$container" true
  # Probes are no sessions.
  crictl exec -s "$container" true
  crictl exec -s "$container" touch /tmp/over
  wait "$session"
  eventually 10 crictl exec "$container" true
}

@test "requests that come too soon wait their turn; stop, remove and lists never do" {
  pod=$(start_pod work)
  container=$(start_container "$pod" one work . sh -c "$RUN")
  use_quota "RequestsPerSecond: 1"
  too_soon=0
  for _ in $(seq 12); do
    crictl exec -s "$container" true 2>"$BATS_TEST_TMPDIR/error" || {
      too_soon=$((too_soon + 1))
      has "quota .*small.* may send 1 requests" <"$BATS_TEST_TMPDIR/error"
    }
  done
  echo "$too_soon of 12 came too soon"
  [ "$too_soon" -gt 0 ]
  same 1 "$(crictl ps -q | wc -l)"
  crictl stop "$container"
  crictl rm "$container"
  crictl stopp "$pod"
  crictl rmp "$pod"
}

@test "a quota that is wrong changes nothing, and the log says where" {
  use_quota "Sandboxes: 0"
  before=$(grep -c "the policy cannot be used" "$LAB_SITE_LOG" || true)
  quota "Sandbox: 100" >"$POLICY.new"
  mv "$POLICY.new" "$POLICY"
  wrong_once_more() { [ "$(grep -c "the policy cannot be used" "$LAB_SITE_LOG")" -gt "$before" ]; }
  eventually 10 wrong_once_more
  grep "the policy cannot be used" "$LAB_SITE_LOG" | has 'policy.yaml:4: unknown key .*Sandbox.*Sandboxes'
  refused "has 0 of 0 sandboxes" start_pod none
  refused "unknown key" "$LAB_BUILD/bin/interlink-api" policy check "$POLICY"
}
