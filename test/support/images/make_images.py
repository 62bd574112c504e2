#!/usr/bin/env python3
"""Makes the test images from Debian's packages and pushes them to a registry on loopback.

usage: make_images.py REGISTRY [--conformance]      REGISTRY: host:port
  --conformance   also those that only critest asks for

The images are the same bytes each time; what takes time to make is kept in the user's cache folder.
"""
import sys

import catalog
from oci import Registry, push


def main():
    if len(sys.argv) < 2 or sys.argv[2:] not in ([], ["--conformance"]):
        sys.exit(__doc__)
    registry = Registry(sys.argv[1])
    base = catalog.busybox()
    images = catalog.for_people(base) + (catalog.for_critest(base) if sys.argv[2:] else [])
    count = sum(push(registry, image.references, image.layers, **image.settings) for image in images)
    print(f"{count} references pushed")


if __name__ == "__main__":
    main()
