# Daemons of one test beside the lab's. Sourced after common.bash.

cri() { timeout 60 "$LAB_BUILD/bin/interlink-cri" "$@"; }
api() { timeout 60 "$LAB_BUILD/bin/interlink-api" "$@"; }
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Those whose pids are in `daemons`.
end_daemons() {
  local daemon
  for daemon in ${daemons:-}; do
    kill "$daemon" 2>/dev/null || true
    wait "$daemon" 2>/dev/null || true
  done
}

# A site of its own with the fake plugin and the given lines in its configuration: sets url and site_file.
own_site() {
  local port
  port=$(free_port)
  mkdir "$BATS_TEST_TMPDIR/site"
  site_file=$BATS_TEST_TMPDIR/site.yaml
  cat >"$site_file" <<EOF
SiteName: "identity"
Address: "127.0.0.1"
Port: $port
TLS:
  CertFile: "$LAB_PKI/server.crt"
  KeyFile: "$LAB_PKI/server.key"
  CACertFile: "$LAB_PKI/ca.crt"
DataRootFolder: "$BATS_TEST_TMPDIR/site"
$1
Plugins:
  - Name: fake
    Path: "$LAB_BUILD/lib/interlink/plugins/fake.so"
    Handlers:
      - Name: fake
EOF
  url=https://127.0.0.1:$port
  "$LAB_BUILD/bin/interlink-api" serve --config "$site_file" >"$BATS_TEST_TMPDIR/site.log" 2>&1 3>&- &
  daemons="${daemons:-} $!"
  eventually 20 curl -sf --cacert "$LAB_PKI/ca.crt" --cert "$LAB_PKI/node-1.crt" --key "$LAB_PKI/node-1.key" "$url/healthz"
}

# The status of GET /v1/info with the node's certificate and what else curl is told.
ask() { curl -sS --max-time 10 --cacert "$LAB_PKI/ca.crt" --cert "$LAB_PKI/node-1.crt" --key "$LAB_PKI/node-1.key" -o "$BATS_TEST_TMPDIR/body" -w '%{http_code}' "$@" "$url/v1/info"; }

# --- a policy of the lab's site; its text comes on stdin

restart_lab_site() {
  lab stop-site "$LAB_DIR" >&2
  lab start-site "$LAB_DIR" >&2
  eventually 20 site_is_reachable
}
begin_policy() {
  export POLICY=$LAB_DIR/policy.yaml
  cat >"$POLICY"
  printf 'Policy:\n  File: "%s"\n' "$POLICY" >>"$LAB_SITE_CONFIG"
  restart_lab_site
}
# Another one, in force when it returns.
exchange_policy() {
  local before
  before=$(policy_reads)
  cat >"$POLICY.new"
  mv "$POLICY.new" "$POLICY"
  eventually 10 policy_was_read_since "$before"
}
policy_reads() { grep -c "the policy was read again" "$LAB_SITE_LOG" || true; }
policy_was_read_since() { [ "$(policy_reads)" -gt "$1" ]; }
