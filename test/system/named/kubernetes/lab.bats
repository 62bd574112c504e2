#!/usr/bin/env bats
# The lab with a kubelet: two side by side, and nothing left of one in which everything died.
source "$BATS_TEST_DIRNAME/kube.bash"

setup() { second=$(mktemp -d /tmp/lab-XXXXXX); }
teardown() {
  if [ -e "$second/lab.json" ]; then lab down "$second"; else rm -rf "$second"; fi
  end_test
}

has_figures() { # POD
  proxy stats/summary | jq -e --arg name "$1" '.pods[] | select(.podRef.name == $name) |
    .cpu.usageCoreNanoSeconds > 0 and .memory.workingSetBytes > 0 and .containers[0].memory.workingSetBytes > 0' >/dev/null
}

@test "two labs do not meet, and down leaves nothing although all was killed" {
  run_pod here . sh -c "$RUN"
  # kubelet's own default: without this gate figures come by another way.
  lab up "$second" --kubernetes --gates PodAndContainerStatsFromCRI=false
  (
    use_lab "$second"
    crictl pull "$BUSYBOX" >/dev/null
    same "" "$(kubectl get pods -o name)"
    run_pod there '.spec.automountServiceAccountToken = true' sh -c "$RUN"
    same 1 "$(crictl pods -q --state ready | wc -l)"
    eventually 60 has_figures there
  )
  same 1 "$(crictl pods -q --state ready | wc -l)"
  tag=$(jq -r .tag "$second/lab.json")
  address=$(jq -r .kubernetes.node_ip "$second/lab.json")
  for file in "$second"/run/*.json; do kill -KILL "$(jq .pid "$file")"; done
  grep -q "$second/kubernetes" /proc/self/mountinfo

  lab down "$second"
  [ ! -e "$second" ]
  none pgrep -af "$second/"
  none grep "$second" /proc/self/mountinfo
  none grep -F "$address" <(ip -4 -o addr)
  none grep -F "$second/" <(ls -l /var/log/containers)
  [ -z "$(find /sys/fs/cgroup -name "*$tag*" 2>/dev/null)" ]
  [ ! -e "/sys/class/net/il$tag" ]
  [ ! -e "/run/interlink-lab/lab-$tag" ]
  node_is_ready
  pod_has here '.status.containerStatuses[0].restartCount == 0 and .status.phase == "Running"'
}

@test "a lab with a kubelet refuses what cannot be" {
  refused 'one kubelet for each lab' lab up "$second" --kubernetes --nodes 2
  refused 'belong to --kubernetes' lab up "$second" --gates EventedPLEG=true
}
