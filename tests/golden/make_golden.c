/* SPDX-License-Identifier: Apache-2.0
 *
 * make_golden: makes a golden store by the library's public calls; README.md says when.
 *
 *   make_golden STORE DIRECTORY     DIRECTORY is made: store/, keyring, expected.txt
 *
 * What expected.txt says of records is what was written here, not what the library reads; the two must agree
 * before it is written. Stores are worked on in a scratch directory and copied: a copy of a store that is
 * open is what a killed process leaves. Long, for each store is a story of its own, told once.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "golden.h"
#include "support.h"
#include "tear.h"

enum { TABLES_MAX = 16, NAME_BYTES = 256 };

typedef struct shelf { /* a table of the store that is made */
  char name[NAME_BYTES];
  nacre_table *table; /* NULL: not open */
  golden_records records;
} shelf;

static char work[GOLDEN_PATH_BYTES], store_path[GOLDEN_PATH_BYTES]; /* scratch */
static char target[GOLDEN_PATH_BYTES];                              /* the store where it is to be */
static nacre_store *store;
static shelf shelves[TABLES_MAX];
static size_t shelf_count;

/* ---- a disk that fails where it is to ------------------------------------------------------------------ */

/* slot_writes: of file headers that are rewritten in place; none: every one is carried out. */
static struct failing {
  bool rewraps_counted, dies_after_key_file, dead;
  unsigned slot_writes;
} failing;

static bool ends_in(const char *name, const char *end) {
  size_t size = strlen(name), end_size = strlen(end);
  return size >= end_size && strcmp(name + size - end_size, end) == 0;
}

/* A rewrap whose slot cannot be written would make a copy of the file. */
static int failing_create(void *context, nacre_io_dir *dir, const char *name, nacre_io_file **ret_file) {
  bool copy = ends_in(name, ".seg.tmp") || ends_in(name, ".log.tmp") || ends_in(name, ".man.tmp");
  if (failing.dead || (failing.rewraps_counted && copy)) return EIO;
  return nacre_io_posix()->file_create(context, dir, name, ret_file);
}

static int failing_write(void *context, nacre_io_file *file, uint64_t offset, const void *buffer,
                         size_t size) {
  if (failing.dead) return EIO;
  if (failing.rewraps_counted && size == 4096 && offset < TEAR_FRAMES_OFFSET) {
    if (failing.slot_writes == 0) return EIO;
    failing.slot_writes--;
  }
  return nacre_io_posix()->file_write(context, file, offset, buffer, size);
}

static int failing_sync(void *context, nacre_io_file *file) {
  return failing.dead ? EIO : nacre_io_posix()->file_sync(context, file);
}

static int failing_rename(void *context, nacre_io_dir *dir, const char *from, const char *to) {
  if (failing.dead) return EIO;
  failing.dead = failing.dies_after_key_file && strcmp(to, "KEYS.b") == 0;
  return nacre_io_posix()->rename(context, dir, from, to);
}

static int failing_remove(void *context, nacre_io_dir *dir, const char *name) {
  return failing.dead ? EIO : nacre_io_posix()->remove(context, dir, name);
}

static const nacre_io *failing_io(void) {
  static nacre_io io;
  io = *nacre_io_posix();
  io.file_map = NULL; /* every write comes by here */
  io.file_create = failing_create;
  io.file_write = failing_write;
  io.file_sync = failing_sync;
  io.rename = failing_rename;
  io.remove = failing_remove;
  return &io;
}

/* ---- a store in the making ----------------------------------------------------------------------------- */

static nacre_slice text(const char *s) { return (nacre_slice){s, strlen(s)}; }

static void begin_session_with(const nacre_io *io) {
  /* No workers: nothing is merged or flushed but what is asked for. */
  nacre_store_options options = {
      .create = true, .workers = UINT32_MAX, .memtable_bytes = 64 * 1024, .io = io};
  golden_ok(nacre_open(store_path, &options, &store), "opening the store");
}

static void begin_session(void) { begin_session_with(failing_io()); }

static void end_session(void) {
  for (size_t i = 0; i < shelf_count; i++) {
    golden_ok(nacre_table_close(shelves[i].table), "closing a table");
    shelves[i].table = NULL;
  }
  golden_ok(nacre_close(store), "closing the store");
}

