#!/usr/bin/env bats
# What SLURM does wrong, and how it ends jobs, as kubelet sees it. Memory limits and the ends of jobs are SLURM's own here.
source "$BATS_TEST_DIRNAME/slurm.bash"

setup_file() {
  [ -d /sys/fs/cgroup/memory ] || skip "no memory controller of cgroup v1"
  own_site --enforce --lease 6s --slurm MinJobAge=5 --slurm PreemptType=preempt/partition_prio --slurm PreemptMode=CANCEL
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }
setup() { caller=; }
teardown() {
  [ -z "$LAB_SLURMCTLD_PID" ] || kill -CONT "$(controller)" 2>/dev/null || true
  [ -z "$caller" ] || wait "$caller" || true
  for part in slurmctld site node; do lab "start-$part" "$LAB_DIR" 2>/dev/null || true; done
  for machine in 1 2 3; do lab start-slurmd "$LAB_DIR" "$machine" 2>/dev/null || true; done
  for name in filler other; do scancel --user="$(id -un)" --name="$name"; done
  lab mend "$LAB_DIR"
  eventually 180 all_gone
}

controller() { jq .pid "$LAB_DIR/run/slurmctld.json"; }
pod_is_down() { [ "$(pod_state "$1")" = SANDBOX_NOTREADY ]; }
executes() { [ "$(crictl exec -s "$1" echo alive)" = alive ]; }
message_of() { crictl inspect "$1" | jq -r .status.message; }
machine_of() { squeue -h -j "$(job_id_of "$1")" -o %B; }
pending_at_site() { [ -n "$(sandboxes_at_site)" ] && [ -n "$(jobs_of "$(sandboxes_at_site)")" ]; }

# The controller has written its state now; the next time is 5 s away.
await_saved() { # JOB
  local mark="mark-$1-$RANDOM$RANDOM"
  scontrol update JobId="$1" AdminComment="$mark"
  eventually 20 grep -qa "$mark" "$LAB_SLURM/state/job_state"
}
# The controller has had nothing to write for a while: the next change is written at once, the one after it not before 5 s.
await_idle_state() { eventually 30 is_idle_state; }
is_idle_state() { [ $(($(date +%s) - $(stat -c %Y "$LAB_SLURM/state/job_state"))) -gt 6 ]; }

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
# It runs its containers, each once; the pod's folder tells how often a job had the pod.
works() { # POD NAME
  local id
  id=$(start_in_job "$1" c "$2" . sh -c 'echo ran; exit 6')
  eventually 30 is_exited "$id"
  same 6 "$(exit_code "$id")"
  same ran "$(log_of "$id")"
  same 1 "$(find "$LAB_SLURM_JOBS/pods/$1" -name 'own.*' | wc -l)" "jobs that had the pod"
}

@test "a controller that is killed forgets a job and gives its id to another: the pod runs once, the other job is not touched" {
  filler=$(fill_cluster)
  await_saved "$filler"
  call_until_up forgotten &
  caller=$!
  eventually 10 pending_at_site
  pod=$(sandboxes_at_site)
  lost=$(jobs_of "$pod" | cut -d' ' -f1)
  lab kill-slurmctld "$LAB_DIR"
  lab start-slurmctld "$LAB_DIR"
  heir=$(submit 'sleep 300' --job-name=other)
  same "$lost" "$heir" "the id that the controller gave again"
  scancel "$filler"
  eventually 30 job_is "$heir" RUNNING
  first=$pod
  up
  same "$first" "$pod"
  works "$pod" forgotten
  [ "$(job_id_of "$pod")" != "$heir" ]
  crictl rmp -f "$pod"
  same RUNNING "$(job_state "$heir")"
}

@test "a controller is killed one second after a pod's start: what ran does not run again" {
  await_idle_state
  pod=$(start_job_pod young)
  id=$(start_in_job "$pod" c young . sh -c 'echo begun; sleep 15; echo done; exit 4')
  eventually 5 log_has "$id" begun
  lab kill-slurmctld "$LAB_DIR"
  lab start-slurmctld "$LAB_DIR"
  # SLURM keeps the job, ends it, or ends it and runs its script again: that one has lost the claim.
  eventually 180 is_exited "$id" # without a word of its agent: a lease and 90 s
  case $(exit_code "$id") in
    4) same "begun
