#!/usr/bin/env bash
# Figures of the whole path: crictl's calls by gRPC -> interlink-cri -> HTTPS -> interlink-api -> plugin. No verdict.
#
# usage: test/bench/run.sh [--peer]      INTERLINK_SHORT=1: a quarter of the work. INTERLINK_BUILD: default build/release
#   --peer: only what containerd with crun can be compared in, both in turn in one run, same network and registry
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
pods=60 many=100 mebibytes=256 containers=10000
[ -z "${INTERLINK_SHORT:-}" ] || pods=20 many=10 mebibytes=64 containers=2000
peer=
case "${1:-}" in
  "") ;;
  --peer) peer=yes; test/support/install.sh --peer ;;
  *) echo "run.sh: unknown argument '$1'; there is --peer" >&2; exit 2 ;;
esac
tools=$(test/support/tools/build-tools.sh bench issuer)
export PATH=$tools:$PATH

labs=()
finish() {
  local status=$?
  if [ $status != 0 ]; then tail -n 20 "${labs[-1]}"/log/interlink-*.log >&2 || true; fi
  for folder in "${labs[@]}"; do test/lab down "$folder" || true; done
  exit $status
}
trap finish EXIT

begin() { # [lab options]
  local folder
  folder=$(mktemp -d "${TMPDIR:-/tmp}/bench-XXXXXX")
  labs+=("$folder")
  test/lab up "$folder" "$@" >/dev/null
  eval "$(test/lab env "$folder")"
}
bench() {
  local compared=()
  [ -z "$LAB_PEER_SOCKET" ] || compared=(-peer "$LAB_PEER_SOCKET" -peer-name containerd)
  "$tools/bench" "${compared[@]}" -socket "$LAB_SOCKET" -logs "$LAB_LOGS" -lab "$LAB_DIR" -node-pid "$LAB_NODE_PID" -site-pid "$LAB_SITE_PID" "$@"
}
end() {
  test/lab down "${labs[-1]}"
  unset 'labs[-1]'
}

echo "machine: $(nproc) cores, $(awk '/MemTotal/ {printf "%.0f GiB", $2 / 1048576}' /proc/meminfo), load $(cut -d' ' -f1 /proc/loadavg)"
if [ -n "$peer" ]; then
  echo "peer: $(containerd --version | cut -d' ' -f1-3), $(crun --version | head -n 1)"
  echo "== plain bridge; targets CreatePod 45, StartContainer 40, StopPod 60, exec 25 ms"
  begin --peer
  bench -what life -count $pods
  echo "== log; target 100 MB/s"
  bench -what log -count $mebibytes
  echo "== exec; target 150 MB/s"
  bench -what exec -count $((mebibytes * 4))
  end
  echo "== bridge with ipMasq; target 0.7 of the peer"
  begin --peer --masquerade
  bench -what life -count $pods
  end
  exit 0
fi
echo "== plain bridge; targets CreatePod 45, StartContainer 40, StopPod 60, ExecSync 25 ms"
begin
bench -what life -count $pods
echo "== log; target 100 MB/s"
bench -what log -count $mebibytes
echo "== exec; target 150 MB/s"
bench -what exec -count $((mebibytes * 4))
echo "== memory; targets: node 40 MB at 100 pods, shim 0.2 MB private"
bench -what memory -count $many
end
echo "== bridge with ipMasq"
begin --masquerade
bench -what life -count $pods
end
echo "== single decisions; targets RS256 30, policy 20, audit record 10 us"
build=${INTERLINK_BUILD:-build/release}
cmake --build "$build" --target security_bench >/dev/null
scratch=$(mktemp -d "${TMPDIR:-/tmp}/bench-XXXXXX")
"$build/test/security_bench" "$scratch"
rm -r "$scratch"
echo "== plain bridge with certificate, token, policy and audit; target CreatePod 3 ms above the first table's"
begin
test/support/lab/secure.sh "${labs[-1]}" >/dev/null
eval "$(test/lab env "${labs[-1]}")" # other processes
bench -what life -count $pods
end
echo "== lists, fake plugin; target 10 ms server side for 10,000"
begin --fake
bench -what list -count $containers
end
