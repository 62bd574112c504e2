#!/usr/bin/env python3
"""Makes the test images from Debian's packages and pushes them to a registry on loopback. Only the standard library.

usage: make_images.py BUSYBOX_ROOT REGISTRY     BUSYBOX_ROOT: Debian's busybox package, unpacked; REGISTRY: host:port

The same input gives the same bytes: entries are sorted, times are 0, gzip has no name.
"""
import gzip
import hashlib
import http.client
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import tempfile

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Tree:
    """The files of one layer."""

    def __init__(self):
        self.entries = {}

    def folder(self, path, mode=0o755):
        parts = path.strip("/").split("/")
        for i in range(1, len(parts)):
            self.entries.setdefault("/".join(parts[:i]), ("dir", 0o755, b""))
        self.entries[path.strip("/")] = ("dir", mode, b"")
        return self

    def file(self, path, data, mode=0o644):
        parent = os.path.dirname(path.strip("/"))
        if parent and parent not in self.entries:
            self.folder(parent)
        self.entries[path.strip("/")] = ("file", mode, data if isinstance(data, bytes) else data.encode())
        return self

    def link(self, path, target):
        """A hard link: masking one applet must not mask them all."""
        self.entries[path.strip("/")] = ("link", 0o755, target.encode())
        return self

    def host_file(self, path, source, mode=None):
        with open(source, "rb") as f:
            data = f.read()
        return self.file(path, data, mode if mode is not None else stat.S_IMODE(os.stat(source).st_mode))

    def program(self, path, source):
        """An ELF file with the libraries that it needs."""
        self.host_file(path, source, 0o755)
        out = subprocess.run(["ldd", source], capture_output=True, text=True, check=True).stdout
        for word in out.split():
            if word.startswith("/") and os.path.exists(word):
                self.host_file(word, os.path.realpath(word), 0o755)
        return self

    def tar(self):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            order = sorted(self.entries, key=lambda p: (self.entries[p][0] == "link", p))
            for path in order:
                kind, mode, data = self.entries[path]
                info = tarfile.TarInfo(path)
                info.mode, info.mtime, info.uid, info.gid = mode, 0, 0, 0
                if kind == "dir":
                    info.type = tarfile.DIRTYPE
                    tar.addfile(info)
                elif kind == "link":
                    info.type, info.linkname = tarfile.LNKTYPE, data.decode()
                    tar.addfile(info)
                else:
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
        return buffer.getvalue()


class Registry:
    """Pushes through the registry's own API."""

    def __init__(self, address):
        self.http = http.client.HTTPConnection(address, timeout=30)
        self.pushed = set()

    def call(self, method, path, body=None, headers=None):
        self.http.request(method, path, body, headers or {})
        answer = self.http.getresponse()
        answer.read()
        return answer

    def blob(self, name, data):
        key = (name, digest(data))
        if key in self.pushed:
            return
        self.pushed.add(key)
        if self.call("HEAD", f"/v2/{name}/blobs/{digest(data)}").status == 200:
            return
        start = self.call("POST", f"/v2/{name}/blobs/uploads/", b"", {"Content-Length": "0"})
        where = start.getheader("Location")
        where = where[where.index("/v2/"):]
        where += ("&" if "?" in where else "?") + "digest=" + digest(data)
        done = self.call("PUT", where, data, {"Content-Type": "application/octet-stream"})
        if done.status != 201:
            sys.exit(f"blob of {name}: the registry answers {done.status}")

    def manifest(self, name, tag, data):
        done = self.call("PUT", f"/v2/{name}/manifests/{tag}", data, {"Content-Type": MANIFEST})
        if done.status != 201:
            sys.exit(f"manifest {name}:{tag}: the registry answers {done.status}")


def push(registry, references, trees, **config):
    layers = []
    for tree in trees:
        raw = tree.tar()
        layers.append((raw, gzip.compress(raw, 6, mtime=0)))
    settings = {"Env": [PATH]}
    settings.update({k: v for k, v in config.items() if v})
    image = json.dumps({
        "architecture": "amd64", "os": "linux", "created": "1970-01-01T00:00:00Z", "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [digest(raw) for raw, _ in layers]},
        "history": [{"created": "1970-01-01T00:00:00Z"} for _ in layers],
    }, sort_keys=True).encode()
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest(image), "size": len(image)},
        "layers": [{"mediaType": LAYER, "digest": digest(packed), "size": len(packed)} for _, packed in layers],
    }).encode()
    for reference in references:
        name, tag = reference.rsplit(":", 1)
        for _, packed in layers:
            registry.blob(name, packed)
        registry.blob(name, image)
        registry.manifest(name, tag, manifest)
    return len(references)


def compile_c(source):
    with tempfile.TemporaryDirectory() as folder:
        binary = os.path.join(folder, "a")
        subprocess.run(["gcc", "-Os", "-static", "-s", "-x", "c", "-", "-o", binary], input=source.encode(), check=True)
        with open(binary, "rb") as f:
            return f.read()


