# One lab for all files of this folder. LAB=DIR uses a running one instead.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/common.bash"

setup_suite() {
  if [ -z "${TOOLS:-}" ]; then
    PATH=$("$PROJECT/test/support/tools/build-tools.sh" crictl):$PATH
    export PATH
  fi
  if [ -n "${LAB:-}" ]; then
    use_lab "$LAB"
  else
    own_lab
  fi
  crictl pull "$BUSYBOX" >/dev/null
}

teardown_suite() {
  [ -n "${LAB:-}" ] || end_own_lab
}
