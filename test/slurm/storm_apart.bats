#!/usr/bin/env bats
# The storm where jobs share no folder with the site and are reached through srun. Without what only a job's time limit
# proves there: a parent that is killed takes the last word of its pod with it.
source "$BATS_TEST_DIRNAME/storm.bash"

setup_file() { begin_storm --no-shared-folder --transport srun; }
teardown_file() { end_own_lab; }

@test "60 pods apart from their site in a storm of kills: no duplicate, no orphan, no lost exit" {
  weather_storm 60 -faults "site=30,node=25,both=10;agent=80,shim=14"
}
