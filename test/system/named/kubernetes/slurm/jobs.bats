#!/usr/bin/env bats
# A real kubelet whose pods are jobs of a real SLURM. kubelet waits 30 s for a sandbox (runtimeRequestTimeout: 15s), then
# asks again 10 to 15 s later; a queue takes longer.
source "$BATS_TEST_DIRNAME/../kube.bash"
source "$PROJECT/test/slurm/slurm.bash"
source "$PROJECT/test/system/policy.bash"

teardown() {
  if [ -e "$BATS_TEST_TMPDIR/site.yaml" ]; then # of a test that had another configuration
    cp "$BATS_TEST_TMPDIR/site.yaml" "$LAB_SITE_CONFIG"
    lab stop-site "$LAB_DIR" 2>/dev/null || true
  fi
  lab start-site "$LAB_DIR" 2>/dev/null || true
  lab start-node "$LAB_DIR" 2>/dev/null || true
  [ -n "$(kubelet_pid)" ] || lab start-kubelet "$LAB_DIR"
  end_test
  scancel --user="$(id -un)" --name=filler
  kubectl delete configmap,serviceaccount -l test --timeout=30s >/dev/null || true
  # Before the next test: nothing of this one may be counted as its. What nobody asks for any more is kept for 5 minutes.
  eventually 360 nothing_left || { squeue -t all; sandboxes_at_site; folders_left; } >&2
}

# --- what there is

kubelet_pid() { lab status "$LAB_DIR" | sed -n 's/^kubelet *pid //p'; }
# All jobs that were ever submitted for the pods of that name: lines of id and state.
jobs_for() { squeue -h -t all -o '%A %T %k' | awk -v pod="pod=default/$1" '{for (i = 3; i <= NF; i++) if ($i == pod) print $1, $2}'; }
job_for() { jobs_for "$1" | awk 'END {print $1}'; }
one_job() { same 1 "$(jobs_for "$1" | wc -l)" "jobs of pod $1"; } # POD
has_job() { jobs_for "$1" | has -E "^[0-9]+ ($2)\$"; }            # POD STATES
is_queued() { has_job "$1" PENDING; }
# Whatever cannot be asked proves nothing: each question must have an answer.
empty() { local out; out=$("$@") && [ -z "$out" ]; }
living() { squeue -h -o '%k' | awk -v pod="pod=default/$1" '{for (i = 1; i <= NF; i++) if ($i == pod) print}'; }
no_living() { empty living "$1"; }
# Of a pod that is gone: no job, no record at node and site, no folder, nothing on a compute node.
nothing_left() {
  empty squeue -h -o %A && empty crictl pods -q && empty crictl ps -aq && empty sandboxes_at_site && empty folders_left
}
folders_left() { find "$LAB_SLURM_JOBS/pods" "$LAB_SLURM/local" -mindepth 1 -maxdepth 1 ! -name '.site-*'; }
calls_waiting() { same "$1" "$(curl -sS --max-time 5 --unix-socket "$LAB_SOCKET" http://localhost/status | jq .waitingCalls)"; } # NUMBER

# How often kubelet was told that the pod waits: each is a deadline that has passed.
QUEUED='queued at site .*as job [0-9]+, PENDING \((Resources|Priority)\).*ask again'
times_told() {
  kubectl get events --field-selector "involvedObject.name=$1,reason=FailedCreatePodSandBox" -o json |
    jq --arg text "$QUEUED" '[.items[] | select(.message | test($text)) | .count // 1] | add // 0'
}
told() { [ "$(times_told "$1")" -ge "$2" ]; } # POD TIMES

# A pod whose job waits in the queue, with a call of kubelet that waits for it.
queue_pod() {
  apply_pod "$@"
  eventually 20 is_queued "$1"
  eventually 10 calls_waiting 1
}
# Room for it: it must run soon, kubelet's pause included, as the one job that it always was.
make_room() { # POD JOB
  scancel --name=filler --user="$(id -un)"
  await 60 "$1" .status.phase Running
  one_job "$1"
  same "$2 RUNNING" "$(jobs_for "$1")"
}
seconds_until() { # LIMIT COMMAND...: prints how long it took
  local begin=$SECONDS
  eventually "$@"
  echo "  within $((SECONDS - begin)) s of $1: ${*:2}" >&3
}

