#!/usr/bin/env bats
# The metrics of pods that kubelet shows as /metrics/cadvisor, through crictl and a site that runs real containers.
source "$BATS_TEST_DIRNAME/common.bash"

teardown() {
  remove_all
}

# Burns a second of CPU time, writes a mebibyte, then rests: from then on its numbers stand still.
BUSY='i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; dd if=/dev/zero of=/big bs=1M count=1 2>/dev/null; echo rests; exec sleep 3600'

metrics() { crictl metricsp >"$BATS_TEST_TMPDIR/metrics.json"; }
# value CONTAINER_ID NAME [LABEL]: of the metric, from the last answer; nothing when it is not there.
value() {
  jq -r --arg id "$1" --arg name "$2" --arg own "${3:-}" '.podMetrics[].containerMetrics[] | select(.containerId == $id).metrics[] |
    select(.name == $name and ($own == "" or (.labelValues | index($own)))) | .value.value // "0"' "$BATS_TEST_TMPDIR/metrics.json"
}
pod_value() {
  jq -r --arg id "$1" --arg name "$2" '.podMetrics[] | select(.podSandboxId == $id).metrics[] | select(.name == $name) | .value.value // "0"' \
    "$BATS_TEST_TMPDIR/metrics.json"
}

# cgroup CONTROLLER V1_FILE V2_FILE: what a file of the container's cgroup says; v1 has a folder per controller.
cgroup() {
  local path
  if path=$(grep -E "^[0-9]+:([a-z_]+,)*$1(,[a-z_]+)*:" "/proc/$pid/cgroup"); then
    cat "/sys/fs/cgroup/$1${path#*:*:}/$2"
  else
    path=$(grep '^0::' "/proc/$pid/cgroup")
    cat "/sys/fs/cgroup${path#*:*:}/$3"
  fi
}
field() { awk -v key="$1" '$1 == key { print $2 }'; }

# What the site says of the container is what its cgroup says.
true_values() {
  metrics
  same "$(($(cgroup cpuacct cpuacct.usage /dev/null 2>/dev/null || echo "$(cgroup cpu '' cpu.stat | field usage_usec)000") / 1000000000))" \
    "$(value "$id" container_cpu_usage_seconds_total total)" "CPU time"
  same "$(cgroup memory memory.stat memory.stat | awk '$1 == "total_rss" || $1 == "anon" { print $2; exit }')" "$(value "$id" container_memory_rss)" rss
  same "$(cgroup memory memory.stat memory.stat | awk '$1 == "total_mapped_file" || $1 == "file_mapped" { print $2; exit }')" \
    "$(value "$id" container_memory_mapped_file)" "mapped files"
  same "$(cgroup memory memory.max_usage_in_bytes memory.peak)" "$(value "$id" container_memory_max_usage_bytes)" "most memory"
  same "$(cgroup cpu cpu.stat cpu.stat | field nr_periods)" "$(value "$id" container_cpu_cfs_periods_total)" periods
  same "$(cgroup pids cgroup.procs cgroup.procs | wc -l)" "$(value "$id" container_processes)" processes
  same "$(cgroup pids pids.current pids.current)" "$(value "$id" container_threads)" threads
  local files
  files=$(for process in $(cgroup pids cgroup.procs cgroup.procs); do ls "/proc/$process/fd"; done | wc -l)
  same "$files" "$(value "$id" container_file_descriptors)" "open files"
  (($(value "$id" container_fs_usage_bytes) >= 1048576)) || fail "less in the writable layer than was written"
}

