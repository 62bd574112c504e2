"""Kubernetes around the lab's first node: etcd, API server, controller manager, scheduler, and a kubelet whose only runtime
is the node's CRI socket. Everything listens on loopback or on an address that the lab puts there."""
import http.client
import json
import os
import ssl
import subprocess

import machine
import pki
import settings
from processes import LabError, Process, clean_environment

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
TOOLS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
USERS = {"admin": "lab-admin/O=system:masters", "kube-controller-manager": "system:kube-controller-manager/O=system:masters",
         "kube-scheduler": "system:kube-scheduler", "kube-apiserver-kubelet": "kube-apiserver/O=system:masters"}
SERVICES = "10.96.0.0/16"
READY_SECONDS = 120


def choose(tag, gates, privileged):
    """What is chosen once for a lab; REQUIRES: the tools are in `tools()`."""
    return {
        "tools": tools(), "node": "lab-" + tag, "node_ip": choose_node_ip(tag), "cgroup": f"lab-{tag}-kubelet", "gates": gates,
        "privileged": privileged,
        **{name + "_port": settings.free_port() for name in ("api", "etcd", "etcd_peer", "manager", "scheduler")},
    }


def tools():
    script = os.path.join(ROOT, "test/support/tools/build-tools.sh")
    done = subprocess.run([script, "kubernetes"], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise LabError("the binaries of Kubernetes could not be built (above)")
    return done.stdout.strip()


def choose_node_ip(tag):
    """kubelet refuses 127.0.0.0/8. 198.18.0.0/15 is for tests between networks: nobody routes it."""
    used = subprocess.run(["ip", "-4", "-o", "addr"], capture_output=True, text=True).stdout
    first = int(tag, 16)
    for i in range(1 << 16):
        index = (first + i) % (1 << 16)
        address = f"198.18.{index // 256}.{index % 256}"
        if index % 256 not in (0, 255) and address + "/" not in used:
            return address
    raise LabError("no free address in 198.18.0.0/16")


class Kubernetes:
    def __init__(self, state):
        self.state, self.own = state, state["kubernetes"]
        self.dir = state["dir"] + "/kubernetes"
        self.kubeconfig = self.dir + "/admin.conf"
        self.etcd, self.api, self.manager, self.scheduler, self.kubelet = (Process(state["dir"], name) for name in TOOLS[:5])

    def processes(self):
        return [self.etcd, self.api, self.manager, self.scheduler, self.kubelet]

    # --- questions

    def get(self, path):
        """The answer's (status, text), or (None, "") when nobody answers."""
        context = ssl.create_default_context(cafile=self.dir + "/pki/ca.crt")
        context.load_cert_chain(f"{self.dir}/pki/admin.crt", f"{self.dir}/pki/admin.key")
        connection = http.client.HTTPSConnection("127.0.0.1", self.own["api_port"], context=context, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return None, ""
        finally:
            connection.close()

    def node_ready(self):
        """True when the kubelet that runs now has said so: the last word of another one counts for 40 s."""
        status, text = self.get("/api/v1/nodes/" + self.own["node"])
        if status != 200:
            return False
        node = json.loads(text)["status"]
        ready = [c for c in node.get("conditions", []) if c["type"] == "Ready" and c["status"] == "True"]
        return bool(ready) and ready[0]["lastHeartbeatTime"] >= self.own.get("kubelet_since", "")

    # --- parts

    def make(self):
        for folder in ("pki", "etcd", "kubelet", "pods", "static", "kubelet.conf.d", "plugins"):
            os.makedirs(f"{self.dir}/{folder}", mode=0o700 if folder == "etcd" else 0o755)
        users = {**USERS, "kubelet": f"system:node:{self.own['node']}/O=system:nodes"}
        pki.make_kubernetes(self.dir + "/pki", users)
        for name in ("admin", "kube-controller-manager", "kube-scheduler", "kubelet"):
            settings.write(f"{self.dir}/{name}.conf", self.kubeconfig_text(name), 0o600)
        settings.write(self.dir + "/resolv.conf", "nameserver 127.0.0.1\n")

    def kubeconfig_text(self, user):
        d = self.dir
        return json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": {"server": f"https://127.0.0.1:{self.own['api_port']}",
                                                     "certificate-authority": d + "/pki/ca.crt"}}],
            "users": [{"name": user, "user": {"client-certificate": f"{d}/pki/{user}.crt",
                                              "client-key": f"{d}/pki/{user}.key"}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": user}}],
        }, indent=2) + "\n"

    def start(self):
        self.start_control_plane()
        self.apply(ROOT + "/deploy/kubelet/runtimeclass.yaml")
        machine.enter(self.state)
        self.start_kubelet()
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self.manager.wait_ready(lambda: self.get(account)[0] == 200, READY_SECONDS)

    def start_control_plane(self):
        own, d, tool = self.own, self.dir, self.own["tools"] + "/"
        etcd, peer = f"http://127.0.0.1:{own['etcd_port']}", f"http://127.0.0.1:{own['etcd_peer_port']}"
        self.etcd.start([tool + "etcd", "--name=lab", f"--data-dir={d}/etcd", "--listen-client-urls=" + etcd,
                         "--advertise-client-urls=" + etcd, "--listen-peer-urls=" + peer,
                         "--initial-advertise-peer-urls=" + peer, "--initial-cluster=lab=" + peer, "--unsafe-no-fsync"], clean_environment())
        self.api.start([
            tool + "kube-apiserver", "--etcd-servers=" + etcd, "--bind-address=127.0.0.1", f"--secure-port={own['api_port']}",
            f"--tls-cert-file={d}/pki/kube-apiserver.crt", f"--tls-private-key-file={d}/pki/kube-apiserver.key",
            f"--client-ca-file={d}/pki/ca.crt", "--authorization-mode=Node,RBAC",
            f"--kubelet-client-certificate={d}/pki/kube-apiserver-kubelet.crt",
            f"--kubelet-client-key={d}/pki/kube-apiserver-kubelet.key", "--kubelet-preferred-address-types=InternalIP",
            # An issuer of OpenID Connect that a site can ask: who it is, and its keys (anonymous, once RBAC lets them).
            f"--service-account-issuer=https://127.0.0.1:{own['api_port']}",
            f"--service-account-jwks-uri=https://127.0.0.1:{own['api_port']}/openid/v1/jwks", f"--service-account-key-file={d}/pki/accounts.key",
            f"--service-account-signing-key-file={d}/pki/accounts.key", "--service-cluster-ip-range=" + SERVICES,
            "--endpoint-reconciler-type=none", "--advertise-address=" + own["node_ip"],
            "--enable-admission-plugins=NodeRestriction", "--allow-privileged=true", "--profiling=false", "--v=1"], clean_environment())
        self.api.wait_ready(lambda: self.get("/readyz")[0] == 200, READY_SECONDS)
        common = ["--leader-elect=false", "--bind-address=127.0.0.1", "--authentication-skip-lookup=true", "--profiling=false",
                  "--v=1"]
        self.manager.start([
            tool + "kube-controller-manager", f"--kubeconfig={d}/kube-controller-manager.conf", *common,
            f"--secure-port={own['manager_port']}", f"--service-account-private-key-file={d}/pki/accounts.key",
            f"--root-ca-file={d}/pki/ca.crt", f"--flex-volume-plugin-dir={d}/plugins"],
            clean_environment())
        self.scheduler.start([tool + "kube-scheduler", f"--kubeconfig={d}/kube-scheduler.conf", *common,
                              f"--secure-port={own['scheduler_port']}"], clean_environment())

    def start_kubelet(self, peer=None):
        """`peer`: the process of another runtime and its socket, in whose mount namespace kubelet then runs."""
        process, socket = peer or (None, settings.socket_path(self.state["dir"], 1))
        settings.write(self.dir + "/kubelet.conf.d/50-lab.conf", json.dumps(self.kubelet_settings(socket), indent=2) + "\n")
        enter = ["nsenter", "-t", str(process.pid()), "-m", "--"] if process else []
        self.own["kubelet_since"] = settings.utc_now()
        self.kubelet.start(enter + [
            self.own["tools"] + "/kubelet", f"--config={ROOT}/deploy/kubelet/config.yaml",
            f"--config-dir={self.dir}/kubelet.conf.d", f"--kubeconfig={self.dir}/kubelet.conf",
            f"--root-dir={self.dir}/kubelet", f"--cert-dir={self.dir}/kubelet/pki", "--hostname-override=" + self.own["node"],
            "--node-ip=" + self.own["node_ip"], "--node-labels=interlink.io/runtime=true", "--v=2"],
            clean_environment())
        self.kubelet.wait_ready(self.node_ready, READY_SECONDS)

    def kubelet_settings(self, socket):
        """What differs from deploy/kubelet/config.yaml: paths, addresses, and that this machine belongs to somebody."""
        d = self.dir
        gates = dict(pair.split("=", 1) for pair in self.own["gates"].split(",") if pair)
        values = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": "unix://" + socket, "address": self.own["node_ip"], "healthzPort": 0,
            "authentication": {"x509": {"clientCAFile": d + "/pki/ca.crt"}},
            "failCgroupV1": False, "failSwapOn": False, "cgroupRoot": "/" + self.own["cgroup"],
            "makeIPTablesUtilChains": False, "oomScoreAdj": 0, "resolvConf": d + "/resolv.conf", "podLogsDir": d + "/pods",
            "staticPodPath": d + "/static", "volumePluginDir": d + "/plugins",
            "containerLogMaxSize": "1Mi", "containerLogMaxFiles": 20, "containerLogMonitorInterval": "3s",
            # Eviction looks at the runtime's figures, and has no reason to act.
            "evictionHard": {"memory.available": "1Mi", "nodefs.available": "1Mi", "nodefs.inodesFree": "1",
                             "imagefs.available": "1Mi", "imagefs.inodesFree": "1"},
            "imageGCHighThresholdPercent": 100,
        }
        if settings.runs_jobs(self.state):  # a queue outlasts kubelet's patience of twice this, as on a real site
            values["runtimeRequestTimeout"] = "15s"
        if gates:
            values["featureGates"] = {name: value == "true" for name, value in gates.items()}
        return values

    def forget_node(self):
        """Before another runtime's kubelet: the node's last status would count for 40 s."""
        self.kubectl("delete", "node", self.own["node"], "--ignore-not-found")

    def apply(self, file):
        self.kubectl("apply", "-f", file)

    def kubectl(self, *arguments):
        done = subprocess.run([self.own["tools"] + "/kubectl", "--kubeconfig=" + self.kubeconfig, *arguments],
                              capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise LabError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")

    def stop(self):
        """All at once, because each takes its time. etcd last: the API server waits for what it still has to write."""
        for process in (self.kubelet, self.manager, self.scheduler):
            process.signal(15)
        for process in (self.kubelet, self.manager, self.scheduler, self.api, self.etcd):
            process.stop(10)

    def environment(self):
        path = os.environ.get("PATH", "")
        if self.own["tools"] not in path.split(":"):
            path = self.own["tools"] + ":" + path
        return {"KUBECONFIG": self.kubeconfig, "PATH": path, "LAB_KUBERNETES": self.dir, "LAB_KUBERNETES_NODE": self.own["node"],
                "LAB_KUBERNETES_LOGS": self.dir + "/pods", "LAB_KUBELET_LOG": self.kubelet.log,
                "LAB_KUBELET_PID": str(self.kubelet.pid() or "")}
