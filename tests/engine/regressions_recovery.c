/* SPDX-License-Identifier: Apache-2.0
 *
 * Defects of recovery that were found once and must not come back: what an open believes, refuses and spares.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>

#include "fixture.h"
#include "frame.h"
#include "segment_writer.h"
#include "table.h"

static site s;
static char directory[PATH_BYTES], path[PATH_BYTES];
static nacre_store *store;
static nacre_table *t;

static void setup(void) { site_make(&s); }
static void teardown(void) { site_remove(&s); }
TestSuite(regressions_recovery, .init = setup, .fini = teardown);

static void close_all(void) {
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}

/* A table with one synced write, cleanly closed: the last commit of its manifest named the log that
 * holds it. */
static void make(void) {
  t = site_table(&s, &store, "table");
  put_text(t, "k", "acknowledged", true);
  close_all();
  site_table_path(&s, "table", directory);
}

static uint64_t last_frame_of(const char *file) {
  size_t size;
  uint8_t *bytes = file_load(file, &size);
  uint64_t last = 0;
  for (uint64_t at = NC_FRAMES_OFFSET; at < size; at += nc_frame_size(nc_get_u32(bytes + at))) last = at;
  free(bytes);
  require(last != 0);
  return last;
}

static void refuses_table(bool read_only, nc_error_id id) {
  nacre_store_options options = s.options;
  options.read_only = read_only;
  options.create = !read_only;
  uint64_t before = tree_digest(directory, NULL);
  ok(nacre_open(s.store, &options, &store));
  fails(nacre_table_open(store, "table", NULL, &t), id);
  ok(nacre_close(store));
  cr_expect_eq(tree_digest(directory, NULL), before, "nothing goes");
}

static void refuses_store(bool read_only, nc_error_id id) {
  nacre_store_options options = s.options;
  options.read_only = read_only;
  options.create = !read_only;
  uint64_t before = tree_digest(s.store, "LOCK");
  fails(nacre_open(s.store, &options, &store), id);
  cr_expect_eq(tree_digest(s.store, "LOCK"), before, "nothing goes");
}

/* ---- the last commit of a manifest --------------------------------------------------------------------- */

/* It was taken for torn, and the log that it had named, with acknowledged writes, was deleted by the
 * next write. */
Test(regressions_recovery, a_rotten_bit_in_a_manifests_last_commit_is_refused_for_writers_and_readers) {
  make();
  only_file(directory, ".man", path);
  file_flip(path, last_frame_of(path) + 20);
  refuses_table(false, NC_E_MANIFEST_DAMAGED);
  refuses_table(true, NC_E_MANIFEST_DAMAGED);
}

/* The same loss, by a manifest that ends a whole commit earlier. [M10] */
Test(regressions_recovery, a_manifest_without_its_last_commit_is_refused_for_writers_and_readers) {
  make();
  only_file(directory, ".man", path);
  file_cut(path, last_frame_of(path));
  refuses_table(false, NC_E_MANIFEST_ROLLED_BACK);
  refuses_table(true, NC_E_MANIFEST_ROLLED_BACK);
}

/* Every table vanished: the names were not found, and the next create deleted the catalogue's log. */
Test(regressions_recovery, a_catalogue_without_a_whole_last_commit_is_refused) {
  make();
  site_table_path(&s, NULL, directory);
  only_file(directory, ".man", path);
  uint64_t last = last_frame_of(path);
  file_flip(path, last + 20);
  refuses_store(false, NC_E_MANIFEST_DAMAGED);
  refuses_store(true, NC_E_MANIFEST_DAMAGED);
  file_cut(path, last);
  refuses_store(false, NC_E_MANIFEST_ROLLED_BACK);
  refuses_store(true, NC_E_MANIFEST_ROLLED_BACK);
}

/* Whoever reads on by choice is told that something is missing. */
Test(regressions_recovery, reading_past_a_rotten_last_commit_is_reported) {
  make();
  only_file(directory, ".man", path);
  file_flip(path, last_frame_of(path) + 20);
  nacre_table_open_options options = {.read_only = true, .recovery = NACRE_RECOVERY_TO_DAMAGE};
  nacre_recovery_report report;
  store = site_open(&s);
  ok(nacre_table_open(store, "table", &options, &t));
  ok(nacre_table_recovery(t, &report));
  cr_expect(report.damaged && !report.clean && report.reason[0] != '\0');
  cr_expect_eq(nacre_verify(t, NULL, NULL), NACRE_CORRUPT);
  close_all();
}

/* CURRENT and the manifest of an earlier day: only the first write noticed, a reader was served the
 * old state. */
Test(regressions_recovery, a_current_and_manifest_put_back_are_noticed_by_a_read_only_open) {
  char current[PATH_BYTES], kept[PATH_BYTES], kept_current[PATH_BYTES];
  make();
  only_file(directory, ".man", path);
  join(current, directory, "CURRENT");
  join(kept, s.path, "kept.man");
  join(kept_current, s.path, "kept.CURRENT");
  file_copy(path, kept);
  file_copy(current, kept_current);
  t = site_table(&s, &store, "table");
  put_text(t, "k", "newer", true);
  close_all();
  file_copy(kept, path);
  file_copy(kept_current, current);
  refuses_table(true, NC_E_FILE_EPOCH);
}

/* ---- orphans ------------------------------------------------------------------------------------------- */

#define ORPHAN "00000000000000000900.log"

