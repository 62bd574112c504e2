#!/usr/bin/env bats
# A site of root whose policy says whose each pod's job is (JobUser: mapped): by namespace, games, mail or nobody.
source "$BATS_TEST_DIRNAME/slurm.bash"
source "$BATS_TEST_DIRNAME/../system/policy.bash"

setup_file() {
  runuser -u games -- test -x "$PROJECT/test/lab" || skip "user games cannot read $PROJECT"
  own_site --map-user "games=games" --map-user "mail=mail" --map-user "lost=no-such-user"
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }
teardown() {
  lab start-site "$LAB_DIR" 2>/dev/null || true
  eventually 60 crictl pods
  eventually 240 all_gone # an end without the agent's word takes 150 s
  eventually 30 nothing_left
}

logged() { log_of "$1" | has -x "$2"; }
nothing_left() { [ -z "$(ls -A "$LAB_SLURM/local")" ] && [ -z "$(ls "$LAB_JOB_FOLDER/pods")" ]; }
in_namespace() { echo ".metadata.namespace = \"$1\""; }
start_pod_of() { start_job_pod "$1" "$(in_namespace "$2") | ${3:-.}"; } # NAME NAMESPACE [JQ_FILTER]
user_of() { ps -o user= -p "$1"; }
inspected() { crictl inspectp "$1" | jq -c ".. | .$2? // empty" | head -n 1 | jq -r .; } # POD KEY, of the plugin
# On the machine, of a container that runs `sleep SECONDS`.
sleeper() { pgrep -f "^sleep $1\$"; }

@test "each pod's job, agent and containers are its user's, and inside a container is whom it asks for" {
  for user in games mail; do
    pod=$(start_pod_of "of-$user" "$user")
    same "$user" "$(squeue -h -j "$(job_id_of "$pod")" -o %u)"
    same "$user" "$(user_of "$(agent_of "$pod")")"
    same "$user" "$(stat -c %U "$LAB_JOB_FOLDER/pods/$pod")"
    number=$((40000 + $(id -u "$user")))
    id=$(start_in_job "$pod" c "of-$user" '.linux.security_context.run_as_user = {value: 1000}' sh -c "id -u; exec sleep $number")
    same 1000 "$(crictl exec -s "$id" id -u)"
    eventually 10 sleeper "$number"
    same "$user" "$(user_of "$(sleeper "$number")")"
    eventually 10 logged "$id" 1000
    same "$user" "$(inspected "$pod" user)"
  done
}

@test "logs, stdin, exit codes, volumes and a stop" {
  pod=$(start_pod_of life games)
  volume=$LAB_KUBELET/pods/life/volumes/kubernetes.io~configmap/settings
  exchange "$volume" key "from a map"
  id=$(start_in_job "$pod" c life ".mounts = [{container_path: \"/settings\", host_path: \"$volume\", readonly: true}]" \
    sh -c 'cat /settings/key; exit 3')
  eventually 30 is_exited "$id"
  same 3 "$(exit_code "$id")"
  same "from a map" "$(log_of "$id")"
  id=$(start_in_job "$pod" d life . sh -c "$RUN")
  same "typed" "$(echo typed | crictl exec -i "$id" cat)"
  crictl stop -t 5 "$id" >/dev/null
  same 0 "$(exit_code "$id")" # it ends by itself at TERM
  crictl stopp "$pod" >/dev/null
  crictl rmp "$pod" >/dev/null
}

@test "a pod of no user, of an unknown one, and one of another handler: refused or run as ever" {
  refused "its policy \(Users\) names none for this pod" start_job_pod nobodys
  refused 'no-such-user.+is not known on the site' start_pod_of lost lost
  same '' "$(squeue -h -t all -o %u | grep -vx 'games\|mail' || true)" "jobs of others"
  same '' "$(ls "$LAB_JOB_FOLDER/pods")"
  # The policy speaks of the handler slurm alone.
  file=$(write_pod local '.metadata.namespace = "games"')
  pod=$(crictl runp -r local "$file")
  id=$(create "$pod" c local '.metadata.namespace = "games"' sh -c 'exec sleep 47111')
  crictl start "$id" >/dev/null
  eventually 10 sleeper 47111
  same root "$(user_of "$(sleeper 47111)")"
}

