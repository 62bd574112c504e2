#!/usr/bin/env python3
"""How long from `kubectl apply` to Running, and from `kubectl delete` to gone, for pods one after the other.

usage: pod_latency.py NAME RUNTIME_CLASS IMAGE COUNT      prints one line; KUBECONFIG and kubectl as a lab gives them

The pods have no token mounted (waiting for its volume would be most of the time) and an image that is present. Running is
when a watch says so: kubectl's own start is in the time, its polling is not.
"""
import json
import os
import ssl
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request

DEADLINE = 120


def cluster():
    with open(os.environ["KUBECONFIG"], encoding="utf-8") as f:
        config = json.load(f)
    user, server = config["users"][0]["user"], config["clusters"][0]["cluster"]
    context = ssl.create_default_context(cafile=server["certificate-authority"])
    context.load_cert_chain(user["client-certificate"], user["client-key"])
    return server["server"], context


class Watch(threading.Thread):
    """Notes when a pod was first seen Running, and when it was deleted."""

    def __init__(self, server, context, name):
        super().__init__(daemon=True)
        query = urllib.parse.urlencode({"watch": 1, "fieldSelector": "metadata.name=" + name})
        self.answer = urllib.request.urlopen(f"{server}/api/v1/namespaces/default/pods?{query}", context=context,
                                             timeout=DEADLINE)
        self.running, self.gone = threading.Event(), threading.Event()
        self.running_at = self.gone_at = None
        self.start()

    def run(self):
        for line in self.answer:
            event, now = json.loads(line), time.monotonic()
            if event["object"].get("status", {}).get("phase") == "Running" and not self.running.is_set():
                self.running_at = now
                self.running.set()
            if event["type"] == "DELETED":
                self.gone_at = now
                self.gone.set()
                return


def pod(name, runtime_class, image):
    script = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"
    container = {"name": "c", "image": image, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script]}
    return json.dumps({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"runtimeClassName": runtime_class, "automountServiceAccountToken": False, "containers": [container]}})


def kubectl(*arguments, text=None):
    done = subprocess.run(["kubectl", *arguments], input=text, capture_output=True, text=True, timeout=DEADLINE)
    if done.returncode != 0:
        sys.exit(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")


def figures(values):
    ordered = sorted(values)
    return f"{ordered[0]:5.0f} / {statistics.median(ordered):5.0f} / {ordered[-1]:5.0f}"


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    title, runtime_class, image, count = *sys.argv[1:4], int(sys.argv[4])
    server, context = cluster()
    begin, end = [], []
    for number in range(-1, count):  # the first one warms up and does not count
        name = f"latency-{number + 1}"
        watch = Watch(server, context, name)
        started = time.monotonic()
        kubectl("apply", "-f", "-", text=pod(name, runtime_class, image))
        if not watch.running.wait(DEADLINE):
            sys.exit(f"{name} is not Running after {DEADLINE} s")
        deleted = time.monotonic()
        kubectl("delete", "pod", name, "--wait=false")
        if not watch.gone.wait(DEADLINE):
            sys.exit(f"{name} is not gone after {DEADLINE} s")
        if number >= 0:
            begin.append((watch.running_at - started) * 1000)
            end.append((watch.gone_at - deleted) * 1000)
    print(f"{title:12} | {count:4d} | {figures(begin)} | {figures(end)}")


if __name__ == "__main__":
    main()
