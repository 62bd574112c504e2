#!/usr/bin/env bash
# Builds the test clients once into a cache folder and prints that folder:
#   crictl, critest   the real ones, from the Go module proxy, pinned by go.mod and go.sum
#   parked, bench     our own small CRI clients (cmd/), with the published CRI module
#   spdy              our own small SPDY client, with the library of kubectl
# usage: build-tools.sh [crictl|critest|parked|bench|spdy]...     default: crictl
# Exit codes: 0, 1 the build failed, 2 Go is missing or too old, or an unknown name.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
wanted=("$@")
[ ${#wanted[@]} -gt 0 ] || wanted=(crictl)

get_go="Go 1.26 or newer is needed. Get it from https://go.dev/dl/ : unpack the archive to /usr/local and put
  /usr/local/go/bin into PATH, then run this again."
if ! command -v go >/dev/null 2>&1; then
  echo "build-tools.sh: there is no go in PATH. $get_go" >&2
  exit 2
fi
version=$(GOTOOLCHAIN=local go env GOVERSION)
version=${version#go}
if ! printf '1.26\n%s\n' "${version%% *}" | sort -V -C; then
  echo "build-tools.sh: go in PATH is $version. $get_go" >&2
  exit 2
fi

# Our clients are rebuilt when their source changes, the real ones when the pins do.
pins=$(cat "$here/go.mod" "$here/go.sum" | sha256sum | cut -c1-16)
out=${XDG_CACHE_HOME:-$HOME/.cache}/interlink-cri/tools/$pins
mkdir -p "$out"
export GOFLAGS=-mod=readonly GOTOOLCHAIN=local CGO_ENABLED=0 GOWORK=off
cd "$here"
exec 9>"$out/.lock"
flock 9

build() {
  local tool=$1 release=v1.36.0 ldflags
  release=$(go list -m -f '{{.Version}}' sigs.k8s.io/cri-tools)
  ldflags="-s -w -X sigs.k8s.io/cri-tools/pkg/version.Version=${release#v}"
  local plain=(-trimpath -buildvcs=false -ldflags "$ldflags" -o "$out/$tool.new")
  case $tool in
    crictl) go build -tags selinux,notest,grpcnotrace "${plain[@]}" sigs.k8s.io/cri-tools/cmd/crictl ;;
    critest) go test -c "${plain[@]}" sigs.k8s.io/cri-tools/cmd/critest ;;
    *) go build -tags grpcnotrace "${plain[@]}" "./cmd/$tool" ;;
  esac
  mv "$out/$tool.new" "$out/$tool"
}

for tool in "${wanted[@]}"; do
  case $tool in
    crictl | critest) [ -x "$out/$tool" ] && continue ;;
    parked | bench | spdy) [ -x "$out/$tool" ] && [ -z "$(find cmd internal -newer "$out/$tool" -type f -print -quit)" ] && continue ;;
    *) echo "build-tools.sh: unknown tool '$tool': crictl, critest, parked, bench or spdy" >&2; exit 2 ;;
  esac
  echo "build-tools.sh: building $tool (once; crictl takes 1 to 2 minutes from nothing)" >&2
  build "$tool"
done
echo "$out"
