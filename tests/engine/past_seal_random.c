/* SPDX-License-Identifier: Apache-2.0
 *
 * Past the seal, at random: logs, manifests, segments and value files that were opened with the key, changed anywhere
 * and sealed again. Whatever comes of it is an explicit error or a sound answer.
 *
 * NACRE_SEAL_ROUNDS: how many random images of a log, and of a segment; of a manifest and a value file a quarter (3,000).
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "batch.h"
#include "histories.h"
#include "resealed_table.h"
#include "segments.h"
#include "value_reader.h"
#include "value_writer.h"
#include "verify.h"

static history h;

static void setup(void) { history_open(&h); }
static void teardown(void) { history_close(&h); }
TestSuite(past_seal, .init = setup, .fini = teardown, .timeout = 120);

static plain_file file; /* under change */

/* ---- at random ----------------------------------------------------------------------------------------- */

static void mutate_bytes(test_random *random, plain_frame *f, bool same_size) {
  static const uint8_t telling[] = {0, 1, 0x7F, 0x80, 0xFF};
  uint8_t bytes[20000];
  size_t size = f->size;
  require(size > 0 && size < sizeof bytes - 8);
  memcpy(bytes, f->bytes, size);
  size_t at = (size_t)test_random_below(random, size < 64 || test_random_chance(random, 2) ? size : 64);
  switch (test_random_below(random, same_size ? 3 : 6)) {
    case 0:
      bytes[at] ^= (uint8_t)(1U << test_random_below(random, 8));
      break;
    case 1:
      bytes[at] = telling[test_random_below(random, sizeof telling)];
      break;
    case 2:
      for (size_t i = at; i < size && i < at + 9; i++) bytes[i] = i == at + 8 ? 1 : 0xFF;
      break;
    case 3: /* one byte more */
      memmove(bytes + at + 1, bytes + at, size++ - at);
      break;
    case 4: /* one less */
      memmove(bytes + at, bytes + at + 1, --size - at);
      break;
    default:
      size = at;
      break;
  }
  plain_set(f, bytes, size);
}

static void mutate(test_random *random, plain_file *p, bool same_size) {
  for (uint64_t n = 1 + test_random_below(random, 2); n > 0; n--) {
    size_t i = (size_t)test_random_below(random, p->count), k = (size_t)test_random_below(random, p->count);
    plain_frame *f = &p->frames[i], kept = *f;
    uint64_t kind = test_random_below(random, 12);
    if (kind == 0) {
      p->frames[i] = p->frames[k];
      p->frames[k] = kept;
    } else if (kind == 1 && !same_size) {
      plain_set(f, p->frames[k].bytes, p->frames[k].size);
    } else if (kind == 2) {
      f->type = p->frames[k].type;
    } else if (kind == 3 && !same_size && p->count > 1) {
      free(kept.bytes);
      p->frames[i] = p->frames[--p->count];
    } else if (f->size > 0) {
      mutate_bytes(random, f, same_size);
    }
  }
}

static struct random_tally { uint64_t accepted, refused; } seen;

static void note(nacre_status status, const nacre_error *err) {
  bool told = status == NACRE_CORRUPT || status == NACRE_TAMPERED || status == NACRE_ROLLED_BACK;
  cr_assert(status == NACRE_OK || told, "%d: %s", (int)status, err->text);
  cr_assert(status == NACRE_OK || err->id != 0);
  seen.accepted += status == NACRE_OK;
  seen.refused += told;
}

static void say(const char *what) {
  fprintf(stderr, "past_seal: %s: %llu images, %llu refused, %llu accepted\n", what,
          (unsigned long long)(seen.refused + seen.accepted), (unsigned long long)seen.refused,
          (unsigned long long)seen.accepted);
}

static uint64_t rounds(void) { return test_env_number("NACRE_SEAL_ROUNDS", 3000); }

