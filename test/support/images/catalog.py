"""What test images there are: names, layers, settings. The names are those that critest has built in; a site's mirrors
lead registry.k8s.io and the others to one registry. What each image must have is said where it is made."""
import os
import subprocess

from busybox_root import busybox_root
from cache import compiled
from oci import Tree, architecture

E2E, TOOLS, HUB = "e2e-test-images/", "k8s-staging-cri-tools/", "docker/library/"
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


class Image:
    """`references` name/path:tag without a host; `layers` lowest first; `settings` of the image's config."""

    def __init__(self, references, layers, **settings):
        self.references, self.layers, self.settings = references, layers, settings


def busybox():
    """Debian's busybox with what critest runs and Debian's lacks: ipcs, pgrep."""
    tree = Tree()
    binary = os.path.join(busybox_root(), "bin/busybox")
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
    """Debian's nginx, whose master process is the container's first and writes /var/run/nginx.pid."""
    conf = (f"user www-data; worker_processes 1; pid /var/run/nginx.pid; error_log /dev/stderr;\n"
            f"events {{ worker_connections 64; }}\n"
            f"http {{ include mime.types; access_log /dev/stdout; server {{ listen {port}; root /usr/share/nginx/html; }} }}\n")
    tree = Tree().program("usr/sbin/nginx", "/usr/sbin/nginx")
    tree.host_file("etc/nginx/mime.types", "/etc/nginx/mime.types").file("etc/nginx/nginx.conf", conf)
    tree.file("usr/share/nginx/html/index.html", "<html><body>nginx</body></html>\n")
    return tree.folder("var/log/nginx").folder("var/lib/nginx")


def member_of_a_group():
    """A user who is in a group that only the image knows."""
    tree = Tree().file("etc/passwd", PASSWD + "default-user:x:1000:1000::/home/default-user:/bin/sh\n")
    return tree.file("etc/group", GROUP + "default-user:x:1000:\ngroup-defined-in-image:x:50000:default-user\n")


def for_people(base):
    """What the project's own tests and people use: few and small, every lab has them."""
    images = [Image([E2E + "busybox:1.29-2", "library/busybox:latest"] +
                    [HUB + "busybox:" + t for t in ("1", "1-glibc", "1-musl", "1-uclibc", "1.35.0-glibc")], [base], Cmd=["sh"])]
    images += [Image([f"{TOOLS}test-image-user-{name}:latest"], [base], Cmd=["sh"], User=user)
               for name, user in (("uid", "1002"), ("username", "www-data"))]
    images += [Image([f"{TOOLS}test-image-{name}:latest"], [base, Tree().file("image-" + name, name)], Cmd=["sh"])
               for name in ("1", "2")]
    # containerd, which a lab has with --peer, keeps one in each pod.
    images.append(Image(["pause:3.9"], [Tree().file("pause", compiled(PAUSE), 0o755)], Entrypoint=["/pause"], User="65535:65535"))
    return images


def for_critest(base):
    """The others that critest asks for. One it asks for by the upstream's digest, which no other bytes can have."""
    images = [Image([f"{TOOLS}test-image-user-{name}:latest"], [base], Cmd=["sh"], User=user)
              for name, user in (("uid-group", "1003:1004"), ("username-group", "www-data:1004"))]
    images.append(Image([TOOLS + "test-image-predefined-group:latest"], [base, member_of_a_group()], Cmd=["sh"], User="1000"))
    images += [Image([f"{TOOLS}test-image-{name}:latest"], [base, Tree().file("image-" + name, name)], Cmd=["sh"])
               for name in ("3", "latest")]
    images.append(Image([f"{TOOLS}test-image-tags:{t}" for t in "123"], [base, Tree().file("same-image", "")], Cmd=["sh"]))
    images += [Image([f"{TOOLS}test-image-tag:{tag}"], [base, Tree().file(tag, tag)], Cmd=["sh"]) for tag in ("test", "all")]
    images.append(Image([E2E + "httpd:2.4.39-4"], [base],
                        Cmd=["/bin/sh", "-c", "echo httpd -D FOREGROUND; exec httpd -f -v -p 80 -h /www"]))
    images.append(Image([E2E + "nonewprivs:1.3"], [Tree().file("nnp", compiled(EFFECTIVE_UID), 0o4755)], Entrypoint=["/nnp"]))
    run = {"Entrypoint": ["nginx"], "Cmd": ["-g", "daemon off;"], "ExposedPorts": {"80/tcp": {}}}
    images.append(Image([E2E + "nginx:1.14-2"], [base, nginx(80)], **run))
    images.append(Image([f"{TOOLS}hostnet-nginx-{architecture()}:latest"], [base, nginx(12003)], **run))
    return images
