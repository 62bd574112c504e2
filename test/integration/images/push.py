#!/usr/bin/env python3
"""Pushes the images of this test to a registry on loopback.

usage: push.py REGISTRY      lab/app:1 and lab/app:2 (two layers, whiteout in the upper one), lab/big:1 (8 MiB that do
                             not compress)
"""
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../support/images"))
from oci import Registry, Tree, push  # noqa: E402


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    registry = Registry(sys.argv[1])
    base = Tree().folder("etc").file("etc/os", "base\n").file("etc/gone", "x").file("bin/su", "s", 0o4755)
    base.link("bin/also", "bin/su")
    # Names that a PAX header holds in UTF-8; the first is decomposed, and must stay so.
    base.file("etc/cafe\u0301", "1").file("etc/\u65e5\u672c", "2").link("etc/link-\u65e5", "etc/\u65e5\u672c")
    top = Tree().file("etc/.wh.gone", "").file("opt/app", "app\n")
    push(registry, ["lab/app:1", "lab/app:2"], [base, top], Cmd=["/opt/app"], User="www-data:1004")
    noise = random.Random(7).randbytes(8 << 20)
    push(registry, ["lab/big:1"], [base, Tree().file("noise", noise)], Cmd=["sh"])


if __name__ == "__main__":
    main()
