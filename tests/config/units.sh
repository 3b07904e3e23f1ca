#!/usr/bin/env bash
# The files by which service managers start fleetledger: systemd finds nothing wrong with them, the system's unit is
# shut off well enough (exposure 2.5 at most), and the plist is one. Usage: units.sh PROGRAM SOURCE_DIR; 77: not possible.
set -euo pipefail
program=$(realpath "${1:?usage: units.sh PROGRAM SOURCE_DIR}")
units=${2:?usage: units.sh PROGRAM SOURCE_DIR}/config
command -v systemd-analyze >/dev/null && command -v python3 >/dev/null || exit 77

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export XDG_RUNTIME_DIR=$work HOME=$work SYSTEMD_PAGER=''
mkdir -p "$work"/{system,user}

# verified KIND INSTALLED: the unit with the program where it is now and a user that there is.
verified() {
  local unit=$work/$1/fleetledger.service said
  sed "s|^ExecStart=$2 |ExecStart=$program |; s|^User=.*|User=daemon|" "$units/systemd/$1/fleetledger.service" >"$unit"
  grep -q "^ExecStart=$program run$" "$unit" || { echo "$1: does not start $2"; return 1; }
  if ! said=$(systemd-analyze "--$1" verify "$unit" 2>&1) || [ -n "$said" ]; then
    echo "$1: $said"
    return 1
  fi
}

verified system /usr/local/bin/fleetledger
verified user %h/.local/bin/fleetledger
systemd-analyze security --offline=true --threshold=25 "$units/systemd/system/fleetledger.service" >"$work/security" ||
  { cat "$work/security" && exit 1; }
tail -n 1 "$work/security"

# What the program counts on, whatever else changes.
for unit in "$units"/systemd/{system,user}/fleetledger.service; do
  # shellcheck disable=SC2016 # systemd's own variable
  for line in Type=notify 'ExecReload=kill -HUP $MAINPID' RestartPreventExitStatus=78 WatchdogSec=30s; do
    grep -qxF "$line" "$unit" || { echo "$unit: without $line" && exit 1; }
  done
  if grep -E '^(PrivateTmp|RemoveIPC|PrivateUsers)=(yes|true|on|1|disconnected)|^ProtectProc=|^ProcSubset=' "$unit"; then
    echo "$unit: hides from a meter what it meters, or takes away what is the agents'"
    exit 1
  fi
done

python3 - "$units/launchd/fleetledger.plist" <<'PYTHON'
import plistlib, sys
with open(sys.argv[1], 'rb') as file:
    job = plistlib.load(file)
assert job['Label'] == 'fleetledger'
assert job['ProgramArguments'] == ['@HOME@/.local/bin/fleetledger', 'run']
assert job['KeepAlive'] == {'SuccessfulExit': False} and job['RunAtLoad'] is True
assert job['ProcessType'] == 'Background' and job['ThrottleInterval'] >= 10
PYTHON
