/* SPDX-License-Identifier: Apache-2.0
 *
 * golden_seeds: takes seeds from the golden stores: what the library really writes, sealed and opened.
 *
 *   golden_seeds [--check] DIRECTORY STORES      STORES/<store>/{store/, keyring}
 *
 * A piece is a small file, a header's fields, a frame as it stands, or what it holds. Of the pieces of one
 * target and name the longest that is not too long for replay's exhaustive changes becomes the seed
 * golden_<name>, of equals the first; stores and files are taken in the order of their names, so the choice is
 * fixed.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "batch.h"
#include "block.h"
#include "compress.h"
#include "frame.h"
#include "fuzz.h"
#include "golden.h"
#include "header.h"
#include "log_record.h"
#include "seed.h"
#include "support.h"

enum { PIECE_BYTES_MAX = 1536, PIECES_MAX = 64, NAME_BYTES = 48, FIELD_BYTES = 208 };

typedef struct piece {
  char target[NAME_BYTES], name[NAME_BYTES];
  uint8_t bytes[PIECE_BYTES_MAX];
  size_t size;
} piece;

static piece pieces[PIECES_MAX];
static size_t piece_count;

static void keep(const char *target, const char *name, nacre_slice bytes) {
  size_t i = 0;
  while (i < piece_count && (strcmp(pieces[i].target, target) != 0 || strcmp(pieces[i].name, name) != 0)) i++;
  if (bytes.size > PIECE_BYTES_MAX || (i < piece_count && pieces[i].size >= bytes.size)) return;
  FUZZ_REQUIRE(i < PIECES_MAX);
  piece *p = &pieces[i];
  (void)snprintf(p->target, sizeof p->target, "%s", target);
  (void)snprintf(p->name, sizeof p->name, "%s", name);
  memcpy(p->bytes, bytes.data, bytes.size);
  p->size = bytes.size;
  if (i == piece_count) piece_count++;
}

/* ---- what frames hold ---------------------------------------------------------------------------------- */

/* Behind the moves that the block target reads first: to the front, three on, to the end, two back. */
static void keep_block(const char *name, nacre_slice packed) {
  static _Alignas(64) uint8_t memory[4 * 1024 * 1024];
  static const char *const methods[] = {"none", "lz4", "zstd"};
  static const uint8_t moves[] = {8, 0, 2, 2, 2, 1, 3, 3, 2};
  nc_compress_workspace ws;
  size_t size;
  FUZZ_REQUIRE(nc_compress_init(&ws, memory, sizeof memory, true, NULL) == NACRE_OK);
  FUZZ_REQUIRE(nc_unpack_size(packed, &size, NULL, NULL) == NACRE_OK);
  keep("compress", methods[*(const uint8_t *)packed.data], packed);
  uint8_t *bytes = fuzz_alloc(sizeof moves + size);
  memcpy(bytes, moves, sizeof moves);
  FUZZ_REQUIRE(nc_unpack(&ws, packed, bytes + sizeof moves, size, NULL) == NACRE_OK);
  keep("block", name, nc_slice(bytes, sizeof moves + size));
  free(bytes);
}

static void keep_group(nacre_slice plaintext, bool catalogue) {
  nc_log_record record;
  nc_batch_reader reader;
  nc_entry entry;
  bool more = true;
  FUZZ_REQUIRE(nc_log_record_decode(plaintext, NC_FRAME_LOG_GROUP, &record, NULL) == NACRE_OK);
  keep("log_record", "group", plaintext);
  keep("batch", "group", record.operations);
  nc_batch_read_begin(&reader, record.operations);
  while (catalogue && nc_batch_read(&reader, &entry, &more, NULL) == NACRE_OK && more) {
    keep("catalogue_record", "key", entry.key);
    if (entry.kind == NC_KIND_PUT) keep("catalogue_record", "table", entry.value);
  }
}

