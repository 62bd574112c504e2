# What the storms share whose pods are jobs.
source "$(dirname "${BASH_SOURCE[0]}")/slurm.bash"
source "$(dirname "${BASH_SOURCE[0]}")/../system/storm.bash"

begin_storm() { # LAB_OPTIONS...
  PATH=$("$PROJECT/test/support/tools/build-tools.sh" storm):$PATH
  export PATH
  # A pod whose agent left no word is over a lease and 90 s later. A frozen slurmctld must not give its machines up; one that
  # lost a job's start or end to a kill hears of it when machines register anew, every 20th third of SlurmdTimeout.
  own_site --lease 10s --slurm SlurmdTimeout=30 "$@"
  crictl pull "$BUSYBOX" >&2
}
