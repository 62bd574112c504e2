# Daemons of one test beside the lab's. Sourced after common.bash.

cri() { timeout 60 "$LAB_BUILD/bin/interlink-cri" "$@"; }
api() { timeout 60 "$LAB_BUILD/bin/interlink-api" "$@"; }
free_port() { PYTHONPATH="$BATS_TEST_DIRNAME/../support/lab" python3 -c 'import settings; print(settings.free_port())'; }

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
