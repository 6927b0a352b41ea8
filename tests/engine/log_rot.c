/* SPDX-License-Identifier: Apache-2.0
 *
 * recovery: every byte of several logs rots, every log is cut at every length, sectors are lost, doubled and
 * written elsewhere; and every image is classified (format/README.md, "The tail rule").
 *
 * The oracle (rot_oracle.h) shares no code with what it judges. It tells what must be answered: refused, with
 * file and offset; or open, with how many writes, what was dropped, from where, and whether some of it may have
 * been synced. No image may be answered in another way.
 *
 * NACRE_ROT_BITS: how many bits of each byte are flipped, one at a time (8); when fewer, only every 17th place of
 * the headers is tried, which damage.c flips whole.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "rot_oracle.h"

static history h;
static rot r = {.h = &h};

/* ---- logs in memory ------------------------------------------------------------------------------------ */

static memory_log *log_of_handle(nacre_io_file *file) {
  for (size_t i = 0; i < LOGS_MAX; i++) {
    if ((void *)file == (void *)&r.logs[i]) return &r.logs[i];
  }
  return NULL;
}

static int memory_open(void *context, nacre_io_dir *dir, const char *name, bool writable,
                       nacre_io_file **ret_file) {
  size_t number = (size_t)strtoull(name, NULL, 10);
  require(!writable && number >= 1 && number <= LOGS_MAX && r.logs[number - 1].bytes != NULL);
  *ret_file = (nacre_io_file *)(void *)&r.logs[number - 1];
  (void)context, (void)dir;
  return 0;
}

static int memory_info(void *context, nacre_io_file *file, nacre_io_info *ret_info) {
  *ret_info = (nacre_io_info){log_of_handle(file)->size, 1};
  (void)context;
  return 0;
}

static int memory_read(void *context, nacre_io_file *file, uint64_t offset, void *buffer, size_t size,
                       size_t *ret_read) {
  const memory_log *log = log_of_handle(file);
  size_t left = offset < log->size ? log->size - (size_t)offset : 0;
  *ret_read = size < left ? size : left;
  if (*ret_read > 0) memcpy(buffer, log->bytes + offset, *ret_read);
  (void)context;
  return 0;
}

static void memory_close(void *context, nacre_io_file *file) {
  if (log_of_handle(file) == NULL) nacre_io_posix()->file_close(context, file);
}

static void load_log(size_t i) {
  char path[PATH_BYTES];
  memory_log *log = &r.logs[i];
  history_path(&h, i, path);
  log->pristine = file_load(path, &log->pristine_size);
  log->capacity = log->pristine_size + 8192;
  log->bytes = test_alloc(log->capacity);
  memcpy(log->bytes, log->pristine, log->pristine_size);
  log->size = log->pristine_size;
}

static void restore(size_t i) {
  memset(r.logs[i].bytes, 0, r.logs[i].capacity);
  memcpy(r.logs[i].bytes, r.logs[i].pristine, r.logs[i].pristine_size);
  r.logs[i].size = r.logs[i].pristine_size;
}

static void to_memory(void) {
  for (size_t i = 0; i < h.manifest.log_count; i++) load_log(i);
  h.floor.quick.file_open = memory_open;
  h.floor.quick.file_info = memory_info;
  h.floor.quick.file_read = memory_read;
  h.floor.quick.file_close = memory_close;
}

static void setup(void) { history_open(&h); }
static void teardown(void) {
  for (size_t i = 0; i < LOGS_MAX; i++) {
    free(r.logs[i].bytes);
    free(r.logs[i].pristine);
  }
  history_close(&h);
}
TestSuite(log_rot, .init = setup, .fini = teardown, .timeout = 250);

/* ---- the record of what was written -------------------------------------------------------------------- */

static uint64_t synced_to; /* the last write that was said to be durable, mark or no mark */

static size_t begin_log(size_t before) {
  size_t log = history_log(&h);
  r.predecessor[log] = before;
  history_start(&h, log, before == NONE ? SIZE_MAX : before);
  return log;
}

static void group(size_t log, uint64_t count) { history_group(&h, log, count); }
static void sync_now(size_t log) {
  history_synced(&h, log);
  synced_to = h.next_sequence - 1;
}

