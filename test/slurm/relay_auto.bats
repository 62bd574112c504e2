#!/usr/bin/env bats
# Agents that find out by themselves that they do not reach the site (Transport: auto).
source "$BATS_TEST_DIRNAME/slurm.bash"

setup_file() {
  own_site --transport auto
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }
teardown() { eventually 120 all_gone; }

executes() { [ "$(crictl exec -s "$1" echo alive)" = alive ]; }
sruns() { pgrep -f "^([^ ]*/)?srun --jobid=.*$LAB_SLURM_JOBS"; }

@test "an agent that the site is silent to is reached through srun, also after the site was away" {
  pod=$(start_job_pod auto)
  id=$(start_in_job "$pod" c auto . sh -c "$RUN")
  executes "$id"
  sruns
  lab kill-site "$LAB_DIR"
  eventually 20 none sruns
  lab start-site "$LAB_DIR"
  eventually 90 executes "$id"
  crictl stop -t 5 "$id"
  same 0 "$(exit_code "$id")"
  crictl stopp "$pod"
  eventually 20 none sruns
}

@test "once the address is served, agents come by themselves and no srun is started" {
  lab stop-site "$LAB_DIR"
  port=$(sed -n 's/^  Port: //p' "$LAB_SITE_CONFIG" | head -n 1)
  sed -i "s/PublicAddress: \"127.0.0.1:1\"/PublicAddress: \"127.0.0.1:$port\"/" "$LAB_SITE_CONFIG"
  lab start-site "$LAB_DIR"
  eventually 60 site_is_reachable
  pod=$(start_job_pod direct)
  id=$(start_in_job "$pod" c direct . sh -c "$RUN")
  always 30 none sruns
  executes "$id"
}