static shelf *shelf_of(const char *name) {
  size_t i = 0;
  while (i < shelf_count && strcmp(shelves[i].name, name) != 0) i++;
  if (i == shelf_count) test_die("there is no table %s", name);
  if (shelves[i].table == NULL)
    golden_ok(nacre_table_open(store, name, NULL, &shelves[i].table), "opening a table");
  return &shelves[i];
}

static void create(const char *name, nacre_table_options options) {
  shelf *s = &shelves[shelf_count++];
  (void)snprintf(s->name, sizeof s->name, "%s", name);
  golden_ok(nacre_table_create(store, name, &options, &s->table), "creating a table");
}

static void put_slices(const char *name, nacre_slice key, nacre_slice value) {
  shelf *s = shelf_of(name);
  golden_ok(nacre_put(s->table, key, value, NULL), "writing");
  golden_put(&s->records, key, value);
}

static void put(const char *name, const char *key, const char *value) {
  put_slices(name, text(key), text(value));
}

/* A write that will be lost with the torn end. */
static void put_in_vain(const char *name, const char *key) {
  golden_ok(nacre_put(shelf_of(name)->table, text(key), text("never read again"), NULL), "writing");
}

static void delete (const char *name, const char *key) {
  shelf *s = shelf_of(name);
  golden_ok(nacre_delete(s->table, text(key), NULL), "deleting");
  golden_delete(&s->records, text(key));
}

static void sync_table(const char *name) { golden_ok(nacre_sync(shelf_of(name)->table), "syncing"); }
static void flush(const char *name) { golden_ok(nacre_flush(shelf_of(name)->table), "flushing"); }

static void compact(const char *name) {
  const nacre_slice all = {NULL, 0};
  golden_ok(nacre_compact(shelf_of(name)->table, all, all), "compacting");
}

/* Records first, first + step, ... of a shell collection. */
static void fill(const char *name, unsigned first, unsigned count, unsigned step, const char *year) {
  static const char *const kinds[] = {"abalone",  "cowrie", "limpet", "mussel",
                                      "nautilus", "oyster", "scallop"};
  for (unsigned i = first; i < first + count * step; i += step) {
    char key[64], value[160];
    (void)snprintf(key, sizeof key, "shell/%04u", i);
    (void)snprintf(value, sizeof value, "%s, found on the %u. beach of the bay in %s, mother of pearl inside",
                   kinds[i % 7], i % 31 + 1, year);
    put(name, key, value);
  }
}

static void write_batch(const char *name) {
  shelf *s = shelf_of(name);
  nacre_batch *batch;
  golden_ok(nacre_batch_create(&batch), "making a batch");
  golden_ok(nacre_batch_put(batch, text("batch/first"), text("one")), "adding to a batch");
  golden_ok(nacre_batch_put(batch, text("batch/second"), text("deleted in the same batch")), "adding");
  golden_ok(nacre_batch_delete(batch, text("batch/second")), "adding to a batch");
  golden_ok(nacre_batch_put(batch, text("batch/third"), (nacre_slice){NULL, 0}), "adding to a batch");
  golden_ok(nacre_write(s->table, batch, NULL), "writing a batch");
  nacre_batch_destroy(batch);
  golden_put(&s->records, text("batch/first"), text("one"));
  golden_put(&s->records, text("batch/third"), (nacre_slice){NULL, 0});
}

/* ---- clean --------------------------------------------------------------------------------------------- */

/* Closed twice: each table has two logs, the second naming the first; one has a segment as well. */
static void make_clean(void) {
  begin_session();
  create("shells", (nacre_table_options){.block_bytes = 1024});
  create("notes", (nacre_table_options){0});
  fill("shells", 0, 50, 1, "1998");
  flush("shells");
  delete ("shells", "shell/0003");
  put("notes", "first session", "closed cleanly");
  write_batch("notes");
  end_session();
  begin_session();
  fill("shells", 40, 8, 2, "1999");
  delete ("shells", "shell/0049");
  sync_table("shells");
  put("shells", "shell/0000", "");
  put("notes", "second session", "closed cleanly, too");
  delete ("notes", "batch/first");
  end_session();
  golden_copy_store(store_path, target);
}