# --- one job, whatever happens while it waits

@test "kubelet's deadline passes three times and a label is edited: one job, and the events say where it waits" {
  fill_cluster >/dev/null
  queue_pod waits . sh -c "$RUN"
  job=$(job_for waits)
  eventually 40 told waits 1
  event_says waits "as job $job, PENDING \((Resources|Priority)\)"
  kubectl label pod waits edited=yes >/dev/null
  eventually 60 told waits 2
  eventually 60 told waits 3
  same "$job PENDING" "$(jobs_for waits)"
  same "" "$(crictl pods -q)" "a queued pod is not listed"
  pod_has waits '.status.phase == "Pending" and .metadata.labels.edited == "yes"'
  make_room waits "$job"
  kubectl delete pod waits --timeout=60s >/dev/null
  seconds_until 120 nothing_left
}

@test "kubelet is restarted while the pod waits: one job" {
  fill_cluster >/dev/null
  queue_pod patient . sh -c "$RUN"
  job=$(job_for patient)
  lab kill-kubelet "$LAB_DIR"
  lab start-kubelet "$LAB_DIR"
  eventually 60 told patient 1
  same "$job PENDING" "$(jobs_for patient)"
  make_room patient "$job"
}

@test "interlink-cri is killed and started again while the pod waits: one job" {
  fill_cluster >/dev/null
  queue_pod lasting . sh -c "$RUN"
  job=$(job_for lasting)
  lab kill-node "$LAB_DIR"
  lab start-node "$LAB_DIR"
  eventually 60 told lasting 1
  same "$job PENDING" "$(jobs_for lasting)"
  make_room lasting "$job"
}

@test "interlink-api is killed and started again while the pod waits: one job" {
  fill_cluster >/dev/null
  queue_pod sited . sh -c "$RUN"
  job=$(job_for sited)
  lab kill-site "$LAB_DIR"
  lab start-site "$LAB_DIR"
  eventually 90 told sited 1
  same "$job PENDING" "$(jobs_for sited)"
  make_room sited "$job"
}

# --- a pod that is deleted while it waits

@test "deleted while a call waits: its job is cancelled within 90 s, and nothing is left" {
  fill_cluster >/dev/null
  queue_pod dropped . sh -c "$RUN"
  begin=$SECONDS
  kubectl delete pod dropped --timeout=60s >/dev/null
  seconds_until $((90 - SECONDS + begin)) no_living dropped
  same "$(job_for dropped) CANCELLED" "$(jobs_for dropped)"
  scancel --name=filler --user="$(id -un)"
  seconds_until 60 nothing_left
}

@test "deleted between two calls: its job is cancelled within 6 minutes, and nothing is left" {
  fill_cluster >/dev/null
  queue_pod between . sh -c "$RUN"
  eventually 40 told between 1
  calls_waiting 0
  begin=$SECONDS
  kubectl delete pod between --timeout=60s >/dev/null
  calls_waiting 0
  seconds_until $((360 - SECONDS + begin)) no_living between
  same "$(job_for between) CANCELLED" "$(jobs_for between)"
  scancel --name=filler --user="$(id -un)"
  seconds_until 60 nothing_left
}

# --- an answer that kubelet never gets

is_ready() { crictl pods -q --state ready --label "io.kubernetes.pod.name=$1" | has .; }
is_up_at_site() { site GET "/v1/sandboxes/$1" | jq -e '.seen == "SEEN_UP"' >/dev/null; }

@test "kubelet dies with the answer unread: the next one adopts the sandbox, one job" {
  fill_cluster >/dev/null
  queue_pod adopted . sh -c "$RUN"
  job=$(job_for adopted)
  kill -STOP "$(kubelet_pid)"
  scancel --name=filler --user="$(id -un)"
  eventually 20 is_ready adopted
  first=$(crictl pods -q --label io.kubernetes.pod.name=adopted)
  lab kill-kubelet "$LAB_DIR"
  lab start-kubelet "$LAB_DIR"
  await 60 adopted .status.phase Running
  same "$first" "$(crictl pods -q --label io.kubernetes.pod.name=adopted)"
  same "$job RUNNING" "$(jobs_for adopted)"
}

