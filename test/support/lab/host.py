"""Kernel settings of this machine that critest takes for granted, as a machine with kubelet has them. They belong to
the machine, not to a lab: what was there before comes back when the last lab that wanted them is gone."""
import fcntl
import json
import os
import shutil
import subprocess

WANTED = {
    "net.ipv4.ip_forward": "1",                 # pods reach each other's hosts
    "net.bridge.bridge-nf-call-iptables": "1",  # a host port is rewritten also between pods of one bridge
    "net.ipv4.conf.all.route_localnet": "1",    # 127.0.0.1:hostPort leads to a pod
}


class HostSettings:
    """`record` says what was before, and which labs hold the settings; it must be forgotten at boot, as they are."""

    def __init__(self, sysctl="/proc/sys", record="/run/interlink-lab-settings.json", wanted=None):
        self.sysctl, self.record, self.wanted = sysctl, record, WANTED if wanted is None else wanted

    def hold(self, folder):
        """Sets them for the lab in `folder`. Answers those that this kernel does not have."""
        absent = any(key.startswith("net.bridge.") and self._get(key) is None for key in self.wanted)
        if absent and shutil.which("modprobe"):
            subprocess.run(["modprobe", "-q", "br_netfilter"], check=False)
        with self._locked() as state:
            state["labs"] = sorted(set(self._living(state)) | {folder})
            for key, value in self.wanted.items():
                before = self._get(key)
                if before is not None and before != value:
                    state["before"].setdefault(key, before)
                    self._keep(state)  # first the record: a lab that is killed here can be undone
                    self._set(key, value)
            self._keep(state)
        return [key for key in self.wanted if self._get(key) is None]

    def release(self, folder):
        """That lab no longer needs them. Without one that does, the values of before come back, except where somebody
        else has changed one meanwhile."""
        if not os.path.exists(self.record):
            return
        with self._locked() as state:
            state["labs"] = [lab for lab in self._living(state) if lab != folder]
            if state["labs"]:
                self._keep(state)
                return
            for key, before in state["before"].items():
                if self._get(key) == self.wanted.get(key):
                    self._set(key, before)
            os.remove(self.record)

    def _locked(self):
        return _Locked(self.record + ".lock", self._load)

    def _load(self):
        try:
            with open(self.record, encoding="utf-8") as f:
                return json.load(f)
        except FileNotFoundError:
            return {"before": {}, "labs": []}

    def _keep(self, state):
        with open(self.record + ".new", "w", encoding="utf-8") as f:
            json.dump(state, f)
        os.rename(self.record + ".new", self.record)

    @staticmethod
    def _living(state):
        return [lab for lab in state["labs"] if os.path.exists(lab + "/lab.json")]

    def _path(self, key):
        return os.path.join(self.sysctl, *key.split("."))

    def _get(self, key):
        try:
            with open(self._path(key), encoding="ascii") as f:
                return f.read().strip()
        except FileNotFoundError:
            return None

    def _set(self, key, value):
        with open(self._path(key), "w", encoding="ascii") as f:
            f.write(value + "\n")


class _Locked:
    """One process at a time; the lock's file stays (removing it would let two in)."""

    def __init__(self, path, load):
        self.path, self.load = path, load

    def __enter__(self):
        self.file = open(self.path, "w", encoding="ascii")
        fcntl.flock(self.file, fcntl.LOCK_EX)
        return self.load()

    def __exit__(self, *_):
        self.file.close()
