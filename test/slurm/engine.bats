#!/usr/bin/env bats
# Another engine than crun makes the containers: Charliecloud's ch-run (Engine: ch-run).
source "$BATS_TEST_DIRNAME/slurm.bash"

# The node finds a site that has started again a little later than we do.
node_is_linked() { eventually 60 crictl pull "$BUSYBOX" >&2; }

setup_file() {
  runuser -u nobody -- test -x "$PROJECT/test/lab" || skip "user nobody cannot read $PROJECT"
  # Its containers have one id: an ordinary user's.
  own_site --site-user nobody
  restart_site_with 'Engine: ch-run'
  node_is_linked
}
teardown_file() { end_own_lab; }
teardown() {
  eventually 120 all_gone
}

# By whom a container was made: `crictl inspect` tells the program.
engine_of() { crictl inspect "$1" | jq -r .info.runtimeType; }

@test "a pod lives: user, environment, folder, log, exec, stdin, terminal, exit codes, stop" {
  pod=$(start_job_pod life)
  id=$(start_in_job "$pod" c life '.linux.security_context.run_as_user = {value: 1000} | .working_dir = "/work" |
    .envs = [{key: "WORD", value: "a b"}]' sh -c 'echo "$(id -u) $PWD $WORD on $(hostname)"; echo oops >&2; exit 3')
  eventually 30 is_exited "$id"
  same 3 "$(exit_code "$id")"
  same "1000 /work a b on life
oops" "$(log_of "$id" | sort)"
  same /usr/bin/ch-run "$(engine_of "$id")"

  other=$(start_in_job "$pod" other life . sh -c 'trap "exit 143" TERM; echo ready; while :; do sleep 1; done')
  same out "$(crictl exec -s "$other" echo out)"
  same "from stdin" "$(echo 'from stdin' | crictl exec -i "$other" cat)"
  refused "exited with 7" crictl exec -s "$other" sh -c 'exit 7'
  refused "no program in PATH" crictl exec -s "$other" nosuch
  same "$(head -c 3000000 /dev/zero | md5sum)" "$(head -c 3000000 /dev/zero | crictl exec -i "$other" md5sum)"
  eventually 30 log_has "$other" ready
  crictl stop -t 30 "$other"
  same 143 "$(exit_code "$other")"
  crictl stopp "$pod"
  crictl rmp "$pod"
  same "" "$(crictl pods -q)"
  same "" "$(ls -A "$LAB_SLURM/local")" "left on the compute node"
}

@test "each container is apart: its own processes, its own file system, and no way up" {
  pod=$(start_job_pod apart)
  first=$(start_in_job "$pod" first apart . sh -c "touch /of-first; $RUN")
  second=$(start_in_job "$pod" second apart . sh -c "$RUN")
  eventually 30 crictl exec -s "$first" test -e /of-first
  refused "exited with 1" crictl exec -s "$second" test -e /of-first
  # Itself, what it runs, and the exec.
  [ "$(crictl exec -s "$second" sh -c 'ls -d /proc/[0-9]* | wc -l')" -le 5 ]
  for file in /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/kernel/mm/ksm/run; do
    refused "exited with 1" crictl exec -s "$second" sh -c "echo 1 >$file"
  done
  same "NoNewPrivs: 1" "$(crictl exec -s "$second" sh -c 'echo $(grep NoNewPrivs /proc/self/status)')"
}

@test "what ch-run cannot do is refused by the field's name" {
  pod=$(start_job_pod cannot)
  refused "linux.security_context.seccomp" create_in_job "$pod" a cannot \
    '.linux.security_context.seccomp = {profile_type: 0}' true
  refused "add_ambient_capabilities" create_in_job "$pod" b cannot \
    '.linux.security_context.capabilities = {add_ambient_capabilities: ["CHOWN"]}' true
  refused "linux.security_context.privileged" create_in_job "$pod" c cannot '.linux.security_context.privileged = true' true
  refused "linux.security_context.privileged" start_job_pod privileged '.linux.security_context.privileged = true'
}

@test "an agent that is killed comes back to the containers that it had" {
  pod=$(start_job_pod again)
  id=$(start_in_job "$pod" c again . sh -c 'trap "exit 9" TERM; echo ready; while :; do sleep 0.2; done')
  eventually 30 log_has "$id" ready
  kill -KILL "$(agent_of "$pod")"
  eventually 60 crictl exec -s "$id" true
  crictl stop -t 30 "$id"
  same 9 "$(exit_code "$id")"
}

@test "a compute node without ch-run, or with something else there, is told in words, and at once" {
  own_site_config
  lab start-site "$LAB_DIR"
  for path in /no/such/ch-run /bin/true; do
    restart_site_with "Engine: ch-run\n      RuntimePath: \"$path\""
    node_is_linked
    refused "$path" start_job_pod "engine-$(basename "$path")"
    eventually 60 all_gone
    own_site_config
    lab start-site "$LAB_DIR"
  done
}
