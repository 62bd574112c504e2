# What the tests of exec, attach and port-forward share. Each is made over both transports.
source "$(dirname "${BASH_SOURCE[0]}")/../../common.bash"
TRANSPORTS="spdy websocket"
PORT=7000 # of serve, which echoes; on the next one it sends without end

# A container that says something all the time.
SAYS='i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done'

client() { # -what CHECK [options]: our client (test/support/tools/cmd/streams)
  streams -socket "$LAB_SOCKET" -site "$LAB_SITE" -pki "$LAB_PKI" -lab "$LAB_DIR" -node-pid "$LAB_NODE_PID" -site-pid "$LAB_SITE_PID" "$@"
}

# A pod, a container of it that runs, and in `keys` an input at which nobody types.
setup_pod() { # NAME
  use_lab "$LAB_DIR" # daemons may be others than at the beginning
  rm -rf "${LAB_LOGS:?}/$1" # of another run in the same lab
  pod=$(start_pod "$1")
  box=$(start_container "$pod" box "$1" . sh -c "$RUN")
  mkfifo "$BATS_TEST_TMPDIR/keys"
  exec 8<>"$BATS_TEST_TMPDIR/keys"
}

# serve in the pod. It is a static program: the container gets it from here.
start_server() { # POD_NAME
  server=$(start_container "$pod" serve "$1" ".mounts = [{host_path: \"$(command -v streams)\", container_path: \"/streams\", readonly: true}]" \
    /streams -what serve -port $PORT)
  eventually 10 log_has "$server" serving
}

# Everything that a session could leave behind, when no session is there. All that is used once is used before; what has just
# been started, and who has just asked, is given the time to become quiet: the same at eight looks in a row.
remember() {
  local transport
  for transport in $TRANSPORTS; do crictl exec -r "$transport" "$box" true; done
  client -what left >"$BATS_TEST_TMPDIR/before"
  looks=0
  eventually 30 is_quiet
}
is_quiet() {
  client -what left >"$BATS_TEST_TMPDIR/now"
  if cmp -s "$BATS_TEST_TMPDIR/now" "$BATS_TEST_TMPDIR/before" && grep -qx 'interlink-cri: 0 clients' "$BATS_TEST_TMPDIR/now" &&
    grep -qx 'interlink-api: 0 sessions' "$BATS_TEST_TMPDIR/now"; then
    looks=$((looks + 1))
  else
    looks=0
    cp "$BATS_TEST_TMPDIR/now" "$BATS_TEST_TMPDIR/before"
  fi
  [ $looks -ge 8 ]
}
unchanged() { # [TEXT]
  client -what left >"$BATS_TEST_TMPDIR/after" &&
    diff <(grep -v "${1:-no such line}" "$BATS_TEST_TMPDIR/before") <(grep -v "${1:-no such line}" "$BATS_TEST_TMPDIR/after")
}
nothing_left() { # [SECONDS [TEXT]]: but for lines with that text
  eventually "${1:-30}" unchanged "${2:-}" || { unchanged "${2:-}" >&2; return 1; }
}
# A daemon that was started anew opens some things when they are needed first: it may have fewer of what is counted
# ("DAEMON: N of KIND"), and anon_inode is not compared.
no_more() {
  client -what left >"$BATS_TEST_TMPDIR/after" &&
    awk '/anon_inode/ { next }
      { number = $2; $2 = ""; if ($0 !~ / of /) $0 = $0 number }
      NR == FNR { before[$0] = number; next }
      !($0 in before) || number > before[$0] { print "more than before:", number, $0; more = 1 }
      END { exit more }' "$BATS_TEST_TMPDIR/before" "$BATS_TEST_TMPDIR/after"
}
nothing_left_but_new() { eventually 40 no_more || { no_more >&2; return 1; }; }

# begin NAME COMMAND...: in the background, with keys as its input. Its output is in the file NAME, its pid in begun[NAME].
declare -gA begun=()
begin() {
  local name=$1
  shift
  "$@" <&8 >"$BATS_TEST_TMPDIR/$name" 2>"$BATS_TEST_TMPDIR/$name.err" 3>&- 8<&- 9<&- &
  begun[$name]=$!
}
says() { grep -qs -- "$2" "$BATS_TEST_TMPDIR/$1"; } # NAME TEXT
is_over() { [ ! -e "/proc/${begun[$1]}" ] || grep -q '^State:.Z' "/proc/${begun[$1]}/status"; }
# code_of NAME: waits for its end; what it ended with is in `code`.
code_of() {
  eventually 30 is_over "$1"
  code=0
  wait "${begun[$1]}" || code=$?
  unset "begun[$1]"
}
end_all() { # KILL to all that were begun
  local name
  for name in "${!begun[@]}"; do
    kill -9 "${begun[$name]}" 2>/dev/null || true
    wait "${begun[$name]}" 2>/dev/null || true
  done
  begun=()
}
finish_test() {
  end_all
  exec 8<&-
  remove_all
}

local_port() { sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$BATS_TEST_TMPDIR/$1"; } # NAME
has_port() { [ -n "$(local_port "$1")" ]; }