Test(past_seal, logs_at_random) {
  test_random random = {test_seed("past_seal logs", 0x5EA1)};
  plain_file pristine[2];
  history_two_logs(&h);
  h.foreign = true;
  for (size_t log = 0; log < 2; log++) plain_load(&h.floor, history_log_name(log), &pristine[log]);
  for (uint64_t round = 0; round < rounds(); round++) {
    size_t log = (size_t)test_random_below(&random, 2);
    plain_copy(&pristine[log], &file);
    mutate(&random, &file, false);
    history_reseal(&h, log, &file);
    note(history_recover(&h, NACRE_RECOVERY_STRICT), &h.err);
    cr_assert(h.entries <= 8 || h.report.entries == h.entries);
    nacre_status to_damage = history_recover(&h, NACRE_RECOVERY_TO_DAMAGE);
    cr_assert(to_damage == NACRE_OK || to_damage == NACRE_ROLLED_BACK);
    plain_copy(&pristine[log], &file);
    history_reseal(&h, log, &file);
  }
  plain_free(&pristine[0]);
  plain_free(&pristine[1]);
  say("logs");
}

static void open_and_use(void) {
  nacre_table_open_options options = {.read_only = true};
  nacre_status status = nacre_table_open(resealed.store, "table", &options, &resealed.t);
  nacre_error err;
  nacre_last_error(&err);
  if (status == NACRE_OK) {
    status = nacre_verify(resealed.t, NULL, NULL);
    nacre_last_error(&err);
    ok(nacre_table_close(resealed.t));
  }
  resealed.t = NULL;
  note(status, &err);
}

Test(past_seal, manifests_at_random) {
  test_random random = {test_seed("past_seal manifests", 0x5EA2)};
  plain_file pristine;
  char kept[PATH_BYTES], manifest[PATH_BYTES], current[PATH_BYTES], kept_current[PATH_BYTES];
  resealed_make(&file);
  plain_copy(&file, &pristine);
  plain_free(&file);
  join(manifest, resealed.directory, resealed.manifest);
  join(current, resealed.directory, NC_CURRENT_NAME);
  join(kept, resealed.s.path, "kept");
  join(kept_current, resealed.s.path, "kept.current");
  file_copy(manifest, kept);
  file_copy(current, kept_current);
  for (uint64_t round = 0; round < rounds() / 4; round++) {
    plain_copy(&pristine, &file);
    mutate(&random, &file, false);
    resealed_seal(&file);
    open_and_use();
    file_copy(kept, manifest);
    file_copy(kept_current, current);
    ok(nacre_table_open(resealed.store, "table", NULL, &resealed.t));
    resealed.view.keys = resealed.t->keys.keys; /* nothing replaces them here */
    resealed.view.dir = resealed.t->dir;
  }
  plain_free(&pristine);
  resealed_done();
  say("manifests");
}

/* Reads all of a segment by every way there is. */
static void read_segment(nc_segment *s, nacre_error *err, nacre_status *ret_status) {
  static nacre_table table;
  table.shared = &h.floor.shared;
  nc_cursor *c = NULL;
  nacre_status status = nc_segment_cursor(s, &(nc_travel){.no_cache_fill = true}, &c, err);
  if (status == NACRE_OK) status = nc_cursor_first(c, err);
  for (uint64_t n = 0; status == NACRE_OK && c->valid; n++) {
    cr_assert_lt(n, 100000, "a cursor goes round and round");
    status = nc_cursor_next(c, err);
  }
  if (c != NULL) nc_cursor_close(c);
  const nc_range_set *ranges;
  nacre_error why;
  if (nc_segment_ranges(s, &ranges, &why) == NACRE_OK) {
    for (size_t i = 0; ranges != NULL && i < ranges->count; i++) {
      const nc_range_fragment *r = &ranges->fragments[i];
      cr_assert(nc_slice_compare(r->from, r->to) < 0 && r->count > 0, "a range delete of nothing");
      cr_assert_eq(nc_range_set_cover(ranges, r->from, NC_SEQUENCE_MAX), r->sequences[0]);
    }
  } else if (status == NACRE_OK) {
    status = why.status;
    *err = why;
  }
  nc_verifier v = {.table = &table};
  nacre_error found;
  nacre_status verified = nc_verify_segment(&v, s, &found);
  if (verified == NACRE_OK && v.report.fault_count > 0) {
    found = v.first;
    verified = found.status;
  }
  nacre_faults_free(v.report.faults);
  cr_assert(status == NACRE_OK || verified != NACRE_OK, "verify finds what a reader meets: %s", err->text);
  if (verified != NACRE_OK) *err = found;
  *ret_status = verified;
}

