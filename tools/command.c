/* SPDX-License-Identifier: Apache-2.0
 *
 * command: every subcommand, in the order in which help shows them; see command.h.
 */
#include "command.h"

#include <stdio.h>
#include <string.h>

#include "options.h"

#define B(id) OPTION_BIT(OPTION_##id)
#define STORE_KEYS (B(KEY) | B(TRUST_KEY))
#define RANGE_OPTIONS (B(PREFIX) | B(FROM) | B(TO) | B(HEX) | B(BASE64))

static const command commands[] = {
    {"init", "STORE", "make a store",
     "Makes the directory STORE. Without --key its root key is kept in the user's own keyring,\n"
     "outside the store, which is made on first use; its place is NACRE_KEYRING, else\n"
     "$XDG_DATA_HOME/nacre/keyring. Without its key a store is lost for good.\n"
     "With --passphrase, or where NACRE_PASSPHRASE_FILE is set, a keyring that is made lies under\n"
     "a passphrase: asked for on the terminal, or the first line of that file.",
     "  nacre init /srv/records", B(KEY) | B(PASSPHRASE), 1, 1, tool_init_run},
    {"keyring list", "", "list the root keys of the keyring: their ids, never the keys", NULL,
     "  nacre keyring list", B(KEYRING), 0, 0, tool_keyring_list_run},
    {"keyring add", "", "add a root key to the keyring, which wraps from now on",
     "Table keys that an older root key wrapped stay under it until they are changed.",
     "  nacre keyring add", B(KEYRING), 0, 0, tool_keyring_add_run},
    {"keyring remove", "ID", "remove a root key from the keyring for good",
     "What it alone wrapped cannot be opened any more, in no store: change those table keys\n"
     "first. The only key of a keyring stays.",
     "  nacre keyring remove 5f0c0a51-0d0c-4d4c-9d0e-3c1f3c8a5a55", B(KEYRING), 1, 1, tool_keyring_remove_run},
    {"keyring passphrase", "", "put the keyring under a passphrase, change it, or take it away",
     "The passphrase is asked for on the terminal, without echo; the one that the keyring lies\n"
     "under is taken from NACRE_PASSPHRASE_FILE where that is set, as is the new one of a keyring\n"
     "that has none. A file of passphrases is a plain one, of mode 0600; its first line counts.",
     "  nacre keyring passphrase", B(KEYRING) | B(NEW_PASSPHRASE_FILE) | B(REMOVE), 0, 0,
     tool_keyring_passphrase_run},
    {"table create", "STORE TABLE", "make a table",
     "A table has a key of its own, wrapped by the store's key or, with --key, by the keys\n"
     "named; any one of them opens it.",
     "  nacre table create /srv/records people --compression zstd",
     B(STORE_KEY) | B(TRUST_KEY) | B(TABLE_KEY) | B(COMPRESSION) | B(BLOCK_BYTES) | B(FILTER_BITS) |
         B(LARGE_VALUE_BYTES) | B(SEGMENT_BYTES) | B(LEVEL_RATIO), 2, 2,
     tool_table_create_run},
    {"table list", "STORE", "list the tables of a store", NULL, "  nacre table list /srv/records", STORE_KEYS, 1,
     1, tool_table_list_run},
    {"table info", "STORE TABLE", "show how a table is set up, and under which keys", NULL,
     "  nacre table info /srv/records people", STORE_KEYS, 2, 2, tool_table_info_run},
    {"table rename", "STORE TABLE NEW", "give a table another name", NULL,
     "  nacre table rename /srv/records people persons", STORE_KEYS, 3, 3, tool_table_rename_run},
    {"table drop", "STORE TABLE", "destroy a table for good",
     "The table's wrapped keys go first, then its files: what is left of them anywhere cannot be\n"
     "read again.",
     "  nacre table drop /srv/records people", STORE_KEYS, 2, 2, tool_table_drop_run},
    {"keys status", "STORE [TABLE]", "show under which keys the tables are, and what may be disabled",
     "Asks every KMS key once, and counts the files under each version of a table's key. Without\n"
     "TABLE: the catalogue, which is under the store's own key, and every table. A table whose key\n"
     "is gone is told, and the others are shown.",
     "  nacre keys status /srv/records", STORE_KEYS, 1, 2, tool_keys_status_run},
    {"keys set", "STORE [TABLE]", "put a table, or without TABLE the catalogue, under other KMS keys",
     "A new table key is made and wrapped by each --key; new files use it at once, and the headers\n"
     "of the others are rewritten in the background, by this command or whatever opens the table\n"
     "next. The data stay as they are. Keep the old keys until nacre keys wait says that they are\n"
     "not needed any more. The catalogue has one key, and is always waited for; from then on the\n"
     "new key opens the store, as the user's trust file remembers.",
     "  nacre keys set /srv/records people --key local:/mnt/vault/keyring --wait",
     B(STORE_KEY) | B(TRUST_KEY) | B(TABLE_KEY) | B(WAIT), 1, 2, tool_keys_set_run},
    {"keys rotate", "STORE [TABLE]", "give a table, or without TABLE the catalogue, a new table key",
     "As keys set, under the KMS keys that there are.", "  nacre keys rotate /srv/records people --wait",
     STORE_KEYS | B(WAIT), 1, 2, tool_keys_rotate_run},
    {"keys wait", "STORE [TABLE]", "wait until every file is under its newest table key",
     "Goes on with a change of keys that was interrupted. Without TABLE: of the catalogue and every\n"
     "table. Says which versions and KMS keys are not needed any more.",
     "  nacre keys wait /srv/records people", STORE_KEYS, 1, 2, tool_keys_wait_run},
    {"put", "STORE TABLE KEY VALUE", "store a value under a key",
     "VALUE - reads the value from standard input; with --value-file, leave VALUE out. Both are\n"
     "better places for secrets: other users can see command lines. Keys and values are taken as\n"
     "they stand; --hex and --base64 name any bytes (of KEY and VALUE; what comes from a file is\n"
     "taken byte for byte). With --expire the key is not seen any more from then on.",
     "  nacre put /srv/records people ada 'Ada Lovelace'\n"
     "  nacre put /srv/records people ada - < ada.json",
     STORE_KEYS | B(VALUE_FILE) | B(SYNC) | B(EXPIRE) | B(HEX) | B(BASE64), 3, 4, tool_put_run},
    {"get", "STORE TABLE KEY", "print the value of a key",
     "Writes the value byte for byte, with a newline after it only on a terminal; --json says when\n"
     "the key expires, too (expires_unix_ms). Exit status 3 when there is none.",
     "  nacre get /srv/records people ada", STORE_KEYS | B(HEX) | B(BASE64), 3, 3, tool_get_run},
    {"delete", "STORE TABLE KEY", "delete a key, or a range of keys",
     "Deleting a key that is not there is no error. With --to, all keys from KEY to before the\n"
     "other one are deleted at once, however many there are.",
     "  nacre delete /srv/records people ada\n"
     "  nacre delete /srv/records log 2023- --to 2024-",
     STORE_KEYS | B(TO_EXCLUDED) | B(SYNC) | B(HEX) | B(BASE64), 3, 3, tool_delete_run},
    {"scan", "STORE TABLE", "print the entries of a range of keys, in order",
     "One entry a line: key, tab, value, with \\t \\n \\r \\\\ and \\xNN for what is not printable.",
     "  nacre scan /srv/records people --prefix a --limit 10",
     STORE_KEYS | RANGE_OPTIONS | B(LIMIT) | B(REVERSE) | B(KEYS_ONLY), 2, 2, tool_scan_run},
    {"count", "STORE TABLE", "count the keys of a range", NULL,
     "  nacre count /srv/records people --from a --to n", STORE_KEYS | RANGE_OPTIONS, 2, 2, tool_count_run},
    {"import", "STORE TABLE FILE", "load records from a file",
     "tsv    key TAB value, with the escapes \\t \\n \\r \\\\ and \\xNN\n"
     "csv    RFC 4180, the first line names the columns. The key is the first column, or the one\n"
     "       of --key-field. With one more column that is the value, as it stands; else it is a\n"
     "       JSON object of all other columns\n"
     "jsonl  {\"key\":...,\"value\":...} (key_base64 and value_base64 for bytes that are not\n"
     "       UTF-8); with --key-field F, any object: its field F is the key, the whole line the\n"
     "       value\n"
     "A record may expire: expires_unix_ms, milliseconds since 1970, is a column (csv), a field\n"
     "(jsonl), and in tsv a third field, expires_unix_ms=N. For all others --expire says it.\n"
     "FILE - is standard input. Without --format the file's name decides. Lines are written in\n"
     "batches of --batch lines or 1 MiB; a batch is written whole or not at all. When it stops\n"
     "early, --from-line continues where it stopped. With --sorted the keys ascend (as bytes), and\n"
     "all records go straight into segments and appear at once at the end, or not at all.",
     "  nacre import /srv/records people people.csv --key-field id --create",
     STORE_KEYS | B(FORMAT) | B(KEY_FIELD) | B(SYNC) | B(FROM_LINE) | B(SKIP_BAD) | B(BATCH) | B(CREATE) |
         B(ACKNOWLEDGE) | B(SORTED) | B(EXPIRE),
     3, 3, tool_import_run},
    {"export", "STORE [TABLE]", "write records to standard output",
     "The inverse of import: what is exported in any format is imported again exactly, any bytes\n"
     "included, and when a record expires; csv has a column for that with --expire. The format is\n"
     "jsonl unless --format says otherwise. Without TABLE: every table, in jsonl with the table's\n"
     "name in each line; one that cannot be read is told, and the others are written.",
     "  nacre export /srv/records people --format csv > people.csv",
     STORE_KEYS | B(FORMAT) | B(EXPIRE_COLUMN) | RANGE_OPTIONS, 1, 2,
     tool_export_run},
    {"inspect", "FILE...", "say what a file of a store is and whether it is whole, without any key",
     "Shows the headers, the key id, the frames and what is damaged at which offset. Needs no\n"
     "store, takes no lock and changes nothing, so it works beside a running process and on one\n"
     "file by itself. What it shows is checked against checksums only: nothing is authenticated\n"
     "without a key. Exit status 4 when anything is damaged.",
     "  nacre inspect /srv/records/*/*.seg", B(FRAMES), 1, -1, tool_inspect_run},
    {"dump", "FILE...", "decrypt a file of a store and show what it says",
     "Segments: properties, footer, index, blocks, entries. Logs: records. Manifests: edits. The\n"
     "keys are taken from the store two directories above the file, or the one that --keys\n"
     "names.",
     "  nacre dump /srv/records/*/00000000000000000004.seg --entries",
     STORE_KEYS | B(KEYS_STORE) | B(BLOCKS) | B(ENTRIES) | B(RAW) | B(HEX) | B(BASE64), 1, -1, tool_dump_run},
    {"verify", "STORE [TABLE]", "check every byte of a store and name each fault",
     "Authenticates every frame of every file, and checks every order, count and cross-\n"
     "reference, then what stands twice (header slots, key files). Changes nothing. Exit status\n"
     "4 on any fault.",
     "  nacre verify /srv/records", STORE_KEYS | B(KEYLESS), 1, 2, tool_verify_run},
    {"salvage", "STORE [TABLE]", "bring out what a damaged store still holds of a table, to a new store",
     "Copies everything that authenticates to the new store that --to names, and lists what is\n"
     "lost: file, offset, what is wrong, and between which keys. STORE is not changed and may lie\n"
     "on read-only media; no process may write it meanwhile. TABLE may be left out where there is\n"
     "only one; when the catalogue is lost it is \"uuid:\" and the name of the table's directory.\n"
     "Where an entry is lost, an older version of its key may come out in its place, and without\n"
     "a manifest so may deleted keys. Exit status 4 when anything is lost; what could be brought\n"
     "out is in the new store also then.",
     "  nacre salvage /mnt/broken people --to /srv/rescued",
     STORE_KEYS | B(TO_STORE) | B(TO_KEY) | B(BEYOND_GAPS) | B(HEX) | B(BASE64), 1, 2, tool_salvage_run},
    {"checkpoint", "STORE NEW", "copy a store to a new directory",
     "The copy is a store of its own, under the same keys. File systems that can share blocks\n"
     "(btrfs, XFS) do. The directory NEW must be missing or empty. No process may write to STORE\n"
     "meanwhile; one that does takes a checkpoint of its own, with nacre_checkpoint. A copy that\n"
     "was interrupted is no store, and may be removed.",
     "  nacre checkpoint /srv/records /srv/backup/monday", STORE_KEYS, 2, 2, tool_checkpoint_run},
    {"flush", "STORE TABLE", "write what is only in the log to a segment", NULL,
     "  nacre flush /srv/records people", STORE_KEYS, 2, 2, tool_flush_run},
    {"compact", "STORE TABLE", "merge all segments of a table into one run",
     "Deleted and overwritten entries leave the disk.", "  nacre compact /srv/records people", STORE_KEYS, 2, 2,
     tool_compact_run},
    {"stats", "STORE [TABLE]", "show segments, logs, sizes and counts", NULL, "  nacre stats /srv/records",
     STORE_KEYS, 1, 2, tool_stats_run},
    {"help", "[COMMAND | ID | errors]", "list the commands, or say all about one",
     "An error's number stands with its message: help and that number tell what it means and what\n"
     "helps; errors lists all of them.",
     "  nacre help table create\n"
     "  nacre help 1206",
     0, 0, 2, tool_help_run},
    {"version", "", "print the version", NULL, "  nacre version", 0, 0, 0, tool_version_run},
};

enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

const command *tool_command_at(size_t index) { return index < COMMAND_COUNT ? &commands[index] : NULL; }

const command *tool_command_find(const char *first, const char *second, int *ret_words) {
  char both[64];
  (void)snprintf(both, sizeof both, "%s %s", first, second == NULL ? "" : second);
  for (size_t i = 0; i < COMMAND_COUNT; i++) {
    bool one = strcmp(commands[i].name, first) == 0;
    if (one || (second != NULL && strcmp(commands[i].name, both) == 0)) {
      *ret_words = one ? 1 : 2;
      return &commands[i];
    }
  }
  return NULL;
}

/* How many letters must change, come or go to make one word of the other. */
static size_t distance(const char *a, const char *b) {
  size_t row[32], size_b = strlen(b);
  if (strlen(a) > 30 || size_b > 30) return 31;
  for (size_t j = 0; j <= size_b; j++) row[j] = j;
  for (size_t i = 1; a[i - 1] != 0; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= size_b; j++) {
      size_t change = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      size_t step = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
      row[j] = change < step ? change : step;
    }
  }
  return row[size_b];
}

const char *tool_command_suggest(const char *name) {
  const char *nearest = NULL;
  size_t best = 3;
  for (size_t i = 0; i < COMMAND_COUNT; i++) {
    const char *each = commands[i].name;
    size_t size = strlen(name);
    size_t d = strncmp(each, name, size) == 0 && each[size] == ' ' ? 0 : distance(name, each);
    if (d < best) {
      best = d;
      nearest = each;
    }
  }
  return nearest;
}
