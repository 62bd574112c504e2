#!/usr/bin/env bats
# STORM_PODS pods (default 200) while the site, the node, agents, their parents, shims, slurmctld and slurmd are killed.
source "$BATS_TEST_DIRNAME/storm.bash"

setup_file() { begin_storm; }
teardown_file() { end_own_lab; }

@test "${STORM_PODS:-200} pods in a storm of kills: no duplicate, no orphan, no lost exit" {
  weather_storm "${STORM_PODS:-200}"
}
