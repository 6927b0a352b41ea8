/* SPDX-License-Identifier: Apache-2.0
 *
 * options: the command line, by getopt_long; see options.h.
 *
 * A command's getopt table is made from the options that it takes, so that an option of another command is as
 * unknown as a mistyped one: nothing is accepted and then ignored.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "exit_status.h"
#include "failure.h"
#include "moment.h"

enum { VALUE_BASE = 1000 }; /* getopt values: away from short options and from '?' and ':' */
#define GLOBAL_OPTIONS (OPTION_BIT(OPTION_JSON) | OPTION_BIT(OPTION_QUIET) | OPTION_BIT(OPTION_HELP))

typedef struct option_words {
  const char *name, *value; /* value: how it is named in help; NULL for a switch */
  const char *help;
} option_words;

static const option_words words_of[OPTION_COUNT] = {
    [OPTION_JSON] = {"json", NULL, "write JSON for programs: results, and errors on standard error"},
    [OPTION_QUIET] = {"quiet", NULL, "no summaries, warnings or progress; errors are still told"},
    [OPTION_HELP] = {"help", NULL, "show this page"},
    [OPTION_KEY] = {"key", "URI", "the store's key, where it is not the user's own keyring (local:)"},
    [OPTION_STORE_KEY] = {"store-key", "URI",
                          "the store's key, where it is not the user's own keyring (local:)"},
    [OPTION_TABLE_KEY] =
        {"key", "URI[,region=R][,principal=P]",
         "a key that wraps the table's key; may be repeated, any one of them opens the table"},
    [OPTION_COMPRESSION] = {"compression", "auto|none|lz4|zstd", "how blocks are compressed (auto)"},
    [OPTION_BLOCK_BYTES] = {"block-bytes", "N", "size of a block before compression, in bytes (4096)"},
    [OPTION_FILTER_BITS] = {"filter-bits", "N", "bits a key in the filters of segments; 0: no filter (10)"},
    [OPTION_LARGE_VALUE_BYTES] = {"large-value-bytes", "N",
                                  "longer values have a file each (1048576); 0: only those over 15 MiB"},
    [OPTION_SEGMENT_BYTES] = {"segment-bytes", "N", "merges end a segment of this size, in bytes (67108864)"},
    [OPTION_LEVEL_RATIO] = {"level-ratio", "N", "a level of the tree is so many times as large as the one above (10)"},
    [OPTION_HEX] = {"hex", NULL, "keys and values are read and written as hexadecimal digits"},
    [OPTION_BASE64] = {"base64", NULL, "keys and values are read and written in base64"},
    [OPTION_SYNC] = {"sync", NULL, "return only once the write survives the loss of power"},
    [OPTION_EXPIRE] = {"expire", "WHEN",
                       "not seen any more from then on: +90d, 2027-01-31, 2027-01-31T12:00:00Z"},
    [OPTION_EXPIRE_COLUMN] = {"expire", NULL, "csv gets a column that says when records expire"},
    [OPTION_VALUE_FILE] = {"value-file", "FILE", "take the value from a file, byte for byte"},
    [OPTION_PREFIX] = {"prefix", "P", "only keys that begin with P"},
    [OPTION_FROM] = {"from", "KEY", "only keys from KEY on"},
    [OPTION_TO] = {"to", "KEY", "only keys before KEY"},
    [OPTION_LIMIT] = {"limit", "N", "at most N entries"},
    [OPTION_REVERSE] = {"reverse", NULL, "from the last key to the first"},
    [OPTION_KEYS_ONLY] = {"keys-only", NULL, "no values"},
    [OPTION_FORMAT] = {"format", "tsv|csv|jsonl", "the form of the records"},
    [OPTION_KEY_FIELD] = {"key-field", "F", "the column (csv) or field (jsonl) that is the key"},
    [OPTION_FROM_LINE] = {"from-line", "N", "leave out the lines before line N"},
    [OPTION_SKIP_BAD] = {"skip-bad", NULL, "report bad lines and go on, instead of stopping there"},
    [OPTION_BATCH] = {"batch", "N", "at most N lines in one write (1000)"},
    [OPTION_SORTED] = {"sorted", NULL, "the keys ascend: a bulk load, all of it or nothing"},
    [OPTION_CREATE] = {"create", NULL, "make the table when there is none of that name"},
    [OPTION_ACKNOWLEDGE] = {"acknowledge", NULL,
                            "print \"ack LINE\" after each write: all lines up to LINE are in"},
    [OPTION_FRAMES] = {"frames", NULL, "every frame by itself, not runs of them"},
    [OPTION_KEYS_STORE] = {"keys", "STORE",
                           "the store whose keys open the file (default: two directories up)"},
    [OPTION_BLOCKS] = {"blocks", NULL, "every data and index block, with its first and last key"},
    [OPTION_ENTRIES] = {"entries", NULL, "every entry, with its sequence number and kind"},
    [OPTION_RAW] = {"raw", NULL, "the plaintext of every frame in hexadecimal"},
    [OPTION_TO_EXCLUDED] = {"to", "KEY", "all keys from the named one to before KEY"},
    [OPTION_TO_STORE] = {"to", "NEW", "the directory where the new store is made"},
    [OPTION_TO_KEY] = {"to-key", "URI", "the new store's key, where it is to be another than the store's"},
    [OPTION_BEYOND_GAPS] = {"beyond-gaps", NULL,
                            "also what stands in logs behind lost writes, on which it may rest"},
    [OPTION_KEYLESS] = {"keyless", NULL, "check only what needs no key: headers, framing, checksums"},
    [OPTION_KEYRING] = {"keyring", "PATH", "the keyring, where it is not the user's own"},
    [OPTION_PASSPHRASE] = {"passphrase", NULL, "put a keyring that is made under a passphrase"},
    [OPTION_NEW_PASSPHRASE_FILE] = {"new-passphrase-file", "FILE", "the first line of FILE is the new one"},
    [OPTION_REMOVE] = {"remove", NULL, "the keyring is to have no passphrase any more"},
    [OPTION_TRUST_KEY] = {"trust-key", "URI",
                          "a further key that may be asked to open the store; may be repeated"},
    [OPTION_WAIT] = {"wait", NULL, "return only once every file is under the new key"},
};

