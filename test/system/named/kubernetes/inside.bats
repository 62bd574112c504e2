#!/usr/bin/env bats
# What a pod finds inside: volumes, probes, hooks; and what kubelet finds out about it.
source "$BATS_TEST_DIRNAME/kube.bash"

teardown() {
  end_test
  kubectl delete configmap,secret -l test --timeout=30s >/dev/null || true
}

# mounts NAME JQ_OF_VOLUME: a filter that mounts a volume at /NAME in all containers.
volume() { echo "(.spec.volumes += [{name: \"$1\"} + $2]) | (.spec.containers[].volumeMounts += [{name: \"$1\", mountPath: \"/$1\"}])"; }
second() { echo ".spec.containers += [.spec.containers[0] + {name: \"d\", command: $1}]"; }

@test "two containers share an emptyDir, on disk and in memory" {
  run_pod shared "$(second '["sh", "-c", "while [ ! -s /disk/word ] || [ ! -s /memory/word ]; do sleep 0.1; done; cat /disk/word /memory/word; grep -c \" /memory tmpfs \" /proc/mounts"]') |
    $(volume disk '{emptyDir: {}}') | $(volume memory '{emptyDir: {medium: "Memory", sizeLimit: "1Mi"}}')" \
    sh -c "echo from disk >/disk/word; echo from memory >/memory/word; $RUN"
  await 60 shared '.status.containerStatuses[?(@.name=="d")].state.terminated.exitCode' 0
  same "from disk from memory 1" "$(kubectl logs shared -c d | tr '\n' ' ' | sed 's/ $//')"
}

