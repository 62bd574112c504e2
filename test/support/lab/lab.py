"""test/lab: see usage below. The state of a lab is DIR/lab.json; each process has DIR/run/NAME.json."""
import argparse
import fcntl
import http.client
import json
import os
import pwd
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import time

import kubernetes
import machine
import peer
import pki
import settings
import slurm
import sweep
from host import HostSettings
from processes import LabError, Process, clean_environment, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
FOLDERS = ("run", "log", "pki", "registry", "cni/net.d", "site", "logs")
READY_SECONDS = 60
PARTS = ("site", "node", "kubelet", "slurmctld", "slurmd")
USAGE = """A complete private system in a folder.

  test/lab up DIR [--fake] [--nodes N] [--masquerade] [--conformance] [--peer] [--build FOLDER] [--verbose]
     [--kubernetes [--gates NAME=true,...] [--privileged]]
     [--plugin slurm [--accounting] [--enforce] [--slurm KEY=VALUE]... [--lease DURATION] [--transport WAY]
       [--no-shared-folder]
       [--only-cluster | --site-user USER | --map-user NAMESPACE=USER...]]
                        makes DIR and starts all in it; prints the socket and file names
                        --conformance: what critest needs; its images, and kernel settings of this machine until down
                        --peer: containerd with crun beside it, same registry and network, to compare with
                        --kubernetes: also etcd, API server, controller manager, scheduler and a kubelet on node 1, with
                        deploy/kubelet's configuration. --gates: kubelet's feature gates. --privileged: the site takes
                        privileged pods, host namespaces and any hostPath
                        --plugin slurm: also a SLURM of three machines with four fake GPUs each; the site's handler slurm, its
                        default, runs pods as jobs there (not with --fake); with --kubernetes kubelet waits 30 s for a
                        sandbox (runtimeRequestTimeout: 15s), less than a queue. --accounting: with slurmdbd, MariaDB, an account
                        'lab' and a QOS 'quick' (5 minutes). --enforce: memory limits by cgroup v1. --slurm: a line of
                        slurm.conf. --lease: of agents (1m). --transport: the plugin's Transport; with srun and
                        auto agents are given an address that nobody serves. --only-cluster: nothing but the SLURM.
                        --no-shared-folder: the plugin's SharedFolder is false, and compute nodes see an empty folder in the
                        place of its JobFolder.
                        --site-user: the site is this ordinary user's, and so are its jobs; it has no handler local
                        --map-user: the site is root's, and jobs of pods of that namespace are that user's; no other
                        pod is taken by the handler slurm
  test/lab env DIR [N]  shell exports for node N (default 1): CONTAINER_RUNTIME_ENDPOINT, CRI_CONFIG_FILE, LAB_...;
                        with Kubernetes also KUBECONFIG, and PATH with kubectl
  test/lab status DIR   the processes, and whether they answer
  test/lab down DIR     ends all of it and removes DIR, also when something in it died
  test/lab stop-site|start-site|kill-site DIR
  test/lab stop-node|start-node|kill-node DIR [N]
  test/lab stop-kubelet|start-kubelet|kill-kubelet DIR [peer]
  test/lab stop-slurmctld|start-slurmctld|kill-slurmctld DIR
  test/lab stop-slurmd|start-slurmd|kill-slurmd DIR [N]
  test/lab mend DIR     machines that SLURM drained or gave up take jobs again
                        stop: TERM; kill: KILL; start waits until it answers. A kubelet started with "peer" uses
                        containerd (--peer) in the place of the node

Root is needed, except for --fake and --only-cluster: then a SLURM runs as you, and its jobs too.

Exit codes: 0 done, 1 failed, 2 wrong usage."""


def say(text):
    print(f"lab: {text}", file=sys.stderr, flush=True)


