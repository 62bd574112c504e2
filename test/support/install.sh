#!/usr/bin/env bash
# Installs the Debian 12 packages that building and testing need. Takes no time when all are there.
# usage: install.sh [--peer]      --peer: also containerd, which test/bench/run.sh --peer measures beside us
# Exit codes: 0 all installed, 1 apt failed, 2 something that only you can do (run as root, use Debian).
set -euo pipefail

build=(cmake ninja-build g++ git ccache mold pkg-config
  libgrpc++-dev libprotobuf-dev protobuf-compiler libboost1.81-dev libssl-dev libsqlite3-dev nlohmann-json3-dev
  libyaml-cpp-dev libspdlog-dev libcli11-dev libarchive-dev libseccomp-dev zlib1g-dev libzstd-dev prometheus-cpp-dev)
run=(crun containernetworking-plugins iptables nftables iproute2)
test=(catch2 libcpp-httplib-dev bats clang-16 clang-tidy-16 clang-format-16 libclang-rt-16-dev docker-registry nginx-light
  sqlite3 jq curl python3 openssl procps file util-linux mount e2fsprogs binutils ca-certificates
  slurmctld slurmd slurm-client slurmdbd munge mariadb-server-core charliecloud-runtime
  mariadb-client-core)
case "${1:-}" in
  "") ;;
  --peer) test+=(containerd) ;;
  *) echo "install.sh: unknown argument '$1'; there is --peer" >&2; exit 2 ;;
esac

missing=()
declare -A status=()
while read -r package state; do
  status[${package%%:*}]=$state
done < <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${build[@]}" "${run[@]}" "${test[@]}" 2>/dev/null)
for package in "${build[@]}" "${run[@]}" "${test[@]}"; do
  [ "${status[$package]:-}" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

command="apt-get install -y --no-install-recommends ${missing[*]}"
if ! command -v apt-get >/dev/null 2>&1; then
  echo "install.sh: this machine has no apt-get; the project is built on Debian 12. Missing: ${missing[*]}" >&2
  exit 2
fi
if [ "$(id -u)" != 0 ]; then
  echo "install.sh: ${#missing[@]} packages are missing and only root can install them. Run: sudo $command" >&2
  exit 2
fi
echo "install.sh: installing ${#missing[@]} packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
wait_for_lock=(-o DPkg::Lock::Timeout=300 -q)
if ! apt-get "${wait_for_lock[@]}" update; then
  echo "install.sh: apt-get update failed (above); check the network and /etc/apt/sources.list" >&2
  exit 1
fi
# No service of these packages shall run on this machine: the lab starts its own. An administrator's policy stands.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
fi
if ! apt-get "${wait_for_lock[@]}" install -y --no-install-recommends "${missing[@]}"; then
  echo "install.sh: $command failed (above)" >&2
  exit 1
fi
