#!/usr/bin/env bash
# From a fresh Debian 12 machine with Go to a container that the real crictl started through
# interlink-cri -> HTTPS with client certificates -> interlink-api -> the local plugin.
#
# usage: examples/quickstart/run.sh [--keep]     --keep leaves the system running for you to try
# Ends with the container's log line and exit code 0; 2 when something is missing that only you can install.
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

# Shows a command as you would type it, then runs it.
run() {
  printf '\n$ %s\n' "$*"
  "$@"
}

# Go first: it is the one thing that this script cannot install.
step "prerequisites: Go, Debian packages, the real crictl"
if [ "$(id -u)" != 0 ]; then
  echo "run.sh: containers, network namespaces and a bridge need root: sudo env PATH=\"\$PATH\" $0" >&2
  exit 2
fi
if ! command -v crictl >/dev/null 2>&1 || ! crictl --version >/dev/null 2>&1; then
  command -v go >/dev/null 2>&1 || "$root/test/support/tools/build-tools.sh" crictl
fi
test/support/install.sh
if ! command -v crictl >/dev/null 2>&1 || ! crictl --version >/dev/null 2>&1; then
  PATH=$(test/support/tools/build-tools.sh crictl):$PATH
fi
crictl --version

step "build (the first time takes minutes, later seconds)"
mkdir -p build
if ! { cmake --preset release && cmake --build --preset release --target interlink-api interlink-cri interlink-shim plugin_local; } >build/quickstart-build.log 2>&1; then
  tail -n 40 build/quickstart-build.log
  echo "run.sh: the build failed: build/quickstart-build.log" >&2
  exit 1
fi
tail -n 1 build/quickstart-build.log

step "a private system: certificates, a registry, a site and a node"
lab=$(mktemp -d "${TMPDIR:-/tmp}/interlink-quickstart-XXXXXX")
finish() {
  local status=$?
  if [ -n "$keep" ] && [ $status = 0 ]; then
    printf '\nIt still runs. Try:  eval "$(test/lab env %s)"; crictl pods     End it:  test/lab down %s\n' "$lab" "$lab"
  else
    if [ $status != 0 ]; then
      echo "run.sh: failed; the ends of the daemons' logs:" >&2
      tail -n 25 "$lab"/log/interlink-*.log >&2 || true
    fi
    test/lab down "$lab" || true
  fi
  exit $status
}
trap finish EXIT
test/lab up "$lab"
eval "$(test/lab env "$lab")"
sed "s|LOG_DIRECTORY|$LAB_LOGS/hello|" "$here/pod.json" >"$lab/pod.json"
cp "$here/container.json" "$lab/container.json"
image=docker.io/library/busybox:latest

step "crictl, command by command"
printf '\n$ eval "$(test/lab env %s)"     # CONTAINER_RUNTIME_ENDPOINT=%s\n' "$lab" "$CONTAINER_RUNTIME_ENDPOINT"
run crictl info -q
run crictl pull "$image"
printf '\n$ pod=$(crictl runp %s)\n' "$lab/pod.json"
pod=$(crictl runp "$lab/pod.json")
echo "$pod"
printf '\n$ container=$(crictl create $pod %s %s)\n' "$lab/container.json" "$lab/pod.json"
container=$(crictl create "$pod" "$lab/container.json" "$lab/pod.json")
echo "$container"
run crictl start "$container"
run crictl pods
run crictl ps

# The log is on the node's disk a moment after the line was written at the site.
for _ in $(seq 100); do
  line=$(crictl logs "$container")
  [ -z "$line" ] || break
done
run crictl logs "$container"
run crictl exec -s "$container" cat /etc/hostname
run crictl stats "$container"
printf '\n$ crictl inspect %s | jq ...     # a part of it\n' "$container"
crictl inspect "$container" | jq '{state: .status.state, image: .status.image.image, logPath: .status.logPath, pid: .info.pid}'
run crictl stopp "$pod"
run crictl rmp "$pod"
run crictl ps -a

step "done: the container's log line was"
[ "$line" = "hello from hello, uid 0" ] || { echo "unexpected log line: '$line'" >&2; exit 1; }
echo "$line"
