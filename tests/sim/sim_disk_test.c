/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated disk's own tests: a simulator that forgets too little proves nothing, one that forgets too
 * much cries wolf.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim_disk.h"
#include "support.h"

typedef struct fixture {
  sim_disk *disk;
  const nacre_io *io;
  nacre_io_dir *root;
} fixture;

static fixture setup(void) {
  fixture f = {.disk = sim_disk_create()};
  f.io = sim_disk_io(f.disk);
  CHECK(f.io->dir_open(f.io->context, "/", false, &f.root) == 0, "open the root");
  return f;
}

static void teardown(fixture *f) {
  f->io->dir_close(f->io->context, f->root);
  CHECK(sim_disk_handles(f->disk) == 0, "no handle is left");
  sim_disk_destroy(f->disk);
}

static nacre_io_file *make(fixture *f, const char *name) {
  nacre_io_file *file = NULL;
  if (!CHECK(f->io->file_create(f->io->context, f->root, name, &file) == 0, "create %s", name))
    test_die("cannot go on");
  return file;
}

static int put(fixture *f, nacre_io_file *file, uint64_t offset, const char *text) {
  return f->io->file_write(f->io->context, file, offset, text, strlen(text));
}

static int sync_file(fixture *f, nacre_io_file *file) { return f->io->file_sync(f->io->context, file); }
static int sync_root(fixture *f) { return f->io->dir_sync(f->io->context, f->root); }
static void shut(fixture *f, nacre_io_file *file) { f->io->file_close(f->io->context, file); }

/* The whole file as text; "(none)" when it does not exist. Zeros show as dots. */
static const char *text_of(sim_disk *disk, const char *name, char *text, size_t capacity) {
  const nacre_io *io = sim_disk_io(disk);
  nacre_io_dir *root = NULL;
  nacre_io_file *file = NULL;
  size_t size = 0;
  if (io->dir_open(io->context, "", false, &root) != 0) return "(no root)";
  if (io->file_open(io->context, root, name, false, &file) == 0) {
    if (io->file_read(io->context, file, 0, text, capacity - 1, &size) != 0) size = 0;
    for (size_t i = 0; i < size; i++) text[i] = text[i] == 0 ? '.' : text[i];
    text[size] = '\0';
    io->file_close(io->context, file);
  } else {
    strcpy(text, "(none)");
  }
  io->dir_close(io->context, root);
  return text;
}

static void expect_image(fixture *f, sim_policy policy, uint64_t seed, const char *name,
                         const char *expected) {
  char text[4096];
  sim_disk *image = sim_disk_image(f->disk, policy, seed);
  text_of(image, name, text, sizeof text);
  CHECK(strcmp(text, expected) == 0, "%s under policy %s: expected \"%s\", found \"%s\"", name,
        sim_policy_name(policy), expected, text);
  sim_disk_destroy(image);
}

static void a_synced_file_without_a_synced_name_is_lost(void) {
  fixture f = setup();
  nacre_io_file *file = make(&f, "a");
  CHECK(put(&f, file, 0, "hello") == 0 && sync_file(&f, file) == 0, "write");
  expect_image(&f, SIM_KEEP_NONE, 1, "a", "(none)");
  expect_image(&f, SIM_KEEP_DATA, 1, "a", "(none)");
  expect_image(&f, SIM_KEEP_NAMES, 1, "a", "hello");
  CHECK(sync_root(&f) == 0, "sync the root");
  expect_image(&f, SIM_KEEP_NONE, 1, "a", "hello");
  shut(&f, file);
  teardown(&f);
}

static void a_synced_name_without_synced_data_is_empty(void) {
  fixture f = setup();
  nacre_io_file *file = make(&f, "a");
  CHECK(put(&f, file, 0, "hello") == 0 && sync_root(&f) == 0, "write");
  expect_image(&f, SIM_KEEP_NONE, 1, "a", "");
  expect_image(&f, SIM_KEEP_DATA, 1, "a", "hello");
  expect_image(&f, SIM_KEEP_ALL, 1, "a", "hello");
  shut(&f, file);
  teardown(&f);
}

static void unsynced_overwrites_go_back_to_what_was_stable(void) {
  fixture f = setup();
  nacre_io_file *file = make(&f, "a");
  CHECK(put(&f, file, 0, "old") == 0 && sync_file(&f, file) == 0 && sync_root(&f) == 0, "write");
  CHECK(put(&f, file, 0, "new") == 0 && put(&f, file, 3, "er") == 0, "overwrite");
  expect_image(&f, SIM_KEEP_NONE, 1, "a", "old");
  expect_image(&f, SIM_KEEP_ALL, 1, "a", "newer");
  shut(&f, file);
  teardown(&f);
}