static bool takes(const command *c, unsigned id) {
  return ((c->options | GLOBAL_OPTIONS) & OPTION_BIT(id)) != 0;
}

void tool_options_print(const command *c, FILE *to) {
  for (unsigned id = 0; id < OPTION_COUNT; id++) {
    if (!takes(c, id)) continue;
    const option_words *w = &words_of[id];
    char head[80];
    (void)snprintf(head, sizeof head, "--%s%s%s", w->name, w->value == NULL ? "" : " ",
                   w->value == NULL ? "" : w->value);
    if (strlen(head) > 24) {
      fprintf(to, "  %s\n  %-24s  %s\n", head, "", w->help);
    } else {
      fprintf(to, "  %-24s  %s\n", head, w->help);
    }
  }
}

bool tool_options_want_json(int argc, char **argv) {
  for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
    if (strcmp(argv[i], "--json") == 0) return true;
  }
  return false;
}

bool tool_number_parse(const char *text, uint64_t *ret_value) {
  if (text[0] < '0' || text[0] > '9') return false;
  char *end = NULL;
  errno = 0;
  unsigned long long value = strtoull(text, &end, 10);
  if (errno != 0 || *end != 0) return false;
  *ret_value = value;
  return true;
}

/* ",region=" and ",principal=" end a key's URI, in either order; other commas are the URI's own. */
static nacre_key_spec key_spec(options *o, const char *text) {
  nacre_key_spec spec = {0};
  size_t size = strlen(text) + 1;
  char *copy = tool_alloc(size);
  o->copies[o->copy_count++] = copy;
  memcpy(copy, text, size);
  spec.uri = copy;
  for (char *comma; (comma = strrchr(copy, ',')) != NULL;) {
    if (strncmp(comma, ",region=", 8) == 0 && spec.region == NULL) {
      spec.region = comma + 8;
    } else if (strncmp(comma, ",principal=", 11) == 0 && spec.principal == NULL) {
      spec.principal = comma + 11;
    } else {
      break;
    }
    *comma = 0;
  }
  return spec;
}

