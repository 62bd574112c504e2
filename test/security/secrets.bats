#!/usr/bin/env bats
# Secrets of pods and nodes: planted, then looked for wherever somebody else could find them.
source "$BATS_TEST_DIRNAME/../system/common.bash"
source "$BATS_TEST_DIRNAME/../system/own_site.bash"

setup_file() {
  own_lab --verbose
  "$PROJECT/test/support/lab/secure.sh" "$LAB_DIR" >&2
  use_lab "$LAB_DIR"
  eventually 20 site_is_reachable
  export CANARY=canary-$RANDOM$RANDOM
  crictl pull --creds "lab:$CANARY-pull" "$BUSYBOX" >&2
  BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR # of what write_pod and write_container write
  # The ordinary path of a secret: a variable, a file that is mounted, an argument of a command in the container.
  mkdir -p "$LAB_DIR/secret" && chmod 700 "$LAB_DIR/secret"
  (umask 077 && echo "$CANARY-file" >"$LAB_DIR/secret/password")
  POD=$(start_pod secrets)
  ID=$(start_container "$POD" c secrets ".envs = [{key: \"PASSWORD\", value: \"$CANARY-env\"}] |
    .annotations = {note: \"$CANARY-annotation\"} | .labels.note = \"$CANARY-label\"" sh -c "$RUN")
  crictl exec -s "$ID" sh -c "test \"\$PASSWORD\" = $CANARY-env" # it is there, where it belongs
  TOKEN_END=$(cut -d. -f3 "$LAB_DIR/token-1")
  export POD ID TOKEN_END
  chmod 755 "$LAB_DIR" # what others cannot read must not rest on this folder's rights alone
}
teardown_file() { end_own_lab; }

secret_patterns() { printf '%s\n' "$CANARY-pull" "$CANARY-file" "$CANARY-env" "$CANARY-annotation" "$TOKEN_END"; }
no_secret_in() { # FILE...
  local found
  found=$(grep -alF -f <(secret_patterns) -- "$@" || true)
  [ -z "$found" ] || fail "a secret is in: $found"
}

@test "not in the logs of either daemon, though they log everything" {
  grep -q " debug request answered" "$LAB_SITE_LOG"
  grep -q " debug call" "$LAB_NODE_LOG"
  no_secret_in "$LAB_SITE_LOG" "$LAB_NODE_LOG"
}

@test "not in the audit logs" {
  eventually 10 grep -q "$ID" "$LAB_DIR"/audit-site/*.jsonl
  no_secret_in "$LAB_DIR"/audit-site/* "$LAB_DIR"/audit-node/*
}

@test "not in metrics, states and lists that are shown" {
  local out=$BATS_TEST_TMPDIR
  crictl info >"$out/info"
  crictl images -o json >"$out/images"
  crictl pods -v >"$out/pods"
  curl -sS --unix-socket "${LAB_SOCKET#unix://}" http://node/metrics >"$out/node-metrics"
  cri status --config "$LAB_NODE_CONFIG" >"$out/status"
  api node list --json --config "$LAB_SITE_CONFIG" >"$out/nodes"
  for path in /v1/info /status /metrics; do site GET "$path" -H "Authorization: Bearer $(cat "$LAB_DIR/token-1")" >"$out/site${path//\//-}"; done
  grep -q interlink_ "$out/node-metrics"
  no_secret_in "$out"/*
}

@test "not in the arguments or environment of any process of ours" {
  for process in $(pgrep -f "$LAB_DIR|interlink-shim"); do
    case $(readlink "/proc/$process/exe" 2>/dev/null) in
      "$LAB_BUILD"/*) no_secret_in "/proc/$process/cmdline" "/proc/$process/environ" ;;
    esac
  done
}

@test "not in a file that another user can read" {
  secret_patterns >"$BATS_RUN_TMPDIR/patterns"
  chmod 755 "$BATS_RUN_TMPDIR"
  chmod 644 "$BATS_RUN_TMPDIR/patterns"
  none setpriv --reuid 65534 --regid 65534 --clear-groups sh -c "grep -ralF -f '$BATS_RUN_TMPDIR/patterns' '$LAB_DIR' /run /var/log /var/tmp 2>/dev/null"
}

@test "keys, tokens and stores are their owner's alone" {
  local data
  for data in $(sed -n 's/^DataRootFolder: *"\(.*\)"/\1/p' "$LAB_SITE_CONFIG" "$LAB_NODE_CONFIG"); do
    same '' "$(find "$data" -maxdepth 2 \( -name '*.db*' -o -name '*token*' -o -name '*lineage*' -o -name 'store*' \) -type f -perm /077)"
  done
  same '' "$(find "$LAB_DIR"/token-1 "$LAB_DIR"/audit* -type f -perm /077)"
}

@test "the node's daemon can start no program, whatever runs in it, and gains no rights" {
  status=/proc/$LAB_NODE_PID/status
  same 2 "$(awk '/^Seccomp:/ {print $2}' "$status")"
  same 1 "$(awk '/^NoNewPrivs:/ {print $2}' "$status")"
  # What the site starts would inherit it: it has none (docs/adr/0020).
  same 0 "$(awk '/^NoNewPrivs:/ {print $2}' "/proc/$LAB_SITE_PID/status")"
}
