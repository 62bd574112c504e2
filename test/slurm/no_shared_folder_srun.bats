#!/usr/bin/env bats
# An ordinary user's site that shares no folder with compute nodes, and that they do not reach: all goes through srun.
source "$BATS_TEST_DIRNAME/slurm.bash"

setup_file() {
  runuser -u nobody -- test -x "$PROJECT/test/lab" || skip "user nobody cannot read $PROJECT"
  own_site --no-shared-folder --site-user nobody --transport srun
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }
teardown() {
  eventually 120 all_gone
}

executes() { [ "$(crictl exec -s "$1" echo alive)" = alive ]; }
nothing_left() { [ -z "$(ls -A "$LAB_SLURM/local")" ]; }

@test "a pod lives, as its user, by what srun brings and carries; and nothing stays" {
  pod=$(start_job_pod mine)
  same nobody "$(squeue -h -o %u)"
  same nobody "$(ps -o user= -p "$(agent_of "$pod")")"
  id=$(start_in_job "$pod" c mine '.linux.security_context.run_as_user = {value: 1000}' sh -c 'trap "exit 12" TERM; echo ready; while :; do sleep 0.2; done')
  eventually 30 log_has "$id" ready
  same 1000 "$(crictl exec -s "$id" id -u)"
  squeue -h -s -o '%j' | has '^interlink-relay$'
  crictl stop -t 10 "$id"
  same 12 "$(exit_code "$id")"
  crictl stopp "$pod"
  crictl rmp "$pod"
  eventually 20 nothing_left
}

@test "the site is killed and comes back: the container ran on" {
  pod=$(start_job_pod again)
  id=$(start_in_job "$pod" c again . sh -c 'echo ready; sleep 3600')
  eventually 30 log_has "$id" ready
  started=$(crictl inspect "$id" | jq -r .status.startedAt)
  lab kill-site "$LAB_DIR"
  lab start-site "$LAB_DIR"
  eventually 60 executes "$id"
  same "$started ready" "$(crictl inspect "$id" | jq -r .status.startedAt) $(log_of "$id")"
  same 1 "$(jobs_of "$pod" | wc -l)"
}
