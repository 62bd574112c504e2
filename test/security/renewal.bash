# Renewing what a lab's daemons trust and present while loops of crictl run. Sourced after common.bash.

ROTATIONS=${ROTATIONS:-50}
LOOPS=${LOOPS:-20}

# renew FILE COMMON_NAME EXTENSIONS: another key and certificate of the lab's authority in place of FILE.crt and FILE.key.
renew() {
  local new=$BATS_TEST_TMPDIR/new
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$2" -keyout "$new.key" -out "$new.csr" 2>/dev/null
  openssl x509 -req -in "$new.csr" -CA "$LAB_PKI/ca.crt" -CAkey "$LAB_PKI/ca.key" -set_serial "0x$(openssl rand -hex 8)" -days 5 \
    -extfile <(echo "$3") -out "$new.crt" 2>/dev/null
  mv "$new.crt" "$LAB_PKI/$1.crt"
  mv "$new.key" "$LAB_PKI/$1.key"
}
renew_server() { renew server interlink-lab-site $'extendedKeyUsage=serverAuth\nsubjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1'; }
renew_node() { renew node-1 "$LAB_NODE_NAME" extendedKeyUsage=clientAuth; }

lines() { grep -c "$2" "$1" || true; } # LOG TEXT
has_more() { [ "$(lines "$1" "$2")" -gt "$3" ]; }
served() { openssl s_client -connect "${LAB_SITE#https://}" -CAfile "$LAB_PKI/ca.crt" -cert "$LAB_PKI/node-1.crt" -key "$LAB_PKI/node-1.key" </dev/null 2>/dev/null | openssl x509 -noout -serial; }
serves_newest() { [ "$(served)" = "$(openssl x509 -noout -serial -in "$LAB_PKI/server.crt")" ]; }

# Makes, starts, asks and removes pods until the file `stop` is there; each command that fails is a line in `failures`.
loop() { # NUMBER
  local pod_json=$BATS_TEST_TMPDIR/pod-$1.json id n=0
  until [ -e "$BATS_TEST_TMPDIR/stop" ]; do
    n=$((n + 1))
    jq -n --arg n "rotation-$1-$n" '{metadata: {name: $n, namespace: "rotation", uid: $n, attempt: 0}, log_directory: "/tmp", linux: {}}' >"$pod_json"
    if id=$(crictl runp "$pod_json" 2>>"$BATS_TEST_TMPDIR/failures-$1") && crictl inspectp "$id" >/dev/null 2>>"$BATS_TEST_TMPDIR/failures-$1" &&
      crictl stopp "$id" >/dev/null 2>>"$BATS_TEST_TMPDIR/failures-$1" && crictl rmp "$id" >/dev/null 2>>"$BATS_TEST_TMPDIR/failures-$1"; then
      echo "$n" >"$BATS_TEST_TMPDIR/count-$1"
    else
      echo "$1: pod $n" >>"$BATS_TEST_TMPDIR/failures"
    fi
  done
}

begin_loops() { for n in $(seq "$LOOPS"); do loop "$n" 3>&- & done; }
# Ends the loops: none of their commands has failed, and both daemons are those of before.
end_loops() { # WHAT_WAS_RENEWED
  touch "$BATS_TEST_TMPDIR/stop"
  wait
  echo "# $(cat "$BATS_TEST_TMPDIR"/count-* | paste -sd+ | bc) pods in $LOOPS loops beside $ROTATIONS renewals of $1" >&3
  [ ! -e "$BATS_TEST_TMPDIR/failures" ] || { cat "$BATS_TEST_TMPDIR"/failures*; return 1; }
  kill -0 "$LAB_SITE_PID" "$LAB_NODE_PID"
}
