#!/usr/bin/env bats
# A real kubelet whose only runtime is interlink-cri: the node, and the lives of pods.
source "$BATS_TEST_DIRNAME/kube.bash"

teardown() { end_test; }

@test "the node is Ready and names its runtime, and RuntimeClass interlink is there" {
  node_is_ready
  [[ $(node_json | jq -r .status.nodeInfo.containerRuntimeVersion) =~ ^interlink-cri://[0-9] ]]
  same interlink "$(kubectl get runtimeclass interlink -o jsonpath='{.handler}')"
  node_json | jq -e '.status.features.supplementalGroupsPolicy' >/dev/null
}

@test "a pod without the RuntimeClass stays away from this node" {
  apply_pod plain 'del(.spec.runtimeClassName)' true
  await 30 plain '.status.conditions[?(@.type=="PodScheduled")].reason' Unschedulable
}

@test "a pod is Pending, Running and Succeeded, in this order, with 0 Completed" {
  kubectl get pods --watch --output-watch-events -o jsonpath='{.object.status.phase}{"\n"}' --field-selector metadata.name=phases >"$BATS_TEST_TMPDIR/phases" 3>&- &
  watcher=$!
  apply_pod phases . sh -c 'sleep 2'
  await 60 phases .status.phase Succeeded
  kill "$watcher"
  same "Pending Running Succeeded" "$(uniq "$BATS_TEST_TMPDIR/phases" | tr '\n' ' ' | sed 's/ $//')"
  same "0 Completed" "$(ended phases)"
  pod_has phases '.status.containerStatuses[0].restartCount == 0 and .status.podIP != null'
}

@test "an exit code fails the pod, exactly" {
  apply_pod seven . sh -c 'exit 7'
  await 60 seven .status.phase Failed
  same "7 Error" "$(ended seven)"
}

@test "a signal is 128 and its number, the memory limit is OOMKilled" {
  run_pod killed . sh -c "$RUN"
  kill -KILL "$(crictl inspect "$(crictl ps -q --label io.kubernetes.pod.name=killed)" | jq .info.pid)"
  apply_pod eater '.spec.containers[0].resources.limits = {memory: "20Mi"}' sh -c 'x=x; while :; do x=$x$x; done'
  await 60 killed .status.phase Failed
  await 60 eater .status.phase Failed
  same "137 Error" "$(ended killed)"
  same "137 OOMKilled" "$(ended eater)"
}

@test "a command that is not in the image, and an image that is not in the registry, are told by name" {
  apply_pod nocommand . /no/such/command
  apply_pod noimage '.spec.containers[0].image = "docker.io/library/never-made:1"' true
  await 60 nocommand '.status.containerStatuses[0].state.waiting.reason' CreateContainerError
  pod_has nocommand '.status.containerStatuses[0].state.waiting.message | contains("/no/such/command")'
  eventually 60 pod_has noimage '.status.containerStatuses[0].state.waiting.reason | test("^(ErrImagePull|ImagePullBackOff)$")'
  eventually 30 event_says noimage 'never-made:1.*(not found|NotFound|unknown)'
}

@test "what the site does not allow is refused with the key that would allow it" {
  apply_pod root '.spec.containers[0].securityContext = {privileged: true}' true
  apply_pod path '.spec.volumes = [{name: "v", hostPath: {path: "/etc"}}] | .spec.containers[0].volumeMounts = [{name: "v", mountPath: "/v"}]' true
  apply_pod network '.spec.hostNetwork = true' true
  eventually 60 event_says root AllowPrivileged
  eventually 60 event_says path AllowedHostPaths
  eventually 60 event_says network AllowHostNamespaces
}

@test "init containers run one after the other before the others, and a failed one fails the pod" {
  local share='.spec.volumes = [{name: "v", emptyDir: {}}] | .spec.containers[0].volumeMounts = [{name: "v", mountPath: "/v"}] |
    .spec.initContainers = [.spec.containers[0], .spec.containers[0]] | .spec.initContainers[0].name = "first" | .spec.initContainers[1].name = "second"'
  apply_pod inits "$share | .spec.initContainers[0].command = [\"sh\", \"-c\", \"echo 1 >>/v/order\"] | .spec.initContainers[1].command = [\"sh\", \"-c\", \"echo 2 >>/v/order\"]" \
    sh -c 'echo 3 >>/v/order; cat /v/order'
  apply_pod badinit "$share | .spec.initContainers[0].command = [\"sh\", \"-c\", \"exit 4\"]" true
  await 60 inits .status.phase Succeeded
  same "1 2 3" "$(kubectl logs inits | tr '\n' ' ' | sed 's/ $//')"
  await 60 badinit .status.phase Failed
  pod_has badinit '.status.initContainerStatuses[0].state.terminated.exitCode == 4 and .status.initContainerStatuses[1].state.waiting.reason == "PodInitializing"
    and .status.containerStatuses[0].state.waiting.reason == "PodInitializing"'
}

@test "a sidecar starts first, lives beside the work, and ends after it" {
  apply_pod sidecar ".spec.initContainers = [.spec.containers[0]] | .spec.initContainers[0] += {name: \"side\", restartPolicy: \"Always\",
    command: [\"sh\", \"-c\", \"touch /tmp/up; trap 'exit 0' TERM; while :; do sleep 3600 & wait \$!; done\"], startupProbe: {exec: {command: [\"test\", \"-e\", \"/tmp/up\"]}, periodSeconds: 1}}" sh -c 'sleep 1'
  await 60 sidecar .status.phase Succeeded
  pod_has sidecar '.status.initContainerStatuses[0] | .started == false and .state.terminated.exitCode == 0'
  pod_has sidecar '.status.initContainerStatuses[0].state.terminated.finishedAt >= .status.containerStatuses[0].state.terminated.finishedAt'
}

@test "restartPolicy Always restarts with back-off, and the last exit is kept" {
  apply_pod loops '.spec.restartPolicy = "Always"' sh -c 'exit 3'
  await 60 loops '.status.containerStatuses[0].state.waiting.reason' CrashLoopBackOff
  eventually 60 pod_has loops '.status.containerStatuses[0].restartCount >= 2'
  pod_has loops '.status.containerStatuses[0].lastState.terminated | .exitCode == 3 and .reason == "Error"'
  eventually 30 event_says loops 'Back-off .*restarting failed container'
}

@test "restartPolicy OnFailure restarts what failed and leaves what succeeded" {
  apply_pod onfailure '.spec.restartPolicy = "OnFailure" | .spec.volumes = [{name: "v", emptyDir: {}}] | .spec.containers[0].volumeMounts = [{name: "v", mountPath: "/v"}]' \
    sh -c '[ -e /v/second ] && exit 0; touch /v/second; exit 1'
  await 90 onfailure .status.phase Succeeded
  pod_has onfailure '.status.containerStatuses[0] | .restartCount == 1 and .lastState.terminated.exitCode == 1 and .state.terminated.exitCode == 0'
}

@test "a Job tries again and completes" {
  # Each of the three fails once: back-off of 10 s. Left to chance, five failures in a row are 5 minutes of it.
  pod_json work '.spec.volumes = [{name: "v", emptyDir: {}}] | .spec.containers[0].volumeMounts = [{name: "v", mountPath: "/v"}]' \
    sh -c '[ -e /v/second ] && exit 0; touch /v/second; exit 1' | jq '{apiVersion: "batch/v1", kind: "Job", metadata: {name: "work"}, spec: {completions: 3, parallelism: 3, backoffLimit: 30,
    podReplacementPolicy: "Failed", template: {spec: (.spec | .restartPolicy = "OnFailure")}}}' | kubectl apply -f - >/dev/null
  kubectl wait job/work --for=condition=Complete --timeout=180s >/dev/null
  same 3 "$(kubectl get job work -o jsonpath='{.status.succeeded}')"
  kubectl delete job work >/dev/null
}

@test "the grace period: TERM, then its time, then KILL" {
  run_pod stubborn '.spec.terminationGracePeriodSeconds = 4' sh -c 'trap "" TERM; while :; do sleep 1; done'
  run_pod polite '.spec.terminationGracePeriodSeconds = 60' sh -c "$RUN"
  # On its way to the end kubelet waits twice for news of its cache, with EventedPLEG up to 5 s each
  # (globalCacheUpdatePeriod in pkg/kubelet/pleg/evented.go), whatever the runtime tells it.
  kubelet=0
  [[ ${KUBERNETES_GATES:-} != *EventedPLEG=true* ]] || kubelet=10
  begin=$SECONDS
  kubectl delete pod polite --wait --timeout=30s >/dev/null
  ((SECONDS - begin <= 10 + kubelet)) || fail "a polite pod took $((SECONDS - begin)) s"
  begin=$SECONDS
  kubectl delete pod stubborn --wait --timeout=60s >/dev/null
  ((SECONDS - begin >= 3 && SECONDS - begin <= 14 + kubelet)) || fail "a stubborn pod took $((SECONDS - begin)) s"
}

@test "a running container is resized in its place" {
  run_pod resized '.spec.containers[0].resources = {requests: {cpu: "100m", memory: "64Mi"}, limits: {cpu: "200m", memory: "64Mi"}}' sh -c "$RUN"
  kubectl patch pod resized --subresource resize --patch '{"spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "150m", "memory": "96Mi"}, "limits": {"cpu": "400m", "memory": "96Mi"}}}]}}' >/dev/null
  await 60 resized '.status.containerStatuses[0].resources.limits.cpu' 400m
  await 60 resized '.status.containerStatuses[0].resources.limits.memory' 96Mi
  pod_has resized '.status.containerStatuses[0].restartCount == 0'
  id=$(crictl ps -q --label io.kubernetes.pod.name=resized)
  same 40000 "$(crictl exec -s "$id" sh -c 'cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d" " -f1 /sys/fs/cgroup/cpu.max')"
  same 100663296 "$(crictl exec -s "$id" sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max')"
}

all_run() { [ "$(kubectl get pods -l many -o json | jq '[.items[] | select(.status.phase == "Running")] | length')" = 30 ]; }
none_left() { [ -z "$(crictl pods -q --label many)$(crictl ps -aq --label many)" ]; }

@test "30 pods at once run, answer, and go" {
  local n
  for n in $(seq 30); do pod_json "many-$n" '.metadata.labels = {many: ""}' sh -c "$RUN"; done | kubectl apply -f - >/dev/null
  eventually 150 all_run
  same 30 "$(crictl ps -q --state running --label io.kubernetes.container.name=c | wc -l)"
  same 30 "$(kubectl get pods -l many -o json | jq '[.items[].status.podIP] | unique | length')"
  kubectl delete pods -l many --timeout=120s >/dev/null
  same "" "$(kubectl get pods -l many -o name)"
  # kubelet collects the sandboxes once a minute.
  eventually 150 none_left
}
