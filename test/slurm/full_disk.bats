#!/usr/bin/env bats
# The file system of JobFolder is full, or the jobs' quota there is used up: what runs goes on and is told as it was, and what
# is new waits in words.
source "$BATS_TEST_DIRNAME/slurm.bash"

setup_file() {
  export DISK=$BATS_FILE_TMPDIR/disk
  mkdir "$DISK"
  mount -t tmpfs -o size=48m,mode=0755 jobs "$DISK" # before the cluster: its machines see it too
  own_site
  lab stop-site "$LAB_DIR"
  sed -i "s|^      JobFolder: .*|      JobFolder: \"$DISK/jobs\"|" "$LAB_SITE_CONFIG"
  lab start-site "$LAB_DIR"
  eventually 60 site_is_reachable
  crictl pull "$BUSYBOX" >&2
}
teardown_file() {
  end_own_lab
  umount "$DISK"
}
teardown() {
  rm -f "$DISK/fill"
  lab start-site "$LAB_DIR" 2>/dev/null || true
  eventually 60 site_is_reachable
  eventually 120 all_gone
  same "" "$(ls "$DISK/jobs/pods")" "what is left in JobFolder"
}

fill() { ! dd if=/dev/zero of="$DISK/fill" bs=4k 2>/dev/null; }

@test "a pod on a full disk: its exit codes, log and exec are as ever, also through a restart of the site" {
  pod=$(start_job_pod full)
  first=$(start_in_job "$pod" first full . sh -c 'echo before; while ! [ -e /go ]; do sleep 0.1; done; echo after; exit 5')
  second=$(start_in_job "$pod" second full . sh -c "$RUN")
  eventually 30 log_has "$first" before
  fill
  crictl exec -s "$first" touch /go
  eventually 30 is_exited "$first"
  same 5 "$(exit_code "$first")"
  same "before
after" "$(log_of "$first")"
  lab kill-site "$LAB_DIR"
  lab start-site "$LAB_DIR"
  eventually 60 site_is_reachable
  executes() { [ "$(crictl exec -s "$second" echo alive)" = alive ]; }
  eventually 30 executes || { tail -5 "$LAB_SITE_LOG" >&2; false; }
  same 5 "$(exit_code "$first")"
  crictl stop -t 10 "$second" >/dev/null
  same 0 "$(exit_code "$second")"
  crictl stopp "$pod" >/dev/null
  crictl rmp "$pod" >/dev/null
}

@test "a new pod on a full disk waits in words, and runs when there is room" {
  fill
  refused "No space left" start_job_pod late
  same "" "$(squeue -h -o %A)" "jobs"
  rm "$DISK/fill"
  pod=$(start_job_pod late)
  id=$(start_in_job "$pod" c late . sh -c 'exit 6')
  eventually 30 is_exited "$id"
  same 6 "$(exit_code "$id")"
}
