#!/usr/bin/env python3
"""A registry on loopback whose every answer is well formed and wrong. Prints its port, then serves until it is ended.

usage: lying_registry.py PORT_FILE
  lie/blob        the layer's bytes are not those that the manifest names (one byte differs, same length)
  lie/config      likewise for the config
  lie/short       the layer ends early, though Content-Length is right for what is sent
  lie/size        the manifest names another size than the layer has
  lie/manifest    asked by digest, it sends another manifest than that digest's
  lie/html        an HTML page instead of a manifest
"""
import gzip
import http.server
import os
import sys

from oci import MANIFEST, Tree, describe, digest

TREE = Tree().file("hello", "hello\n").tar()
PACKED = gzip.compress(TREE, mtime=0)
IMAGE, MANIFEST_BYTES = describe([(TREE, PACKED)], {"Cmd": ["sh"]})


def flipped(data):
    return data[:-1] + bytes([data[-1] ^ 1])


class Liar(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(False)

    def do_GET(self):
        self.answer(True)

    def answer(self, with_body):
        kind, data = self.content()
        self.send_response(200 if data is not None else 404)
        data = data or b"{}"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if with_body:
            self.wfile.write(data)

    def content(self):
        parts = self.path.split("?")[0].split("/")
        if self.path.rstrip("/") == "/v2":
            return "application/json", b"{}"
        if len(parts) < 6 or parts[2] != "lie":
            return "application/json", None
        lie, what, name = parts[3], parts[4], parts[5]
        if what == "manifests":
            if lie == "html":
                return "text/html", b"<html>sign in, please</html>"
            if lie == "size":
                return MANIFEST, MANIFEST_BYTES.replace(b'"size": %d}]' % len(PACKED), b'"size": %d}]' % (len(PACKED) + 7))
            if lie == "manifest" and name.startswith("sha256:"):
                return MANIFEST, MANIFEST_BYTES + b" "
            return MANIFEST, MANIFEST_BYTES
        if name == digest(IMAGE):
            return "application/octet-stream", flipped(IMAGE) if lie == "config" else IMAGE
        if name == digest(PACKED):
            wrong = {"blob": flipped(PACKED), "short": PACKED[:-10]}
            return "application/octet-stream", wrong.get(lie, PACKED)
        return "application/json", None

    def log_message(self, *_):
        pass


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
    with open(sys.argv[1] + ".new", "w") as f:
        f.write(str(server.server_address[1]))
    os.rename(sys.argv[1] + ".new", sys.argv[1])
    server.serve_forever()


if __name__ == "__main__":
    main()
