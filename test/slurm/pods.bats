#!/usr/bin/env bats
# The life of a pod that is a SLURM job, through crictl.
source "$BATS_TEST_DIRNAME/slurm.bash"

setup_file() {
  own_site
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }
teardown() {
  eventually 120 all_gone
}

has_no_job() { [ -z "$(living_jobs_of "$1")" ]; }

@test "the handler of jobs is the site's default, and says what it takes of a node's configuration" {
  crictl info | jq -r '.runtimeHandlers[].name' | has -x slurm
  site GET /v1/info | jq -r '.handlers[] | select(.name == "slurm").nodeOptions[]' | has -x SLURM_PARTITION
  same slurm "$(site GET /v1/info | jq -r .defaultHandler)"
}

@test "a pod is one job: it runs, tells its log and its exit code, stops and goes" {
  pod=$(start_job_pod life)
  same SANDBOX_READY "$(pod_state "$pod")"
  same 1 "$(jobs_of "$pod" | wc -l)" "jobs of the pod"
  same "$(jobs_of "$pod")" "$(job_id_of "$pod") RUNNING"
  id=$(start_in_job "$pod" c life . sh -c 'echo "hello from $(hostname)"; echo oops >&2; exit 3')
  eventually 30 is_exited "$id"
  same 3 "$(exit_code "$id")"
  same Error "$(exit_reason "$id")"
  same "hello from life
oops" "$(log_of "$id" | sort)"

  crictl stopp "$pod"
  same SANDBOX_NOTREADY "$(pod_state "$pod")"
  has_no_job "$pod"
  same 3 "$(exit_code "$id")"
  crictl rmp "$pod"
  same "" "$(crictl pods -q)"
  [ ! -e "$LAB_SLURM_JOBS/pods/$pod" ]
  same "" "$(ls -A "$LAB_SLURM/local")" "left on the compute node"
}

@test "exit codes are the containers' own: 0, 1, 137 by KILL, 143 by TERM" {
  pod=$(start_job_pod codes)
  zero=$(start_in_job "$pod" zero codes . true)
  one=$(start_in_job "$pod" one codes . sh -c 'exit 1')
  killed=$(start_in_job "$pod" killed codes . sh -c 'trap "" TERM; echo ready; while :; do sleep 1; done')
  ended=$(start_in_job "$pod" ended codes . sh -c 'trap "exit 143" TERM; echo ready; while :; do sleep 1; done')
  eventually 30 log_has "$killed" ready
  eventually 30 log_has "$ended" ready
  crictl stop -t 1 "$killed"
  crictl stop -t 30 "$ended"
  for id in "$zero" "$one"; do eventually 30 is_exited "$id"; done
  same "0 1 137 143" "$(for id in "$zero" "$one" "$killed" "$ended"; do exit_code "$id"; done | paste -sd' ')"
  same Completed "$(exit_reason "$zero")"
}

@test "a command that cannot be started is refused or ends as a start error, and the pod goes on" {
  pod=$(start_job_pod missing)
  refused "no-such-program" create_in_job "$pod" c missing . /no-such-program
  id=$(start_in_job "$pod" other missing . sh -c 'exit 5')
  eventually 30 is_exited "$id"
  same 5 "$(exit_code "$id")"
}

@test "containers of a pod run in one job and see each other's network" {
  pod=$(start_job_pod two)
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  start_in_job "$pod" web two . httpd -f -p "127.0.0.1:$port" -h /www >/dev/null
  other=$(start_in_job "$pod" other two . sh -c "$RUN")
  eventually 30 crictl exec -s "$other" wget -q -O - "http://127.0.0.1:$port/"
  same 2 "$(crictl ps -q --pod "$pod" | wc -l)"
  same 1 "$(jobs_of "$pod" | wc -l)"
}

@test "exec: output, stdin, exit codes, and what cannot be executed" {
  pod=$(start_job_pod exec)
  id=$(start_in_job "$pod" c exec . sh -c "$RUN")
  same out "$(crictl exec -s "$id" echo out)"
  same "from stdin" "$(echo 'from stdin' | crictl exec -i "$id" cat)"
  refused "exited with 7" crictl exec -s "$id" sh -c 'exit 7'
  refused "no-such" crictl exec "$id" /no-such
  same 200000 "$(crictl exec "$id" head -c 200000 /dev/zero | wc -c)"
}

memory_of() { crictl stats -o json --id "$1" | jq -r '.stats[0].memory.workingSetBytes.value // 0'; }
uses_memory() { [ "$(memory_of "$1")" -gt "$2" ]; }
cpu_of() { crictl stats -o json --id "$1" | jq -r '.stats[0].cpu.usageCoreNanoSeconds.value // 0'; }
uses_cpu() { [ "$(cpu_of "$1")" -gt "$2" ]; }

@test "what a container uses is counted: memory, CPU, processes" {
  pod=$(start_job_pod usage)
  busy=$(start_in_job "$pod" busy usage . sh -c 'while :; do :; done')
  idle=$(start_in_job "$pod" idle usage . sh -c "$RUN")
  eventually 40 uses_cpu "$busy" 500000000
  eventually 40 uses_memory "$idle" 100000
  [ "$(cpu_of "$idle")" -lt 500000000 ]
  [ "$(crictl statsp -o json --id "$pod" | jq -r '.stats[0].linux.process.processCount.value')" -ge 3 ]
}

