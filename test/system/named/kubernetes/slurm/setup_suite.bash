# One lab for the files of this folder: a kubelet that waits 30 s for a sandbox, and a site whose pods are jobs.
# LAB=DIR uses a running one (test/lab up DIR --kubernetes --plugin slurm --slurm MinJobAge=3600).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../setup_suite.bash"

# SLURM's controller tells of ended jobs as long as this suite may take.
KUBERNETES_LAB=(--plugin slurm --slurm MinJobAge=3600)
