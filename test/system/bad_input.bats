#!/usr/bin/env bats
# What is wrong is refused with a text that says what would be right, and nothing is left.
source "$BATS_TEST_DIRNAME/common.bash"

cri() { timeout 60 "$LAB_BUILD/bin/interlink-cri" "$@"; }
api() { timeout 60 "$LAB_BUILD/bin/interlink-api" "$@"; }

changed() { # FILE SED [TEXT_TO_APPEND]: a changed copy; prints its name
  local file=$BATS_TEST_TMPDIR/config.yaml
  sed "$2" "$1" >"$file"
  printf '%s' "${3:-}" >>"$file"
  echo "$file"
}
user_error() { # TEXT COMMAND...: exit code 2 and that text
  local text=$1
  shift
  run "$@"
  [ "$status" = 2 ] || fail "exit code $status instead of 2: $output"
  grep -Eqi -- "$text" <<<"$output" || fail "no '$text' in: $output"
}

@test "configuration: the defaults are accepted and version answers" {
  cri config --default >"$BATS_TEST_TMPDIR/default.yaml"
  grep -q 'SocketPath' "$BATS_TEST_TMPDIR/default.yaml"
  cri version | has interlink-cri
  api version | has interlink-api
  cri check --config "$LAB_NODE_CONFIG"
  api check --config "$LAB_SITE_CONFIG"
}

@test "configuration: unknown, duplicate and wrong keys are refused with file and line" {
  user_error "config.yaml:[0-9]+.*SocketPath" cri check --config "$(changed "$LAB_NODE_CONFIG" 's/SocketPath/SocketPth/')"
  user_error "config.yaml:[0-9]+.*DataRootFolder" cri check --config "$(changed "$LAB_NODE_CONFIG" '' $'DataRootFolder: "/x"\n')"
  user_error "config.yaml:[0-9]+" cri check --config "$(changed "$LAB_NODE_CONFIG" '' $'a: [\n')"
  user_error "config.yaml:[0-9]+" cri check --config "$(changed "$LAB_NODE_CONFIG" '' $'---\nx: 1\n')"
  user_error "Interlinkport.*port" cri check --config "$(changed "$LAB_NODE_CONFIG" 's/^Interlinkport:.*/Interlinkport: "eighty"/')"
  user_error "VerboseLogging.*true or false" cri check --config "$(changed "$LAB_NODE_CONFIG" 's/^VerboseLogging:.*/VerboseLogging: "yes"/')"
  user_error "https" cri check --config "$(changed "$LAB_NODE_CONFIG" 's|https://127.0.0.1|http://site.example.org|')"
  user_error "no/such" cri check --config /no/such/config.yaml
  user_error "handler" api check --config "$(changed "$LAB_SITE_CONFIG" 's/- Name: local$/- Name: "Not A Handler"/')"
  user_error "Plugins" api check --config "$(changed "$LAB_SITE_CONFIG" '/^Plugins:/,$d')"
}

@test "certificates: missing, not fitting, expired, of strangers" {
  user_error "no-such|not found|No such" cri check --config "$(changed "$LAB_NODE_CONFIG" 's|pki/node-1.crt|pki/no-such.crt|')"
  user_error "key.*(fit|match|belong)|(fit|match|belong).*key" cri check --config "$(changed "$LAB_NODE_CONFIG" 's|pki/node-1.key|pki/stranger.key|')"
  user_error "expired" cri check --config "$(changed "$LAB_NODE_CONFIG" 's|pki/node-1\.|pki/expired.|')"
  run cri check --online --config "$(changed "$LAB_NODE_CONFIG" 's|pki/node-1\.|pki/stranger.|')"
  [ "$status" != 0 ] || fail "a stranger's certificate was taken: $output"
  run cri check --online --config "$(changed "$LAB_NODE_CONFIG" 's|pki/ca.crt|pki/other-ca.crt|')"
  [ "$status" != 0 ] || fail "a site of another authority was taken: $output"
  cri check --online --config "$LAB_NODE_CONFIG"
}

@test "the site serves nobody without a certificate, and nobody of another authority" {
  refused "certificate|alert|SSL|handshake" curl -sS --max-time 10 --cacert "$LAB_PKI/ca.crt" "$LAB_SITE/v1/info"
  refused "certificate|alert|SSL|unknown ca" curl -sS --max-time 10 --cacert "$LAB_PKI/ca.crt" --cert "$LAB_PKI/stranger.crt" --key "$LAB_PKI/stranger.key" "$LAB_SITE/v1/info"
  refused "certificate|alert|SSL|expired" curl -sS --max-time 10 --cacert "$LAB_PKI/ca.crt" --cert "$LAB_PKI/expired.crt" --key "$LAB_PKI/expired.key" "$LAB_SITE/v1/info"
  site GET /v1/info -H 'Accept: application/json' | jq -e '.handlers | length > 0'
}

