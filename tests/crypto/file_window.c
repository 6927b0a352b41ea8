/* SPDX-License-Identifier: Apache-2.0
 *
 * Frames that are stored through a window: that they are where they would have been written, that files stay small
 * and end where their frames do, and what happens when a disk has no room, no maps or no answer.
 */
#include "file_window.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "filler.h"
#include "header.h"
#include "support.h"

static nacre_error err;
static fixture f;
static const nacre_io *posix;
static unsigned maps, stores;

static int counting_map(void *context, nacre_io_file *file, uint64_t offset, size_t size,
                        nacre_io_map **ret_map) {
  (void)context;
  int code = posix->file_map(NULL, file, offset, size, ret_map);
  maps += code == 0;
  return code;
}
static int refusing_map(void *context, nacre_io_file *file, uint64_t offset, size_t size,
                        nacre_io_map **ret_map) {
  (void)context, (void)file, (void)offset, (void)size, (void)ret_map;
  return ENOTSUP;
}
static void counting_store(void *context, nacre_io_map *map, uint64_t offset, const void *bytes,
                           size_t size) {
  (void)context;
  stores++;
  posix->map_store(NULL, map, offset, bytes, size);
}

static size_t largest_write;
static int sized_write(void *context, nacre_io_file *file, uint64_t offset, const void *data, size_t size) {
  (void)context;
  if (offset >= NC_FRAMES_OFFSET && size > largest_write) largest_write = size;
  return posix->file_write(NULL, file, offset, data, size);
}

static void setup(void) {
  fixture_open(&f);
  fixture_keys(&f);
  posix = nacre_io_posix();
  maps = stores = 0;
  f.faults.io.file_map = counting_map;
  f.faults.io.map_store = counting_store;
}
static void teardown(void) { fixture_close(&f); }
TestSuite(file_window, .init = setup, .fini = teardown);

static nc_sealed_writer *begin(void) {
  nc_sealed_writer *w = make_writer(&f, "log", 0);
  nc_sealed_writer_begin_window(w);
  return w;
}

static nc_handle append(nc_sealed_writer *w, size_t size) {
  static uint8_t text[4 << 20];
  nc_handle handle;
  memset(text, (int)(size % 251), size);
  must(nc_sealed_writer_append(w, NC_FRAME_LOG_GROUP, nc_slice(text, size), &handle, &err));
  return handle;
}

/* The scratch directory lies on a file system that is known to keep the promise. */
static bool maps_here(void) {
  if (maps > 0) return true;
  fprintf(stderr, "file_window: no maps on this file system: nothing to see\n");
  return false;
}

static uint64_t file_size(void) {
  char path[128];
  struct stat info;
  file_path(&f, "log", path);
  cr_assert_eq(stat(path, &info), 0);
  return (uint64_t)info.st_size;
}

static void read_back(const nc_handle *handles, const size_t *sizes, size_t count) {
  nc_sealed_reader *r;
  nacre_slice plaintext;
  uint8_t *buffer = malloc(NC_FRAME_BYTES_MAX);
  must(nc_sealed_reader_open(&f.dir, "log", f.keys, NULL, &r, &err));
  for (size_t i = 0; i < count; i++) {
    must(nc_sealed_reader_frame(r, handles[i], NC_FRAME_LOG_GROUP, buffer, &plaintext, NULL, &err));
    cr_assert_eq(plaintext.size, sizes[i]);
    for (size_t k = 0; k < sizes[i]; k += 997)
      cr_assert_eq(((const uint8_t *)plaintext.data)[k], (uint8_t)(sizes[i] % 251));
  }
  nc_sealed_reader_close(r);
  free(buffer);
}

/* The kernel writes a page whole for each sync of a frame in it, and makes pages as large as what is written at once. */
Test(file_window, a_log_that_is_synced_is_filled_in_small_pieces) {
  f.faults.io.file_write = sized_write;
  for (int synced = 0; synced < 2; synced++) {
    nc_sealed_writer *w = make_writer(&f, synced == 0 ? "log" : "synced", 0);
    nc_sealed_writer_begin_window(w);
    largest_write = 0;
    for (int i = 0; i < 2000; i++) {
      append(w, 200);
      if (synced != 0 && i % 16 == 0) must(nc_sealed_writer_sync(w, &err));
    }
    nc_sealed_writer_close(w);
    if (!maps_here()) return;
    cr_expect(synced != 0 ? largest_write == 4096 : largest_write > 4096, "%zu bytes at once", largest_write);
  }
}

