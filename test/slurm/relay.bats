#!/usr/bin/env bats
# Compute nodes that do not reach the site: agents speak to it through srun (Transport: srun).
source "$BATS_TEST_DIRNAME/slurm.bash"

setup_file() {
  own_site --transport srun
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }
teardown() {
  lab start-site "$LAB_DIR" 2>/dev/null || true
  lab start-slurmctld "$LAB_DIR" 2>/dev/null || true
  eventually 60 crictl pods
  eventually 120 all_gone
}

executes() { [ "$(crictl exec -s "$1" echo alive)" = alive ]; }
relays_of() { sruns_of_job "$(job_id_of "$1")"; }
no_relay_of_job() { none sruns_of_job "$1"; }
# Of the compute node.
relay_steps() { pgrep -f "^[^ ]*/interlink-agent[^ ]* relay --socket $LAB_SLURM/"; }
has_another_relay() { # POD PIDS
  local now
  now=$(relays_of "$1") && [ -z "$(grep -Fxf <(echo "$2") <<<"$now")" ]
}
has_another_agent() { # POD PID
  local now
  now=$(agent_of "$1")
  [ -n "$now" ] && [ "$now" != "$2" ]
}
pod_is_down() { [ "$(pod_state "$1")" = SANDBOX_NOTREADY ]; }

COUNT='i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.1; done'
counts_on() { log_of "$1" | awk '$2 != NR {bad = 1} END {exit bad || NR < 20}'; }

@test "the agents' address is served by nobody, and a pod lives: log, exec, stdin, exit codes, stop" {
  grep -q 'PublicAddress: "127.0.0.1:1"' "$LAB_SITE_CONFIG"
  refused refused bash -c 'exec 3<>/dev/tcp/127.0.0.1/1'
  pod=$(start_job_pod life)
  id=$(start_in_job "$pod" c life . sh -c 'echo "hello from $(hostname)"; echo oops >&2; exit 3')
  eventually 30 is_exited "$id"
  same 3 "$(exit_code "$id")"
  same "hello from life
oops" "$(log_of "$id" | sort)"
  other=$(start_in_job "$pod" other life . sh -c 'trap "exit 143" TERM; echo ready; while :; do sleep 1; done')
  same out "$(crictl exec -s "$other" echo out)"
  same "from stdin" "$(echo 'from stdin' | crictl exec -i "$other" cat)"
  refused "exited with 7" crictl exec -s "$other" sh -c 'exit 7'
  same 200000 "$(crictl exec "$other" head -c 200000 /dev/zero | wc -c)"
  same "$(head -c 3000000 /dev/zero | md5sum)" "$(head -c 3000000 /dev/zero | crictl exec -i "$other" md5sum)"
  eventually 30 log_has "$other" ready
  crictl stop -t 30 "$other"
  same 143 "$(exit_code "$other")"
  squeue -h -s -o '%i %j' | has "^$(job_id_of "$pod")\.[0-9]* interlink-relay$"
  same srun "$(crictl inspectp "$pod" | jq -r '.. | .transport? // empty' | head -n 1)"

  job=$(job_id_of "$pod")
  crictl stopp "$pod"
  eventually 20 no_relay_of_job "$job"
  eventually 20 none relay_steps
  crictl rmp "$pod"
  same "" "$(crictl pods -q)"
  same "" "$(ls -A "$LAB_SLURM/local")" "left on the compute node"
}