static void close_log(size_t log) {
  sync_now(log);
  history_final(&h, log);
}

static void note_ends(void) {
  for (size_t f = 0; f < h.frame_count; f++) {
    if (h.frames[f].type != NC_FRAME_LOG_FINAL)
      r.end_of_log[h.frames[f].log] = h.frames[f].offset + h.frames[f].size;
  }
}

/* ---- comparing ----------------------------------------------------------------------------------------- */

static struct tally { uint64_t images, harmless, dropped, corrupt, tampered, earlier; } tally;

static bool names(const char *file, size_t log) {
  char name[NC_FILE_NAME_BYTES];
  nc_log_name_file(r.numbers[log] == 0 ? log + 1 : r.numbers[log], name);
  return strstr(file, name) != NULL;
}

static bool refusal_right(const verdict *v, nacre_status status) {
  int reasons = v->header_lost + v->tampered + v->damaged;
  if (status != NACRE_CORRUPT && status != NACRE_TAMPERED) return false;
  if (reasons > 1) return true; /* whichever is met first */
  if (v->header_lost) return status == NACRE_CORRUPT && names(h.err.file, v->lost_log);
  if (v->tampered) {
    return h.err.id == NC_E_LOG_TAMPERED && names(h.err.file, v->forged.log) &&
           h.err.offset == v->forged.offset;
  }
  return h.err.id == NC_E_LOG_DAMAGED && names(h.err.file, v->x.log) && h.err.offset == v->x.offset;
}

static bool report_right(const verdict *v) {
  const nacre_recovery_report *got = &h.report;
  bool same = got->clean == v->clean && got->dropped_bytes == v->dropped &&
              got->maybe_synced == v->maybe_synced && !got->damaged && h.entries == v->last &&
              h.last_sequence == v->last && got->entries == v->last;
  if (!v->broken) return same && got->dropped_offset == NACRE_NONE && got->file[0] == '\0';
  return same && got->dropped_offset == v->x.offset && names(got->file, v->x.log) && got->reason[0] != '\0';
}

/* Whatever the oracle says: a write that was synced is there, or it was refused, or what may be missing was
 * said; and the one case that nobody can tell is a log that was cut between two frames. */
static bool told(const verdict *v, bool cut, uint64_t written) {
  if (h.entries == written) return true;
  if (!v->broken) return cut;
  return h.report.dropped_bytes > 0 && (h.entries >= synced_to || h.report.maybe_synced);
}

typedef nacre_status recover_image(void);
static nacre_status recover_in_memory(void) { return history_recover(&h, NACRE_RECOVERY_STRICT); }
static recover_image *recover = recover_in_memory;

static void try_image(const char *what, size_t log, uint64_t offset, uint64_t other) {
  uint64_t written = h.next_sequence - 1;
  verdict v = rot_judge(&r);
  nacre_status status = recover();
  bool refused = v.header_lost || v.tampered || v.damaged;
  bool right = refused
                   ? refusal_right(&v, status)
                   : status == NACRE_OK && report_right(&v) && told(&v, offset == r.logs[log].size, written);
  tally.images++;
  tally.tampered += refused && status == NACRE_TAMPERED;
  tally.corrupt += refused && status == NACRE_CORRUPT;
  tally.dropped += !refused && v.broken;
  tally.harmless += !refused && !v.broken && v.last == written;
  tally.earlier += !refused && !v.broken && v.last < written;
  if (right) return;
  cr_assert_fail(
      "%s at %llu (%llu) of log %zu: status %d id %u at %s %llu: %s; %llu writes, dropped %llu from "
      "%llu, maybe synced %d, clean %d; expected lost %d forged %d damaged %d broken %d at log %zu "
      "%llu, %llu writes, dropped %llu, maybe synced %d, clean %d",
      what, (unsigned long long)offset, (unsigned long long)other, log + 1, (int)status, h.err.id, h.err.file,
      (unsigned long long)h.err.offset, h.err.text, (unsigned long long)h.entries,
      (unsigned long long)h.report.dropped_bytes, (unsigned long long)h.report.dropped_offset,
      h.report.maybe_synced, h.report.clean, v.header_lost, v.tampered, v.damaged, v.broken, v.x.log + 1,
      (unsigned long long)v.x.offset, (unsigned long long)v.last, (unsigned long long)v.dropped,
      v.maybe_synced, v.clean);
}