done" "$(log_of "$id")" ;;
    0) fail "a success that nobody saw: $(crictl inspect "$id")" ;;
    *) same begun "$(log_of "$id")" ;;
  esac
  same 1 "$(find "$LAB_SLURM_JOBS/pods/$pod" -name 'own.*' | wc -l)" "jobs that had the pod"
  crictl rmp -f "$pod"
}

doubts() { grep -c "it is not known whether a job was submitted" "$LAB_SITE_LOG" || true; }
more_doubts_than() { [ "$(doubts)" -gt "$1" ]; }

@test "a controller that is frozen while a pod is submitted: one pod comes of it" {
  kill -STOP "$(controller)"
  doubts=$(doubts)
  call_until_up frozen &
  caller=$!
  eventually 30 more_doubts_than "$doubts" # sbatch gives up after MessageTimeout, 10 s
  kill -CONT "$(controller)"
  up
  works "$pod" frozen
  same "$pod" "$(sandboxes_at_site)"
}

@test "an sbatch that submits and then fails: its job is found by its name, and is the only one" {
  mkdir "$BATS_TEST_TMPDIR/commands"
  for command in squeue scancel sacct scontrol; do ln -s "$(command -v "$command")" "$BATS_TEST_TMPDIR/commands/$command"; done
  cat >"$BATS_TEST_TMPDIR/commands/sbatch" <<EOF
#!/bin/sh
case \$1 in --version | --help) exec $(command -v sbatch) "\$@" ;; esac
$(command -v sbatch) "\$@" >/dev/null
echo "sbatch: error: something behind it failed" >&2
exit 1
EOF
  chmod +x "$BATS_TEST_TMPDIR/commands/sbatch"
  cp "$LAB_SITE_CONFIG" "$BATS_TEST_TMPDIR/site.yaml"
  sed -i "s|^      SlurmConf:.*|&\n      CommandsFolder: \"$BATS_TEST_TMPDIR/commands\"|" "$LAB_SITE_CONFIG"
  lab stop-site "$LAB_DIR"
  lab start-site "$LAB_DIR"
  call_until_up liar &
  caller=$!
  up
  works "$pod" liar
  same 1 "$(jobs_of "$pod" | wc -l)" "jobs of the pod"
  cp "$BATS_TEST_TMPDIR/site.yaml" "$LAB_SITE_CONFIG"
  lab stop-site "$LAB_DIR"
  lab start-site "$LAB_DIR"
}

@test "a machine whose slurmd is dead is lost to SLURM: its pod is ended before it is said to have ended" {
  pod=$(start_job_pod lost)
  id=$(start_in_job "$pod" c lost . sh -c 'trap "echo told; exit 9" TERM; i=0; while :; do i=$((i+1)); echo "line $i"; sleep 0.1; done')
  machine=$(machine_of "$pod")
  job=$(job_id_of "$pod")
  lab kill-slurmd "$LAB_DIR" "${machine##*-}"
  executes "$id"
  eventually 120 job_is "$job" NODE_FAIL
  eventually 60 pod_is_down "$pod"
  same 9 "$(exit_code "$id")" "$(message_of "$id")"
  # A controller that has forgotten it meanwhile (MinJobAge) can say less.
  crictl inspectp "$pod" | has -E 'NODE_FAIL|does not know it any more' || fail "$(crictl inspectp "$pod"; squeue -h -t all -o '%A %T %r %j')"
  seen=$(log_of "$id")
  has told <<<"$seen"
  always 2 same "$seen" "$(log_of "$id")" "the log of what has ended"
  none pgrep -f "interlink-shim run .*$id"
  crictl rmp "$pod"
}