@test "REST: unknown routes, methods, types and bodies" {
  id=$(printf 'cd%.0s' {1..32})
  code() { site "$@" -o "$BATS_TEST_TMPDIR/body" -w '%{http_code}'; }
  problem() { jq -e '.code and .detail' "$BATS_TEST_TMPDIR/body"; }
  same 404 "$(code GET /v1/no-such-route)"; problem
  same 405 "$(code PATCH /v1/sandboxes)"; problem
  same 404 "$(code GET /v1/sandboxes/$id)"; problem
  same 415 "$(code PUT /v1/sandboxes/$id -H 'Content-Type: text/plain' -d x)"; problem
  for body in '{' '[]' '{"no_such_field": 1}' '{"handler": "local", "handler": "local"}' "{'a': 1}" '{"handler": 1}'; do
    same 400 "$(code PUT /v1/sandboxes/$id -H 'Content-Type: application/json' -d "$body")"; problem
  done
  for path in /v1/sandboxes/short /v1/sandboxes/..%2f..%2fetc /v1/sandboxes/$id%00; do
    [[ $(code GET "$path") == 40[04] ]]; problem
  done
  head -c 17000000 /dev/zero >"$BATS_TEST_TMPDIR/big"
  same 413 "$(code PUT /v1/sandboxes/$id -H 'Content-Type: application/x-protobuf' --data-binary @"$BATS_TEST_TMPDIR/big")"
}

@test "REST: a changing request without this node's link is refused without effect" {
  id=$(printf 'ef%.0s' {1..32})
  before=$(site GET /v1/sandboxes -H 'Accept: application/json')
  status=$(site DELETE "/v1/sandboxes/$id?handler=local" -o "$BATS_TEST_TMPDIR/body" -w '%{http_code}' -H 'Interlink-Link: 999999')
  [[ $status == 409 || $status == 400 ]] || fail "$status $(cat "$BATS_TEST_TMPDIR/body")"
  same "$before" "$(site GET /v1/sandboxes -H 'Accept: application/json')"
}

@test "REST: two requests in one packet, chunked and slow ones, and what is no HTTP" {
  tls() { timeout 20 openssl s_client -quiet -connect "${LAB_SITE#https://}" -CAfile "$LAB_PKI/ca.crt" -cert "$LAB_PKI/node-1.crt" -key "$LAB_PKI/node-1.key" -verify_quiet 2>/dev/null; }
  same 2 "$(printf 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' | tls | grep -c '^HTTP/1.1 200')"
  printf 'PUT /v1/sandboxes/x HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{}\r\n0\r\n\r\n' | tls | has -E '^HTTP/1.1 4'
  printf 'GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n' | tls | has -E '^HTTP/1.1 400'
  printf 'hello\r\n\r\n' | tls | has -E '^HTTP/1.1 400'
  # A client that never finishes its request is told so and closed.
  (printf 'PUT /v1/sandboxes/x HTTP/1.1\r\nHost: a\r\n'; timeout 19 tail -f /dev/null) | tls >"$BATS_TEST_TMPDIR/slow" &
  slow=$!
  same 200 "$(site GET /healthz -o /dev/null -w '%{http_code}')"
  wait "$slow" || true # of timeout
  grep -Eq '^HTTP/1.1 408' "$BATS_TEST_TMPDIR/slow"
}

@test "the CRI socket answers HTTP too and is not for everybody" {
  same 660 "$(stat -c %a "$LAB_SOCKET")"
  for method in GET POST; do
    same 200 "$(curl -s -o /dev/null -w '%{http_code}' -X $method --unix-socket "$LAB_SOCKET" http://localhost/healthz)"
  done
  same 200 "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$LAB_SOCKET" http://localhost/readyz)"
  curl -s --unix-socket "$LAB_SOCKET" http://localhost/metrics | has '^interlink_'
  same 404 "$(curl -s -o /dev/null -w '%{http_code}' --unix-socket "$LAB_SOCKET" http://localhost/no-such)"
  cri status --config "$LAB_NODE_CONFIG"
}

@test "a missing plugin is unavailable, never unknown" {
  config=$(changed "$LAB_SITE_CONFIG" "s|^Port:.*|Port: $(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')|; s|^OperatorPort:.*||; s|DataRootFolder:.*|DataRootFolder: \"$BATS_TEST_TMPDIR/data\"|" \
    $'  - Name: absent\n    Path: "/no/such/plugin.so"\n    Handlers:\n      - Name: absent\n')
  mkdir "$BATS_TEST_TMPDIR/data"
  port=$(awk '/^Port:/ {print $2}' "$config")
  sed -i '/^  - Name: local/,/BinDirs/d' "$config"
  "$LAB_BUILD/bin/interlink-api" serve --config "$config" >"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
  daemon=$!
  LAB_SITE=https://127.0.0.1:$port
  eventually 20 site GET /healthz -f
  site GET /v1/info -H 'Accept: application/json' | jq -e '.handlers[] | select(.name == "absent") | .unavailable | test("plugin.so")'
  kill "$daemon"
  wait "$daemon"
}

@test "wipe refuses while work lives" {
  pod=$(start_pod wipe)
  user_error "alive|live|running|work" cri wipe --config "$LAB_NODE_CONFIG"
  same SANDBOX_READY "$(pod_state "$pod")"
  remove_all
}
