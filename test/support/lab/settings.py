"""Names, addresses and configuration files of one lab. Everything follows from its folder, so that two labs on one
machine do not meet."""
import datetime
import hashlib
import json
import os
import random
import socket
import subprocess


def tag_of(folder):
    return hashlib.sha256(folder.encode()).hexdigest()[:8]


_given = set()


def free_port():
    """Another one each time, and none that the kernel gives to a connection before it is used."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        first_given_out = int(f.read().split()[0])
    for _ in range(1000):
        port = random.randrange(10000, first_given_out)
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _given:
            _given.add(port)
            return port
    raise RuntimeError(f"no free port from 10000 to {first_given_out}")


def utc_now():
    """As Kubernetes writes times, to the second."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def choose_subnet(tag):
    """A /22 of 10.64.0.0/10 (1,000 pods) that no route of this machine touches."""
    routes = subprocess.run(["ip", "-4", "-o", "route"], capture_output=True, text=True).stdout
    first = int(tag, 16)
    for i in range(4096):
        index = (first + i) % 4096
        subnet = f"10.{64 + index // 64}.{index % 64 * 4}.0"
        if subnet + "/" not in routes:
            return subnet + "/22"
    raise RuntimeError("no free subnet in 10.64.0.0/10")


def cni_conflist(state):
    bridge = {
        "type": "bridge", "bridge": state["bridge"], "isGateway": True, "ipMasq": state["masquerade"],
        "hairpinMode": True,
        "ipam": {"type": "host-local", "dataDir": state["dir"] + "/cni/ipam",
                 "ranges": [[{"subnet": state["subnet"]}]], "routes": [{"dst": "0.0.0.0/0"}]},
    }
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
    return json.dumps({"cniVersion": "0.4.0", "name": state["network"], "plugins": [bridge, portmap]}, indent=2)


def registry_config(state):
    return f"""version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: "{state['dir']}/registry"}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{state['registry_port']}"}}
"""


def site_config(state):
    d = state["dir"]
    registry = f"http://127.0.0.1:{state['registry_port']}"
    hosts = ["registry.k8s.io", "gcr.io", "docker.io", "k8s.gcr.io", "public.ecr.aws", "lab.test"]
    mirrors = "".join(f"    \"{host}\": [\"{registry}\"]\n" for host in hosts)
    if state.get("lie_port"):
        mirrors += f"    \"lie.test\": [\"http://127.0.0.1:{state['lie_port']}\"]\n"
    return f"""SiteName: "lab-{state['tag']}"
Address: "127.0.0.1"
Port: {state['site_port']}
OperatorPort: {state['operator_port']}
TLS:
  CertFile: "{d}/pki/server.crt"
  KeyFile: "{d}/pki/server.key"
  CACertFile: "{d}/pki/ca.crt"
DataRootFolder: "{d}/site"
VerboseLogging: {str(state['verbose']).lower()}
{agents(state)}{f'Policy: {{File: "{d}/policy.yaml"}}' + chr(10) if state['map_users'] else ''}Images:
  DefaultRegistry: "docker.io"
  Mirrors:
{mirrors}{'DefaultHandler: "slurm"' + chr(10) if runs_jobs(state) else ''}Plugins:
{fake_plugin(state) if state['fake'] else '' if state['site_user'] else local_plugin(state)}{slurm_plugin(state) if runs_jobs(state) else ''}"""


def policy(state):
    """Everybody may have everything; whose a pod's job is follows from its namespace."""
    users = "".join(f"  - {{Name: {space}, Namespaces: [{space}], Handlers: [slurm], User: {user}}}\n" for space, user in state["map_users"].items())
    return f"""Rules:
  - Name: all
    May: [run, create, update, exec, exec-sync, attach, port-forward, pull]
    HostNamespaces: true
    HostPaths: ["/"]
Users:
{users}"""


def runs_jobs(state):
    """The site's pods are jobs of the lab's SLURM."""
    return bool(state.get("slurm")) and not state["fake"] and not state["only_cluster"]


def agents(state):
    """Compute nodes of a lab are this machine. Those that shall not reach the site are told of a port that nobody serves."""
    if not runs_jobs(state):
        return ""
    port = state["agents_port"]
    return f"""Agents:
  Address: "127.0.0.1"
  Port: {port}
  PublicAddress: "127.0.0.1:{port if state['slurm']['transport'] == 'direct' else 1}"
  Lease: {state['slurm']['lease']}
  Heartbeat: 2s
"""


def job_folder(state):
    shared = state["slurm"].get("shared_folder", True)  # a lab of an older version
    return state["dir"] + "/slurm/" + ("jobs" if shared else "unshared")


def slurm_plugin(state):
    d = state["dir"] + "/slurm"
    return f"""  - Name: slurm
    Handlers:
      - Name: slurm
        AllowedHostPaths: ["{d}/scratch"]
    Options:
      SlurmConf: "{d}/etc/slurm.conf"
      JobFolder: "{job_folder(state)}"
      SharedFolder: {str(state['slurm']['shared_folder']).lower()}
      StateFolder: "{d}/local"
      LeaveWithin: 12
      BeginWithin: 60
      Transport: {state['slurm']['transport']}
      AllowRootAgents: {str(os.geteuid() == 0 and not state['site_user'] and not state['map_users']).lower()}
      JobUser: {'mapped' if state['map_users'] else 'own'}
"""


def fake_plugin(state):
    return f"""  - Name: fake
    Path: "{state['build']}/lib/interlink/plugins/fake.so"
    Handlers:
      - Name: fake
"""


EVERYTHING = """        AllowPrivileged: true
        AllowHostNamespaces: true
        AllowDevices: true
        AllowedHostPaths: ["/"]
"""


def local_plugin(state):
    """crictl may do everything here; pods of a kubelet only what an administrator allows by default, unless asked."""
    kubernetes = state.get("kubernetes")
    allowed = EVERYTHING if not kubernetes or kubernetes["privileged"] else ""
    folder = f"      KubeletFolder: \"{kubelet_folder(state)}\"\n" if kubernetes else ""
    return f"""  - Name: local
    Handlers:
      - Name: local
{allowed}    Options:
      KubeletHost: true
{folder}      CNI:
        ConfDir: "{state['dir']}/cni/net.d"
        BinDirs: ["/usr/lib/cni"]
"""


def kubelet_folder(state):
    """Of the lab's kubelet; without one a test may play it there."""
    return state["dir"] + ("/kubernetes/kubelet" if state.get("kubernetes") else "/kubelet")


def node_config(state, number):
    d = state["dir"]
    return f"""InterlinkAddress: "https://127.0.0.1"
Interlinkport: "{state['site_port']}"
CRI:
  SocketPath: "unix://{socket_path(d, number)}"
  RuntimeHandler: "interlink"
  KubeletFolder: "{kubelet_folder(state)}"
TLS:
  Enabled: true
  CertFile: "{d}/pki/node-{number}.crt"
  KeyFile: "{d}/pki/node-{number}.key"
  CACertFile: "{d}/pki/ca.crt"
VerboseLogging: {str(state['verbose']).lower()}
DataRootFolder: "{d}/node-{number}"
"""


def socket_path(folder, number):
    return f"{folder}/cri-{number}.sock"


def crictl_config(state, number):
    endpoint = "unix://" + socket_path(state["dir"], number)
    return f"runtime-endpoint: {endpoint}\nimage-endpoint: {endpoint}\ntimeout: 60\n"


def write(path, text, mode=0o644):
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path + ".new", mode)
    os.rename(path + ".new", path)
