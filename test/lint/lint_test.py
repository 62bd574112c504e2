#!/usr/bin/env python3
"""Each check of test/lint finds what it is for, and is quiet about what is right. A check that cannot fail is a defect."""
import os
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True

import checks  # noqa: E402

RULES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "layers.json")


class ChecksFindWhatTheyAreFor(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = self.folder.name
        subprocess.run(["git", "init", "-q", self.root], check=True)
        self.write(".clang-format", "BasedOnStyle: Google\n")

    def tearDown(self):
        self.folder.cleanup()

    def write(self, file, text):
        path = os.path.join(self.root, file)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)

    def found(self, check, build=None):
        return [(file, line) for file, line, _ in check(checks.Tree(self.root, RULES, build))]

    def expect(self, check, file, bad, good, line=1):
        self.write(file, good)
        self.assertEqual(self.found(check), [], "what is right must pass")
        self.write(file, bad)
        self.assertEqual(self.found(check), [(file, line)])

    def test_a_domain_must_not_include_an_adapter(self):
        self.expect(checks.layers, "lib/node/a.cc", '#include "net/url.h"\n', '#include "base/id.h"\n#include "node/node.h"\n')

    def test_an_unknown_folder_is_named(self):
        self.write("lib/newcomer/a.cc", "")
        self.assertEqual(self.found(checks.layers), [("lib/newcomer/a.cc", 1)])

    def test_generated_code_is_a_layer(self):
        self.expect(checks.layers, "lib/net/a.h", '#include "runtime/v1/api.pb.h"\n', '#include "base/status.h"\n')

    def test_grpc_stays_in_its_files(self):
        self.expect(checks.grpc, "lib/node/a.cc", "\n#include <grpcpp/grpcpp.h>\n", "", line=2)
        self.write("lib/node/a.cc", "")
        self.expect(checks.grpc, "lib/cri/server.cc", '#include "api.grpc.pb.h"\n', "#include <grpcpp/grpcpp.h>\n")

    def test_third_party_headers_stay_in_sources(self):
        self.expect(checks.third_party_headers, "lib/wire/a.h", "#include <nlohmann/json.hpp>\n", "#include <nlohmann/json_fwd.hpp>\n")

    def test_a_source_without_a_target(self):
        self.write("lib/wire/CMakeLists.txt", "interlink_library(wire SOURCES body.cc)\n")
        self.write("lib/wire/body.cc", "")
        self.write("lib/wire/lost_body.cc", "")
        self.assertEqual(self.found(checks.in_a_target), [("lib/wire/lost_body.cc", 1)])

    def test_a_glob_is_a_target(self):
        self.write("test/unit/CMakeLists.txt", "file(GLOB sources *_test.cc)\n")
        self.write("test/unit/a_test.cc", "")
        self.assertEqual(self.found(checks.in_a_target), [])

    def test_a_loop_over_names_is_a_target(self):
        self.write("test/unit/CMakeLists.txt", "foreach(f good bad)\n add_library(x_${f} fixtures/${f}.cc)\nendforeach()\n")
        self.write("test/unit/fixtures/good.cc", "")
        self.write("test/unit/fixtures/other.cc", "")
        self.assertEqual(self.found(checks.in_a_target), [("test/unit/fixtures/other.cc", 1)])

    def test_long_files(self):
        self.expect(checks.sizes, "lib/wire/a.cc", "\n" * 501, "\n" * 500, line=500)
        self.write("lib/wire/a.cc", "")
        self.expect(checks.sizes, "test/unit/a.cc", "\n" * 801, "\n" * 800, line=800)

    def test_format(self):
        self.expect(checks.clang_format, "lib/wire/a.cc", "int  a;\n", "int a;\n")

    def test_sleeps(self):
        self.expect(checks.no_sleep, "test/unit/a.cc", "std::this_thread::sleep_for(x);\n", "Eventually(f, 30s);\n")
        self.write("test/unit/a.cc", "")
        self.expect(checks.no_sleep, "test/system/a.bats", "  crictl ps; sleep 2\n", '  crictl exec -s "$id" sleep 2\n')
        self.write("test/system/a.bats", "")
        self.expect(checks.no_sleep, "test/support/a.py", "time.sleep(1)\n", "wait_until(f, 3)\n")

    def test_paths_of_a_machine(self):
        self.expect(checks.clean_text, "docs/a.md", "see /wo" "rk/main\n", "see /var/lib/work/a and ./work/a\n")

    def test_unfinished_work(self):
        self.expect(checks.clean_text, "lib/wire/a.cc", "// TO" "DO later\n", "// done\n")

    def test_scripts(self):
        self.expect(checks.scripts, "test/a.sh", "#!/usr/bin/env bash\nset -euo pipefail\nif\n", "#!/usr/bin/env bash\nset -euo pipefail\n")
        self.write("test/a.sh", "#!/usr/bin/env bash\n")
        self.assertEqual(self.found(checks.scripts), [("test/a.sh", 1)])
        self.write("test/a.sh", "")
        self.expect(checks.scripts, "test/a.py", "def\n", "a = 1\n")

    def test_a_second_copy_of_generated_code(self):
        plugins = os.path.join(self.root, "build/lib/interlink/plugins")
        os.makedirs(plugins)
        for symbol, expected in (("interlink_plugin_v1", 0), ("descriptor_table_runtime_2fv1_2fapi_2eproto", 1)):
            subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", plugins + "/local.so"],
                           input=f"int {symbol} = 1;".encode(), check=True)
            self.assertEqual(len(self.found(checks.one_copy_of_generated_code, self.root + "/build")), expected)

    def test_what_is_installed_is_hardened(self):
        binary = self.root + "/build/bin/daemon"
        os.makedirs(os.path.dirname(binary))
        code = b"#include <stdio.h>\n#include <string.h>\nint main(int n, char** v) { char b[9]; strcpy(b, v[n - 1]); return puts(b); }"
        hard = ["-O2", "-fPIE", "-pie", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2", "-Wl,-z,relro", "-Wl,-z,now"]
        soft = ["-O0", "-fno-pie", "-no-pie", "-fno-stack-protector", "-U_FORTIFY_SOURCE", "-Wl,-z,norelro", "-Wl,-z,lazy", "-Wl,-z,execstack"]
        for flags, expected in ((hard, 0), (soft, 6)):
            subprocess.run(["gcc", *flags, "-x", "c", "-", "-o", binary], input=code, check=True, stderr=subprocess.DEVNULL)
            self.assertEqual(len(self.found(checks.hardened, self.root + "/build")), expected)


if __name__ == "__main__":
    unittest.main()
