#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Every test, from a clone: installs what the tests need, builds, runs, and ends with "N passed, N failed" (status
# 1 when anything failed).
#
#   asan      gcc, AddressSanitizer, LeakSanitizer, UndefinedBehaviorSanitizer: all tests, random ones shorter
#   release   clang, optimised: all tests, long, the installation included
#   tsan      clang, ThreadSanitizer: the programs with threads
#
# All with warnings as errors. Sanitizers write to files, for Criterion passes a test that leaked; any such file is
# a failure. GCC's UBSan, beside ASan, ignores its log_path: it ends the program instead, and its words in the test
# log are a failure.
#
#   tests/run.sh [asan|release|tsan]...      (default: all three; builds in build-tests/)
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
root=$PWD
configurations=("${@:-asan}")
[ $# -gt 0 ] || configurations=(asan release tsan)
jobs=$(nproc)
for name in "${configurations[@]}"; do
  [[ " asan release tsan " == *" $name "* ]] || { echo "run.sh: there is no configuration $name" >&2 && exit 2; }
done
# Sizes of randomised tests where a sanitizer makes them slow; tests/README.md says what they are.
shorter=(NACRE_SIM_IMAGES=500 NACRE_FAULT_RUNS=70 NACRE_REWRAP_IMAGES=200 NACRE_KEY_FAULT_RUNS=100
  NACRE_MODEL_OPS=40000 NACRE_KILLS=25
  NACRE_ROT_BITS=1 NACRE_SEAL_ROUNDS=1000 NACRE_HOSTILE_STEP=97)
# Sanitized configurations encrypt by OpenSSL, the release by what the library takes of itself: each back end of
# crypto/aead.h meets all tests.
# What fits into the time that all tests together may take; their full sizes are the programs' own defaults.
long=(NACRE_SIM_IMAGES=4000 NACRE_FAULT_RUNS=600 NACRE_REWRAP_IMAGES=1000 NACRE_HOSTILE_STEP=7)
shortest=(NACRE_MODEL_OPS=20000 NACRE_KILLS=10)
passed=0 failed=0
failures=()

fail() {
  failed=$((failed + 1))
  failures+=("$1")
  echo "FAILED: $1"
}

options_of() {
  case "$1" in
    asan)
      echo --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false \
        -Dc_args=-fno-sanitize-recover=undefined
      ;;
    release) echo --buildtype=release -Doptimization=2 ;;
    tsan) echo --buildtype=debugoptimized -Db_sanitize=thread -Db_lundef=false ;;
    *) return 1 ;;
  esac
}
compiler_of() { if [ "$1" = asan ]; then echo gcc; else echo clang; fi; }

# The tests of a build directory that have threads, by suite or by name.
threaded() {
  meson introspect --tests "$1" | python3 -c '
import json, sys
names = set()
for test in json.load(sys.stdin):
    suites = {suite.split(":")[-1] for suite in test["suite"]} | {test["name"]}
    if suites & {"threads", "model", "kill"}:
        names.add(test["name"])
print("\n".join(sorted(names)))'
}

# Builds a configuration, from nothing when its options changed: Meson does not apply all of them to a directory that
# it has set up. Nothing but warnings and errors is shown.
build() {
  local dir=$root/build-tests/$1 log=$root/build-tests/$1.log options
  options="$(options_of "$1") -Dwerror=true -Dtools=enabled -Dtests=enabled"
  if [ ! -f "$dir/build.ninja" ] || [ "$(cat "$dir.options" 2>/dev/null)" != "$options" ]; then
    rm -rf "$dir"
    mkdir -p "$root/build-tests"
    # shellcheck disable=SC2086 # the options are words
    if ! CC=$(compiler_of "$1") meson setup "$dir" "$root" $options >"$log" 2>&1; then
      tail -30 "$log"
      return 1
    fi
    echo "$options" >"$dir.options"
  fi
  if ! ninja -C "$dir" -j "$jobs" -k 0 >"$log" 2>&1; then
    grep -vE '^\[[0-9]+/[0-9]+\]' "$log" | sed -n '/^FAILED/,$p' | head -80
    return 1
  fi
}

