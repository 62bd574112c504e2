#!/usr/bin/env bats
# Images: names, tables, removal, and registries that cannot be trusted.
source "$BATS_TEST_DIRNAME/common.bash"

teardown() { crictl rmi registry.k8s.io/k8s-staging-cri-tools/test-image-1:latest >/dev/null 2>&1 || true; remove_all; }

@test "pull, images, inspecti, imagefsinfo and rmi" {
  image=registry.k8s.io/k8s-staging-cri-tools/test-image-1:latest
  crictl pull $image | has "sha256:"
  id=$(crictl images -q $image)
  [[ $id == sha256:* ]]
  crictl images | grep -E "test-image-1 +latest +[0-9a-f]{13} +[0-9.]+[kMG]?B"
  crictl inspecti $image | jq -e '.status | .id and (.repoTags | length == 1) and (.repoDigests | length == 1) and (.size | tonumber) > 0'
  crictl imagefsinfo | jq -e '.status.imageFilesystems[0].fsId.mountpoint'
  crictl rmi $image
  same "" "$(crictl images -q $image)"
  refused "no such image|not found" crictl inspecti $image
}

@test "an image by digest is the image by tag" {
  image=registry.k8s.io/k8s-staging-cri-tools/test-image-1
  crictl pull $image:latest
  digest=$(crictl inspecti $image:latest | jq -r '.status.repoDigests[0]')
  crictl pull "$digest"
  same "$(crictl images -q $image:latest)" "$(crictl inspecti "$digest" | jq -r .status.id)"
}

@test "the user of an image is told" {
  crictl pull registry.k8s.io/k8s-staging-cri-tools/test-image-user-uid:latest
  same 1002 "$(crictl inspecti registry.k8s.io/k8s-staging-cri-tools/test-image-user-uid:latest | jq -r '.status.uid.value // .status.uid')"
  crictl pull registry.k8s.io/k8s-staging-cri-tools/test-image-user-username:latest
  same www-data "$(crictl inspecti registry.k8s.io/k8s-staging-cri-tools/test-image-user-username:latest | jq -r .status.username)"
}

@test "an unknown image and a bad name are refused" {
  refused "not found|unknown|404" crictl pull docker.io/library/no-such-image:1
  for name in "../../etc/passwd" "docker.io/UPPER/case" "a b" "docker.io/library/busybox:-bad" "docker.io/../../x"; do
    refused "InvalidArgument|invalid reference" crictl pull "$name"
  done
}

@test "a registry that lies about digests and sizes gets nothing in" {
  before=$(crictl images -q | sort)
  for lie in blob config short size manifest html; do
    if [ $lie = manifest ]; then
      refused "sends other bytes" crictl pull "lie.test/lie/$lie@sha256:$(printf 'a%.0s' {1..64})"
    else
      refused "sends other bytes|size|length|manifest|media" crictl pull lie.test/lie/$lie:latest
    fi
  done
  same "$before" "$(crictl images -q | sort)"
}

@test "a layer cannot leave its root" {
  find "$LAB_DIR/victim" -type f -exec sha256sum {} + >"$BATS_TEST_TMPDIR/before"
  for evil in dotdot symlink dotdot-symlink hardlink; do
    crictl pull lab.test/evil/$evil:latest 2>&1 | tee "$BATS_TEST_TMPDIR/$evil" || true
    # Refused by name, or its paths were taken as relative to the layer's root; nothing else.
    grep -Eq 'InvalidArgument|up to date for sha256' "$BATS_TEST_TMPDIR/$evil"
  done
  for broken in wrong-diff-id cut no-gzip; do
    refused "DataLoss" crictl pull lab.test/evil/$broken:latest
  done
  find "$LAB_DIR/victim" -type f -exec sha256sum {} + | diff "$BATS_TEST_TMPDIR/before" -
  crictl images -q | grep . | xargs -r -n1 crictl inspecti >/dev/null
  for evil in dotdot symlink dotdot-symlink hardlink; do
    crictl rmi lab.test/evil/$evil:latest >/dev/null 2>&1 || true
  done
}

@test "an image in use stays until its container is gone" {
  image=registry.k8s.io/k8s-staging-cri-tools/test-image-1:latest
  crictl pull $image
  pod=$(start_pod inuse)
  c=$(start_container "$pod" c inuse ".image.image = \"$image\"" sh -c "$RUN")
  crictl rmi $image
  same ok "$(crictl exec -s "$c" echo ok)"
  same "" "$(crictl images -q $image)"
}
