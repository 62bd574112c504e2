#!/usr/bin/env bash
# Installs the Debian 12 packages that building and testing need. Fast when all are there.
set -euo pipefail

build=(cmake ninja-build g++ git ccache mold pkg-config
  libgrpc++-dev libprotobuf-dev protobuf-compiler libboost1.81-dev libssl-dev libsqlite3-dev nlohmann-json3-dev
  libyaml-cpp-dev libspdlog-dev libcli11-dev libarchive-dev zlib1g-dev libzstd-dev prometheus-cpp-dev)
run=(crun containernetworking-plugins iptables iproute2)
test=(catch2 libcpp-httplib-dev bats clang-16 clang-tidy-16 clang-format-16 libclang-rt-16-dev docker-registry nginx-light
  sqlite3 jq curl python3 openssl procps file util-linux)

missing=()
for package in "${build[@]}" "${run[@]}" "${test[@]}"; do
  [ "$(dpkg-query -W -f '${Status}' "$package" 2>/dev/null)" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "installing: ${missing[*]}"
if [ "$(id -u)" != 0 ]; then
  echo "run as root: apt-get install ${missing[*]}" >&2
  exit 2
fi
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=300 update -q
apt-get -o DPkg::Lock::Timeout=300 install -y -q --no-install-recommends "${missing[@]}"
