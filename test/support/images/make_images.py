#!/usr/bin/env python3
"""Makes the test images from Debian's packages and pushes them to a registry on loopback.

usage: make_images.py REGISTRY      REGISTRY: host:port

The names are those that critest asks for (a site's mirrors lead registry.k8s.io and others here), and
docker/library and library for people.
"""
import os
import subprocess
import sys
import tempfile

from busybox_root import busybox_root
from oci import Registry, Tree, push

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
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    registry = Registry(sys.argv[1])
    base = busybox(busybox_root())
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


if __name__ == "__main__":
    main()
