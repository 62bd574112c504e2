"""OCI images from lists of files, and a client that pushes them. Only the standard library.

The same input gives the same bytes: entries are sorted, times are 0, gzip carries no name and no time (cache.py).
"""
import hashlib
import http.client
import io
import json
import os
import platform
import stat
import subprocess
import sys
import tarfile

from cache import packed

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def architecture():
    """This machine's, as images name it."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)


class Tree:
    """The files of one layer."""

    def __init__(self):
        self.entries = {}
        self.made = None

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

    def layer(self):
        """(tar, compressed); made once. REQUIRES: nothing is added afterwards."""
        if self.made is None:
            raw = self.tar()
            self.made = (raw, packed(raw))
        return self.made

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
    """Pushes one image under several names; answers how many."""
    layers = [tree.layer() for tree in trees]
    image, manifest = describe(layers, config)
    for reference in references:
        name, tag = reference.rsplit(":", 1)
        for _, compressed in layers:
            registry.blob(name, compressed)
        registry.blob(name, image)
        registry.manifest(name, tag, manifest)
    return len(references)


def describe(layers, config):
    """The config and the manifest of an image, as bytes. `layers`: (tar, compressed) each, lowest first."""
    settings = {"Env": [PATH]}
    settings.update({k: v for k, v in config.items() if v})
    image = json.dumps({
        "architecture": architecture(), "os": "linux", "created": "1970-01-01T00:00:00Z", "config": settings,
        "rootfs": {"type": "layers", "diff_ids": [digest(raw) for raw, _ in layers]},
        "history": [{"created": "1970-01-01T00:00:00Z"} for _ in layers],
    }, sort_keys=True).encode()
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": digest(image), "size": len(image)},
        "layers": [{"mediaType": LAYER, "digest": digest(blob), "size": len(blob)} for _, blob in layers],
    }).encode()
    return image, manifest
