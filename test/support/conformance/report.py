"""What a run of critest says, and whether that is good enough. Pure: files in, values out."""
import collections
import re
import xml.etree.ElementTree as xml

# How many specs each version has on a host without SELinux (`critest -ginkgo.dry-run` tells). A run with fewer has
# lost some, and a new version must be looked at before its number is written here.
SPECS = {"1.36.0": 122, "1.37.0": 142}
STREAMING = 5
PREFIX = "[It] [k8s.io] "
WHEN = ("no-apparmor", "benchmark", "no-internet", "no-nri")
JOBS = ("job", "job-user")  # where pods are jobs, and of those an ordinary user's
LEAST = {"root": 60, "user": 50}  # specs that pass there; the list must not grow beyond
VERSION = re.compile(r"\d+\.\d+\.\d+")

Spec = collections.namedtuple("Spec", "name status message detail")
Skip = collections.namedtuple("Skip", "when name reason")


class Verdict:
    """`passed`, `failed`: specs. `skipped`: (spec, reason). `problems`: sentences about the run as a whole."""

    def __init__(self):
        self.passed, self.failed, self.skipped, self.problems = [], [], [], []

    def good(self):
        return not self.failed and not self.problems


def read_skips(text, version, agents=""):
    """The lines of skips.txt that are about this version of critest and these agents: "" (none), "root" or "user". Raises
    ValueError that names a bad line."""
    skips, wanted = [], WHEN + {"": (), "root": JOBS[:1], "user": JOBS}[agents]
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split(" | ")]
        when, _, since = parts[0].partition("@")
        if len(parts) != 3 or not all(parts) or when not in WHEN + JOBS or (since and not VERSION.fullmatch(since)):
            raise ValueError(f"skips.txt:{number}: expected 'when | spec | reason' with when one of {', '.join(WHEN + JOBS)}, "
                             f"then perhaps @VERSION: {line}")
        if when in wanted and (not since or _numbers(since) <= _numbers(version)):
            skips.append(Skip(when, *parts[1:]))
    return skips


def _numbers(version):
    return [int(number) for number in version.split(".")]


def skip_patterns(skips):
    """What -ginkgo.skip is given: those that critest would run otherwise. ginkgo adds [Serial] only in the report."""
    return [re.escape(skip.name.removesuffix(" [Serial]")) for skip in skips if skip.when in ("no-internet", *JOBS)]


def read_report(text):
    """([Spec], succeeded) of a junit file that ginkgo wrote. What is no spec (BeforeSuite) is one only when it failed."""
    root = xml.fromstring(text)
    specs = []
    for case in root.iter("testcase"):
        name, status = case.get("name"), case.get("status")
        if not name.startswith("[It]"):
            if status == "passed":
                continue
        name = name.removeprefix(PREFIX)
        bad = case.find("failure") if case.find("failure") is not None else case.find("error")
        skipped = case.find("skipped")
        message = bad.get("message") if bad is not None else skipped.get("message") if skipped is not None else ""
        specs.append(Spec(name, status, message or "", (bad.text or "") if bad is not None else ""))
    succeeded = [p.get("value") for p in root.iter("property") if p.get("name") == "SuiteSucceeded"]
    return specs, bool(succeeded) and all(value == "true" for value in succeeded)


def judge(specs, succeeded, skips, version, partial=None, apparmor=False):
    """The verdict on a run. `partial`: how many specs were selected on purpose (0: some), or None: all of them."""
    verdict = Verdict()
    listed = {skip.name: skip for skip in skips}
    _count(verdict, specs, version)
    names = {spec.name for spec in specs}
    verdict.problems += [f"skips.txt names a spec that this critest does not have: {skip.name}"
                         for skip in skips if skip.name not in names]
    for spec in specs:
        skip = listed.get(spec.name)
        if spec.status == "passed":
            verdict.passed.append(spec)
        elif spec.status != "skipped":
            verdict.failed.append(spec)
        elif partial is not None and not _by_itself(spec):
            continue  # not selected
        elif skip and not (skip.when == "no-apparmor" and apparmor):
            verdict.skipped.append((spec, skip.reason))
        else:
            verdict.failed.append(spec)
    run = len(verdict.passed) + len(verdict.failed)
    if partial is not None and (run == 0 or partial not in (0, run)):
        verdict.problems.append(f"{run} specs ran, expected {partial or 'at least one'}")
    if not succeeded and not verdict.failed:
        verdict.problems.append("critest says that the run failed, though no spec did: its output tells why")
    return verdict


def _by_itself(spec):
    """critest's own Skip() has a reason; a spec that was not selected has none."""
    return spec.message not in ("", "skipped")


def _count(verdict, specs, version):
    if len({spec.name for spec in specs}) != len(specs):
        verdict.problems.append("the report has a spec twice")
    expected = SPECS.get(version)
    count = sum(not spec.name.startswith("SELinux") for spec in specs)
    if expected is None:
        verdict.problems.append(f"critest {version} is not known: write how many specs it has ({count} here) into report.py")
    elif count != expected:
        verdict.problems.append(f"the report has {count} specs, critest {version} has {expected}")


def first_lines(text, count):
    """The beginning of a failure, without gomega's dump of the error's fields."""
    lines = text.strip().splitlines()
    end = next((i for i, line in enumerate(lines) if line.strip() == "{"), len(lines))
    return lines[:min(end, count)]


def table(verdict, version, websocket):
    """docs/conformance.md. `websocket`: the verdict of the streaming specs over WebSocket, or None: not run."""
    ran = len(verdict.passed) + len(verdict.failed)
    lines = [
        "# Conformance", "",
        f"critest {version} through the whole path: CRI socket, mutual TLS, REST, the `local` plugin with crun. "
        "Made by `test/run.sh conformance` with `CONFORMANCE_TABLE=docs/conformance.md`; not edited by hand.", "",
        f"{len(verdict.passed)} of {ran} pass, {len(verdict.skipped)} are skipped for the reasons below."
        + (f" Over WebSocket, {len(websocket.passed)} of {STREAMING} streaming specs pass." if websocket else ""),
        "", "| area | spec | result |", "|---|---|---|",
    ]
    rows = [(spec.name, "pass") for spec in verdict.passed]
    rows += [(spec.name, "**" + spec.status + "**" + (f": {spec.message}" if spec.status == "skipped" else ""))
             for spec in verdict.failed]
    rows += [(spec.name, "skipped: " + reason) for spec, reason in verdict.skipped]
    for name, result in sorted(rows):
        area, rest = split_area(name)
        lines.append(f"| {area} | {_cell(rest)} | {_cell(result)} |")
    return "\n".join(lines) + "\n"


def _cell(text):
    return " ".join(text.split()).replace("|", "\\|")


AREAS = ("AppArmor", "Container", "Idempotence", "Image Consistency", "Image Identifier Consistency", "Image Manager", "Image",
         "Multiple Containers", "Networking", "PodSandbox", "Runtime info", "SELinux", "Security Context", "Streaming")


def split_area(name):
    """The area is what the spec's name begins with; the longest one counts."""
    for area in sorted(AREAS, key=len, reverse=True):
        if name.startswith(area + " "):
            return area, name[len(area) + 1:]
    return "", name
