"""A private SLURM in a lab: munge, slurmctld, slurmd with fake GPUs, with accounting also slurmdbd and MariaDB. Everything
is named by the lab and lies below its folder; it runs as whoever starts it."""
import contextlib
import getpass
import os
import re
import signal
import socket
import stat
import subprocess

import settings
from processes import LabError, Process, start_time, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
READY_SECONDS = 30
ANSWER_SECONDS = 15  # a command waits 9 s for a controller that is down
GPUS = 4
PROGRAMS = ("munged", "slurmctld", "slurmd", "slurmstepd")
DATABASE = ("slurmdbd", "mariadbd", "mariadb-install-db", "sacctmgr")
USER_NODE = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random")  # one distinct device for each GPU; who cannot mknod


def choose(tag, args):
    """What is chosen once for a lab."""
    overrides = {}
    for pair in args.slurm:
        key, equals, value = pair.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z]+", key):
            raise LabError(f"--slurm takes KEY=VALUE of slurm.conf, not '{pair}'")
        overrides[key] = value
    if args.enforce and (os.geteuid() != 0 or not os.path.isdir("/sys/fs/cgroup/memory")):
        raise LabError("--enforce needs root and the memory controller of cgroup v1")
    absent = [name for name in PROGRAMS[:3] + (DATABASE if args.accounting else ()) if not find(name)]
    if absent:
        raise LabError(f"missing: {', '.join(absent)}; install with test/support/install.sh")
    check_host_name()
    return {
        "cluster": "lab" + tag, "machines": [f"lab-{tag}-{n}" for n in range(1, 4)], "user": getpass.getuser(),
        "accounting": args.accounting, "enforce": args.enforce, "overrides": overrides,
        "slurmctld_port": settings.free_port(), "slurmd_ports": [settings.free_port() for _ in range(3)],
        "slurmdbd_port": settings.free_port(), "lease": args.lease or "1m",
        "transport": args.transport or "direct", "shared_folder": not args.no_shared_folder,
    }


def find(name):
    """Daemons are in folders that an ordinary user's PATH does not have."""
    for folder in os.environ.get("PATH", "").split(":") + ["/usr/local/sbin", "/usr/sbin", "/sbin"]:
        path = os.path.join(folder, name)
        if folder and os.access(path, os.X_OK):
            return path
    return None


def check_host_name():
    host = socket.gethostname().split(".")[0]
    try:
        socket.getaddrinfo(host, None, family=socket.AF_INET, flags=socket.AI_ADDRCONFIG)
    except OSError:
        raise LabError(f"SLURM cannot resolve this machine's name '{host}': put it into /etc/hosts, and give the network "
                       "namespace an IPv4 address besides 127.0.0.1") from None


