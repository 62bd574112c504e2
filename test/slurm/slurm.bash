# What the tests with a real SLURM share. Each file starts its own cluster.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../system/common.bash"

own_cluster() { own_lab --plugin slurm --only-cluster "$@"; }

# submit COMMAND [sbatch's options]: prints the job's id.
submit() {
  local command=$1
  shift
  sbatch --parsable --export=NONE --no-requeue --chdir=/ --output="$LAB_SLURM_JOBS/%j.out" "$@" --wrap "$command"
}

job_state() { squeue -h -t all -j "$1" -o %T; }
job_is() { [ "$(job_state "$1")" = "$2" ]; }

# Processes that carry this lab's mark, whoever started them; fails when there are none.
cluster_processes() { # FOLDER TAG
  local file found=1
  for file in /proc/[0-9]*; do
    # What ends meanwhile, and zombies, have neither.
    if cat "$file/environ" "$file/cmdline" 2>/dev/null | tr '\0' '\n' | grep -qE "^(SLURMD_NODENAME=lab-$2-|SLURM_CONF=$1/|.*$1/)"; then
      [ "${file#/proc/}" = $$ ] || [ "${file#/proc/}" = "$BASHPID" ] || echo "$file: $(tr '\0' ' ' <"$file/cmdline")"
      found=0
    fi
  done
  return $found
}
