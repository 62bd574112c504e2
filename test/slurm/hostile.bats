#!/usr/bin/env bats
# A site whose commands, machines and callers do what they should not: nothing is lost, doubled or
# believed, and every refusal says why.
source "$BATS_TEST_DIRNAME/slurm.bash"

setup_file() {
  own_site
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }
OTHER=registry.k8s.io/k8s-staging-cri-tools/test-image-1:latest
teardown() {
  mountpoint -q "$LAB_SLURM_JOBS"/layers-* && umount "$LAB_SLURM_JOBS"/layers-*
  own_site_config
  lab start-site "$LAB_DIR" 2>/dev/null || true
  lab start-slurmctld "$LAB_DIR" 2>/dev/null || true
  scancel --user="$(id -un)" --name=filler
  eventually 60 site_is_reachable
  eventually 120 all_gone
}

# SLURM's commands for the site alone; `spoil COMMAND` replaces one of them.
own_commands() {
  COMMANDS=$BATS_TEST_TMPDIR/commands
  mkdir -p "$COMMANDS"
  local name
  for name in sbatch squeue scancel sacct; do ln -sf "$(command -v "$name")" "$COMMANDS/$name"; done
  restart_site_with "CommandsFolder: \"$COMMANDS\""
}
spoil() { # COMMAND SCRIPT: the script has the real command as $REAL
  printf '#!/bin/sh\nREAL=%s\n%s\n' "$(command -v "$1")" "$2" >"$COMMANDS/.$1"
  chmod 755 "$COMMANDS/.$1"
  mv -f "$COMMANDS/.$1" "$COMMANDS/$1"
}
mend() { ln -sf "$(command -v "$1")" "$COMMANDS/.$1" && mv -f "$COMMANDS/.$1" "$COMMANDS/$1"; }

executes() { [ "$(crictl exec -s "$1" echo alive)" = alive ]; }
lists() { crictl pods -q >/dev/null; }
no_jobs() { [ -z "$(squeue -h -o %A)" ]; }
pending() { squeue -h -t PENDING -o %A | has .; }
is_down() { [ "$(pod_state "$1")" = SANDBOX_NOTREADY ]; }

@test "a squeue that fails, says nothing, garbage or half a line ends no pod and submits none again" {
  own_commands
  pod=$(start_job_pod held)
  id=$(start_in_job "$pod" c held . sh -c "$RUN")
  fill_rest=$(submit 'sleep 3600' --nodes=3 --exclusive --mem=0 --job-name=filler)
  file=$(job_pod waits '.annotations = {"slurm.interlink.io/cpus": "4"}')
  for lie in 'exit 1' 'sleep 3; exit 1' "head -c 3000 /dev/urandom" 'out=$($REAL "$@"); printf %s "$out" | head -c $((${#out} / 2))' \
    'echo "slurm_load_jobs error: Unable to contact slurm controller (connect failure)" >&2; exit 1'; do
    spoil squeue "$lie"
    always 8 job_is "$(job_id_of "$pod")" RUNNING
    same SANDBOX_READY "$(pod_state "$pod")" "after $lie"
    same CONTAINER_RUNNING "$(container_state "$id")" "after $lie"
  done
  same 1 "$(jobs_of "$pod" | wc -l)" "jobs of the pod"
  mend squeue
  executes "$id"
  scancel "$fill_rest"
  crictl --timeout 60s runp "$file"
}

@test "a squeue that is empty for longer than SLURM's time ends no pod whose agent lives, and none runs twice" {
  own_commands
  pod=$(start_job_pod empty)
  id=$(start_in_job "$pod" c empty . sh -c "$RUN")
  spoil squeue 'exit 0'
  always 45 executes "$id"
  same CONTAINER_RUNNING "$(container_state "$id")"
  mend squeue
  eventually 60 executes "$id"
  same "$(job_id_of "$pod") RUNNING" "$(jobs_of "$pod")"
  crictl stopp "$pod"
  eventually 30 is_exited "$id"
}

@test "a caller that goes while sbatch is under way leaves no job" {
  own_commands
  spoil sbatch 'sleep 6; exec "$REAL" "$@"'
  crictl --timeout 300s runp "$(job_pod submitted)" >/dev/null 2>&1 &
  caller=$!
  eventually 30 pgrep -f "$COMMANDS/sbatch" >/dev/null
  kill -INT "$caller"
  wait "$caller" || true
  mend sbatch
  # A pod that came up although its caller had gone is listed, and removed as kubelet would.
  eventually 120 all_gone
  always 15 no_jobs
}

