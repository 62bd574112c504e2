#!/usr/bin/env bash
# published_descriptor.sh MODULE_DIR OUT_DIR
# Writes OUT_DIR/published.desc: the descriptor set of the published CRI definition, from the Go module that MODULE_DIR
# pins by checksum. Writes nothing outside OUT_DIR and Go's module cache.
set -euo pipefail

module=$1
out=$2
command -v go >/dev/null || { echo "go is not installed: it downloads the pinned module k8s.io/cri-api" >&2; exit 1; }
command -v protoc >/dev/null || { echo "protoc is not installed: apt-get install protobuf-compiler" >&2; exit 1; }

rm -rf "$out"
mkdir -p "$out/module" "$out/proto"
cp "$module/go.mod" "$module/go.sum" "$out/module/"
cd "$out/module"
export GOFLAGS=-mod=readonly GOWORK=off GOTOOLCHAIN=local
go mod download k8s.io/cri-api
cmp go.sum "$module/go.sum" || { echo "the checksum of k8s.io/cri-api is not the pinned one" >&2; exit 1; }
folder=$(go list -m -f '{{.Dir}}' k8s.io/cri-api)

# protoc 3.21 does not know the option; it changes nothing on the wire.
sed 's/ *\[debug_redact *= *true\]//' "$folder/pkg/apis/runtime/v1/api.proto" >"$out/proto/api.proto"
protoc -I "$out/proto" --descriptor_set_out="$out/published.desc" api.proto
