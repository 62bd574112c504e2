#!/usr/bin/env bats
# A clean end and a new start of the daemons stop nothing, and TERM ends them soon.
source "$BATS_TEST_DIRNAME/common.bash"

teardown() {
  lab start-site "$LAB_DIR" 2>/dev/null || true
  lab start-node "$LAB_DIR" 2>/dev/null || true
  eventually 60 crictl pods
  remove_all
}

@test "TERM ends each daemon within 15 s and stops no container" {
  pod=$(start_pod quiet)
  id=$(start_container "$pod" c quiet . sh -c "$RUN")
  started=$(crictl inspect "$id" | jq -r .status.startedAt)
  lab stop-node "$LAB_DIR"
  lab stop-site "$LAB_DIR"
  lab start-site "$LAB_DIR"
  lab start-node "$LAB_DIR"
  eventually 30 crictl exec -s "$id" true
  same "$started" "$(crictl inspect "$id" | jq -r .status.startedAt)"
  same "$id" "$(crictl ps -q)"
}

@test "a stop while the site is away is carried out when it is back" {
  pod=$(start_pod away)
  id=$(start_container "$pod" c away . sh -c "$RUN")
  lab stop-site "$LAB_DIR"
  refused "unavailable|unreachable|site" crictl stopp "$pod"
  lab start-site "$LAB_DIR"
  eventually 30 crictl stopp "$pod"
  same CONTAINER_EXITED "$(container_state "$id")"
  crictl rmp "$pod"
}

@test "a second daemon on the same data is refused" {
  run "$LAB_BUILD/bin/interlink-cri" serve --config "$LAB_NODE_CONFIG"
  [ "$status" != 0 ]
  run "$LAB_BUILD/bin/interlink-api" serve --config "$LAB_SITE_CONFIG"
  [ "$status" != 0 ]
  crictl pods
}
