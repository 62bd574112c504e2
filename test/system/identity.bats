#!/usr/bin/env bats
# Who is asking: tokens beside certificates, and two stores under one identity.
source "$BATS_TEST_DIRNAME/common.bash"

source "$BATS_TEST_DIRNAME/own_site.bash"

teardown() {
  end_daemons
  if [ -n "${copied_lab:-}" ]; then lab down "$copied_lab"; else remove_all; fi
}

@test "a site that asks for a token takes the node's own and no other" {
  right=0123456789abcdef-right
  strange=0123456789abcdef-strange
  tokens=$BATS_TEST_TMPDIR/tokens
  (umask 077 && printf '%s\n' "$right,$LAB_NODE_NAME" "$strange,another-node" >"$tokens")
  own_site "$(printf 'Auth:\n  TokenFile: "%s"\n  RequireToken: true' "$tokens")"

  same 401 "$(ask)"
  jq -e '.code == "UNAUTHENTICATED" and .detail' "$BATS_TEST_TMPDIR/body"
  same 401 "$(ask -H 'Authorization: Bearer no-such-token-at-all')"
  [[ $(ask -H "Authorization: Bearer $strange") == 40[13] ]]
  same 200 "$(ask -H "Authorization: Bearer $right")"

  config=$BATS_TEST_TMPDIR/node.yaml
  sed "s|^Interlinkport:.*|Interlinkport: \"${url##*:}\"|" "$LAB_NODE_CONFIG" >"$config"
  (umask 077 && printf '%s\n' "$right" >"$BATS_TEST_TMPDIR/token" && printf 'no-such-token-at-all\n' >"$BATS_TEST_TMPDIR/wrong")
  VK_TOKEN_FILE=$BATS_TEST_TMPDIR/token cri check --online --config "$config"
  export VK_TOKEN_FILE=$BATS_TEST_TMPDIR/wrong
  refused "token" cri check --online --config "$config"
  # No token in any log.
  none grep -e "$right" -e "$strange" "$BATS_TEST_TMPDIR/site.log"
}

@test "a token file that others can read is refused" {
  tokens=$BATS_TEST_TMPDIR/tokens
  printf '0123456789abcdef,%s\n' "$LAB_NODE_NAME" >"$tokens"
  chmod 644 "$tokens"
  sed "s|^VerboseLogging.*|Auth: {TokenFile: \"$tokens\"}|; s|^DataRootFolder.*|DataRootFolder: \"$BATS_TEST_TMPDIR/data\"|; s|^Port:.*|Port: $(free_port)|; s|^OperatorPort:.*||" \
    "$LAB_SITE_CONFIG" >"$BATS_TEST_TMPDIR/config.yaml"
  refused "tokens.*others may read it" api serve --config "$BATS_TEST_TMPDIR/config.yaml"
}

@test "a copied node: one of the two is refused, nothing is stopped or started" {
  # In a lab of its own: whichever of the two came last holds the identity.
  copied_lab=$(mktemp -d /tmp/lab-XXXXXX)
  lab up "$copied_lab" >&2
  use_lab "$copied_lab"
  crictl pull "$BUSYBOX"
  pod=$(start_pod original)
  mkdir "$BATS_TEST_TMPDIR/w"
  start_container "$pod" c original ".mounts = [{host_path: \"$BATS_TEST_TMPDIR/w\", container_path: \"/w\"}]" \
    sh -c 'echo start >>/w/starts; while :; do date +%s%N >/w/beat; sleep 0.1; done'
  eventually 10 test -s "$BATS_TEST_TMPDIR/w/beat"
  lab stop-node "$LAB_DIR"
  cp -a "$LAB_DIR/node-1" "$BATS_TEST_TMPDIR/copy"
  lab start-node "$LAB_DIR"
  eventually 30 crictl pods

  copy=$BATS_TEST_TMPDIR/copy.yaml
  sed "s|SocketPath:.*|SocketPath: \"unix://$BATS_TEST_TMPDIR/copy.sock\"|; s|^DataRootFolder:.*|DataRootFolder: \"$BATS_TEST_TMPDIR/copy\"|" "$LAB_NODE_CONFIG" >"$copy"
  "$LAB_BUILD/bin/interlink-cri" serve --config "$copy" >"$BATS_TEST_TMPDIR/copy.log" 2>&1 3>&- &
  daemons="${daemons:-} $!"
  eventually 30 grep -q "copied-node" "$BATS_TEST_TMPDIR/copy.log" "$LAB_NODE_LOG"
  if grep -q "copied-node" "$LAB_NODE_LOG"; then
    refused_config=$LAB_NODE_CONFIG refused_socket=$LAB_SOCKET good_socket=$BATS_TEST_TMPDIR/copy.sock
  else
    refused_config=$copy refused_socket=$BATS_TEST_TMPDIR/copy.sock good_socket=$LAB_SOCKET
  fi
  refused "takeover" timeout 30 crictl -r "unix://$refused_socket" runp "$(write_pod other)"
  refused "takeover" cri check --online --config "$refused_config"
  # The refused one goes on telling what it knew; the other one works.
  same "$pod" "$(crictl -r "unix://$refused_socket" pods -q --state ready)"
  eventually 30 sh -c "[ \"\$(crictl -r unix://$good_socket pods -q --state ready)\" = $pod ]"
  same 1 "$(wc -l <"$BATS_TEST_TMPDIR/w/starts")"
  before=$(cat "$BATS_TEST_TMPDIR/w/beat")
  eventually 5 sh -c "[ \"\$(cat $BATS_TEST_TMPDIR/w/beat)\" != \"$before\" ]"
}
