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
  crictl stats | grep -E 'CONTAINER +NAME +CPU % +MEM +DISK +INODES +SWAP'
  for id in $one_a $one_b $two_a $two_b; do
    eventually 20 sh -c "crictl stats | grep -Eq '^${id:0:13} +[ab] +[0-9.]+ +[0-9.]+[kM]B +[0-9.]+k?B +[0-9]+'"
  done
  for id in $one_a $one_b $two_a $two_b; do
    crictl stats -o json "$id" | jq -e '.stats[0] | (.memory.workingSetBytes.value | tonumber) > 0 and (.cpu.usageCoreNanoSeconds.value | tonumber) >= 0'
  done
  crictl statsp | grep -E "one +${pod_one:0:13}"
  crictl statsp -o json | jq -e '[.stats[].linux.memory.workingSetBytes.value | tonumber] | min > 0'
}

@test "logs -f, update and pull do what they say" {
  for p in one two; do
    for c in a b; do
      id=${p}_$c
      eventually 10 log_has "${!id}" "hello from $p $c"
    done
  done
  timeout 30 crictl logs -f "$one_a" >"$BATS_TEST_TMPDIR/followed" &
  follower=$!
  eventually 10 grep -q "hello from one a" "$BATS_TEST_TMPDIR/followed"
  crictl update --memory 67108864 --cpu-share 512 "$one_a"
  same "67108864 512" "$(crictl inspect "$one_a" | jq -r '.status.resources.linux | "\(.memoryLimitInBytes) \(.cpuShares)"')"
  crictl stop -t 5 "$one_a"
  wait "$follower"
  crictl pull "$BUSYBOX" | has -E "up to date for sha256:[0-9a-f]{64}$"
}

@test "images, inspecti, imagefsinfo, rmi and info" {
  crictl images | grep -E "^docker.io/library/busybox +latest +[0-9a-f]{13} +[0-9.]+[kM]B"
  crictl images --digests | grep -E "busybox +latest +[0-9a-f]{13} +[0-9a-f]{13} "
  crictl inspecti "$BUSYBOX" | jq -e '.status | (.id | test("^sha256:[0-9a-f]{64}$")) and (.repoTags | index("docker.io/library/busybox:latest"))
    and (.repoDigests[0] | test("^docker.io/library/busybox@sha256:")) and (.size | tonumber) > 100000'
  crictl imagefsinfo | jq -e '.status.imageFilesystems[0] | (.timestamp | tonumber) > 0 and (.usedBytes.value | tonumber) > 0
    and (.inodesUsed.value | tonumber) > 0 and (.fsId.mountpoint | startswith("/"))'
  crictl info | jq -e '[.status.conditions[] | select(.status) | .type] | index("RuntimeReady") and index("NetworkReady") and index("SiteReachable")'
  other=registry.k8s.io/k8s-staging-cri-tools/test-image-2:latest
  crictl pull "$other" >/dev/null
  crictl rmi "$other" | has "Deleted: $other"
  same "" "$(crictl images -q "$other")"
}

@test "rmp -f -a removes everything" {
  crictl rmp -f -a
  same "" "$(crictl pods -q)"
  same "" "$(crictl ps -aq)"
}
