#!/usr/bin/env bats
# PARKED_CALLS RunPodSandbox calls (default 1000) wait on a backend that accepts and never reports.
source "$BATS_TEST_DIRNAME/../common.bash"

setup_file() { own_lab --fake; }
teardown_file() { end_own_lab; }

@test "lists stay fast beside ${PARKED_CALLS:-1000} parked calls, threads are bounded, nothing is left after they were cancelled" {
  parked -socket "$LAB_SOCKET" -site "$LAB_SITE" -pki "$LAB_PKI" -calls "${PARKED_CALLS:-1000}" \
    -node-pid "$LAB_NODE_PID" -site-pid "$LAB_SITE_PID" | tee /dev/fd/3
}