static void say(const char *what) {
  fprintf(stderr,
          "log_rot: %s: %llu images, all classified: %llu harmless, %llu dropped and reported, %llu corrupt, "
          "%llu tampered, %llu an earlier state\n",
          what, (unsigned long long)tally.images, (unsigned long long)tally.harmless,
          (unsigned long long)tally.dropped, (unsigned long long)tally.corrupt,
          (unsigned long long)tally.tampered, (unsigned long long)tally.earlier);
  tally = (struct tally){0};
}

/* ---- damage -------------------------------------------------------------------------------------------- */

static uint64_t bits(void) { return test_env_number("NACRE_ROT_BITS", 8); }
static bool tried(uint64_t at, uint64_t unit) { return at >= HEADER || bits() >= 8 || at / unit % 17 == 0; }

/* Every bit of the frames; of the headers, which are mostly zeros, one bit of every byte. */
static void flip_every_bit(void) {
  for (size_t i = 0; i < h.manifest.log_count; i++) {
    for (uint64_t at = 0; at < r.logs[i].pristine_size; at++) {
      for (uint64_t bit = 0; bit < (at < HEADER ? tried(at, 1) : bits()); bit++) {
        r.logs[i].bytes[at] ^= (uint8_t)(1U << (at + bit) % 8);
        try_image("a flipped bit", i, at, bit);
        r.logs[i].bytes[at] = r.logs[i].pristine[at];
      }
    }
  }
  say("flipped bits");
}

static void cut_everywhere(void) {
  for (size_t i = 0; i < h.manifest.log_count; i++) {
    for (uint64_t size = r.logs[i].pristine_size; size-- > 0;) {
      if (!tried(size, 1)) continue;
      r.logs[i].size = size;
      try_image("a cut", i, size, 0);
    }
    restore(i);
  }
  say("cuts at every length");
}

static void zero_sectors(void) {
  static const size_t sectors[] = {16, 512, 4096};
  for (size_t i = 0; i < h.manifest.log_count; i++) {
    for (size_t s = 0; s < 3; s++) {
      for (uint64_t at = 0; at < r.logs[i].pristine_size; at += STEP) {
        if (!tried(at, STEP)) continue;
        size_t left = r.logs[i].pristine_size - (size_t)at;
        memset(r.logs[i].bytes + at, 0, left < sectors[s] ? left : sectors[s]);
        try_image("a sector of zeros", i, at, sectors[s]);
        restore(i);
      }
    }
  }
  say("zeroed sectors");
}

/* Writes one sector over another, of the same log or of the next. Headers of another log are left out: they
 * are whole, and refused for what they are (log_chain). */
static void copy_sectors(size_t sector) {
  for (size_t to = 0; to < h.manifest.log_count; to++) {
    for (size_t from = to; from < h.manifest.log_count && from <= to + 1; from++) {
      uint64_t first = from == to && sector > 16 ? 0 : HEADER;
      for (uint64_t a = first; a + sector <= r.logs[from].pristine_size; a += sector) {
        for (uint64_t b = first; b < r.logs[to].pristine_size; b += sector) {
          size_t left = r.logs[to].pristine_size - (size_t)b;
          memcpy(r.logs[to].bytes + b, r.logs[from].pristine + a, left < sector ? left : sector);
          try_image("a sector copied", to, b, a);
          restore(to);
        }
      }
    }
  }
}

static void copy_all_sectors(void) {
  copy_sectors(16);
  copy_sectors(512);
  copy_sectors(4096);
  say("sectors copied elsewhere");
}

/* Bytes that belong to nobody behind the end: zeros, and the log's own beginning again. */
static void append_rubble(void) {
  for (size_t i = 0; i < h.manifest.log_count; i++) {
    for (size_t more = 1; more < 8192; more += more < 64 ? 1 : 509) {
      r.logs[i].size = r.logs[i].pristine_size + more;
      try_image("zeros behind the end", i, r.logs[i].pristine_size, more);
      size_t copied = r.logs[i].pristine_size - HEADER < more ? r.logs[i].pristine_size - HEADER : more;
      memcpy(r.logs[i].bytes + r.logs[i].pristine_size, r.logs[i].pristine + HEADER, copied);
      try_image("the beginning again behind the end", i, r.logs[i].pristine_size, more);
      restore(i);
    }
  }
  say("longer logs");
}