/* ---- several tables ------------------------------------------------------------------------------------ */

static void fill_binary(const char *name) {
  uint8_t key[8] = {0};
  put_slices(name, (nacre_slice){"", 0}, text("under the empty key"));
  put_slices(name, text("the empty value"), (nacre_slice){NULL, 0});
  for (size_t size = 1; size <= sizeof key; size++) /* each a prefix of the next */
    put_slices(name, (nacre_slice){key, size}, (nacre_slice){key, size - 1});
  for (unsigned byte = 0x7E; byte <= 0xFF; byte += 0x81 / 3) {
    key[0] = (uint8_t)byte;
    put_slices(name, (nacre_slice){key, 3}, (nacre_slice){"\0\n\r\"\\\xFF", 6});
  }
}

/* Long keys that differ early: an index block is full after a few of them. */
static void fill_long(const char *name) {
  char key[3001], value[16];
  memset(key, '.', sizeof key - 1);
  key[sizeof key - 1] = 0;
  for (unsigned i = 0; i < 26; i++) {
    key[0] = (char)('a' + i);
    (void)snprintf(value, sizeof value, "letter %u", i + 1);
    put(name, key, value);
  }
}

/* Three runs, the newer hiding and deleting what the older hold. */
static void fill_runs(const char *name) {
  fill(name, 0, 40, 1, "2001");
  flush(name);
  fill(name, 0, 14, 3, "2002");
  for (unsigned i = 1; i < 40; i += 6) {
    char key[16];
    (void)snprintf(key, sizeof key, "shell/%04u", i);
    delete (name, key);
  }
  flush(name);
  fill(name, 1, 2, 6, "2003, again");
  delete (name, "shell/0000");
  delete (name, "never there");
  flush(name);
  delete (name, "shell/0039");
}

static void rename_table(const char *from, const char *to) {
  shelf *s = shelf_of(from);
  golden_ok(nacre_table_rename(store, from, to), "renaming a table");
  (void)snprintf(s->name, sizeof s->name, "%s", to);
}

static const char museum[] =
    "mus\xC3\xA9"
    "um \xE8\xB2\x9D",
                  no_text[] = "\x01 no text \xFF\xFE";

/* Each session changes the catalogue, so that it comes to have a segment, too. */
static void make_tables(void) {
  begin_session();
  create("empty", (nacre_table_options){0});
  create("deleted to the last", (nacre_table_options){.compression = NACRE_COMPRESSION_NONE});
  put("deleted to the last", "a", "soon gone");
  delete ("deleted to the last", "a");
  end_session();
  begin_session();
  create(museum, (nacre_table_options){.filter_bits_per_key = 32, .block_bytes = 1024});
  fill(museum, 0, 30, 1, "2000");
  flush(museum);
  end_session();
  begin_session();
  create(no_text, (nacre_table_options){.compression = NACRE_COMPRESSION_LZ4});
  fill_binary(no_text);
  flush(no_text);
  end_session();
  begin_session();
  create("runs", (nacre_table_options){.filter_bits_per_key = UINT32_MAX, .block_bytes = 2048});
  fill_runs("runs");
  end_session();
  begin_session();
  create("named otherwise", (nacre_table_options){.filter_bits_per_key = 1, .block_bytes = 1024});
  fill_long("named otherwise");
  flush("named otherwise");
  rename_table("named otherwise", "two index levels");
  golden_ok(nacre_table_create(store, "dropped", NULL, NULL), "creating a table");
  golden_ok(nacre_table_drop(store, "dropped"), "dropping a table");
  end_session();
  begin_session();
  golden_ok(nacre_table_create(store, "dropped", NULL, NULL), "creating a table");
  golden_ok(nacre_table_drop(store, "dropped"), "dropping a table");
  end_session();
  golden_copy_store(store_path, target);
}

/* ---- compression --------------------------------------------------------------------------------------- */

/* A block of its own, that no method makes smaller. */
static void put_noise(const char *name) {
  uint8_t noise[1040];
  test_random random = {1984};
  test_random_fill(&random, noise, sizeof noise);
  put_slices(name, text("noise"), (nacre_slice){noise, sizeof noise});
}

