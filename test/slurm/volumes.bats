#!/usr/bin/env bats
# What kubelet keeps on its node for a pod, in a pod that is a job on another machine.
source "$BATS_TEST_DIRNAME/slurm.bash"

setup_file() {
  own_site
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }
teardown() {
  lab start-site "$LAB_DIR" 2>/dev/null || true
  lab start-node "$LAB_DIR" 2>/dev/null || true
  eventually 60 crictl pods >/dev/null
  eventually 120 all_gone
}

# Lays out what kubelet would for the pod NAME, whose uid it is.
kubelet_volumes() {
  local pod=$LAB_KUBELET/pods/$1
  mkdir -p "$pod/volumes/kubernetes.io~configmap/settings/..2026" "$pod/volumes/kubernetes.io~secret/key" \
    "$pod/volumes/kubernetes.io~empty-dir/scratch" "$pod/volumes/kubernetes.io~nfs/share" "$pod/containers/c"
  echo green >"$pod/volumes/kubernetes.io~configmap/settings/..2026/colour"
  ln -s ..2026 "$pod/volumes/kubernetes.io~configmap/settings/..data"
  ln -s ..data/colour "$pod/volumes/kubernetes.io~configmap/settings/colour"
  (umask 077 && echo hush >"$pod/volumes/kubernetes.io~secret/key/password")
  chmod 777 "$pod/volumes/kubernetes.io~empty-dir/scratch"
  echo "127.0.0.1 only-here" >"$pod/etc-hosts"
  : >"$pod/containers/c/1a2b3c"
  chmod 666 "$pod/containers/c/1a2b3c"
  echo "$pod"
}

