#!/usr/bin/env bats
# Pods that wait for room, and what ends the wait.
source "$BATS_TEST_DIRNAME/slurm.bash"

setup_file() {
  own_site
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }
teardown() {
  scancel --user="$(id -un)" --name=filler
  eventually 120 all_gone
}

nothing_at_site() { [ -z "$(sandboxes_at_site)" ]; }
# The time until then counts while somebody lists.
given_up() { crictl pods -q >/dev/null && [ -z "$(squeue -h -t PENDING -o %A)" ]; }
pending() { squeue -h -t PENDING -o %A | has .; }
why_it_waits() { "$LAB_BUILD/bin/interlink-cri" status --config "$LAB_NODE_CONFIG" | jq -r '.firstWaitingPods[].why'; }

@test "a pod that waits in the queue is told so, kept, and collected by the retry: one job in all" {
  filler=$(fill_cluster)
  file=$(job_pod waits)
  eventually 60 refused "queued at .*(Resources|Priority).*ask again" crictl --timeout 8s runp "$file"
  same "" "$(crictl pods -q)" "a queued pod is not listed"
  first=$(sandboxes_at_site)
  same 64 ${#first}
  why_it_waits | has -E "^queued at site .*as job $(job_id_of "$first"), PENDING \((Resources|Priority)\)"
  same "$(job_id_of "$first") PENDING" "$(jobs_of "$first")"
  eventually 60 refused "queued at" crictl --timeout 8s runp "$file"

  scancel "$filler"
  eventually 60 crictl --timeout 8s runp "$file"
  same "$first" "$(crictl pods -q)"
  same 1 "$(jobs_of "$first" | wc -l)"
  id=$(start_in_job "$first" c waits . sh -c 'exit 6')
  eventually 30 is_exited "$id"
  same 6 "$(exit_code "$id")"
}

@test "a wait that outlives a restart of the site is the same wait" {
  filler=$(fill_cluster)
  file=$(job_pod outlives)
  eventually 60 refused "queued at" crictl --timeout 8s runp "$file"
  first=$(sandboxes_at_site)
  lab kill-site "$LAB_DIR"
  lab start-site "$LAB_DIR"
  scancel "$filler"
  eventually 60 crictl --timeout 8s runp "$file"
  same "$first" "$(crictl pods -q)"
  same 1 "$(jobs_of "$first" | wc -l)"
}

@test "a job that somebody cancels while it waits fails its pod in words" {
  fill_cluster >/dev/null
  crictl --timeout 300s runp "$(job_pod unlucky)" >"$BATS_TEST_TMPDIR/answer" 2>&1 &
  caller=$!
  eventually 30 pending
  scancel "$(squeue -h -t PENDING -o %A)"
  wait "$caller" && fail "it runs: $(cat "$BATS_TEST_TMPDIR/answer")"
  grep -qi cancel "$BATS_TEST_TMPDIR/answer" || fail "$(cat "$BATS_TEST_TMPDIR/answer")"
  eventually 30 nothing_at_site
}

@test "a caller that goes away while its pod waits takes the job with it" {
  fill_cluster >/dev/null
  crictl --timeout 300s runp "$(job_pod given-up)" >/dev/null 2>&1 &
  caller=$!
  eventually 30 pending
  kill -INT "$caller"
  wait "$caller" || true
  eventually 120 given_up
  eventually 30 nothing_at_site
}

@test "the node's partition is what its pods go to, and a word that no handler takes is told" {
  printf 'PluginConfig:\n  SLURM_PARTITION: short\n  SLURM_WORD: x\n' >>"$LAB_NODE_CONFIG"
  lab stop-node "$LAB_DIR"
  lab start-node "$LAB_DIR"
  pod=$(start_job_pod partition)
  same short "$(squeue -h -o %P -j "$(job_id_of "$pod")")"
  "$LAB_BUILD/bin/interlink-cri" check --online --config "$LAB_NODE_CONFIG" | has 'PluginConfig.SLURM_WORD has no effect'
  "$LAB_BUILD/bin/interlink-cri" check --online --config "$LAB_NODE_CONFIG" | has 'handler "slurm" go with SLURM_PARTITION'
  crictl runp -r local "$(write_pod beside)" # takes no word of SLURM
}
