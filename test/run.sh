#!/usr/bin/env bash
# Installs what is missing, builds what has changed, runs tests.
#
# usage: test/run.sh [SUITE [--plugin NAME]]... [fuzz MINUTES]
#   default      lint unit contract integration system
#   others       conformance conformance-newest asan tsan tidy quickstart site-down durable restore leak parked bench
#                clean-build kubernetes kubernetes-slurm conformance-slurm streaming security fuzz slurm
#   all          every suite
# kubernetes --plugin slurm is kubernetes-slurm: a kubelet whose pods are jobs of a real SLURM. --plugin local: kubernetes itself.
# conformance is critest through a lab; CONFORMANCE_RUNS, _SEED, _PARALLEL, _FOCUS, _HANDLER and _TABLE are the options
# that test/support/conformance/conformance.py --help explains.
# conformance --plugin slurm is conformance-slurm: critest's part for pods that are jobs, once with agents of root, once of
# user nobody, once more of that user without a folder that compute nodes share.
# fuzz MINUTES runs each target for so long, two at a time; without a number for FUZZ_SECONDS (60, short 15). What it finds is in
# build/test-logs/fuzz.
# INTERLINK_PRESET=asan runs the suites that use a lab with binaries of another preset (release).
# INTERLINK_SHORT=1 runs shorter versions of leak, parked, bench, site-down, kubernetes, streaming, slurm and fuzz, and builds what
# fuzz, tsan and asan need beside the suites before them. Logs: build/test-logs.
# The last line is "N passed, N failed, N skipped". Exit codes: 0, 1 something failed, 2 something is missing that only
# you can install.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

default=(lint unit contract integration system)
more=(conformance conformance-newest asan tsan tidy quickstart site-down durable restore leak parked bench clean-build
  kubernetes kubernetes-slurm conformance-slurm streaming security fuzz slurm)
suites=()
while [ $# -gt 0 ]; do
  if [ "$1" = --plugin ]; then
    case "${suites[*]: -1} ${2:-}" in
      "kubernetes slurm" | "conformance slurm") suites[-1]+=-slurm ;;
      "kubernetes local" | "conformance local") ;;
      *) echo "run.sh: --plugin stands behind kubernetes or conformance and is followed by local or slurm" >&2; exit 2 ;;
    esac
    shift
  elif [[ $1 =~ ^[0-9]+$ ]] && [ "${suites[*]: -1}" = fuzz ]; then
    FUZZ_SECONDS=$((60 * 10#$1))
  else
    suites+=("$1")
  fi
  shift
done
set -- "${suites[@]}"
case "${1:-}" in
  -h | --help) sed -n '2,20s/^# \{0,1\}//p' "$0"; exit 0 ;;
  all) set -- "${default[@]}" "${more[@]}" ;;
  "") set -- "${default[@]}" ;;
esac
for suite in "$@"; do
  known=
  for one in "${default[@]}" "${more[@]}"; do
    if [ "$one" = "$suite" ]; then known=1; fi
  done
  if [ -z "$known" ]; then
    echo "run.sh: there is no suite '$suite'; there are: ${default[*]} ${more[*]}" >&2
    exit 2
  fi
done

begun=$SECONDS
logs=$root/build/test-logs
mkdir -p "$logs"
passed=0 failed=0 skipped=0
summary=()

say() { printf '[%3d:%02d] %s\n' $(((SECONDS - begun) / 60)) $(((SECONDS - begun) % 60)) "$*"; }

# Runs a command with its output in a log and tells every 30 s where it is.
logged() {
  local log=$1 status=0
  shift
  "$@" >"$log" 2>&1 &
  local child=$!
  while ! timeout 30 tail -s 0.2 --pid="$child" -f /dev/null; do
    say "    ... $(tail -c 400 "$log" | tr '\r' '\n' | tail -n 1 | cut -c1-110)"
  done
  wait "$child" || status=$?
  return $status
}

count() {
  local p f s
  read -r p f s < <(python3 test/support/count_tests.py "$1" "$2" 2>"$logs/count.err") || { p=0 f=1 s=0; }
  cat "$logs/count.err"
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  counted="$p passed, $f failed, $s skipped"
}

one() { # one test that is a command of its own
  if logged "$1" "${@:2}"; then
    passed=$((passed + 1)) counted="1 passed, 0 failed, 0 skipped"
  else
    failed=$((failed + 1)) counted="0 passed, 1 failed, 0 skipped"
    tail -n 60 "$1"
  fi
}

