#!/usr/bin/env python3
"""test/support/conformance/report.py: a run is good only when nothing is missing from it."""
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
CONFORMANCE = os.path.join(HERE, "../../support/conformance")
sys.path.insert(0, CONFORMANCE)
import report  # noqa: E402

VERSION = "1.36.0"
BENCHMARK, APPARMOR, DIGEST = "Image benchmark about x", "AppArmor x", "Image Manager digest"
SKIPS = report.read_skips(f"# c\n\nbenchmark | {BENCHMARK} | b\nno-apparmor | {APPARMOR} | a\nno-internet | {DIGEST} | d\n",
                          VERSION)


def case(name, status="passed", inside=""):
    return f'<testcase name="[It] [k8s.io] {name}" status="{status}">{inside}</testcase>'


def junit(cases, succeeded="true"):
    return ('<testsuites><testsuite><properties><property name="SuiteSucceeded" value="' + succeeded + '"/></properties>' +
            '<testcase name="[BeforeSuite]" status="passed"/>' + "".join(cases) + "</testsuite></testsuites>")


SKIPPED = '<skipped message="skipped"/>'
LISTED = [case(BENCHMARK, "skipped", SKIPPED), case(DIGEST, "skipped", SKIPPED),
          case(APPARMOR, "skipped", '<skipped message="skipped - AppArmor is disabled on this host"/>')]


def full(*instead):
    """As many specs as critest has; the last ones are `instead`."""
    count = report.SPECS[VERSION] - len(LISTED) - len(instead)
    return LISTED + [case(f"PodSandbox {i}") for i in range(count)] + list(instead)


def judge(cases, succeeded="true", **how):
    specs, good = report.read_report(junit(cases, succeeded))
    return report.judge(specs, good, SKIPS, VERSION, **how)


class AFullRun(unittest.TestCase):
    def test_passes_with_only_the_listed_skips(self):
        verdict = judge(full())

        self.assertTrue(verdict.good(), verdict.problems)
        self.assertEqual((len(verdict.passed), len(verdict.skipped)), (119, 3))
        self.assertEqual({reason for _, reason in verdict.skipped}, {"a", "b", "d"})

    def test_fails_by_a_failed_spec_and_keeps_its_text(self):
        bad = case("PodSandbox bad", "failed", '<failure message="m" type="failed">lines</failure>')

        verdict = judge(full(bad), "false")

        self.assertEqual([(s.name, s.message, s.detail) for s in verdict.failed], [("PodSandbox bad", "m", "lines")])
        self.assertFalse(verdict.good())

    def test_fails_by_any_status_that_is_not_a_pass(self):
        for status in ("failed", "panicked", "timedout", "interrupted", "aborted", "pending", "unheard-of"):
            self.assertFalse(judge(full(case("PodSandbox bad", status))).good(), status)

    def test_fails_by_a_skip_that_is_not_listed(self):
        for why in (SKIPPED, '<skipped message="skipped - runtime does not implement recursive readonly mounts"/>'):
            verdict = judge(full(case("Container rro", "skipped", why)))

            self.assertEqual([spec.name for spec in verdict.failed], ["Container rro"])

    def test_fails_when_specs_are_missing_or_doubled(self):
        self.assertIn("121 specs", judge(full()[:-1]).problems[0])
        self.assertIn("twice", judge(full()[:-1] + [case("PodSandbox 1")]).problems[0])

    def test_fails_when_a_listed_skip_is_no_spec_any_more(self):
        verdict = judge([case("Image Manager renamed") if DIGEST in c else c for c in full()])

        self.assertEqual(len(verdict.problems), 1)
        self.assertIn(DIGEST, verdict.problems[0])

    def test_fails_when_apparmor_is_there_and_its_specs_were_skipped(self):
        self.assertEqual([s.name for s in judge(full(), apparmor=True).failed], [APPARMOR])

    def test_fails_when_critest_says_so_without_naming_a_spec(self):
        self.assertEqual(len(judge(full(), "false").problems), 1)

    def test_fails_when_what_runs_before_all_specs_fails(self):
        cases = full() + ['<testcase name="[BeforeSuite]" status="failed"><failure message="no socket"/></testcase>']

        self.assertEqual([spec.message for spec in judge(cases, "false").failed], ["no socket"])

    def test_of_an_unknown_version_is_not_taken(self):
        specs, good = report.read_report(junit(full()))

        self.assertIn("1.99.0 is not known", report.judge(specs, good, SKIPS, "1.99.0").problems[0])

    def test_on_a_host_with_selinux_has_more_specs_and_they_count(self):
        self.assertTrue(judge(full() + [case("SELinux level")]).good())
        self.assertFalse(judge(full() + [case("SELinux level", "failed")]).good())


