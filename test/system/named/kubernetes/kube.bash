# What the tests with a real kubelet share, beside common.bash.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../../common.bash"

# pod_json NAME JQ_FILTER COMMAND...: a pod with one container "c", its token not mounted, never restarted.
pod_json() {
  local name=$1 filter=$2
  shift 2
  jq -n --arg name "$name" --arg image "$BUSYBOX" '{apiVersion: "v1", kind: "Pod", metadata: {name: $name}, spec: {
    runtimeClassName: "interlink", automountServiceAccountToken: false, enableServiceLinks: false, restartPolicy: "Never",
    terminationGracePeriodSeconds: 5, containers: [{name: "c", image: $image, imagePullPolicy: "IfNotPresent",
    command: $ARGS.positional}]}}' --args -- "$@" | jq "$filter"
}
apply_pod() { pod_json "$@" | kubectl apply -f - >/dev/null; }

# run_pod: apply_pod, and waits until it runs.
run_pod() {
  apply_pod "$@"
  await 60 "$1" .status.phase Running
}

# await SECONDS POD JSONPATH VALUE: the value is there within that time.
await() {
  kubectl wait "pod/$2" --for="jsonpath={$3}=$4" --timeout="$1s" >/dev/null || {
    fail "pod $2: $3 is not $4 within $1 s but: $(pod_is "$2" .status | jq -c .)"
    return 1
  }
}
await_ready() { await "$1" "$2" '.status.conditions[?(@.type=="Ready")].status' True; } # SECONDS POD
await_gone() { kubectl wait "pod/$2" --for=delete --timeout="$1s" >/dev/null; }         # SECONDS POD

pod_is() { kubectl get pod "$1" -o json | jq -r "$2"; }                # POD JQ: prints
pod_has() { kubectl get pod "$1" -o json | jq -e "$2" >/dev/null; }    # POD JQ: true or not
ended() { pod_is "$1" '.status.containerStatuses[0].state.terminated | "\(.exitCode) \(.reason)"'; }
events_of() { kubectl get events --field-selector "involvedObject.name=$1" -o json | jq -r '.items[] | "\(.reason): \(.message)"'; }
event_says() { events_of "$1" | grep -Eq -- "$2"; } # POD TEXT

log_says() { [ -n "$(kubectl logs "$@" 2>/dev/null)" ]; }
node_json() { kubectl get node "$LAB_KUBERNETES_NODE" -o json; }
node_is_ready() { node_json | jq -e '.status.conditions[] | select(.type == "Ready" and .status == "True")' >/dev/null; }
# The Ready condition with the time of its last change: another time means that the node was not ready meanwhile.
readiness() { node_json | jq -c '.status.conditions[] | select(.type == "Ready") | {status, lastTransitionTime}'; }
proxy() { kubectl get --raw "/api/v1/nodes/$LAB_KUBERNETES_NODE/proxy/$1"; } # PATH at kubelet

remove_pods() {
  kubectl delete pods --all --grace-period=1 --timeout=90s >/dev/null || true
}

# For teardown: what was when a test failed, and then nothing.
end_test() {
  if [ -z "${BATS_TEST_COMPLETED:-}" ] && [ -z "${BATS_TEST_SKIPPED:-}" ]; then
    kubectl get pods >&2 || true
    kubectl get events --field-selector type!=Normal 2>&1 | tail -n 15 >&2 || true
    grep -E '^[EW][0-9]' "$LAB_KUBELET_LOG" | grep -v 'no relationship found' | tail -n 10 | cut -c1-400 >&2 || true
    tail -n 10 "$LAB_NODE_LOG" "$LAB_SITE_LOG" >&2 || true
  fi
  remove_pods
}
