#!/usr/bin/env python3
"""Runs critest through a lab and says for each spec whether it passed, failed, or was skipped and why.

usage: conformance.py [--runs N] [--seed N] [--parallel N] [--focus REGEX] [--handler NAME] [--table FILE] [--logs DIR]
                      [--agents root|user [--no-shared-folder]] [--lab DIR] [--build DIR]
  --runs N       full runs, each with its own seed (default 1, CONFORMANCE_RUNS)
  --seed N       of the first run, the others count up from it (default: chosen and printed, CONFORMANCE_SEED)
  --parallel N   critest -parallel N (default 1, CONFORMANCE_PARALLEL)
  --focus REGEX  only specs whose name matches, and no second pass over WebSocket (CONFORMANCE_FOCUS)
  --handler NAME the runtime handler of all pods (default: none is named, CONFORMANCE_HANDLER)
  --table FILE   writes the table of the last full run there (CONFORMANCE_TABLE)
  --logs DIR     critest's output and reports, and the daemons' logs (default build/test-logs/conformance)
  --agents WHOSE pods are jobs of a SLURM (test/lab --plugin slurm), whose agents are root's or an ordinary user's
  --no-shared-folder   compute nodes see nothing of the site's folder
  --lab DIR      a running lab that was started with --conformance; default: one of its own
  --build DIR    what the lab runs (default build/release, INTERLINK_BUILD)

After the runs the streaming specs run again over WebSocket. Which specs may be skipped is in skips.txt.
The last line is "conformance: N passed, N failed, N skipped". Exit codes: 0, 1 a spec failed, 2 something is missing.
"""
import argparse
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True

import report  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
LAB = os.path.join(ROOT, "test/lab")
PORTS = range(12000, 12004)  # of this machine, built into critest
RUN_SECONDS = 1500
WEBSOCKET = ["-websocket-exec", "-websocket-attach", "-websocket-portforward"]


class Missing(Exception):
    """Something that only a person can provide."""


def say(text=""):
    print(text, flush=True)


def parse():
    setting = os.environ.get
    parser = argparse.ArgumentParser(usage=__doc__, add_help=True)
    parser.add_argument("--runs", type=int, default=int(setting("CONFORMANCE_RUNS") or 1))
    parser.add_argument("--seed", type=int, default=int(setting("CONFORMANCE_SEED") or random.randrange(1, 1 << 31)))
    parser.add_argument("--parallel", type=int, default=int(setting("CONFORMANCE_PARALLEL") or 1))
    parser.add_argument("--focus", default=setting("CONFORMANCE_FOCUS") or None)
    parser.add_argument("--handler", default=setting("CONFORMANCE_HANDLER") or "")
    parser.add_argument("--table", default=setting("CONFORMANCE_TABLE") or None)
    parser.add_argument("--logs", default=os.path.join(ROOT, "build/test-logs/conformance"))
    parser.add_argument("--agents", choices=("root", "user"), default="")
    parser.add_argument("--no-shared-folder", action="store_true")
    parser.add_argument("--lab")
    parser.add_argument("--build", default=setting("INTERLINK_BUILD"))
    args = parser.parse_args()
    if args.runs < 1 or args.parallel < 1:
        parser.error("--runs and --parallel are at least 1")
    if args.table and (args.focus or args.agents):
        parser.error("--table needs a full run of the local plugin, without --focus and --agents")
    if args.no_shared_folder and not args.agents:
        parser.error("--no-shared-folder is for --agents")
    return args


def check_machine():
    for name in ("critest", "ginkgo", "crictl"):
        if not shutil.which(name):
            raise Missing(f"{name} is not in PATH: PATH=$(test/support/tools/build-tools.sh critest ginkgo crictl):$PATH")
    for port in PORTS:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError as error:
                raise Missing(f"critest needs 127.0.0.1:{port}: {error.strerror}; end what listens there") from None


def critest_version():
    out = subprocess.run(["critest", "-version"], capture_output=True, text=True, timeout=60, check=True).stdout
    return re.search(r"critest version: (\S+)", out).group(1)


def has_apparmor():
    try:
        with open("/sys/module/apparmor/parameters/enabled", encoding="ascii") as f:
            return f.read().startswith("Y")
    except OSError:
        return False


