#!/usr/bin/env bash
# Fuzzes one target or all of them, JOBS at a time, and tells of each how often it ran, how many edges of the code were
# reached, and how many inputs were found that crash it, take too long or show something that must not be.
# Usage: run.sh FUZZER WORK_DIR JOBS [TARGET|all] [TIME]   TIME: 60s, 5m, 1h; of all targets together. Exit 1 after a
# finding. What libFuzzer learns stays in WORK_DIR/corpus for the next time, what it finds in WORK_DIR/findings.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly usage='usage: run.sh FUZZER WORK_DIR JOBS [TARGET|all] [TIME such as 60s, 5m or 1h]'
fuzzer=$(realpath "${1:?$usage}")
work=${2:?$usage}
jobs=${3:?$usage}
wanted=${4:-all}
time=${5:-60s}

case "$time" in
  *[!0-9smh]* | [!0-9]* | '') echo "$usage" >&2 && exit 2 ;;
  *h) total=$((${time%h} * 3600)) ;;
  *m) total=$((${time%m} * 60)) ;;
  *) total=${time%s} ;;
esac

# Clang 14's sanitizers cannot start where the kernel scatters memory more widely than they know.
fixed_memory=()
if setarch --addr-no-randomize true 2>/dev/null; then fixed_memory=(setarch --addr-no-randomize); fi

targets=()
while read -r target; do
  if [ "$wanted" = all ] || [ "$wanted" = "$target" ]; then targets+=("$target"); fi
done < <("${fixed_memory[@]}" "$fuzzer" --list)
if [ ${#targets[@]} -eq 0 ]; then
  echo "no target $wanted; there are: $("${fixed_memory[@]}" "$fuzzer" --list | tr '\n' ' ')" >&2
  exit 2
fi
if [ "$jobs" -gt ${#targets[@]} ]; then jobs=${#targets[@]}; fi
each=$((total * jobs / ${#targets[@]}))
if [ "$each" -lt 1 ]; then each=1; fi
mkdir -p "$work/findings" "$work/logs"

# fuzz TARGET: its line of the table; not 0 after a finding.
fuzz() {
  local target=$1 log=$work/logs/$1.log outcome=ok found
  local options=(-max_total_time="$each" -max_len=4096 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=1
    -artifact_prefix="$work/findings/$target-")
  if [ -e "$here/dictionaries/$target.dict" ]; then options+=(-dict="$here/dictionaries/$target.dict"); fi
  mkdir -p "$work/corpus/$target"
  "${fixed_memory[@]}" "$fuzzer" --target="$target" "${options[@]}" "$work/corpus/$target" "$here/corpus/$target" \
    >"$log" 2>&1 || outcome=FAILED
  found=$(find "$work/findings" -name "$target-*" | wc -l)
  awk -v target="$target" -v found="$found" '
    match($0, / cov: [0-9]+/) { edges = substr($0, RSTART + 6, RLENGTH - 6) }
    match($0, / corp: [0-9]+/) { inputs = substr($0, RSTART + 7, RLENGTH - 7) }
    /stat::number_of_executed_units/ { executions = $2 }
    END { printf "%-16s %12d %8d %8d %9d\n", target, executions, edges, inputs, found }' "$log"
  if [ $outcome = ok ] && [ "$found" -eq 0 ]; then return 0; fi
  grep -E -m 5 'fleetledger-fuzz:|ERROR|SUMMARY|runtime error' "$log" || tail -n 5 "$log"
  return 1
}

failed=0
running=0
printf '%-16s %12s %8s %8s %9s\n' target executions edges inputs findings
for target in "${targets[@]}"; do
  if [ "$running" -eq "$jobs" ]; then
    wait -n || failed=1
    running=$((running - 1))
  fi
  fuzz "$target" &
  running=$((running + 1))
done
for ((; running > 0; --running)); do
  wait -n || failed=1
done
exit $failed