static void keep_footer(nacre_slice plaintext, uint64_t file_size) {
  uint8_t bytes[8 + 128];
  FUZZ_REQUIRE(plaintext.size <= sizeof bytes - 8);
  nc_put_u64(bytes, file_size);
  memcpy(bytes + 8, plaintext.data, plaintext.size);
  keep("footer", "footer", nc_slice(bytes, 8 + plaintext.size));
}

/* A part stands for the first of a value, for which alone the target knows a length. */
static void keep_value(nc_frame_type type, nacre_slice plaintext, uint64_t file_size) {
  uint8_t *bytes = fuzz_alloc(9 + plaintext.size);
  bytes[0] = type == NC_FRAME_VALUE_END ? 1 : 2;
  nc_put_u64(bytes + 1, type == NC_FRAME_VALUE_END ? file_size : 0);
  memcpy(bytes + 9, plaintext.data, plaintext.size);
  keep("value_file", type == NC_FRAME_VALUE_END ? "end" : "part", nc_slice(bytes, 9 + plaintext.size));
  free(bytes);
}

static void keep_plaintext(nc_frame_type type, nacre_slice plaintext, uint64_t file_size, bool catalogue) {
  switch (type) {
    case NC_FRAME_LOG_START:
      keep("log_record", "start", plaintext);
      break;
    case NC_FRAME_LOG_GROUP:
      keep_group(plaintext, catalogue);
      break;
    case NC_FRAME_LOG_MARK:
      keep("log_record", "mark", plaintext);
      break;
    case NC_FRAME_LOG_FINAL:
      keep("log_record", "final", plaintext);
      break;
    case NC_FRAME_DATA:
      keep_block("data", plaintext);
      break;
    case NC_FRAME_INDEX:
      keep_block("index", plaintext);
      break;
    case NC_FRAME_PROPERTIES:
      keep("properties", "properties", plaintext);
      break;
    case NC_FRAME_FOOTER:
      keep_footer(plaintext, file_size);
      break;
    case NC_FRAME_EDIT:
      keep("manifest_edit", "edit", plaintext);
      break;
    case NC_FRAME_RANGES:
      keep("ranges", "ranges", plaintext);
      break;
    case NC_FRAME_VALUE_PART:
    case NC_FRAME_VALUE_END:
      keep_value(type, plaintext, file_size);
      break;
    case NC_FRAME_FILTER: /* means nothing without the properties */
      break;
  }
}

/* ---- files --------------------------------------------------------------------------------------------- */

static void keep_header(const uint8_t *bytes) {
  uint8_t fields[NC_SLOT_COUNT * FIELD_BYTES];
  nc_header_slot slot;
  FUZZ_REQUIRE(nc_header_decode(nc_slice(bytes, NC_SLOT_BYTES), 0, &slot, NULL) == NACRE_OK);
  for (size_t i = 0; i < NC_SLOT_COUNT; i++)
    memcpy(fields + i * FIELD_BYTES, bytes + i * NC_SLOT_BYTES, FIELD_BYTES);
  keep("header", nc_file_type_name((uint8_t)slot.identity.type), nc_slice(fields, sizeof fields));
}

/* Up to the first frame that is torn. */
static void keep_frames(nacre_sealed_file *file, const uint8_t *bytes, size_t size, bool catalogue) {
  uint8_t *plaintext = fuzz_alloc(size);
  nc_frame_header header;
  for (uint64_t at = NC_FRAMES_OFFSET, next; at + NC_FRAME_HEADER_BYTES < size; at = next) {
    size_t plaintext_size;
    if (nc_frame_decode(bytes + at, &header, NULL) != NACRE_OK) break;
    if (nacre_sealed_file_read(file, at, header.type, plaintext, size, &plaintext_size, &next) != NACRE_OK)
      break;
    nc_frame_type type = (nc_frame_type)header.type;
    keep("frame", nc_frame_type_name(header.type), nc_slice(bytes + at, next - at));
    keep_plaintext(type, nc_slice(plaintext, plaintext_size), size, catalogue);
  }
  free(plaintext);
}

