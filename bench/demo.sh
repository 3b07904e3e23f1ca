#!/usr/bin/env bash
# A demo: three agents with real processes in real tmux sessions, metered every two seconds, shown as a live table and on
# the dashboard.
# Everything is in one temporary folder with a tmux server of its own; Ctrl-C ends and removes all of it.
# Usage: demo.sh FLEETLEDGER FLEETLEDGER_FLEET (paths of the two programs)
set -euo pipefail

fleetledger=${1:?usage: demo.sh FLEETLEDGER FLEETLEDGER_FLEET}
generator=${2:?usage: demo.sh FLEETLEDGER FLEETLEDGER_FLEET}

demo=$(mktemp -d "${TMPDIR:-/tmp}/fleetledger-demo-XXXXXX")
children=()

end() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  for ((i = ${#children[@]} - 1; i >= 0; --i)); do
    kill -TERM "${children[i]}" 2>/dev/null || true
    wait "${children[i]}" 2>/dev/null || true
  done
  rm -rf "$demo"
  exit "$status"
}
trap end EXIT
trap 'exit 0' INT TERM HUP

# Nothing of the caller's tmux, configuration or state is seen or touched.
unset TMUX TMUX_PANE
export TMUX_TMPDIR=$demo/fleet/tmux XDG_STATE_HOME=$demo/state XDG_CONFIG_HOME=$demo/config

cat >"$demo/demo.yaml" <<YAML
http:
  listen: ["127.0.0.1:4100"]
discovery:
  overrides:
    echo: {sample_interval: 2s, idle_sample_interval: 2s}
    scout: {sample_interval: 2s, idle_sample_interval: 2s}
    archivist: {sample_interval: 2s, idle_sample_interval: 2s}
YAML

# logged KEY: what the collector's log says behind "KEY=" first; nothing if it does not.
logged() { sed -n "s/.* $1=\([^ ]*\).*/\1/p" "$demo/collector.log" | head -n 1; }

# collect: starts the collector; false if it ends before it serves.
collect() {
  setpriv --pdeathsig TERM \
    "$fleetledger" run --home "$demo/fleet/home" --config "$demo/demo.yaml" 2>"$demo/collector.log" &
  local pid=$!
  until [ -n "$(logged address)" ]; do
    if ! kill -0 $pid 2>/dev/null; then return 1; fi
    sleep 0.05
  done
  children+=("$pid")
}

cat <<'TEXT'
Starting three agents with three sessions each (CPU in percent of one core):
  echo        flat:20 short tools, one after another    deep:20 chains of shells     steady:25 evenly busy
  scout       detached:15 a child that goes on without  unwaited:15 tools that       leaker:1 MiB more each second
              its shell                                 nobody waits for
  archivist   idle, idle, steady:5; no development agent, so its gate is closed: shown as off
TEXT

mkfifo "$demo/ready"
"$generator" start --with-parent --root "$demo/fleet" --agents 3 --sessions 3 --names echo,scout,archivist \
  --loads flat:20,deep:20,steady:25,detached:15,unwaited:15,leaker:1,idle,idle,steady:5 \
  --server-load steady:1 --not-development 1 --ended-files 20 >"$demo/ready" &
children+=($!)
# The line comes when every load runs; if the generator fails it has said why, and there is no line.
read -r _ <"$demo/ready"

if ! collect; then
  grep -q 'port 4100' "$demo/collector.log" && echo "Port 4100 is taken, so the dashboard is at another one."
  sed -i 's/127.0.0.1:4100/127.0.0.1:0/' "$demo/demo.yaml"
  collect || {
    cat "$demo/collector.log" >&2
    exit 1
  }
fi

cat <<TEXT
They run below $demo/fleet. Ctrl-C ends and removes everything.
Dashboard: http://$(logged address)/ with the token in $(logged file)
In another terminal: $fleetledger top --home $demo/fleet/home --config $demo/demo.yaml

TEXT
setpriv --pdeathsig TERM \
  "$fleetledger" sample --ticks 1000000 --interval 2s --home "$demo/fleet/home" --config "$demo/demo.yaml" &
children+=($!)
wait "${children[-1]}"
