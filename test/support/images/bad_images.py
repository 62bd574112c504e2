#!/usr/bin/env python3
"""Pushes images that no runtime may accept, under evil/ of a registry on loopback. Tests pull them and look at what
happened to the host.

usage: bad_images.py REGISTRY VICTIM      VICTIM: a folder that the layers try to write into from within
"""
import gzip
import io
import os
import sys
import tarfile

from oci import Registry, describe, digest


def tar_of(*members):
    """A layer of (name, type, link target or bytes), unchecked and in this order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, value in members:
            info = tarfile.TarInfo(name)
            info.type, info.mode = kind, 0o755
            if kind == tarfile.REGTYPE:
                info.size = len(value)
                tar.addfile(info, io.BytesIO(value))
            else:
                info.linkname = value
                tar.addfile(info)
    return buffer.getvalue()


def layers_that_escape(victim):
    up = "../" * 30 + victim.strip("/")
    file, symlink, hardlink = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
    return {
        "dotdot": tar_of((up + "/dotdot", file, b"out")),
        "symlink": tar_of(("door", symlink, victim), ("door/symlink", file, b"out")),
        "dotdot-symlink": tar_of(("door", symlink, up), ("door/dotdot-symlink", file, b"out")),
        "hardlink": tar_of(("stolen", hardlink, up + "/secret"), ("stolen", file, b"overwritten")),
    }


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    registry, victim = Registry(sys.argv[1]), os.path.realpath(sys.argv[2])
    images = {name: [(raw, gzip.compress(raw, mtime=0))] for name, raw in layers_that_escape(victim).items()}
    plain = tar_of(("hello", tarfile.REGTYPE, b"hello"))
    packed = gzip.compress(plain, mtime=0)
    images["wrong-diff-id"] = [(plain + b"\0" * 512, packed)]  # the config names another tar than the blob holds
    images["cut"] = [(plain, packed[:len(packed) // 2])]       # a blob that ends in the middle, with the right digest
    images["no-gzip"] = [(plain, b"this is no archive")]
    for name, layers in images.items():
        config, manifest = describe(layers, {"Cmd": ["sh"]})
        for blob in [config] + [packed for _, packed in layers]:
            registry.blob("evil/" + name, blob)
        registry.manifest("evil/" + name, "latest", manifest)
    print(f"{len(images)} bad images pushed, e.g. evil/dotdot:latest is {digest(manifest)}")


if __name__ == "__main__":
    main()