# Builds for later suites what they need, with what the suites before them leave of the processors: most of these wait.
ahead=" " ahead_pid=
build_ahead() { # PRESET[:TARGET]...
  [ $# -gt 0 ] || return 0
  ahead=" $* "
  setsid bash -c 'logs=$1; shift
    for what in "$@"; do
      preset=${what%%:*} target=${what#"$preset"}
      { cmake --preset "$preset" && chrt --idle 0 cmake --build --preset "$preset" --parallel 2 ${target:+--target "${target#:}"}; } \
        >"$logs/ahead-$preset.log" 2>&1
      touch "$logs/ahead-$preset.done"
    done' ahead "$logs" "$@" &
  ahead_pid=$!
}
# What counts milliseconds or fills the processors itself has them alone.
pause_ahead() { [ -z "$ahead_pid" ] || kill -STOP -- "-$ahead_pid" 2>/dev/null || true; }
resume_ahead() { [ -z "$ahead_pid" ] || kill -CONT -- "-$ahead_pid" 2>/dev/null || true; }
end_ahead() {
  [ -z "$ahead_pid" ] || kill -- "-$ahead_pid" 2>/dev/null || true
  resume_ahead
}
trap end_ahead EXIT
await_ahead() { # PRESET: until nobody else builds it
  case $ahead in *" $1 "* | *" $1:"*) ;; *) return 0 ;; esac
  while [ ! -e "$logs/ahead-$1.done" ] && ! timeout 5 tail -s 0.2 --pid="$ahead_pid" -f /dev/null; do :; done
}

# Configures and builds a preset, or one target of it, once per run. A build that fails ends the run: nothing could be tested.
built=" "
build() { # PRESET [TARGET]
  local preset=$1 what=${2:+--target $2}
  case $built in *" $preset "* | *" $preset$what "*) return ;; esac
  say "build $preset"
  await_ahead "$preset"
  # shellcheck disable=SC2086
  if ! logged "$logs/build-$preset.log" cmake --preset "$preset" ||
    ! logged "$logs/build-$preset.log" cmake --build --preset "$preset" $what; then
    grep -E 'error|FAILED|Error' "$logs/build-$preset.log" | head -n 40 || true
    say "the build failed: $logs/build-$preset.log"
    echo "$passed passed, $((failed + 1)) failed, $skipped skipped"
    exit 1
  fi
  built="$built$preset$what "
}

ctests() { # PRESET SUITE [ctest arguments]
  local xml=$logs/$2.xml
  rm -f "$xml"
  logged "$logs/$2.log" ctest --test-dir "build/$1" --output-junit "$xml" --no-tests=error --parallel 2 --test-output-size-passed 1000000 \
    --test-output-size-failed 1000000 --timeout 600 "${@:3}" || true
  if [ -f "$xml" ]; then
    count ctest "$xml"
  else
    tail -n 5 "$logs/$2.log"
    failed=$((failed + 1)) counted="no test ran"
  fi
}

tools() { # builds test clients; leaves when Go is missing
  local status=0
  TOOLS=$("$root/test/support/tools/build-tools.sh" "$@") || status=$?
  if [ $status != 0 ]; then
    echo "$passed passed, $((failed + 1)) failed, $skipped skipped"
    exit $status
  fi
  export TOOLS PATH=$TOOLS:$PATH
}

preset=${INTERLINK_PRESET:-release}
bats_files() { # SUITE files
  build "$preset"
  tools crictl
  INTERLINK_BUILD=$root/build/$preset logged "$logs/$1.tap" bats --tap --print-output-on-failure "${@:2}" || true
  grep -a -A40 '^not ok' "$logs/$1.tap" || true
  count tap "$logs/$1.tap"
}

