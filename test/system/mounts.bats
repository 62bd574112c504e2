#!/usr/bin/env bats
# Mounts that reach further than a folder: propagation, recursive read-only, image volumes; through crictl.
source "$BATS_TEST_DIRNAME/common.bash"

VOLUME=registry.k8s.io/k8s-staging-cri-tools/test-image-tag:test # of a lab with the images of critest

setup_file() {
  own_lab --conformance
  crictl pull "$BUSYBOX"
}
teardown_file() { end_own_lab; }

setup() {
  name=m$BATS_TEST_NUMBER
  source=$BATS_TEST_TMPDIR/source
  n=0
  pod=$(start_pod "$name" '.linux.security_context.privileged = true')
}
teardown() {
  lab start-site "$LAB_DIR" 2>/dev/null || true
  eventually 60 crictl pods
  remove_all
  crictl rmi "$VOLUME" >/dev/null 2>&1 || true
  for path in "$source/later" "$source/own" "$source/sub" "$source"; do
    ! mountpoint -q "$path" 2>/dev/null || umount "$path"
  done
}

shared_source() {
  mkdir -p "$source/later" "$source/own"
  mount --bind "$source" "$source"
  mount --make-rshared "$source"
}
# What the machine sees mounted for containers: nothing but the roots of those that there are.
container_mounts() { grep -F -- "$LAB_DIR/site" /proc/self/mounts | grep -F /c/ | grep -Ev '/bundle/rootfs overlay ' || true; }

# The folders of containers at the site; so many that were not there before, whatever has gone meanwhile.
folders() { find "$LAB_DIR/site" -ignore_readdir_race -mindepth 1 -path '*/c/*' -name container.json | sort; }
begun() { [ "$(comm -13 <(echo "$1") <(folders) | wc -l)" -ge "$2" ]; }

