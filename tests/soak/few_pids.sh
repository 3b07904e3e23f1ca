#!/bin/sh
# few_pids.sh COMMAND...   runs it where there are only 500 pids, so that they are used again within seconds.
# Ends with 77 where that cannot be had: it takes root, and a Linux in which each pid namespace has a limit of its own
# (6.14); on an older one the whole host's would be changed.
set -u
version=$(uname -r)
major=${version%%.*}
rest=${version#*.}
minor=${rest%%[!0-9]*}
if [ "$major" -lt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -lt 14 ]; }; then
  echo "skipped: Linux $version has one limit of pids for all namespaces"
  exit 77
fi
# shellcheck disable=SC2016 # for the inner shell
if ! unshare --pid --fork --mount-proc true 2>/dev/null; then
  echo "skipped: no pid namespace of our own is allowed here"
  exit 77
fi
# shellcheck disable=SC2016 # for the inner shell
exec unshare --pid --fork --kill-child --mount-proc sh -c \
  'echo 500 >/proc/sys/kernel/pid_max || { echo "skipped: the number of pids cannot be limited here"; exit 77; }
   "$@"' sh "$@"
