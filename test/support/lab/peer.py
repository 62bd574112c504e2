"""containerd with crun beside the lab, for figures: Debian's packages, the lab's registry and CNI configuration, everything
else below the lab's folder."""
import os

import settings

HOSTS = ("docker.io", "registry.k8s.io")


def socket_path(state):
    return state["dir"] + "/peer/containerd.sock"


def config(state):
    d = state["dir"] + "/peer"
    return f"""version = 2
root = "{d}/root"
state = "{d}/state"
temp = "{d}/tmp"
[grpc]
  address = "{socket_path(state)}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{d}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "registry.k8s.io/pause:3.9"
  netns_mounts_under_state_dir = true
  tolerate_missing_hugetlb_controller = true
  disable_hugetlb_controller = true
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{state['dir']}/cni/net.d"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{d}/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "crun"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun.options]
        BinaryName = "/usr/bin/crun"
"""


def make(state):
    d = state["dir"] + "/peer"
    registry = f"http://127.0.0.1:{state['registry_port']}"
    for host in HOSTS:
        os.makedirs(f"{d}/certs.d/{host}")
        settings.write(f"{d}/certs.d/{host}/hosts.toml",
                       f'server = "{registry}"\n[host."{registry}"]\n  capabilities = ["pull", "resolve"]\n')
    settings.write(d + "/config.toml", config(state))


def argv(state):
    """In a mount namespace of its own: crun refuses hybrid cgroups, and containerd needs shared mounts."""
    prepare = "mount --make-rprivate / && mount --make-rshared / && { ! mountpoint -q /sys/fs/cgroup/unified || umount /sys/fs/cgroup/unified; }"
    return ["unshare", "-m", "sh", "-c", f"{prepare} && exec containerd --config \"$1\"", "sh", state["dir"] + "/peer/config.toml"]
