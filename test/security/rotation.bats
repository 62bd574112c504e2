#!/usr/bin/env bats
# What both sides trust and present is renewed while requests run: nothing fails, nothing is restarted, a bad file changes
# nothing.
source "$BATS_TEST_DIRNAME/../system/common.bash"

source "$BATS_TEST_DIRNAME/../system/own_site.bash"
source "$BATS_TEST_DIRNAME/renewal.bash"

teardown() {
  touch "$BATS_TEST_TMPDIR/stop"
  wait
  remove_all
  [ -z "${own:-}" ] || end_own_lab
}

@test "the certificates of site and node are renewed under loops of crictl" {
  begin_loops
  for n in $(seq "$ROTATIONS"); do
    site=$(lines "$LAB_SITE_LOG" "read again") node=$(lines "$LAB_NODE_LOG" "read again")
    # In between something that is no key: it changes nothing.
    complaints=$(lines "$LAB_SITE_LOG" "cannot be used")
    mv "$LAB_PKI/server.key" "$BATS_TEST_TMPDIR/kept.key"
    echo broken >"$LAB_PKI/server.key"
    [ $((n % 10)) != 1 ] || eventually 10 has_more "$LAB_SITE_LOG" "cannot be used" "$complaints"
    mv "$BATS_TEST_TMPDIR/kept.key" "$LAB_PKI/server.key"
    renew_server
    renew_node
    eventually 15 has_more "$LAB_SITE_LOG" "read again" "$site"
    eventually 15 has_more "$LAB_NODE_LOG" "read again" "$node"
  done
  eventually 15 serves_newest
  end_loops certificates
}

# A lab with all that a site can ask for; sets own.
everything_lab() {
  own=yes
  own_lab
  keys=$LAB_DIR/issuer issuer=https://issuer.example
  "$PROJECT/test/support/lab/secure.sh" "$LAB_DIR" >&2
  use_lab "$LAB_DIR"
  eventually 20 site_is_reachable
  crictl pull "$BUSYBOX" >&2
}
new_token() { # KID
  (umask 077 && issuer token -dir "$keys" -kid "$1" -iss "$issuer" -sub "system:node:$LAB_NODE_NAME" -for 6h >"$LAB_DIR/token.new")
  mv "$LAB_DIR/token.new" "$LAB_DIR/token-1"
}
new_policy() { # NUMBER
  printf 'Rules:\n  - Name: round-%s\n    Nodes: ["%s"]\n    May: [run, create, exec-sync, pull]\n' "$1" "$LAB_NODE_NAME" >"$LAB_DIR/policy.new"
  mv "$LAB_DIR/policy.new" "$LAB_DIR/policy.yaml"
}
# Another authority, trusted beside the one before before it signs anything.
new_authority() { # NUMBER
  local fresh=$BATS_TEST_TMPDIR/authority site node
  site=$(lines "$LAB_SITE_LOG" "TLS files were read again") node=$(lines "$LAB_NODE_LOG" "TLS files were read again")
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 5 -subj "/CN=authority-$1" -keyout "$fresh.key" -out "$fresh.crt" 2>/dev/null
  { cat "$fresh.crt"; openssl x509 -in "$LAB_PKI/ca.crt"; } >"$fresh.both"
  mv "$fresh.both" "$LAB_PKI/ca.crt"
  eventually 15 has_more "$LAB_SITE_LOG" "TLS files were read again" "$site"
  eventually 15 has_more "$LAB_NODE_LOG" "TLS files were read again" "$node"
  mv "$fresh.key" "$LAB_PKI/ca.key"
}
# broken FILE LOG TEXT: for a moment there is nonsense in its place, and the log says that it cannot be used.
broken() {
  local before
  before=$(lines "$2" "$3")
  mv "$1" "$BATS_TEST_TMPDIR/kept"
  echo '{broken' >"$1"
  eventually 10 has_more "$2" "$3" "$before"
  mv "$BATS_TEST_TMPDIR/kept" "$1"
}

@test "authority, certificates, token, the issuer's keys and the policy are renewed under loops of crictl" {
  everything_lab
  begin_loops
  for n in $(seq "$ROTATIONS"); do
    # The issuer signs with another key; the one before is still good.
    issuer key -dir "$keys" -kid "key-$n"
    [ "$n" -lt 2 ] || rm "$keys/key-$((n - 2)).pem"
    issuer jwks -dir "$keys" >"$LAB_DIR/jwks.new"
    if [ $((n % 10)) = 1 ]; then broken "$LAB_DIR/policy.yaml" "$LAB_SITE_LOG" "policy cannot be used"; fi
    mv "$LAB_DIR/jwks.new" "$LAB_DIR/jwks.json"
    policies=$(lines "$LAB_SITE_LOG" "the policy was read again")
    new_policy "$n"
    new_authority "$n"
    eventually 10 has_more "$LAB_SITE_LOG" "the policy was read again" "$policies"
    new_token "key-$n"
    site=$(lines "$LAB_SITE_LOG" "TLS files were read again") node=$(lines "$LAB_NODE_LOG" "TLS files were read again")
    renew_server
    renew_node
    eventually 15 has_more "$LAB_SITE_LOG" "TLS files were read again" "$site"
    eventually 15 has_more "$LAB_NODE_LOG" "TLS files were read again" "$node"
  done
  eventually 15 serves_newest
  end_loops "authority, certificates, token, keys and policy"
  api audit verify --config "$LAB_SITE_CONFIG" | has "it is whole"
  api audit show --config "$LAB_SITE_CONFIG" | has "rule=round-$ROTATIONS"
  same "" "$(api audit show --denied --config "$LAB_SITE_CONFIG")"
}
