#!/usr/bin/env python3
"""Counts test cases: prints "PASSED FAILED SKIPPED", and on stderr what failed.

usage: count_tests.py ctest JUNIT.xml     of ctest; a Catch2 binary counts its cases, one that ended without a summary is one failure
       count_tests.py tap FILE            of bats
       count_tests.py conformance FILE    of test/support/conformance
       count_tests.py lint FILE           of test/lint/lint.py
"""
import re
import sys
import xml.etree.ElementTree as xml


def of_ctest(path):
    passed = failed = skipped = 0
    for case in xml.parse(path).getroot().iter("testcase"):
        out = case.findtext("system-out") or ""
        status = case.get("status")
        if status in ("disabled", "notrun"):
            skipped += status == "disabled"
            failed += status == "notrun"
            print(f"not run: {case.get('name')}", file=sys.stderr) if status == "notrun" else None
            continue
        good = re.search(r"All tests passed \(\d+ assertions? in (\d+) test cases?\)", out)
        python = re.search(r"^Ran (\d+) tests? in [\d.]+s\s+OK$", out.strip(), re.MULTILINE)
        bad = re.search(r"test cases: +(\d+) \|(?: +(\d+) passed \|)? +(\d+) failed", out)
        if status == "run" and good:
            passed += int(good.group(1))
        elif status == "run" and python:
            passed += int(python.group(1))
        elif bad:
            passed += int(bad.group(2) or 0)
            failed += int(bad.group(3))
        elif status == "run":
            passed += 1
        else:
            failed += 1
        if status != "run":
            print(f"failed: {case.get('name')}\n{out[-6000:]}", file=sys.stderr)
    return passed, failed, skipped


def of_tap(path):
    with open(path, encoding="utf-8", errors="replace") as f:
        lines = f.read().splitlines()
    plan = next((int(m.group(1)) for m in (re.match(r"1\.\.(\d+)", line) for line in lines) if m), 0)
    skipped = sum(bool(re.match(r"ok \d+ .*# skip", line)) for line in lines)
    passed = sum(line.startswith("ok ") for line in lines) - skipped
    failed = plan - passed - skipped
    return passed, max(failed, 1 if plan == 0 else 0), skipped


def of_lint(path):
    return last_sum(path, r"lint: (\d+) passed, (\d+) failed()$")


def of_conformance(path):
    return last_sum(path, r"conformance: (\d+) passed, (\d+) failed, (\d+) skipped$")


def last_sum(path, pattern):
    """Of a program whose last line says it; without that line it did not come to its end."""
    with open(path, encoding="utf-8", errors="replace") as f:
        lines = f.read().splitlines()
    match = re.match(pattern, lines[-1]) if lines else None
    return tuple(int(number or 0) for number in match.groups()) if match else (0, 1, 0)


def main():
    kinds = {"ctest": of_ctest, "tap": of_tap, "conformance": of_conformance, "lint": of_lint}
    if len(sys.argv) != 3 or sys.argv[1] not in kinds:
        sys.exit(__doc__)
    print(*kinds[sys.argv[1]](sys.argv[2]))


if __name__ == "__main__":
    main()
