#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Seeded bugs: applies each patch of this folder to a scratch copy of the tree and requires the test it names to fail.
#
#   tests/mutants/run.sh [NAME...]     NAME: the beginning of a patch's file name; none: all
#
# The first line of a patch says who must catch it:
#   # Caught by tests/sim/power_cut with NACRE_SIM_IMAGES=2000: what the bug is
# A patch that no longer applies, or that no longer compiles, fails the run; so does a test that fails without any patch.
set -u -o pipefail

here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "$here/../.." && pwd)
scratch=$(mktemp -d "${TMPDIR:-/tmp}/nacre-mutants-XXXXXX") || exit 2
trap 'rm -rf "$scratch"' EXIT
passed=0
failed=0
limit_seconds=${NACRE_MUTANT_SECONDS:-300}

pass() { passed=$((passed + 1)); printf 'ok      %s\n' "$1"; }
fail() { failed=$((failed + 1)); printf 'FAILED  %s: %s\n' "$1" "$2"; }

# The test program and the settings that a patch names; both empty when its first line does not.
test_of() { sed -n '1s/^# Caught by \([^ :]*\)\( with [^:]*\)\{0,1\}: .*/\1/p' "$1"; }
settings_of() { sed -n '1s/^# Caught by [^ :]* with \([^:]*\): .*/\1/p' "$1"; }

build() { ninja -C "$scratch/build" -j"$(nproc)" "$1" >"$scratch/build.log" 2>&1; }

# Runs a test program with its settings, as words; the status is the program's.
run_test() {
  local program=$1
  shift
  # shellcheck disable=SC2086 # settings are words
  (cd "$scratch" && env "$@" timeout -k 5 "$limit_seconds" "$scratch/build/$program") >"$scratch/test.log" 2>&1
}

try_mutant() {
  local patch=$1 name program settings status
  name=$(basename "$patch" .patch)
  program=$(test_of "$patch")
  settings=$(settings_of "$patch")
  if [ -z "$program" ]; then fail "$name" "its first line names no test"; return; fi
  if ! patch -d "$scratch/tree" -p1 --forward --dry-run --batch <"$patch" >/dev/null; then
    fail "$name" "the patch no longer applies"
    return
  fi
  patch -d "$scratch/tree" -p1 --forward --batch --no-backup-if-mismatch <"$patch" >/dev/null
  if build "$program"; then
    # shellcheck disable=SC2086
    run_test "$program" $settings
    status=$?
    case $status in
      0) fail "$name" "$program does not notice" ;;
      124) fail "$name" "$program takes longer than $limit_seconds s" ;;
      2 | 126 | 127) fail "$name" "$program could not run (status $status)" ;;
      *) pass "$name: $(grep -m1 -E 'FAILED|ERROR|Assertion|\[FAIL\]' "$scratch/test.log" | cut -c1-150)" ;;
    esac
  else
    fail "$name" "it no longer compiles: $(grep -m1 'error:' "$scratch/build.log")"
  fi
  patch -d "$scratch/tree" -p1 --reverse --batch --no-backup-if-mismatch <"$patch" >/dev/null
}

patches=()
for patch in "$here"/*.patch; do
  [ $# -eq 0 ] && patches+=("$patch")
  for name in "$@"; do
    case $(basename "$patch") in "$name"*) patches+=("$patch") ;; esac
  done
done
[ ${#patches[@]} -gt 0 ] || { echo "no such patch: $*"; exit 2; }

mkdir "$scratch/tree"
(cd "$tree" && tar -cf - --exclude=.git --exclude='./build*' --exclude='*.o' .) | tar -xf - -C "$scratch/tree"
if ! meson setup "$scratch/build" "$scratch/tree" --buildtype=release -Dwerror=false >"$scratch/setup.log" 2>&1; then
  tail -5 "$scratch/setup.log"
  exit 2
fi

# Without a bug every test must pass, or its failing later would mean nothing.
while read -r program settings; do
  # shellcheck disable=SC2086
  if build "$program" && run_test "$program" $settings; then
    pass "without a bug: $program $settings"
  else
    fail "without a bug" "$program $settings: $(tail -1 "$scratch/test.log" 2>/dev/null)"
  fi
done < <(for patch in "${patches[@]}"; do echo "$(test_of "$patch") $(settings_of "$patch")"; done | sort -u)

for patch in "${patches[@]}"; do
  try_mutant "$patch"
done

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