/* A word that was meant for what may follow the URI, and would become part of it. */
static int check_key_spec(const options *o, const nacre_key_spec *spec) {
  const char *comma = strrchr(spec->uri, ',');
  size_t size = comma == NULL ? 0 : strspn(comma + 1, "abcdefghijklmnopqrstuvwxyz");
  if (size == 0 || comma[1 + size] != '=') return TOOL_DONE;
  return tool_fail_usage(o, "after a key's URI come ,region=R and ,principal=P, each once; not \"%s\"",
                         comma);
}

void tool_options_free(options *o) {
  for (size_t i = 0; i < o->copy_count; i++) free(o->copies[i]);
  o->copy_count = 0;
}

static int number_option(const options *o, unsigned id, const char *text, uint64_t min, uint64_t max,
                         uint64_t *ret_value) {
  uint64_t value = 0;
  if (!tool_number_parse(text, &value) || value < min || value > max) {
    if (max == NACRE_NONE) {
      return tool_fail_usage(o, "--%s takes a number from %llu on, not \"%s\"", words_of[id].name,
                             (unsigned long long)min, text);
    }
    return tool_fail_usage(o, "--%s takes a number from %llu to %llu, not \"%s\"", words_of[id].name,
                           (unsigned long long)min, (unsigned long long)max, text);
  }
  *ret_value = value;
  return TOOL_DONE;
}

/* A word of a list; its place in the list, or -1. */
static int word_place(const char *text, const char *const *list) {
  for (int i = 0; list[i] != NULL; i++) {
    if (strcmp(text, list[i]) == 0) return i;
  }
  return -1;
}

static int compression_option(options *o, const char *text) {
  static const char *const names[] = {"auto", "none", "lz4", "zstd", NULL};
  int place = word_place(text, names);
  if (place < 0) return tool_fail_usage(o, "--compression takes auto, none, lz4 or zstd, not \"%s\"", text);
  o->compression = (nacre_compression)place;
  return TOOL_DONE;
}

static int format_option(options *o, const char *text) {
  static const char *const names[] = {"", "tsv", "csv", "jsonl", NULL};
  int place = word_place(text, names);
  if (place < 1) return tool_fail_usage(o, "--format takes tsv, csv or jsonl, not \"%s\"", text);
  o->format = (record_format)place;
  return TOOL_DONE;
}

static int form_option(options *o, bytes_form form) {
  if (o->form != BYTES_TEXT && o->form != form)
    return tool_fail_usage(o, "--hex and --base64 exclude each other");
  o->form = form;
  return TOOL_DONE;
}

static int table_key_option(options *o, const char *text) {
  if (o->table_key_count == NACRE_KEY_SPECS_MAX) {
    return tool_fail_usage(o, "a table key has at most %zu wraps: --key may be given no oftener",
                           NACRE_KEY_SPECS_MAX);
  }
  o->table_keys[o->table_key_count] = key_spec(o, text);
  return check_key_spec(o, &o->table_keys[o->table_key_count++]);
}

static int trust_key_option(options *o, const char *text) {
  if (o->trusted_key_count == NACRE_KEY_SPECS_MAX)
    return tool_fail_usage(o, "--trust-key may be given %zu times at most", NACRE_KEY_SPECS_MAX);
  o->trusted_keys[o->trusted_key_count] = key_spec(o, text);
  return check_key_spec(o, &o->trusted_keys[o->trusted_key_count++]);
}

static int store_key_option(options *o, nacre_key_spec *key, const char *text) {
  if (key->uri != NULL) return tool_fail_usage(o, "a store has one key: it may be named only once");
  *key = key_spec(o, text);
  return check_key_spec(o, key);
}

static int filter_bits_option(options *o, const char *text) {
  uint64_t bits = 0;
  int status = number_option(o, OPTION_FILTER_BITS, text, 0, 32, &bits);
  if (status == TOOL_DONE) o->filter_bits = bits == 0 ? UINT32_MAX : (uint32_t)bits;
  return status;
}

