#!/usr/bin/env bash
# Runs slurmd in a mount namespace of its own (lab/slurm.py): without cgroup2, which crun refuses beside cgroup v1, and
# without what other labs have mounted, which could not be removed as long as a copy lives here.
# With --hide its jobs see an empty folder there, into which nothing can be written.
# usage: slurmd_mounts.sh [--hide FOLDER] COMMAND...
set -euo pipefail
if [ "$1" = --hide ]; then
  mount -t tmpfs -o ro,mode=0755 none "$2"
  shift 2
fi
if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
while read -r _ _ _ _ point rest; do
  case $rest in
    *" - nsfs "* | *" - overlay "*)
      point=$(printf '%b' "${point//\\/\\0}") # octal escapes of mountinfo
      [ "$point" = / ] || umount -l "$point" || true ;;
  esac
done </proc/self/mountinfo
exec "$@"
