"""What a kubelet changes of its machine outside its folders. The first lab with one notes what was before, the last one
puts it back; who died in between is no longer counted."""
import fcntl
import json
import os
import subprocess

from processes import LabError

REGISTER = "/run/interlink-lab"
SYSCTLS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
           "kernel/keys/root_maxbytes")
# kubelet has these names built in. Deepest first.
DEVICE_PLUGINS = "/var/lib/kubelet/device-plugins"
FILES = [f"{DEVICE_PLUGINS}/{name}" for name in ("kubelet.sock", "DEPRECATION", "kubelet_internal_checkpoint")]
FOLDERS = (DEVICE_PLUGINS, "/var/lib/kubelet", "/var/log/containers")
LINKS = "/var/log/containers"


def _read(path):
    try:
        with open(path, encoding="ascii") as f:
            return f.read().strip()
    except OSError:
        return None


def _write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)


class _Register:
    """Locked while it is open."""

    def __enter__(self):
        os.makedirs(REGISTER, mode=0o700, exist_ok=True)
        self.lock = os.open(REGISTER, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        os.close(self.lock)

    @staticmethod
    def labs():
        """Folders of the labs with a kubelet; those that are gone are forgotten."""
        found = []
        for name in os.listdir(REGISTER):
            if name.startswith("lab-"):
                folder = _read(f"{REGISTER}/{name}")
                if folder and os.path.exists(folder + "/lab.json"):
                    found.append(folder)
                else:
                    os.remove(f"{REGISTER}/{name}")
        return found


def sysctls():
    return {name: value for name in SYSCTLS if (value := _read("/proc/sys/" + name)) is not None}


def refuse_another_kubelet():
    """A kubelet of the machine's own would lose the socket of its device plugins, and its links to logs."""
    try:
        strange = [name for name in os.listdir("/var/lib/kubelet") if name != "device-plugins"]
    except FileNotFoundError:
        return
    if strange:
        raise LabError(f"this machine has a kubelet of its own (/var/lib/kubelet has {', '.join(sorted(strange)[:3])}): a lab "
                       "with --kubernetes would disturb it")


def enter(state):
    """Before a kubelet starts for the first time in a lab."""
    refuse_another_kubelet()
    with _Register() as register:
        if not register.labs():
            _restore()
            _write(REGISTER + "/before.json",
                   json.dumps({"sysctls": sysctls(), "folders": [f for f in FOLDERS if os.path.isdir(f)]}))
        _write(f"{REGISTER}/lab-{state['tag']}", state["dir"])
    address = state["kubernetes"]["node_ip"]
    done = subprocess.run(["ip", "addr", "replace", address + "/32", "dev", "lo"], capture_output=True, text=True)
    if done.returncode != 0:
        raise LabError(f"ip addr replace {address}/32 dev lo: {done.stderr.strip()}")
    _make_cgroups(state["kubernetes"]["cgroup"])


def leave(state):
    """After the kubelet's end. Also for a lab that never came to `enter`."""
    subprocess.run(["ip", "addr", "del", state["kubernetes"]["node_ip"] + "/32", "dev", "lo"], capture_output=True)
    for link in own_log_links(state):
        os.remove(link)
    if not os.path.isdir(REGISTER):
        return
    with _Register() as register:
        try:
            os.remove(f"{REGISTER}/lab-{state['tag']}")
        except FileNotFoundError:
            return
        if not register.labs():
            _restore()
            os.rmdir(REGISTER)


def _restore():
    """Puts back what before.json tells, and removes it."""
    text = _read(REGISTER + "/before.json")
    if text is None:
        return
    before = json.loads(text)
    for name, value in before["sysctls"].items():
        if _read("/proc/sys/" + name) != value:
            _write("/proc/sys/" + name, value)
    if DEVICE_PLUGINS not in before["folders"]:
        for file in FILES:
            if os.path.lexists(file):
                os.remove(file)
    for folder in FOLDERS:
        if folder not in before["folders"] and os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)
    os.remove(REGISTER + "/before.json")


def own_log_links(state):
    if not os.path.isdir(LINKS):
        return []
    links = [os.path.join(LINKS, name) for name in os.listdir(LINKS)]
    return [link for link in links if os.path.islink(link) and os.readlink(link).startswith(state["dir"] + "/")]


def own_addresses(state):
    out = subprocess.run(["ip", "-4", "-o", "addr", "show", "dev", "lo"], capture_output=True, text=True).stdout
    return [state["kubernetes"]["node_ip"]] if f" {state['kubernetes']['node_ip']}/32 " in out else []


def _make_cgroups(name):
    """kubelet's cgroupRoot must exist in every hierarchy, and a cpuset can hold nobody before it has CPUs."""
    with open("/proc/self/mountinfo", encoding="utf-8") as f:
        mounts = [line.split() for line in f]
    for fields in mounts:
        kind, point = fields[fields.index("-") + 1], fields[4]
        if kind == "cgroup2" and point == "/sys/fs/cgroup":
            controllers = (_read(point + "/cgroup.controllers") or "").split()
            _write(point + "/cgroup.subtree_control", " ".join("+" + c for c in controllers))
        elif kind != "cgroup":
            continue
        os.makedirs(f"{point}/{name}", exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            if kind == "cgroup" and os.path.exists(f"{point}/{name}/{file}"):
                _write(f"{point}/{name}/{file}", _read(f"{point}/{file}"))