static int block_bytes_option(options *o, const char *text) {
  uint64_t size = 0;
  int status = number_option(o, OPTION_BLOCK_BYTES, text, 1024, 1048576, &size);
  o->block_bytes = (uint32_t)size;
  return status;
}

static int large_value_option(options *o, const char *text) {
  uint64_t size = 0;
  int status = number_option(o, OPTION_LARGE_VALUE_BYTES, text, 0, NACRE_VALUE_BYTES_MAX, &size);
  o->large_value_bytes = size == 0 ? NACRE_NONE : size;
  return status;
}

static int expire_option(options *o, const char *text) {
  uint64_t now_ms = tool_moment_now();
  if (!tool_moment_parse(text, now_ms, &o->expire_at_ms)) {
    return tool_fail_usage(
        o,
        "--expire takes a time from now, +N with s, m, h, d or w behind it, or a date and time, "
        "2027-01-31 or 2027-01-31T12:00:00Z; not \"%s\"",
        text);
  }
  if (o->expire_at_ms <= now_ms) return tool_fail_usage(o, "--expire %s has passed", text);
  return TOOL_DONE;
}

static bool switch_option(options *o, option_id id) {
  bool *const switches[OPTION_COUNT] = {
      [OPTION_JSON] = &o->json,
      [OPTION_QUIET] = &o->quiet,
      [OPTION_HELP] = &o->help,
      [OPTION_SYNC] = &o->sync,
      [OPTION_REVERSE] = &o->reverse,
      [OPTION_KEYS_ONLY] = &o->keys_only,
      [OPTION_SKIP_BAD] = &o->skip_bad,
      [OPTION_CREATE] = &o->create,
      [OPTION_ACKNOWLEDGE] = &o->acknowledge,
      [OPTION_FRAMES] = &o->frames,
      [OPTION_BLOCKS] = &o->blocks,
      [OPTION_ENTRIES] = &o->entries,
      [OPTION_RAW] = &o->raw,
      [OPTION_KEYLESS] = &o->keyless,
      [OPTION_BEYOND_GAPS] = &o->beyond_gaps,
      [OPTION_SORTED] = &o->sorted,
      [OPTION_PASSPHRASE] = &o->passphrase,
      [OPTION_REMOVE] = &o->remove,
      [OPTION_WAIT] = &o->wait,
      [OPTION_EXPIRE_COLUMN] = &o->expire_column,
  };
  if (switches[id] == NULL) return false;
  *switches[id] = true;
  return true;
}

static bool text_option(options *o, option_id id, const char *text) {
  const char **const texts[OPTION_COUNT] = {
      [OPTION_VALUE_FILE] = &o->value_file,
      [OPTION_PREFIX] = &o->prefix,
      [OPTION_FROM] = &o->from,
      [OPTION_TO] = &o->to,
      [OPTION_TO_EXCLUDED] = &o->to,
      [OPTION_TO_STORE] = &o->to,
      [OPTION_KEY_FIELD] = &o->key_field,
      [OPTION_KEYS_STORE] = &o->keys_store,
      [OPTION_KEYRING] = &o->keyring,
      [OPTION_NEW_PASSPHRASE_FILE] = &o->new_passphrase_file,
  };
  if (texts[id] == NULL) return false;
  *texts[id] = text;
  return true;
}

