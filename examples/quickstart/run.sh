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

# Shows a line as you can type it in this folder, then runs just that line.
run() {
  printf '\n$ %s\n' "$1"
  eval "$1"
}

has_crictl() { command -v crictl >/dev/null 2>&1 && crictl --version >/dev/null 2>&1; }

# Go first: it is the one thing that this script cannot install.
check_go() {
  local version
  version=$(GOTOOLCHAIN=local go env GOVERSION 2>/dev/null || true)
  version=${version#go}
  if [ -z "$version" ] || ! printf '1.26\n%s\n' "${version%% *}" | sort -V -C; then
    echo "run.sh: Go 1.26 or newer is needed to build the real crictl, here is ${version:-none}." >&2
    echo "  Get it from https://go.dev/dl/ : unpack the archive to /usr/local, put /usr/local/go/bin into PATH, run this again." >&2
    exit 2
  fi
}

step "prerequisites: Go, Debian packages, the real crictl"
has_crictl || check_go
if [ "$(id -u)" != 0 ]; then
  echo "run.sh: containers, network namespaces and a bridge need root: sudo env PATH=\"\$PATH\" $0" >&2
  exit 2
fi
run 'test/support/install.sh'
if ! has_crictl; then
  run 'PATH=$(test/support/tools/build-tools.sh crictl):$PATH'
fi
run 'crictl --version'

step "build (the first time takes minutes, later seconds)"
mkdir -p build
build='cmake --preset release && cmake --build --preset release --target interlink-api interlink-cri interlink-shim plugin_local'
printf '\n$ %s\n' "$build"
if ! eval "$build" >build/quickstart-build.log 2>&1; then
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
run "test/lab up $lab"

step "crictl, command by command"
run "eval \"\$(test/lab env $lab)\""
run 'sed "s|LOG_DIRECTORY|$LAB_LOGS/hello|" examples/quickstart/pod.json >"$LAB_DIR/pod.json"'
run 'crictl info -q'
run 'crictl pull docker.io/library/busybox:latest'
run 'pod=$(crictl runp "$LAB_DIR/pod.json"); echo "$pod"'
run 'container=$(crictl create "$pod" examples/quickstart/container.json "$LAB_DIR/pod.json"); echo "$container"'
run 'crictl start "$container"'
run 'crictl pods'
run 'crictl ps'

# The log is on the node's disk a moment after the line was written at the site.
for _ in $(seq 100); do
  line=$(crictl logs "$container")
  [ -z "$line" ] || break
done
run 'crictl logs "$container"'
run 'crictl exec -s "$container" cat /etc/hostname'
run 'crictl stats "$container"'
run 'crictl inspect "$container" | jq "{state: .status.state, image: .status.image.image, logPath: .status.logPath, pid: .info.pid}"'
run 'crictl stopp "$pod"'
run 'crictl rmp "$pod"'
run 'crictl ps -a'

step "done: the container's log line was"
[ "$line" = "hello from hello, uid 0" ] || { echo "unexpected log line: '$line'" >&2; exit 1; }
echo "$line"
