/* SPDX-License-Identifier: Apache-2.0
 *
 * A file system that really fills up: a small tmpfs, where several threads write until nothing more fits. Reads go
 * on, nothing acknowledged is lost, and writes resume in the same process when there is room: room that
 * another makes, and room that Nacre makes by dropping a table. A plain program: it mounts, and has threads.
 * Skipped where nothing can be mounted.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fixture.h"

enum { WRITERS = 3, VALUE_BYTES = 3000, KEYS_MAX = 8000, SKIPPED = 77, TRIES = 200 };

typedef struct writer {
  unsigned id;
  unsigned acknowledged; /* keys 0 .. acknowledged - 1 */
  bool doubtful;         /* the next one may be there, too */
  nacre_status status;   /* why it ended */
  pthread_t thread;
} writer;

static site s;
static nacre_store *store;
static nacre_table *busy, *keep;
static writer writers[WRITERS];
static char small_ballast[PATH_BYTES], large_ballast[PATH_BYTES];
static atomic_uint told, healed;

static void on_event(void *arg, const nacre_event *event) {
  (void)arg;
  if (event->type == NACRE_EVENT_BACKGROUND_ERROR) {
    atomic_fetch_add(&told, 1);
    CHECK(event->error->status == NACRE_NO_SPACE, "%s", event->error->text);
  }
  if (event->type == NACRE_EVENT_HEALED) atomic_fetch_add(&healed, 1);
}

/* ---- the disk ------------------------------------------------------------------------------------------ */

static bool mount_disk(const char *path) {
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return false;
  (void)mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL); /* what is mounted here is seen here only */
  return mount("tmpfs", path, "tmpfs", 0, "size=32m,mode=700") == 0;
}

static void make_ballast(const char *path, size_t bytes) {
  static const char zeros[64 << 10];
  int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  for (size_t i = 0; i < bytes / sizeof zeros; i++) {
    if (fd < 0 || write(fd, zeros, sizeof zeros) < 0) test_die("the ballast");
  }
  close(fd);
}

static void drop_ballast(const char *path) {
  if (unlink(path) != 0) test_die("the ballast");
}

/* ---- writing and reading ------------------------------------------------------------------------------- */

static nacre_slice key_of(unsigned writer_id, unsigned i, char buffer[24]) {
  int size = snprintf(buffer, 24, "%u/%06u", writer_id, i);
  return nc_slice(buffer, (size_t)size);
}

static nacre_status put(nacre_table *t, unsigned writer_id, unsigned i, bool sync) {
  char key[24];
  uint8_t value[VALUE_BYTES];
  nacre_write_options options = {.sync = sync};
  test_value_make(value, sizeof value, writer_id, i, 1);
  return nacre_put(t, key_of(writer_id, i, key), nc_slice(value, sizeof value), &options);
}

static bool is_there(nacre_table *t, unsigned writer_id, unsigned i) {
  char key[24];
  uint8_t value[VALUE_BYTES];
  nacre_value v;
  test_value_make(value, sizeof value, writer_id, i, 1);
  nacre_status status = nacre_get(t, key_of(writer_id, i, key), NULL, &v);
  bool there = status == NACRE_OK && v.size == sizeof value && memcmp(v.data, value, sizeof value) == 0;
  CHECK(status == NACRE_OK || status == NACRE_NOT_FOUND, "reads go on: %s", nacre_status_name(status));
  nacre_value_release(&v);
  return there;
}

static void *fill(void *arg) {
  writer *w = arg;
  for (w->status = NACRE_OK; w->acknowledged < KEYS_MAX; w->acknowledged++) {
    w->status = put(busy, w->id, w->acknowledged, w->acknowledged % 64 == 0);
    if (w->status != NACRE_OK) break;
  }
  return NULL;
}

