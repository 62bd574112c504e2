"""The checks of test/lint. Each takes the tree and answers findings: (file, line, what to do)."""
import json
import os
import re
import subprocess

SOURCES = (".cc", ".h", ".c")
TEXTS = SOURCES + (".py", ".sh", ".bash", ".bats", ".md", ".txt", ".cmake", ".proto", ".json", ".go", ".yaml", ".yml", "")
INCLUDE = re.compile(r'^\s*#\s*include\s+(["<])([^">]+)[">]')
GENERATED = ("runtime", "interlink")


class Tree:
    """The files that git knows or would add, and the rules in layers.json."""

    def __init__(self, root, rules, build=None):
        self.root, self.build = root, build
        with open(rules, encoding="utf-8") as f:
            self.rules = json.load(f)
        listed = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                capture_output=True, text=True, check=True).stdout
        self.files = sorted({f for f in listed.split("\0") if f and os.path.isfile(os.path.join(root, f))})

    def text(self, file):
        with open(os.path.join(self.root, file), encoding="utf-8", errors="replace") as f:
            return f.read()

    def lines(self, file):
        return list(enumerate(self.text(file).splitlines(), 1))

    def sources(self, *tops):
        return [f for f in self.files if f.endswith(SOURCES) and (not tops or f.startswith(tops))]

    def includes(self, file):
        for number, line in self.lines(file):
            match = INCLUDE.match(line)
            if match:
                yield number, match.group(1) == '"', match.group(2)


def layers(tree):
    """Includes point down."""
    table = tree.rules["folders"]
    for file in tree.sources("lib/", "cmd/", "plugins/"):
        owners = [folder for folder in table if file.startswith(folder + "/")]
        if not owners:
            yield file, 1, f"the folder is not in test/lint/layers.json: add it, with what DESIGN 4 lets it include"
            continue
        owner = max(owners, key=len)
        may = table[owner]
        for number, quoted, name in tree.includes(file):
            top = name.split("/")[0]
            if not quoted or "/" not in name or may == ["*"]:
                continue
            kind = "generated" if top in GENERATED else top
            if kind not in may and top != owner.split("/")[-1] and not file.startswith(f"{owner.split('/')[0]}/{top}/"):
                yield file, number, (f"{owner} must not include \"{name}\" (it may include {', '.join(may) or 'only itself'}): "
                                     "put what you need behind a port of this layer")


def grpc(tree):
    """gRPC's headers cost 11 s per file: three files have them, and the generated service header nobody."""
    allowed = tuple(tree.rules["grpcpp"])
    for file in tree.sources():
        for number, _, name in tree.includes(file):
            if name.endswith(".grpc.pb.h"):
                yield file, number, "generated gRPC services are not used: dispatch by method name (lib/cri/methods.cc)"
            elif name.startswith(("grpcpp/", "grpc/")) and not file.startswith(allowed):
                yield file, number, f"only {', '.join(allowed[:3])} include gRPC: take what they give"


def third_party_headers(tree):
    """Third-party headers stay in .cc files."""
    allowed = tree.rules["third_party_in_headers"]
    for file in tree.sources("lib/", "cmd/", "plugins/"):
        if not file.endswith(".h"):
            continue
        own = [p for folder, names in allowed.items() if folder == "*" or file.startswith(folder) for p in names]
        for number, _, name in tree.includes(file):
            if name.startswith(tuple(tree.rules["third_party"])) and not name.startswith(tuple(own)):
                yield file, number, f"<{name}> in a header: move it into the .cc (hide the type behind a struct of its own)"


def _names(text, file):
    """True when a CMakeLists.txt names that file (relative to it): as it is, by a glob, or by a loop over its stem."""
    stem, base = os.path.splitext(os.path.basename(file))[0], os.path.basename(file)
    if re.search(r"(^|[\s\"/])" + re.escape(file) + r"([\s\")]|$)", text):
        return True
    for recurse, pattern in re.findall(r"GLOB(_RECURSE)?\b[^)]*?([\w/.*-]*\*[\w.*-]*\.(?:cc|c|proto))", text):
        regex = re.escape(pattern).replace(r"\*", "[^/]*")
        if re.fullmatch(regex, base if recurse else file):
            return True
    for pattern in re.findall(r"([\w/]*\$\{\w+\}\w*\.(?:cc|c))", text):
        regex = re.sub(r"\\\$\\\{\w+\\\}", r"[\\w-]+", re.escape(pattern))
        if re.fullmatch(regex, file) and re.search(r"\b" + re.escape(stem) + r"\b", text):
            return True
    return False


def in_a_target(tree):
    """Every source is built: it is named by a CMakeLists.txt in its folder or above, or matched by a glob there."""
    texts = {f[:-len("CMakeLists.txt")]: tree.text(f) for f in tree.files if os.path.basename(f) == "CMakeLists.txt"}
    for file in tree.files:
        if not file.endswith((".cc", ".c", ".proto")) or not file.startswith(("lib/", "cmd/", "plugins/", "test/", "proto/")):
            continue
        if not any(_names(text, file[len(folder):]) for folder, text in texts.items() if file.startswith(folder)):
            yield file, 1, "in no target: name it in its folder's CMakeLists.txt, or delete it"


def sizes(tree):
    """Files of 500 lines at most, tests 800. Functions and parameters are clang-tidy's (suite tidy)."""
    for file in tree.sources("lib/", "cmd/", "plugins/", "test/"):
        count, limit = len(tree.lines(file)), 800 if file.startswith("test/") else 500
        if count > limit:
            yield file, limit, f"{count} lines, the limit is {limit}: split it by ideas"