@test "propagation is told as asked for, and is as told" {
  shared_source
  id=$(start_container "$pod" c "$name" ".linux.security_context.privileged = true
    | .mounts = [{host_path: \"$source\", container_path: \"/m\", propagation: 2}]" sh -c "$RUN")
  same "1 /m $source PROPAGATION_BIDIRECTIONAL false" \
    "$(crictl inspect "$id" | jq -r '.status.mounts | "\(length) \(.[0].containerPath) \(.[0].hostPath) \(.[0].propagation) \(.[0].readonly)"')"
  mount -t tmpfs tmpfs "$source/later"
  touch "$source/later/from-host"
  crictl exec -s "$id" ls /m/later/from-host
  crictl exec -s "$id" mount -t tmpfs tmpfs /m/own
  mountpoint -q "$source/own"
  crictl rm -f "$id"
  mountpoint -q "$source/own"
  mountpoint -q "$source/later"
}

@test "a source that is not shared, and a mount that contradicts itself, are refused" {
  mkdir -p "$source"
  mount --bind "$source" "$source"
  mount --make-private "$source"
  try() { crictl create "$pod" "$(write_container "c$RANDOM" "$name" ".linux.security_context.privileged = true | .mounts = [{host_path: \"$source\", container_path: \"/m\"} + $1]" true)" "$BATS_TEST_TMPDIR/pod-$name.json"; }
  refused "FailedPrecondition.*make-rshared $source" try '{propagation: 2}'
  refused "FailedPrecondition.*shared or slave" try '{propagation: 1}'
  refused "InvalidArgument.*recursive_read_only" try '{recursive_read_only: true}'
  refused "InvalidArgument.*recursive_read_only" try '{recursive_read_only: true, readonly: true, propagation: 1}'
  same "" "$(crictl ps -aq)"
}

@test "the handler says that it has recursive read-only mounts, and has" {
  crictl info | jq -e '[.runtimeHandlers[] | .features.recursive_read_only_mounts // .features.recursiveReadOnlyMounts] | all'
  shared_source
  mkdir -p "$source/sub"
  mount -t tmpfs tmpfs "$source/sub"
  id=$(start_container "$pod" c "$name" ".mounts = [{host_path: \"$source\", container_path: \"/m\", readonly: true, recursive_read_only: true}]" sh -c "$RUN")
  refused "Read-only file system" crictl exec -s "$id" touch /m/sub/file
  touch "$source/sub/file"
}

@test "an image volume by id, tag and digest; its image may be removed while it is used" {
  crictl pull "$VOLUME"
  image=$(crictl images -q "$VOLUME")
  digest=$(crictl inspecti "$VOLUME" | jq -r '.status.repoDigests[0]')
  for ref in "$image" "$VOLUME" "$digest"; do
    n=$((n + 1))
    id=$(start_container "$pod" "c$n" "$name" ".linux.security_context.run_as_user = {value: 1000}
      | .mounts = [{container_path: \"/volume\", readonly: true, image: {image: \"$ref\"}}]" sh -c "$RUN")
    same "$ref $image" "$(crictl inspect "$id" | jq -r '.status.mounts[0].image | "\(.image) \(.imageRef)"')"
    same "$(crictl exec -s "$id" ls /volume/bin/sh)" /volume/bin/sh
    refused "Read-only file system" crictl exec -s "$id" touch /volume/x
    crictl exec -s "$id" /volume/bin/ls /volume >/dev/null
    same "" "$(container_mounts)"
  done
  crictl rmi "$VOLUME"
  same "" "$(crictl images -q "$VOLUME")"
  crictl exec -s "$id" /volume/bin/ls /volume/etc >/dev/null
  lab kill-site "$LAB_DIR"
  lab start-site "$LAB_DIR"
  eventually 60 crictl exec -s "$id" /volume/bin/ls /volume/etc
  same 2 "$(find "$LAB_DIR/site" -path "*/images/holds/$id*" | wc -l)"
  crictl rm -fa
  same "" "$(find "$LAB_DIR/site" -path '*/images/holds/*')"
  none grep -F -- "$id" /proc/self/mounts
}

@test "in a user namespace an image volume belongs to the container's root" {
  crictl pull "$VOLUME"
  range='[{host_id: 300000, container_id: 0, length: 65536}]'
  userns=$(start_pod "$name-userns" ".linux.security_context.namespace_options.userns_options = {mode: 0, uids: $range, gids: $range}")
  volume() { echo ".mounts = [{container_path: \"/volume\", readonly: true, image: {image: \"$VOLUME\"}} + $1]"; }
  for mappings in '{}' "{uidMappings: $range, gidMappings: $range}"; do
    n=$((n + 1))
    id=$(start_container "$userns" "c$n" "$name-userns" "$(volume "$mappings")" sh -c "$RUN")
    same 0:0 "$(crictl exec -s "$id" stat -c %u:%g /volume/bin/busybox)"
    refused "Read-only file system" crictl exec -s "$id" touch /volume/x
  done
  same "" "$(container_mounts)"
  other='[{host_id: 300000, container_id: 0, length: 5}]'
  try() { crictl create "$userns" "$(write_container other "$name-userns" "$(volume "{uidMappings: $other, gidMappings: $other}")" true)" "$BATS_TEST_TMPDIR/pod-$name-userns.json"; }
  refused "desc = ImageVolumeMountFailed: .*Mappings" try
}

@test "an image volume that cannot be had is refused by kubelet's word and leaves nothing" {
  crictl pull "$VOLUME"
  try() { crictl create "$pod" "$(write_container "c$RANDOM" "$name" ".mounts = [{container_path: \"/volume\"} + $1]" true)" "$BATS_TEST_TMPDIR/pod-$name.json"; }
  refused "desc = ImageVolumeMountFailed: .*no/such.* does not exist" try "{readonly: true, image: {image: \"$VOLUME\"}, image_sub_path: \"no/such\"}"
  refused "desc = ImageVolumeMountFailed: .*pull it first" try '{readonly: true, image: {image: "docker.io/library/absent:1"}}'
  refused "InvalidArgument.*readonly" try "{image: {image: \"$VOLUME\"}}"
  same "" "$(crictl ps -aq)"
  same "" "$(find "$LAB_DIR/site" -path '*/images/holds/*')"
  id=$(start_container "$pod" c "$name" ".mounts = [{container_path: \"/volume\", readonly: true, image: {image: \"$VOLUME\"}, image_sub_path: \"bin\"}]" sh -c "$RUN")
  crictl exec -s "$id" /volume/ls /volume/sh
}

@test "kill -9 of interlink-api while containers with volumes are made leaves nothing of them" {
  crictl pull "$VOLUME"
  mkdir -p "$source"
  for round in 1 2 3; do
    eventually 60 site_is_reachable # until then nothing is begun
    there=$(folders)
    for n in 1 2 3 4; do
      create "$pod" "c$round$n" "$name" ".mounts = [{container_path: \"/volume\", readonly: true, image: {image: \"$VOLUME\"}, image_sub_path: \"bin\"},
        {container_path: \"/m\", host_path: \"$source\"}]" sh -c "$RUN" >/dev/null 2>&1 &
    done
    eventually 30 begun "$there" "$round"
    lab kill-site "$LAB_DIR"
    lab start-site "$LAB_DIR"
    wait
  done
  eventually 60 crictl rm -fa
  crictl stopp "$pod"
  crictl rmp "$pod"
  same "" "$(find "$LAB_DIR/site" -path '*/images/holds/*')"
  none grep -F -- "$LAB_DIR" /proc/self/mounts
}