static void make_compression(void) {
  static const char *const names[] = {"automatic", "none", "lz4", "zstd"};
  begin_session();
  for (unsigned kind = NACRE_COMPRESSION_AUTOMATIC; kind <= NACRE_COMPRESSION_ZSTD; kind++) {
    const char *name = names[kind];
    create(name, (nacre_table_options){.compression = (nacre_compression)kind, .block_bytes = 1024});
    fill(name, 0, 25, 1, "1980");
    flush(name);
    if (kind != NACRE_COMPRESSION_AUTOMATIC) continue;
    fill(name, 20, 10, 1, "1981");
    compact(name); /* merged down: Zstandard */
    fill(name, 0, 20, 2, "1982");
    put_noise(name);
    flush(name); /* young: LZ4 */
  }
  end_session();
  golden_copy_store(store_path, target);
}

/* ---- torn ---------------------------------------------------------------------------------------------- */

/* A table's directory in the copy. */
static void directory_of(const char *name, const char *in, char path[GOLDEN_PATH_BYTES]) {
  nacre_table_infos *infos;
  path[0] = 0;
  golden_ok(nacre_table_list(store, &infos), "listing the tables");
  for (size_t i = 0; i < nacre_table_infos_count(infos); i++) {
    const nacre_table_info *info = nacre_table_infos_at(infos, i);
    if (strcmp(info->name, name) == 0) test_path(path, GOLDEN_PATH_BYTES, in, info->uuid);
  }
  nacre_table_infos_free(infos);
}

static void newest(const char *name, const char *suffix, char path[GOLDEN_PATH_BYTES]) {
  char directory[GOLDEN_PATH_BYTES];
  directory_of(name, target, directory);
  golden_find(directory, suffix, true, path);
}

/* The moment at which a flush has made its segment and its commit is on the way: the copy gets all that the
 * flush adds, keeps the log that it removes, and the commit in part. */
static void copy_torn_commit(const char *name) {
  char from[GOLDEN_PATH_BYTES], path[GOLDEN_PATH_BYTES], copy[GOLDEN_PATH_BYTES];
  static const char *const made[] = {".man", ".log", ".seg"};
  flush(name);
  for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
    directory_of(name, store_path, from);
    golden_find(from, made[i], true, path);
    directory_of(name, target, from);
    test_path(copy, sizeof copy, from, strrchr(path, '/') + 1);
    (void)unlink(copy); /* the manifest as it was before */
    golden_copy_file(path, copy, 0600);
  }
  newest(name, ".man", path);
  uint64_t last = tear_frame_from_end(path, 1);
  tear_resize(path, last + (tear_file_size(path) - last) / 2);
}

static void tear_logs(void) {
  char path[GOLDEN_PATH_BYTES];
  newest("cut within a frame", ".log", path);
  tear_resize(path, tear_file_size(path) - 40);
  newest("hole before good frames", ".log", path);
  tear_zero(path, tear_frame_from_end(path, 3), tear_frame_from_end(path, 2));
  newest("end of zeros", ".log", path);
  tear_resize(path, tear_file_size(path) + 1024);
  newest("start cut", ".log", path);
  tear_resize(path, TEAR_FRAMES_OFFSET + 50);
}

/* Every table was closed once; then the process was killed, and the machine lost power. */
static void make_torn(void) {
  static const char *const names[] = {"cut within a frame", "hole before good frames", "end of zeros",
                                      "start cut", "commit cut"};
  begin_session();
  for (size_t i = 0; i < 5; i++) {
    create(names[i], (nacre_table_options){.block_bytes = 1024});
    fill(names[i], 0, 6, 1, "2010");
  }
  end_session();
  begin_session();
  for (size_t i = 0; i < 5; i++) {
    if (i == 3) continue;
    fill(names[i], 4, 4, 1, "2011");
    delete (names[i], "shell/0001");
    sync_table(names[i]);
    put(names[i], "not synced", "and not lost");
  }
  put_in_vain("cut within a frame", "in the frame that is cut");
  for (size_t i = 0; i < 3; i++) put_in_vain("hole before good frames", "behind the hole");
  put_in_vain("start cut", "behind a start that is cut");
  golden_copy_store(store_path, target);
  copy_torn_commit("commit cut");
  tear_logs();
  end_session();
}

