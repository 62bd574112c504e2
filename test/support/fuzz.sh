#!/usr/bin/env bash
# One target of test/fuzz on its committed seeds; new inputs that reach more code are kept for this run only.
#
# usage: fuzz.sh NAME SECONDS FOLDER      what it says goes to FOLDER/NAME.log, what it finds to FOLDER/NAME-*
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
name=$1 seconds=$2 folder=$3
seeds=$root/test/fuzz/corpus/$name
log=$folder/$name.log
if [ ! -d "$seeds" ]; then
  echo "there are no seeds in test/fuzz/corpus/$name" >"$log"
  exit 1
fi
new=$(mktemp -d)
trap 'rm -rf "$new"' EXIT
# What one input frees fits many times into 16 MB; the 256 of the default only cost time.
ASAN_OPTIONS=quarantine_size_mb=16 "$root/build/fuzz/test/${name}_fuzz" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
  -print_final_stats=1 -artifact_prefix="$folder/$name-" "$new" "$seeds" >"$log" 2>&1
echo "no finding" >>"$log"
