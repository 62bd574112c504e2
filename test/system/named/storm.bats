#!/usr/bin/env bats
# 60 pods of this machine while the site, the node and shims are killed.
source "$BATS_TEST_DIRNAME/../common.bash"
source "$BATS_TEST_DIRNAME/../storm.bash"

setup_file() {
  PATH=$("$PROJECT/test/support/tools/build-tools.sh" crictl storm):$PATH
  export PATH
  own_lab
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }

@test "60 local pods in a storm of kills: no duplicate, no orphan, no lost exit" {
  weather_storm 60 -handler local -faults "site=30,node=25,both=10;shim=14"
}