/* ---- rotated ------------------------------------------------------------------------------------------- */

static void rotate(const char *name, bool wait) {
  shelf *s = shelf_of(name);
  golden_ok(nacre_table_rotate(s->table), "rotating a table's key");
  if (wait) golden_ok(nacre_table_rewrap_wait(s->table, NULL), "rewrapping");
}

/* One file is brought under the new key, and the disk takes no more of them: the others stay under the old. */
static void rotate_in_part(const char *name) {
  failing = (struct failing){.rewraps_counted = true, .slot_writes = 2};
  rotate(name, false);
  if (nacre_table_rewrap_wait(shelf_of(name)->table, NULL) != NACRE_IO) test_die("%s was rewrapped", name);
}

/* Both copies of the key file call the new version active; before the catalogue calls it current, all ends. */
static void rotate_in_vain(const char *name) {
  nacre_table *table = shelf_of(name)->table;
  failing = (struct failing){.dies_after_key_file = true};
  if (nacre_table_rotate(table) != NACRE_IO || !failing.dead) test_die("%s was rotated", name);
}

static void make_rotated(void) {
  static const char *const names[] = {"once", "twice", "on its way", "pending"};
  begin_session();
  for (size_t i = 0; i < 4; i++) {
    create(names[i], (nacre_table_options){.block_bytes = 1024});
    fill(names[i], 0, 20, 1, "2020");
    flush(names[i]);
    fill(names[i], 20, 5, 1, "2021");
  }
  rotate("once", true);
  rotate("twice", true);
  end_session();
  begin_session();
  fill("once", 18, 4, 1, "2022");
  rotate("twice", true);
  fill("twice", 24, 4, 1, "2022");
  golden_ok(nacre_store_rotate(store), "rotating the store's key");
  fill("on its way", 18, 4, 1, "2022");
  rotate_in_part("on its way");
  put("on its way", "under the new key", "and with the old one's files beside it");
  end_session();
  begin_session();
  fill("pending", 18, 4, 1, "2022");
  sync_table("pending");
  rotate_in_vain("pending");
  golden_copy_store(store_path, target);
  /* What is left of it ends with the process, as a process that was killed would. */
}

/* ---- kinds --------------------------------------------------------------------------------------------- */

/* Whenever this is read: over, and not yet. */
static const uint64_t long_ago_ms = 1000, far_ms = 4102444800000; /* 2100-01-01 */

enum { LARGE_BYTES = 5000 };

/* What is over is no record. */
static void note_put(shelf *s, nacre_slice key, nacre_slice value, uint64_t expire_at_ms) {
  if (expire_at_ms == long_ago_ms) {
    golden_delete(&s->records, key);
  } else {
    golden_put_expiring(&s->records, key, value, expire_at_ms);
  }
}

static void put_until(const char *name, const char *key, const char *value, uint64_t expire_at_ms) {
  shelf *s = shelf_of(name);
  nacre_write_options options = {.expire_at_ms = expire_at_ms};
  golden_ok(nacre_put(s->table, text(key), text(value), &options), "writing what expires");
  note_put(s, text(key), text(value), expire_at_ms);
}

static void put_large(const char *name, const char *key, uint8_t byte, uint64_t expire_at_ms) {
  uint8_t value[LARGE_BYTES];
  shelf *s = shelf_of(name);
  nacre_write_options options = {.expire_at_ms = expire_at_ms};
  memset(value, byte, sizeof value);
  golden_ok(nacre_put(s->table, text(key), (nacre_slice){value, sizeof value}, &options),
            "writing a large value");
  note_put(s, text(key), (nacre_slice){value, sizeof value}, expire_at_ms);
}

static void delete_range(const char *name, const char *from, const char *to) {
  shelf *s = shelf_of(name);
  golden_ok(nacre_delete_range(s->table, text(from), text(to), NULL), "deleting a range");
  golden_delete_range(&s->records, text(from), text(to));
}

