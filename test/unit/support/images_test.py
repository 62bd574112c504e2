#!/usr/bin/env python3
"""test/support/images: the same bytes each time, and all that critest asks for."""
import io
import os
import sys
import tarfile
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../support/images"))
import cache  # noqa: E402
import catalog  # noqa: E402
from oci import Tree, architecture  # noqa: E402

# What critest v1.36.0 names, without the host; and what the benchmarks do.
CRITEST = """
e2e-test-images/busybox:1.29-2 e2e-test-images/nginx:1.14-2 e2e-test-images/httpd:2.4.39-4 e2e-test-images/nonewprivs:1.3
pause:3.9 k8s-staging-cri-tools/hostnet-nginx-ARCH:latest k8s-staging-cri-tools/test-image-user-uid:latest
k8s-staging-cri-tools/test-image-user-username:latest k8s-staging-cri-tools/test-image-user-uid-group:latest
k8s-staging-cri-tools/test-image-user-username-group:latest k8s-staging-cri-tools/test-image-predefined-group:latest
k8s-staging-cri-tools/test-image-latest:latest k8s-staging-cri-tools/test-image-tag:test
k8s-staging-cri-tools/test-image-tag:all k8s-staging-cri-tools/test-image-1:latest
k8s-staging-cri-tools/test-image-2:latest k8s-staging-cri-tools/test-image-3:latest
k8s-staging-cri-tools/test-image-tags:1 k8s-staging-cri-tools/test-image-tags:2 k8s-staging-cri-tools/test-image-tags:3
docker/library/busybox:1 docker/library/busybox:1-uclibc docker/library/busybox:1-glibc docker/library/busybox:1-musl
docker/library/busybox:1.35.0-glibc
"""


class ImagesAreReproducible(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        before = os.environ.get("XDG_CACHE_HOME")
        os.environ["XDG_CACHE_HOME"] = folder.name
        self.addCleanup(lambda: os.environ.pop("XDG_CACHE_HOME") if before is None else
                        os.environ.__setitem__("XDG_CACHE_HOME", before))

    def test_the_order_in_which_a_tree_is_filled_does_not_matter(self):
        one = Tree().file("a/b", "1").folder("c", 0o1777).link("d", "a/b")
        two = Tree().link("d", "a/b").folder("c", 0o1777).file("a/b", "1")

        self.assertEqual(one.layer(), two.layer())

    def test_a_layer_keeps_modes_and_has_links_behind_their_targets(self):
        raw, _ = Tree().link("a", "z").file("z", "1", 0o4755).layer()

        with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
            members = [(m.name, m.type, m.mode, m.mtime, m.uid) for m in tar]
        self.assertEqual(members, [("z", tarfile.REGTYPE, 0o4755, 0, 0), ("a", tarfile.LNKTYPE, 0o755, 0, 0)])

    def test_what_is_cached_is_made_once_and_by_all_its_inputs(self):
        made = []

        def make():
            made.append(1)
            return b"x"

        for inputs in ([b"a", b"b"], [b"a", b"b"], [b"ab"], [b"a", b"c"]):
            self.assertEqual(cache.cached(inputs, make), b"x")
        self.assertEqual(len(made), 3)


class TheCatalogIsComplete(unittest.TestCase):
    def test_critest_finds_every_name_and_no_name_means_two_images(self):
        base = Tree().file("bin/busybox", "")
        host = {name: getattr(catalog, name) for name in ("nginx", "compiled")}
        self.addCleanup(lambda: [setattr(catalog, name, f) for name, f in host.items()])
        catalog.nginx, catalog.compiled = lambda port: Tree().file("port", str(port)), lambda source: source.encode()

        images = catalog.for_people(base) + catalog.for_critest(base)

        names = [name for image in images for name in image.references]
        self.assertEqual(len(names), len(set(names)))
        wanted = set(CRITEST.replace("ARCH", architecture()).split())
        self.assertEqual(wanted - set(names), set())


if __name__ == "__main__":
    unittest.main()