@test "a log of many lines arrives whole, though the pod ends at once" {
  pod=$(start_job_pod lines)
  id=$(start_in_job "$pod" c lines . sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo "line $i"; done')
  eventually 60 is_exited "$id"
  crictl stopp "$pod"
  same "20000 line 20000" "$(log_of "$id" | wc -l) $(log_of "$id" | tail -n 1)"
}

@test "srun is killed, with what watches it: the container ran on, exec works again, no line is lost" {
  pod=$(start_job_pod srun)
  id=$(start_in_job "$pod" c srun . sh -c "$COUNT")
  started=$(crictl inspect "$id" | jq -r .status.startedAt)
  eventually 30 log_has "$id" "line 5"
  sruns=$(relays_of "$pod")
  kill -9 $sruns
  eventually 30 has_another_relay "$pod" "$sruns"
  eventually 60 executes "$id"
  same "$started" "$(crictl inspect "$id" | jq -r .status.startedAt)"
  seen=$(log_of "$id" | wc -l)
  eventually 30 log_has "$id" "line $((seen + 20))"
  counts_on "$id"
}

@test "the relay on the compute node is killed: another one comes" {
  pod=$(start_job_pod step)
  id=$(start_in_job "$pod" c step . sh -c "$COUNT")
  eventually 30 log_has "$id" "line 5"
  sruns=$(relays_of "$pod")
  kill -9 $(relay_steps)
  eventually 30 has_another_relay "$pod" "$sruns"
  eventually 60 executes "$id"
  eventually 30 log_has "$id" "line 30"
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
}

@test "the site is killed: no srun stays, and when it is back everything goes on" {
  pod=$(start_job_pod site)
  id=$(start_in_job "$pod" c site . sh -c "$COUNT")
  job=$(job_id_of "$pod")
  eventually 30 log_has "$id" "line 5"
  lab kill-site "$LAB_DIR"
  eventually 20 no_relay_of_job "$job"
  eventually 20 none relay_steps
  job_is "$job" RUNNING
  lab start-site "$LAB_DIR"
  eventually 60 executes "$id"
  seen=$(log_of "$id" | wc -l)
  eventually 30 log_has "$id" "line $((seen + 20))"
  counts_on "$id"
}

@test "the site is stopped in order: no srun stays, and the job runs on" {
  pod=$(start_job_pod stopped)
  id=$(start_in_job "$pod" c stopped . sh -c "$RUN")
  job=$(job_id_of "$pod")
  lab stop-site "$LAB_DIR"
  no_relay_of_job "$job"
  eventually 20 none relay_steps
  job_is "$job" RUNNING
  lab start-site "$LAB_DIR"
  eventually 60 executes "$id"
}

@test "SLURM's controller is away: the relay goes on; one that is lost meanwhile comes when it is back" {
  pod=$(start_job_pod controller)
  id=$(start_in_job "$pod" c controller . sh -c "$COUNT")
  scontrol update JobId="$(job_id_of "$pod")" AdminComment="runs-$pod"
  eventually 20 grep -qa "runs-$pod" "$LAB_SLURM/state/job_state"
  sruns=$(relays_of "$pod")
  lab kill-slurmctld "$LAB_DIR"
  executes "$id"
  same "$sruns" "$(relays_of "$pod")"
  kill -9 $sruns
  lab start-slurmctld "$LAB_DIR"
  eventually 90 executes "$id"
  seen=$(log_of "$id" | wc -l)
  eventually 30 log_has "$id" "line $((seen + 20))"
  counts_on "$id"
}

@test "a job that somebody cancels: the grace is kept, the container's own end is told, the pod is not ready" {
  pod=$(start_job_pod cancelled)
  id=$(start_in_job "$pod" c cancelled . sh -c 'trap "sleep 0.5; echo bye; exit 9" TERM; echo ready; while :; do sleep 0.2; done')
  eventually 30 log_has "$id" ready
  job=$(job_id_of "$pod")
  scancel "$job"
  eventually 60 is_exited "$id"
  same 9 "$(exit_code "$id")"
  eventually 60 pod_is_down "$pod"
  log_has "$id" bye
  eventually 30 no_relay_of_job "$job"
}

@test "six pods at once have a relay each, and none stays" {
  for n in 1 2 3 4 5 6; do start_job_pod "many$n" >"$BATS_TEST_TMPDIR/pod$n" & done
  wait
  for n in 1 2 3 4 5 6; do
    pod=$(cat "$BATS_TEST_TMPDIR/pod$n")
    id=$(start_in_job "$pod" c "many$n" . sh -c "exit $n")
    eventually 30 is_exited "$id"
    same "$n" "$(exit_code "$id")"
  done
  remove_all
  eventually 60 all_gone
  eventually 20 none pgrep -f "^([^ ]*/)?srun --jobid=.*$LAB_SLURM_JOBS"
}
