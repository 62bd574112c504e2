#!/usr/bin/env bash
# A Kubernetes node whose only runtime is interlink-cri: a real API server, scheduler and kubelet in a temporary folder, a
# pod with RuntimeClass interlink, its log, a command in it, a page through a forwarded port.
#
# usage: examples/kubernetes/run.sh [--keep]     --keep leaves the system running for you to try
# Ends with the page and exit code 0; 2 when something is missing that only you can install.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cd "$root"
keep=
case "${1:-}" in
  --keep) keep=1 ;;
  "") ;;
  *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

begun=$SECONDS
step() { printf '\n\033[1m== [%d:%02d] %s\033[0m\n' $(((SECONDS - begun) / 60)) $(((SECONDS - begun) % 60)) "$*"; }

# Shows a line as you can type it in this folder, then runs just that line.
run() {
  printf '\n$ %s\n' "$1"
  eval "$1"
}

step "prerequisites: Debian packages, Kubernetes from its sources (the first time 8 minutes)"
if [ "$(id -u)" != 0 ]; then
  echo "run.sh: containers, network namespaces and a bridge need root: sudo env PATH=\"\$PATH\" $0" >&2
  exit 2
fi
run 'test/support/install.sh'
run 'PATH=$(test/support/tools/build-tools.sh crictl kubernetes):$PATH'

step "build (the first time takes minutes, later seconds)"
mkdir -p build
build='cmake --preset release && cmake --build --preset release --target interlink-api interlink-cri interlink-shim plugin_local'
printf '\n$ %s\n' "$build"
if ! eval "$build" >build/kubernetes-build.log 2>&1; then
  tail -n 40 build/kubernetes-build.log
  echo "run.sh: the build failed: build/kubernetes-build.log" >&2
  exit 1
fi
tail -n 1 build/kubernetes-build.log

step "a private system: a site, a node, a control plane, a kubelet"
lab=$(mktemp -d "${TMPDIR:-/tmp}/interlink-kubernetes-XXXXXX")
forward=
finish() {
  local status=$?
  [ -z "$forward" ] || kill "$forward" 2>/dev/null || true
  if [ -n "$keep" ] && [ $status = 0 ]; then
    printf '\nIt still runs. Try:  eval "$(test/lab env %s)"; kubectl get pods     End it:  test/lab down %s\n' "$lab" "$lab"
  else
    if [ $status != 0 ]; then
      echo "run.sh: failed; the ends of the daemons' logs:" >&2
      tail -n 15 "$lab"/log/interlink-*.log "$lab"/log/kubelet.log >&2 || true
    fi
    test/lab down "$lab" || true
  fi
  exit $status
}
trap finish EXIT
run "test/lab up $lab --kubernetes --build build/release"

step "what the cluster sees"
run "eval \"\$(test/lab env $lab)\""
run 'kubectl get nodes -o wide'
run 'cat deploy/kubelet/runtimeclass.yaml'
run 'kubectl apply -f deploy/kubelet/runtimeclass.yaml'
run 'kubectl get runtimeclass'

step "a pod"
run 'kubectl apply -f examples/kubernetes/pod.yaml'
run 'kubectl wait --for=condition=Ready pod/hello --timeout=120s'
run 'kubectl get pod hello -o wide'
run 'kubectl get events --field-selector involvedObject.name=hello'
run 'kubectl logs hello'
run 'crictl pods'
run 'crictl ps'

step "into it"
run 'kubectl exec hello -- cat /etc/hostname'
run 'kubectl port-forward pod/hello :8080 >"$LAB_DIR/port-forward.txt" & forward=$!'
for _ in $(seq 600); do
  port=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$LAB_DIR/port-forward.txt")
  [ -z "$port" ] || break
  kill -0 "$forward" || exit 1
  read -rt 0.05 <> <(:) || true
done
run "curl -sS --max-time 20 http://127.0.0.1:$port/index.html"
page=$(curl -sS --max-time 20 "http://127.0.0.1:$port/index.html")

step "a site that goes away changes nothing"
run "test/lab stop-site $lab"
run 'kubectl get pods'
run "test/lab start-site $lab"

step "its end"
run 'kubectl delete pod hello --timeout=60s'
run 'kubectl get pods'

step "done: the page was"
[ "$page" = "a page from hello" ] || { echo "unexpected page: '$page'" >&2; exit 1; }
echo "$page"