@test "a container that takes more memory than its job has is killed, and no other is" {
  pod=$(start_job_pod oom '.annotations = {"slurm.interlink.io/memory": "100M"}')
  killed=$(start_in_job "$pod" killed oom . sh -c 'trap "" TERM; while :; do sleep 0.2; done')
  id=$(start_in_job "$pod" c oom . sh -c 'head -c 400m /dev/zero | tail -c 400m >/dev/null; exit $?')
  eventually 60 is_exited "$id"
  # An agent of root does not see why: its containers must not have the machine's cgroups (users.bats has the others).
  same 137 "$(exit_code "$id")"
  crictl stop -t 1 "$killed"
  same "137 Error" "$(exit_code "$killed") $(exit_reason "$killed")"
}

@test "a pod is told before its time is over, and its containers' own codes are told" {
  pod=$(start_job_pod limit '.annotations = {"slurm.interlink.io/time": "1"}')
  heard=$(start_in_job "$pod" heard limit . sh -c 'trap "exit 5" TERM; while :; do sleep 0.2; done')
  deaf=$(start_in_job "$pod" deaf limit . sh -c 'trap "" TERM; while :; do sleep 0.2; done')
  # What has saved its work has not done it; what was done before has.
  saved=$(start_in_job "$pod" saved limit . sh -c 'trap "exit 0" TERM; while :; do sleep 0.2; done')
  complete=$(start_in_job "$pod" complete limit . true)
  eventually 180 pod_is_down "$pod"
  same 5 "$(exit_code "$heard")"
  same 137 "$(exit_code "$deaf")"
  same "143 Error" "$(exit_code "$saved") $(exit_reason "$saved")"
  same "0 Completed" "$(exit_code "$complete") $(exit_reason "$complete")"
}

@test "a job of a stronger partition takes a pod's machine: the pod leaves with its own code" {
  for machine in 2 3; do
    submit 'sleep 3600' --exclusive --mem=0 --job-name=filler --nodelist="$(cut -d' ' -f$machine <<<"$LAB_SLURM_MACHINES")" >/dev/null
  done
  pod=$(start_job_pod weak)
  same "$(cut -d' ' -f1 <<<"$LAB_SLURM_MACHINES")" "$(machine_of "$pod")"
  id=$(start_in_job "$pod" c weak . sh -c 'trap "echo told; exit 5" TERM; echo up; while :; do sleep 0.2; done')
  eventually 30 log_has "$id" up
  other=$(submit 'sleep 3600' --exclusive --mem=0 --job-name=other --partition=short --time=5)
  eventually 60 pod_is_down "$pod"
  same 5 "$(exit_code "$id")"
  same "up
told" "$(log_of "$id")"
  crictl inspectp "$pod" | has -i preempted
  eventually 30 job_is "$other" RUNNING
}

@test "a machine that is drained keeps its pod, which goes on as before" {
  pod=$(start_job_pod drained)
  machine=$(machine_of "$pod")
  scontrol update NodeName="$machine" State=DRAIN Reason=test
  id=$(start_in_job "$pod" c drained . sh -c 'sleep 3; exit 8')
  executes "$id"
  same SANDBOX_READY "$(pod_state "$pod")"
  eventually 30 is_exited "$id"
  same 8 "$(exit_code "$id")"
  has -x draining <<<"$(sinfo -h -n "$machine" -p debug -o %T)"
}

@test "a job that ended and was forgotten by SLURM while the site was away is told with its containers' own codes" {
  pod=$(start_job_pod aged)
  id=$(start_in_job "$pod" c aged . sh -c 'trap "exit 9" TERM; echo up; while :; do sleep 0.2; done')
  eventually 30 log_has "$id" up
  job=$(job_id_of "$pod")
  lab kill-site "$LAB_DIR"
  scancel "$job"
  eventually 120 is_forgotten "$job"
  lab start-site "$LAB_DIR"
  eventually 60 pod_is_down "$pod"
  same 9 "$(exit_code "$id")"
}
is_forgotten() { ! grep -qx "$1" <<<"$(squeue -h -t all -o %A)"; }