suite_lint() {
  build release # one check reads what was linked
  one "$logs/lint-test.log" python3 test/lint/lint_test.py
  logged "$logs/lint.log" python3 test/lint/lint.py build/release || cat "$logs/lint.log"
  count lint "$logs/lint.log"
}
suite_unit() { build release; ctests release unit -L '^unit$'; }
suite_contract() { build release; ctests release contract -L '^contract$'; }
suite_integration() { build release; ctests release integration -L '^integration$'; }
suite_system() { bats_files system test/system; }
suite_site-down() { LAB_SITE_DOWN_SECONDS=$([ -n "${INTERLINK_SHORT:-}" ] && echo 20 || echo 120) bats_files site-down test/system/site_down.bats; }
suite_durable() { tools crictl storm; bats_files durable test/system/restart.bats test/system/kill.bats test/system/named/storm.bats; }
suite_restore() { bats_files restore test/system/named/restore.bats; }
suite_leak() { tools crictl; LEAK_PODS=$([ -n "${INTERLINK_SHORT:-}" ] && echo 20 || echo 200) bats_files leak test/system/named/leak.bats; }
suite_parked() { tools crictl parked; PARKED_CALLS=$([ -n "${INTERLINK_SHORT:-}" ] && echo 200 || echo 1000) bats_files parked test/system/named/parked.bats; }
# A real kubelet and control plane, once as they come and once with the gates that ask more of a runtime.
suite_kubernetes() {
  tools kubernetes
  local away plain
  away=$([ -n "${INTERLINK_SHORT:-}" ] && echo 20 || echo 120)
  LAB_SITE_DOWN_SECONDS=$away bats_files kubernetes test/system/named/kubernetes
  plain=$counted
  say "    without gates: $plain"
  KUBERNETES_GATES=EventedPLEG=true,CRIListStreaming=true,PodAndContainerStatsFromCRI=true LAB_SITE_DOWN_SECONDS=$away \
    bats_files kubernetes-gates test/system/named/kubernetes
  counted="$plain; with gates $counted"
  plain=$counted
  one "$logs/kubernetes-example.log" examples/kubernetes/run.sh
  counted="$plain; example $counted"
}
# The same kubelet, its pods jobs of a real SLURM: what a queue, restarts and deletions do to them.
suite_kubernetes-slurm() {
  tools kubernetes
  bats_files kubernetes-slurm test/system/named/kubernetes/slurm
  grep -aE '^#? *within [0-9]+ s of' "$logs/kubernetes-slurm.tap" | sed 's/^# */    /' || true
}
# exec, attach and port-forward with the real clients, over SPDY and WebSocket.
suite_streaming() {
  tools crictl streams
  [ -z "${INTERLINK_SHORT:-}" ] || export STREAM_SESSIONS=100
  if [ "$preset" = asan ]; then # it keeps what was freed for a while, and more beside what is in use
    export STREAM_MEMORY_KIB=262144 ASAN_OPTIONS=detect_leaks=1:quarantine_size_mb=16 UBSAN_OPTIONS=print_stacktrace=1
  fi
  bats_files streaming test/system/named/streaming
  unset STREAM_SESSIONS STREAM_MEMORY_KIB ASAN_OPTIONS UBSAN_OPTIONS
  grep -aE '^(spdy|websocket|interlink-|all shims)' "$logs/streaming.tap" | sed 's/^/    /' || true
}
# Each target of test/fuzz, two at a time.
suite_fuzz() {
  build fuzz
  local name log names=() p=0 f=0 seconds
  seconds=${FUZZ_SECONDS:-$([ -n "${INTERLINK_SHORT:-}" ] && echo 15 || echo 60)}
  rm -rf "$logs/fuzz"
  mkdir -p "$logs/fuzz"
  for name in test/fuzz/*_fuzz.cc; do names+=("$(basename "$name" _fuzz.cc)"); done
  printf '%s\n' "${names[@]}" >"$logs/fuzz/names"
  logged "$logs/fuzz.log" xargs -a "$logs/fuzz/names" -P 2 -I{} test/support/fuzz.sh {} "$seconds" "$logs/fuzz" || true
  for name in "${names[@]}"; do
    log=$logs/fuzz/$name.log
    if [ "$(tail -n 1 "$log" 2>/dev/null)" = "no finding" ]; then p=$((p + 1)); else f=$((f + 1)); tail -n 40 "$log" 2>/dev/null || true; fi
    say "    $name: $(sed -n 's/^stat::number_of_executed_units: */inputs /p; s/^stat::average_exec_per_sec: */per second /p; s/^stat::peak_rss_mb: */MB /p' "$log" | tr '\n' ' ')$(awk '/INITED/{first=$4} / cov: /{last=$4} END {print "coverage " first " -> " last}' "$log")"
  done
  passed=$((passed + p)) failed=$((failed + f)) counted="$p passed, $f failed, 0 skipped"
}
suite_security() {
  tools crictl issuer hostile
  [ -z "${INTERLINK_SHORT:-}" ] || export ROTATIONS=5 LOOPS=8 HOSTILE=2000
  bats_files security test/security
  unset ROTATIONS LOOPS HOSTILE
  grep -aE '^# ([0-9]+ (pods in|hostile)|(before|while|after|p99|interlink-api:) )' "$logs/security.tap" | sed 's/^# /    /' || true
}
suite_slurm() { # a real SLURM, started by the tests
  local plugin files=(test/slurm)
  [ -z "${INTERLINK_SHORT:-}" ] || files=(test/slurm/{pods,queue,mapped_users,storm}.bats)
  build "$preset"
  ctests "$preset" slurm-plugin -L '^slurm$'
  plugin=$counted
  tools crictl storm
  STORM_PODS=${STORM_PODS:-$([ -n "${INTERLINK_SHORT:-}" ] && echo 20 || echo 200)} bats_files slurm "${files[@]}"
  grep -aE '^# (seed|[0-9]+ ran)' "$logs/slurm.tap" | sed 's/^# /    /' || true
  counted="plugin $plugin; lab $counted"
  plugin=$counted
  INTERLINK_BUILD=$root/build/$preset one "$logs/slurm-example.log" examples/slurm/run.sh
  counted="$plugin; example $counted"
}
suite_bench() { build release; one "$logs/bench.log" test/bench/run.sh; grep -E '^[a-zA-Z].*\|' "$logs/bench.log" || true; }
conformance() { # NAME [conformance.py's options]; critest and ginkgo are in PATH
  INTERLINK_BUILD=$root/build/release logged "$logs/$1.log" test/support/conformance/conformance.py --logs "$logs/$1" "${@:2}" || true
  cat "$logs/$1.log"
  count conformance "$logs/$1.log"
}
suite_conformance() {
  build release
  tools crictl critest ginkgo
  conformance conformance
}
suite_conformance-slurm() { # critest's part for pods that are jobs
  local root_agents user_agents
  build release
  tools crictl critest ginkgo
  conformance conformance-slurm-root --agents root
  root_agents=$counted
  conformance conformance-slurm-user --agents user
  user_agents=$counted
  conformance conformance-slurm-folderless --agents user --no-shared-folder
  counted="agents of root $root_agents; of a user $user_agents; without a shared folder $counted"
}
suite_conformance-newest() { # critest's newest release: image volumes and metrics too
  build release
  tools crictl newest-critest newest-ginkgo
  CONFORMANCE_TABLE='' conformance conformance-newest
}
suite_quickstart() { one "$logs/quickstart.log" examples/quickstart/run.sh; }

