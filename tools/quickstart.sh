#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# From a clone to a filled, killed, reopened and verified store in one command, on real data: this machine's own
# Debian package records. Installs what the build needs, builds release into ./build, works in a fresh temporary
# directory with a keyring of its own, says what it checks, and stops with a non-zero status at the first check that
# fails.
#
#   tools/quickstart.sh [--keep] [--nacre COMMAND]
#
#   --keep            leave the temporary directory in place and say where it is
#   --nacre COMMAND   use this nacre command instead of building one
set -euo pipefail
export LC_ALL=C

keep=false
nacre=
while [ $# -gt 0 ]; do
  case "$1" in
    --keep) keep=true ;;
    --nacre) nacre=$(realpath "${2:?--nacre needs a command}") && shift ;;
    *) sed -n 's/^#   //p' "$0" && exit 2 ;;
  esac
  shift
done
root=$(cd "$(dirname "$0")/.." && pwd)

# --- saying things ------------------------------------------------------------------------------------------

if [ -t 1 ]; then bold=$'\e[1m' green=$'\e[32m' plain=$'\e[0m'; else bold='' green='' plain=''; fi
steps=0
summary=()
step() {
  steps=$((steps + 1))
  printf '\n%s%d. %s%s\n' "$bold" "$steps" "$1" "$plain"
}
say() { printf '   %s\n' "$1"; }
ok() { # what the step showed, also for the closing table
  printf '   %sok%s  %s\n' "$green" "$plain" "$1"
  summary+=("$1")
}
die() {
  printf '\nquickstart: FAILED: %s\n' "$1" >&2
  exit 1
}
thousands() { sed -E ':a; s/^([0-9]+)([0-9]{3})/\1,\2/; ta' <<<"$1"; }
megabytes() { awk -v n="$1" 'BEGIN { printf "%.1f MB", n / 1e6 }'; }
seconds_since() { awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { s = b - a; printf "%.2f", s < 0.01 ? 0.01 : s }'; }
per_second() { thousands "$(awk -v n="$1" -v s="$2" 'BEGIN { printf "%d", n / s }')"; }
bytes_in() { find "$@" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'; }

# The status of a command that may fail; its output goes to the file named first.
status_of() {
  local out=$1 status=0
  shift
  "$@" >"$out" 2>&1 || status=$?
  echo "$status"
}

# --- building -----------------------------------------------------------------------------------------------

"$root/tools/deps.sh" build
if [ -z "$nacre" ]; then
  step "Build"
  setup=(meson setup)
  if [ -f "$root/build/build.ninja" ]; then setup+=(--reconfigure); fi
  build_log=$(mktemp)
  if ! { "${setup[@]}" "$root/build" "$root" --buildtype=release -Dtools=enabled -Dtests=disabled &&
    ninja -C "$root/build"; } >"$build_log" 2>&1; then
    tail -40 "$build_log" >&2
    die "the build did not succeed; its output is in $build_log"
  fi
  rm -f "$build_log"
  nacre=$root/build/tools/nacre
  say "release build in ./build: $("$nacre" version)"
fi

work=$(mktemp -d "${TMPDIR:-/tmp}/nacre.XXXXXXXX")
victim=
clean_up() {
  if [ -n "$victim" ]; then kill -9 "$victim" 2>/dev/null || true; fi
  if $keep; then printf '\nKept: %s (export NACRE_KEYRING=%s/keyring)\n' "$work" "$work"; else rm -rf "$work"; fi
}
trap clean_up EXIT
export NACRE_KEYRING=$work/keyring
cd "$work"
gcc -O2 -std=c11 -o canary_scan "$root/tools/canary_scan.c"

# --- the data -----------------------------------------------------------------------------------------------

step "The data: this machine's Debian package records"
# Bytes that a text form of the records would have to escape are replaced, so that exports compare as text.
clean() {
  iconv -c -f UTF-8 -t UTF-8 | tr '\001-\010\013-\037\177' ' ' |
    sed -e 's/\xc2[\x80-\x9f]/ /g' -e 's/\xe2\x80[\xaa-\xae]/ /g' -e 's/\xe2\x81[\xa6-\xa9]/ /g'
}
source="the package archive's records (apt-cache dumpavail)"
apt-cache dumpavail 2>/dev/null | clean >packages.txt || true
if [ "$(grep -c '^Package: ' packages.txt || true)" = 0 ]; then
  source="the installed packages' records (dpkg status)"
  clean </var/lib/dpkg/status >packages.txt
fi
# One line a record: package/version/architecture, a tab, the whole record with its line ends escaped.
awk 'BEGIN { RS = ""; FS = "\n" }
  { package = version = architecture = ""
    for (i = 1; i <= NF; i++) {
      if ($i ~ /^Package: /) package = substr($i, 10)
      else if ($i ~ /^Version: /) version = substr($i, 10)
      else if ($i ~ /^Architecture: /) architecture = substr($i, 15)
    }
    key = package "/" version "/" architecture
    if (package == "" || version == "" || seen[key]++) next
    gsub(/\\/, "\\\\"); gsub(/\t/, "\\t"); gsub(/\n/, "\\n")
    print key "\t" $0 }' packages.txt >records.tsv
cut -f1 records.tsv >keys.txt
sort records.tsv >records.sorted
records=$(wc -l <records.tsv)
bytes=$(stat -c %s records.tsv)
[ "$records" -ge 20 ] || die "this machine has only $records package records; that is too few to show anything"
say "$source"
ok "$(thousands "$records") records, $(megabytes "$bytes"), keys like $(sed -n "$((records / 2))p" keys.txt)"

# --- import, read -------------------------------------------------------------------------------------------

store=$work/store
table=debian_packages_of_this_machine
step "Import them into a new encrypted store"
"$nacre" init "$store" | sed 's/^/   /'
"$nacre" table create "$store" "$table" >/dev/null
begin=$EPOCHREALTIME
"$nacre" import "$store" "$table" records.tsv --format tsv --quiet
took=$(seconds_since "$begin")
ok "imported $(thousands "$records") records, $(megabytes "$bytes") in $took s: $(per_second "$records" "$took") records/s"
"$nacre" flush "$store" "$table" >/dev/null
say "on disk after a flush: $(megabytes "$(bytes_in "$store")")"
counted=$("$nacre" count "$store" "$table")
[ "$counted" = "$records" ] || die "the table counts $counted records, not $records"
"$nacre" export "$store" "$table" --format tsv >exported.tsv
cmp -s exported.tsv records.sorted || die "what is exported is not, byte for byte, what was imported, in key order"
ok "exported again, all records are byte for byte what was imported, in key order"

step "Get"
for n in 1 $((records / 4)) $((records / 2)) "$records"; do
  key=$(sed -n "${n}p" keys.txt)
  printf '%b' "$(sed -n "${n}p" records.tsv | cut -f2)" >expected
  begin=$EPOCHREALTIME
  "$nacre" get "$store" "$table" "$key" >got || die "get: $key is not found"
  cmp -s got expected || die "get: the value of $key is not what was imported"
  say "get $key: $(stat -c %s got) bytes in $(seconds_since "$begin") s, the process included"
done
none=$(status_of out "$nacre" get "$store" "$table" "no-such-package/1/all")
[ "$none" = 3 ] || die "get of a key that is not there answers $none, not 3 (not found)"
ok "get answers with the exact record, and with status 3 for a key that is not there"

step "Scan by prefix"
prefix=lib
grep "^$prefix" keys.txt | sort >expected || die "no package's name begins with $prefix"
begin=$EPOCHREALTIME
"$nacre" scan "$store" "$table" --prefix "$prefix" --keys-only >got
took=$(seconds_since "$begin")
head -3 got | sed 's/^/   /'
cmp -s got expected || die "the scan's keys are not exactly the sorted keys that begin with $prefix"
ok "scan --prefix $prefix: $(thousands "$(wc -l <got)") keys, exactly the right ones in order, in $took s"

# --- kill ---------------------------------------------------------------------------------------------------

step "kill -9 in mid-import, and reopen"
batch=$((records / 200 + 1))
[ $batch -le 500 ] || batch=500
acknowledged=0
# Starts an import and kills it as soon as it has acknowledged so many lines. Sets `acknowledged` to the last line
# that it acknowledged and `ended` to its exit status: 137 when the kill came in time.
kill_import() {
  local target=$1 input=$2 word line
  acknowledged=0 ended=0
  rm -f acks && mkfifo acks
  "$nacre" import "$store" "$second" - --format tsv --batch "$batch" --acknowledge <"$input" \
    >acks 2>import.err &
  victim=$!
  while read -r word line; do
    if [ "$word" != ack ]; then continue; fi
    acknowledged=$line
    if [ "$line" -ge "$target" ]; then kill -9 "$victim" 2>/dev/null || true; fi
  done <acks
  { wait "$victim" || ended=$?; } 2>/dev/null
  victim=
}
# Where there are few records, an import is over before anyone can kill it; the last try therefore hands them over in
# two halves, with a pause between.
in_halves() {
  head -n "$((records / 2))" records.tsv && sleep 2 && tail -n +"$((records / 2 + 1))" records.tsv
}
for part in 3 10 4; do
  second=${table}_killed_$part
  "$nacre" table create "$store" "$second" >/dev/null
  if [ $part = 4 ]; then
    kill_import $((records / part)) <(in_halves 2>/dev/null)
  else
    kill_import $((records / part)) records.tsv
  fi
  if [ "$ended" = 137 ] && [ "$acknowledged" -gt 0 ] && [ "$acknowledged" -lt "$records" ]; then break; fi
  [ "$ended" = 0 ] || [ "$ended" = 137 ] || die "the import ended with status $ended: $(cat import.err)"
  say "the import was over before the kill; once more"
done
if [ "$ended" != 137 ] || [ "$acknowledged" -ge "$records" ]; then die "no import could be killed in its middle"; fi
say "killed after it had acknowledged line $(thousands "$acknowledged") of $(thousands "$records")"
cp -r "$store" store-after-kill # the log as the dead process left it
"$nacre" export "$store" "$second" --format tsv >exported.tsv || die "the table does not open after the kill"
kept=$(wc -l <exported.tsv)
lost=$(head -n "$acknowledged" records.tsv | sort | comm -23 - exported.tsv | wc -l)
[ "$lost" = 0 ] || die "$lost acknowledged lines are lost"
head -n "$kept" records.tsv | sort | cmp -s - exported.tsv ||
  die "what was recovered is not a prefix of what was written"
ok "kill -9 at line $(thousands "$acknowledged"): 0 acknowledged lines lost; the first $(thousands "$kept") are there"
"$nacre" import "$store" "$second" records.tsv --format tsv --from-line "$((acknowledged + 1))" --quiet
"$nacre" export "$store" "$second" --format tsv | cmp -s - records.sorted ||
  die "the continued import is not complete"
ok "import --from-line $((acknowledged + 1)) goes on from there, and the table is complete"

# --- what the files give away -------------------------------------------------------------------------------

step "No plaintext in any file"
say "Looking in every file of the store, after the kill, with a log, and now, file names included, for:"
say "any run of 15 bytes of the records, whole keys, and the table's name."
(cat packages.txt && printf '\n%s\n%s\n' "$table" "$second") >plain.txt
places=("$store" store-after-kill)
./canary_scan plain.txt keys.txt "$table" "${places[@]}" >scan.out ||
  die "plaintext stands in the store: $(cat scan.out)"
found=$(status_of out ./canary_scan plain.txt keys.txt "$table" records.tsv)
[ "$found" = 1 ] || die "the scan does not find the plaintext in its own input: it proves nothing"
# The same with a tool that everyone knows, on a sample.
awk -v every="$((records / 200 + 1))" 'NR % every == 0' keys.txt >sample
awk -v every="$((records / 20 + 1))" 'length > 20 && ++n % every == 0' packages.txt >>sample
echo "$table" >>sample
if grep -rFlaf sample "${places[@]}" >out; then die "grep finds plaintext in $(head -1 out)"; fi
grep -Fqaf sample records.tsv || die "grep does not find its sample in the input: it proves nothing"
ok "no plaintext: $(sed 's/: .*//' scan.out) scanned; the same scan does find the records in the input"

step "A file's header, without a key"
segment=$(find "$store" -name '*.seg' -printf '%s %p\n' | sort -n | tail -1 | cut -d' ' -f2-)
[ -n "$segment" ] || die "the store has no segment"
inspected=$(status_of inspected env NACRE_KEYRING=/nonexistent/keyring "$nacre" inspect "$segment")
head -12 inspected | sed 's/^/   | /'
[ "$inspected" = 0 ] || die "inspect answers $inspected"
if ! grep -qi segment inspected || ! grep -q AES-256-GCM inspected; then die "inspect does not name kind and cipher"; fi
denied=$(status_of out env NACRE_KEYRING=/nonexistent/keyring "$nacre" get "$store" "$table" "$key")
[ "$denied" = 5 ] || die "without the keyring, get answers $denied, not 5 (key missing)"
ok "inspect reads kind, cipher and key id of a segment without a key; get without the key answers 5 (key missing)"

# --- damage -------------------------------------------------------------------------------------------------

step "Verify, and one flipped byte"
begin=$EPOCHREALTIME
verified=$(status_of out "$nacre" verify "$store")
[ "$verified" = 0 ] || die "verify of the whole store answers $verified: $(cat out)"
ok "verify: every byte of $(megabytes "$(bytes_in "$store")") authenticated in $(seconds_since "$begin") s, no fault"
cp -r "$store" damaged
victim_file=damaged${segment#"$store"}
offset=$(($(stat -c %s "$victim_file") / 2))
put_byte() {
  printf '%b' "\\x$(printf %02x "$1")" | dd of="$victim_file" bs=1 seek="$offset" conv=notrunc status=none
}
right=$(od -An -tu1 -j "$offset" -N 1 "$victim_file" | tr -d ' ')
put_byte $((right ^ 1))
say "one bit flipped at offset $offset of $(basename "$victim_file"), in a copy of the store"
verified=$(status_of out "$nacre" verify damaged)
sed 's/^/   | /' out | head -6
[ "$verified" = 4 ] || die "verify of the damaged copy answers $verified, not 4 (corrupt)"
grep -q "$(basename "$victim_file")" out || die "verify does not name the damaged file"
put_byte "$right"
verified=$(status_of out "$nacre" verify damaged)
[ "$verified" = 0 ] || die "verify of the repaired copy answers $verified: $(cat out)"
ok "one flipped bit is found (status 4) and its file named; with the right byte back, verify is clean"

# --- keys that change ---------------------------------------------------------------------------------------

# Every file of the tables that holds data: a header has 8,192 bytes, data follow.
data_files() { find "$store"/*-*-*-*-*/ \( -name '*.seg' -o -name '*.log' \) -size +8192c; }
# With the hash of some of its bytes.
hashes() { # FIRST-BYTE COUNT
  local file
  data_files | while read -r file; do
    printf '%s %s\n' "${file#"$store"/}" "$(tail -c "+$1" "$file" | head -c "$2" | sha256sum)"
  done | sort
}
tables=$("$nacre" table list "$store" --json | grep -o '"name":"[^"]*"' | cut -d'"' -f4)
everything=99999999999

step "Rotate the keys of all tables"
# Merged as far as it goes: a table that is opened for a while merges what is left to merge, which changes files.
for each in $tables; do "$nacre" compact "$store" "$each" >/dev/null; done
hashes 8193 $everything >data.before
hashes 1 8192 >headers.before
begin=$EPOCHREALTIME
for each in $tables; do "$nacre" keys rotate "$store" "$each" --wait --json; done >rotations
took=$(seconds_since "$begin")
hashes 8193 $everything >data.after
hashes 1 8192 >headers.after
cmp -s data.before data.after || die "a rotation changed data: $(diff data.before data.after | head -3)"
kept=$(comm -12 headers.before headers.after)
[ -z "$kept" ] || die "a header is as it was: $kept"
"$nacre" keys status "$store" "$table" | head -5 | sed 's/^/   /'
files=$(wc -l <data.after)
written=$(grep -o '"header_bytes_written":[0-9]*' rotations | awk -F: '{ n += $2 } END { print n }')
data_bytes=$(($(data_files | xargs -d '\n' stat -c %s | awk '{ n += $1 } END { print n + 0 }') - files * 8192))
say "$(thousands "$written") bytes of headers written; besides a manifest, key files, records in the catalogue"
ok "rotated in $took s: $files headers are new, $(megabytes "$data_bytes") of data, by their hashes, as they were"

step "Put everything under another keyring, and take the first away"
begin=$EPOCHREALTIME
for each in $tables; do "$nacre" keys set "$store" "$each" --key "local:$work/other-keyring" >/dev/null; done
"$nacre" keys set "$store" --key "local:$work/other-keyring" | head -1 | sed 's/^/   /'
"$nacre" keys wait "$store" >/dev/null
took=$(seconds_since "$begin")
"$nacre" keys status "$store" | tail -2 | sed 's/^/   /'
if "$nacre" keys status "$store" | grep -q '^needed: local:,'; then die "the first keyring is needed"; fi
mv "$NACRE_KEYRING" keyring.taken-away
verified=$(status_of out "$nacre" verify "$store")
[ "$verified" = 0 ] || die "under the other keyring alone, verify answers $verified: $(cat out)"
for each in "$table" "$second"; do
  "$nacre" export "$store" "$each" --format tsv | cmp -s - records.sorted ||
    die "under the other keyring alone, $each is not what was imported"
done
hashes 8193 $everything | cmp -s - data.before || die "a change of keys changed data"
ok "under another keyring in $took s; with the first one gone, all data are read, verified and as they were"

printf '\n%sShown%s\n' "$bold" "$plain"
for line in "${summary[@]}"; do printf '  ok  %s\n' "$line"; done