static void a_suffix_leaves_a_hole_of_zeros(void) {
  fixture f = setup();
  nacre_io_file *file = make(&f, "a");
  char sector[SIM_SECTOR_BYTES + 1], holed[2 * SIM_SECTOR_BYTES + 1];
  memset(sector, 'x', SIM_SECTOR_BYTES);
  sector[SIM_SECTOR_BYTES] = '\0';
  memset(holed, '.', SIM_SECTOR_BYTES);
  strcpy(holed + SIM_SECTOR_BYTES, sector);
  CHECK(sync_root(&f) == 0 && put(&f, file, 0, sector) == 0, "first");
  CHECK(put(&f, file, SIM_SECTOR_BYTES, sector) == 0, "second");
  bool found_hole = false;
  for (uint64_t seed = 0; seed < 32; seed++) {
    char text[4096];
    sim_disk *image = sim_disk_image(f.disk, SIM_KEEP_SUFFIX, seed);
    found_hole |= strcmp(text_of(image, "a", text, sizeof text), holed) == 0;
    sim_disk_destroy(image);
  }
  CHECK(found_hole, "some suffix begins at the second write");
  shut(&f, file);
  teardown(&f);
}

/* Counts the distinct images of 64 seeds and checks each with `legal`. */
static size_t distinct_images(fixture *f, sim_policy policy, bool (*legal)(const char *text),
                              const char *name) {
  uint8_t seen[64][SIM_DIGEST_BYTES];
  size_t count = 0;
  for (uint64_t seed = 0; seed < 64; seed++) {
    char text[16384];
    sim_disk *image = sim_disk_image(f->disk, policy, seed);
    uint8_t digest[SIM_DIGEST_BYTES];
    sim_disk_digest(image, digest);
    text_of(image, name, text, sizeof text);
    CHECK(legal(text), "policy %s, seed %d: illegal content \"%.80s\"", sim_policy_name(policy), (int)seed,
          text);
    size_t i = 0;
    while (i < count && memcmp(seen[i], digest, sizeof digest) != 0) i++;
    if (i == count) memcpy(seen[count++], digest, sizeof digest);
    sim_disk_destroy(image);
  }
  return count;
}

/* Sixteen sectors of 'a' (stable), then of 'b', then of 'c': any sector holds one of them, never a
 * mixture. */
static bool sectors_are_whole(const char *text) {
  for (size_t at = 0; text[at] != '\0'; at += SIM_SECTOR_BYTES)
    for (size_t i = 1; i < SIM_SECTOR_BYTES; i++)
      if (text[at + i] != text[at] || strchr("abc", text[at]) == NULL) return false;
  return strlen(text) == (size_t)16 * SIM_SECTOR_BYTES;
}

static void torn_writes_tear_between_sectors(void) {
  fixture f = setup();
  nacre_io_file *file = make(&f, "a");
  char bytes[16 * SIM_SECTOR_BYTES + 1] = {0};
  for (char c = 'a'; c <= 'c'; c++) {
    memset(bytes, c, sizeof bytes - 1);
    CHECK(put(&f, file, 0, bytes) == 0, "write");
    if (c == 'a') CHECK(sync_file(&f, file) == 0 && sync_root(&f) == 0, "sync");
  }
  CHECK(distinct_images(&f, SIM_KEEP_SECTORS, sectors_are_whole, "a") > 32, "tearing varies");
  shut(&f, file);
  teardown(&f);
}

/* A later write to a sector brings the earlier ones to the same sector with it: the disk writes sectors,
 * not calls. */
static bool is_prefix_of_abc(const char *text) { return strncmp("aaabbbccc", text, strlen(text)) == 0; }

static void writes_inside_one_sector_survive_as_a_prefix(void) {
  fixture f = setup();
  nacre_io_file *file = make(&f, "a");
  CHECK(sync_root(&f) == 0, "sync the root");
  CHECK(put(&f, file, 0, "aaa") == 0 && put(&f, file, 3, "bbb") == 0 && put(&f, file, 6, "ccc") == 0,
        "write");
  CHECK(distinct_images(&f, SIM_KEEP_SUBSET, is_prefix_of_abc, "a") >= 3, "subsets vary");
  CHECK(distinct_images(&f, SIM_KEEP_PREFIX_TORN, is_prefix_of_abc, "a") >= 6,
        "prefixes may end at any byte");
  CHECK(distinct_images(&f, SIM_KEEP_PREFIX, is_prefix_of_abc, "a") == 3, "prefixes end at writes");
  shut(&f, file);
  teardown(&f);
}

