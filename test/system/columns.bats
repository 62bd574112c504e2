#!/usr/bin/env bats
# What people and scripts read in crictl's tables and JSON, on two pods with two containers each.
source "$BATS_TEST_DIRNAME/common.bash"

setup() {
  for p in one two; do
    id=$(start_pod $p '.labels = {app: "columns"}')
    eval "pod_$p=$id"
    for c in a b; do
      eval "${p}_$c=$(start_container "$id" $c $p . sh -c "echo hello from $p $c; $RUN")"
    done
  done
}
teardown() { remove_all; }

@test "pods and ps -a show every column" {
  crictl pods | grep -E "^${pod_one:0:13} .*Ready +one +default +0 +\(default\)"
  for p in one two; do
    for c in a b; do
      id=${p}_$c pod=pod_$p
      crictl ps -a | grep -E "^${!id:0:13} +[^ ]+ .*Running +$c +0 +${!pod:0:13} +$p +default"
    done
  done
  same 4 "$(crictl ps -q | wc -l)"
  same 2 "$(crictl ps -q --pod "$pod_one" | wc -l)"
  same "$two_b" "$(crictl ps -q --pod "$pod_two" --name b)"
}

@test "inspectp and inspect are whole" {
  crictl inspectp "$pod_one" | jq -e '.status | .id and .metadata.name == "one" and .metadata.uid == "one" and .state == "SANDBOX_READY"
    and (.createdAt | startswith("20")) and (.network.ip | test("^10\\.")) and .labels.app == "columns"'
  crictl inspect "$one_a" | jq -e '.status | .id and .metadata.name == "a" and .state == "CONTAINER_RUNNING" and .image.image
    and (.imageRef | test("sha256:")) and (.imageId | test("sha256:")) and (.logPath | startswith("/")) and (.startedAt | startswith("20"))'
  same "$one_a" "$(crictl inspect "$one_a" | jq -r .status.id)"
}

@test "stats and statsp show memory of every container and pod" {
  eventually 20 sh -c "crictl stats | grep -Eq '^${one_a:0:13}'"
  for id in $one_a $one_b $two_a $two_b; do
    crictl stats -o json "$id" | jq -e '.stats[0] | (.memory.workingSetBytes.value | tonumber) > 0 and (.cpu.usageCoreNanoSeconds.value | tonumber) >= 0'
  done
  crictl statsp | grep -E "one +${pod_one:0:13}"
  crictl statsp -o json | jq -e '[.stats[].linux.memory.workingSetBytes.value | tonumber] | min > 0'
}

@test "logs, update and pull answer" {
  eventually 10 log_has "$one_a" "hello from one a"
  crictl update --memory 67108864 "$one_a"
  crictl pull "$BUSYBOX" | grep -q "sha256:"
}

@test "rmp -f -a removes everything" {
  crictl rmp -f -a
  same "" "$(crictl pods -q)"
  same "" "$(crictl ps -aq)"
}
