#!/usr/bin/env bats
# Tokens of an OpenID Connect issuer, which is a process of its own: test/support/tools/cmd/issuer.
source "$BATS_TEST_DIRNAME/../system/common.bash"
source "$BATS_TEST_DIRNAME/../system/own_site.bash"

setup() {
  keys=$BATS_TEST_TMPDIR/keys
  mkdir "$keys"
  issuer key -dir "$keys" -kid first -alg RS256
  issuer_port=$(free_port)
  issuer_url=https://127.0.0.1:$issuer_port
}
teardown() { end_daemons; }

start_issuer() {
  issuer serve -dir "$keys" -port "$issuer_port" -cert "$LAB_PKI/server.crt" -key "$LAB_PKI/server.key" >"$BATS_TEST_TMPDIR/issuer.log" 2>&1 3>&- &
  issuer_pid=$!
  daemons="${daemons:-} $issuer_pid"
  eventually 10 curl -sf --cacert "$LAB_PKI/ca.crt" "$issuer_url/keys"
}
stop_issuer() { kill "$issuer_pid" && wait "$issuer_pid" || true; }
token() { issuer token -dir "$keys" -kid first -iss "$issuer_url" -sub "system:node:$LAB_NODE_NAME" "$@"; }

# oidc_site [LINES...]: more keys of the issuer.
oidc_site() {
  local lines
  lines=$(printf '      %s\n' "$@")
  own_site "Auth:
  RequireToken: true
  OIDC:
    - Issuer: \"$issuer_url\"
      Audiences: [interlink]
      CACertFile: \"$LAB_PKI/ca.crt\"
      NodePrefix: \"system:node:\"
$lines"
}

ask_with() { ask -H "Authorization: Bearer $1"; }
answers() { same "$1" "$(ask_with "$2")"; }
says() { # TEXT: in the last refusal
  jq -er .detail "$BATS_TEST_TMPDIR/body" | has -- "$1"
}

@test "a node's own token is let in; each other one is refused, with words" {
  start_issuer
  oidc_site
  eventually 20 answers 200 "$(token)"

  same 401 "$(ask)"
  refused_token() { # WHAT TOKEN
    same 401 "$(ask_with "$2")"
    says "$1"
  }
  refused_token expired "$(token -for -10m)"
  refused_token "valid (nbf)" "$(token -claims "{\"nbf\": $(($(date +%s) + 3600))}")"
  refused_token "(aud)" "$(token -aud other)"
  refused_token "(exp)" "$(token -claims '{"exp": null}')"
  refused_token "not one that this site trusts" "$(token -iss https://evil.example)"
  refused_token "begins with" "$(token -sub "$LAB_NODE_NAME")"
  same 403 "$(ask_with "$(token -sub system:node:another-node)")"
  good=$(token)
  refused_token "signature" "${good%?????}AAAAA"
  none_header=$(printf '{"alg":"none"}' | base64 -w0 | tr -d =)
  refused_token "algorithm" "$none_header.$(cut -d. -f2 <<<"$good")."
  refused_token "bytes" "$good$(printf 'A%.0s' {1..20000})"
  # No token, not even a part of one, in any log.
  none grep -e "$(cut -d. -f3 <<<"$good")" -e "$(cut -d. -f2 <<<"$good")" "$BATS_TEST_TMPDIR/site.log"
}

@test "interlink-cri with a token from its file" {
  start_issuer
  oidc_site
  config=$BATS_TEST_TMPDIR/node.yaml
  sed "s|^Interlinkport:.*|Interlinkport: \"${url##*:}\"|" "$LAB_NODE_CONFIG" >"$config"
  (umask 077 && token >"$BATS_TEST_TMPDIR/token" && token -for -10m >"$BATS_TEST_TMPDIR/old")

  VK_TOKEN_FILE=$BATS_TEST_TMPDIR/token eventually 20 cri check --online --config "$config"
  VK_TOKEN_FILE=$BATS_TEST_TMPDIR/old refused "expired" cri check --online --config "$config"
}

@test "a new key is found when the first token names it; an old one goes with the issuer's set" {
  start_issuer
  oidc_site
  old=$(token)
  eventually 20 answers 200 "$old"

  issuer key -dir "$keys" -kid second -alg EdDSA
  fresh=$(token -kid second)
  eventually 15 answers 200 "$fresh"
  answers 200 "$old"
  rm "$keys/first.pem"
  issuer key -dir "$keys" -kid third -alg ES256
  eventually 15 answers 200 "$(token -kid third)"
  answers 401 "$old"
}

@test "the issuer is away, or answers something else: who is known is let in" {
  oidc_site
  same 503 "$(ask_with "$(token)")"
  says "are not known yet"
  start_issuer
  eventually 20 answers 200 "$(token)"

  issuer key -dir "$keys" -kid unknown
  for answer in $'200\n<html>sign in</html>' $'500\nno' $'302\n' $'200\n{"keys":[]}'; do
    printf '%s' "$answer" >"$keys/answer"
    asked=$(grep -c "cannot be read" "$BATS_TEST_TMPDIR/site.log" || true)
    unknown_is_refused() { [[ $(ask_with "$(token -kid unknown)") == 401 ]]; }
    more_trouble() { unknown_is_refused; [ "$(grep -c "cannot be read" "$BATS_TEST_TMPDIR/site.log")" -gt "$asked" ]; }
    eventually 30 more_trouble
    answers 200 "$(token)"
  done
  rm "$keys/answer"
  stop_issuer
  answers 200 "$(token)"
}

@test "keys from a file: nobody is asked, and a broken file takes nothing away" {
  issuer jwks -dir "$keys" >"$BATS_TEST_TMPDIR/jwks.json"
  oidc_site "JWKSFile: \"$BATS_TEST_TMPDIR/jwks.json\""
  answers 200 "$(token)"

  echo broken >"$BATS_TEST_TMPDIR/jwks.json"
  eventually 10 grep -q "cannot be read" "$BATS_TEST_TMPDIR/site.log"
  answers 200 "$(token)"
  rm "$keys/first.pem"
  issuer key -dir "$keys" -kid first
  issuer jwks -dir "$keys" >"$BATS_TEST_TMPDIR/new.json"
  mv "$BATS_TEST_TMPDIR/new.json" "$BATS_TEST_TMPDIR/jwks.json"
  eventually 10 answers 200 "$(token)"

  echo broken >"$BATS_TEST_TMPDIR/jwks.json"
  refused "jwks.json" api check --config "$site_file"
}