@test "a pod's service account, as the token says that kubelet mounts for it, chooses the user" {
  export POLICY=$LAB_DIR/policy.yaml
  sed 's/^Users:$/&\n  - {Name: by-account, Namespaces: [team], ServiceAccounts: [runner], User: mail}/' "$POLICY" >"$BATS_TEST_TMPDIR/policy"
  exchange_policy <"$BATS_TEST_TMPDIR/policy"
  "$LAB_BUILD/bin/interlink-api" policy explain "$POLICY" <(printf 'Action: run\nNamespace: team\nServiceAccount: runner\nHandler: slurm\n') | has 'runs as user "mail", by "by-account"'
  payload() { printf '{"kubernetes.io":{"namespace":"team","pod":{"uid":"%s"},"serviceaccount":{"name":"runner"}}}' "$1" | basenc --base64url -w 0 | tr -d =; }
  exchange "$LAB_KUBELET/pods/account/volumes/kubernetes.io~projected/kube-api-access-x" token "e30.$(payload account).c2ln"
  pod=$(start_pod_of account team)
  same mail "$(user_of "$(agent_of "$pod")")"
  # A token of another pod is none of this one's.
  exchange "$LAB_KUBELET/pods/borrowed/volumes/kubernetes.io~projected/kube-api-access-x" token "e30.$(payload account).c2ln"
  refused "names none for this pod" start_pod_of borrowed team
}

@test "one user's pods are closed to another: folder, token, image layers, state" {
  pod=$(start_pod_of closed games)
  id=$(start_in_job "$pod" c closed . sh -c "$RUN")
  for file in "$LAB_JOB_FOLDER/pods/$pod/token" "$LAB_JOB_FOLDER/pods/$pod/job.log" "$LAB_JOB_FOLDER"/layers-*-"$(id -u games)"/holders "$LAB_SLURM"/local/interlink-*; do
    runuser -u games -- test -r "$file"
    refused "Permission denied" runuser -u mail -- ls "$file/"
    none runuser -u mail -- test -r "$file"
  done
  refused "Permission denied" runuser -u mail -- ls "$LAB_JOB_FOLDER/pods"
  refused "Access/permission denied|Invalid user" runuser -u mail -- env SLURM_CONF="$SLURM_CONF" scancel "$(job_id_of "$pod")"
  same running "$(crictl exec -s "$id" echo running)"
}

@test "a job under a pod's name of somebody else ends nothing, and is nobody's business" {
  pod=$(start_pod_of named games)
  id=$(start_in_job "$pod" c named . sh -c "$RUN")
  name=$(squeue -h -j "$(job_id_of "$pod")" -o %j)
  forged=$(runuser -u mail -- env SLURM_CONF="$SLURM_CONF" sbatch --parsable --chdir=/ --output=/dev/null --job-name="$name" --wrap 'exit 113')
  eventually 30 job_is "$forged" FAILED
  # Its end takes another answer of squeue.
  other=$(start_pod_of other games)
  crictl stopp "$other" >/dev/null
  same "[$(job_id_of "$pod")]" "$(inspected "$pod" jobs | jq -c 'map(.id)')"
  same running "$(crictl exec -s "$id" echo running)"
  same SANDBOX_READY "$(pod_state "$pod")"
}

@test "kill -9 of the site, and a lost journal: the pods are their users' still, and leave nothing" {
  pod=$(start_pod_of kept games)
  id=$(start_in_job "$pod" c kept . sh -c "$RUN")
  agent=$(agent_of "$pod")
  lab kill-site "$LAB_DIR"
  rm -rf "$LAB_DIR"/site/plugins/slurm/jobs
  lab start-site "$LAB_DIR"
  eventually 60 site_is_reachable
  eventually 60 executes "$id"
  same "$agent" "$(agent_of "$pod")"
  crictl stopp "$pod" >/dev/null
  crictl rmp "$pod" >/dev/null
}
executes() { [ "$(crictl exec -s "$1" echo alive)" = alive ]; }

@test "a user who spoils his pod's folder harms his pod alone" {
  theirs=$(start_pod_of spoiled games)
  other=$(start_pod_of other mail)
  id=$(start_in_job "$other" c other . sh -c "$RUN")
  folder=$LAB_JOB_FOLDER/pods/$theirs
  runuser -u games -- sh -c "rm -rf $folder/exits $folder/left; ln -s /etc/shadow $folder/exits; mkfifo $folder/left; mkfifo $folder/refusal"
  scancel --name="$(squeue -h -j "$(job_id_of "$theirs")" -o %j)"
  # Its word cannot be read, so its lease decides; meanwhile others are served.
  for _ in 1 2 3; do
    same alive "$(crictl exec -s "$id" echo alive)"
    pod=$(start_pod_of "fresh-$RANDOM" mail)
    crictl stopp "$pod" >/dev/null
    crictl rmp "$pod" >/dev/null
  done
  none grep -q 'root:' <(crictl inspectp "$theirs")
  runuser -u games -- sh -c "rm -f $folder/left $folder/refusal $folder/exits"
}
