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
    if grep -qzE "^(SLURMD_NODENAME=lab-$2-|SLURM_CONF=$1/|.*$1/)" "$file/environ" "$file/cmdline" 2>/dev/null; then
      [ "${file#/proc/}" = $$ ] || [ "${file#/proc/}" = "$BASHPID" ] || echo "$file: $(tr '\0' ' ' <"$file/cmdline")"
      found=0
    fi
  done
  return $found
}

# Of the pids on stdin those of this lab: another one has jobs of the same numbers. Fails when there are none.
in_this_lab() {
  local pid found=1
  while read -r pid; do
    if grep -qsaE "$LAB_DIR/|SLURMD_NODENAME=lab-$LAB_TAG-" "/proc/$pid/environ" "/proc/$pid/cmdline"; then
      echo "$pid"
      found=0
    fi
  done
  return $found
}
# The sruns of the site that go to a job, and the processes that watch them.
sruns_of_job() { pgrep -f "^([^ ]*/)?srun --jobid=$1 " | in_this_lab; } # JOB
processes_of_job() { grep -lsz "^SLURM_JOB_ID=$1$" /proc/[0-9]*/environ | cut -d/ -f3 | in_this_lab; }

# --- pods as jobs

# Starts a lab whose site runs pods as jobs.
own_site() { own_lab --plugin slurm "$@"; }

# A job has the machine's network; each container has its own processes, as kubelet's have.
IN_JOB='.linux.security_context.namespace_options = {network: 2, pid: 1, ipc: 0}'
job_pod() { write_pod "$1" "$IN_JOB | ${2:-.}"; }                # NAME [JQ_FILTER]: prints the file
start_job_pod() { crictl runp "$(job_pod "$@")"; }               # NAME [JQ_FILTER]
create_in_job() { create "$1" "$2" "$3" "$IN_JOB | ${4:-.}" "${@:5}"; } # POD_ID NAME POD_NAME JQ_FILTER COMMAND...
start_in_job() {
  local id
  id=$(create_in_job "$@")
  crictl start "$id" >/dev/null
  echo "$id"
}

# What SLURM has of a sandbox: lines of job id and state.
jobs_of() { squeue -h -t all -o '%A %T %j' | awk -v id="$1" '$3 ~ id "$" {print $1, $2}'; }
living_jobs_of() { jobs_of "$1" | grep -E ' (PENDING|CONFIGURING|RUNNING|SUSPENDED|COMPLETING)$'; }
job_id_of() { site GET "/v1/sandboxes/$1" | jq -r .allocation; }
# The sandboxes that the site has, listed or not.
sandboxes_at_site() { site GET /v1/sandboxes | jq -r '.sandboxes[].id'; }

# The agent that obeys the site, not its parent.
agent_of() { pgrep -f "^[^ ]*/interlink-agent[^ ]* run --sandbox $1 .* --supervised\$" | head -n 1; }

exit_code() { crictl inspect "$1" | jq .status.exitCode; }
exit_reason() { crictl inspect "$1" | jq -r .status.reason; }

# What kubelet's AtomicWriter does: a new folder, and the link moves to it. Makes the volume too.
exchange() { # VOLUME FILE TEXT
  local old version
  version=..$(date +%s%N)
  mkdir -p "$1"
  old=$(readlink "$1/..data" || true)
  mkdir "$1/$version"
  (umask 077 && echo "$3" >"$1/$version/$2")
  ln -s "$version" "$1/..data_tmp"
  mv -T "$1/..data_tmp" "$1/..data"
  [ -e "$1/$2" ] || ln -s "..data/$2" "$1/$2"
  [ -z "$old" ] || rm -r "${1:?}/$old"
}

# Every CPU of the cluster is taken until `scancel` of the printed job.
fill_cluster() {
  local id
  id=$(submit 'sleep 3600' --nodes=3 --exclusive --mem=0 --job-name=filler)
  eventually 30 job_is "$id" RUNNING >&2
  echo "$id"
}

# Removes what is listed, until no job is left: a queued pod is listed only later.
all_gone() { remove_all && [ -z "$(squeue -h -o %A)" ] && [ -z "$(sandboxes_at_site)" ]; }

# The site starts again with one more line among the plugin's options.
restart_site_with() { # LINE
  lab stop-site "$LAB_DIR"
  cp -p "$LAB_SITE_CONFIG" "$BATS_FILE_TMPDIR/site-config"
  sed -i "s|^      SlurmConf: .*|&\n      $1|" "$LAB_SITE_CONFIG"
  lab start-site "$LAB_DIR"
  eventually 60 site_is_reachable
}
# Its configuration as it was; it is stopped when it had another one.
own_site_config() {
  [ -e "$BATS_FILE_TMPDIR/site-config" ] || return 0
  lab stop-site "$LAB_DIR" 2>/dev/null || true
  mv "$BATS_FILE_TMPDIR/site-config" "$LAB_SITE_CONFIG"
}
