#!/usr/bin/env bats
# The audit logs of both daemons, by the real crictl: who did what, what was denied, what is found out afterwards.
source "$BATS_TEST_DIRNAME/../system/common.bash"
source "$BATS_TEST_DIRNAME/../system/own_site.bash"

setup_file() {
  own_lab
  export KEY=$LAB_DIR/audit.key SITE_AUDIT=$LAB_DIR/small/site NODE_AUDIT=$LAB_DIR/node-audit
  openssl genpkey -algorithm ed25519 -out "$KEY"
  chmod 600 "$KEY"
  openssl pkey -in "$KEY" -pubout -out "$LAB_DIR/audit.pub"
  mkdir "$LAB_DIR/small"
  mount -t tmpfs -o size=1m small "$LAB_DIR/small"
  printf 'Policy:\n  File: "%s"\n' "$LAB_DIR/policy.yaml" >>"$LAB_SITE_CONFIG"
  printf 'Rules:\n  - Name: lab\n    Namespaces: [default, ""]\n    May: [run, create, exec-sync, exec, pull]\n' >"$LAB_DIR/policy.yaml"
  printf 'Audit:\n  Folder: "%s"\n  SigningKeyFile: "%s"\n' "$SITE_AUDIT" "$KEY" >>"$LAB_SITE_CONFIG"
  printf 'Audit:\n  Folder: "%s"\n  SigningKeyFile: "%s"\n' "$NODE_AUDIT" "$KEY" >>"$LAB_NODE_CONFIG"
  again site
  again node
  crictl pull "$BUSYBOX" >&2
}
teardown_file() {
  umount "$LAB_DIR/small" || umount -l "$LAB_DIR/small" || true
  end_own_lab
}
teardown() { remove_all; }

again() { # site|node: started anew
  lab "stop-$1" "$LAB_DIR" >&2
  lab "start-$1" "$LAB_DIR" >&2
  eventually 20 site_is_reachable
}
site_shows() { api audit show --config "$LAB_SITE_CONFIG" "$@"; }
node_shows() { cri audit show --config "$LAB_NODE_CONFIG" "$@"; }
# shows TEXT COMMAND...: a line of what it prints has that text, soon.
told() { local text=$1; shift; "$@" | has -E -- "$text"; }
shows() { eventually 10 told "$@" || { shift; "$@" >&2; return 1; }; }

@test "both daemons record who did what" {
  pod=$(start_pod audited)
  id=$(start_container "$pod" c audited '.envs = [{key: "PASSWORD", value: "canary-4711"}]' sh -c "$RUN")
  crictl exec -s "$id" echo canary-4711
  crictl exec "$id" true
  crictl stopp "$pod"
  crictl rmp "$pod"

  shows "ok +RunSandbox +$LAB_NODE_NAME .*pod=default/audited.* rule=lab" site_shows
  shows "ok +CreateContainer .*image=.*busybox.* name=c .*rule=lab" site_shows --id "${id:0:20}"
  shows "ok +ExecSync .*program=echo" site_shows --node "$LAB_NODE_NAME"
  shows "ok +Exec .*program=true" site_shows
  shows "Exec \(end\)" site_shows
  shows "ok +RemoveSandbox" site_shows --id "$pod"
  for call in RunPodSandbox CreateContainer StartContainer ExecSync Exec StopPodSandbox RemovePodSandbox; do
    shows "ok +$call +.*/crictl\[[0-9]+\] uid 0" node_shows
  done
}

@test "what is denied is recorded, with the reason and without a rule" {
  refused "no rule" start_pod other '.metadata.namespace = "other"'
  site GET /v1/info -H "Authorization: Bearer nonsense" >/dev/null

  shows "denied +RunSandbox +$LAB_NODE_NAME .*pod=other/other.* PERMISSION_DENIED: the site's policy" site_shows --denied
  shows "denied +Info .*UNAUTHENTICATED" site_shows --denied
  shows "denied +RunPodSandbox .*pod=other/other.* PERMISSION_DENIED" node_shows --denied
  none bash -c "\"$LAB_BUILD/bin/interlink-api\" audit show --config \"$LAB_SITE_CONFIG\" --denied | grep rule="
}

@test "no secret is in it, and nobody else may read it" {
  none grep -r canary-4711 "$SITE_AUDIT" "$NODE_AUDIT"
  same '' "$(find "$SITE_AUDIT" "$NODE_AUDIT" -perm /077)"
}

@test "it is whole over restarts and kills, also for whoever has only the public key" {
  start_pod killed >/dev/null
  lab kill-site "$LAB_DIR" >&2
  lab start-site "$LAB_DIR" >&2
  eventually 20 site_is_reachable
  crictl rmp -fa
  api audit verify --config "$LAB_SITE_CONFIG" | has "it is whole"
  cri audit verify --config "$LAB_NODE_CONFIG" | has "it is whole"
  again site
  cp -a "$SITE_AUDIT" "$BATS_TEST_TMPDIR/copy"
  cri audit verify --folder "$BATS_TEST_TMPDIR/copy" --key "$LAB_DIR/audit.pub" >"$BATS_TEST_TMPDIR/told"
  has "it is whole" <"$BATS_TEST_TMPDIR/told"
}

@test "a line that somebody has changed is named, and the exit code says so" {
  cp -a "$SITE_AUDIT" "$BATS_TEST_TMPDIR/copy"
  sed -i '0,/"result":"denied"/s//"result":"ok"/' "$BATS_TEST_TMPDIR"/copy/audit-*.jsonl
  run api audit verify --folder "$BATS_TEST_TMPDIR/copy" --key "$LAB_DIR/audit.pub"
  same 1 "$status"
  grep -E 'jsonl:[0-9]+: does not hold the line before it' <<<"$output"
}

@test "on a full disk nothing new begins, what runs can be stopped and removed, and room heals it" {
  pod=$(start_pod full)
  id=$(start_container "$pod" c full '' sh -c "$RUN")
  dd if=/dev/zero of="$LAB_DIR/small/filler" bs=4k 2>/dev/null || true
  # The first ones still fit into the last page, or are not written yet.
  eventually 20 refused "audit log cannot be written" crictl exec -s "$id" true
  same CONTAINER_RUNNING "$(container_state "$id")"
  crictl stop "$id"
  crictl stopp "$pod"
  crictl rmp "$pod"
  rm "$LAB_DIR/small/filler"
  runs() { start_pod healed; }
  eventually 20 runs
  shows "ok +RemoveSandbox" site_shows --id "$pod"   # waited, and was not lost
  api audit verify --config "$LAB_SITE_CONFIG" | has "it is whole"
}
