# A policy of the lab's site; its text comes on stdin. Sourced after common.bash.

restart_lab_site() {
  lab stop-site "$LAB_DIR" >&2
  lab start-site "$LAB_DIR" >&2
  eventually 20 site_is_reachable
}
begin_policy() {
  export POLICY=$LAB_DIR/policy.yaml
  cat >"$POLICY"
  printf 'Policy:\n  File: "%s"\n' "$POLICY" >>"$LAB_SITE_CONFIG"
  restart_lab_site
}
# Another one, in force when it returns.
exchange_policy() {
  local before
  before=$(policy_reads)
  cat >"$POLICY.new"
  mv "$POLICY.new" "$POLICY"
  eventually 10 policy_was_read_since "$before"
}
policy_reads() { grep -c "the policy was read again" "$LAB_SITE_LOG" || true; }
policy_was_read_since() { [ "$(policy_reads)" -gt "$1" ]; }