@test "interlink-cri dies before it answers: the next call is answered with the same sandbox, one job" {
  fill_cluster >/dev/null
  queue_pod answered . sh -c "$RUN"
  job=$(job_for answered)
  first=$(sandboxes_at_site)
  kill -STOP "$(lab status "$LAB_DIR" | sed -n 's/^interlink-cri-1 *pid //p')"
  scancel --name=filler --user="$(id -un)"
  eventually 20 is_up_at_site "$first"
  lab kill-node "$LAB_DIR"
  lab start-node "$LAB_DIR"
  await 60 answered .status.phase Running
  same "$first" "$(crictl pods -q --label io.kubernetes.pod.name=answered)"
  same "$job RUNNING" "$(jobs_for answered)"
}

# --- what goes wrong, in whose words

@test "what SLURM refuses is in the pod's events in SLURM's words, and leaves no job" {
  apply_pod greedy '.metadata.annotations = {"slurm.interlink.io/gpus": "5"}' true
  apply_pod lost '.metadata.annotations = {"slurm.interlink.io/partition": "nowhere"}' true
  eventually 30 event_says greedy 'SLURM refuses the job: .*[Rr]equested node configuration is not available'
  eventually 30 event_says lost 'annotation .*slurm.interlink.io/partition'
  # SLURM notes some of what it refuses as a job that has failed.
  same "" "$(living greedy)$(jobs_for lost)"
  same "" "$(crictl pods -q)"
}

@test "a partition that SLURM does not know is told in SLURM's words" {
  cp "$LAB_SITE_CONFIG" "$BATS_TEST_TMPDIR/site.yaml"
  sed -i 's/^      LeaveWithin: 12$/&\n      Rules: {Partition: {Pod: true}}/' "$LAB_SITE_CONFIG"
  restart_lab_site
  apply_pod astray '.metadata.annotations = {"slurm.interlink.io/partition": "nowhere"}' true
  eventually 45 event_says astray 'SLURM refuses the job: .*[Ii]nvalid partition'
}

@test "a job that ends while no call waits: the next call is told why, the one after has a new job" {
  fill_cluster >/dev/null
  queue_pod unlucky . sh -c "$RUN"
  first=$(job_for unlucky)
  eventually 40 told unlucky 1
  scancel "$first"
  eventually 30 event_says unlucky "job $first was cancelled by somebody else"
  eventually 45 is_queued unlucky
  same 2 "$(jobs_for unlucky | wc -l)"
  second=$(job_for unlucky)
  scancel --name=filler --user="$(id -un)"
  await 60 unlucky .status.phase Running
  same "$first CANCELLED $second RUNNING" "$(jobs_for unlucky | sort -n | tr '\n' ' ' | sed 's/ $//')"
}

# --- the pod itself

volume() { echo "(.spec.volumes += [{name: \"$1\"} + $2]) | (.spec.containers[].volumeMounts += [{name: \"$1\", mountPath: \"/$1\"}])"; }

