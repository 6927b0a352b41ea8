#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# What an application finds: installs into an empty place, compiles every public header alone as C11 and as C++,
# builds the examples through pkg-config against the shared and the static library, runs them, and checks that the
# shared library exports the functions that the headers declare, all of them and nothing else.
#
#   install.sh SOURCES BUILD PREFIX CC...
set -uo pipefail
export LC_ALL=C
sources=$1 build=$2 prefix=$3
shift 3
cc=("$@")

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export NACRE_KEYRING=$work/keyring
passed=0 failed=0
# check NAME COMMAND...: one test; what it prints is shown when it fails.
check() {
  local name=$1
  shift
  if "$@" >"$work/out" 2>&1; then
    passed=$((passed + 1))
    echo "ok      $name"
  else
    failed=$((failed + 1))
    echo "FAILED  $name"
    sed 's/^/        /' "$work/out"
  fi
}
# fails COMMAND...: the control of a check: it must not succeed.
fails() { ! "$@"; }

stage=$work/stage
check "meson install" meson install -C "$build" --no-rebuild --destdir "$stage"
here=$stage$prefix
pc=$(find "$here" -name nacre.pc | head -1)
export PKG_CONFIG_PATH=${pc%/*}
flags() { pkg-config --define-variable=prefix="$here" "$@" nacre; }
shared=$(find "$here" -name 'libnacre.so' | head -1)
static=$(find "$here" -name 'libnacre.a' | head -1)
export LD_LIBRARY_PATH=${shared%/*}
read -ra cflags <<<"$(flags --cflags)"
read -ra libs <<<"$(flags --libs)"
read -ra static_libs <<<"$(flags --static --libs | sed 's/-lnacre\b/-l:libnacre.a/')"

# --- headers ------------------------------------------------------------------------------------------------

strict=(-Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror -fsyntax-only)
for header in "$here"/include/nacre/*.h; do
  name=nacre/$(basename "$header")
  echo "#include <$name>" >"$work/alone.c"
  check "$name compiles alone as C11" "${cc[@]}" -std=c11 "${strict[@]}" "${cflags[@]}" "$work/alone.c"
  check "$name compiles alone as C++" g++ -std=c++11 "${strict[@]}" "${cflags[@]}" -x c++ "$work/alone.c"
done
echo 'nacre_status s;' >"$work/alone.c"
check "control: a header's name is unknown without it" fails "${cc[@]}" -std=c11 -fsyntax-only "$work/alone.c"

# --- exports ------------------------------------------------------------------------------------------------

# What a header marks NACRE_API, up to the semicolon, names the function before its parenthesis.
cat "$here"/include/nacre/*.h | tr '\n' ' ' | grep -o 'NACRE_API [^;]*;' | grep -oP 'nacre_\w+(?=\()' | sort -u \
  >"$work/declared"
nm -D --defined-only "$shared" | awk '$2 != "A" { print $3 }' | sed 's/@.*//' | sort -u >"$work/exported"
declares_enough() { [ "$(wc -l <"$work/declared")" -ge 40 ]; }
check "the headers' functions are found" declares_enough
check "the shared library exports what the headers declare, and nothing else" diff "$work/declared" "$work/exported"
check "every export is named nacre_" fails grep -v '^nacre_' "$work/exported"

# --- examples -----------------------------------------------------------------------------------------------

prints() {
  local expected=$1
  shift
  "$@" >"$work/printed" && diff "$expected" "$work/printed"
}
needs_libnacre() { readelf -d "$1" | grep NEEDED | grep -q 'libnacre\.so'; }
for example in "$sources"/tests/examples/*.c; do
  name=$(basename "$example" .c)
  warnings=(-std=c11 -Wall -Wextra -Werror)
  check "$name builds against the shared library" \
    "${cc[@]}" "${warnings[@]}" "${cflags[@]}" "$example" "${libs[@]}" -o "$work/$name-shared"
  check "$name builds against the static library" \
    "${cc[@]}" "${warnings[@]}" "${cflags[@]}" "$example" "${static_libs[@]}" -o "$work/$name-static"
  check "$name, shared, needs libnacre.so" needs_libnacre "$work/$name-shared"
  check "$name, static, does not" fails needs_libnacre "$work/$name-static"
  for kind in shared static; do
    expected=$sources/tests/examples/$name.expected
    check "$name, $kind, runs and prints what it should" prints "$expected" \
      "$work/$name-$kind" "$work/store-$name-$kind"
  done
done
sed -n '/^```c$/,/^```$/p' "$sources/README.md" | sed '1d;$d' >"$work/readme.c"
check "the README's example builds" \
  "${cc[@]}" -std=c11 -Wall -Wextra -Werror "${cflags[@]}" "$work/readme.c" "${libs[@]}" -o "$work/readme"
cd "$work" || exit 1
echo "owl: awake" >"$work/readme.expected"
check "the README's example prints what it should" prints "$work/readme.expected" "$work/readme"
check "the static library is installed" test -s "$static"
check "the format is installed" grep -q "What a reader owes" "$here/share/doc/nacre/format.md"
check "the errors are installed" grep -q "^1206  NACRE_CORRUPT: " "$here/share/doc/nacre/errors.txt"
check "the nacre command is installed and runs" "$here/bin/nacre" version

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
