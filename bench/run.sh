#!/usr/bin/env bash
# What fleetledger costs and how much of the truth it sees, measured here and now. README.md in this folder says what
# each figure means. What runs is in one temporary folder with a tmux server of its own; at the end, or at Ctrl-C, it
# is gone. The figures stay in BUILD_FOLDER/../bench, each part's in a folder of its own with the machine they are of.
# Usage: run.sh BUILD_FOLDER [PART...] [--short] [--json] [--keep] [--benchmark_OPTION...]
#   PART             only these; without them, all (see PARTS below)
#   --short          accuracy for one minute at 5 s and half a minute at 2 s; growth without the largest fleets
#   --json           one JSON object to standard output, the tables to standard error
#   --keep           leave the ticks and the truth of the loads, and say where
#   --benchmark_...  for the part micro: an option of Google Benchmark
# Exit code: 0 all bars met; 1 one was missed, or a part could not be measured; 2 usage.
set -euo pipefail

# A part: its name and about how long it takes; the function of that name does it, writes JSON files into $folder, and
# fails if it misses a bar.
readonly PARTS=(
  "accuracy|4 min"
  "peers|2 min"
  "sight|40 s"
  "growth|5 min"
  "store|30 s"
  "context|10 s"
  "events|20 s"
  "http|45 s"
  "micro|2 min"
)

part_names() { printf '%s\n' "${PARTS[@]%%|*}"; }

usage() {
  printf 'run.sh: %s\nusage: ./dev bench [PART...] [--short] [--json] [--keep] [--benchmark_OPTION...]\nparts:\n' "$1" >&2
  printf '  %s\n' "${PARTS[@]//|/, }" >&2
  exit 2
}

build=${1:?usage: run.sh BUILD_FOLDER [PART...] [--short] [--json] [--keep] [--benchmark_OPTION...]}
shift
build=$(realpath "$build")
fleetledger=$build/collector/fleetledger
generator=$build/bench/fleet/fleetledger-fleet
judge=$build/bench/harness/fleetledger-bench
results=$(dirname "$build")/bench

parts=()
long_ticks=36 # of 5 s
short_ticks=30 # of 2 s
sizes=(1 10 50 200 500)
json=false
keep=false
micro_options=()
for argument in "$@"; do
  case "$argument" in
    --short) long_ticks=12 short_ticks=15 sizes=(1 10 50) ;;
    --json) json=true ;;
    --keep) keep=true ;;
    --benchmark_*) micro_options+=("$argument") ;;
    *)
      part_names | grep -qxF -e "$argument" || usage "no part or option \"$argument\""
      parts+=("$argument")
      ;;
  esac