@test "a log of many lines arrives whole, though the pod ends at once" {
  pod=$(start_job_pod lines)
  id=$(start_in_job "$pod" c lines . sh -c 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo "line $i"; done')
  eventually 60 is_exited "$id"
  crictl stopp "$pod"
  whole() { [ "$(log_of "$id" | wc -l)" = 20000 ]; }
  eventually 30 whole
  same "20000 line 20000" "$(log_of "$id" | wc -l) $(log_of "$id" | tail -n 1)"
}

@test "a stop of the pod ends a container that ignores TERM, and cancels the job" {
  pod=$(start_job_pod deaf)
  id=$(start_in_job "$pod" c deaf . sh -c 'trap "" TERM; while :; do sleep 1; done')
  crictl stopp "$pod"
  is_exited "$id"
  same 137 "$(exit_code "$id")"
  eventually 30 has_no_job "$pod"
}

@test "removing a pod removes its running containers and its job" {
  pod=$(start_job_pod forced)
  id=$(start_in_job "$pod" c forced . sh -c "$RUN")
  crictl rmp -f "$pod"
  same "" "$(crictl ps -aq)"
  has_no_job "$pod"
  crictl rmp "$pod" 2>/dev/null || true
  crictl stopp "$pod"
}

@test "GPUs, CPUs, memory and time by annotation are what the job gets" {
  pod=$(start_job_pod wishes '.annotations = {"slurm.interlink.io/gpus": "2", "slurm.interlink.io/cpus": "3",
    "slurm.interlink.io/memory": "1G", "slurm.interlink.io/time": "10"}')
  scontrol show job "$(job_id_of "$pod")" >"$BATS_TEST_TMPDIR/job"
  grep -Eq 'TresPerNode=.*gpu:2|gres/gpu=2' "$BATS_TEST_TMPDIR/job"
  grep -q 'NumCPUs=3 ' "$BATS_TEST_TMPDIR/job"
  grep -q 'MinMemoryNode=1G' "$BATS_TEST_TMPDIR/job"
  grep -q 'TimeLimit=00:10:00' "$BATS_TEST_TMPDIR/job"
}

@test "what SLURM or the plugin does not take is refused in words, and no job is left" {
  refused "gpus" start_job_pod many '.annotations = {"slurm.interlink.io/gpus": "many"}'
  refused "time" start_job_pod late '.annotations = {"slurm.interlink.io/time": "soon"}'
  refused "partition" start_job_pod where '.annotations = {"slurm.interlink.io/partition": "debug"}'
  refused "not available|configuration" start_job_pod more '.annotations = {"slurm.interlink.io/gpus": "5"}'
  same "" "$(crictl pods -q)"
  same "" "$(squeue -h -o %A)"
}

@test "containers of a pod that asks for it share their processes, and each ends with its own" {
  local shared='.linux.security_context.namespace_options.pid = 0'
  pod=$(start_job_pod shared "$shared")
  first=$(start_in_job "$pod" first shared "$shared" sh -c 'sleep 471101 & trap "exit 0" TERM; while :; do sleep 0.1; done')
  second=$(start_in_job "$pod" second shared "$shared" sh -c "$RUN")
  sees() { crictl exec -s "$second" sh -c 'cat /proc/[0-9]*/cmdline' | tr '\0' ' ' | has 'sleep 471101'; }
  eventually 20 sees
  same interlink-init "$(crictl exec -s "$second" cat /proc/1/comm)"
  crictl stop -t 10 "$first"
  same 0 "$(exit_code "$first")"
  none sees
  same CONTAINER_RUNNING "$(container_state "$second")"
}

@test "containers of root's jobs have all users and groups, and no right over the machine" {
  pod=$(start_job_pod groups)
  id=$(start_in_job "$pod" c groups '.linux.security_context = (.linux.security_context + {run_as_user: {value: 1000},
    run_as_group: {value: 2000}, supplemental_groups: [3000]})' sh -c "$RUN")
  same "1000 2000 2000 3000" "$(crictl exec -s "$id" sh -c 'echo $(id -u) $(id -g) $(id -G)')"
  root=$(start_in_job "$pod" root groups . sh -c "$RUN")
  same 1 "$(crictl exec -s "$root" sh -c 'touch /x; chown 7:8 /x; [ "$(stat -c %u:%g /x)" = 7:8 ] && echo 1')"
  refused "permitted" crictl exec -s "$root" hostname elsewhere
  same "" "$(crictl exec -s "$root" ls -A /sys/fs/cgroup)"
}

@test "the machine's processes are refused by name, before a job is submitted" {
  refused "namespace_options.pid" start_job_pod shared '.linux.security_context.namespace_options.pid = 2'
  same "" "$(squeue -h -o %A)"
}

@test "local pods of the same node run beside, on the site's own machine" {
  id=$(crictl runp -r local "$(write_pod beside)")
  c=$(start_container "$id" c beside . sh -c 'echo here; exit 4')
  eventually 30 is_exited "$c"
  same 4 "$(exit_code "$c")"
  same "" "$(squeue -h -o %A)"
}

@test "a job that somebody cancels: its containers have ended by KILL, the pod is not ready, and goes" {
  pod=$(start_job_pod cancelled)
  id=$(start_in_job "$pod" c cancelled . sh -c 'trap "" TERM; while :; do sleep 1; done')
  scancel "$(job_id_of "$pod")"
  eventually 60 is_exited "$id"
  same 137 "$(exit_code "$id")"
  eventually 60 pod_is_down "$pod"
  crictl rmp "$pod"
  same "" "$(crictl pods -q)"
}
pod_is_down() { [ "$(pod_state "$1")" = SANDBOX_NOTREADY ]; }
