#!/usr/bin/env bash
# Pods as SLURM jobs: the real crictl -> interlink-cri -> HTTPS with client certificates -> interlink-api -> the slurm
# plugin -> sbatch -> interlink-agent in the job -> crun. The SLURM is a private one of three machines.
#
# usage: examples/slurm/run.sh [--keep]     --keep leaves the system running for you to try
# Ends with the batch job's log line and exit code 0; 2 when something is missing that only you can install.
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

# within SECONDS COMMAND...: looks until the command succeeds.
within() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || { echo "run.sh: not within its time: $*" >&2; return 1; }
    sleep 0.2
  done
}

step "prerequisites: Debian packages, the real crictl"
if [ "$(id -u)" != 0 ]; then
  echo "run.sh: the private system needs root: sudo env PATH=\"\$PATH\" $0" >&2
  exit 2
fi
run 'test/support/install.sh'
run 'PATH=$(test/support/tools/build-tools.sh crictl):$PATH'

step "build (the first time takes minutes, later seconds)"
if [ -z "${INTERLINK_BUILD:-}" ]; then
  mkdir -p build
  build='cmake --preset release && cmake --build --preset release --target interlink-api interlink-cri interlink-shim interlink-agent plugin_local plugin_slurm'
  printf '\n$ %s\n' "$build"
  if ! eval "$build" >build/slurm-build.log 2>&1; then
    tail -n 40 build/slurm-build.log
    echo "run.sh: the build failed: build/slurm-build.log" >&2
    exit 1
  fi
  tail -n 1 build/slurm-build.log
fi

step "a private system: certificates, a registry, a SLURM of three machines, a site and a node"
lab=$(mktemp -d "${TMPDIR:-/tmp}/interlink-slurm-XXXXXX")
finish() {
  local status=$?
  if [ -n "$keep" ] && [ $status = 0 ]; then
    printf '\nIt still runs. Try:  eval "$(test/lab env %s)"; crictl pods; squeue     End it:  test/lab down %s\n' "$lab" "$lab"
  else
    if [ $status != 0 ]; then
      echo "run.sh: failed; the ends of the daemons' logs:" >&2
      tail -n 25 "$lab"/log/interlink-*.log "$lab"/slurm/jobs/pods/*/job.log >&2 || true
    fi
    test/lab down "$lab" || true
  fi
  exit $status
}
trap finish EXIT
run "test/lab up $lab --plugin slurm"
run "eval \"\$(test/lab env $lab)\""
run 'sinfo -N -o "%N %c CPUs %G"'
run 'crictl pull docker.io/library/busybox:latest'

step "a batch job: its size by annotations, its log and exit code from the compute node"
run 'sed "s|LOG_DIRECTORY|$LAB_LOGS/batch|" examples/slurm/batch-pod.json >"$LAB_DIR/batch-pod.json"'
run 'pod=$(crictl runp "$LAB_DIR/batch-pod.json"); echo "$pod"'
run 'squeue -o "%A %T %C CPUs %m %l"'
run 'container=$(crictl create "$pod" examples/slurm/batch.json "$LAB_DIR/batch-pod.json"); echo "$container"'
run 'crictl start "$container"'
ended() { [ "$(crictl inspect "$container" | jq -r .status.state)" = CONTAINER_EXITED ]; }
within 60 ended
run 'crictl logs "$container"'
run 'crictl inspect "$container" | jq "{state: .status.state, exitCode: .status.exitCode, reason: .status.reason}"'
result=$(crictl logs "$container" | tail -n 1)
run 'crictl inspectp "$pod" | jq .info'
run 'crictl stopp "$pod"; crictl rmp "$pod"'
run 'squeue -h'

step "two containers with two GPUs in one job, and a command in one of them"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
run 'sed "s|LOG_DIRECTORY|$LAB_LOGS/pair|" examples/slurm/pair-pod.json >"$LAB_DIR/pair-pod.json"'
run "for name in server client; do sed \"s|PORT|$port|\" examples/slurm/\$name.json >\"\$LAB_DIR/\$name.json\"; done"
run 'pod=$(crictl runp "$LAB_DIR/pair-pod.json"); echo "$pod"'
run 'squeue -o "%A %T %b"'
for name in server client; do
  run "$name=\$(crictl create \"\$pod\" \"\$LAB_DIR/$name.json\" \"\$LAB_DIR/pair-pod.json\"); crictl start \"\$$name\""
done
run 'crictl ps'
run 'crictl exec -s "$server" ps'
answered() { [ -n "$(crictl logs "$client")" ]; }
within 60 answered
run 'crictl logs "$client"'
run 'crictl stopp "$pod"; crictl rmp "$pod"'

step "a job that waits in the queue, and is cancelled: every machine is taken"
run 'filler=$(sbatch --parsable --nodes=3 --exclusive --mem=0 --output=/dev/null --wrap "sleep 600"); echo "$filler"'
filled() { [ "$(squeue -h -j "$filler" -o %T)" = RUNNING ]; }
within 60 filled
run 'crictl --timeout 8s runp "$LAB_DIR/batch-pod.json" || echo "crictl ended with $?: the wish is kept, kubelet asks again"'
run 'squeue -o "%A %T %r %j"'
run 'waiting=$(squeue -h -t PENDING -o %A); scancel "$waiting"'
run 'crictl --timeout 30s runp "$LAB_DIR/batch-pod.json" || echo "crictl ended with $?"'
run 'scancel "$filler"'

step "done: the batch job's log ended with"
[ "$result" = "pi is about 3.1416" ] || { echo "unexpected log line: '$result'" >&2; exit 1; }
echo "$result"