static bool is_old_or_new(const char *text) { return strcmp(text, "old") == 0 || strcmp(text, "new") == 0; }

static void rename_is_old_or_new_and_never_neither(void) {
  fixture f = setup();
  nacre_io_file *old = make(&f, "CURRENT");
  CHECK(put(&f, old, 0, "old") == 0 && sync_file(&f, old) == 0 && sync_root(&f) == 0, "old");
  nacre_io_file *new = make(&f, "tmp");
  CHECK(put(&f, new, 0, "new") == 0 && sync_file(&f, new) == 0, "new");
  CHECK(f.io->rename(f.io->context, f.root, "tmp", "CURRENT") == 0, "rename");
  for (int policy = 0; policy < SIM_POLICY_COUNT; policy++)
    (void)distinct_images(&f, (sim_policy)policy, is_old_or_new, "CURRENT");
  expect_image(&f, SIM_KEEP_NONE, 1, "CURRENT", "old");
  expect_image(&f, SIM_KEEP_ALL, 1, "CURRENT", "new");
  expect_image(&f, SIM_KEEP_ALL, 1, "tmp", "(none)");
  CHECK(sync_root(&f) == 0, "sync the root");
  expect_image(&f, SIM_KEEP_NONE, 1, "CURRENT", "new");
  shut(&f, old);
  shut(&f, new);
  teardown(&f);
}

static void a_removed_file_may_come_back(void) {
  fixture f = setup();
  nacre_io_file *file = make(&f, "a");
  CHECK(put(&f, file, 0, "here") == 0 && sync_file(&f, file) == 0 && sync_root(&f) == 0, "write");
  shut(&f, file);
  CHECK(f.io->remove(f.io->context, f.root, "a") == 0, "remove");
  CHECK(f.io->remove(f.io->context, f.root, "a") == ENOENT, "it is gone for readers");
  expect_image(&f, SIM_KEEP_NONE, 1, "a", "here");
  expect_image(&f, SIM_KEEP_ALL, 1, "a", "(none)");
  CHECK(sync_root(&f) == 0, "sync the root");
  expect_image(&f, SIM_KEEP_NONE, 1, "a", "(none)");
  teardown(&f);
}

static void directories_take_their_content_with_them(void) {
  fixture f = setup();
  nacre_io_dir *dir = NULL, *again = NULL;
  nacre_io_file *file = NULL;
  CHECK(f.io->dir_create_at(f.io->context, f.root, "d") == 0, "mkdir");
  CHECK(f.io->dir_create_at(f.io->context, f.root, "d") == EEXIST, "mkdir twice");
  CHECK(f.io->dir_open_at(f.io->context, f.root, "d", &dir) == 0, "open it");
  CHECK(f.io->file_create(f.io->context, dir, "a", &file) == 0 && f.io->dir_sync(f.io->context, dir) == 0,
        "a file");
  CHECK(f.io->dir_remove_at(f.io->context, f.root, "d") == ENOTEMPTY, "rmdir of a full directory");
  sim_disk *image = sim_disk_image(f.disk, SIM_KEEP_NONE, 1);
  CHECK(sim_disk_io(image)->dir_open(image, "d", false, &again) == ENOENT, "its name was not synced");
  sim_disk_destroy(image);
  CHECK(sync_root(&f) == 0, "sync the root");
  image = sim_disk_image(f.disk, SIM_KEEP_NONE, 1);
  const nacre_io *io = sim_disk_io(image);
  nacre_io_file *found = NULL;
  CHECK(io->dir_open(io->context, "/d/", false, &again) == 0, "now it is there");
  CHECK(io->file_open(io->context, again, "a", false, &found) == 0, "and its file");
  io->file_close(io->context, found);
  io->dir_close(io->context, again);
  sim_disk_destroy(image);
  shut(&f, file);
  f.io->dir_close(f.io->context, dir);
  teardown(&f);
}

