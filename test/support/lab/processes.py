"""The lab's own processes: each has a file with its pid and start time, so that a pid that the kernel gave to somebody
else is never touched."""
import json
import os
import signal
import subprocess
import time


class LabError(Exception):
    """A reason for people; the command prints it and fails."""


def start_time(pid):
    """Ticks since boot, or None: there is no such living process (a zombie is none)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
            fields = f.read().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def clean_environment():
    """Ours, without what would point a daemon elsewhere."""
    dropped = ("VK_TOKEN_FILE", "KUBECONFIG", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
    return {k: v for k, v in os.environ.items() if k not in dropped and not k.startswith("INTERLINK_")}


def wait_until(condition, seconds):
    """True as soon as the condition holds; False after that time. The last look is after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        late = time.monotonic() > deadline
        if condition():
            return True
        if late:
            return False
        time.sleep(0.02)


class Process:
    def __init__(self, folder, name):
        self.name = name
        self.file = os.path.join(folder, "run", name + ".json")
        self.log = os.path.join(folder, "log", name + ".log")

    def pid(self):
        """Of the living process, or None."""
        try:
            with open(self.file, encoding="utf-8") as f:
                known = json.load(f)
        except (OSError, ValueError):
            return None
        return known["pid"] if start_time(known["pid"]) == known["start"] else None

    def start(self, argv, env=None):
        if self.pid():
            raise LabError(f"{self.name} runs already (pid {self.pid()})")
        with open(self.log, "ab") as log:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                     env=env, cwd="/")
        with open(self.file + ".new", "w", encoding="utf-8") as f:
            json.dump({"pid": child.pid, "start": start_time(child.pid), "argv": argv}, f)
        os.rename(self.file + ".new", self.file)
        return child.pid

    def signal(self, number):
        pid = self.pid()
        if pid:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        return pid

    def kill(self):
        """kill -9, and waits for its end. False: it did not run."""
        if not self.signal(signal.SIGKILL):
            return False
        wait_until(lambda: not self.pid(), 10)
        return True

    def stop(self, seconds=15):
        """TERM. KILL after that time, which is an error of the daemon: the caller is told by False."""
        if not self.signal(signal.SIGTERM):
            return True
        if wait_until(lambda: not self.pid(), seconds):
            return True
        self.kill()
        return False

    def tail(self, lines=20):
        try:
            with open(self.log, encoding="utf-8", errors="replace") as f:
                return "".join(f.readlines()[-lines:])
        except OSError:
            return ""

    def wait_ready(self, ready, seconds):
        """`ready()` answers True. Its process must live meanwhile; otherwise the end of its log says why."""
        wait_until(lambda: ready() or not self.pid(), seconds)
        if not self.pid():
            raise LabError(f"{self.name} ended by itself; the end of {self.log}:\n{self.tail()}")
        if not ready():
            raise LabError(f"{self.name} is not ready after {seconds} s; the end of {self.log}:\n{self.tail()}")
