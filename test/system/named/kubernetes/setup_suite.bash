# One lab with a kubelet for all files of this folder. LAB=DIR uses a running one instead. KUBERNETES_GATES: kubelet's gates.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/kube.bash"

KUBERNETES_LAB=() # more options of the lab

# What a kubelet changes of its machine.
machine() {
  for name in vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys kernel.keys.root_maxbytes; do
    echo "$name $(cat "/proc/sys/${name//.//}" 2>/dev/null || true)"
  done
  ip -4 -o addr show dev lo
  ls -d /var/lib/kubelet /var/log/containers /usr/libexec/kubernetes 2>/dev/null || true
  iptables-save | grep -v '^[#:]' | sort
  find /sys/fs/cgroup -maxdepth 2 -type d -name '*kube*'
  grep -c kubernetes/kubelet /proc/self/mountinfo || true
}

setup_suite() {
  if [ -n "${LAB:-}" ]; then
    use_lab "$LAB"
  else
    MACHINE_BEFORE=$(machine)
    export MACHINE_BEFORE
    own_lab --kubernetes --gates "${KUBERNETES_GATES:-}" "${KUBERNETES_LAB[@]}"
  fi
  eventually 30 crictl pull "$BUSYBOX"
}

teardown_suite() {
  [ -z "${LAB:-}" ] || return 0
  end_own_lab
  diff <(echo "$MACHINE_BEFORE") <(machine) || fail "the lab left something on the machine (above)"
}