static void everything(void) {
  note_ends();
  to_memory();
  try_image("nothing at all", 0, NONE, 0);
  cr_assert(h.entries == h.next_sequence - 1 && h.report.dropped_bytes == 0);
  flip_every_bit();
  cut_everywhere();
  zero_sectors();
  copy_all_sectors();
  append_rubble();
}

/* ---- histories ----------------------------------------------------------------------------------------- */

/* Two logs closed cleanly; one that was left for the next without a sync; one with marks, whose last sync has
 * none, and a tail that was never synced. */
Test(log_rot, every_image_of_four_sessions_is_classified) {
  size_t a = begin_log(NONE);
  group(a, 2);
  sync_now(a);
  history_mark(&h, a);
  group(a, 3);
  close_log(a);
  size_t b = begin_log(a);
  group(b, 40);
  close_log(b);
  size_t c = begin_log(b);
  group(c, 3);
  group(c, 5);
  size_t d = begin_log(c);
  group(d, 2);
  sync_now(d);
  group(d, 4);
  history_mark(&h, d);
  group(d, 20);
  group(d, 1);
  synced_to = h.next_sequence - 1; /* and its mark never reached the disk */
  group(d, 2);
  log_fill(&h, c, history_size(&h, c) + 4 * STEP);
  log_fill(&h, d, history_size(&h, d) + 6 * STEP);
  everything();
}

/* Little is synced; one log between the others, and the newest, were prepared and never begun. */
Test(log_rot, every_image_of_logs_that_were_prepared_ahead_is_classified) {
  size_t a = begin_log(NONE);
  group(a, 2);
  sync_now(a);
  group(a, 3);
  size_t b = begin_log(a);
  group(b, 2);
  r.predecessor[history_log(&h)] = NONE;
  size_t d = begin_log(b);
  group(d, 30);
  history_mark(&h, d);
  group(d, 1);
  r.predecessor[history_log(&h)] = NONE;
  everything();
}

Test(log_rot, every_image_of_logs_closed_cleanly_is_classified) {
  size_t log = NONE;
  for (uint64_t i = 0; i < 3; i++) {
    log = begin_log(log);
    group(log, 3);
    sync_now(log);
    history_mark(&h, log);
    group(log, 12 * i + 1);
    close_log(log);
  }
  everything();
}

/* ---- a table ------------------------------------------------------------------------------------------- */

/* Logs as the engine writes them, opened as applications do: the same oracle over the files of a table. */
static site s;
static nacre_store *store;
static char directory[PATH_BYTES];

static void log_path(size_t i, char path[PATH_BYTES]) {
  char name[NC_FILE_NAME_BYTES];
  nc_log_name_file(r.numbers[i], name);
  join(path, directory, name);
}

static void put_number(nacre_table *t, bool sync) {
  char key[24], value[24];
  snprintf(key, sizeof key, "k%llu", (unsigned long long)h.next_sequence);
  snprintf(value, sizeof value, "v%llu", (unsigned long long)h.next_sequence);
  put_text(t, key, value, sync);
  if (sync) synced_to = h.next_sequence;
  h.next_sequence++;
}

/* What stands in log i, by its frame headers alone. One write is one group; a mark and a final frame vouch for
 * all that stands before them. */
static void note_log(size_t i, nc_log_position *synced, uint64_t *sequence) {
  const memory_log *log = &r.logs[i];
  for (uint64_t at = HEADER; at < log->pristine_size;) {
    uint64_t size = (nc_get_u32(log->pristine + at) + 32ULL + 15) / 16 * 16;
    nc_frame_type type = (nc_frame_type)log->pristine[at + 4];
    if (type == NC_FRAME_LOG_GROUP) ++*sequence;
    if (type == NC_FRAME_LOG_MARK || type == NC_FRAME_LOG_FINAL) *synced = (nc_log_position){i + 1, at};
    require(h.frame_count < HISTORY_FRAMES_MAX);
    h.frames[h.frame_count++] = (history_frame){i, at, size, type, *sequence, *synced};
    at += size;
  }
}