@test "ConfigMap, Secret, downward API and a projected token are files and variables" {
  kubectl create configmap settings --from-literal=colour=green >/dev/null
  kubectl create secret generic word --from-literal=pass=sesame >/dev/null
  kubectl label configmap/settings secret/word test=yes >/dev/null
  apply_pod files "$(volume config '{configMap: {name: "settings"}}') | $(volume secret '{secret: {secretName: "word", defaultMode: 256}}') |
    $(volume token '{projected: {sources: [{serviceAccountToken: {path: "token", audience: "there", expirationSeconds: 600}}]}}') |
    $(volume about '{downwardAPI: {items: [{path: "name", fieldRef: {fieldPath: "metadata.name"}}, {path: "cpu", resourceFieldRef: {containerName: "c", resource: "limits.cpu", divisor: "1m"}}]}}') |
    .spec.containers[0].resources.limits = {cpu: \"250m\"} |
    .spec.containers[0].env = [{name: \"COLOUR\", valueFrom: {configMapKeyRef: {name: \"settings\", key: \"colour\"}}},
      {name: \"PASS\", valueFrom: {secretKeyRef: {name: \"word\", key: \"pass\"}}}, {name: \"IP\", valueFrom: {fieldRef: {fieldPath: \"status.podIP\"}}}]" \
    sh -c 'cat /config/colour /secret/pass /about/name /about/cpu; stat -Lc :%a /secret/pass; echo "$COLOUR $PASS $IP"; cut -d. -f2 /token/token'
  await 60 files .status.phase Succeeded
  kubectl logs files >"$BATS_TEST_TMPDIR/log"
  same "greensesamefiles250:400" "$(head -n 1 "$BATS_TEST_TMPDIR/log")"
  same "green sesame $(pod_is files .status.podIP)" "$(sed -n 2p "$BATS_TEST_TMPDIR/log")"
  claims=$(sed -n 3p "$BATS_TEST_TMPDIR/log" | tr '_-' '/+')
  while ((${#claims} % 4)); do claims=$claims=; done
  same "system:serviceaccount:default:default there files" "$(base64 -d <<<"$claims" | jq -r '"\(.sub) \(.aud[0]) \(.["kubernetes.io"].pod.name)"')"
}

@test "a changed ConfigMap arrives in the running container" {
  kubectl create configmap live --from-literal=version=1 >/dev/null
  kubectl label configmap/live test=yes >/dev/null
  run_pod live "$(volume config '{configMap: {name: "live"}}')" sh -c 'cat /config/version; while [ "$(cat /config/version)" != 2 ]; do sleep 0.2; done; echo arrived'
  kubectl create configmap live --from-literal=version=2 --dry-run=client -o json | kubectl apply --server-side --force-conflicts -f - >/dev/null
  kubectl annotate pod live looked=again >/dev/null # kubelet looks at once
  await 90 live .status.phase Succeeded
  [[ $(kubectl logs live) == *arrived ]]
}

@test "last words: from the file, and from the log when the file is empty" {
  apply_pod words . sh -c 'echo farewell >/dev/termination-log; exit 1'
  apply_pod tail '.spec.containers[0].terminationMessagePolicy = "FallbackToLogsOnError"' sh -c 'echo the last line; exit 1'
  await 60 words .status.phase Failed
  await 60 tail .status.phase Failed
  same farewell "$(pod_is words '.status.containerStatuses[0].state.terminated.message')"
  same "the last line" "$(pod_is tail '.status.containerStatuses[0].state.terminated.message')"
}

@test "user, group, fsGroup, read-only root and hostname" {
  apply_pod who "$(volume data '{emptyDir: {}}') | .spec.hostname = \"alice\" | .spec.securityContext = {runAsUser: 1000, runAsGroup: 2000, fsGroup: 3000} |
    .spec.containers[0].securityContext = {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [\"ALL\"]}, seccompProfile: {type: \"RuntimeDefault\"}}" \
    sh -c 'echo "$(id -u):$(id -g):$(id -G):$(hostname)"; touch /data/x; stat -c %g /data/x; touch /x 2>/dev/null || echo read-only; grep -c alice /etc/hosts'
  await 60 who .status.phase Succeeded
  same "1000:2000:2000 3000:alice 3000 read-only 1" "$(kubectl logs who | tr '\n' ' ' | sed 's/ $//')"
}

@test "an HTTP and a TCP probe reach the pod's address: ready, and restarted when it no longer answers" {
  run_pod http '.spec.restartPolicy = "Always" | .spec.containers[0] += {ports: [{containerPort: 8080}],
    readinessProbe: {httpGet: {path: "/index.html", port: 8080}, periodSeconds: 1}, livenessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1, failureThreshold: 2}}' \
    sh -c 'mkdir /w; echo hello >/w/index.html; httpd -f -p 8080 -h /w & while [ ! -e /w/stop ]; do sleep 0.2; done; kill $!; while :; do sleep 1; done'
  await_ready 60 http
  pod_has http '.status.containerStatuses[0].restartCount == 0'
  crictl exec -s "$(crictl ps -q --label io.kubernetes.pod.name=http)" touch /w/stop
  await 60 http '.status.containerStatuses[0].restartCount' 1
  await_ready 60 http
  event_says http 'Liveness probe failed'
}

@test "an exec probe decides about readiness, a startup probe about the beginning" {
  run_pod exec '.spec.containers[0] += {readinessProbe: {exec: {command: ["test", "-e", "/tmp/ready"]}, periodSeconds: 1, failureThreshold: 1},
    startupProbe: {exec: {command: ["test", "-e", "/tmp/started"]}, periodSeconds: 1, failureThreshold: 60}}' sh -c "$RUN"
  id=$(crictl ps -q --label io.kubernetes.pod.name=exec)
  pod_has exec '.status.containerStatuses[0] | .started == false and .ready == false'
  crictl exec -s "$id" touch /tmp/started
  await 30 exec '.status.containerStatuses[0].started' true
  pod_has exec '.status.containerStatuses[0].ready == false'
  crictl exec -s "$id" touch /tmp/ready
  await_ready 30 exec
  crictl exec -s "$id" rm /tmp/ready
  await 30 exec '.status.containerStatuses[0].ready' false
}

@test "a liveness probe that overruns its time restarts the container" {
  apply_pod slow '.spec.restartPolicy = "Always" | .spec.containers[0].livenessProbe = {exec: {command: ["sleep", "30"]}, timeoutSeconds: 1, periodSeconds: 1, failureThreshold: 1}' sh -c "$RUN"
  await 90 slow '.status.containerStatuses[0].restartCount' 1
  eventually 10 event_says slow 'Liveness probe failed.*(timed out|timeout)'
}

@test "hooks: after the start, and before TERM" {
  run_pod hooks "$(volume v '{emptyDir: {}}') | .spec.terminationGracePeriodSeconds = 30 | .spec.containers[0].lifecycle = {
    postStart: {exec: {command: [\"sh\", \"-c\", \"echo started >>/v/story\"]}}, preStop: {exec: {command: [\"sh\", \"-c\", \"echo stopping >>/v/story; sleep 1\"]}}}" \
    sh -c 'trap "echo term >>/v/story; exit 0" TERM; while :; do sleep 0.1; done'
  uid=$(pod_is hooks .metadata.uid)
  story=$LAB_KUBERNETES/kubelet/pods/$uid/volumes/kubernetes.io~empty-dir/v/story
  same started "$(cat "$story")"
  exec 8<"$story"
  kubectl delete pod hooks --timeout=60s >/dev/null
  same "started stopping term" "$(tr '\n' ' ' <&8 | sed 's/ $//')"
  exec 8<&-
}

@test "a failed postStart hook kills the container and says so" {
  apply_pod badhook '.spec.containers[0].lifecycle.postStart.exec.command = ["sh", "-c", "exit 5"]' sh -c 'trap "exit 8" TERM; while :; do sleep 0.1; done'
  await 60 badhook .status.phase Failed
  same "8 Error" "$(ended badhook)"
  event_says badhook 'PostStartHook'
}

summary() { proxy stats/summary | jq -e ".pods[] | select(.podRef.name == \"busy\") | $1" >/dev/null; }
resource() { proxy metrics/resource | grep -E "^$1\{.*pod=\"busy\"" | awk '{ if ($2 > 0) found = 1 } END { exit !found }'; }

@test "CPU, memory and network of a pod are in kubelet's summary and resource metrics" {
  run_pod busy . sh -c 'gateway=$(ip route | sed -n "s/^default via \([^ ]*\).*/\1/p"); while :; do wget -q -O /dev/null "http://$gateway:1/" 2>/dev/null; i=$((i+1)); done'
  eventually 90 summary '.cpu.usageNanoCores > 0 and .memory.workingSetBytes > 0'
  eventually 60 summary '.containers[0] | .name == "c" and .cpu.usageCoreNanoSeconds > 0 and .memory.workingSetBytes > 0'
  eventually 60 resource container_cpu_usage_seconds_total
  eventually 60 resource container_memory_working_set_bytes
  eventually 60 resource pod_cpu_usage_seconds_total
  eventually 60 resource pod_memory_working_set_bytes
  eventually 60 summary '.network | .name == "eth0" and .rxBytes > 0 and .txBytes > 0'
}

cadvisor() { proxy metrics/cadvisor | grep -E "^$1\{.*pod=\"observed\"" | awk -F'} ' '{ if ($2 + 0 > 0) found = 1 } END { exit !found }'; }

@test "kubelet's metrics of containers, which cAdvisor would measure, come from the site" {
  run_pod observed '.spec.containers[0].resources.limits = {cpu: "500m", memory: "64Mi"}' sh -c 'while :; do i=$((i+1)); done'
  eventually 60 cadvisor container_memory_working_set_bytes
  eventually 60 cadvisor container_cpu_usage_seconds_total
  eventually 60 cadvisor container_cpu_cfs_throttled_periods_total
  eventually 60 cadvisor container_network_receive_bytes_total
  eventually 60 cadvisor container_fs_usage_bytes
  same "67108864 50000" "$(proxy metrics/cadvisor | awk -F'} ' '/pod="observed"/ && /^container_spec_(memory_limit_bytes|cpu_quota)\{/ { print int($2 + 0) }' | sort -rn | xargs)"
}
