#!/usr/bin/env bats
# The lab's private SLURM: as root, as an ordinary user, twice side by side, and nothing left when its parts died.
source "$BATS_TEST_DIRNAME/slurm.bash"

setup_file() { own_cluster; }
teardown_file() { end_own_lab; }
setup() { second=$BATS_TEST_TMPDIR/lab; }
teardown() { [ ! -e "$second/lab.json" ] || lab down "$second"; }

has_row() { sacct -n -X -P -j "$1" -o JobName,Account,State,ExitCode | grep -Fqx "$2"; }
as_nobody() { runuser -u nobody -- env -u SLURM_CONF HOME=/tmp "$@"; }

@test "a job sees the GPUs that it asked for, and its exit code comes back" {
  id=$(submit 'echo "gpus=$SLURM_GPUS_ON_NODE on $SLURMD_NODENAME"; exit 3' --gres=gpu:2)
  eventually 30 job_is "$id" FAILED
  same "gpus=2 on ${LAB_SLURM_MACHINES%% *}" "$(cat "$LAB_SLURM_JOBS/$id.out")"
  same 768 "$(squeue -h -t all -j "$id" -O exit_code | tr -d ' ' | sed 's/^3:0$/768/')" "exit code"
}

@test "more GPUs than a machine has are refused" {
  refused "not available" submit true --gres=gpu:5
}

@test "a controller that was killed is started again and knows its job" {
  id=$(submit 'sleep 300')
  eventually 30 job_is "$id" RUNNING
  # Its state is written every 5 s; what says this was said while it ran.
  scontrol update JobId="$id" Comment="runs-$id"
  eventually 20 grep -qa "runs-$id" "$LAB_SLURM/state/job_state"
  lab kill-slurmctld "$LAB_DIR"
  refused "does not run" lab kill-slurmctld "$LAB_DIR"
  lab start-slurmctld "$LAB_DIR"
  same RUNNING "$(job_state "$id")"
  scancel "$id"
  eventually 30 job_is "$id" CANCELLED
}

@test "an ordinary user has a cluster of his own, and neither sees the other's jobs" {
  as_nobody test -x "$PROJECT/test/lab" || skip "user nobody cannot read $PROJECT"
  second=$(as_nobody mktemp -d /tmp/lab-XXXXXX)
  as_nobody "$PROJECT/test/lab" up "$second" --plugin slurm --only-cluster
  mine=$(submit 'sleep 300')
  as_nobody bash -c '
    set -euo pipefail
    eval "$("$1" env "$2")"
    sbatch --parsable --export=NONE --chdir=/ --gres=gpu:1 --output="$LAB_SLURM_JOBS/who" --wrap "id -un; sleep 300"
    [ "$(squeue -h -o %u)" = nobody ]
  ' bash "$PROJECT/test/lab" "$second"
  eventually 30 grep -qx nobody "$second/slurm/jobs/who"
  same "$mine" "$(squeue -h -o %A)"
  scancel "$mine"
  tag=$(jq -r .tag "$second/lab.json")
  as_nobody "$PROJECT/test/lab" down "$second"
  [ ! -e "$second" ]
  none cluster_processes "$second" "$tag"
}

@test "down leaves nothing although every daemon was killed under running jobs" {
  lab up "$second" --plugin slurm --only-cluster
  tag=$(jq -r .tag "$second/lab.json")
  (
    use_lab "$second"
    id=$(submit 'setsid sleep 300 & echo begun; sleep 300')
    eventually 30 grep -qx begun "$LAB_SLURM_JOBS/$id.out"
    grep -q slurmstepd <(cluster_processes "$second" "$tag")
  )
  for file in "$second"/run/*.json; do kill -9 "$(jq .pid "$file")"; done
  lab down "$second"
  [ ! -e "$second" ]
  none cluster_processes "$second" "$tag"
  none grep "$second" /proc/self/mountinfo
  same "" "$(find /sys/fs/cgroup -name "*$tag*" 2>/dev/null)"
}

@test "with accounting a finished job has a row, an unknown account and QOS are refused, and nothing is left" {
  lab up "$second" --plugin slurm --only-cluster --accounting
  tag=$(jq -r .tag "$second/lab.json")
  (
    use_lab "$second"
    refused "invalid account" submit true --account=nobody
    refused "invalid qos" submit true --qos=nothing
    id=$(submit 'exit 3' --account=lab --qos=quick --time=1 --job-name=accounted)
    eventually 30 job_is "$id" FAILED
    eventually 60 has_row "$id" 'accounted|lab|FAILED|3:0'
  )
  lab down "$second"
  [ ! -e "$second" ]
  none cluster_processes "$second" "$tag"
}

@test "with limits enforced a job that takes more memory is ended as out of memory" {
  [ -d /sys/fs/cgroup/memory ] || skip "no memory controller of cgroup v1"
  lab up "$second" --plugin slurm --only-cluster --enforce --slurm KillWait=2
  tag=$(jq -r .tag "$second/lab.json")
  (
    use_lab "$second"
    id=$(submit 'head -c 300m /dev/zero | tail -c 300m >/dev/null; echo survived' --mem=50)
    eventually 60 job_is "$id" OUT_OF_MEMORY
  )
  lab down "$second"
  same "" "$(find /sys/fs/cgroup -name "*$tag*" 2>/dev/null)" "cgroups left"
}

@test "options that need a SLURM are refused without one, and a bad line of slurm.conf by name" {
  refused "belong to --plugin slurm" lab up "$second" --accounting
  refused "KEY=VALUE of slurm.conf, not 'KillWait'" lab up "$second" --plugin slurm --only-cluster --slurm KillWait
  refused "no number 4" lab kill-slurmd "$LAB_DIR" 4
  refused "belongs to --plugin slurm" lab up "$second" --site-user nobody
  refused "no user 'nosuchuser'" lab up "$second" --plugin slurm --site-user nosuchuser
  refused "for an ordinary user" lab up "$second" --plugin slurm --site-user root
}

@test "the cluster stands beside the daemons of a lab" {
  lab up "$second" --plugin slurm --fake
  (
    use_lab "$second"
    same 200 "$(curl -sS -o /dev/null -w '%{http_code}' --unix-socket "$LAB_SOCKET" http://localhost/readyz)"
    same 3 "$(sinfo -h -N -o %N | sort -u | wc -l)"
  )
}