static void take_file(nacre_seal_domain *domain, const char *path, const char *name, bool catalogue) {
  size_t size;
  char *bytes = golden_read_file(path, &size);
  if (strcmp(name, "CURRENT") == 0) keep("current", "current", nc_slice(bytes, size));
  if (strcmp(name, "KEYS.a") == 0) keep("key_file", "key_file", nc_slice(bytes, size));
  if (size >= NC_FRAMES_OFFSET) {
    nacre_sealed_file *file;
    golden_ok(nacre_sealed_file_open(domain, path, &file), path);
    keep_header((const uint8_t *)bytes);
    keep_frames(file, (const uint8_t *)bytes, size, catalogue);
    nacre_sealed_file_close(file);
  }
  free(bytes);
}

/* ---- stores -------------------------------------------------------------------------------------------- */

typedef void take(const char *path, const char *name, void *arg);

static int is_name(const struct dirent *e) { return e->d_name[0] != '.'; }

static void each_name(const char *directory, take *each, void *arg) {
  struct dirent **names;
  int count = scandir(directory, &names, is_name, alphasort);
  if (count < 0) test_die("%s cannot be listed", directory);
  for (int i = 0; i < count; i++) {
    char path[GOLDEN_PATH_BYTES];
    test_path(path, sizeof path, directory, names[i]->d_name);
    each(path, names[i]->d_name, arg);
    free(names[i]);
  }
  free(names);
}

typedef struct opened_table {
  nacre_seal_domain *domain;
  bool catalogue;
} opened_table;

static void take_of_table(const char *path, const char *name, void *arg) {
  const opened_table *table = arg;
  take_file(table->domain, path, name, table->catalogue);
}

static void take_table(const char *path, const char *name, void *arg) {
  char spec[sizeof "uuid:" + 255];
  opened_table table = {.catalogue = strcmp(name, "catalogue") == 0};
  if (strcmp(name, "LOCK") == 0) return;
  (void)snprintf(spec, sizeof spec, "uuid:%s", name);
  golden_ok(nacre_table_keys_open(arg, NULL, table.catalogue ? NULL : spec, &table.domain), path);
  each_name(path, take_of_table, &table);
  golden_ok(nacre_seal_domain_close(table.domain), path);
}

/* Git keeps no mode: the keyring is used as a copy that is its owner's only. */
static void take_store(const char *path, const char *name, void *arg) {
  char store[GOLDEN_PATH_BYTES], keyring[GOLDEN_PATH_BYTES], copy[GOLDEN_PATH_BYTES];
  size_t size;
  test_path(store, sizeof store, path, "store");
  test_path(keyring, sizeof keyring, path, "keyring");
  test_path(copy, sizeof copy, arg, name);
  golden_copy_file(keyring, copy, 0600);
  if (setenv("NACRE_KEYRING", copy, 1) != 0) test_die("no environment");
  char *bytes = golden_read_file(keyring, &size);
  keep("keyring", "keyring", nc_slice(bytes, size));
  free(bytes);
  each_name(store, take_table, store);
}

int main(int argc, char **argv) {
  char scratch[GOLDEN_PATH_BYTES];
  if (argc < 3) test_die("usage: %s [--check] DIRECTORY STORES", argv[0]);
  seed_place place = seed_begin(argc - 1, argv);
  test_scratch_make(scratch, sizeof scratch, "golden-seeds");
  each_name(argv[argc - 1], take_store, scratch);
  test_scratch_remove(scratch);
  for (size_t i = 0; i < piece_count; i++) {
    char name[2 * NAME_BYTES];
    (void)snprintf(name, sizeof name, "golden_%s", pieces[i].name);
    for (char *c = name; *c != 0; c++) *c = *c == ' ' ? '_' : *c;
    seed(&place, pieces[i].target, name, nc_slice(pieces[i].bytes, pieces[i].size));
  }
  return seed_end(&place);
}
