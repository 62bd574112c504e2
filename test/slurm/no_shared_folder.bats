#!/usr/bin/env bats
# Compute nodes that share no folder with the site (SharedFolder: false): they see an empty one in the place of JobFolder.
source "$BATS_TEST_DIRNAME/slurm.bash"

setup_file() {
  # A lease that is over soon: agents must not mind.
  own_site --no-shared-folder --lease 6s
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }
setup() { caller= hopeless=; }
teardown() {
  [ -z "$caller" ] || wait "$caller" || true
  own_site_config
  lab start-site "$LAB_DIR" 2>/dev/null || true
  [ -z "$hopeless" ] || return 0
  scancel --user="$(id -un)" --name=filler
  eventually 60 crictl pods
  eventually 120 all_gone
}

executes() { [ "$(crictl exec -s "$1" echo alive)" = alive ]; }
pod_is_down() { [ "$(pod_state "$1")" = SANDBOX_NOTREADY ]; }
has_another_agent() { # POD PID
  local now
  now=$(agent_of "$1")
  [ -n "$now" ] && [ "$now" != "$2" ]
}
COUNT='i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.1; done'
counts_on() { log_of "$1" | awk '$2 != NR {bad = 1} END {exit bad || NR < 20}'; }
# What a job sees of JobFolder, and what a job's command line, script and environment tell of it.
a_slurmd() { jq .pid "$LAB_DIR/run/slurmd-1.json"; }
seen_by_jobs() { nsenter -m -t "$(a_slurmd)" ls -A "$LAB_JOB_FOLDER"; }
nothing_left() { [ -z "$(ls -A "$LAB_SLURM/local")" ]; }
# A container that says in a file of the machines' own how often it was started.
counted() { # POD NAME COMMAND
  start_in_job "$1" c "$2" \
    ".mounts = [{container_path: \"/scratch\", host_path: \"$LAB_SLURM/scratch\"}]" sh -c "echo run >>/scratch/$2; $3"
}
runs_of() { wc -l <"$LAB_SLURM/scratch/$1"; }

@test "a pod lives where jobs see nothing of the site's folder: log, exec, stdin, exit codes, stop; and nothing stays" {
  pod=$(start_job_pod life)
  same "" "$(seen_by_jobs)" "what jobs see"
  refused "read-only" nsenter -m -t "$(a_slurmd)" touch "$LAB_JOB_FOLDER/x"
  [ -n "$(ls -A "$LAB_JOB_FOLDER/pods")" ]
  id=$(start_in_job "$pod" c life . sh -c 'echo "hello from $(hostname)"; echo oops >&2; exit 3')
  eventually 30 is_exited "$id"
  same 3 "$(exit_code "$id")"
  same "hello from life
oops" "$(log_of "$id" | sort)"
  other=$(start_in_job "$pod" other life . sh -c 'trap "exit 143" TERM; echo ready; while :; do sleep 1; done')
  same out "$(crictl exec -s "$other" echo out)"
  same "from stdin" "$(echo 'from stdin' | crictl exec -i "$other" cat)"
  refused "exited with 7" crictl exec -s "$other" sh -c 'exit 7'
  eventually 30 log_has "$other" ready
  # Nothing secret, and nothing of the site's folder, where others read.
  none grep -e "$LAB_JOB_FOLDER" <(scontrol show job "$(job_id_of "$pod")"; tr '\0' '\n' <"/proc/$(agent_of "$pod")/cmdline"; tr '\0' '\n' <"/proc/$(agent_of "$pod")/environ")
  none grep -F "$(cat "$LAB_JOB_FOLDER/pods/$pod/token")" <(scontrol write batch_script "$(job_id_of "$pod")" -; tr '\0' '\n' <"/proc/$(agent_of "$pod")/cmdline")
  same "600" "$(stat -c %a "$LAB_SLURM"/local/interlink-*/token)"
  crictl stop -t 30 "$other"
  same 143 "$(exit_code "$other")"
  same false "$(crictl inspectp "$pod" | jq -r '.. | .shared_folder? | select(. != null)' | head -n 1)"
  crictl stopp "$pod"
  crictl rmp "$pod"
  same "" "$(crictl pods -q)"
  same "" "$(ls -A "$LAB_JOB_FOLDER/pods" | grep -v '^\.site-' || true)" "left at the site"
  eventually 20 nothing_left
}

