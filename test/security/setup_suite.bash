# One lab for all files of this folder. LAB=DIR uses a running one instead.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../system/setup_suite.bash"
