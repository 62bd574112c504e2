#!/usr/bin/env bats
# What kubelet keeps on its node for a pod, in a pod that is a job on another machine.
source "$BATS_TEST_DIRNAME/slurm.bash"

setup_file() {
  own_site
  crictl pull "$BUSYBOX" >&2
}
teardown_file() { end_own_lab; }
teardown() { eventually 120 all_gone; }

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

@test "a volume that does not travel is refused by its kind, and so is any other path of the node" {
  folder=$(kubelet_volumes refused)
  pod=$(start_job_pod refused)
  refused "kubernetes.io~nfs.* does not travel" create_in_job "$pod" c refused \
    ".mounts = [{host_path: \"$folder/volumes/kubernetes.io~nfs/share\", container_path: \"/share\"}]" true
  refused "AllowedHostPaths" create_in_job "$pod" d refused '.mounts = [{host_path: "/etc", container_path: "/share"}]' true
  same "" "$(crictl ps -aq)"
}