@test "ConfigMap and the service account's token are in the container, which runs in the job" {
  kubectl create configmap settings --from-literal=colour=green >/dev/null
  kubectl label configmap/settings test=yes >/dev/null
  apply_pod files "$(volume config '{configMap: {name: "settings"}}') | .spec.automountServiceAccountToken = true" \
    sh -c 'cat /config/colour; echo; cat /var/run/secrets/kubernetes.io/serviceaccount/namespace; echo; cut -d. -f2 /var/run/secrets/kubernetes.io/serviceaccount/token; exit 4'
  await 60 files .status.phase Failed
  same "4 Error" "$(ended files)"
  kubectl logs files >"$BATS_TEST_TMPDIR/log"
  same "green default" "$(head -n 2 "$BATS_TEST_TMPDIR/log" | tr '\n' ' ' | sed 's/ $//')"
  claims=$(sed -n 3p "$BATS_TEST_TMPDIR/log" | tr '_-' '/+')
  while ((${#claims} % 4)); do claims=$claims=; done
  same "system:serviceaccount:default:default files" "$(base64 -d <<<"$claims" | jq -r '"\(.sub) \(.["kubernetes.io"].pod.name)"')"
  one_job files
}

@test "the site's policy knows a pod's service account from the token that kubelet mounts" {
  cp "$LAB_SITE_CONFIG" "$BATS_TEST_TMPDIR/site.yaml"
  begin_policy <<'EOF'
Rules:
  - {Name: default-only, ServiceAccounts: [default], May: [run, create, pull]}
EOF
  mounts='.spec.automountServiceAccountToken = true'
  apply_pod known "$mounts" true
  await 60 known .status.phase Succeeded
  kubectl create serviceaccount other >/dev/null
  kubectl label serviceaccount other test=yes >/dev/null
  apply_pod strange "$mounts | .spec.serviceAccountName = \"other\"" true
  eventually 30 event_says strange 'may not run in namespace "default" as service account "other".*: no rule'
  apply_pod without . true
  eventually 30 event_says without 'may not run in namespace "default" with handler .*: no rule'
}

# Kubelet looks at a pod's volumes every 60 to 90 s.
@test "a ConfigMap that is changed is changed in the pod, and the rest of its life goes on" {
  kubectl create configmap fresh --from-literal=colour=green >/dev/null
  kubectl label configmap/fresh test=yes >/dev/null
  run_pod fresh "$(volume config '{configMap: {name: "fresh"}}')" sh -c "$RUN"
  same green "$(kubectl exec fresh -- cat /config/colour)"
  kubectl patch configmap fresh --type=merge -p '{"data": {"colour": "blue", "shape": "round"}}' >/dev/null
  colours() { same "$1" "$(kubectl exec fresh -- sh -c 'cat /config/colour /config/shape' 2>/dev/null)"; }
  seconds_until 150 colours blueround
  pod_has fresh '.status.containerStatuses[0].restartCount == 0'
  one_job fresh
}

@test "exit codes are exact: each container has its own, and a signal is 128 and its number" {
  pod_json codes . true | jq '.spec.containers = [.spec.containers[0] as $c | {zero: "exit 0", one: "exit 1", three: "exit 3", large: "exit 200", last: "exit 255",
    killed: "sleep 60 & kill -9 $!; wait $!"} | to_entries[] | $c + {name: .key, command: ["sh", "-c", .value]}]' | kubectl apply -f - >/dev/null
  await 60 codes .status.phase Failed
  same "killed 137 Error,large 200 Error,last 255 Error,one 1 Error,three 3 Error,zero 0 Completed" \
    "$(pod_is codes '[.status.containerStatuses[] | "\(.name) \(.state.terminated.exitCode) \(.state.terminated.reason)"] | sort | join(",")')"
  one_job codes
}

@test "logs and exec reach the job; a container that fails is restarted in the same job; a deletion cancels it" {
  run_pod works '.spec.restartPolicy = "Always" | .spec.terminationGracePeriodSeconds = 5 | .spec.containers[0].readinessProbe = {exec: {command: ["test", "-e", "/tmp/ready"]}, periodSeconds: 1}' \
    sh -c 'echo "hello from job"; while [ ! -e /tmp/fail ]; do sleep 0.2; done; exit 9'
  eventually 20 log_says works
  same "hello from job" "$(kubectl logs works)"
  run kubectl exec works -- sh -c 'echo inside; exit 5'
  same 5 "$status"
  kubectl exec works -- touch /tmp/ready
  await_ready 30 works
  kubectl exec works -- touch /tmp/fail
  await 60 works '.status.containerStatuses[0].restartCount' 1
  same 9 "$(pod_is works '.status.containerStatuses[0].lastState.terminated.exitCode')"
  await 60 works .status.phase Running
  one_job works
  kubectl delete pod works --timeout=60s >/dev/null
  seconds_until 30 no_living works
  # kubelet collects ended sandboxes once a minute.
  seconds_until 120 nothing_left
}