mounts_of() { # POD_FOLDER: a jq filter
  echo ".mounts = [{host_path: \"$1/volumes/kubernetes.io~configmap/settings\", container_path: \"/settings\", readonly: true},
    {host_path: \"$1/volumes/kubernetes.io~secret/key\", container_path: \"/key\", readonly: true},
    {host_path: \"$1/volumes/kubernetes.io~empty-dir/scratch\", container_path: \"/scratch\"},
    {host_path: \"$1/etc-hosts\", container_path: \"/etc/hosts\"},
    {host_path: \"$1/containers/c/1a2b3c\", container_path: \"/dev/termination-log\"}]"
}

@test "ConfigMap, Secret, /etc/hosts and emptyDir are in the job, and the termination message comes back" {
  folder=$(kubelet_volumes travel)
  pod=$(start_job_pod travel)
  first=$(start_in_job "$pod" c travel "$(mounts_of "$folder")" sh -c \
    'cat /settings/colour /key/password /etc/hosts; stat -c %a /key/password; echo from-c >/scratch/file; echo bye >/dev/termination-log; exit 4')
  eventually 30 is_exited "$first"
  same "green
hush
127.0.0.1 only-here
600" "$(log_of "$first")"
  same 4 "$(exit_code "$first")"
  same bye "$(cat "$folder/containers/c/1a2b3c")" "the termination message on the node"
  second=$(start_in_job "$pod" d travel ".mounts = [{host_path: \"$folder/volumes/kubernetes.io~empty-dir/scratch\", container_path: \"/other\"}]" cat /other/file)
  eventually 30 is_exited "$second"
  same from-c "$(log_of "$second")"
  same "" "$(ls -A "$folder/volumes/kubernetes.io~empty-dir/scratch")" "the node's emptyDir"
}

@test "nothing of a Secret stays at the site or on the compute node" {
  folder=$(kubelet_volumes secret)
  echo canary-$$-secret >"$folder/volumes/kubernetes.io~secret/key/password"
  pod=$(start_job_pod secret)
  id=$(start_in_job "$pod" c secret "$(mounts_of "$folder")" sh -c 'grep -c canary /key/password')
  eventually 30 is_exited "$id"
  same 1 "$(log_of "$id")"
  none grep -rl "canary-$$-secret" "$LAB_SLURM_JOBS" "$LAB_DIR/log"
  crictl rmp -f "$pod"
  none grep -rl "canary-$$-secret" "$LAB_SLURM"
}

reads() { [ "$(crictl exec -s "$1" cat "$2" 2>/dev/null)" = "$3" ]; } # ID PATH TEXT
executes() { [ "$(crictl exec -s "$1" echo alive 2>/dev/null)" = alive ]; }
has_another_agent() { # POD PID
  local now
  now=$(agent_of "$1")
  [ -n "$now" ] && [ "$now" != "$2" ]
}

@test "what kubelet changes is in the running container within 10 s, whoever was killed in between" {
  folder=$(kubelet_volumes fresh)
  token=$folder/volumes/kubernetes.io~projected/token
  exchange "$token" token one-$$
  mkdir -p "$folder/volume-subpaths/token/c"
  cp "$token/token" "$folder/volume-subpaths/token/c/0"
  pod=$(start_job_pod fresh)
  id=$(start_in_job "$pod" c fresh "$(mounts_of "$folder") | .mounts += [
    {host_path: \"$token\", container_path: \"/token\", readonly: true},
    {host_path: \"$folder/volume-subpaths/token/c/0\", container_path: \"/part\", readonly: true}]" sleep 1000)
  reads "$id" /token/token one-$$
  same 600 "$(crictl exec -s "$id" stat -Lc %a /token/token)"

  exchange "$token" token two-$$
  eventually 10 reads "$id" /token/token two-$$
  same 600 "$(crictl exec -s "$id" stat -Lc %a /token/token)"
  exchange "$token" token three-$$
  echo "127.0.0.1 other" >"$folder/etc-hosts"
  eventually 10 reads "$id" /token/token three-$$
  eventually 10 reads "$id" /etc/hosts "127.0.0.1 other"

  lab kill-node "$LAB_DIR"
  exchange "$token" token node-$$
  lab start-node "$LAB_DIR"
  eventually 60 executes "$id"
  eventually 10 reads "$id" /token/token node-$$
  exchange "$token" token node-2-$$
  eventually 10 reads "$id" /token/token node-2-$$

  lab kill-site "$LAB_DIR"
  exchange "$token" token site-$$
  lab start-site "$LAB_DIR"
  eventually 60 executes "$id"
  eventually 10 reads "$id" /token/token site-$$
  exchange "$token" token site-2-$$
  eventually 10 reads "$id" /token/token site-2-$$

  agent=$(agent_of "$pod")
  kill -9 "$agent"
  exchange "$token" token agent-$$
  eventually 60 has_another_agent "$pod" "$agent"
  eventually 60 executes "$id"
  eventually 10 reads "$id" /token/token agent-$$
  exchange "$token" token agent-2-$$
  eventually 10 reads "$id" /token/token agent-2-$$

  # As of kubelet: a subPath stays what it was, and nothing else has changed.
  reads "$id" /part one-$$
  reads "$id" /settings/colour green
  same "$(readlink "$token/..data")" "$(crictl exec -s "$id" ls -A /token | grep '^\.\.[0-9]')" "the only version in the container"
  none grep -rlE "(one|two|three|node|site|agent)(-2)?-$$" "$LAB_DIR/log"
}

@test "what kubelet changes before the start is what a container begins with" {
  folder=$(kubelet_volumes begin)
  pod=$(start_job_pod begin)
  id=$(create_in_job "$pod" c begin "$(mounts_of "$folder")" cat /settings/colour)
  exchange "$folder/volumes/kubernetes.io~configmap/settings" colour "blue-$$"
  eventually 10 grep -rqs "blue-$$" "$LAB_SLURM/local"
  crictl start "$id" >/dev/null
  eventually 30 is_exited "$id"
  same "blue-$$" "$(log_of "$id")"
}

@test "a volume that has become too large is told in the log by its field, and the container keeps what it has" {
  folder=$(kubelet_volumes large)
  pod=$(start_job_pod large)
  id=$(start_in_job "$pod" c large "$(mounts_of "$folder")" sleep 1000)
  exchange "$folder/volumes/kubernetes.io~configmap/settings" colour "$(head -c 4M /dev/zero | tr '\0' x)"
  eventually 10 grep -rqs "mounts.host_path.*settings.*more than 3.5 MiB" "$LAB_DIR/log"
  reads "$id" /settings/colour green
  exchange "$folder/volumes/kubernetes.io~configmap/settings" colour red
  eventually 10 reads "$id" /settings/colour red
}

@test "a path that the site allows is the compute node's own; what leads out of it is refused" {
  echo data >"$LAB_SLURM/scratch/input"
  ln -sfn /etc "$LAB_SLURM/scratch/out"
  pod=$(start_job_pod scratch)
  id=$(start_in_job "$pod" c scratch ".mounts = [{host_path: \"$LAB_SLURM/scratch\", container_path: \"/scratch\"}]" \
    sh -c 'cat /scratch/input && echo result >/scratch/output')
  eventually 30 is_exited "$id"
  same "0 data result" "$(exit_code "$id") $(log_of "$id") $(cat "$LAB_SLURM/scratch/output")"
  refused "AllowedHostPaths" create_in_job "$pod" d scratch ".mounts = [{host_path: \"$LAB_SLURM/scratch/out\", container_path: \"/x\"}]" true
  refused "AllowedHostPaths" create_in_job "$pod" e scratch ".mounts = [{host_path: \"$LAB_SLURM/scratch/../etc\", container_path: \"/x\"}]" true
}

@test "a container that asks for more than its job has is refused by the field's name" {
  pod=$(start_job_pod small '.annotations = {"slurm.interlink.io/memory": "128M", "slurm.interlink.io/cpus": "1"}')
  refused "memory_limit_in_bytes is 268435456.*134217728" create_in_job "$pod" c small '.linux.resources = {memory_limit_in_bytes: 268435456}' true
  refused "cpu_quota is 300000" create_in_job "$pod" d small '.linux.resources = {cpu_period: 100000, cpu_quota: 300000}' true
  id=$(start_in_job "$pod" e small '.linux.resources = {memory_limit_in_bytes: 134217728, cpu_period: 100000, cpu_quota: 100000}' sh -c 'exit 3')
  eventually 30 is_exited "$id"
  same 3 "$(exit_code "$id")"
}

@test "a volume that does not travel is refused by its kind, and so is any other path of the node" {
  folder=$(kubelet_volumes refused)
  pod=$(start_job_pod refused)
  refused "kubernetes.io~nfs.* does not travel" create_in_job "$pod" c refused \
    ".mounts = [{host_path: \"$folder/volumes/kubernetes.io~nfs/share\", container_path: \"/share\"}]" true
  refused "AllowedHostPaths" create_in_job "$pod" d refused '.mounts = [{host_path: "/etc", container_path: "/share"}]' true
  same "" "$(crictl ps -aq)"
}