PAUSE = """
#include <signal.h>
#include <unistd.h>
static void leave(int signal) { (void)signal; _exit(0); }
int main(void) { signal(SIGTERM, leave); signal(SIGINT, leave); for (;;) pause(); }
"""
EFFECTIVE_UID = """
#include <stdio.h>
#include <unistd.h>
int main(void) { printf("Effective uid: %d\\n", (int)geteuid()); return 0; }
"""
PASSWD = "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/false\nnobody:x:65534:65534::/home:/bin/false\n"
GROUP = "root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n"
PGREP = """#!/bin/sh
for p in /proc/[0-9]*; do
  read name < "$p/comm" && [ "$name" = "$1" ] && echo "${p#/proc/}"
done 2>/dev/null
"""


def busybox(root):
    tree = Tree()
    binary = os.path.join(root, "bin/busybox")
    tree.program("bin/busybox", binary)
    tree.program("bin/ipcs", "/usr/bin/ipcs")
    applets = subprocess.run([binary, "--list"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if applet != "busybox":
            tree.link("bin/" + applet, "bin/busybox")
    tree.file("bin/pgrep", PGREP, 0o755)
    tree.file("etc/passwd", PASSWD).file("etc/group", GROUP)
    tree.file("www/index.html", "<html><body>It works!</body></html>\n")
    for path in ("root", "home", "proc", "sys", "dev", "var/run", "var/lib", "usr/sbin"):
        tree.folder(path)
    return tree.folder("tmp", 0o1777)


def nginx(port):
    conf = (f"user www-data; worker_processes 1; pid /var/run/nginx.pid; error_log /dev/stderr;\n"
            f"events {{ worker_connections 64; }}\n"
            f"http {{ include mime.types; access_log /dev/stdout; server {{ listen {port}; root /usr/share/nginx/html; }} }}\n")
    tree = Tree().program("usr/sbin/nginx", "/usr/sbin/nginx")
    tree.host_file("etc/nginx/mime.types", "/etc/nginx/mime.types").file("etc/nginx/nginx.conf", conf)
    tree.file("usr/share/nginx/html/index.html", "<html><body>nginx</body></html>\n")
    return tree.folder("var/log/nginx").folder("var/lib/nginx")


def main():
    root, address = sys.argv[1], sys.argv[2]
    registry = Registry(address)
    base = busybox(root)
    e2e, tools, hub = "e2e-test-images/", "k8s-staging-cri-tools/", "docker/library/"
    count = push(registry, [e2e + "busybox:1.29-2", "library/busybox:latest"] +
                 [hub + "busybox:" + t for t in ("1", "1-glibc", "1-musl", "1-uclibc", "1.35.0-glibc")], [base], Cmd=["sh"])
    for name, user in (("uid", "1002"), ("username", "www-data"), ("uid-group", "1003:1004"), ("username-group", "www-data:1004")):
        count += push(registry, [f"{tools}test-image-user-{name}:latest"], [base], Cmd=["sh"], User=user)
    member = Tree().file("etc/passwd", PASSWD + "default-user:x:1000:1000::/home/default-user:/bin/sh\n")
    member.file("etc/group", GROUP + "default-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n")
    count += push(registry, [tools + "test-image-predefined-group:latest"], [base, member], Cmd=["sh"], User="1000")
    for name in ("1", "2", "3", "latest", "digest"):
        count += push(registry, [f"{tools}test-image-{name}:latest"], [base, Tree().file("image-" + name, name)], Cmd=["sh"])
    count += push(registry, [f"{tools}test-image-tags:{t}" for t in "123"], [base, Tree().file("same-image", "")], Cmd=["sh"])
    for tag in ("test", "all"):
        count += push(registry, [f"{tools}test-image-tag:{tag}"], [base, Tree().file(tag, tag)], Cmd=["sh"])
    count += push(registry, [e2e + "httpd:2.4.39-4"], [base],
                  Cmd=["/bin/sh", "-c", "echo httpd -D FOREGROUND; exec httpd -f -v -p 80 -h /www"])
    count += push(registry, [e2e + "nonewprivs:1.3"], [Tree().file("nnp", compile_c(EFFECTIVE_UID), 0o4755)], Entrypoint=["/nnp"])
    count += push(registry, ["pause:3.9"], [Tree().file("pause", compile_c(PAUSE), 0o755)], Entrypoint=["/pause"], User="65535:65535")
    run = {"Entrypoint": ["nginx"], "Cmd": ["-g", "daemon off;"], "ExposedPorts": {"80/tcp": {}}}
    count += push(registry, [e2e + "nginx:1.14-2"], [base, nginx(80)], **run)
    count += push(registry, [tools + "hostnet-nginx-amd64:latest"], [base, nginx(12003)], **run)
    print(f"{count} references pushed")


main()
