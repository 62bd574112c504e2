#!/usr/bin/env bats
# Queue: at-start. Pods are shown as ready and running before their job runs.
source "$BATS_TEST_DIRNAME/slurm.bash"

setup_file() {
  own_site
  restart_site_with "Queue: at-start"
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }
teardown() {
  lab start-site "$LAB_DIR" 2>/dev/null || true
  scancel --user="$(id -un)" --name=filler
  eventually 60 site_is_reachable
  eventually 120 all_gone
}

message_of() { crictl inspect "$1" | jq -r .status.message; }
message_has() { message_of "$1" | has "$2"; }
times_of() { crictl inspect "$1" | jq -c '.status | [.startedAt, .finishedAt]'; }
runs_really() { [ "$(crictl exec -s "$1" echo alive)" = alive ]; }
is_down() { [ "$(pod_state "$1")" = SANDBOX_NOTREADY ]; }

@test "a pod is ready and its container runs at once, says that it is queued, and runs when there is room: one job" {
  filler=$(fill_cluster)
  pod=$(crictl --timeout 8s runp "$(job_pod shown)")
  same SANDBOX_READY "$(pod_state "$pod")"
  same "" "$(jobs_of "$pod")" "jobs before the first start"
  id=$(create_in_job "$pod" c shown . sh -c 'echo ran; sleep 1; exit 6')
  same CONTAINER_CREATED "$(container_state "$id")"
  crictl --timeout 10s start "$id"
  same CONTAINER_RUNNING "$(container_state "$id")"
  same "$(times_of "$id")" "$(times_of "$id")" "its times move"
  eventually 30 message_has "$id" "queued: as job .*PENDING"
  same 1 "$(living_jobs_of "$pod" | wc -l)"
  refused "queued as job" crictl exec -s "$id" true
  always 3 test "$(container_state "$id")" = CONTAINER_RUNNING

  scancel "$filler"
  eventually 60 is_exited "$id"
  same "6 ran" "$(exit_code "$id") $(log_of "$id")"
  same 1 "$(jobs_of "$pod" | wc -l)"
  crictl stopp "$pod"
  crictl rmp "$pod"
}

@test "without a queue nothing else is seen than with at-run" {
  pod=$(start_job_pod free)
  id=$(start_in_job "$pod" c free . sh -c "$RUN")
  eventually 30 runs_really "$id"
  same "" "$(message_of "$id")"
  second=$(start_in_job "$pod" d free . sh -c 'exit 3')
  eventually 30 is_exited "$second"
  same 3 "$(exit_code "$second")"
  crictl stop -t 5 "$id"
  same 0 "$(exit_code "$id")"
}

@test "the site is killed while a container is queued: the same job, started once" {
  filler=$(fill_cluster)
  pod=$(start_job_pod again)
  id=$(start_in_job "$pod" c again . sh -c 'echo ran; exit 5')
  eventually 30 message_has "$id" "queued: as job"
  job=$(job_id_of "$pod")
  lab kill-site "$LAB_DIR"
  lab start-site "$LAB_DIR"
  eventually 60 message_has "$id" "queued: as job $job"
  scancel "$filler"
  eventually 60 is_exited "$id"
  same "5 ran" "$(exit_code "$id") $(log_of "$id")"
  same 1 "$(jobs_of "$pod" | wc -l)"
}

@test "what kubelet changes while a container is queued is what it begins with, and goes on with" {
  filler=$(fill_cluster)
  token=$LAB_KUBELET/pods/stale/volumes/kubernetes.io~projected/token
  exchange "$token" token old
  pod=$(start_job_pod stale)
  id=$(start_in_job "$pod" c stale ".mounts = [{host_path: \"$token\", container_path: \"/token\", readonly: true}]" \
    sh -c 'cat /token/token; until grep -q later /token/token; do sleep 0.1; done; cat /token/token')
  eventually 30 message_has "$id" "queued: as job"
  exchange "$token" token "new-$$"
  eventually 10 grep -rqs "new-$$" "$LAB_DIR/site"
  lab kill-site "$LAB_DIR"
  lab start-site "$LAB_DIR"
  scancel "$filler"
  eventually 60 log_has "$id" "new-$$"
  exchange "$token" token later
  eventually 10 is_exited "$id"
  same "new-$$ later" "$(log_of "$id" | tr '\n' ' ' | sed 's/ $//')"
}

@test "a queued container that is stopped never runs, and its pod's job goes with the pod" {
  fill_cluster >/dev/null
  pod=$(start_job_pod stopped)
  id=$(start_in_job "$pod" c stopped . sh -c 'echo ran')
  eventually 30 message_has "$id" "queued: as job"
  crictl stop -t 5 "$id"
  same "137 CONTAINER_EXITED" "$(exit_code "$id") $(container_state "$id")"
  same "$(times_of "$id")" "$(times_of "$id")" "its times move"
  crictl stopp "$pod"
  crictl rmp "$pod"
  same "" "$(living_jobs_of "$pod")"
}

@test "what SLURM refuses is a start error in its words, and the pod is not ready" {
  refused "partition" start_job_pod where '.annotations = {"slurm.interlink.io/partition": "debug"}'
  pod=$(start_job_pod more '.annotations = {"slurm.interlink.io/gpus": "5"}')
  id=$(create_in_job "$pod" c more . true)
  crictl start "$id" || true
  eventually 30 is_exited "$id"
  same "128 StartError" "$(exit_code "$id") $(exit_reason "$id")"
  same "$(times_of "$id")" "$(times_of "$id")" "its times move"
  message_of "$id" | has -E "not available|configuration"
  eventually 30 is_down "$pod"
}
