#!/usr/bin/env bats
# Each pod's job as its own user (JobUser: mapped), where compute nodes neither share a folder with the site nor reach it:
# deliveries and relays are steps of that user's.
source "$BATS_TEST_DIRNAME/slurm.bash"

setup_file() {
  runuser -u games -- test -x "$PROJECT/test/lab" || skip "user games cannot read $PROJECT"
  own_site --map-user "games=games" --no-shared-folder --transport srun
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }
teardown() {
  lab start-site "$LAB_DIR" 2>/dev/null || true
  eventually 60 crictl pods
  eventually 120 all_gone
  eventually 30 nothing_left
}

nothing_left() { [ -z "$(ls -A "$LAB_SLURM/local")" ] && [ -z "$(ls "$LAB_JOB_FOLDER/pods")" ]; }
start_pod_of_games() { start_job_pod "$1" '.metadata.namespace = "games"'; }
executes() { [ "$(crictl exec -s "$1" echo alive)" = alive ]; }

@test "a pod's agent, its files and the steps that bring and relay it are its user's" {
  pod=$(start_pod_of_games apart)
  same games "$(ps -o user= -p "$(agent_of "$pod")")"
  id=$(start_in_job "$pod" c apart . sh -c 'echo "written by $(id -u)"; exit 7')
  eventually 30 is_exited "$id"
  same 7 "$(exit_code "$id")"
  log_of "$id" | has "written by"
  for file in "$LAB_SLURM"/local/interlink-*; do same games "$(stat -c %U "$file")"; done
  # srun itself, on the site's machine, too.
  read -r srun < <(sruns_of_job "$(job_id_of "$pod")")
  same games "$(ps -o user= -p "$srun")"
  # What the site keeps of the pod is the site's.
  same root "$(stat -c %U "$LAB_JOB_FOLDER/pods/$pod")"
}

@test "kill -9 of the site: the pod goes on, and leaves nothing" {
  pod=$(start_pod_of_games kept)
  id=$(start_in_job "$pod" c kept . sh -c "$RUN")
  lab kill-site "$LAB_DIR"
  lab start-site "$LAB_DIR"
  eventually 60 site_is_reachable
  eventually 60 executes "$id"
  crictl stopp "$pod" >/dev/null
  crictl rmp "$pod" >/dev/null
}
