"""The lab's certificates: good ones, and the bad ones that tests need. Keys are EC P-256, made by openssl."""
import os
import subprocess

NODE = "extendedKeyUsage=clientAuth"


def _openssl(*arguments):
    done = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]}: {done.stderr.strip()}")


def _authority(folder, name):
    _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-subj",
             f"/CN={name}", "-keyout", f"{folder}/{name}.key", "-out", f"{folder}/{name}.crt",
             "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")


def _issue(folder, file, common_name, extensions, authority="ca", days=30):
    request, settings = f"{folder}/{file}.csr", f"{folder}/{file}.ext"
    with open(settings, "w", encoding="ascii") as f:
        f.write("basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n" + extensions + "\n")
    _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
             f"/CN={common_name}", "-keyout", f"{folder}/{file}.key", "-out", request)
    _openssl("x509", "-req", "-in", request, "-CA", f"{folder}/{authority}.crt", "-CAkey", f"{folder}/{authority}.key",
             "-CAcreateserial", "-days", str(days), "-extfile", settings, "-out", f"{folder}/{file}.crt")
    os.remove(request)
    os.remove(settings)


def make_kubernetes(folder, users):
    """ca, kube-apiserver (the server), a client's certificate for each of `users` (file -> name, "NAME/O=GROUP" with a
    group), and accounts.key, which signs the tokens of service accounts."""
    os.umask(0o077)
    _authority(folder, "ca")
    _issue(folder, "kube-apiserver", "kube-apiserver",
           "extendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.96.0.1")
    for file, name in users.items():
        _issue(folder, file, name, NODE)
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", f"{folder}/accounts.key")
    os.umask(0o022)


def make(folder, node_names):
    """ca, server, node-1..N; and for bad input: expired (ends this second), stranger (of the other authority),
    copied (another certificate with the first node's name)."""
    os.umask(0o077)
    _authority(folder, "ca")
    _authority(folder, "other-ca")
    _issue(folder, "server", "interlink-lab-site",
           "extendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1")
    for i, name in enumerate(node_names, 1):
        _issue(folder, f"node-{i}", name, NODE)
    _issue(folder, "expired", node_names[0], NODE, days=0)
    _issue(folder, "stranger", node_names[0], NODE, authority="other-ca")
    _issue(folder, "copied", node_names[0], NODE)
    os.umask(0o022)
