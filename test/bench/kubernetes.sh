#!/usr/bin/env bash
# How long a pod takes through a real kubelet, ours beside containerd with crun: the same kubelet, one after the other, the
# same CNI configuration, registry and image. No verdict.
#
# usage: test/bench/kubernetes.sh [COUNT]      COUNT pods each (default 10). INTERLINK_BUILD: default build/release
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
count=${1:-10}
image=docker.io/library/busybox:latest
test/support/install.sh --peer
PATH=$(test/support/tools/build-tools.sh crictl kubernetes):$PATH

lab=$(mktemp -d "${TMPDIR:-/tmp}/bench-XXXXXX")
finish() {
  local status=$?
  if [ $status != 0 ]; then tail -n 20 "$lab"/log/kubelet.log "$lab"/log/interlink-*.log "$lab"/log/containerd.log >&2 || true; fi
  test/lab down "$lab" || true
  exit $status
}
trap finish EXIT

test/lab up "$lab" --kubernetes --peer >/dev/null
eval "$(test/lab env "$lab")"
echo "machine: $(nproc) cores, $(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo), load $(cut -d' ' -f1 /proc/loadavg)"
echo "peer: $(containerd --version | cut -d' ' -f1-3), $(crun --version | head -n 1); $(kubectl version --client | head -n 1)"
echo "== kubectl apply -> Running; min / median / max ms"
printf '%-12s | %4s | %-21s | %s\n' "" pods "apply -> Running" "delete -> gone"

measure() { # NAME RUNTIME_CLASS SOCKET
  local endpoint=unix://$3
  crictl --runtime-endpoint "$endpoint" --image-endpoint "$endpoint" pull "$image" >/dev/null
  python3 test/bench/pod_latency.py "$1" "$2" "$image" "$count"
}
# Another runtime's kubelet begins with a node of its own: the status of the last one would count for a while.
change_to() { # [peer]
  test/lab stop-kubelet "$lab"
  kubectl delete node "$LAB_KUBERNETES_NODE" >/dev/null
  test/lab start-kubelet "$lab" "$@"
}

# The same scheduling as RuntimeClass interlink, another handler.
sed 's/^  name: interlink$/  name: peer/; s/^handler: interlink$/handler: crun/' deploy/kubelet/runtimeclass.yaml | kubectl apply -f - >/dev/null
for round in 1 2; do
  measure interlink interlink "$LAB_SOCKET"
  change_to peer
  measure containerd peer "$LAB_PEER_SOCKET"
  [ $round = 2 ] || change_to
done
