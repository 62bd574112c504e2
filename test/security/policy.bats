#!/usr/bin/env bats
# The site's policy, by the real crictl: each verb refused by name, what runs left alone, a change taken while it serves.
source "$BATS_TEST_DIRNAME/../system/common.bash"
source "$BATS_TEST_DIRNAME/../system/own_site.bash"
source "$BATS_TEST_DIRNAME/../system/policy.bash"

setup_file() {
  own_lab
  begin_policy < <(policy)
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }
setup() { use_policy; }
teardown() {
  use_policy
  remove_all
}

policy() { # [ACTIONS] [LINE]: one rule
  echo "Rules:"
  echo "  - Name: lab"
  echo "    Nodes: [\"$LAB_NODE_NAME\"]"
  echo "    Namespaces: [default, \"\"]"
  echo "    May: [${1:-run, create, update, exec, exec-sync, attach, port-forward, pull}]"
  [ -z "${2:-}" ] || echo "    $2"
}
use_policy() { [ ! -e "$POLICY" ] || policy "$@" | exchange_policy; }

@test "a pod is refused by name, and leaves nothing" {
  use_policy "create, pull"
  refused "policy: node .*$LAB_NODE_NAME.* may not run in namespace .*default.*: no rule" start_pod refused
  same '' "$(crictl pods -q)"
  use_policy run
  pod=$(start_pod refused)
  same SANDBOX_READY "$(pod_state "$pod")"
}

@test "a pod in another namespace, on the machine's network or privileged is refused" {
  refused 'namespace .+other.+: no rule' start_pod other '.metadata.namespace = "other"'
  refused "own namespaces" start_pod net '.linux.security_context.namespace_options.network = 2'
  refused "privileged" start_pod privileged '.linux.security_context.privileged = true'
  same '' "$(crictl pods -q)"
}

@test "a container's image, user and mounts are those of the rule" {
  pod=$(start_pod things)
  use_policy create "Images: [\"registry.example.org/*\"]"
  refused 'image .*busybox.* is none of its Images' create "$pod" c things '' true
  use_policy create "RunAsUser: 1000-1999"
  refused 'runAsUser' create "$pod" c things '' true
  refused 'user 0 is not one of 1000-1999' create "$pod" c things '.linux.security_context.run_as_user = {value: 0}' true
  create "$pod" c things '.linux.security_context.run_as_user = {value: 1000}' true
  use_policy
  refused 'host path .+/etc.+ is not below' create "$pod" d things '.mounts = [{host_path: "/etc", container_path: "/x"}]' true
  same 1 "$(crictl ps -aq | wc -l)"
}

@test "exec, exec-sync, attach, port-forward, update and pull are refused one by one, and what runs goes on" {
  pod=$(start_pod inside)
  id=$(start_container "$pod" c inside '' sh -c "$RUN")
  use_policy "run, create"
  refused 'may not exec-sync' crictl exec -s "$id" true
  refused 'may not exec ' crictl exec "$id" true
  refused 'may not attach' timeout 20 crictl attach "$id" </dev/null
  refused 'may not update' crictl update --cpu-share 512 "$id"
  refused 'may not pull' crictl pull "$BUSYBOX"
  forward() { # its failure shows when a connection comes
    local port
    port=$(free_port)
    timeout 10 crictl port-forward "$pod" "$port:80" >"$BATS_TEST_TMPDIR/forward.log" 2>&1 3>&- &
    local pid=$!
    eventually 5 grep -q Forwarding "$BATS_TEST_TMPDIR/forward.log"
    curl -s --max-time 5 "http://127.0.0.1:$port/" || true
    kill "$pid" 2>/dev/null || true
    wait "$pid" || true
    cat "$BATS_TEST_TMPDIR/forward.log"
  }
  forward | has 'may not port-forward'
  same CONTAINER_RUNNING "$(container_state "$id")"
  # What ends and tells one's own work needs no rule.
  use_policy pull
  crictl logs "$id"
  crictl stats "$id"
  crictl stop -t 2 "$id"
  crictl rm "$id"
  crictl stopp "$pod"
  crictl rmp "$pod"
}

@test "a broken policy changes nothing and is told" {
  pod=$(start_pod before)
  cp "$POLICY" "$BATS_TEST_TMPDIR/good"
  complains() { [ "$(grep -c "the policy cannot be used" "$LAB_SITE_LOG")" -gt "$1" ]; }
  for text in 'Rules: [{Name: a, Mai: [run]}]' 'Rules' '' 'Rules: [{Name: a, May: [fly]}]'; do
    before=$(grep -c "the policy cannot be used" "$LAB_SITE_LOG" || true)
    echo "$text" >"$POLICY"
    eventually 10 complains "$before"
    pod=$(start_pod during)
    crictl exec -s "$(start_container "$pod" c during '' sh -c "$RUN")" true
    remove_all
  done
  mv "$BATS_TEST_TMPDIR/good" "$POLICY"
}

@test "policy check and policy explain say what is wrong and why" {
  api policy check "$POLICY" | has "is right: 1 rules, 0 quotas, 0 users"
  api check --config "$LAB_SITE_CONFIG" | has "policy $POLICY has 1 rules"
  echo 'Rules: [{Name: a, May: [run], Node: [x]}]' >"$BATS_TEST_TMPDIR/bad.yaml"
  refused 'unknown key "Rules\[0\].Node", the nearest known key is "Rules\[0\].Nodes"' api policy check "$BATS_TEST_TMPDIR/bad.yaml"
  printf 'Action: run\nNode: "%s"\nNamespace: default\n' "$LAB_NODE_NAME" >"$BATS_TEST_TMPDIR/request.yaml"
  api policy explain "$POLICY" "$BATS_TEST_TMPDIR/request.yaml" | has 'let through by rule "lab"'
  sed -i s/default/other/ "$BATS_TEST_TMPDIR/request.yaml"
  refused 'rule "lab": it does not name namespace "other"' api policy explain "$POLICY" "$BATS_TEST_TMPDIR/request.yaml"
  # What SLURM cannot read is no matter of rules that do not name annotations.
  printf 'Action: run\nNode: "%s"\nNamespace: default\nAnnotations: {slurm.interlink.io/gpu: "8"}\n' \
    "$LAB_NODE_NAME" >"$BATS_TEST_TMPDIR/request.yaml"
  api policy explain "$POLICY" "$BATS_TEST_TMPDIR/request.yaml" | has 'let through by rule "lab"'
}