static void cut_stops_everything(void) {
  fixture f = setup();
  nacre_io_file *file = make(&f, "a"), *other = NULL;
  char byte;
  size_t size = 0;
  sim_disk_cut_at(f.disk, 2);
  CHECK(put(&f, file, 0, "x") == 0, "operation 1 passes");
  CHECK(sync_file(&f, file) == EIO, "operation 2 does not");
  CHECK(f.io->file_read(f.io->context, file, 0, &byte, 1, &size) == EIO, "nor does a read after it");
  CHECK(f.io->file_create(f.io->context, f.root, "b", &other) == EIO, "nor a create");
  CHECK(sim_disk_operations(f.disk) == 2, "two operations took place");
  expect_image(&f, SIM_KEEP_NAMES, 1, "b", "(none)");
  expect_image(&f, SIM_KEEP_ALL, 1, "a", "x");
  shut(&f, file);
  teardown(&f);
}

static void images_live_on_their_own(void) {
  fixture f = setup();
  nacre_io_file *file = make(&f, "a"), *copy = NULL;
  nacre_io_dir *root = NULL;
  char text[64];
  uint8_t before[SIM_DIGEST_BYTES], after[SIM_DIGEST_BYTES];
  CHECK(put(&f, file, 0, "one") == 0 && sync_file(&f, file) == 0 && sync_root(&f) == 0, "write");
  sim_disk_digest(f.disk, before);
  sim_disk *image = sim_disk_image(f.disk, SIM_KEEP_ALL, 1);
  sim_disk_digest(image, after);
  CHECK(memcmp(before, after, sizeof after) == 0, "an image of a synced disk equals it");
  const nacre_io *io = sim_disk_io(image);
  CHECK(io->dir_open(io->context, "/", false, &root) == 0, "open the image");
  CHECK(io->file_open(io->context, root, "a", true, &copy) == 0, "and its file");
  CHECK(io->file_write(io->context, copy, 0, "two", 3) == 0, "write to the image");
  CHECK(strcmp(text_of(f.disk, "a", text, sizeof text), "one") == 0, "the source is unharmed");
  CHECK(strcmp(text_of(image, "a", text, sizeof text), "two") == 0, "the image has changed");
  sim_disk_digest(f.disk, after);
  CHECK(memcmp(before, after, sizeof after) == 0, "the source's digest stands");
  sim_disk_digest(image, after);
  CHECK(memcmp(before, after, sizeof after) != 0, "the image's digest moves");
  io->file_close(io->context, copy);
  io->dir_close(io->context, root);
  sim_disk_destroy(image);
  shut(&f, file);
  teardown(&f);
}

static void faults_strike_where_they_are_aimed(void) {
  fixture f = setup();
  nacre_io_file *file = make(&f, "a");
  char text[64];
  CHECK(sync_root(&f) == 0, "sync the root");
  sim_disk_fault(
      f.disk, &(sim_fault){.operations = SIM_WRITE, .after = 1, .count = 1, .error = EIO, .partial = true});
  CHECK(put(&f, file, 0, "ab") == 0 && put(&f, file, 2, "cdef") == EIO && put(&f, file, 6, "g") == 0,
        "the second fails");
  CHECK(strcmp(text_of(f.disk, "a", text, sizeof text), "abcd..g") == 0, "half of it was written: %s", text);
  CHECK(sim_disk_faults_hit(f.disk) == 1, "one fault");
  sim_disk_fault(f.disk, &(sim_fault){.operations = SIM_CREATE, .count = NACRE_NONE, .error = ENOSPC});
  nacre_io_file *other = NULL;
  for (int i = 0; i < 3; i++)
    CHECK(f.io->file_create(f.io->context, f.root, "b", &other) == ENOSPC, "for good");
  sim_disk_fault(f.disk, NULL);
  shut(&f, file);
  teardown(&f);
}

static void a_failed_sync_forgets_or_pretends(void) {
  for (int pretend = 0; pretend < 2; pretend++) {
    fixture f = setup();
    nacre_io_file *file = make(&f, "a");
    char text[64];
    sim_fault fault = {.operations = SIM_SYNC, .count = 1, .error = EIO};
    fault.sync_failure = pretend ? SIM_SYNC_PRETENDS : SIM_SYNC_FORGETS;
    CHECK(put(&f, file, 0, "one") == 0 && sync_file(&f, file) == 0 && sync_root(&f) == 0, "write");
    CHECK(put(&f, file, 3, "two") == 0, "write more");
    sim_disk_fault(f.disk, &fault);
    CHECK(sync_file(&f, file) == EIO, "the sync fails");
    text_of(f.disk, "a", text, sizeof text);
    CHECK(strcmp(text, pretend ? "onetwo" : "one") == 0, "the cache holds %s", text);
    CHECK(put(&f, file, 6, "six") == 0 && sync_file(&f, file) == 0, "a later sync succeeds");
    expect_image(&f, SIM_KEEP_ALL, 1, "a", "one...six");
    shut(&f, file);
    teardown(&f);
  }
}