static int cannot_open_orphan(void *context, nacre_io_dir *dir, const char *name, bool writable,
                              nacre_io_file **ret_file) {
  if (strcmp(name, ORPHAN) == 0) return EIO;
  return nacre_io_posix()->file_open(context, dir, name, writable, ret_file);
}

/* A failing disk says nothing of the file, which may be the one that would prove a rollback. [M11] */
Test(regressions_recovery, an_orphan_that_cannot_be_opened_is_spared) {
  make();
  join(path, directory, ORPHAN);
  file_store(path, "junk", 4);
  s.quick.file_open = cannot_open_orphan;
  t = site_table(&s, &store, "table");
  put_text(t, "k", "2", true);
  cr_expect(file_is_there(path), "nobody knows what is in it");
  close_all();
  s.quick.file_open = nacre_io_posix()->file_open;
  t = site_table(&s, &store, "table");
  put_text(t, "k", "3", true);
  cr_expect_not(file_is_there(path), "junk");
  close_all();
}

/* ---- a power cut within a clean close ------------------------------------------------------------------ */

static struct {
  bool on;
  nacre_io_file *log;
  uint64_t synced, synced_before; /* the log's size at its last sync, and at the one before */
} watch;

static int watch_create(void *context, nacre_io_dir *dir, const char *name, nacre_io_file **ret_file) {
  int code = nacre_io_posix()->file_create(context, dir, name, ret_file);
  if (code == 0 && watch.on && strstr(name, ".log") != NULL) watch.log = *ret_file;
  return code;
}

static int watch_sync(void *context, nacre_io_file *file) {
  nacre_io_info info;
  if (!watch.on || file != watch.log) return 0;
  if (nacre_io_posix()->file_info(context, file, &info) != 0) return EIO;
  watch.synced_before = watch.synced;
  watch.synced = info.size;
  return 0;
}

/* The power goes in the last sync of a close: the final frame reached the disk, and of what else was
 * unsynced nothing. Nothing that counts was lost, and the table was refused as damaged. */
static void cut_behind_final(bool sync) {
  make();
  watch.on = true;
  s.quick.file_create = watch_create;
  s.quick.file_sync = watch_sync;
  s.quick.file_map = NULL; /* the size tells what there was to sync */
  t = site_table(&s, &store, "table");
  put_text(t, "k2", "v2", sync);
  ok(nacre_table_close(t));
  watch.on = false;
  ok(nacre_close(store));
  char name[NC_FILE_NAME_BYTES];
  uint64_t newest = 0;
  for (uint64_t n = 1; n < 100; n++) {
    nc_log_name_file(n, name);
    join(path, directory, name);
    if (file_is_there(path)) newest = n;
  }
  nc_log_name_file(newest, name);
  join(path, directory, name);
  uint64_t final = last_frame_of(path);
  size_t size;
  uint8_t *bytes = file_load(path, &size);
  require(watch.synced == size && watch.synced_before > NC_FRAMES_OFFSET && watch.synced_before <= final);
  memset(bytes + watch.synced_before, 0, final - watch.synced_before);
  file_store(path, bytes, size);
  free(bytes);
  t = site_table(&s, &store, "table");
  cr_expect(holds(t, NULL, "k", "acknowledged") && holds(t, NULL, "k2", "v2"));
  close_all();
}
Test(regressions_recovery, a_power_cut_behind_the_final_frame_is_no_damage) { cut_behind_final(false); }
Test(regressions_recovery, nor_when_the_last_write_was_synced) { cut_behind_final(true); }

/* ---- a segment that only an insider can write ---------------------------------------------------------- */

static void add_entry(nc_segment_writer *w, const char *key, nacre_slice value) {
  nacre_error err;
  nc_entry entry = {.key = text(key), .kind = NC_KIND_PUT, .sequence = 1, .value = value};
  must(nc_segment_writer_add(w, &entry, &err));
}

/* Authentic, each block sorted, and the blocks in the wrong order: m, then a and z. */
static void add_hostile_segment(void) {
  nacre_error err;
  static char big[2000];
  NC_TAKEN_KEYS(keys, &t->keys);
  nc_segment_params params = {.table = t->uuid,
                              .number = nc_table_new_number(t),
                              .method = NC_PACK_NONE,
                              .block_bytes = 1024,
                              .filter_bits_per_key = 10};
  nc_segment_writer *w;
  nc_segment_record record;
  nc_segment *segment;
  nc_table_moment(t, &params.epoch, &params.manifest, &params.manifest_sequence);
  must(nc_segment_writer_create(&t->dir, &params, nc_table_keys_active(keys), &w, &err));
  add_entry(w, "m", nc_slice(big, sizeof big));
  add_entry(w, "a", text("x"));
  add_entry(w, "z", text("x"));
  must(nc_segment_writer_finish(w, &record, &err));
  must(nc_segment_create(&t->home, &record, params.epoch, &segment, &err));
  nc_change change = {.add = &segment, .add_count = 1, .place = {.run = nc_table_new_number(t)}};
  must(nc_table_commit(t, &change, &err));
  nc_segment_unref(segment);
  nc_segment_writer_close(w);
}

/* A merge ran into an assertion, in the host's process. */
Test(regressions_recovery, a_merge_refuses_a_segment_whose_blocks_are_out_of_order) {
  t = site_table(&s, &store, "table");
  put_text(t, "q", "v", true);
  ok(nacre_flush(t));
  add_hostile_segment();
  fails(nacre_compact(t, (nacre_slice){0}, (nacre_slice){0}), NC_E_SEGMENT_ORDER);
  cr_expect(holds(t, NULL, "q", "v"), "the rest still answers");
  close_all();
}
