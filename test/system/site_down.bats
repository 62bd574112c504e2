#!/usr/bin/env bats
# The site stopped for LAB_SITE_DOWN_SECONDS (default 20): what is known stands still, what needs it fails soon.
source "$BATS_TEST_DIRNAME/common.bash"

teardown() {
  lab start-site "$LAB_DIR" 2>/dev/null || true
  eventually 60 crictl pods
  remove_all
}

picture() {
  crictl pods -o json | jq -S '[.items[] | {id, state, metadata}] | sort_by(.id)'
  crictl ps -a -o json | jq -S '[.containers[] | {id, state, metadata}] | sort_by(.id)'
  crictl inspect "$id" | jq -S '.status | {id, state, startedAt, exitCode}'
  crictl images -o json | jq -S '[.images[].id] | sort'
  crictl info | jq -S '[.status.conditions[] | select(.type == "RuntimeReady" or .type == "NetworkReady") | {type, status}]'
}
stands_still() { diff <(echo "$before") <(picture); }

soon() { # the command fails within 6 s (5 s and the start of crictl), with a clear text
  local begin=$SECONDS
  refused "unavailable|unreachable|out of reach" "$@"
  ((SECONDS - begin <= 6)) || fail "took $((SECONDS - begin)) s: $*"
}

@test "the site is away: lists and statuses stand still, calls fail within 5 s, all goes on afterwards" {
  pod=$(start_pod down)
  id=$(start_container "$pod" c down . sh -c 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done')
  eventually 20 log_has "$id" 10
  stopped=$(start_container "$pod" stopped down . sh -c "$RUN")
  before=$(picture)

  lab stop-site "$LAB_DIR"
  soon crictl runp "$(write_pod other)"
  soon crictl exec -s "$id" true
  soon crictl stop "$stopped"
  soon crictl pull docker.io/library/busybox:latest
  always "${LAB_SITE_DOWN_SECONDS:-20}" stands_still
  soon crictl runp "$(write_pod other)"

  lab start-site "$LAB_DIR"
  eventually 30 crictl exec -s "$id" true
  # What was asked for meanwhile is done: the step goes on by itself.
  eventually 30 is_exited "$stopped"
  other=$(crictl runp "$(write_pod other)")
  same SANDBOX_READY "$(pod_state "$other")"
  crictl stop -t 0 "$id"
  is_exited "$id"
  awk '{ if ($4 != NR - 1) { print "line " NR " is " $0; exit 1 } }' "$LAB_LOGS/down/c.log"
}
