#!/usr/bin/env python3
"""Rules that a compiler does not know, over all files of the project. Prints file:line and what to do.

usage: test/lint/lint.py [BUILD_FOLDER]      with a build, its plugins are looked at too
Exit codes: 0 nothing found, 1 findings.
"""
import os
import sys

sys.dont_write_bytecode = True

import checks  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def main():
    tree = checks.Tree(ROOT, os.path.join(ROOT, "test/lint/layers.json"), sys.argv[1] if len(sys.argv) > 1 else None)
    failed = 0
    for check in checks.CHECKS:
        findings = list(check(tree))
        failed += bool(findings)
        print(f"{'failed' if findings else 'passed'}  {check.__name__}: {check.__doc__.splitlines()[0]}")
        for file, line, text in findings:
            print(f"  {file}:{line}: {text}")
    print(f"lint: {len(checks.CHECKS) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
