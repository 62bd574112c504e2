#!/usr/bin/env bats
# What dies while a job runs, and what must not be noticed.
source "$BATS_TEST_DIRNAME/slurm.bash"

setup_file() {
  own_site
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }
teardown() {
  lab start-site "$LAB_DIR" 2>/dev/null || true
  lab start-node "$LAB_DIR" 2>/dev/null || true
  lab start-slurmctld "$LAB_DIR" 2>/dev/null || true
  eventually 60 crictl pods
  eventually 120 all_gone
}

executes() { [ "$(crictl exec -s "$1" echo alive)" = alive ]; }
has_another_agent() { # POD PID
  local now
  now=$(agent_of "$1")
  [ -n "$now" ] && [ "$now" != "$2" ]
}
pod_is_down() { [ "$(pod_state "$1")" = SANDBOX_NOTREADY ]; }

COUNT='i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.1; done'
# The lines of a log are line 1, line 2, ... without gap or repeat.
counts_on() { log_of "$1" | awk '$2 != NR {bad = 1} END {exit bad || NR < 20}'; }

@test "the site is killed and comes back: the container ran on, exec works, no line is lost" {
  pod=$(start_job_pod site)
  id=$(start_in_job "$pod" c site . sh -c "$COUNT")
  started=$(crictl inspect "$id" | jq -r .status.startedAt)
  eventually 30 log_has "$id" "line 5"
  lab kill-site "$LAB_DIR"
  always 3 job_is "$(jobs_of "$pod" | cut -d' ' -f1)" RUNNING
  lab start-site "$LAB_DIR"
  eventually 60 executes "$id"
  same "$started" "$(crictl inspect "$id" | jq -r .status.startedAt)"
  seen=$(log_of "$id" | wc -l)
  eventually 30 log_has "$id" "line $((seen + 20))"
  counts_on "$id"
  same 1 "$(jobs_of "$pod" | wc -l)"
}

@test "a container that ends while the site is away is told with its own code" {
  pod=$(start_job_pod away)
  id=$(start_in_job "$pod" c away . sh -c 'sleep 4; exit 9')
  lab kill-site "$LAB_DIR"
  eventually 30 test -e "$LAB_SLURM_JOBS/pods/$pod/exits/$id"
  lab start-site "$LAB_DIR"
  eventually 60 is_exited "$id"
  same 9 "$(exit_code "$id")"
}

@test "the node is killed and comes back" {
  pod=$(start_job_pod node)
  id=$(start_in_job "$pod" c node . sh -c "$COUNT")
  eventually 30 log_has "$id" "line 5"
  lab kill-node "$LAB_DIR"
  lab start-node "$LAB_DIR"
  eventually 30 executes "$id"
  seen=$(log_of "$id" | wc -l)
  eventually 30 log_has "$id" "line $((seen + 20))"
  counts_on "$id"
}

@test "the agent is killed and is started again: the container ran on" {
  pod=$(start_job_pod agent)
  id=$(start_in_job "$pod" c agent . sh -c "$COUNT")
  eventually 30 log_has "$id" "line 5"
  agent=$(agent_of "$pod")
  kill -9 "$agent"
  eventually 30 has_another_agent "$pod" "$agent"
  eventually 60 executes "$id"
  seen=$(log_of "$id" | wc -l)
  eventually 30 log_has "$id" "line $((seen + 20))"
  counts_on "$id"
  crictl stop -t 2 "$id"
  crictl stopp "$pod"
  crictl rmp "$pod"
}

@test "SLURM's controller is away: what runs goes on and ends, and a stop is carried out later" {
  pod=$(start_job_pod controller)
  id=$(start_in_job "$pod" c controller . sh -c "$RUN")
  # Its state is written every 5 s; what says this was said while the job ran.
  scontrol update JobId="$(job_id_of "$pod")" AdminComment="runs-$pod"
  eventually 20 grep -qa "runs-$pod" "$LAB_SLURM/state/job_state"
  lab kill-slurmctld "$LAB_DIR"
  executes "$id"
  crictl stop -t 5 "$id"
  same 0 "$(exit_code "$id")"
  lab start-slurmctld "$LAB_DIR"
  eventually 60 crictl stopp "$pod"
  eventually 60 crictl rmp "$pod"
}

@test "the site's store is lost: what runs is imported and can be removed" {
  pod=$(start_job_pod store)
  id=$(start_in_job "$pod" c store . sh -c "$RUN")
  lab kill-site "$LAB_DIR"
  rm -r "$LAB_DIR/site/store"*
  LAB_NO_READY=1 lab start-site "$LAB_DIR"
  "$LAB_BUILD/bin/interlink-api" node takeover "$LAB_NODE_NAME" --config "$LAB_SITE_CONFIG" || true
  eventually 60 executes "$id"
  same CONTAINER_RUNNING "$(container_state "$id")"
  crictl rmp -f "$pod"
  same "" "$(crictl pods -q)"
}

@test "everything at once: site, node and agent are killed" {
  pod=$(start_job_pod all)
  id=$(start_in_job "$pod" c all . sh -c "$RUN")
  agent=$(agent_of "$pod")
  lab kill-site "$LAB_DIR"
  lab kill-node "$LAB_DIR"
  kill -9 "$agent"
  lab start-site "$LAB_DIR"
  lab start-node "$LAB_DIR"
  eventually 60 executes "$id"
  crictl stopp "$pod"
  is_exited "$id"
  crictl rmp "$pod"
}