static void note_table(void) {
  nc_log_position synced = {0};
  uint64_t sequence = 0;
  for (uint64_t number = 1; number < 64; number++) {
    size_t i = h.manifest.log_count;
    r.numbers[i] = number;
    char path[PATH_BYTES];
    log_path(i, path);
    if (!file_is_there(path)) continue;
    r.logs[i].pristine = file_load(path, &r.logs[i].pristine_size);
    r.logs[i].capacity = r.logs[i].pristine_size + 8192;
    r.logs[i].bytes = test_alloc(r.logs[i].capacity);
    restore(i);
    r.predecessor[i] = i == 0 ? NONE : i - 1;
    note_log(i, &synced, &sequence);
    h.manifest.log_count++;
  }
  require(sequence == h.next_sequence - 1);
  note_ends();
}

static nacre_status recover_table(void) {
  nacre_table *t;
  nacre_table_open_options options = {.read_only = true};
  char path[PATH_BYTES];
  for (size_t i = 0; i < h.manifest.log_count; i++) {
    log_path(i, path);
    file_store(path, r.logs[i].bytes, r.logs[i].size);
  }
  nacre_status status = nacre_table_open(store, "table", &options, &t);
  if (status != NACRE_OK) {
    nacre_last_error(&h.err);
    return status;
  }
  ok(nacre_table_recovery(t, &h.report));
  h.entries = 0;
  for (uint64_t n = 1; n < h.next_sequence; n++) {
    char key[24], value[24];
    snprintf(key, sizeof key, "k%llu", (unsigned long long)n);
    snprintf(value, sizeof value, "v%llu", (unsigned long long)n);
    bool there = holds(t, NULL, key, value);
    require(there || holds(t, NULL, key, NULL));
    require(!there || h.entries == n - 1); /* a prefix */
    if (there) h.entries = n;
  }
  h.last_sequence = h.entries;
  ok(nacre_table_close(t));
  return status;
}

static void table_setup(void) {
  h.next_sequence = 1;
  recover = recover_table;
  site_make(&s);
  s.quick.file_map = NULL; /* the histories above have filler, and little of it */
  nacre_table *t;
  for (int session = 0; session < 3; session++) {
    t = site_table(&s, &store, "table");
    put_number(t, false);
    put_number(t, true);
    put_number(t, session == 1);
    ok(nacre_table_close(t));
    ok(nacre_close(store));
    synced_to = h.next_sequence - 1;
  }
  char living[PATH_BYTES], copy[PATH_BYTES];
  site_table_path(&s, "table", living);
  t = site_table(&s, &store, "table");
  for (int i = 0; i < 7; i++) put_number(t, i == 1 || i == 3);
  join(copy, s.path, "copy");
  tree_copy(s.store, copy); /* as a kill leaves it */
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  snprintf(directory, sizeof directory, "%s%s", copy, living + strlen(s.store));
  memcpy(s.store, copy, sizeof s.store);
}
static void table_teardown(void) {
  for (size_t i = 0; i < LOGS_MAX; i++) {
    free(r.logs[i].bytes);
    free(r.logs[i].pristine);
  }
  site_remove(&s);
}
TestSuite(log_rot_table, .init = table_setup, .fini = table_teardown, .timeout = 250);

Test(log_rot_table, every_byte_and_length_of_its_logs_is_classified) {
  note_table();
  store = site_open(&s);
  try_image("nothing at all", 0, NONE, 0);
  cr_assert_eq(h.manifest.log_count, 4);
  for (size_t i = 0; i < h.manifest.log_count; i++) {
    for (uint64_t at = HEADER; at < r.logs[i].pristine_size; at++) {
      r.logs[i].bytes[at] ^= (uint8_t)(1U << at % 8);
      try_image("a flipped bit", i, at, at % 8);
      restore(i);
      r.logs[i].size = (size_t)at;
      try_image("a cut", i, at, 0);
      restore(i);
      if (at % STEP != 0) continue;
      memset(r.logs[i].bytes + at, 0, STEP);
      try_image("a sector of zeros", i, at, STEP);
      restore(i);
    }
  }
  ok(nacre_close(store));
  say("a table's logs");
}