class Lab:
    def __init__(self, state):
        self.state = state
        self.dir = state["dir"]
        self.registry = Process(self.dir, "registry")
        self.liar = Process(self.dir, "lying-registry")
        self.site = Process(self.dir, "interlink-api")
        self.nodes = [Process(self.dir, f"interlink-cri-{n}") for n in range(1, state["nodes"] + 1)]
        self.peer = Process(self.dir, "containerd")
        self.kubernetes = kubernetes.Kubernetes(state) if state.get("kubernetes") else None
        self.slurm = slurm.Slurm(state) if state.get("slurm") else None

    @staticmethod
    def load(folder):
        try:
            with open(os.path.join(folder, "lab.json"), encoding="utf-8") as f:
                return Lab(json.load(f))
        except FileNotFoundError:
            raise LabError(f"there is no lab in {folder}: start one with test/lab up {folder}") from None

    def save(self):
        settings.write(self.dir + "/lab.json", json.dumps(self.state, indent=2) + "\n")

    def processes(self):
        return [self.registry, self.liar, self.site, *self.nodes] + ([self.peer] if self.state["peer"] else []) + (
            self.kubernetes.processes() if self.kubernetes else []) + (self.slurm.processes() if self.slurm else [])

    # --- questions

    def site_answers(self, path, certificate="node-1"):
        """The status of GET path at the site, or None."""
        context = ssl.create_default_context(cafile=self.dir + "/pki/ca.crt")
        context.load_cert_chain(f"{self.dir}/pki/{certificate}.crt", f"{self.dir}/pki/{certificate}.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self.state["site_port"], context=context, timeout=5)
        return status_of(connection, path)

    def node_answers(self, number, path):
        """The status of GET path on the CRI socket, or None."""
        connection = http.client.HTTPConnection("localhost", timeout=5)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(5)
        try:
            connection.sock.connect(settings.socket_path(self.dir, number))
        except OSError:
            connection.sock.close()
            return None
        return status_of(connection, path)

    # --- parts

    def start_registry(self):
        settings.write(self.dir + "/registry.yml", settings.registry_config(self.state))
        self.registry.start(["docker-registry", "serve", self.dir + "/registry.yml"])
        address = ("127.0.0.1", self.state["registry_port"])
        self.registry.wait_ready(lambda: connects(address), 20)
        images = os.path.join(os.path.dirname(HERE), "images")
        all_images = ["--conformance"] if self.state["conformance"] else []
        for script in (["make_images.py", f"{address[0]}:{address[1]}", *all_images],
                       ["bad_images.py", f"{address[0]}:{address[1]}", self.dir + "/victim"]):
            done = subprocess.run([sys.executable, os.path.join(images, script[0]), *script[1:]], capture_output=True,
                                  text=True)
            if done.returncode != 0:
                raise LabError(f"{script[0]}: {done.stderr.strip()}")
        port_file = self.dir + "/run/lie-port"
        self.liar.start([sys.executable, os.path.join(images, "lying_registry.py"), port_file])
        self.liar.wait_ready(lambda: os.path.exists(port_file), 10)
        with open(port_file, encoding="ascii") as f:
            self.state["lie_port"] = int(f.read())

    def start_site(self):
        binary = self.state["build"] + "/bin/interlink-api"
        self.site.start([*as_user(self.state["site_user"]), binary, "serve", "--config", self.dir + "/site.yaml"], clean_environment())
        self.site.wait_ready(lambda: self.site_answers("/readyz") == 200, READY_SECONDS)

    def start_node(self, number):
        node = self.nodes[number - 1]
        binary = self.state["build"] + "/bin/interlink-cri"
        environment = clean_environment()
        token = f"{self.dir}/token-{number}"  # a test may put one there
        if os.path.exists(token):
            environment["VK_TOKEN_FILE"] = token
        node.start([binary, "serve", "--config", f"{self.dir}/node-{number}.yaml"], environment)
        # Without its site, or with a store that the site does not take, a node lives but is not ready.
        wanted = "/readyz" if self.site.pid() and not os.environ.get("LAB_NO_READY") else "/healthz"
        node.wait_ready(lambda: self.node_answers(number, wanted) == 200, READY_SECONDS)

    def start_peer(self):
        peer.make(self.state)
        self.peer.start(peer.argv(self.state), clean_environment())
        self.peer.wait_ready(lambda: unix_connects(peer.socket_path(self.state)), READY_SECONDS)

    def make_folders(self):
        for folder in FOLDERS:
            os.makedirs(f"{self.dir}/{folder}", exist_ok=True)

    def make(self):
        os.makedirs(self.dir + "/victim")
        settings.write(self.dir + "/victim/secret", "secret\n")
        state = self.state
        pki.make(self.dir + "/pki", [f"node-{state['tag']}-{n}" for n in range(1, state["nodes"] + 1)])
        settings.write(self.dir + "/cni/net.d/10-lab.conflist", settings.cni_conflist(state))
        if state["site_user"]:
            user = pwd.getpwnam(state["site_user"])
            for name in ("site", "pki/server.key", "pki/server.crt"):
                os.chown(f"{self.dir}/{name}", user.pw_uid, user.pw_gid)
            os.chmod(self.dir + "/pki/ca.crt", 0o644)
            os.chmod(self.dir, 0o711)

    def configure(self):
        settings.write(self.dir + "/site.yaml", settings.site_config(self.state))
        if self.state["map_users"]:
            settings.write(self.dir + "/policy.yaml", settings.policy(self.state))
        for n in range(1, self.state["nodes"] + 1):
            settings.write(f"{self.dir}/node-{n}.yaml", settings.node_config(self.state, n))
            settings.write(f"{self.dir}/crictl-{n}.yaml", settings.crictl_config(self.state, n))

    def environment(self, number):
        endpoint = "unix://" + settings.socket_path(self.dir, number)
        return {
            "CONTAINER_RUNTIME_ENDPOINT": endpoint, "IMAGE_SERVICE_ENDPOINT": endpoint,
            "CRI_CONFIG_FILE": f"{self.dir}/crictl-{number}.yaml",
            "LAB_DIR": self.dir, "LAB_BUILD": self.state["build"], "LAB_TAG": self.state["tag"],
            "LAB_SITE": f"https://127.0.0.1:{self.state['site_port']}", "LAB_SITE_CONFIG": self.dir + "/site.yaml",
            "LAB_SITE_LOG": self.site.log, "LAB_SITE_PID": str(self.site.pid() or ""),
            "LAB_NODE_NAME": f"node-{self.state['tag']}-{number}", "LAB_NODE_CONFIG": f"{self.dir}/node-{number}.yaml",
            "LAB_NODE_LOG": self.nodes[number - 1].log, "LAB_NODE_PID": str(self.nodes[number - 1].pid() or ""),
            "LAB_SOCKET": settings.socket_path(self.dir, number), "LAB_LOGS": self.dir + "/logs",
            "LAB_PKI": self.dir + "/pki", "LAB_KUBELET": settings.kubelet_folder(self.state), "LAB_REGISTRY": f"127.0.0.1:{self.state['registry_port']}",
            "LAB_BRIDGE": self.state["bridge"], "LAB_NETWORK": self.state["network"],
            "LAB_PEER_SOCKET": peer.socket_path(self.state) if self.state["peer"] else "",
            **(self.kubernetes.environment() if self.kubernetes else {}),
            **(self.slurm.environment() if self.slurm else {}),
        }


def as_user(name):
    """The words before a command that is this user's, without any right of ours."""
    if not name:
        return []
    user = pwd.getpwnam(name)
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", "--inh-caps=-all", "--"]


def status_of(connection, path):
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def connects(address):
    try:
        socket.create_connection(address, 1).close()
        return True
    except OSError:
        return False


def unix_connects(path):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(path)
            return True
        except OSError:
            return False


# --- commands

def check_machine(build, fake, with_peer):
    if os.geteuid() != 0 and not fake:
        raise LabError("the lab needs root: it starts containers, network namespaces and a bridge")
    needed = ["openssl", "docker-registry"] + ([] if fake else ["crun", "ip", "iptables-save"]) + (["containerd"] if with_peer else [])
    absent = [name for name in needed if not shutil.which(name)]
    if absent:
        raise LabError(f"missing: {', '.join(absent)}; install with test/support/install.sh")
    for name in ("bin/interlink-api", "bin/interlink-cri", "bin/interlink-shim"):
        if not os.path.exists(f"{build}/{name}"):
            raise LabError(f"{build}/{name} is not built: cmake --preset release && cmake --build --preset release")


def check_usage(args, folder):
    if len(settings.socket_path(folder, args.nodes)) > 107:
        raise LabError(f"{folder} is too long for a Unix socket (107 bytes): choose a shorter folder")
    if os.path.exists(folder) and os.listdir(folder):
        raise LabError(f"{folder} is not empty: test/lab down {folder} removes a lab, else choose another folder")
    if args.kubernetes and (args.fake or args.nodes > 1):
        raise LabError("--kubernetes takes neither --fake (its pods do not run) nor --nodes (one kubelet for each lab)")
    if (args.gates or args.privileged) and not args.kubernetes:
        raise LabError("--gates and --privileged belong to --kubernetes")
    only_slurm = (args.accounting, args.enforce, args.slurm, args.lease, args.transport, args.only_cluster)
    if args.plugin != "slurm" and any(only_slurm):
        raise LabError("--accounting, --enforce, --slurm, --lease, --transport and --only-cluster belong to --plugin slurm")
    if args.no_shared_folder and (args.plugin != "slurm" or args.only_cluster or args.fake):
        raise LabError("--no-shared-folder belongs to --plugin slurm, without --only-cluster and --fake")
    if args.site_user and (args.plugin != "slurm" or args.only_cluster or args.fake):
        raise LabError("--site-user belongs to --plugin slurm, without --only-cluster and --fake")
    if args.map_user and (args.plugin != "slurm" or args.only_cluster or args.fake or args.site_user):
        raise LabError("--map-user belongs to --plugin slurm, without --only-cluster, --fake and --site-user")
    check_site_user(args.site_user)
    if args.only_cluster and (args.kubernetes or args.peer or args.conformance or args.fake or args.nodes > 1):
        raise LabError("--only-cluster starts nothing of --kubernetes, --peer, --conformance, --fake and --nodes")


def check_site_user(name):
    try:
        if name and pwd.getpwnam(name).pw_uid == 0:
            raise LabError(f"--site-user is for an ordinary user: without it the site is root's, as {name} is")
    except KeyError:
        raise LabError(f"--site-user: this machine has no user '{name}'") from None


def up(args):
    folder = os.path.realpath(args.dir)
    build = os.path.realpath(args.build or os.environ.get("INTERLINK_BUILD") or ROOT + "/build/release")
    check_usage(args, folder)
    if not args.only_cluster:
        check_machine(build, args.fake, args.peer)
    if args.plugin == "slurm" and not args.only_cluster and not args.fake and not os.path.exists(build + "/bin/interlink-agent"):
        raise LabError(f"{build}/bin/interlink-agent is not built: it runs the pods of --plugin slurm")
    tag = settings.tag_of(folder)
    if args.kubernetes:
        machine.refuse_another_kubelet()
    lab = Lab({
        "dir": folder, "tag": tag, "build": build, "fake": args.fake, "nodes": args.nodes, "verbose": args.verbose,
        "masquerade": args.masquerade, "conformance": args.conformance, "peer": args.peer, "bridge": "il" + tag,
        "network": "lab-" + tag, "only_cluster": args.only_cluster, "site_user": args.site_user, "map_users": dict(pair.split("=", 1) for pair in args.map_user),
        "subnet": settings.choose_subnet(tag), "registry_port": settings.free_port(),
        "site_port": settings.free_port(), "operator_port": settings.free_port(), "agents_port": settings.free_port(),
        "kubernetes": kubernetes.choose(tag, args.gates, args.privileged) if args.kubernetes else None,
        "slurm": slurm.choose(tag, args) if args.plugin == "slurm" else None,
    })
    lab.save()
    try:
        start_all(lab)
    except BaseException:
        keep = os.environ.get("LAB_KEEP")
        say(f"not started; {'left as it is: ' + folder if keep else 'removing it (LAB_KEEP=1 keeps it)'}")
        if not keep:
            tear_down(lab)
        raise
    tell(lab)


def start_all(lab):
    lab.make_folders()
    if not lab.state["only_cluster"]:
        lab.make()
    if lab.state["conformance"]:
        for key in HostSettings().hold(lab.dir):
            say(f"this kernel has no {key}; specs that need it will tell")
    if lab.slurm:
        lab.slurm.make()
        lab.slurm.start()
    if lab.state["only_cluster"]:
        return
    lab.start_registry()
    lab.configure()
    lab.save()
    lab.start_site()
    for number in range(1, lab.state["nodes"] + 1):
        lab.start_node(number)
    if lab.state["peer"]:
        lab.start_peer()
    if lab.kubernetes:
        lab.kubernetes.make()
        lab.kubernetes.start()
        lab.save()


def tell(lab):
    folder = lab.dir
    print(f"folder    {folder}")
    if lab.slurm:
        print(f"slurm     SLURM_CONF={lab.slurm.conf}  log {lab.slurm.controller.log}")
    if not lab.state["only_cluster"]:
        print(f"site      https://127.0.0.1:{lab.state['site_port']}  config {folder}/site.yaml  log {lab.site.log}")
        for number, node in enumerate(lab.nodes, 1):
            print(f"node {number}    unix://{settings.socket_path(folder, number)}  config {folder}/node-{number}.yaml  "
                  f"log {node.log}")
    if lab.kubernetes:
        print(f"kubelet   {lab.kubernetes.own['node']}  KUBECONFIG={lab.kubernetes.kubeconfig}  log {lab.kubernetes.kubelet.log}")
    if not lab.state["only_cluster"]:
        print(f"registry  127.0.0.1:{lab.state['registry_port']}")
    print(f"next      eval \"$(test/lab env {folder})\"; {'sinfo' if lab.state['only_cluster'] else 'crictl info'}")


def tear_down(lab):
    """Asks the daemons first, so that what they leave is seen as theirs; then sweeps."""
    clean = True
    if lab.kubernetes:
        lab.kubernetes.stop()
    for process in [*lab.nodes, lab.site]:
        if not process.stop():
            say(f"{process.name} did not end within 15 s of TERM and was killed")
            clean = False
    if lab.slurm:
        lab.slurm.stop()
    for process in (lab.peer, lab.registry, lab.liar):
        process.stop(5)
    try:
        sweep.sweep(lab.state, say)
    finally:
        if os.geteuid() == 0:
            HostSettings().release(lab.dir)
    return clean


def down(args):
    folder = os.path.realpath(args.dir)
    tear_down(Lab.load(folder))


def env(args):
    lab = Lab.load(os.path.realpath(args.dir))
    for name, value in lab.environment(number_of(args, lab.nodes)).items():
        print(f"export {name}={shlex.quote(value)}")


def status(args):
    lab = Lab.load(os.path.realpath(args.dir))
    for process in lab.processes():
        print(f"{process.name:18} {'pid ' + str(process.pid()) if process.pid() else 'not running'}")
    if lab.slurm:
        print(f"slurm answers      {lab.slurm.answers()}")
    if not lab.state["only_cluster"]:
        print(f"site /readyz       {lab.site_answers('/readyz')}")
        for number in range(1, len(lab.nodes) + 1):
            print(f"node {number} /readyz     {lab.node_answers(number, '/readyz')}")
    print(json.dumps(sweep.leftovers(lab.state), indent=2))


def number_of(args, parts):
    try:
        number = int(args.number or 1)
    except ValueError:
        raise LabError(f"'{args.number}' is no number") from None
    if not 1 <= number <= len(parts):
        raise LabError(f"there is no number {number}: this lab has {len(parts)}")
    return number


def start_kubelet(lab, runtime):
    if runtime not in (None, "peer"):
        raise LabError(f"'{runtime}' is no runtime: nothing for the node, or peer")
    if runtime and not lab.peer.pid():
        raise LabError("there is no peer: start the lab with --peer")
    lab.kubernetes.start_kubelet((lab.peer, peer.socket_path(lab.state)) if runtime else None)
    lab.save()


def mend(args):
    lab = Lab.load(os.path.realpath(args.dir))
    if not lab.slurm:
        raise LabError("this lab has no SLURM: start it with --plugin slurm")
    lab.slurm.mend()


def part(args):
    """stop-, start-, kill- of the site, a node, the kubelet or a daemon of SLURM."""
    verb, what = args.command.split("-")
    lab = Lab.load(os.path.realpath(args.dir))
    if what == "kubelet" and not lab.kubernetes:
        raise LabError("this lab has no kubelet: start it with --kubernetes")
    if what.startswith("slurm") and not lab.slurm:
        raise LabError("this lab has no SLURM: start it with --plugin slurm")
    number = 1 if what == "kubelet" else number_of(args, lab.slurm.machines if what == "slurmd" else lab.nodes)
    process = {"site": lab.site, "node": lab.nodes[number - 1] if what == "node" else None,
               "kubelet": lab.kubernetes and lab.kubernetes.kubelet, "slurmctld": lab.slurm and lab.slurm.controller,
               "slurmd": lab.slurm.machines[number - 1] if what == "slurmd" else None}[what]
    if verb == "start":
        {"site": lab.start_site, "node": lambda: lab.start_node(number),
         "kubelet": lambda: start_kubelet(lab, args.number), "slurmctld": lambda: lab.slurm.start_controller(),
         "slurmd": lambda: lab.slurm.start_machine(number)}[what]()
    elif verb == "kill":
        if not process.kill():
            raise LabError(f"{process.name} does not run")
    elif not process.pid():
        raise LabError(f"{process.name} does not run")
    elif not process.stop():
        raise LabError(f"{process.name} did not end within 15 s of TERM and was killed")


def main():
    parser = argparse.ArgumentParser(usage=USAGE, add_help=True)
    commands = parser.add_subparsers(dest="command", required=True)
    table = {"up": up, "down": down, "env": env, "status": status, "mend": mend}
    table.update({f"{verb}-{what}": part for verb in ("stop", "start", "kill") for what in PARTS})
    for name in table:
        command = commands.add_parser(name, usage=USAGE)
        command.add_argument("dir")
        if name == "up":
            command.add_argument("--fake", action="store_true")
            command.add_argument("--nodes", type=int, default=1, choices=range(1, 10))
            command.add_argument("--masquerade", action="store_true")
            command.add_argument("--conformance", action="store_true")
            command.add_argument("--peer", action="store_true")
            command.add_argument("--kubernetes", action="store_true")
            command.add_argument("--gates", default="")
            command.add_argument("--privileged", action="store_true")
            command.add_argument("--plugin", choices=("local", "slurm"), default="local")
            command.add_argument("--accounting", action="store_true")
            command.add_argument("--enforce", action="store_true")
            command.add_argument("--slurm", action="append", default=[])
            command.add_argument("--lease", default="")
            command.add_argument("--transport", choices=("direct", "srun", "auto"))
            command.add_argument("--no-shared-folder", action="store_true")
            command.add_argument("--only-cluster", action="store_true")
            command.add_argument("--site-user", default="")
            command.add_argument("--map-user", action="append", default=[], metavar="NAMESPACE=USER")
            command.add_argument("--build")
            command.add_argument("--verbose", action="store_true")
        else:
            command.add_argument("number", nargs="?")
    args = parser.parse_args()
    folder = os.path.realpath(args.dir)
    if args.command == "up":
        os.makedirs(folder, exist_ok=True)
    elif not os.path.exists(folder):
        if args.command == "down":
            return
        raise LabError(f"there is no lab in {folder}: start one with test/lab up {folder}")
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # one command at a time for one folder
    if not wait_until(lambda: try_lock(lock), 120):
        raise LabError(f"another command works on {folder} for two minutes already")
    table[args.command](args)


def try_lock(file):
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False


if __name__ == "__main__":
    begin = time.monotonic()
    try:
        main()
    except (LabError, RuntimeError, OSError) as error:
        say(f"{error}")
        sys.exit(1)
    except KeyboardInterrupt:
        say(f"interrupted after {time.monotonic() - begin:.0f} s")
        sys.exit(130)