@test "crictl metricsp tells for each descriptor what the container's cgroup says" {
  pod=$(start_pod measured)
  id=$(start_container "$pod" main measured '.linux.resources = {cpu_period: 100000, cpu_quota: 50000, cpu_shares: 512,
    memory_limit_in_bytes: 67108864, memory_swap_limit_in_bytes: 67108864}' sh -c "$BUSY")
  eventually 60 log_has "$id" rests
  pid=$(crictl inspect "$id" | jq .info.pid)

  eventually 60 true_values || true_values
  same 67108864 "$(value "$id" container_spec_memory_limit_bytes)"
  same 67108864 "$(value "$id" container_spec_memory_swap_limit_bytes)"
  same "100000 50000 512" "$(value "$id" container_spec_cpu_period) $(value "$id" container_spec_cpu_quota) $(value "$id" container_spec_cpu_shares)"
  started=$(crictl inspect "$id" | jq -r .status.startedAt)
  same "$(date -d "$started" +%s)" "$(value "$id" container_start_time_seconds)"
  (($(value "$id" container_last_seen) >= $(date +%s) - 20)) || fail "seen too long ago: $(value "$id" container_last_seen)"
  (($(value "$id" container_cpu_cfs_throttled_periods_total) > 0)) || fail "half a processor was not throttled"
  (($(pod_value "$pod" container_network_receive_bytes_total) <= $(awk '/eth0:/ { print $2 }' "/proc/$pid/net/dev"))) || fail "more bytes than there were"

  # Each value has the labels that its descriptor says, and only these; none stands there twice.
  crictl metricdescs >"$BATS_TEST_TMPDIR/descriptors.json"
  jq -e '.descriptors | length >= 45 and all(.help != "" and .labelKeys[0:5] == ["pod", "namespace", "container", "id", "image"])' "$BATS_TEST_TMPDIR/descriptors.json"
  same "" "$(jq -r --slurpfile known "$BATS_TEST_TMPDIR/descriptors.json" '($known[0].descriptors | map({key: .name, value: (.labelKeys | length)}) | from_entries) as $labels |
    .podMetrics[] | .metrics[], .containerMetrics[].metrics[] | select($labels[.name] != (.labelValues | length)) | .name' "$BATS_TEST_TMPDIR/metrics.json")"
  same "" "$(jq -r '.podMetrics[] | .metrics[], .containerMetrics[].metrics[] | [.name] + .labelValues | @json' "$BATS_TEST_TMPDIR/metrics.json" | sort | uniq -d)"
  same "measured default main $id $BUSYBOX" "$(jq -r --arg id "$id" '.podMetrics[].containerMetrics[] | select(.containerId == $id).metrics[] |
    select(.name == "container_memory_rss").labelValues | join(" ")' "$BATS_TEST_TMPDIR/metrics.json")"
}

@test "a new container has its metrics at once, one that has ended has none" {
  pod=$(start_pod fresh)
  first=$(start_container "$pod" first fresh . sh -c "$RUN")
  metrics
  [ "$(value "$first" container_memory_usage_bytes)" -gt 0 ]
  second=$(start_container "$pod" second fresh . sh -c "$RUN")
  metrics
  [ "$(value "$second" container_memory_usage_bytes)" -gt 0 ]
  crictl stop -t 0 "$first"
  metrics
  same "" "$(value "$first" container_memory_usage_bytes)"
  [ "$(value "$second" container_memory_usage_bytes)" -gt 0 ]
}

@test "a pod of the host's network has no network counters: they would be the machine's" {
  pod=$(start_pod host '.linux.security_context.namespace_options.network = 2')
  id=$(start_container "$pod" main host '.linux.security_context.namespace_options.network = 2' sh -c "$RUN")
  metrics
  [ "$(value "$id" container_memory_usage_bytes)" -gt 0 ]
  same "" "$(pod_value "$pod" container_network_receive_bytes_total)"
}

@test "the route answers a person too, takes nothing and tells a stranger nothing" {
  pod=$(start_pod asked)
  id=$(start_container "$pod" main asked . sh -c "$RUN")
  site GET /v1/pod-metrics -H 'Accept: application/json' |
    jq -e --arg id "$id" '.pods[].containerMetrics[] | select(.containerId == $id).metrics[] | select(.name == "container_cpu_usage_seconds_total").labelValues == ["total"]'
  same 400 "$(site GET '/v1/pod-metrics?pod=x' -o /dev/null -w '%{http_code}')"
  same 405 "$(site POST /v1/pod-metrics -o /dev/null -w '%{http_code}')"
  refused . curl -sSf --max-time 20 --cacert "$LAB_PKI/ca.crt" "$LAB_SITE/v1/pod-metrics"
}

@test "while the site is away metrics are unavailable at once, and their descriptors are there" {
  [ -z "${LAB:-}" ] || skip "it would stop the site of a lab that others use"
  start_pod away >/dev/null
  metrics
  lab stop-site "$LAB_DIR" >&2
  begin=$SECONDS
  refused "unavailable|unreachable|out of reach" crictl metricsp
  ((SECONDS - begin <= 6)) || fail "it took $((SECONDS - begin)) s"
  crictl metricdescs | jq -e '.descriptors | length >= 45'
  lab start-site "$LAB_DIR" >&2
  eventually 30 metrics
}
