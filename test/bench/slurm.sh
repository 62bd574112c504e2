#!/usr/bin/env bash
# Figures of pods as jobs of a real SLURM: gRPC -> interlink-cri -> HTTPS -> interlink-api -> sbatch -> agent. No verdict.
#
# usage: test/bench/slurm.sh      INTERLINK_SHORT=1: a quarter of the work. INTERLINK_BUILD: default build/release
#   RunPodSandbox is from the request to the agent's hello: sbatch, the scheduler's tick, the job's script, the agent.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
pods=20 mebibytes=256 exits=40 queues=(1 100 1000)
[ -z "${INTERLINK_SHORT:-}" ] || pods=5 mebibytes=32 exits=10 queues=(1 100)
[ $# = 0 ] || { echo "slurm.sh: takes no arguments" >&2; exit 2; }
test/support/install.sh
tools=$(test/support/tools/build-tools.sh bench crictl)

lab=$(mktemp -d "${TMPDIR:-/tmp}/bench-XXXXXX")
finish() {
  local status=$?
  if [ $status != 0 ]; then tail -n 20 "$lab"/log/interlink-*.log >&2 || true; fi
  test/lab down "$lab" || true
  exit $status
}
trap finish EXIT
test/lab up "$lab" --plugin slurm --slurm MaxJobCount=20000 >/dev/null
eval "$(test/lab env "$lab")"

# The site's squeue notes each call; the bench's own is another one.
commands=$lab/commands notes=$lab/commands/calls
mkdir "$commands"
: >"$notes"
for name in sbatch squeue scancel sacct; do
  printf '#!/bin/sh\necho %s >>%s\nexec %s "$@"\n' "$name" "$notes.$name" "$(command -v "$name")" >"$commands/$name"
done
sed -i "s|$notes.squeue|$notes|" "$commands/squeue"
chmod 755 "$commands"/s*
test/lab stop-site "$lab"
sed -i "s|^      SlurmConf: .*|&\n      CommandsFolder: \"$commands\"|" "$LAB_SITE_CONFIG"
test/lab start-site "$lab"
eval "$(test/lab env "$lab")"
reachable='.status.conditions[] | select(.type == "SiteReachable").status'
timeout 60 bash -c 'until "$1" info 2>/dev/null | jq -e "$2" >/dev/null; do sleep 0.2; done' - "$tools/crictl" "$reachable"

bench() {
  "$tools/bench" -jobs -socket "$LAB_SOCKET" -logs "$LAB_LOGS" -lab "$LAB_DIR" -node-pid "$LAB_NODE_PID" -site-pid "$LAB_SITE_PID" \
    -site "$LAB_SITE" -pki "$LAB_PKI" -notes "$notes" "$@"
}

echo "machine: $(nproc) cores, $(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo), load $(cut -d' ' -f1 /proc/loadavg); SLURM $(sinfo --version | cut -d' ' -f2)"
echo "== a pod's life"
bench -what life -count $pods
bench -what exits -count $exits
echo "== log, exec"
bench -what log -count $mebibytes
bench -what exec -count $((mebibytes * 4))
echo "== the agent"
agent=$(dirname "$(readlink -f "/proc/$LAB_SITE_PID/exe")")/interlink-agent
printf 'agent              | %.1f MiB one static file\n' "$(stat -c %s "$agent" | awk '{print $1 / 1048576}')"
bench -what memory -count 10
echo "== a queue; the cluster is full"
filler=$(sbatch --parsable --export=NONE --chdir=/ --output=/dev/null --nodes=3 --exclusive --mem=0 --job-name=filler --wrap 'sleep 36000')
timeout 60 bash -c 'until [ "$(squeue -h -j "$1" -o %T)" = RUNNING ]; do sleep 0.2; done' - "$filler"
for count in "${queues[@]}"; do bench -what queue -count "$count"; done
scancel "$filler"
