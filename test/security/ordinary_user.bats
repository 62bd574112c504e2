#!/usr/bin/env bats
# The node's daemon as a user without any right but to its own files: enough wherever kubelet's folders are that user's.
source "$BATS_TEST_DIRNAME/../system/common.bash"

setup() {
  own_lab
  lab stop-node "$LAB_DIR" >&2
  mkdir -p "$LAB_DIR/kubelet"
  chmod 711 "$LAB_DIR" # the socket is made in it
  sed -i "s|cri-1.sock|own/cri.sock|" "$LAB_NODE_CONFIG"
  mkdir "$LAB_DIR/own"
  chown -R 65534:65534 "$LAB_DIR"/{node-1,logs,kubelet,own,pki,node-1.yaml}
  export CONTAINER_RUNTIME_ENDPOINT=unix://$LAB_DIR/own/cri.sock IMAGE_SERVICE_ENDPOINT=unix://$LAB_DIR/own/cri.sock
  setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --bounding-set -all "$LAB_BUILD/bin/interlink-cri" --config "$LAB_NODE_CONFIG" serve \
    >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
  daemon=$!
  eventually 20 site_is_reachable
}
teardown() {
  cat "$BATS_TEST_TMPDIR/log"
  remove_all
  kill "$daemon" && wait "$daemon" || true
  end_own_lab
}

@test "a pod's life: pull, run, log, exec, stop, remove" {
  same 65534 "$(stat -c %u "/proc/$daemon")"
  crictl pull "$BUSYBOX" >&2
  pod=$(start_pod plain)
  container=$(start_container "$pod" c plain . sh -c "echo hello; $RUN")
  eventually 10 log_has "$container" hello
  same 65534 "$(stat -c %u "$LAB_LOGS/plain/c.log")"
  same 0 "$(crictl exec -s "$container" id -u)"
  crictl exec "$container" true
  crictl stop -t 2 "$container" >&2
  crictl rmp -f "$pod" >&2
  same '' "$(crictl pods -q)"
}