@test "a pod that is given up while the controller is away leaves no job when it is back" {
  fill_cluster >/dev/null
  crictl --timeout 300s runp "$(job_pod away)" >/dev/null 2>&1 &
  caller=$!
  eventually 30 pending
  # Its state is written every 5 s.
  scontrol update JobId="$(squeue -h -t PENDING -o %A)" AdminComment=waits-here
  eventually 20 grep -qa waits-here "$LAB_SLURM/state/job_state"
  lab kill-slurmctld "$LAB_DIR"
  kill -INT "$caller"
  wait "$caller" || true
  # The time until it is given up counts while somebody lists.
  always 20 lists
  lab start-slurmctld "$LAB_DIR"
  scancel --user="$(id -un)" --name=filler
  eventually 120 all_gone
}

@test "the time limit: containers get TERM before it and tell their own codes, and the pod says why" {
  pod=$(start_job_pod limit '.annotations = {"slurm.interlink.io/time": "1"}')
  id=$(start_in_job "$pod" c limit . sh -c 'trap "echo told; exit 7" TERM; while :; do sleep 0.2; done')
  eventually 150 is_exited "$id"
  same 7 "$(exit_code "$id")"
  log_of "$id" | has -x told
  eventually 60 is_down "$pod"
  said=$(site GET "/v1/sandboxes/$pod" | jq -r .message)
  has -i "time limit" <<<"$said" || fail "the pod says: $said"
}

@test "hostile words stay words: in names, annotations, labels and environment" {
  rm -f /tmp/interlink-owned
  evil='x"; touch /tmp/interlink-owned; #'$'\n''#SBATCH --partition=short'$'\n''$(touch /tmp/interlink-owned)`touch /tmp/interlink-owned`'
  pod=$(start_job_pod hostile ".annotations = {\"a/b\": $(jq -n --arg e "$evil" '$e')} | .labels = {evil: $(jq -n --arg e "$evil" '$e')} |
    .hostname = \"hostile\"")
  job=$(job_id_of "$pod")
  same debug "$(squeue -h -j "$job" -o %P)" "the partition"
  id=$(start_in_job "$pod" c hostile ".envs = [{key: \"SLURM_JOB_ID\", value: \"1\"}, {key: \"SBATCH_PARTITION\", value: \"short\"},
    {key: \"LD_PRELOAD\", value: \"/tmp/evil.so\"}, {key: \"EVIL\", value: $(jq -n --arg e "$evil" '$e')}]" \
    sh -c 'echo "$SLURM_JOB_ID|$SBATCH_PARTITION|$LD_PRELOAD"; printf "%s" "$EVIL" | wc -l')
  eventually 30 is_exited "$id"
  same '1|short|/tmp/evil.so
2' "$(log_of "$id" | grep -v '^ERROR: ld.so')"
  same 0 "$(exit_code "$id")"
  [ ! -e /tmp/interlink-owned ]
  for key in partition account qos constraint gres time cpus memory gpus reservation; do
    refused "slurm.interlink.io/$key" start_job_pod refused-"$key" ".annotations = {\"slurm.interlink.io/$key\": $(jq -n --arg e "$evil" '$e')}"
  done
  refused 'slurm-job.vk.io' start_job_pod incumbent ".annotations = {\"slurm-job.vk.io/flags\": $(jq -n --arg e "$evil" '$e')}"
  [ ! -e /tmp/interlink-owned ]
}

@test "a compute node without a runtime, or with something else there, is told in words, and at once" {
  for path in /no/such/runtime /bin/true; do
    restart_site_with "RuntimePath: \"$path\""
    refused "$path" start_job_pod "engine-$(basename "$path")"
    eventually 60 all_gone
    own_site_config
    lab start-site "$LAB_DIR"
  done
}

@test "a full file system for images: nothing half staged stays, and the creation goes on when there is room" {
  crictl pull "$OTHER"
  pod=$(start_job_pod full)
  start_in_job "$pod" first full . sh -c "$RUN" >/dev/null
  layers=$(echo "$LAB_SLURM_JOBS"/layers-*)
  # Itself, two folders, and the folder of a layer: its file is one too many.
  mount -t tmpfs -o nr_inodes=4,mode=0700 full "$layers"
  mkdir "$layers/temp" "$layers/holders"
  refused "No space left|ask again" create_in_job "$pod" c full ".image.image = \"$OTHER\"" cat /image-1
  grep -q "No space left" "$LAB_DIR/log/interlink-api.log"
  same "" "$(find "$layers" -type f)" "what was staged half"
  umount "$layers"
  id=$(create_in_job "$pod" c full ".image.image = \"$OTHER\"" cat /image-1)
  crictl start "$id"
  eventually 30 is_exited "$id"
  same "0 1" "$(exit_code "$id") $(log_of "$id")"
}