Test(past_seal, segments_at_random) {
  test_random random = {test_seed("past_seal segments", 0x5EA3)};
  nacre_error err;
  entry_list list = {0};
  nc_segment_record record;
  plain_file pristine;
  char name[NC_FILE_NAME_BYTES];
  list_random(&list, &random, 120, 80, 60);
  const nacre_slice keys[] = {list.entries[5].key, list.entries[40].key, list.entries[60].key,
                              list.entries[110].key};
  const nc_range_fragment ranges[] = {{keys[0], keys[1], (uint64_t[]){9, 4}, 2},
                                      {keys[1], keys[2], (uint64_t[]){4}, 1},
                                      {keys[2], keys[3], (uint64_t[]){30, 20, 10}, 3}};
  nc_segment_params params = segment_params(&h.floor);
  segment_write_with(&h.floor, &params, &list, ranges, sizeof ranges / sizeof ranges[0], &record);
  nc_segment_name(record.number, name);
  plain_load(&h.floor, name, &pristine);
  for (uint64_t round = 0; round < rounds(); round++) {
    plain_copy(&pristine, &file);
    mutate(&random, &file, !test_random_chance(&random, 4));
    sealed_again again = plain_seal(&h.floor, name, &file);
    plain_free(&file);
    nc_segment_record named = record;
    named.size = again.size;
    memcpy(named.last_tag, again.last_tag, NC_TAG_BYTES);
    memcpy(named.dek_commitment, again.header.dek_commitment, NC_COMMITMENT_BYTES);
    nc_segment *s = segment_of(&h.floor, &named);
    nacre_status status;
    read_segment(s, &err, &status);
    note(status, &err);
    nc_segment_unref(s);
  }
  plain_free(&pristine);
  list_free(&list);
  say("segments");
}

/* Three parts, of which each is small, and the end. */
Test(past_seal, value_files_at_random) {
  enum { SIZE = 9000 };
  static const char name[] = "00000000000000000007.val";
  test_random random = {test_seed("past_seal values", 0x5EA4)};
  uint8_t value[SIZE], back[SIZE];
  nacre_error err;
  nc_value_name named;
  plain_file pristine;
  test_value_make(value, SIZE, 1, 1, 1);
  nc_value_params params = {.table = h.floor.table, .number = 7, .epoch = 1, .method = NC_PACK_NONE};
  must(nc_value_write(&h.floor.dir, &params, nc_table_keys_active(h.floor.keys), nc_slice(value, SIZE),
                      &named, &err));
  plain_load(&h.floor, name, &pristine);
  for (uint64_t round = 0; round < rounds() / 4; round++) {
    plain_copy(&pristine, &file);
    mutate(&random, &file, test_random_chance(&random, 4));
    sealed_again again = plain_seal(&h.floor, name, &file);
    plain_free(&file);
    nc_value_name forged = named;
    forged.size = again.size;
    memcpy(forged.last_tag, again.last_tag, NC_TAG_BYTES);
    memcpy(forged.dek_commitment, again.header.dek_commitment, NC_COMMITMENT_BYTES);
    nc_value_reader *r = NULL;
    nacre_status status = nc_value_open(&h.floor.dir, &h.floor.holder, &forged, &r, &err);
    if (status == NACRE_OK) status = nc_value_read(r, 0, back, SIZE, &err);
    nc_value_close(r);
    note(status, &err);
  }
  plain_free(&pristine);
  say("value files");
}