static void fill_up(void) {
  for (unsigned i = 0; i < WRITERS; i++) {
    writers[i].id = i;
    if (pthread_create(&writers[i].thread, NULL, fill, &writers[i]) != 0) test_die("no threads");
  }
  for (unsigned i = 0; i < WRITERS; i++) {
    pthread_join(writers[i].thread, NULL);
    CHECK(writers[i].status == NACRE_NO_SPACE, "writer %u ended with %s", i,
          nacre_status_name(writers[i].status));
  }
}

static void check_all(const char *when) {
  for (unsigned w = 0; w < WRITERS; w++) {
    for (unsigned i = 0; i < writers[w].acknowledged; i++)
      CHECK(is_there(busy, w, i), "%s: %u of %u", when, i, w);
  }
}

/* Background work may need a moment to give room back. */
static void writes_resume(const char *when) {
  nacre_status status = NACRE_NO_SPACE;
  for (int i = 0; status == NACRE_NO_SPACE && i < TRIES; i++) {
    status = put(busy, 0, writers[0].acknowledged, true);
    if (status == NACRE_NO_SPACE) usleep(10000);
  }
  if (CHECK(status == NACRE_OK, "%s: writes do not resume: %s", when, nacre_status_name(status)))
    writers[0].acknowledged++;
}

static void check_stopped(void) {
  nacre_health health;
  ok(nacre_table_health(busy, &health));
  CHECK(health.severity == NACRE_SEVERITY_STOPPED, "severity %d", (int)health.severity);
  CHECK(health.works[NACRE_WORK_WRITE].remedy == NACRE_REMEDY_ROOM, "room is what helps");
}

/* ---- the whole ----------------------------------------------------------------------------------------- */

static void prepare(void) {
  make_ballast(small_ballast, (size_t)2 << 20);
  make_ballast(large_ballast, (size_t)16 << 20);
  s.options.io = NULL;
  s.options.workers = 2;
  s.options.memtable_bytes = 256 << 10;
  s.options.on_event = on_event;
  busy = site_table(&s, &store, "busy");
  ok(nacre_table_create(store, "keep", NULL, &keep));
  for (unsigned i = 0; i < 1000; i++) ok(put(keep, 9, i, false));
  ok(nacre_flush(keep));
}

static void run(void) {
  prepare();
  fill_up();
  check_stopped();
  check_all("on a full disk");
  drop_ballast(small_ballast);
  writes_resume("another has made room");
  fill_up();
  check_stopped();
  ok(nacre_table_close(keep));
  nacre_status status = nacre_table_drop(store, "keep");
  CHECK(status == NACRE_OK, "a table is dropped on a full disk: %s", nacre_status_name(status));
  writes_resume("a table was dropped");
  drop_ballast(large_ballast); /* a merge may need as much room as what it merges */
  ok(nacre_wait_idle(busy));
  check_all("after it all");
  nacre_health health;
  ok(nacre_table_health(busy, &health));
  CHECK(health.severity == NACRE_SEVERITY_NONE, "all is well again: %d", (int)health.severity);
  CHECK(atomic_load(&told) > 0 && atomic_load(&healed) > 0, "%u told, %u healed", atomic_load(&told),
        atomic_load(&healed));
  ok(nacre_table_close(busy));
  ok(nacre_close(store));
  busy = site_table(&s, &store, "busy");
  check_all("after a reopen");
  CHECK(nacre_verify(busy, NULL, NULL) == NACRE_OK, "verify");
  ok(nacre_table_close(busy));
  ok(nacre_close(store));
}

int main(void) {
  char disk[PATH_BYTES];
  site_make(&s);
  join(disk, s.path, "disk");
  if (mkdir(disk, 0700) != 0) test_die("mkdir");
  if (!mount_disk(disk)) {
    printf("skipped: nothing can be mounted here (%s)\n", strerror(errno));
    site_remove(&s);
    return SKIPPED;
  }
  join(s.store, disk, "store");
  join(small_ballast, disk, "ballast");
  join(large_ballast, disk, "large ballast");
  run();
  (void)umount(disk);
  site_remove(&s);
  return test_finish();
}
