#!/usr/bin/env bats
# kubelet restarted, our daemons killed, the site gone for LAB_SITE_DOWN_SECONDS (default 20): pods do not notice.
source "$BATS_TEST_DIRNAME/kube.bash"

teardown() {
  lab start-site "$LAB_DIR" 2>/dev/null || true
  lab start-node "$LAB_DIR" 2>/dev/null || true
  [ -n "$(kubelet_pid)" ] || lab start-kubelet "$LAB_DIR"
  eventually 60 crictl pods
  end_test
}

kubelet_pid() { lab status "$LAB_DIR" | sed -n 's/^kubelet *pid //p'; }

# Three pods: one that kubelet asks every second and would restart after one failure, one behind HTTP, one that counts.
prepare() {
  run_pod watched '.spec.restartPolicy = "Always" | .spec.containers[0] += {livenessProbe: {exec: {command: ["true"]}, periodSeconds: 1, failureThreshold: 1, timeoutSeconds: 1},
    readinessProbe: {exec: {command: ["true"]}, periodSeconds: 1, failureThreshold: 1}}' sh -c "$RUN"
  run_pod web '.spec.restartPolicy = "Always" | .spec.containers[0] += {readinessProbe: {httpGet: {path: "/", port: 8080}, periodSeconds: 1, failureThreshold: 1}}' \
    sh -c 'mkdir /w; echo hello >/w/index.html; exec httpd -f -p 8080 -h /w'
  run_pod counts . sh -c 'i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done'
  await_ready 60 watched
  await_ready 60 web
  before=$(picture)
  [ "$(jq -s 'length' <<<"$before")" = 4 ]
}

# What must not change. A pod that was restarted has another container id and count, a node that flapped another time.
picture() {
  kubectl get pods -o json | jq -c '.items[] | {name: .metadata.name, phase: .status.phase, containers: [.status.containerStatuses[] | {containerID, restartCount, ready, started}]}'
  readiness
}
stands_still() { diff <(echo "$before") <(picture); }

verify() {
  eventually 60 crictl exec -s "$(crictl ps -q --label io.kubernetes.pod.name=watched)" true
  stands_still
  same 3 "$(crictl pods -q --state ready | wc -l)" "sandboxes" # kubelet collects ended ones once a minute
  local log=$LAB_KUBERNETES_LOGS/default_counts_$(pod_is counts .metadata.uid)/c
  seen=$(wc -l <"$log/0.log")
  eventually 20 more_lines "$log/0.log" "$((seen + 20))"
  awk '{ if ($4 != NR - 1) { print "line " NR " is " $0; exit 1 } }' "$log/0.log"
}
more_lines() { [ "$(wc -l <"$1")" -gt "$2" ]; }

@test "kubelet restarted under live pods" {
  prepare
  lab stop-kubelet "$LAB_DIR"
  lab start-kubelet "$LAB_DIR"
  # kubelet says at its start that neither it nor what it probes is ready, with any runtime: some seconds after it answers, since
  # what it said before stands until then.
  whole=$(grep -v lastTransitionTime <<<"$before")
  picture() { kubectl get pods -o json | jq -c '.items[] | {name: .metadata.name, phase: .status.phase, containers: [.status.containerStatuses[] | {containerID, restartCount, started}]}'; }
  before=$(jq -c 'del(.containers[].ready)' <<<"$whole")
  always 10 stands_still
  picture() { kubectl get pods -o json | jq -c '.items[] | {name: .metadata.name, phase: .status.phase, containers: [.status.containerStatuses[] | {containerID, restartCount, ready, started}]}'; }
  before=$whole
  eventually 30 stands_still
  always 5 stands_still
  verify
}

@test "interlink-cri killed and started again under live pods" {
  prepare
  lab kill-node "$LAB_DIR"
  lab start-node "$LAB_DIR"
  always 15 stands_still
  verify
}

@test "interlink-api killed and started again under live pods" {
  prepare
  lab kill-site "$LAB_DIR"
  lab start-site "$LAB_DIR"
  always 15 stands_still
  verify
}

@test "both killed, and a container ends meanwhile" {
  prepare
  apply_pod ends '.spec.volumes = [{name: "v", emptyDir: {}}] | .spec.containers[0].volumeMounts = [{name: "v", mountPath: "/v"}]' sh -c 'while [ ! -e /v/go ]; do sleep 0.1; done; echo bye; exit 9'
  await 60 ends .status.phase Running
  lab kill-site "$LAB_DIR"
  lab kill-node "$LAB_DIR"
  touch "$LAB_KUBERNETES/kubelet/pods/$(pod_is ends .metadata.uid)/volumes/kubernetes.io~empty-dir/v/go"
  lab start-site "$LAB_DIR"
  lab start-node "$LAB_DIR"
  await 60 ends .status.phase Failed
  same "9 Error" "$(ended ends)"
  same bye "$(kubectl logs ends)"
  kubectl delete pod ends --timeout=60s >/dev/null
  verify
}

@test "the site is gone: nothing restarts, no node flaps, a deleted pod stays Terminating and is gone soon after" {
  prepare
  run_pod deleted . sh -c "$RUN"
  lab stop-site "$LAB_DIR"
  kubectl delete pod deleted --wait=false >/dev/null
  picture_without() { picture | grep -v '"deleted"'; }
  unchanged() { diff <(echo "$before") <(picture_without); }
  always "${LAB_SITE_DOWN_SECONDS:-20}" unchanged
  pod_has deleted '.metadata.deletionTimestamp != null and .status.phase == "Running"'
  apply_pod new . true
  eventually 30 event_says new '[Uu]navailable|out of reach'

  lab start-site "$LAB_DIR"
  await_gone 30 deleted
  await 60 new .status.phase Succeeded
  kubectl delete pod new --timeout=60s >/dev/null
  unchanged
  verify
}