Test(file_window, frames_of_any_size_are_where_they_belong) {
  enum { COUNT = 1500 };
  static nc_handle handles[COUNT];
  static size_t sizes[COUNT];
  nc_sealed_writer *w = begin();
  for (size_t i = 0; i < COUNT; i++) {
    sizes[i] = i % 400 == 399 ? 3 << 20 : i % 50 == 49 ? 40000 : i % 7 == 6 ? 5000 : i % 300;
    handles[i] = append(w, sizes[i]);
    if (i % 100 == 0) must(nc_sealed_writer_sync(w, &err));
  }
  read_back(handles, sizes, COUNT);
  append(w, 100);
  if (maps_here()) cr_expect(file_size() > nc_sealed_writer_size(w));
  nc_sealed_writer_end_window(w);
  cr_expect_eq(file_size(), nc_sealed_writer_size(w));
  append(w, 10); /* written, as the final frame of a log is */
  cr_expect_eq(file_size(), nc_sealed_writer_size(w));
  nc_sealed_writer_close(w);
  read_back(handles, sizes, COUNT);
  if (maps_here()) cr_expect(stores > COUNT / 2 && maps < 100, "%u stores into %u maps", stores, maps);
  cr_expect_eq(atomic_load(&f.env->windows), 0);
}

Test(file_window, behind_the_frames_stands_filler_and_a_small_log_is_small) {
  nc_sealed_writer *w = begin();
  cr_expect_eq(file_size(), NC_FRAMES_OFFSET, "nothing is to be stored yet");
  for (int i = 0; i < 100; i++) {
    append(w, 100);
    uint64_t size = file_size(), written = nc_sealed_writer_size(w);
    cr_assert(size - written <= 4096 + 2 * (written - NC_FRAMES_OFFSET), "%llu bytes for %llu",
              (unsigned long long)size, (unsigned long long)written);
    size_t all;
    uint8_t *bytes = file_bytes(&f, "log", &all);
    const nc_uuid *file = &nc_sealed_writer_header(w)->identity.file;
    size_t filler =
        nc_filler_at_end(bytes + NC_FRAMES_OFFSET, all - NC_FRAMES_OFFSET, file, NC_FRAMES_OFFSET);
    cr_assert_eq(filler, size - written);
    free(bytes);
  }
  nc_sealed_writer_close(w);
}

/* The process dies while it stores: its source ends in the middle. */
Test(file_window, the_first_bytes_of_a_frame_come_last) {
  enum { PAGE = 4096, SIZE = 3000 };
  static const uint8_t before[PAGE] = {1, 2, 3, 4, 5, 6, 7, 8};
  uint8_t *source = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  cr_assert(source != MAP_FAILED && mprotect(source + PAGE, PAGE, PROT_NONE) == 0);
  memset(source, 0xA5, PAGE);
  nc_file file;
  nacre_io_map *map;
  must(nc_file_create(&f.dir, "log", &file, &err));
  must(nc_file_write(&file, 0, before, sizeof before, &err));
  if (posix->file_map(NULL, file.handle, 0, PAGE, &map) != 0) cr_skip_test("no maps on this file system");
  posix->file_unmap(NULL, map);
  pid_t child = fork();
  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    if (posix->file_map(NULL, file.handle, 0, PAGE, &map) != 0) _exit(1);
    posix->map_store(NULL, map, 0, source + PAGE - SIZE, SIZE + 100);
    _exit(2);
  }
  int status;
  cr_assert_eq(waitpid(child, &status, 0), child);
  cr_assert(WIFSIGNALED(status) || WEXITSTATUS(status) > 2, "it should have died in the store");
  uint8_t first[8];
  must(nc_file_read(&file, 0, first, sizeof first, &err));
  cr_expect_arr_eq(first, before, sizeof first);
  nc_file_close(&file);
}

Test(file_window, a_child_does_not_inherit_the_map) {
  nc_sealed_writer *w = begin();
  append(w, 100);
  if (!maps_here()) cr_skip_test("no maps on this file system");
  pid_t child = fork();
  if (child == 0) {
    char line[512];
    bool found = false;
    FILE *list = fopen("/proc/self/maps", "r");
    while (list != NULL && fgets(line, sizeof line, list) != NULL) found |= strstr(line, f.path) != NULL;
    _exit(list == NULL || found);
  }
  int status;
  cr_assert_eq(waitpid(child, &status, 0), child);
  cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  nc_sealed_writer_close(w);
}

