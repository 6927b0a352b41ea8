#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The one install list. Installs the Debian packages that a task needs and that are missing; with everything in
# place it does nothing, asks nothing and touches no network.
#
#   tools/deps.sh [build|fast|run|test|bench|all]...      (default: build)
set -euo pipefail

# To compile the libraries and the command, and to run tools/quickstart.sh.
build=(gcc libc6-dev meson ninja-build pkg-config python3 libssl-dev liblz4-dev libzstd-dev libjansson-dev)
# To encrypt faster, on top of build; without it Nacre encrypts by OpenSSL alone.
fast=(libipsec-mb-dev)
# To run what was built elsewhere, without compiling.
run=(libssl3 liblz4-1 libzstd1 libjansson4 libipsec-mb1)
# To run tests/run.sh, on top of build: the second compiler with its sanitizers, C++ for the headers, nm and readelf,
# published test vectors, and what the decoder in Python needs.
test=(g++ clang libclang-rt-dev libcriterion-dev binutils python3-cryptography-vectors
  python3-cryptography python3-zstandard)
# To measure others beside Nacre (bench/compare), on top of build; without them it measures Nacre alone.
bench=(librocksdb-dev libleveldb-dev liblmdb-dev)

usage() {
  sed -n 's/^#   //p' "$0" >&2
  exit 2
}

list() {
  case "$1" in
    build) printf '%s\n' "${build[@]}" ;;
    fast) printf '%s\n' "${build[@]}" "${fast[@]}" ;;
    run) printf '%s\n' "${run[@]}" ;;
    test) printf '%s\n' "${build[@]}" "${fast[@]}" "${test[@]}" ;;
    bench) printf '%s\n' "${build[@]}" "${fast[@]}" "${bench[@]}" ;;
    all) printf '%s\n' "${build[@]}" "${fast[@]}" "${run[@]}" "${test[@]}" "${bench[@]}" ;;
    *) usage ;;
  esac
}

is_installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    echo "deps.sh: installing needs root, and there is no sudo here. As root, run: apt-get update &&" \
      "apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
}

wanted=()
for what in "${@:-build}"; do
  names=$(list "$what")
  while read -r name; do wanted+=("$name"); done <<<"$names"
done

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  echo "deps.sh: this is no Debian system. Install by hand what these packages hold: ${wanted[*]}" >&2
  exit 1
fi

missing=()
for name in "${wanted[@]}"; do
  is_installed "$name" || [[ " ${missing[*]-} " == *" $name "* ]] || missing+=("$name")
done
if [ ${#missing[@]} = 0 ]; then exit 0; fi

echo "Installing: ${missing[*]}"
as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update
as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}"