static void load_put(shelf *s, nacre_load *load, const char *key, nacre_slice value, uint64_t expire_at_ms) {
  golden_ok(nacre_load_put_expiring(load, text(key), value, expire_at_ms), "loading");
  note_put(s, text(key), value, expire_at_ms);
}

/* Every fifth expires, one expired long ago, and behind them all is a large one. */
static void load_shells(const char *name, unsigned first, unsigned count, const char *value) {
  uint8_t large[LARGE_BYTES];
  char key[64];
  nacre_load *load;
  shelf *s = shelf_of(name);
  golden_ok(nacre_load_begin(s->table, NULL, &load), "beginning a load");
  for (unsigned i = first; i < first + count; i++) {
    (void)snprintf(key, sizeof key, "shell/%04u", i);
    load_put(s, load, key, text(value), i == first + 1 ? long_ago_ms : i % 5 == 0 ? far_ms : 0);
  }
  memset(large, 'l', sizeof large);
  (void)snprintf(key, sizeof key, "shell/%04u, large", first + count - 1);
  load_put(s, load, key, (nacre_slice){large, sizeof large}, 0);
  golden_ok(nacre_load_commit(load), "committing a load");
}

static void batch_of_kinds(const char *name) {
  uint8_t large[LARGE_BYTES];
  shelf *s = shelf_of(name);
  nacre_batch *batch;
  memset(large, 'b', sizeof large);
  golden_ok(nacre_batch_create(&batch), "making a batch");
  golden_ok(nacre_batch_put(batch, text("batch/1"), text("gone in the same batch")), "adding to a batch");
  golden_ok(nacre_batch_delete_range(batch, text("batch/"), text("batch0")), "adding to a batch");
  golden_ok(nacre_batch_put_expiring(batch, text("batch/2"), text("expires"), far_ms), "adding to a batch");
  golden_ok(nacre_batch_put(batch, text("batch/3"), (nacre_slice){large, sizeof large}), "adding to a batch");
  golden_ok(nacre_write(s->table, batch, NULL), "writing a batch");
  nacre_batch_destroy(batch);
  golden_put_expiring(&s->records, text("batch/2"), text("expires"), far_ms);
  golden_put(&s->records, text("batch/3"), (nacre_slice){large, sizeof large});
}

/* A snapshot keeps what flushes would drop: older versions, and range deletes that newer ones cover. */
static void write_runs_of_kinds(const char *name) {
  nacre_snapshot *snapshots[2];
  fill(name, 20, 10, 1, "2031");
  delete_range(name, "shell/0005", "shell/0015");
  put_until(name, "until/2100", "still there", far_ms);
  golden_ok(nacre_snapshot_take(shelf_of(name)->table, &snapshots[0]), "taking a snapshot");
  put_until(name, "until/1970", "never seen", long_ago_ms);
  delete_range(name, "shell/0010", "shell/0022");
  put_large(name, "large/stays", 's', 0);
  put_large(name, "large/until 2100", 'u', far_ms);
  golden_ok(nacre_snapshot_take(shelf_of(name)->table, &snapshots[1]), "taking a snapshot");
  fill(name, 12, 1, 1, "2032, again");
  flush(name);
  nacre_snapshot_release(snapshots[0]);
  nacre_snapshot_release(snapshots[1]);
}

/* Each load lies over what is on the level below. The first is two segments. */
static void load_levels(const char *name) {
  static const unsigned counts[] = {3, 2, 1};
  char key[16];
  uint8_t value[9000];
  shelf *s = shelf_of(name);
  for (size_t level = 0; level < sizeof counts / sizeof counts[0]; level++) {
    nacre_load *load;
    golden_ok(nacre_load_begin(s->table, NULL, &load), "beginning a load");
    for (unsigned i = 0; i < counts[level]; i++) {
      (void)snprintf(key, sizeof key, "%u", i);
      memset(value, (int)('a' + level), sizeof value);
      load_put(s, load, key, (nacre_slice){value, level == 0 ? sizeof value : 20}, 0);
    }
    golden_ok(nacre_load_commit(load), "committing a load");
  }
}

