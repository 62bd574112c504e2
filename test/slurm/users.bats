#!/usr/bin/env bats
# Whose the jobs are: a site of an ordinary user beside SLURM daemons of root.
source "$BATS_TEST_DIRNAME/slurm.bash"

setup_file() {
  runuser -u nobody -- test -x "$PROJECT/test/lab" || skip "user nobody cannot read $PROJECT"
  own_site --site-user nobody --enforce
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }
teardown() {
  eventually 120 all_gone
}

@test "an ordinary user's site runs pods as that user, and each container as whom it asks for" {
  pod=$(start_job_pod mine)
  same nobody "$(squeue -h -o %u)"
  same nobody "$(ps -o user= -p "$(agent_of "$pod")")"
  id=$(start_in_job "$pod" c mine '.linux.security_context.run_as_user = {value: 1000}' sh -c "$RUN")
  same 1000 "$(crictl exec -s "$id" id -u)"
  refused "supplemental_groups" create_in_job "$pod" d mine \
    '.linux.security_context = (.linux.security_context + {run_as_user: {value: 1000}, supplemental_groups: [3000]})' true
}

@test "a pod's fsGroup: its volumes can be written, and the group is shown as theirs only" {
  scratch=$LAB_KUBELET/pods/grouped/volumes/kubernetes.io~empty-dir/scratch
  mkdir -p "$scratch"
  chgrp 5000 "$scratch"
  chmod 2770 "$scratch"
  pod=$(start_job_pod grouped)
  asks() { echo ".mounts = [{host_path: \"$scratch\", container_path: \"/scratch\"}] | .linux.security_context = (.linux.security_context + {run_as_user: {value: 1000}, supplemental_groups: [$1]})"; }
  id=$(start_in_job "$pod" c grouped "$(asks 5000)" sh -c 'echo written >/scratch/file && cat /scratch/file')
  eventually 30 is_exited "$id"
  same 0 "$(exit_code "$id")"
  same written "$(log_of "$id")"
  same "[5000]" "$(crictl inspect "$id" | jq -c .info.groupsOfVolumesOnly)"
  refused "supplemental_groups.*5001" create_in_job "$pod" d grouped "$(asks 5001)" true
}

@test "its site has no handler of the machine itself" {
  none bash -c 'crictl info | jq -r ".runtimeHandlers[].name" | grep -x local'
}

@test "a container that takes more memory than its job has is said to be killed for that, and no other is" {
  [ -d /sys/fs/cgroup/memory ] || skip "no memory controller of cgroup v1, with which --enforce limits"
  pod=$(start_job_pod oom '.annotations = {"slurm.interlink.io/memory": "100M"}')
  killed=$(start_in_job "$pod" killed oom . sh -c 'trap "" TERM; while :; do sleep 0.2; done')
  id=$(start_in_job "$pod" c oom . sh -c 'head -c 400m /dev/zero | tail -c 400m >/dev/null; exit $?')
  eventually 60 is_exited "$id"
  same "137 OOMKilled" "$(exit_code "$id") $(exit_reason "$id")"
  crictl stop -t 1 "$killed"
  same "137 Error" "$(exit_code "$killed") $(exit_reason "$killed")"
}
