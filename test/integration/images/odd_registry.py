#!/usr/bin/env python3
"""A registry on loopback that passes another one on, oddly. Writes its port to a file, then serves until it is ended.

usage: odd_registry.py PORT_FILE UPSTREAM half      sends half of each blob over 1 MiB, then nothing more
       odd_registry.py PORT_FILE UPSTREAM token     wants a bearer token, given at /token to user:secret
       odd_registry.py PORT_FILE UPSTREAM redirect  redirects blobs to the upstream, and fails when a client sends its
                                                    credentials along
"""
import base64
import http.client
import http.server
import os
import sys
import threading

PORT_FILE, UPSTREAM, MODE = sys.argv[1:4]


class Odd(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if MODE == "token" and not self.authorized():
            return
        if MODE == "redirect" and "/blobs/" in self.path:
            self.plain(307, b"", {"Location": f"http://{UPSTREAM}{self.path}"})
            return
        upstream = http.client.HTTPConnection(UPSTREAM)
        upstream.request("GET", self.path, headers={"Accept": self.headers.get("Accept", "*/*")})
        answer = upstream.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.getheader("Content-Type", "application/octet-stream"))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if MODE == "half" and len(body) > 1 << 20:
            self.wfile.write(body[:len(body) // 2])
            self.wfile.flush()
            threading.Event().wait()
        self.wfile.write(body)

    def authorized(self):
        sent = self.headers.get("Authorization", "")
        if self.path.startswith("/token"):
            right = sent == "Basic " + base64.b64encode(b"user:secret").decode()
            self.plain(200 if right else 401, b'{"token": "let-me-in"}' if right else b"{}", {})
            return False
        if sent == "Bearer let-me-in":
            return True
        realm = f'Bearer realm="http://127.0.0.1:{self.server.server_address[1]}/token",service="lab"'
        self.plain(401, b'{"errors": [{"message": "authentication required"}]}', {"WWW-Authenticate": realm})
        return False

    def plain(self, status, body, headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Odd)
with open(PORT_FILE + ".new", "w") as f:
    f.write(str(server.server_address[1]))
os.rename(PORT_FILE + ".new", PORT_FILE)
server.serve_forever()
