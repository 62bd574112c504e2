#!/usr/bin/env bash
# Builds the real crictl (and critest when asked) from the Go module proxy, pinned by go.sum, once into a cache folder.
# usage: build-tools.sh [crictl] [critest]     prints the folder that holds them
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
wanted=("$@")
[ ${#wanted[@]} -gt 0 ] || wanted=(crictl)

if ! command -v go >/dev/null 2>&1; then
  echo "go is missing: install Go 1.26 or newer (go.dev/dl) and put it into PATH" >&2
  exit 2
fi
version=$(GOTOOLCHAIN=local go env GOVERSION | sed 's/^go//')
if ! printf '1.26\n%s\n' "$version" | sort -V -C; then
  echo "go $version is too old: Go 1.26 or newer is needed (go.dev/dl)" >&2
  exit 2
fi

sum=$(cat "$here/go.mod" "$here/go.sum" | sha256sum | cut -c1-16)
out=${INTERLINK_TOOLS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/interlink-cri/tools}/$sum
mkdir -p "$out"
export GOFLAGS=-mod=readonly GOTOOLCHAIN=local CGO_ENABLED=0 GOWORK=off
cd "$here"
release=$(go list -m -f '{{.Version}}' sigs.k8s.io/cri-tools)
ldflags="-s -w -X sigs.k8s.io/cri-tools/pkg/version.Version=${release#v}"
for tool in "${wanted[@]}"; do
  [ -x "$out/$tool" ] && continue
  echo "building $tool ${release#v} (once, 1 to 2 minutes)" >&2
  case $tool in
    crictl) go build -trimpath -buildvcs=false -tags selinux,notest,grpcnotrace -ldflags "$ldflags" -o "$out/crictl.new" sigs.k8s.io/cri-tools/cmd/crictl ;;
    critest) go test -c -trimpath -buildvcs=false -ldflags "$ldflags" -o "$out/critest.new" sigs.k8s.io/cri-tools/cmd/critest ;;
    *) echo "unknown tool $tool: crictl or critest" >&2; exit 2 ;;
  esac
  mv "$out/$tool.new" "$out/$tool"
done
echo "$out"