@test "the exit codes of containers are exact, also of those that the site stops" {
  pod=$(start_job_pod codes)
  for code in 0 1 42 255; do
    id=$(start_in_job "$pod" "c$code" codes . sh -c "exit $code")
    eventually 30 is_exited "$id"
    same "$code" "$(exit_code "$id")"
  done
  id=$(start_in_job "$pod" last codes . sh -c 'trap "echo bye; exit 17" TERM; echo ready; while :; do sleep 0.2; done')
  eventually 30 log_has "$id" ready
  crictl stop -t 30 "$id"
  same 17 "$(exit_code "$id")"
  log_of "$id" | has bye
  crictl stopp "$pod"
  same 17 "$(exit_code "$id")"
}

@test "a log of many lines arrives whole, though the pod ends at once" {
  pod=$(start_job_pod lines)
  id=$(start_in_job "$pod" c lines . sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo "line $i"; done')
  crictl stopp "$pod"
  eventually 60 is_exited "$id"
  last=$(log_of "$id" | wc -l)
  same "$last line $last" "$last $(log_of "$id" | tail -n 1)"
  pod=$(start_job_pod whole)
  id=$(start_in_job "$pod" c whole . sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo "line $i"; done; exit 5')
  job=$(job_id_of "$pod")
  eventually 60 is_exited "$id"
  crictl stopp "$pod"
  same "5 20000 line 20000" "$(exit_code "$id") $(log_of "$id" | wc -l) $(log_of "$id" | tail -n 1)"
}

@test "a job that somebody cancels: the grace is kept, code and last words of its container are told, the pod is not ready" {
  pod=$(start_job_pod cancelled)
  id=$(start_in_job "$pod" c cancelled . sh -c 'trap "sleep 0.5; i=0; while [ \$i -lt 3000 ]; do i=\$((i+1)); echo bye \$i; done; exit 9" TERM; echo ready; while :; do sleep 0.2; done')
  eventually 30 log_has "$id" ready
  scancel "$(job_id_of "$pod")"
  eventually 60 is_exited "$id"
  same 9 "$(exit_code "$id")"
  eventually 60 pod_is_down "$pod"
  same "3000 bye 3000" "$(log_of "$id" | grep -c '^bye ') $(log_of "$id" | tail -n 1)"
}

pending() { squeue -h -t PENDING -o %A | has .; }
given_up() { crictl pods -q >/dev/null && [ -z "$(squeue -h -t PENDING -o %A)" ]; }
nothing_at_site() { [ -z "$(sandboxes_at_site)" ]; }

@test "a caller that goes away while its pod is queued takes the job with it, which has never run" {
  fill_cluster >/dev/null
  crictl --timeout 300s runp "$(job_pod given-up)" >/dev/null 2>&1 &
  gone=$!
  eventually 30 pending
  kill -INT "$gone"
  wait "$gone" || true
  eventually 120 given_up
  eventually 30 nothing_at_site
  eventually 20 nothing_left
}

@test "a job that somebody cancels while it waits fails its pod in words" {
  fill_cluster >/dev/null
  crictl --timeout 300s runp "$(job_pod unlucky)" >"$BATS_TEST_TMPDIR/answer" 2>&1 &
  asked=$!
  eventually 30 pending
  scancel "$(squeue -h -t PENDING -o %A)"
  wait "$asked" && fail "it runs: $(cat "$BATS_TEST_TMPDIR/answer")"
  grep -qi cancel "$BATS_TEST_TMPDIR/answer" || fail "$(cat "$BATS_TEST_TMPDIR/answer")"
  eventually 30 nothing_at_site
}

@test "an agent that is killed is started again: its container ran on, once" {
  pod=$(start_job_pod agent)
  id=$(counted "$pod" agent "$COUNT")
  eventually 30 log_has "$id" "line 5"
  agent=$(agent_of "$pod")
  kill -9 "$agent"
  eventually 30 has_another_agent "$pod" "$agent"
  eventually 60 executes "$id"
  seen=$(log_of "$id" | wc -l)
  eventually 30 log_has "$id" "line $((seen + 20))"
  counts_on "$id"
  same 1 "$(runs_of agent)" "runs of the container"
}

@test "a site that is away for longer than a lease ends nothing" {
  pod=$(start_job_pod away)
  id=$(counted "$pod" away "$COUNT")
  eventually 30 log_has "$id" "line 5"
  started=$(crictl inspect "$id" | jq -r .status.startedAt)
  job=$(job_id_of "$pod")
  lab kill-site "$LAB_DIR"
  always 12 job_is "$job" RUNNING
  lab start-site "$LAB_DIR"
  eventually 60 executes "$id"
  same "$started" "$(crictl inspect "$id" | jq -r .status.startedAt)"
  seen=$(log_of "$id" | wc -l)
  eventually 30 log_has "$id" "line $((seen + 20))"
  counts_on "$id"
  same "1 1" "$(runs_of away) $(jobs_of "$pod" | wc -l)" "runs of the container, jobs"
}

@test "a container that ends while the site is away is told with its own code and its whole log" {
  pod=$(start_job_pod gone)
  id=$(counted "$pod" gone 'sleep 4; i=0; while [ $i -lt 5000 ]; do i=$((i+1)); echo "line $i"; done; echo over >/scratch/gone-over; exit 9')
  lab kill-site "$LAB_DIR"
  eventually 30 test -e "$LAB_SLURM/scratch/gone-over"
  lab start-site "$LAB_DIR"
  eventually 60 is_exited "$id"
  same 9 "$(exit_code "$id")"
  eventually 60 log_has "$id" "line 5000"
  same 5000 "$(log_of "$id" | wc -l)"
  same 1 "$(runs_of gone)" "runs of the container"
}

# Starts a pod as kubelet does, again and again: in the background, as caller. Then `up` waits for it: its id is pod.
call_until_up() { eventually 150 call "$(job_pod "$1")"; } # NAME
call() { timeout 60 crictl --timeout 30s runp "$1" >"$BATS_TEST_TMPDIR/id" 2>>"$BATS_TEST_TMPDIR/errors"; }
up() {
  local status=0
  wait "$caller" || status=$?
  caller=
  [ "$status" = 0 ] || fail "the pod did not come up: $(tail -n 3 "$BATS_TEST_TMPDIR/errors")"
  pod=$(cat "$BATS_TEST_TMPDIR/id")
}
# Deliveries stop in the middle of the agent, and do not end by themselves, until `deliver_whole`.
stuck_deliveries() {
  local command
  mkdir "$BATS_TEST_TMPDIR/commands"
  for command in sbatch squeue scancel sacct scontrol; do ln -s "$(command -v "$command")" "$BATS_TEST_TMPDIR/commands/$command"; done
  cat >"$BATS_TEST_TMPDIR/commands/srun" <<SRUN
#!/bin/bash
if [[ "\$*" == *=interlink-delivery\ * ]] && ! [ -e "$BATS_TEST_TMPDIR/whole" ]; then
  { head -c 100000; timeout 30 tail -f /dev/null; } | "$(command -v srun)" "\$@"
  exit
fi
exec "$(command -v srun)" "\$@"
SRUN
  chmod +x "$BATS_TEST_TMPDIR/commands/srun"
  restart_site_with "CommandsFolder: \"$BATS_TEST_TMPDIR/commands\""
}
deliver_whole() { touch "$BATS_TEST_TMPDIR/whole"; }
part_of_agent() { [ -s "$(find "$LAB_SLURM/local" -path '*/interlink-*/interlink-agent.*')" ]; }
whole_agents() { find "$LAB_SLURM/local" -path '*/interlink-*/delivered'; }

@test "the site is killed while it brings an agent: the next one brings it, and the container runs once" {
  stuck_deliveries
  call_until_up half &
  caller=$!
  eventually 60 part_of_agent
  first=$(sandboxes_at_site)
  lab kill-site "$LAB_DIR"
  same "" "$(whole_agents)"
  deliver_whole
  lab start-site "$LAB_DIR"
  up
  same "$first" "$pod"
  same 1 "$(whole_agents | wc -l)"
  id=$(counted "$pod" half 'exit 6')
  eventually 60 is_exited "$id"
  same "6 1 1" "$(exit_code "$id") $(runs_of half) $(jobs_of "$pod" | wc -l)" "code, runs of the container, jobs"
}

@test "an srun that is killed while it brings an agent: the next one brings it, and the container runs once" {
  stuck_deliveries
  # As a network that is cut does.
  call_until_up cut &
  caller=$!
  eventually 60 part_of_agent
  deliver_whole
  kill -9 $(pgrep -f "^([^ ]*/)?srun --jobid=.*interlink-delivery" | in_this_lab)
  up
  id=$(counted "$pod" cut 'exit 8')
  eventually 60 is_exited "$id"
  same "8 1 1" "$(exit_code "$id") $(runs_of cut) $(jobs_of "$pod" | wc -l)" "code, runs of the container, jobs"
}

no_job() { [ -z "$(squeue -h -o %A)" ]; }
job_runs() { [ -n "$(squeue -h -t RUNNING -o %A)" ]; }
no_pod_runs_nor_waits() { crictl pods -q >/dev/null && nothing_at_site; }

@test "a site that does not come: the job gives its allocation back by itself, and its pod has never run" {
  fill_cluster >/dev/null
  refused "queued at" crictl --timeout 8s runp "$(job_pod late)"
  lab kill-site "$LAB_DIR"
  scancel --user="$(id -un)" --name=filler
  eventually 30 job_runs
  eventually 100 no_job # BeginWithin of a lab: 60 s
  eventually 20 nothing_left
  lab start-site "$LAB_DIR"
  # Somebody asks again: a new job, and a pod that runs.
  call_until_up late &
  caller=$!
  up
  id=$(counted "$pod" late 'exit 4')
  eventually 30 is_exited "$id"
  same "4 1" "$(exit_code "$id") $(runs_of late)"
}

@test "a time limit: the agent ends its container in time, and says so" {
  pod=$(start_job_pod limit '.annotations = {"slurm.interlink.io/time": "1"}')
  id=$(start_in_job "$pod" c limit . sh -c 'trap "echo told; exit 21" TERM; echo ready; while :; do sleep 0.2; done')
  eventually 30 log_has "$id" ready
  eventually 150 is_exited "$id"
  same 21 "$(exit_code "$id")"
  log_has "$id" told
  eventually 60 pod_is_down "$pod"
}

is_doubted() { crictl inspectp "$1" | has 'it has when its time limit is over'; }

@test "all of a job is killed without a word: its pod has not ended before its time limit, or a person says so" {
  hopeless=1
  pod=$(start_job_pod dead '.annotations = {"slurm.interlink.io/time": "60"}')
  seconds=$((100000 + RANDOM)) # its mark
  id=$(counted "$pod" dead "echo ready; sleep $seconds")
  eventually 30 log_has "$id" ready
  # As when a machine is gone: what SLURM started, and what the agent did.
  kill -9 $(processes_of_job "$(job_id_of "$pod")") $(pgrep -f "interlink-(agent|shim).*$pod") $(pgrep -fx "sleep $seconds") 2>/dev/null || true
  eventually 60 no_job
  eventually 60 is_doubted "$pod"
  same "SANDBOX_READY CONTAINER_RUNNING" "$(pod_state "$pod") $(container_state "$id")"
  "$LAB_BUILD/bin/interlink-api" forget --dead "$pod" --config "$LAB_SITE_CONFIG" ||
    "$LAB_BUILD/bin/interlink-api" --config "$LAB_SITE_CONFIG" forget --dead "$pod"
  eventually 60 pod_is_down "$pod"
  same 255 "$(exit_code "$id")"
}
