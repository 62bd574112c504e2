"""What is left when a lab ends, found without asking any of its daemons: they may be dead, or wrong. Only what carries
this lab's folder, tag or ids is touched."""
import os
import re
import shutil
import signal
import subprocess

import machine
import slurm
from processes import start_time, wait_until

ID = re.compile(r"^[0-9a-f]{64}$")
PROGRAMS = ("interlink-shim", "interlink-api", "interlink-cri", "interlink-agent", "docker-registry", "crun",
            "containerd", "containerd-shim-runc-v2", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
            "kubelet", "munged", "slurmctld", "slurmd", "slurmdbd", "mariadbd")


def _run(*argv, text=None):
    return subprocess.run(argv, input=text, capture_output=True, text=True)


def _read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


def own_processes(folder):
    """{pid: start time} of our programs that have this folder in their command line."""
    found = {}
    needle = folder.encode() + b"/"
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        arguments = _read(f"/proc/{entry}/cmdline")
        program = os.path.basename(arguments.split(b"\0", 1)[0]).decode(errors="replace")
        if needle in arguments and program in PROGRAMS:
            begin = start_time(int(entry))
            if begin is not None:
                found[int(entry)] = begin
    return found


def in_containers(folder):
    """{pid: start time} of processes whose root is an overlay below this folder: containers of jobs have no cgroup of
    their own."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        for line in _read(f"/proc/{entry}/mountinfo").decode(errors="replace").splitlines():
            fields = line.split()
            if len(fields) > 4 and fields[4] == "/" and f"upperdir={folder}/" in line:
                begin = start_time(int(entry))
                if begin is not None:
                    found[int(entry)] = begin
                break
    return found


def ids_in(folder):
    """Sandbox and container ids, from the names of files and folders."""
    found = set()
    for path, folders, files in os.walk(folder):
        found.update(name for name in folders + files if ID.match(name))
        if path[len(folder):].count("/") > 7 or "/images/" in path:
            folders[:] = []
        folders[:] = [f for f in folders if f not in ("fs", "rootfs", "merged", "upper", "registry")]
    return found


def own_cgroups(tag, ids):
    """Folders of all hierarchies that are named by this lab's nodes or ids, deepest first."""
    found = []
    for path, folders, _ in os.walk("/sys/fs/cgroup"):
        for name in folders:
            if f"-{tag}-" in name or name in ids or any(part in ids for part in re.split(r"[.\-]", name)):
                found.append(os.path.join(path, name))
    everything = set(found)
    for top in found:
        for path, folders, _ in os.walk(top):
            everything.update(os.path.join(path, f) for f in folders)
    return sorted(everything, key=lambda p: -p.count("/"))


def own_mounts(folder):
    """Mount points below the folder, the newest first."""
    points = []
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as f:
        for line in f:
            point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)), line.split()[4])
            if point.startswith(folder + "/"):
                points.append(point)
    return points[::-1]


def own_links(bridge):
    """The bridge and what hangs on it."""
    out = _run("ip", "-o", "link", "show", "master", bridge)
    names = [line.split(": ")[1].split("@")[0] for line in out.stdout.splitlines()] if out.returncode == 0 else []
    if os.path.exists("/sys/class/net/" + bridge):
        names.append(bridge)
    return names


def own_rules(network):
    """iptables-save lines of the nat and filter tables that carry the network's name."""
    found = []
    for table in ("nat", "filter"):
        out = _run("iptables-save", "-t", table).stdout
        found += [(table, line) for line in out.splitlines() if line.startswith("-A") and f'"{network}"' in line]
        found += [(table, line) for line in out.splitlines()
                  if line.startswith("-A") and f'\\"{network}\\"' in line and (table, line) not in found]
    return found


def end_processes(state, report):
    """KILL, the daemons before the shims so that nothing is started again, then what lives in the cgroups."""
    folder, tag = state["dir"], state["tag"]
    ids = ids_in(folder)
    for _ in range(20):
        victims = own_processes(folder)
        if state.get("slurm"):
            victims.update(slurm.own_processes(state))
            victims.update(in_containers(folder))
        for cgroup in own_cgroups(tag, ids):
            for pid in _read(cgroup + "/cgroup.procs").split():
                begin = start_time(int(pid))
                if begin is not None:
                    victims[int(pid)] = begin
        if not victims:
            return
        report(f"ending {len(victims)} processes that are left")
        for pid, begin in victims.items():
            if start_time(pid) == begin:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        wait_until(lambda v=victims: all(start_time(p) != b for p, b in v.items()), 5)
    raise RuntimeError(f"these processes do not end: {sorted(victims)}")


def remove_cgroups(folder, tag):
    for path in own_cgroups(tag, ids_in(folder)):
        wait_until(lambda p=path: _gone(p), 3)


def _gone(path):
    try:
        os.rmdir(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def remove_network(bridge, network):
    rules = own_rules(network)
    chains = set()
    for table, line in rules:
        subprocess.run(f"iptables -w 10 -t {table} -D {line[3:]}", shell=True, capture_output=True)
        target = re.search(r"-j (CNI-\S+)", line)
        if target:
            chains.add((table, target.group(1)))
        chains.update((table, c) for c in re.findall(r"^-A (CNI-(?:DN-)?[0-9a-f]+) ", line))
    for table, chain in chains:
        if chain.startswith("CNI-HOSTPORT"):
            continue  # the portmap plugin's own, for all networks of this machine
        _run("iptables", "-w", "10", "-t", table, "-F", chain)
        _run("iptables", "-w", "10", "-t", table, "-X", chain)
    for name in own_links(bridge):
        _run("ip", "link", "delete", name)


def remove_mounts(folder):
    for _ in range(10):
        points = own_mounts(folder)
        if not points:
            return
        for point in points:
            _run("umount", "-l", point)
    raise RuntimeError(f"these mounts do not go: {own_mounts(folder)[:5]}")


def sweep(state, report):
    folder, tag = state["dir"], state["tag"]
    end_processes(state, report)
    remove_cgroups(folder, tag)
    remove_mounts(folder)
    remove_network(state["bridge"], state["network"])
    if state.get("kubernetes"):
        machine.leave(state)
    if own_mounts(folder):
        raise RuntimeError("a mount appeared again below " + folder)
    shutil.rmtree(folder)


def leftovers(state):
    """What `sweep` would still find; for tests."""
    folder, tag = state["dir"], state["tag"]
    processes = {**own_processes(folder), **(slurm.own_processes(state) if state.get("slurm") else {})}
    return {
        "processes": sorted(processes), "mounts": own_mounts(folder),
        "cgroups": own_cgroups(tag, ids_in(folder)), "links": own_links(state["bridge"]),
        "rules": [line for _, line in own_rules(state["network"])],
        "addresses": machine.own_addresses(state) if state.get("kubernetes") else [],
        "log_links": machine.own_log_links(state) if state.get("kubernetes") else [],
    }
