#!/usr/bin/env bats
# Thousands of connections that mean no good, while ordinary clients work.
source "$BATS_TEST_DIRNAME/../system/common.bash"

setup() { own_lab --fake; }
teardown() { end_own_lab; }

@test "hostile connections: silent, slow, nonsense, half requests: no ordinary question fails, and all is as before afterwards" {
  hostile -site "$LAB_SITE" -pki "$LAB_PKI" -pid "$LAB_SITE_PID" -count "${HOSTILE:-10000}" | sed 's/^/# /' >&3
  # The node still has its link.
  crictl info | jq -e '.status.conditions[] | select(.type == "SiteReachable") | .status' | has true
}
