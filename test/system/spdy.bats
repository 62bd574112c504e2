#!/usr/bin/env bats
# Our SPDY against the library that kubectl, crictl and kubelet use. Needs no lab.
source "$BATS_TEST_DIRNAME/common.bash"

@test "spdystream speaks to our server: a command, a terminal, 50 forwarded connections" {
  client=$("$PROJECT/test/support/tools/build-tools.sh" spdy)/spdy
  timeout 90 "$client" "${INTERLINK_BUILD:-$PROJECT/build/release}/test/spdy_peer"
}