static void make_kinds(void) {
  begin_session();
  create("kinds", (nacre_table_options){.block_bytes = 1024, .large_value_bytes = 4096});
  create("deleted as one range", (nacre_table_options){.compression = NACRE_COMPRESSION_NONE});
  create("tree", (nacre_table_options){
                     .compression = NACRE_COMPRESSION_NONE, .segment_bytes = 16 * 1024, .level_ratio = 2});
  create("killed", (nacre_table_options){0});
  put_until("killed", "until/2100", "flushed", far_ms);
  put_until("killed", "until/2100, too", "still there", far_ms);
  flush("killed");
  load_levels("tree");
  load_shells("kinds", 0, 40, "loaded into an empty table, so at the bottom");
  write_runs_of_kinds("kinds");
  load_shells("kinds", 25, 10, "loaded above what it overlaps");
  load_shells("kinds", 60, 10, "loaded beside it all, so at the bottom, too");
  fill("deleted as one range", 0, 10, 1, "2030");
  flush("deleted as one range");
  delete_range("deleted as one range", "shell", "shellz");
  flush("deleted as one range");
  end_session();
  begin_session();
  delete_range("kinds", "shell/0036", "shell/0038");
  put_until("kinds", "until/1970 in the log", "never seen", long_ago_ms);
  put_until("kinds", "until/2100 in the log", "still there", far_ms);
  put_large("kinds", "large/in the log", 'g', 0);
  put_large("kinds", "large/in the log until 1970", 'p', long_ago_ms);
  batch_of_kinds("kinds");
  end_session();
  begin_session_with(NULL); /* a process that is killed leaves filler behind what it has logged */
  put("killed", "in the log", "and filler behind it");
  put_until("killed", "until/2100", "still there", far_ms);
  golden_copy_store(store_path, target);
  end_session();
}

/* ---- expected.txt -------------------------------------------------------------------------------------- */

static void records_of(void *arg, nacre_table *table, const char *name, golden_records *records) {
  const golden_records *written = NULL;
  (void)arg;
  for (size_t i = 0; i < shelf_count; i++) {
    if (strcmp(shelves[i].name, name) == 0) written = &shelves[i].records;
  }
  golden_read(table, records);
  if (written == NULL || !golden_equal(written, records)) test_die("%s is not what was written", name);
}

static void write_expected(const char *directory) {
  char path[GOLDEN_PATH_BYTES];
  nacre_store_options options = {.read_only = true};
  golden_ok(nacre_open(target, &options, &store), "opening the finished store");
  char *expected = golden_text(store, records_of, NULL);
  golden_ok(nacre_close(store), "closing the finished store");
  test_path(path, sizeof path, directory, "expected.txt");
  FILE *file = fopen(path, "wx");
  if (file == NULL || fputs(expected, file) < 0 || fclose(file) != 0) test_die("%s cannot be written", path);
  free(expected);
}

static const struct {
  const char *name;
  void (*make)(void);
} stores[] = {{"clean", make_clean},     {"torn", make_torn},
              {"tables", make_tables},   {"compression", make_compression},
              {"rotated", make_rotated}, {"kinds", make_kinds}};

static void make(const char *directory, void (*make_store)(void)) {
  char keyring[GOLDEN_PATH_BYTES];
  if (mkdir(directory, 0777) != 0) test_die("%s is there, or cannot be made", directory);
  test_path(target, sizeof target, directory, "store");
  test_path(keyring, sizeof keyring, directory, "keyring");
  /* The default key's URI names no path: the store says nothing of the machine that made it. */
  if (setenv("NACRE_KEYRING", keyring, 1) != 0) test_die("no environment");
  test_scratch_make(work, sizeof work, "golden");
  test_path(store_path, sizeof store_path, work, "store");
  make_store();
  write_expected(directory);
  test_scratch_remove(work);
}

int main(int argc, char **argv) {
  for (size_t i = 0; argc == 3 && i < sizeof stores / sizeof stores[0]; i++) {
    if (strcmp(argv[1], stores[i].name) != 0) continue;
    make(argv[2], stores[i].make);
    return 0;
  }
  (void)fprintf(stderr, "usage: %s clean|torn|tables|compression|rotated|kinds DIRECTORY\n", argv[0]);
  return 2;
}
