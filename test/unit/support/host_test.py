#!/usr/bin/env python3
"""test/support/lab/host.py: kernel settings come back, whoever ends first."""
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../support/lab"))
from host import HostSettings  # noqa: E402


class HostSettingsComeBack(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        os.makedirs(self.root + "/sys/net/a")
        self.write("sys/net/a/off", "0")
        self.write("sys/net/a/on", "1")
        self.settings = HostSettings(self.root + "/sys", self.root + "/record", {"net.a.off": "1", "net.a.on": "1"})
        self.one, self.two = self.lab("one"), self.lab("two")

    def write(self, path, text):
        with open(f"{self.root}/{path}", "w", encoding="ascii") as f:
            f.write(text + "\n")

    def read(self, path):
        with open(f"{self.root}/{path}", encoding="ascii") as f:
            return f.read().strip()

    def lab(self, name):
        os.makedirs(f"{self.root}/{name}")
        self.write(name + "/lab.json", "{}")
        return f"{self.root}/{name}"

    def test_one_lab_sets_them_and_puts_them_back(self):
        self.settings.hold(self.one)
        self.assertEqual(self.read("sys/net/a/off"), "1")

        self.settings.release(self.one)

        self.assertEqual((self.read("sys/net/a/off"), self.read("sys/net/a/on")), ("0", "1"))
        self.assertFalse(os.path.exists(self.root + "/record"))

    def test_the_first_of_two_labs_to_end_takes_nothing_from_the_other(self):
        self.settings.hold(self.one)
        self.settings.hold(self.two)

        self.settings.release(self.one)
        self.assertEqual(self.read("sys/net/a/off"), "1")

        self.settings.release(self.two)
        self.assertEqual(self.read("sys/net/a/off"), "0")

    def test_a_lab_whose_folder_is_gone_holds_nothing(self):
        self.settings.hold(self.one)
        self.settings.hold(self.two)
        os.remove(self.one + "/lab.json")

        self.settings.release(self.two)

        self.assertEqual(self.read("sys/net/a/off"), "0")

    def test_what_somebody_else_changed_meanwhile_stays(self):
        self.settings.hold(self.one)
        self.write("sys/net/a/off", "2")

        self.settings.release(self.one)

        self.assertEqual(self.read("sys/net/a/off"), "2")

    def test_a_release_without_a_hold_changes_nothing(self):
        self.settings.release(self.one)

        self.assertEqual(self.read("sys/net/a/off"), "0")

    def test_a_setting_that_the_kernel_lacks_is_told(self):
        lacking = HostSettings(self.root + "/sys", self.root + "/record", {"net.a.none": "1", "net.a.off": "1"})

        self.assertEqual(lacking.hold(self.one), ["net.a.none"])
        self.assertEqual(self.read("sys/net/a/off"), "1")


if __name__ == "__main__":
    unittest.main()