done
if [ ${#parts[@]} -eq 0 ]; then mapfile -t parts < <(part_names); fi
mkdir -p "$results"

exec 3>&1 # for the JSON
if $json; then exec 1>&2; fi

work=$(mktemp -d "${TMPDIR:-/tmp}/fleetledger-bench-XXXXXX")
children=()

# runs PID: whether that child of ours still does. The kernel may give the pid of one that has ended to somebody else.
runs() { grep -qxF "$1" <<<"$(jobs -pr)"; }

# end_last: ends the child that was started last and waits for it.
end_last() {
  if runs "${children[-1]}"; then kill -TERM "${children[-1]}" 2>/dev/null || true; fi
  await_last 2>/dev/null || true
}

# await_last: waits for the child that was started last; its exit code.
await_last() {
  local outcome=0
  wait "${children[-1]}" || outcome=$?
  unset "children[-1]"
  return "$outcome"
}

end() {
  local status=$?
  trap - EXIT
  trap '' INT TERM HUP
  while [ ${#children[@]} -gt 0 ]; do end_last; done
  if $keep; then echo "Kept: $work" >&2; else rm -rf "$work"; fi
  exit "$status"
}
trap end EXIT
trap 'exit 1' INT TERM HUP

# Nothing of the caller's tmux, configuration or state is seen or touched.
unset TMUX TMUX_PANE
export XDG_STATE_HOME=$work/state XDG_CONFIG_HOME=$work/config FLEETLEDGER_LOG_LEVEL=warning

# start_fleet ROOT OPTION...: returns when every load runs.
start_fleet() {
  local root=$1
  shift
  export TMUX_TMPDIR=$root/tmux
  mkfifo "$root.ready"
  "$generator" start --with-parent --keep --root "$root" "$@" >"$root.ready" &
  children+=($!)
  # If the generator fails it has said why, and there is no line.
  read -r _ <"$root.ready"
}

# start_sampling HOME OPTION...: to standard output, in the background.
start_sampling() {
  local home=$1
  shift
  setpriv --pdeathsig TERM "$fleetledger" sample --json --home "$home" "$@" &
  children+=($!)
}

# How a fleet is seen: name, source, scope, bars. aged: by a ps that says of all that ran before that it is three days old.
readonly VIEWS=(
  "ps|ps|tree|ps"
  "procfs|procfs|tree|procfs"
  "aged-ps|ps|tree|sums"
  "ps-alone|ps|process|none"
  "procfs-alone|procfs|process|none"
)

# accuracy_run NAME TICKS INTERVAL: the loads use about one core in all. All views at once.
accuracy_run() {
  local root=$work/$1 ticks=$2 interval=$3 view name source scope bars missed=0 before
  echo "Loads with a known use of CPU, $ticks ticks of $interval ..."
  start_fleet "$root" --agents 1 --names metered --sessions 8 --server-load steady:3 \
    --loads flat:20,deep:20,long:20,steady:10,detached:10,unwaited:10,reparented:10,leaker:1 || return 1
  before=$(cut -d' ' -f1 /proc/uptime)
  printf '#!/bin/sh\nexec "%s" aged-ps --before %s --days 3\n' "$judge" "$before" >"$root.aged-ps"
  chmod +x "$root.aged-ps"
  for view in "${VIEWS[@]}"; do
    IFS='|' read -r name source scope bars <<<"$view"
    export FLEETLEDGER_SAMPLING_SOURCE=$source FLEETLEDGER_SAMPLING_SCOPE=$scope FLEETLEDGER_SAMPLING_PS=ps
    if [ "$name" = aged-ps ]; then FLEETLEDGER_SAMPLING_PS=$root.aged-ps; fi
    start_sampling "$root/home" --ticks "$ticks" --interval "$interval" >"$root.$name.ticks"
  done
  unset FLEETLEDGER_SAMPLING_SOURCE FLEETLEDGER_SAMPLING_SCOPE FLEETLEDGER_SAMPLING_PS
  for view in "${VIEWS[@]}"; do
    await_last || return 1
  done
  end_last # the fleet: its loads write their last rows of truth
  for view in "${VIEWS[@]}"; do
    IFS='|' read -r name source scope bars <<<"$view"
    printf '\nBy %s, scope %s%s:\n' "$source" "$scope" "$([ "$name" != aged-ps ] || echo ', as if loads were three days old')"
    "$judge" accuracy --fleet "$root" --ticks "$root.$name.ticks" --bars "$bars" \
      --json "$folder/$1-$name.json" || missed=1
  done
  return $missed
}

accuracy() {
  local missed=0
  accuracy_run every-5s "$long_ticks" 5s || missed=1
  echo
  accuracy_run every-2s "$short_ticks" 2s || missed=1
  return $missed
}

# metered VERB OPTION...: a fleet with these options, and the judge's verb on it.
metered() {
  local root=$work/$1 verb=$1
  shift
  start_fleet "$root" "$@" || return 1
  mkdir "$root.work"
  "$judge" "$verb" --program "$fleetledger" --fleet "$root" --folder "$root.work" --json "$folder/$verb.json"
}

peers() {
  echo "50 agents with ten idle sessions each in tmux, and everybody else who is installed ..."
  metered peers --agents 50 --sessions 10 --loads idle
}

sight() {
  echo "Short-lived tools, and everybody who could see them ..."
  metered sight --agents 1 --sessions 2 --loads flat:20,deep:20
}

growth() {
  local root agents point points=()
  for agents in "${sizes[@]}"; do
    echo "$agents agents with ten idle sessions each, a tick every second ..."
    root=$work/growth-$agents
    point=$folder/$agents.point
    # Sessions are bare processes: thousands of real ones would not fit everywhere.
    start_fleet "$root" --agents "$agents" --sessions 10 --loads idle --no-tmux || return 1
    "$judge" growth --program "$fleetledger" --fleet "$root" --folder "$root.work" --tmux "$root/list-panes" \
      --agents "$agents" --json "$point" || return 1
    end_last
    points+=("$point")
  done
  echo
  local missed=0
  "$judge" growth-report --plot-data "$folder/growth.dat" --json "$folder/growth.json" "${points[@]}" || missed=1
  plot "$folder/growth.dat" "$folder/growth.svg"
  return $missed
}

# plot DATA SVG: what growth-report wrote, if gnuplot is there.
plot() {
  command -v gnuplot >/dev/null || return 0
  gnuplot - <<EOF && echo "Plot: $2"
set terminal svg size 800,500 background "white"
set output "$2"
set logscale xy
set key left top
set grid
set xlabel "agents with ten sessions each"
set ylabel "CPU ms a tick"
plot "$1" using 1:5:6:7 with yerrorlines title "fleetledger, ps", \
     "$1" using 1:8 with linespoints title "bare ps", \
     "$1" using 1:2:3:4 with yerrorlines title "fleetledger, procfs", \
     "$1" using 1:9 with linespoints title "bare SQLite, the same rows"
EOF
}

# Each step five times, so that there is a median with least and greatest. What Google Benchmark says meanwhile is for
# those who wait.
micro() {
  local steps=$work/steps.json
  "$build/bench/micro/fleetledger-micro" --benchmark_repetitions=5 --benchmark_min_time=0.1 \
    --benchmark_display_aggregates_only=true --benchmark_out="$steps" --benchmark_out_format=json \
    "${micro_options[@]}" >&2 || return 1
  "$judge" steps --results "$steps" --json "$folder/micro.json"
}

store() {
  "$judge" store --json "$folder/store.json"
}

context() {
  "$judge" context --json "$folder/context.json"
}

events() {
  "$judge" events --json "$folder/events.json"
}

http() {
  local root=$work/http names=() number address=''
  echo "Ten agents with five idle sessions each and a tick every 5 s, and 64 clients ..."
  for number in 0 1 2 3 4 5 6 7 8 9; do names+=("agent$number"); done
  start_fleet "$root" --agents 10 --sessions 5 --loads idle --names "$(IFS=, && echo "${names[*]}")" || return 1
  "$judge" fill --agent "$root/home/.instar/agents/agent0" || return 1
  {
    printf 'http: {listen: ["127.0.0.1:0"], operator_token_file: "%s"}\n' "$root.token"
    printf 'log: {level: info}\ndiscovery:\n  overrides:\n'
    printf '    %s: {sample_interval: 5s, idle_sample_interval: 5s}\n' "${names[@]}"
  } >"$root.yaml"
  FLEETLEDGER_LOG_LEVEL=info setpriv --pdeathsig TERM \
    "$fleetledger" run --home "$root/home" --config "$root.yaml" 2>"$root.log" &
  children+=($!)
  until address=$(sed -n 's/.*event=listening address=//p' "$root.log") && [ -n "$address" ]; do
    runs "${children[-1]}" || { cat "$root.log" >&2; return 1; }
    sleep 0.1
  done
  "$judge" http --address "$address" --token-file "$root.token" --agent agent0 --seconds 20 --json "$folder/http.json" || return 1
  while [ ${#children[@]} -gt 0 ]; do end_last; done
}

# all_json: of every part that was measured, now or earlier, its machine and its figures.
all_json() {
  local part file name before_part='' before_file
  printf '{'
  while read -r part; do
    if [ ! -e "$results/$part/machine.json" ]; then continue; fi
    printf '%s"%s":{' "$before_part" "$part"
    before_file=
    for file in "$results/$part"/*.json; do
      name=${file##*/}
      printf '%s"%s":%s' "$before_file" "${name%.json}" "$(<"$file")"
      before_file=,
    done
    printf '}'
    before_part=,
  done < <(part_names)
  printf '}\n'
}

status=0
for part in "${parts[@]}"; do
  folder=$results/$part
  rm -rf "$folder"
  mkdir -p "$folder"
  {
    "$judge" machine --json "$folder/machine.json"
    "$part" || status=1
    echo
  } > >(tee "$folder/printed.txt")
  while [ ${#children[@]} -gt 0 ]; do end_last; done
done
"$judge" markdown "$results" >"$results/performance.md"
if $json; then all_json >&3; fi
[ "$status" -eq 0 ]