Test(file_window, a_map_behind_the_end_of_a_file_is_refused) {
  nc_file file;
  nacre_io_map *map;
  must(nc_file_create(&f.dir, "log", &file, &err));
  must(nc_file_write(&file, 0, "0123456789abcdef", 16, &err));
  cr_expect_neq(posix->file_map(NULL, file.handle, 0, 17, &map), 0, "a store there would be a SIGBUS");
  cr_expect_neq(posix->file_map(NULL, file.handle, 4096, 4096, &map), 0);
  cr_expect_neq(posix->file_map(NULL, file.handle, UINT64_MAX - 8, 4096, &map), 0);
  nc_file_close(&file);
}

/* ---- what fails ---------------------------------------------------------------------------------------- */

Test(file_window, a_disk_without_room_for_filler_takes_frames_as_long_as_it_can) {
  nc_handle handles[20];
  size_t sizes[20];
  nc_sealed_writer *w = begin();
  f.faults.code = ENOSPC;
  for (size_t i = 0; i < 20; i++) {
    if (i == 3) f.faults.fail_write = 2; /* the next filler, some frames from here */
    if (i == 3) atomic_store(&f.faults.writes, 1);
    handles[i] = append(w, sizes[i] = 700);
  }
  cr_expect(!nc_sealed_writer_failed(w));
  read_back(handles, sizes, 20);
  if (maps_here()) cr_expect_eq(file_size(), nc_sealed_writer_size(w), "the filler was given back");
  f.faults.fail_write = atomic_load(&f.faults.writes) + 1;
  must_fail(nc_sealed_writer_append(w, NC_FRAME_LOG_GROUP, nc_slice("x", 1), NULL, &err), NC_E_OS_NO_SPACE);
  nc_sealed_writer_close(w);
}

/* A put must not fail because the log cannot be made longer by more than it needs. */
Test(file_window, a_file_that_may_not_be_as_long_takes_frames_up_to_its_end) {
  enum { LIMIT = NC_FRAMES_OFFSET + 20000, SIZE = 700, FRAME = 736, COUNT = 20000 / FRAME };
  nc_handle handles[COUNT];
  size_t sizes[COUNT];
  static const uint8_t zeros[SIZE];
  struct rlimit before, limit;
  cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
  limit = (struct rlimit){LIMIT, before.rlim_max};
  nc_sealed_writer *w = begin();
  signal(SIGXFSZ, SIG_IGN);
  cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
  for (size_t i = 0; i < COUNT; i++) handles[i] = append(w, sizes[i] = SIZE);
  nacre_status status = nc_sealed_writer_append(w, NC_FRAME_LOG_GROUP, nc_slice(zeros, SIZE), NULL, &err);
  cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
  cr_expect(status == NACRE_IO && err.os_errno == EFBIG, "%s", err.text);
  read_back(handles, sizes, COUNT);
  nc_sealed_writer_close(w);
}

Test(file_window, a_disk_that_fails_under_the_filler_fails_the_log) {
  nc_sealed_writer *w = begin();
  f.faults.fail_write = atomic_load(&f.faults.writes) + 1;
  must_fail(nc_sealed_writer_append(w, NC_FRAME_LOG_GROUP, nc_slice("x", 1), NULL, &err), NC_E_OS);
  must_fail(nc_sealed_writer_append(w, NC_FRAME_LOG_GROUP, nc_slice("x", 1), NULL, &err), NC_E_OS);
  cr_expect(nc_sealed_writer_failed(w));
  cr_expect_eq(stores, 0);
  nc_sealed_writer_close(w);
}

/* Nothing is filled in vain again and again. */
static void without_maps(unsigned fillers) {
  nc_handle handles[30];
  size_t sizes[30];
  nc_sealed_writer *w = begin();
  int before = atomic_load(&f.faults.writes);
  for (size_t i = 0; i < 30; i++) handles[i] = append(w, sizes[i] = 700);
  cr_expect_eq(atomic_load(&f.faults.writes) - before, 30 + (int)fillers);
  cr_expect_eq(stores, 0);
  cr_expect_eq(file_size(), nc_sealed_writer_size(w));
  read_back(handles, sizes, 30);
  nc_sealed_writer_close(w);
}

Test(file_window, where_no_file_can_be_mapped_frames_are_written) {
  f.faults.io.file_map = refusing_map;
  without_maps(1);
}
Test(file_window, a_table_of_operations_without_maps_serves) {
  f.faults.io.file_map = NULL;
  without_maps(0);
}
Test(file_window, a_process_does_not_run_out_of_maps) {
  atomic_store(&f.env->windows, 1024);
  without_maps(0);
  atomic_store(&f.env->windows, 0);
}
