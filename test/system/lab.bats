#!/usr/bin/env bats
# The lab itself: two side by side, and nothing left also when something in it died.
source "$BATS_TEST_DIRNAME/common.bash"

setup() { second=$(mktemp -d /tmp/lab-XXXXXX); }
teardown() { lab down "$second"; remove_all; }

@test "two labs do not meet, and down leaves nothing although everything was killed" {
  here=$(start_pod same)
  lab up "$second"
  (
    use_lab "$second"
    crictl pull "$BUSYBOX"
    there=$(start_pod same '.port_mappings = [{container_port: 80, host_port: 28080, protocol: 0}]')
    start_container "$there" c same . sh -c "$RUN"
    same "$there" "$(crictl pods -q)"
  )
  same "$here" "$(crictl pods -q)"

  lab kill-node "$second"
  lab kill-site "$second"
  tag=$(jq -r .tag "$second/lab.json")
  lab down "$second"
  [ ! -e "$second" ]
  none pgrep -af "$second/"
  none grep "$second" /proc/self/mountinfo
  [ ! -e "/sys/class/net/il$tag" ]
  none grep "lab-$tag" <(iptables-save)
  [ -z "$(find /sys/fs/cgroup -name "*$tag*" 2>/dev/null)" ]
  same SANDBOX_READY "$(pod_state "$here")"
}

@test "a node of another certificate sees nothing of its neighbour" {
  lab up "$second" --nodes 2
  use_lab "$second" 1
  crictl pull "$BUSYBOX"
  id=$(start_pod mine)
  (
    use_lab "$second" 2
    same "" "$(crictl pods -q)"
    same "" "$(crictl images -q)"
    refused "not ?found" crictl inspectp "$id"
    crictl stopp "$id"
    same 404 "$(curl -s -o /dev/null -w '%{http_code}' --cacert "$LAB_PKI/ca.crt" --cert "$LAB_PKI/node-2.crt" --key "$LAB_PKI/node-2.key" "$LAB_SITE/v1/sandboxes/$id")"
  )
  same SANDBOX_READY "$(pod_state "$id")"
}

@test "a lab for critest has its images, leads a host port from 127.0.0.1, and puts the machine's settings back" {
  setting=/proc/sys/net/ipv4/conf/all/route_localnet
  before=$(cat $setting)
  lab up "$second" --conformance
  same 1 "$(cat $setting)"
  (
    use_lab "$second"
    crictl pull registry.k8s.io/e2e-test-images/nginx:1.14-2
    pod=$(start_pod web '.port_mappings = [{container_port: 80, host_port: 28081, protocol: 0}]')
    start_container "$pod" c web '.image.image = "registry.k8s.io/e2e-test-images/nginx:1.14-2" | del(.command)'
    eventually 10 curl -fsS --max-time 5 http://127.0.0.1:28081/
  )
  lab down "$second"
  same "$before" "$(cat $setting)"
}
