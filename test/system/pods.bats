#!/usr/bin/env bats
# The life of a sandbox, through crictl.
source "$BATS_TEST_DIRNAME/common.bash"

teardown() { remove_all; }

@test "version and info answer as a CRI runtime that is ready" {
  crictl version | has 'RuntimeApiVersion:  *v1'
  same true "$(crictl info | jq '.status.conditions[] | select(.type == "RuntimeReady").status')"
  same true "$(crictl info | jq '.status.conditions[] | select(.type == "NetworkReady").status')"
  crictl runtime-config | has -E 'cgroup driver: +CGROUPFS$'
}

@test "a pod runs, is listed as ready with an address, stops and is removed" {
  id=$(start_pod life)
  same 64 ${#id}
  same SANDBOX_READY "$(pod_state "$id")"
  same "$id" "$(crictl pods -q --name life)"
  address=$(crictl inspectp "$id" | jq -r .status.network.ip)
  [[ $address =~ ^10\. ]]

  crictl stopp "$id"
  same SANDBOX_NOTREADY "$(pod_state "$id")"
  same "" "$(crictl pods -q --state ready)"
  crictl rmp "$id"
  same "" "$(crictl pods -q)"
  refused "not ?found" crictl inspectp "$id"
}

@test "stop and remove may be repeated, and succeed for an id that never was" {
  id=$(start_pod repeat)
  crictl stopp "$id"
  crictl stopp "$id"
  crictl rmp "$id"
  crictl stopp "$id"
  crictl stopp "$(printf 'ab%.0s' {1..32})"
}

@test "the same pod asked for twice is one sandbox" {
  first=$(start_pod twice)
  second=$(crictl runp "$BATS_TEST_TMPDIR/pod-twice.json")
  same "$first" "$second"
  same 1 "$(crictl pods -q | wc -l)"
}

@test "an id may be cut as long as it is unique" {
  id=$(start_pod cut)
  same "$id" "$(crictl inspectp "${id:0:10}" | jq -r .status.id)"
  same "$id" "$(crictl pods -q --id "${id:0:12}")"
  crictl stopp "${id:0:8}"
}

@test "a beginning that two ids share is refused" {
  declare -A seen=()
  for n in $(seq 17); do
    id=$(start_pod "many-$n")
    first=${id:0:1}
    if [ -n "${seen[$first]:-}" ]; then break; fi
    seen[$first]=$id
  done
  refused "ambiguous|more than one|several|multiple" crictl inspectp "$first"
}

@test "labels select pods" {
  a=$(start_pod labels-a '.labels = {app: "a", tier: "x"}')
  start_pod labels-b '.labels = {app: "b", tier: "x"}'
  same "$a" "$(crictl pods -q --label app=a)"
  same 2 "$(crictl pods -q --label tier=x | wc -l)"
  same "" "$(crictl pods -q --label tier=y)"
}

@test "an unknown handler is refused with the known ones" {
  refused "local" crictl runp -r no-such-handler "$(write_pod handler)"
  same "" "$(crictl pods -q)"
}

@test "handlers by name: the site's own, and interlink" {
  for handler in local interlink; do
    id=$(crictl runp -r $handler "$(write_pod "handler-$handler")")
    same $handler "$(crictl inspectp "$id" | jq -r .status.runtimeHandler)"
  done
}

@test "metadata is needed" {
  refused "metadata" crictl runp "$(write_pod nothing 'del(.metadata)')"
  same "" "$(crictl pods -q)"
}

@test "a host port reaches the container, also through 127.0.0.1" {
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  id=$(start_pod web ".port_mappings = [{container_port: 80, host_port: $port, protocol: 0}]")
  start_container "$id" httpd web . httpd -f -p 80 -h /www
  eventually 10 curl -sf --max-time 2 "http://127.0.0.1:$port/"
  curl -sf "http://$(crictl inspectp "$id" | jq -r .status.network.ip)/" | has "It works"
}

@test "containers of a pod share its network, not the host's" {
  id=$(start_pod shared)
  start_container "$id" httpd shared . httpd -f -p 8080 -h /www
  other=$(start_container "$id" other shared . sh -c "$RUN")
  eventually 10 crictl exec -s "$other" wget -q -O - http://127.0.0.1:8080/
  [ "$(crictl exec -s "$other" readlink /proc/self/ns/net)" != "$(readlink /proc/self/ns/net)" ]
}

@test "a pod on the host's network has the host's namespace and no address of its own network" {
  id=$(start_pod host '.linux.security_context.namespace_options.network = 2 | del(.hostname)')
  c=$(start_container "$id" c host . sh -c "$RUN")
  same "$(readlink /proc/self/ns/net)" "$(crictl exec -s "$c" readlink /proc/self/ns/net)"
}

@test "containers of a pod may share processes" {
  id=$(start_pod pids '.linux.security_context.namespace_options.pid = 0')
  a=$(start_container "$id" a pids '.linux.security_context.namespace_options.pid = 0' sh -c "$RUN")
  b=$(start_container "$id" b pids '.linux.security_context.namespace_options.pid = 0' sh -c "$RUN")
  same "$(crictl exec -s "$a" readlink /proc/self/ns/pid)" "$(crictl exec -s "$b" readlink /proc/self/ns/pid)"
  crictl stop -t 1 "$a"
  same CONTAINER_RUNNING "$(container_state "$b")"
}

@test "hostname, resolv.conf, sysctls and shared memory are the pod's" {
  id=$(start_pod settings '.dns_config = {servers: ["10.1.2.3"], searches: ["example.test"], options: ["ndots:3"]} |
    .linux.sysctls = {"kernel.shm_rmid_forced": "1"}')
  a=$(start_container "$id" a settings . sh -c "$RUN")
  b=$(start_container "$id" b settings . sh -c "$RUN")
  same settings "$(crictl exec -s "$a" hostname)"
  crictl exec -s "$a" cat /etc/resolv.conf | has 'nameserver 10.1.2.3'
  crictl exec -s "$a" cat /etc/resolv.conf | has 'search example.test'
  same 1 "$(crictl exec -s "$a" cat /proc/sys/kernel/shm_rmid_forced)"
  crictl exec -s "$a" sh -c 'echo shared >/dev/shm/file'
  same shared "$(crictl exec -s "$b" cat /dev/shm/file)"
}

@test "removing a pod removes its running containers" {
  id=$(start_pod forced)
  c=$(start_container "$id" c forced . sh -c "$RUN")
  crictl rmp -f "$id"
  same "" "$(crictl ps -aq)"
  refused "not ?found" crictl inspect "$c"
}

@test "what this runtime does not build is refused by its name" {
  refused "userns.*mapping|mapping.*userns|one.*mapping" crictl runp "$(write_pod userns '.linux.security_context.namespace_options.userns_options = {mode: 0, uids: [{host_id: 100000, container_id: 0, length: 1000}, {host_id: 200000, container_id: 1000, length: 1000}], gids: [{host_id: 100000, container_id: 0, length: 1000}, {host_id: 200000, container_id: 1000, length: 1000}]}')"
  refused "target" crictl runp "$(write_pod target '.linux.security_context.namespace_options = {pid: 3, target_id: "abc"}')"
  same "" "$(crictl pods -q)"
}