# Counts tests: Criterion's and Python's unittest by their own closing lines, any other program as one. What such a
# program counts itself ("N passed, N failed") are checks, millions of them in the randomised ones, and are told apart.
# A program that ends badly has at least one failed test. Prints "passed failed checks", then a line a failed program.
count() {
  python3 - "$1" <<'PYTHON'
import json, re, sys

criterion = re.compile(r"Synthesis: Tested: .*?(\d+).*?Passing: .*?(\d+).*?Failing: .*?(\d+).*?Crashing: .*?(\d+)")
unittest = re.compile(r"^Ran (\d+) tests? in .*?^(?:OK|FAILED)([^\n]*)", re.M | re.S)
plain = re.compile(r"^(\d+) passed, (\d+) failed", re.M)
colour = re.compile(r"\x1b\[[0-9;]*m")
total_passed = total_failed = checks = 0
bad = []
with open(sys.argv[1], encoding="utf-8") as log:
    for line in log:
        test = json.loads(line)
        if test["result"] == "SKIP":
            continue
        text = colour.sub("", (test.get("stdout") or "") + "\n" + (test.get("stderr") or ""))
        good = test["result"] == "OK"
        passed = failed = 0
        for _, passing, failing, crashing in criterion.findall(text):
            passed += int(passing)
            failed += int(failing) + int(crashing)
        for ran, ending in unittest.findall(text):
            wrong = sum(map(int, re.findall(r"(?:failures|errors|unexpected successes)=(\d+)", ending)))
            passed += int(ran) - wrong
            failed += wrong
        for passing, failing in plain.findall(text):
            checks += int(passing) + int(failing)
            good = good and int(failing) == 0
        if good and passed + failed == 0:
            passed = 1
        if not good and failed == 0:
            failed = 1
        total_passed += passed
        total_failed += failed
        if not good or failed:
            bad.append(f"{test['name']} ({test['result']})")
print(total_passed, total_failed, checks)
print("\n".join(bad))
PYTHON
}

run() {
  local name=$1 dir=$root/build-tests/$1 select=() settings=() counted
  local reports=$dir/sanitizer-reports log=$dir/meson-logs/testlog.json
  rm -rf "$reports" "$log" && mkdir -p "$reports"
  case "$name" in
    asan) settings=("${shorter[@]}" NACRE_AEAD=openssl) select=(--timeout-multiplier 4) ;;
    release) settings=("${long[@]}") ;;
    tsan)
      settings=("${shortest[@]}" NACRE_AEAD=openssl)
      mapfile -t select < <(threaded "$dir")
      select+=(--timeout-multiplier 6)
      ;;
  esac
  ASAN_OPTIONS="log_path=$reports/asan:detect_leaks=1:detect_stack_use_after_return=1" \
    LSAN_OPTIONS="log_path=$reports/lsan" \
    UBSAN_OPTIONS="log_path=$reports/ubsan:print_stacktrace=1" \
    TSAN_OPTIONS="log_path=$reports/tsan:halt_on_error=0" \
    env "${settings[@]}" meson test -C "$dir" --no-rebuild --num-processes "$jobs" --print-errorlogs \
    "${select[@]}" >"$dir.tests.log" 2>&1
  sed -n '/^[[:space:]]*[0-9]*\/[0-9]* /p' "$dir.tests.log"
  if [ ! -s "$log" ]; then
    tail -20 "$dir.tests.log"
    fail "$name: no test ran"
    return
  fi
  counted=$(count "$log") || { fail "$name: the results cannot be read" && return; }
  local own_passed own_failed checks
  read -r own_passed own_failed checks <<<"$counted"
  passed=$((passed + own_passed))
  failed=$((failed + own_failed))
  while read -r program; do
    if [ -n "$program" ]; then failures+=("$name: $program"); fi
  done < <(tail -n +2 <<<"$counted")
  if [ "$own_failed" -gt 0 ]; then sed -n '/^=\+ /,$p; /^―/,$p' "$dir.tests.log" | head -400; fi
  if [ "$name" != release ]; then
    if grep -qE 'runtime error:|(ERROR|WARNING): [A-Za-z]+Sanitizer' "$log"; then
      cp "$log" "$reports/in-the-test-log"
    fi
    sanitizer_reports "$name" "$reports"
  fi
  echo "$name: $own_passed tests passed, $own_failed failed; $checks further checks; $((SECONDS - began)) s"
}

# A report is a failed test; none at all is a passed one.
sanitizer_reports() {
  local found
  found=$(find "$2" -type f | wc -l)
  if [ "$found" = 0 ]; then
    passed=$((passed + 1))
  else
    find "$2" -type f ! -name in-the-test-log -print0 | head -z -n 3 | xargs -0r head -n 60
    fail "$1: $found sanitizer reports in $2"
  fi
}

finish() {
  echo
  for each in ${failures[@]+"${failures[@]}"}; do echo "FAILED: $each"; done
  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ] && exit 0
  exit 1
}

if ! tools/deps.sh build test; then
  fail "installing what the tests need"
  finish
fi
for name in "${configurations[@]}"; do
  began=$SECONDS
  echo "== $name: $(compiler_of "$name") $(options_of "$name") =="
  if build "$name"; then run "$name"; else fail "$name: the build"; fi
done
finish
