#!/usr/bin/env bash
# Builds the test clients once into a cache folder and prints that folder:
#   crictl, critest   the real ones, from the Go module proxy, pinned by go.mod and go.sum
#   ginkgo            of critest's version: critest -parallel runs it from PATH
#   newest-critest, newest-ginkgo   the newest release, which has more specs; pinned by newest/go.mod and go.sum
#   parked, bench     our own small CRI clients (cmd/), with the published CRI module
#   hostile           our own client that means no good
#   issuer            our own small issuer of OpenID Connect
#   spdy              our own small SPDY client, with the library of kubectl
#   storm             our own client that kills what carries pods of SLURM
#   streams           our own client of exec, attach and port-forward, with the libraries of crictl and kubectl
#   kubelet kube-apiserver kube-controller-manager kube-scheduler kubectl etcd, or kubernetes for all of these
#                     the real ones, pinned by kubernetes/go.mod and go.sum: 8 minutes from nothing, 4 GB of Go's caches
# Each set of pins has a folder of its own: of several, all are printed, as "A:B" for PATH, the newest ones first.
# usage: build-tools.sh [NAME]...     default: crictl
# Exit codes: 0, 1 the build failed, 2 Go is missing or too old, or an unknown name.
set -euo pipefail
shopt -s inherit_errexit
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

cache=${XDG_CACHE_HOME:-$HOME/.cache}/interlink-cri/tools
export GOFLAGS=-mod=readonly GOTOOLCHAIN=local CGO_ENABLED=0 GOWORK=off

# A folder per set of pins. Our clients are rebuilt when their source changes, the real ones when the pins do.
folder_of() { echo "$cache/$(cat "$1/go.mod" "$1/go.sum" | sha256sum | cut -c1-16)"; }
version_of() { go list -m -f '{{.Version}}' "$1"; }

build() { # TOOL OUTPUT, in the folder of its module
  local tool=$1 release minor ldflags="-s -w" component=k8s.io/component-base/version
  case $tool in
    kube*)
      release=$(version_of k8s.io/kubernetes) minor=${release#v*.}
      ldflags="$ldflags -X $component.gitVersion=$release -X $component.gitMajor=1 -X $component.gitMinor=${minor%%.*} -X $component.gitTreeState=clean" ;;
    cri*)
      release=$(version_of sigs.k8s.io/cri-tools)
      ldflags="$ldflags -X sigs.k8s.io/cri-tools/pkg/version.Version=${release#v}" ;;
  esac
  local plain=(-trimpath -buildvcs=false -ldflags "$ldflags" -o "$2") tags=selinux,notest,grpcnotrace
  case $tool in
    kube*) go build -tags $tags "${plain[@]}" "k8s.io/kubernetes/cmd/$tool" ;;
    etcd) go build -tags $tags "${plain[@]}" go.etcd.io/etcd/server/v3 ;;
    crictl) go build -tags $tags "${plain[@]}" sigs.k8s.io/cri-tools/cmd/crictl ;;
    ginkgo) go build "${plain[@]}" github.com/onsi/ginkgo/v2/ginkgo ;;
    critest) go test -c "${plain[@]}" sigs.k8s.io/cri-tools/cmd/critest ;;
    *) go build -tags grpcnotrace "${plain[@]}" "./cmd/$tool" ;;
  esac
}

have() { # TOOL FOLDER: it is built, and newer than its source
  [ -x "$2/$1" ] || return 1
  case $1 in
    hostile | issuer | parked | bench | spdy | storm | streams) [ -z "$(find "$here/cmd" "$here/internal" -newer "$2/$1" -type f -print -quit)" ] ;;
  esac
}

provide() { # MODULE_FOLDER TOOL...: builds what is missing and prints the folder
  local module=$1 out tool
  out=$(folder_of "$module")
  shift
  mkdir -p "$out"
  exec 9>"$out/.lock"
  flock 9
  cd "$module"
  for tool in "$@"; do
    have "$tool" "$out" && continue
    echo "build-tools.sh: building $tool (once; from nothing crictl takes 1 to 2 minutes, Kubernetes about 8)" >&2
    build "$tool" "$out/$tool.new"
    mv "$out/$tool.new" "$out/$tool"
  done
  exec 9>&-
  echo "$out"
}

clients=() kubernetes=() newest=()
for tool in "${wanted[@]}"; do
  case $tool in
    crictl | critest | ginkgo | hostile | issuer | parked | bench | spdy | storm | streams) clients+=("$tool") ;;
    newest-critest | newest-ginkgo) newest+=("${tool#newest-}") ;;
    kubelet | kube-apiserver | kube-controller-manager | kube-scheduler | kubectl | etcd) kubernetes+=("$tool") ;;
    kubernetes) kubernetes+=(kubelet kube-apiserver kube-controller-manager kube-scheduler kubectl etcd) ;;
    *)
      echo "build-tools.sh: unknown tool '$tool'; there are: crictl critest ginkgo newest-critest newest-ginkgo hostile issuer parked" \
        "bench spdy storm streams kubernetes kubelet kube-apiserver kube-controller-manager kube-scheduler kubectl etcd" >&2
      exit 2 ;;
  esac
done
folders=
add() { # MODULE_FOLDER [TOOL...]
  local folder
  [ $# -gt 1 ] || return 0
  folder=$(provide "$@")
  folders=$folders${folders:+:}$folder
}
add "$here/newest" "${newest[@]}"
add "$here" "${clients[@]}"
add "$here/kubernetes" "${kubernetes[@]}"
echo "$folders"