def clang_format(tree):
    """clang-format-16 with .clang-format changes nothing."""
    files = [f for f in tree.sources() if not f.endswith(".c")]
    for begin in range(0, len(files), 100):
        done = subprocess.run(["clang-format-16", "--dry-run", "-Werror", "--ferror-limit=1", *files[begin:begin + 100]],
                              cwd=tree.root, capture_output=True, text=True)
        for match in re.finditer(r"^(.+?):(\d+):\d+: error:", done.stderr, re.MULTILINE):
            yield match.group(1), int(match.group(2)), f"not formatted: clang-format-16 -i {match.group(1)}"
        if done.returncode != 0 and not re.search(r": error:", done.stderr):
            yield ".clang-format", 1, f"clang-format-16 failed: {done.stderr.strip()[:200]}"


SLEEPS = {
    SOURCES: re.compile(r"\b(sleep_for|sleep_until|usleep|nanosleep)\s*\(|(?<![\w.])sleep\s*\(\s*\d"),
    (".py",): re.compile(r"\btime\.sleep\("),
    (".bats", ".sh", ".bash"): re.compile(r"^\s*(?:.*[;&|]\s*)?sleep\s+[\d.$]"),
    (".go",): re.compile(r"\btime\.Sleep\("),
}


def no_sleep(tree):
    """A test waits for a condition, never for a time."""
    allowed = tree.rules["sleep_allowed"]["files"]
    for file in tree.files:
        if not file.startswith("test/") or file in allowed or file.startswith("test/lint/"):
            continue
        for suffixes, pattern in SLEEPS.items():
            if file.endswith(suffixes):
                for number, line in tree.lines(file):
                    if not file.endswith((".cc", ".h", ".c")):  # what stands in quotes runs in a container
                        line = re.sub(r"'[^']*'|\"[^\"]*\"", "''", line)
                    if pattern.search(line) and not line.lstrip().startswith(("//", "#")):
                        yield file, number, "a sleep in a test: wait for the condition (Eventually in C++, eventually in bats)"


MACHINE = re.compile(r"(?<![\w./-])/(?:work|tmp/[wb])/")
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")


def clean_text(tree):
    """No paths of one machine, nothing left for later."""
    for file in tree.files:
        if os.path.splitext(file)[1] not in TEXTS or file.endswith(("go.sum", "go.mod")) or file.startswith("test/lint/"):
            continue
        for number, line in tree.lines(file):
            if MACHINE.search(line):
                yield file, number, "a path of one machine: make it relative to the project, or a parameter"
            if UNFINISHED.search(line):
                yield file, number, "unfinished work: do it, or refuse the case with a clear error and open an issue"


def scripts(tree):
    """Shell and Python files parse; shell stops at errors."""
    for file in tree.files:
        path = os.path.join(tree.root, file)
        first = tree.text(file).split("\n", 1)[0] if os.path.getsize(path) < 1 << 20 else ""
        if file.endswith(".py"):
            try:
                compile(tree.text(file), file, "exec")
            except SyntaxError as error:
                yield file, error.lineno or 1, f"does not parse: {error.msg}"
        elif first.startswith("#!") and "bash" in first:
            done = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
            if done.returncode != 0:
                yield file, 1, f"does not parse: {done.stderr.strip().splitlines()[0]}"
            if "set -euo pipefail" not in tree.text(file) and not file.endswith(".bats"):
                yield file, 1, "add: set -euo pipefail"


def one_copy_of_generated_code(tree):
    """Generated code linked twice aborts at dlopen: only libinterlink-sdk.so may hold it. Needs a build."""
    folder = os.path.join(tree.build or "", "lib/interlink/plugins")
    if not tree.build or not os.path.isdir(folder):
        return
    for name in sorted(os.listdir(folder)):
        out = subprocess.run(["nm", "--defined-only", os.path.join(folder, name)], capture_output=True, text=True).stdout
        found = re.search(r"descriptor_table_(runtime|interlink)_2f\S+", out)
        if found:
            yield os.path.join(folder, name), 1, (f"holds a second copy of generated code ({found.group(0)}): link "
                                                  "interlink-sdk, not the objects")


def hardened(tree):
    """What is installed has position-independent code, RELRO, bound at load, no executable stack, stack canaries and fortified calls.

    A static file is at a fixed address and has its symbols stripped: of it RELRO and the stack are seen. Needs a build."""
    if not tree.build:
        return
    for folder in ("bin", "lib", "lib/interlink/plugins"):
        folder = os.path.join(tree.build, folder)
        for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            path = os.path.join(folder, name)
            if not os.path.isfile(path) or not (folder.endswith("bin") or name.endswith(".so")):
                continue
            out = subprocess.run(["readelf", "-hldW", "--dyn-syms", path], capture_output=True, text=True).stdout
            wanted = {"RELRO (-z relro)": r"GNU_RELRO", "a stack without code (-z noexecstack)": r"GNU_STACK .* RW "}
            if " INTERP " in out or name.endswith(".so"):
                wanted.update({"position-independent code (-fPIE)": r"Type: +DYN", "binding at load (-z now)": r"\bNOW\b",
                               "stack canaries (-fstack-protector-strong)": r"__stack_chk_fail",
                               "fortified calls (-D_FORTIFY_SOURCE=2)": r"__\w+_chk\b(?<!__stack_chk)"})
            for what, pattern in wanted.items():
                if not re.search(pattern, out):
                    yield path, 1, f"has no {what}"


CHECKS = [layers, grpc, third_party_headers, in_a_target, sizes, clang_format, no_sleep, clean_text, scripts,
          one_copy_of_generated_code, hardened]
