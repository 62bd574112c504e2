# What the system tests share. A lab is given by LAB (kept afterwards) or started by the suite (setup_suite.bash).
set -euo pipefail
SYSTEM=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PROJECT=$(cd "$SYSTEM/../.." && pwd)
BUSYBOX=docker.io/library/busybox:latest
export SYSTEM PROJECT BUSYBOX

# Tells why a test fails; bats shows it.
fail() {
  echo "$*" >&2
  return 1
}

# eventually SECONDS COMMAND...: looks every 0.1 s until the command succeeds.
eventually() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    # An explicit return everywhere here: behind || and in conditions nothing ends at an error.
    ((SECONDS < deadline)) || { fail "not within its time: $*"; return 1; }
    sleep 0.1
  done
}

# always SECONDS COMMAND...: the command succeeds each time during these seconds.
always() {
  local deadline=$((SECONDS + $1))
  shift
  while ((SECONDS < deadline)); do
    "$@" || { fail "did not hold: $*"; return 1; }
    sleep 0.2
  done
}

# The command fails, and its output has that text (an extended regular expression, any case).
refused() {
  local text=$1
  shift
  local out
  if out=$("$@" 2>&1); then fail "succeeded: $*: $out"; return 1; fi
  grep -Eqi -- "$text" <<<"$out" || fail "failed otherwise: $* answered: $out"
}

# The command finds nothing and says nothing. (bats does not notice a "! command" that is not a test's last line.)
none() {
  local out
  if out=$("$@"); then fail "there is something: $* answered: $out"; return 1; fi
  [ -z "$out" ] || fail "there is something: $* answered: $out"
}

# Behind a pipe: a match as grep finds it. It reads to the end; grep -q would end its writer by SIGPIPE, which pipefail tells.
has() { grep "$@" >/dev/null; }

same() { # EXPECTED GOT [WHAT]
  [ "$1" = "$2" ] || fail "${3:-value}: expected '$1', got '$2'"
}

lab() { "$PROJECT/test/lab" "$@"; }
use_lab() { eval "$(lab env "$1" "${2:-1}")"; }

# Starts a lab for this test file: its folder is LAB_DIR.
own_lab() {
  local folder
  folder=$(mktemp -d /tmp/lab-XXXXXX)
  lab up "$folder" "$@" >&2
  use_lab "$folder"
}
end_own_lab() { [ -z "${LAB_DIR:-}" ] || lab down "$LAB_DIR"; }

# write_pod NAME [JQ_FILTER]: prints the file. The name is the uid too.
write_pod() {
  local file=$BATS_TEST_TMPDIR/pod-$1.json
  jq -n --arg name "$1" --arg logs "$LAB_LOGS/$1" '{metadata: {name: $name, namespace: "default", uid: $name, attempt: 0},
    hostname: $name, log_directory: $logs, linux: {}}' | jq "${2:-.}" >"$file"
  echo "$file"
}

# write_container NAME POD_NAME JQ_FILTER COMMAND...: prints the file.
write_container() {
  local name=$1 pod=$2 filter=$3 file=$BATS_TEST_TMPDIR/container-$2-$1.json
  shift 3
  jq -n --arg name "$name" --arg pod "$pod" --arg image "$BUSYBOX" '{metadata: {name: $name, attempt: 0},
    image: {image: $image}, command: $ARGS.positional, log_path: ($name + ".log"), linux: {},
    labels: {"io.kubernetes.pod.name": $pod, "io.kubernetes.pod.namespace": "default",
      "io.kubernetes.pod.uid": $pod, "io.kubernetes.container.name": $name}}' --args -- "$@" | jq "${filter:-.}" >"$file"
  echo "$file"
}

start_pod() { crictl runp "$(write_pod "$@")"; } # NAME [JQ_FILTER]

# create POD_ID NAME POD_NAME JQ_FILTER COMMAND...: prints the id.
create() {
  local pod=$1
  shift
  crictl create "$pod" "$(write_container "$@")" "$BATS_TEST_TMPDIR/pod-$2.json"
}

# start_container: create and start.
start_container() {
  local id
  id=$(create "$@")
  crictl start "$id" >/dev/null
  echo "$id"
}

# A command that runs until TERM.
RUN='trap "exit 0" TERM; while :; do sleep 3600 & wait $!; done'

# Since the last start of either side, as kubelet sees it: until then nothing new is begun.
site_is_reachable() { crictl info | jq -e '.status.conditions[] | select(.type == "SiteReachable") | .status' | has true; }

pod_state() { crictl inspectp "$1" | jq -r .status.state; }
container_state() { crictl inspect "$1" | jq -r .status.state; }
is_exited() { [ "$(container_state "$1")" = CONTAINER_EXITED ]; }
log_of() { crictl logs "$1" 2>&1; }
log_has() { log_of "$1" | has -- "$2"; }

remove_all() { crictl rmp -fa >/dev/null 2>&1 || true; }

# A request to the site as the lab's first node: site METHOD PATH [curl arguments].
site() {
  local method=$1 path=$2
  shift 2
  curl -sS --max-time 20 --cacert "$LAB_PKI/ca.crt" --cert "$LAB_PKI/node-1.crt" --key "$LAB_PKI/node-1.key" -X "$method" "$LAB_SITE$path" "$@"
}