class Slurm:
    def __init__(self, state):
        self.state, self.own = state, state["slurm"]
        self.dir = state["dir"] + "/slurm"
        self.munged = Process(state["dir"], "munged")
        self.database = Process(state["dir"], "mariadbd")
        self.dbd = Process(state["dir"], "slurmdbd")
        self.controller = Process(state["dir"], "slurmctld")
        self.machines = [Process(state["dir"], f"slurmd-{n}") for n in range(1, len(self.own["machines"]) + 1)]
        self.conf = self.dir + "/etc/slurm.conf"

    def processes(self):
        database = [self.database, self.dbd] if self.own["accounting"] else []
        return [self.munged, *database, self.controller, *self.machines]

    def environment(self):
        return {"SLURM_CONF": self.conf, "LAB_SLURM": self.dir, "LAB_SLURM_JOBS": self.dir + "/jobs",
                "LAB_JOB_FOLDER": settings.job_folder(self.state),
                "LAB_SLURMCTLD_PID": str(self.controller.pid() or ""), "LAB_SLURMCTLD_LOG": self.controller.log,
                "LAB_SLURM_MACHINES": " ".join(self.own["machines"])}

    # --- questions

    def ask(self, *argv, seconds=ANSWER_SECONDS):
        """The answer's text, or None: it failed or came too late."""
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, env=self.clean_environment())
        except subprocess.TimeoutExpired:
            return None
        return done.stdout if done.returncode == 0 else None

    def answers(self):
        return self.ask("sinfo", "-h", "-o", "%N") is not None

    def all_idle(self):
        lines = (self.ask("sinfo", "-h", "-N", "-o", "%N %T") or "").splitlines()
        return sorted(set(lines)) == [name + " idle" for name in self.own["machines"]]

    def clean_environment(self):
        return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "SLURM_CONF": self.conf, "LANG": "C.UTF-8"}

    # --- parts

    def make(self):
        for folder in ("etc", "run", "munge", "dev", "state", "jobs", "local", "scratch", "unshared", *("spool-" + name for name in self.own["machines"])):
            os.makedirs(f"{self.dir}/{folder}")
        if os.geteuid() == 0:  # jobs of other users find munge's socket and their own folder
            os.chmod(self.state["dir"], 0o711)
            mode = 0o755 if self.state["map_users"] else 0o1777  # there the site lets each user into his own
            os.chmod(self.dir + "/jobs", mode)
            os.chmod(self.dir + "/unshared", mode)
            os.chmod(self.dir + "/local", 0o1777)
        with open(os.open(self.dir + "/munge/key", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "wb") as key:
            key.write(os.urandom(1024))
        settings.write(self.dir + "/etc/gres.conf", f"Name=gpu Type=a100 File={self.make_devices()}\n")
        # This file must not be empty.
        limits = "ConstrainRAMSpace=yes\nConstrainSwapSpace=no\nConstrainDevices=yes\n" if self.own["enforce"] else ""
        settings.write(self.dir + "/etc/cgroup.conf", "CgroupPlugin=cgroup/v1\n" + limits)
        settings.write(self.conf, self.configuration())
        if self.own["accounting"]:
            settings.write(self.dir + "/etc/slurmdbd.conf", self.database_configuration(), 0o600)

    def make_devices(self):
        try:
            for number in range(GPUS):
                os.mknod(f"{self.dir}/dev/gpu{number}", stat.S_IFCHR | 0o666, os.makedev(240, number))
        except PermissionError:
            return ",".join(USER_NODE)
        return f"{self.dir}/dev/gpu[0-{GPUS - 1}]"

    def configuration(self):
        own, d = self.own, self.dir
        host = socket.gethostname().split(".")[0]
        values = {
            "ClusterName": own["cluster"], "SlurmctldHost": f"{host}(127.0.0.1)", "SlurmctldPort": own["slurmctld_port"],
            "AuthInfo": f"socket={d}/munge/socket", "SlurmUser": own["user"], "SlurmdUser": own["user"],
            "SlurmctldPidFile": d + "/run/slurmctld.pid", "SlurmdPidFile": d + "/run/slurmd-%n.pid",
            "SlurmdSpoolDir": d + "/spool-%n", "StateSaveLocation": d + "/state",
            "SlurmdLogFile": self.state["dir"] + "/log/steps-%n.log", "MpiDefault": "none", "MailProg": "/bin/true",
            "ProctrackType": "proctrack/linuxproc", "TaskPlugin": "task/none", "SelectType": "select/cons_tres",
            "SelectTypeParameters": "CR_Core_Memory", "DefMemPerCPU": 64,
            "SchedulerParameters": "batch_sched_delay=0,bf_interval=5", "ReturnToService": 2,
            "SlurmdParameters": "config_overrides", "SlurmdTimeout": 10, "KillWait": 5, "JobRequeue": 0, "GresTypes": "gpu",
        }
        if own["enforce"]:
            values.update({"ProctrackType": "proctrack/cgroup", "TaskPlugin": "task/cgroup",
                           "JobAcctGatherType": "jobacct_gather/cgroup"})
        if own["accounting"]:
            values.update({
                "AccountingStorageType": "accounting_storage/slurmdbd", "AccountingStorageHost": "127.0.0.1",
                "AccountingStoragePort": own["slurmdbd_port"], "AccountingStoragePass": d + "/munge/socket",
                "AccountingStorageEnforce": "associations,limits,qos", "AccountingStoreFlags": "job_comment"})
        if settings.runs_jobs(self.state):  # from TERM to KILL: an agent leaves before
            values["KillWait"] = 15
        values.update(own["overrides"])
        lines = [f"{key}={value}" for key, value in values.items()]
        lines += [f"NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=16 RealMemory=20000 "
                  f"Gres=gpu:a100:{GPUS}" for name, port in zip(own["machines"], own["slurmd_ports"])]
        lines += ["PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
                  f"PartitionName=short Nodes={own['machines'][0]} MaxTime=5 PriorityTier=10 State=UP"]
        return "\n".join(lines) + "\n"

    def database_configuration(self):
        own, d = self.own, self.dir
        host = socket.gethostname().split(".")[0]
        return (f"AuthType=auth/munge\nAuthInfo=socket={d}/munge/socket\nDbdHost={host}\nDbdAddr=127.0.0.1\n"
                f"DbdPort={own['slurmdbd_port']}\nSlurmUser={own['user']}\nPidFile={d}/run/slurmdbd.pid\n"
                "StorageType=accounting_storage/mysql\nStorageHost=localhost\nStorageUser=root\nStorageLoc=accounting\n")

    def start(self):
        # --force: a folder of the lab may belong to nobody (a user namespace) or be private.
        munge = self.dir + "/munge"
        self.munged.start([find("munged"), "-F", "--force", "--key-file=" + munge + "/key", "--socket=" + munge + "/socket",
                           "--pid-file=" + munge + "/pid", "--seed-file=" + munge + "/seed",
                           "--log-file=" + munge + "/log"], self.clean_environment())
        self.munged.wait_ready(lambda: os.path.exists(munge + "/socket"), READY_SECONDS)
        if self.own["accounting"]:
            self.start_accounting()
        self.controller.start([find("slurmctld"), "-D"], self.clean_environment())
        for number in range(1, len(self.machines) + 1):
            self.start_machine(number)
        self.controller.wait_ready(self.all_idle, READY_SECONDS)
        if self.own["accounting"]:
            self.make_accounts()

    def start_controller(self):
        self.controller.start([find("slurmctld"), "-D"], self.clean_environment())
        self.controller.wait_ready(self.answers, READY_SECONDS)

    def start_machine(self, number):
        name = self.own["machines"][number - 1]
        daemon = [find("slurmd"), "-D", "-N", name]
        if os.geteuid() == 0:
            hide = [] if self.own["shared_folder"] else ["--hide", settings.job_folder(self.state)]
            daemon = ["unshare", "-m", "--propagation", "slave", "bash", HERE + "/slurmd_mounts.sh", *hide, *daemon]
        self.machines[number - 1].start(daemon, self.clean_environment())

    def mend(self):
        """Machines that SLURM drained or gave up take jobs again."""
        def usable():
            lines = (self.ask("sinfo", "-h", "-N", "-o", "%N %T") or "").splitlines()
            bad = [line.split()[0] for line in set(lines) if line.split()[1].rstrip("*") not in ("idle", "mixed", "allocated")]
            for name in bad:
                self.ask("scontrol", "update", "NodeName=" + name, "State=RESUME")
            return bool(lines) and not bad
        if not wait_until(usable, READY_SECONDS):
            raise LabError(f"these machines do not come back:\n{self.ask('sinfo', '-R')}")

    def start_accounting(self):
        data, mysql = self.dir + "/database", self.dir + "/run/mysql"
        made = subprocess.run([find("mariadb-install-db"), "--no-defaults", "--datadir=" + data, "--user=" + self.own["user"],
                               "--auth-root-authentication-method=normal", "--skip-test-db"], capture_output=True, text=True,
                              timeout=60)
        if made.returncode != 0:
            raise LabError(f"mariadb-install-db: {(made.stderr or made.stdout).strip()[-500:]}")
        os.chmod(data, 0o700)
        self.database.start([find("mariadbd"), "--no-defaults", "--datadir=" + data, "--user=" + self.own["user"],
                             "--skip-networking", "--socket=" + mysql, "--pid-file=" + self.dir + "/run/mariadbd.pid",
                             "--innodb-flush-log-at-trx-commit=0"], self.clean_environment())
        self.database.wait_ready(lambda: os.path.exists(mysql), READY_SECONDS)
        self.dbd.start([find("slurmdbd"), "-D"], {**self.clean_environment(), "MYSQL_UNIX_PORT": mysql})
        self.dbd.wait_ready(lambda: self.ask("sacctmgr", "-n", "-P", "list", "cluster", seconds=5) is not None, READY_SECONDS)

    def make_accounts(self):
        user = self.own["user"]
        for words in (["add", "qos", "quick", "maxwall=5"], ["add", "account", "lab", "qos+=quick"],
                      ["add", "user", user, "account=lab", "qos+=quick"]):
            if self.ask("sacctmgr", "-i", *words) is None:
                raise LabError(f"sacctmgr {' '.join(words)} failed; the end of {self.dbd.log}:\n{self.dbd.tail()}")

    # --- end

    def stop(self):
        """Jobs first, while their daemons live: slurmctld waits long for what it cannot end."""
        everything = [self.controller, *self.machines, self.dbd, self.database, self.munged]
        for process in everything:
            process.signal(signal.SIGCONT)  # a test may have stopped it
        if self.controller.pid():
            jobs = (self.ask("squeue", "-h", "-o", "%A", seconds=3) or "").split()
            if jobs:
                self.ask("scancel", "-Q", *jobs, seconds=3)
                wait_until(lambda: self.ask("squeue", "-h", seconds=3) in ("", None), 3)
        for process in (self.controller, *self.machines):
            process.signal(signal.SIGTERM)
        for process in everything:
            process.stop(3)


def own_processes(state):
    """{pid: start time} of what the cluster started: daemons by their SLURM_CONF, processes of jobs by their machine. A
    shell with the lab's environment has neither."""
    own = state["slurm"]
    conf = b"SLURM_CONF=" + state["dir"].encode() + b"/"
    machines = {b"SLURMD_NODENAME=" + name.encode() for name in own["machines"]}
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{entry}/environ", "rb") as f:
                environment = f.read().split(b"\0")
            program = os.path.basename(os.readlink(f"/proc/{entry}/exe"))
            daemon = program.split("-wlm")[0] in (*PROGRAMS, "slurmdbd") and any(e.startswith(conf) for e in environment)
            begin = start_time(int(entry))
            if begin is not None and (daemon or machines.intersection(environment)):
                found[int(entry)] = begin
    return found