suite_asan() {
  build asan tests
  export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
  ctests asan asan -L '^(unit|contract|integration)$'
  unset ASAN_OPTIONS UBSAN_OPTIONS
}
# Without the binaries that link gRPC (cmake/InterlinkTargets.cmake).
suite_tsan() {
  build tsan tests
  pause_ahead
  TSAN_OPTIONS="halt_on_error=1" ctests tsan tsan -L '^(unit|contract|integration)$'
}
suite_tidy() { one "$logs/tidy.log" bash -c 'cmake --preset tidy && cmake --build --preset tidy'; grep -E 'error:|warning:' "$logs/tidy.log" | sort -u | head -n 60 || true; }
# What is released is limited; what the tests add to it is told. Neither uses ccache.
suite_clean-build() {
  local folder=$root/build/clean
  rm -rf "$folder"
  one "$logs/clean-build.log" bash -c 'cmake --preset release -B "$1" -DINTERLINK_CCACHE=OFF -DBUILD_TESTING=OFF &&
    cmake --build "$1" && echo "a clean release build: $SECONDS s on $(nproc) cores (limit: 480 s)" && ((SECONDS <= 480))' - "$folder"
  say "    $(tail -n 1 "$logs/clean-build.log")"
  local released=$counted
  one "$logs/clean-build-tests.log" bash -c 'cmake -B "$1" -DBUILD_TESTING=ON && cmake --build "$1" &&
    echo "its tests, benchmarks and fuzz targets: $SECONDS s"' - "$folder"
  say "    $(tail -n 1 "$logs/clean-build-tests.log")"
  counted="the build: $released; its tests: $counted"
  rm -rf "$folder"
}

status=0
test/support/install.sh || status=$?
if [ $status != 0 ]; then
  echo "0 passed, 1 failed, 0 skipped"
  exit $status
fi
say "suites: $*"
# More than one compiler's worth of builds: not while the first of them is wanted at once.
if [ -n "${INTERLINK_SHORT:-}" ] && [ $# -gt 3 ]; then
  build release
  later=()
  for suite in "${@:3}"; do
    case $suite in fuzz) later+=(fuzz) ;; asan | tsan) later+=("$suite:tests") ;; esac
  done
  rm -f "$logs"/ahead-*
  build_ahead "${later[@]}"
fi
for suite in "$@"; do
  begin=$SECONDS counted=
  say "suite $suite"
  case $suite in
    unit | conformance | streaming | security | bench) pause_ahead ;;
    *) resume_ahead ;;
  esac
  "suite_$suite"
  took=$(awk "BEGIN { printf \"%.1f min\", ($SECONDS - $begin) / 60 }")
  summary+=("$(printf '%-12s %9s   %s' "$suite" "$took" "$counted")")
  say "${summary[-1]}"
done
echo
printf '%s\n' "${summary[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
