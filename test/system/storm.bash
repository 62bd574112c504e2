# Pods while what carries them is killed with KILL at random moments.

# story LOG: what was wrong before all else, since whoever shows a failure cuts its end; then what the daemons said of the first
# sandbox that it names, and the storm.
story() {
  local id
  { grep -E "WRONG|^storm: " "$1" || true; } | cut -c1-400
  id=$(grep WRONG "$1" | grep -oE '[0-9a-f]{64}|[0-9a-f]{12}' | head -n 1) || true
  [ -z "$id" ] || { grep -h -- "${id:0:12}" "$LAB_DIR"/log/interlink-{api,cri-1}.log || true; } | sort | tail -n 30 | cut -c1-400
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
  # A node's own stays until the lab goes.
  same "" "$(find /sys/fs/cgroup -type d \( -path "*/node-$LAB_TAG-*/*" -o -name "*$LAB_TAG*" ! -name "node-$LAB_TAG-*" \) 2>/dev/null)" "cgroups left"
}
