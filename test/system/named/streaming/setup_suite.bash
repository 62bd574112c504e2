# One lab for all files of this folder. LAB=DIR uses a running one instead.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/stream.bash"

setup_suite() {
  if [ -z "${TOOLS:-}" ]; then
    TOOLS=$("$PROJECT/test/support/tools/build-tools.sh" crictl streams)
    export TOOLS PATH=$TOOLS:$PATH
  fi
  if [ -n "${LAB:-}" ]; then
    use_lab "$LAB"
  else
    own_lab
  fi
  crictl pull "$BUSYBOX" >/dev/null
}

teardown_suite() {
  [ -z "${LAB:-}" ] || return 0
  # What a sanitizer found, also at the end.
  lab stop-node "$LAB_DIR"
  lab stop-site "$LAB_DIR"
  none grep -E 'ERROR: (Address|Leak)Sanitizer|runtime error:' "$LAB_NODE_LOG" "$LAB_SITE_LOG"
  end_own_lab
}
