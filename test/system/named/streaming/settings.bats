#!/usr/bin/env bats
# What an administrator sets, as far as sessions see it.
source "$BATS_TEST_DIRNAME/stream.bash"

setup() {
  cp "$LAB_NODE_CONFIG" "$BATS_TEST_TMPDIR/node.yaml"
  cp "$LAB_SITE_CONFIG" "$BATS_TEST_TMPDIR/site.yaml"
}
teardown() {
  end_all
  if [ -n "${own_node:-}" ]; then kill "$own_node" && wait "$own_node" || true; fi
  lab stop-node "$LAB_DIR" || true
  lab stop-site "$LAB_DIR" || true
  cp "$BATS_TEST_TMPDIR/node.yaml" "$LAB_NODE_CONFIG"
  cp "$BATS_TEST_TMPDIR/site.yaml" "$LAB_SITE_CONFIG"
  lab start-site "$LAB_DIR"
  lab start-node "$LAB_DIR"
  use_lab "$LAB_DIR"
  eventually 30 crictl pods
  remove_all
}

@test "CRI.StreamSessions: one client more is told, and comes in when another has left" {
  lab stop-node "$LAB_DIR"
  sed -i 's/^CRI:/&\n  StreamSessions: 4/' "$LAB_NODE_CONFIG"
  lab start-node "$LAB_DIR"
  use_lab "$LAB_DIR"
  eventually 30 crictl pods
  setup_pod sessions
  for n in 1 2 3 4; do
    begin "holds$n" crictl exec -i "$box" sh -c 'echo ready; exec cat'
    eventually 20 says "holds$n" ready
  done
  for t in $TRANSPORTS; do refused "429|4 sessions are open, which is CRI.StreamSessions" crictl exec -r "$t" "$box" true; done
  refused "4 sessions are open, which is CRI.StreamSessions" crictl exec "$box" true
  refused "4 sessions are open, which is CRI.StreamSessions" crictl port-forward "$pod" ":80"
  kill -9 "${begun[holds1]}"
  eventually 10 crictl exec "$box" true
}

# The site's answer to a token.
ask() { site GET /v1/info -H "Authorization: Bearer $1" -o /dev/null -w '%{http_code}'; }
answers() { [ "$(ask "$1")" = "$2" ]; }

@test "a token that is replaced: sessions go on, and the next ones come with the new one" {
  lab stop-node "$LAB_DIR"
  lab stop-site "$LAB_DIR"
  put() { # FILE TEXT: as tokens are replaced, at once
    (umask 077 && printf '%s\n' "$2" >"$BATS_TEST_TMPDIR/new" && mv "$BATS_TEST_TMPDIR/new" "$BATS_TEST_TMPDIR/$1")
  }
  put tokens "first-0123456789abcdef,$LAB_NODE_NAME"
  put token first-0123456789abcdef
  printf 'Auth:\n  TokenFile: "%s"\n  RequireToken: true\n' "$BATS_TEST_TMPDIR/tokens" >>"$LAB_SITE_CONFIG"
  lab start-site "$LAB_DIR"
  VK_TOKEN_FILE=$BATS_TEST_TMPDIR/token "$LAB_BUILD/bin/interlink-cri" serve --config "$LAB_NODE_CONFIG" >>"$LAB_NODE_LOG" 2>&1 3>&- &
  own_node=$!
  eventually 30 crictl pods
  setup_pod tokens
  says=$(start_container "$pod" says tokens . sh -c "$SAYS")
  mkfifo "$BATS_TEST_TMPDIR/words"
  exec 9<>"$BATS_TEST_TMPDIR/words"
  for t in $TRANSPORTS; do
    begin "attach-$t" crictl attach -r "$t" "$says"
    eventually 20 says "attach-$t" '[0-9]'
  done
  crictl exec -i "$box" sh -c 'echo ready; while read word; do echo "got $word"; done; exit 5' <"$BATS_TEST_TMPDIR/words" \
    >"$BATS_TEST_TMPDIR/talks" 2>"$BATS_TEST_TMPDIR/talks.err" 3>&- 8<&- 9<&- &
  begun[talks]=$!
  eventually 20 says talks ready

  put tokens "second-0123456789abcdef,$LAB_NODE_NAME"
  eventually 10 answers first-0123456789abcdef 401
  refused "token|401|unauthenticated" crictl exec -s "$box" true
  put token second-0123456789abcdef
  eventually 10 crictl exec "$box" true

  echo on >&9
  eventually 10 says talks "got on"
  for t in $TRANSPORTS; do
    last=$(tail -n 1 "$BATS_TEST_TMPDIR/attach-$t" | tr -dc 0-9)
    eventually 10 says "attach-$t" "^$((last + 10))"
  done
  exec 9<&-
  code_of talks
  says talks.err "exit code 5" || fail "$(cat "$BATS_TEST_TMPDIR/talks.err")"
}