class Critest:
    """Runs critest against one lab."""

    def __init__(self, args, lab):
        self.args, self.lab = args, lab
        self.version = critest_version()
        with open(os.path.join(HERE, "skips.txt"), encoding="utf-8") as f:
            self.skips = report.read_skips(f.read(), self.version, args.agents)
        self.work = os.path.join(lab, "critest")
        os.makedirs(self.work, exist_ok=True)

    def run(self, name, seed, more=(), partial=None):
        """One run; its verdict, printed."""
        junit, output = (os.path.join(self.args.logs, f"{name}.{kind}") for kind in ("xml", "txt"))
        command = ["critest", f"-runtime-endpoint=unix://{self.lab}/cri-1.sock", f"-config={self.lab}/crictl-1.yaml",
                   f"-runtime-handler={self.args.handler}", f"-ginkgo.seed={seed}", "-ginkgo.no-color", f"-ginkgo.junit-report={junit}",
                   f"-ginkgo.timeout={RUN_SECONDS}s", *more]
        command += [f"-ginkgo.skip={pattern}" for pattern in report.skip_patterns(self.skips)]
        say(f"{name}: seed {seed}")
        before = self.pods()
        begin = time.monotonic()
        # critest's files lie in the lab, so that they go with it.
        environment = {**os.environ, "TMPDIR": self.work}
        with open(output, "w", encoding="utf-8") as log:
            child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment,
                                     start_new_session=True, cwd=self.work)
            try:
                child.wait(timeout=RUN_SECONDS + 120)
            except BaseException:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait(timeout=30)
                raise
        try:
            with open(junit, encoding="utf-8") as f:
                specs, succeeded = report.read_report(f.read())
        except (FileNotFoundError, SyntaxError) as error:  # xml's ParseError is a SyntaxError
            raise RuntimeError(f"critest wrote no report ({error}); the end of {output}:\n{tail(output)}") from None
        verdict = report.judge(specs, succeeded, self.skips, self.version, partial, has_apparmor())
        if child.returncode != 0 and verdict.good():
            verdict.problems.append(f"critest ended with {child.returncode}: see {output}")
        if verdict.good():
            left = self.pods() - before  # those of an earlier run, whose specs failed half-way, say nothing about this one
            if left:
                verdict.problems.append(f"{len(left)} pods are listed after critest removed all of its own: {', '.join(sorted(left))}")
        tell(name, verdict, time.monotonic() - begin)
        return verdict

    def pods(self):
        """Names of the pods that are listed. critest gives each its own."""
        out = subprocess.run(["crictl", "-c", f"{self.lab}/crictl-1.yaml", "pods", "-o", "json"], capture_output=True,
                             text=True, timeout=60)
        if out.returncode != 0:
            raise RuntimeError(f"crictl pods: {out.stderr.strip()}")
        return {pod["metadata"]["name"] for pod in json.loads(out.stdout)["items"]}


def tell(name, verdict, seconds):
    reasons = {}
    for spec, reason in verdict.skipped:
        reasons.setdefault(reason, []).append(spec.name)
    for reason, names in reasons.items():
        say(f"  skipped, {reason}:")
        for spec in sorted(names):
            say(f"    {spec}")
    for spec in verdict.failed:
        say(f"  {'NOT RUN' if spec.status == 'skipped' else spec.status.upper()}: {spec.name}")
        for line in report.first_lines(spec.detail or spec.message, 12):
            say(f"    {line}")
    for problem in verdict.problems:
        say(f"  PROBLEM: {problem}")
    say(f"  {name}: {len(verdict.passed)} passed, {len(verdict.failed)} failed, {len(verdict.skipped)} skipped, "
        f"{seconds:.0f} s{'' if verdict.good() else '  <- not good'}")


def tail(path, count=30):
    with open(path, encoding="utf-8", errors="replace") as f:
        return "".join(f.readlines()[-count:])


def run_all(args, critest):
    """All verdicts."""
    more = [f"-parallel={args.parallel}"] if args.parallel > 1 else []
    if args.focus:
        focus = [*more, f"-ginkgo.focus={args.focus}"]
        return [critest.run(f"focus-{i + 1}", args.seed + i, focus, partial=0) for i in range(args.runs)]
    verdicts = [critest.run(f"run-{i + 1}", args.seed + i, more) for i in range(args.runs)]
    for verdict in verdicts:
        least = report.LEAST.get(args.agents, 0)
        if len(verdict.passed) < least:
            verdict.problems.append(f"{len(verdict.passed)} specs passed, at least {least} must")
            say(f"  PROBLEM: {verdict.problems[-1]}")
    streaming = report.STREAMING - sum(skip.name.startswith("Streaming ") for skip in critest.skips)
    websocket = critest.run("websocket", args.seed, [*WEBSOCKET, "-ginkgo.focus=Streaming"], partial=streaming)
    if args.table:
        with open(args.table, "w", encoding="utf-8") as f:
            f.write(report.table(verdicts[-1], critest.version, websocket))
        say(f"table: {args.table}")
    return [*verdicts, websocket]


def with_lab(args):
    if args.lab:
        return run_all(args, Critest(args, os.path.realpath(args.lab)))
    folder = tempfile.mkdtemp(prefix="lab-", dir="/tmp")
    os.chmod(folder, 0o711)  # root of a user namespace must get through to its root file system
    up = [LAB, "up", folder, "--conformance", "--verbose"] + (["--build", args.build] if args.build else [])
    if args.agents:
        up += ["--plugin", "slurm"] + (["--site-user", "nobody"] if args.agents == "user" else [])
        up += ["--no-shared-folder"] if args.no_shared_folder else []
    try:
        if subprocess.run(up, stdout=subprocess.DEVNULL).returncode != 0:
            raise RuntimeError("the lab did not start (above)")
        return run_all(args, Critest(args, folder))
    finally:
        keep_logs(folder, args.logs)
        subprocess.run([LAB, "down", folder], check=True)


def keep_logs(folder, logs):
    if os.path.isdir(folder + "/log"):
        shutil.copytree(folder + "/log", os.path.join(logs, "daemons"), dirs_exist_ok=True)


def main():
    args = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    check_machine()
    shutil.rmtree(args.logs, ignore_errors=True)
    os.makedirs(args.logs)
    verdicts = with_lab(args)
    passed, skipped = (sum(len(getattr(v, what)) for v in verdicts) for what in ("passed", "skipped"))
    failed = sum(len(v.failed) + len(v.problems) for v in verdicts)
    say(f"conformance: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Missing as error:
        print(f"conformance: {error}", file=sys.stderr)
        sys.exit(2)
    except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
        print(f"conformance: {error}", file=sys.stderr)
        sys.exit(1)
