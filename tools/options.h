/* SPDX-License-Identifier: Apache-2.0
 *
 * options: the command line, parsed. Every option is listed once, in options.c; a command names the ones that
 * it takes, and all others are usage errors.
 */
#ifndef TOOL_OPTIONS_H
#define TOOL_OPTIONS_H

#include <nacre/nacre.h>
#include <stdio.h>

#include "command.h"

typedef enum option_id {
  OPTION_JSON,
  OPTION_QUIET,
  OPTION_HELP,
  OPTION_KEY,       /* the store's default key */
  OPTION_STORE_KEY, /* the same, where --key means a table's */
  OPTION_TABLE_KEY, /* --key of `table create` and `keys set`; may be repeated */
  OPTION_COMPRESSION,
  OPTION_BLOCK_BYTES,
  OPTION_FILTER_BITS,
  OPTION_LARGE_VALUE_BYTES,
  OPTION_SEGMENT_BYTES,
  OPTION_LEVEL_RATIO,
  OPTION_HEX,
  OPTION_BASE64,
  OPTION_SYNC,
  OPTION_EXPIRE,        /* --expire WHEN of `put` and `import` */
  OPTION_EXPIRE_COLUMN, /* --expire of `export` */
  OPTION_VALUE_FILE,
  OPTION_PREFIX,
  OPTION_FROM,
  OPTION_TO,
  OPTION_LIMIT,
  OPTION_REVERSE,
  OPTION_KEYS_ONLY,
  OPTION_FORMAT,
  OPTION_KEY_FIELD,
  OPTION_FROM_LINE,
  OPTION_SKIP_BAD,
  OPTION_BATCH,
  OPTION_SORTED,
  OPTION_CREATE,
  OPTION_ACKNOWLEDGE,
  OPTION_FRAMES,
  OPTION_KEYS_STORE, /* --keys STORE of `dump` */
  OPTION_BLOCKS,
  OPTION_ENTRIES,
  OPTION_RAW,
  OPTION_KEYLESS,
  OPTION_TO_EXCLUDED, /* --to KEY of `delete` */
  OPTION_TO_STORE,    /* --to NEW of `salvage` */
  OPTION_TO_KEY,
  OPTION_BEYOND_GAPS,
  OPTION_KEYRING,
  OPTION_PASSPHRASE,
  OPTION_NEW_PASSPHRASE_FILE,
  OPTION_REMOVE,
  OPTION_TRUST_KEY, /* may be repeated */
  OPTION_WAIT,
  OPTION_COUNT
} option_id;
#define OPTION_BIT(id) ((uint64_t)1 << (id))

typedef enum bytes_form { BYTES_TEXT = 0, BYTES_HEX = 1, BYTES_BASE64 = 2 } bytes_form;
typedef enum record_format {
  RECORDS_UNSAID = 0,
  RECORDS_TSV = 1,
  RECORDS_CSV = 2,
  RECORDS_JSONL = 3
} record_format;

struct options {
  const command *command;
  int argument_count;
  char **arguments;
  bool json, quiet, help, sync, reverse, keys_only, skip_bad, create, acknowledge, frames, blocks, entries,
      raw, keyless, beyond_gaps, sorted, passphrase, remove, wait, expire_column;
  nacre_key_spec store_key; /* uri NULL: none was named */
  nacre_key_spec to_key;    /* of the new store; uri NULL: the same as the store's */
  nacre_key_spec table_keys[NACRE_KEY_SPECS_MAX];
  size_t table_key_count;
  nacre_key_spec trusted_keys[NACRE_KEY_SPECS_MAX]; /* besides the store's */
  size_t trusted_key_count;
  nacre_compression compression;
  uint32_t block_bytes, filter_bits;
  uint64_t large_value_bytes; /* 0: the default, as of the next two */
  uint64_t segment_bytes, level_ratio;
  bytes_form form;
  record_format format;
  const char *value_file, *prefix, *from, *to, *key_field, *keys_store, *keyring, *new_passphrase_file;
  uint64_t expire_at_ms;                     /* since 1970; 0: never */
  uint64_t limit;                            /* NACRE_NONE: no limit */
  uint64_t from_line;                        /* from 1 */
  uint64_t batch;                            /* lines */
  char *copies[2 * NACRE_KEY_SPECS_MAX + 2]; /* what the key specs point into */
  size_t copy_count;
};

/* Parses what follows the command's name. Returns TOOL_DONE, or tells the mistake and returns TOOL_USAGE.
 * Free the options in either case. */
int tool_options_parse(const command *c, int argc, char **argv, options *ret_options);
void tool_options_free(options *o);
/* Prints the options that a command takes, one a line. */
void tool_options_print(const command *c, FILE *to);
/* Whether --json stands among the words, also of a command line that does not parse. */
bool tool_options_want_json(int argc, char **argv);
/* Reads a decimal number without sign; false for anything else and for what does not fit. */
bool tool_number_parse(const char *text, uint64_t *ret_value);

#endif