static void a_full_disk_takes_a_part_and_room_comes_back(void) {
  fixture f = setup();
  nacre_io_file *file = make(&f, "a"), *other = make(&f, "b"), *third = NULL;
  char text[64];
  sim_disk_capacity(f.disk, 8);
  CHECK(put(&f, file, 0, "12345") == 0 && put(&f, other, 0, "6789") == ENOSPC, "the second is cut");
  CHECK(strcmp(text_of(f.disk, "b", text, sizeof text), "678") == 0, "after three bytes: %s", text);
  CHECK(put(&f, file, 0, "54321") == 0, "overwriting needs no room");
  CHECK(f.io->file_create(f.io->context, f.root, "c", &third) == ENOSPC, "nor is there any for a name");
  CHECK(f.io->remove(f.io->context, f.root, "a") == 0 && sim_disk_used(f.disk) == 8,
        "an open file keeps its room");
  shut(&f, file);
  CHECK(sim_disk_used(f.disk) == 3 && put(&f, other, 3, "9") == 0, "a closed one gives it back");
  shut(&f, other);
  teardown(&f);
}

static void locks_exclude(void) {
  fixture f = setup();
  nacre_io_lock *first = NULL, *second = NULL, *third = NULL;
  CHECK(f.io->lock(f.io->context, f.root, "LOCK", false, &first) == ENOENT, "a shared lock makes no file");
  CHECK(f.io->lock(f.io->context, f.root, "LOCK", true, &first) == 0, "an exclusive one does");
  CHECK(f.io->lock(f.io->context, f.root, "LOCK", true, &second) == EWOULDBLOCK, "it excludes");
  CHECK(f.io->lock(f.io->context, f.root, "LOCK", false, &second) == EWOULDBLOCK, "readers as well");
  f.io->unlock(f.io->context, first);
  CHECK(f.io->lock(f.io->context, f.root, "LOCK", false, &first) == 0, "shared");
  CHECK(f.io->lock(f.io->context, f.root, "LOCK", false, &second) == 0, "by two");
  CHECK(f.io->lock(f.io->context, f.root, "LOCK", true, &third) == EWOULDBLOCK, "excludes a writer");
  f.io->unlock(f.io->context, first);
  f.io->unlock(f.io->context, second);
  teardown(&f);
}

static void the_same_seed_makes_the_same_image(void) {
  uint8_t digests[2][SIM_DIGEST_BYTES];
  fixture f = setup();
  nacre_io_file *file = make(&f, "a");
  test_random random = {7};
  for (int i = 0; i < 50; i++) {
    char bytes[1500];
    test_random_fill(&random, bytes, sizeof bytes);
    CHECK(f.io->file_write(f.io->context, file, (uint64_t)i * 1500, bytes, sizeof bytes) == 0, "write");
  }
  for (int policy = 0; policy < SIM_POLICY_COUNT; policy++) {
    for (int i = 0; i < 2; i++) {
      sim_disk *image = sim_disk_image(f.disk, (sim_policy)policy, 99);
      sim_disk_digest(image, digests[i]);
      sim_disk_destroy(image);
    }
    CHECK(memcmp(digests[0], digests[1], SIM_DIGEST_BYTES) == 0, "policy %s",
          sim_policy_name((sim_policy)policy));
  }
  shut(&f, file);
  teardown(&f);
}

int main(void) {
  a_synced_file_without_a_synced_name_is_lost();
  a_synced_name_without_synced_data_is_empty();
  unsynced_overwrites_go_back_to_what_was_stable();
  a_suffix_leaves_a_hole_of_zeros();
  torn_writes_tear_between_sectors();
  writes_inside_one_sector_survive_as_a_prefix();
  rename_is_old_or_new_and_never_neither();
  a_removed_file_may_come_back();
  directories_take_their_content_with_them();
  cut_stops_everything();
  images_live_on_their_own();
  faults_strike_where_they_are_aimed();
  a_failed_sync_forgets_or_pretends();
  a_full_disk_takes_a_part_and_room_comes_back();
  locks_exclude();
  the_same_seed_makes_the_same_image();
  return test_finish();
}
