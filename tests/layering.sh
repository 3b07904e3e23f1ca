#!/usr/bin/env bash
# Keeps the include table: which folder may include which. Prints each line that breaks it; exit 1 if there is one.
# Usage: layering.sh SOURCE_DIR
set -euo pipefail
cd "${1:?usage: layering.sh SOURCE_DIR}"

status=0

# forbid WHERE PATTERN WHY: no source file under WHERE (a list of paths) may have an #include that matches PATTERN.
forbid() {
  local found
  # shellcheck disable=SC2086
  found=$(grep -rsnE --include='*.h' --include='*.cpp' "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($2)" $1 |
    grep -vF '<tl/expected.hpp>' || true)
  if [ -n "$found" ]; then
    printf '%s\n    %s\n' "$found" "$3"
    status=1
  fi
}

any='(core|backends|config|collector|tests|bench)/'
forbid core "(backends|config|collector|tests|bench)/" "core/ includes only core/ and std"
forbid core "[a-z_]+/[a-z_]+\.(h|hpp)>|uv\.h|sqlite3|yaml|rapidjson|microhttpd|spdlog|fmt/|CLI/|prometheus" \
  "core/ knows no third-party types but tl::expected"
forbid backends "(config|collector|tests|bench)/" "backends/ includes only core/ and backends/"
forbid config "(backends|collector|tests|bench)/" "config/ includes only core/ and config/"
forbid "backends config" "uv\.h" "libuv stays in collector/"
forbid "collector/api" "uv\.h" "a response is made without a loop: libuv stays out of collector/api"
forbid "collector/collector.cpp collector/collector.h" "collector/api/" "a tick knows nothing of answers"
forbid collector "(tests|bench)/" "the program does not know its tests and benches"

# backends/ is named by the composition root alone.
found=$(grep -rsnE --include='*.h' --include='*.cpp' '^[[:space:]]*#[[:space:]]*include[[:space:]]*"backends/' collector |
  grep -vE '^collector/(main\.cpp|commands/)' || true)
if [ -n "$found" ]; then
  printf '%s\n    only collector/main.cpp and collector/commands/ name backends\n' "$found"
  status=1
fi

# Third-party types appear in no header that another folder may include.
forbid_header() {
  local found
  found=$(grep -rsnE --include='*.h' "^[[:space:]]*#[[:space:]]*include[[:space:]]*<($1)" \
    core backends config collector || true)
  if [ -n "$found" ]; then
    printf '%s\n    %s\n' "$found" "$2"
    status=1
  fi
}
forbid_header 'sqlite3|SQLiteCpp/|yaml-cpp/|rapidjson/|microhttpd|CLI/|prometheus/|spdlog/' \
  "third-party types stay in .cpp files"

# Includes from the repository's root only, and every header guarded the same way.
found=$(grep -rsnE --include='*.h' --include='*.cpp' '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' \
  core backends config collector tests bench | grep -vE "include \"$any" || true)
if [ -n "$found" ]; then
  printf '%s\n    include by the path from the root\n' "$found"
  status=1
fi
while IFS= read -r header; do
  if ! head -n 1 "$header" | grep -qx '#pragma once'; then
    printf '%s:1: starts without #pragma once\n' "$header"
    status=1
  fi
done < <(find core backends config collector tests bench -name '*.h')

# The top level is fixed.
for entry in */; do
  case "$entry" in
    core/ | backends/ | collector/ | config/ | tests/ | bench/ | build/) ;;
    *)
      printf '%s: no such folder in the design\n' "$entry"
      status=1
      ;;
  esac
done

exit $status
