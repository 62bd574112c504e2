#!/usr/bin/env bats
# LEAK_PODS pods (default 200) started one after the other and all removed: nothing is left on either side.
source "$BATS_TEST_DIRNAME/../common.bash"

setup_file() {
  own_lab --masquerade
  crictl pull "$BUSYBOX"
}
teardown_file() { end_own_lab; }

# bounded MAXIMUM [REST_OF_LINE]: numbers up to that are the same for us. Kept connections and the threads of gRPC's pool
# come and go; what 200 pods left behind would be far more.
bounded() { awk -v max="$1" -v rest="${2:-}" '$0 ~ "^ *[0-9]+" rest && $1 <= max { $1 = "at most " max } { print }'; }

# Everything that a pod could leave behind, as text.
snapshot() {
  echo "processes"; pgrep -af "$LAB_DIR/" | grep -c interlink-shim || true; pgrep -c crun || true
  echo "mounts"; grep -c -- "$LAB_DIR" /proc/self/mountinfo || true
  echo "namespaces"; ls /run/netns 2>/dev/null || true
  echo "cgroups"; find /sys/fs/cgroup -type d -name '*-'"$LAB_TAG"'-*' -prune -exec find {} -mindepth 1 -type d \; ; find /sys/fs/cgroup -regextype posix-extended -type d -regex '.*/[^/]*[0-9a-f]{64}[^/]*' ! -path '*/ilt*' ! -path '*/lab-*-kubelet/*'
  echo "links"; ip -o link show master "$LAB_BRIDGE" | wc -l
  echo "iptables"; iptables-save | grep -v '^[#:]' | sort; iptables-save | grep -o '^:CNI[^ ]*' | sort
  for daemon in "$LAB_NODE_PID" "$LAB_SITE_PID"; do
    echo "descriptors of $(cat "/proc/$daemon/comm")"
    for fd in "/proc/$daemon"/fd/*; do readlink "$fd" || true; done | sed -E 's/\[[0-9]+\]//; s/[0-9a-f]{64}/ID/g' | sort | uniq -c |
      bounded 24 ' +socket:$'
    echo "threads"; awk '/^Threads/ {print $2}' "/proc/$daemon/status" | bounded 80
  done
  echo "files"; find "$LAB_DIR/site" "$LAB_DIR/node-1" "$LAB_DIR/cni" -ignore_readdir_race ! -name '*-wal' ! -name '*-shm' ! -name '*-journal' ! -name 'last_reserved*' | sort
}

churn() { # FIRST LAST
  local n id
  for n in $(seq "$1" "$2"); do
    filter=.
    ((n % 10)) || filter=".port_mappings = [{container_port: 80, host_port: $((20000 + n)), protocol: 0}]"
    pod=$(start_pod "leak-$n" "$filter")
    id=$(start_container "$pod" c "leak-$n" '.linux.resources.memory_limit_in_bytes = 50000000' sh -c "echo started; $RUN")
    case $((n % 4)) in
      0) crictl exec -s "$id" true ;;
      1) crictl stop -t 5 "$id" && crictl rm "$id" ;;
      2) crictl stopp "$pod" ;;
    esac >/dev/null
  done
}

trash_is_empty() { [ -z "$(find "$LAB_DIR/site" -ignore_readdir_race -path '*/pods/*/trash/*' -print -quit)" ]; }
unchanged() { snapshot >"$BATS_FILE_TMPDIR/after" && diff "$BATS_FILE_TMPDIR/before" "$BATS_FILE_TMPDIR/after"; }

@test "${LEAK_PODS:-200} pods leave nothing behind" {
  churn 1 12
  remove_all
  same "" "$(crictl pods -q)$(crictl ps -aq)"
  eventually 30 trash_is_empty
  snapshot >"$BATS_FILE_TMPDIR/before"

  churn 101 $((100 + ${LEAK_PODS:-200}))
  same "${LEAK_PODS:-200}" "$(crictl pods -q | wc -l)"
  remove_all
  same "" "$(crictl pods -q)$(crictl ps -aq)"
  # Idle connections between the daemons are closed after 30 s.
  eventually 90 unchanged || { diff "$BATS_FILE_TMPDIR/before" "$BATS_FILE_TMPDIR/after" >&2; false; }
}
