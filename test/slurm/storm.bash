# What the storms share: pods while what carries them is killed with KILL at random moments.
source "$(dirname "${BASH_SOURCE[0]}")/slurm.bash"

begin_storm() { # LAB_OPTIONS...
  PATH=$("$PROJECT/test/support/tools/build-tools.sh" storm):$PATH
  export PATH
  # A pod whose agent left no word is over a lease and 90 s later. A frozen slurmctld must not give its machines up; one that
  # lost a job's start or end to a kill hears of it when machines register anew, every 20th third of SlurmdTimeout.
  own_site --lease 10s --slurm SlurmdTimeout=30 "$@"
  crictl pull "$BUSYBOX" >&2
}

# story LOG: what was wrong before all else, since whoever shows a failure cuts its end; then what the daemons said of the first
# sandbox that it names, and the storm.
story() {
  local id
  grep -E 'WRONG|^storm: ' "$1" | cut -c1-400
  id=$(grep WRONG "$1" | grep -oE '[0-9a-f]{64}' | head -n 1) || true
  [ -z "$id" ] || grep -h -- "${id:0:12}" "$LAB_DIR"/log/interlink-{api,cri-1}.log | sort | tail -n 30 | cut -c1-400
  cat "$1"
}

# None runs twice, none is left behind, no exit is told otherwise than it was. STORM_SEED repeats one.
weather_storm() { # PODS STORM_OPTIONS...
  local log=$BATS_TEST_TMPDIR/storm.log pods=$1
  shift
  if ! storm -dir "$LAB_DIR" -lab "$PROJECT/test/lab" -socket "$LAB_SOCKET" -site "$LAB_SITE" -pki "$LAB_PKI" -logs "$LAB_LOGS" \
    -image "$BUSYBOX" -pods "$pods" ${STORM_SEED:+-seed "$STORM_SEED"} -verbose "$@" >"$log" 2>&1; then
    story "$log" >&2
    fail "the storm did harm: STORM_SEED repeats it"
  fi
  sed -nE 's/^ *[0-9.]+ (seed .* min;|[0-9]+ ran;)/# \1/p' "$log" >&3
  same "" "$(crictl pods -q)$(crictl ps -aq)"
  same "" "$(find /sys/fs/cgroup -name "*$LAB_TAG*" 2>/dev/null)" "cgroups left"
}