static int apply(options *o, option_id id, const char *text) {
  if (switch_option(o, id) || text_option(o, id, text)) return TOOL_DONE;
  if (id == OPTION_KEY || id == OPTION_STORE_KEY) return store_key_option(o, &o->store_key, text);
  if (id == OPTION_TO_KEY) return store_key_option(o, &o->to_key, text);
  if (id == OPTION_TABLE_KEY) return table_key_option(o, text);
  if (id == OPTION_TRUST_KEY) return trust_key_option(o, text);
  if (id == OPTION_COMPRESSION) return compression_option(o, text);
  if (id == OPTION_BLOCK_BYTES) return block_bytes_option(o, text);
  if (id == OPTION_FILTER_BITS) return filter_bits_option(o, text);
  if (id == OPTION_LARGE_VALUE_BYTES) return large_value_option(o, text);
  if (id == OPTION_EXPIRE) return expire_option(o, text);
  if (id == OPTION_SEGMENT_BYTES)
    return number_option(o, id, text, NACRE_SEGMENT_BYTES_MIN, NACRE_SEGMENT_BYTES_MAX, &o->segment_bytes);
  if (id == OPTION_LEVEL_RATIO)
    return number_option(o, id, text, NACRE_LEVEL_RATIO_MIN, NACRE_LEVEL_RATIO_MAX, &o->level_ratio);
  if (id == OPTION_HEX) return form_option(o, BYTES_HEX);
  if (id == OPTION_BASE64) return form_option(o, BYTES_BASE64);
  if (id == OPTION_FORMAT) return format_option(o, text);
  if (id == OPTION_LIMIT) return number_option(o, id, text, 0, NACRE_NONE, &o->limit);
  if (id == OPTION_FROM_LINE) return number_option(o, id, text, 1, NACRE_NONE, &o->from_line);
  return number_option(o, id, text, 1, 1000000, &o->batch); /* OPTION_BATCH, the one that is left */
}

/* `word` is what getopt_long stumbled over. */
static int unknown(const options *o, const char *word) {
  if (word == NULL || word[0] == 0) word = "-";
  size_t size = strcspn(word, "=");
  const char *hint = word[1] == '-' ? "" : "; a key or value that begins with - goes after --";
  return tool_fail_usage(o, "%s has no option %.*s (nacre %s --help lists them%s)", o->command->name,
                         (int)size, word, o->command->name, hint);
}

static int check_arguments(const options *o) {
  const command *c = o->command;
  if (o->argument_count < c->arguments_min) {
    return tool_fail_usage(o, "%s needs %s (nacre %s --help says more)", c->name, c->arguments, c->name);
  }
  if (o->argument_count > 0 && o->arguments[0][0] == 0) {
    return tool_fail_usage(o, "%s was given an empty %.*s", c->name, (int)strcspn(c->arguments, " ."),
                           c->arguments);
  }
  if (c->arguments_max >= 0 && o->argument_count > c->arguments_max) {
    return tool_fail_usage(o, "%s does not know what to do with \"%s\": it takes %s", c->name,
                           o->arguments[c->arguments_max],
                           c->arguments_max == 0 ? "no arguments" : c->arguments);
  }
  return TOOL_DONE;
}

static void getopt_table(const command *c, struct option table[OPTION_COUNT + 1]) {
  size_t used = 0;
  for (unsigned id = 0; id < OPTION_COUNT; id++) {
    if (!takes(c, id)) continue;
    table[used++] =
        (struct option){words_of[id].name, words_of[id].value != NULL ? required_argument : no_argument, NULL,
                        VALUE_BASE + (int)id};
  }
  table[used] = (struct option){0};
}

int tool_options_parse(const command *c, int argc, char **argv, options *ret_options) {
  options *o = ret_options;
  *o = (options){.command = c, .limit = NACRE_NONE, .from_line = 1, .batch = 1000};
  o->json = tool_options_want_json(argc, argv);
  struct option table[OPTION_COUNT + 1];
  getopt_table(c, table);
  opterr = 0;
  optind = 1;
  for (;;) {
    int before = optind;
    int got = getopt_long(argc, argv, ":h", table, NULL);
    if (got == -1) break;
    if (got == 'h') got = VALUE_BASE + OPTION_HELP;
    if (got == ':') return tool_fail_usage(o, "%s needs a value", argv[optind - 1]);
    if (got == '?') return unknown(o, optind > before ? argv[optind - 1] : argv[optind]);
    int status = apply(o, (option_id)(got - VALUE_BASE), optarg);
    if (status != TOOL_DONE) return status;
  }
  o->argument_count = argc - optind;
  o->arguments = argv + optind;
  return o->help ? TOOL_DONE : check_arguments(o);
}