class APartialRun(unittest.TestCase):
    def cases(self, *run):
        return [case(f"Streaming {i}", *run[i]) if i < len(run) else case(f"PodSandbox {i}", "skipped", SKIPPED)
                for i in range(report.SPECS[VERSION] - len(LISTED))] + LISTED

    def test_counts_only_what_was_selected(self):
        verdict = judge(self.cases(("passed",), ("passed",)), partial=2)

        self.assertTrue(verdict.good(), verdict.problems)
        self.assertEqual((len(verdict.passed), len(verdict.failed)), (2, 0))

    def test_fails_when_it_ran_nothing_or_not_as_much_as_it_must(self):
        self.assertFalse(judge(self.cases(), partial=0).good())
        self.assertFalse(judge(self.cases(("passed",)), partial=2).good())

    def test_fails_by_a_selected_spec_that_skips_itself(self):
        why = '<skipped message="skipped - runtime lacks it"/>'

        self.assertFalse(judge(self.cases(("passed",), ("skipped", why)), partial=0).good())


class TheSkipList(unittest.TestCase):
    def test_is_what_the_project_promises(self):
        with open(os.path.join(CONFORMANCE, "skips.txt"), encoding="utf-8") as f:
            text = f.read()

        for version, counts in (("1.36.0", [9, 5, 1, 0]), ("1.37.0", [9, 5, 1, 13])):
            skips = report.read_skips(text, version)
            self.assertEqual([sum(s.when == when for s in skips) for when in report.WHEN], counts)
            self.assertEqual(len({s.name for s in skips}), sum(counts))

    def test_of_pods_that_are_jobs_leaves_out_no_more_than_the_notes_tell(self):
        with open(os.path.join(CONFORMANCE, "skips.txt"), encoding="utf-8") as f:
            text = f.read()
        with open(os.path.join(HERE, "../../../docs/cri-notes.md"), encoding="utf-8") as f:
            notes = f.read().split("## critest where pods are jobs")[1]

        rows = [row.strip("|").split(" | ") for row in notes.splitlines() if row.startswith("| ")][1:]
        where = {"both": "job", "ordinary user": "job-user"}
        told = {(where[row[1]], name.strip(), row[2].strip()) for row in rows for name in row[0].split("<br>")}

        self.assertEqual({tuple(s) for s in report.read_skips(text, VERSION, "user") if s.when in report.JOBS}, told)
        for agents in report.LEAST:
            skips = report.read_skips(text, VERSION, agents)
            self.assertGreaterEqual(report.SPECS[VERSION] - len(skips), report.LEAST[agents])

    def test_of_pods_that_are_jobs_is_asked_for(self):
        text = f"job | {DIGEST} | r\njob-user | x | r"

        for agents, patterns in (("", []), ("root", [r"Image\ Manager\ digest"]), ("user", [r"Image\ Manager\ digest", "x"])):
            self.assertEqual(report.skip_patterns(report.read_skips(text, VERSION, agents)), patterns)

    def test_is_given_to_ginkgo_without_what_ginkgo_itself_adds_to_names(self):
        skips = report.read_skips("no-internet | Image (x) [Conformance] [Serial] | r\nbenchmark | b | r\n", VERSION)

        self.assertEqual(report.skip_patterns(skips), [r"Image\ \(x\)\ \[Conformance\]"])

    def test_with_a_bad_line_is_refused(self):
        for line in ("benchmark | x", "sometimes | x | y", "benchmark | | y", "x", "benchmark@2 | x | y"):
            with self.assertRaisesRegex(ValueError, "skips.txt:2"):
                report.read_skips("# c\n" + line, VERSION)


class AFailure(unittest.TestCase):
    def test_is_told_without_the_dump_of_its_fields(self):
        text = "[FAILED] no\nUnexpected error:\n    {\n        s: {}\n    }\noccurred"

        self.assertEqual(report.first_lines(text, 9), ["[FAILED] no", "Unexpected error:"])
        self.assertEqual(report.first_lines(text, 1), ["[FAILED] no"])


class TheTable(unittest.TestCase):
    def test_has_each_spec_once_and_the_sums(self):
        bad = case("Image Manager uid|name", "failed", '<failure message="m"/>')
        verdict = judge(full(bad), "false")

        text = report.table(verdict, VERSION, None)

        self.assertIn("118 of 119 pass, 3 are skipped", text)
        self.assertIn("| Image Manager | uid\\|name | **failed** |", text)
        self.assertIn("| AppArmor | x | skipped: a |", text)
        self.assertEqual(sum(line.startswith("| ") for line in text.splitlines()), 1 + report.SPECS[VERSION])


if __name__ == "__main__":
    unittest.main()
