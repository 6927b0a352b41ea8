/* SPDX-License-Identifier: Apache-2.0
 *
 * What a table says of work that fails: nacre_table_health, and the events beside it.
 */
#include <errno.h>
#include <stdio.h>

#include "fixture.h"
#include "table.h"

#include <criterion/criterion.h>

static site s;
static failing_io disk;
static nacre_store *store;
static nacre_table *t;
static const nacre_slice none = {NULL, 0};

typedef struct told {
  unsigned errors, healed; /* of all kinds of work */
  unsigned errors_of[NACRE_WORK_COUNT];
  nacre_severity worst_of[NACRE_WORK_COUNT];
} told;
static told heard;

/* No segment can be made, whatever else goes. */
static bool no_segments;
static int (*create_any)(void *context, nacre_io_dir *dir, const char *name, nacre_io_file **ret_file);
static int create_but_segments(void *context, nacre_io_dir *dir, const char *name, nacre_io_file **ret_file) {
  size_t size = strlen(name);
  bool segment = size > 4 && strcmp(name + size - 4, ".seg") == 0;
  return segment && no_segments ? EIO : create_any(context, dir, name, ret_file);
}

static void on_event(void *arg, const nacre_event *event) {
  (void)arg;
  if (event->type == NACRE_EVENT_BACKGROUND_ERROR) {
    heard.errors++;
    heard.errors_of[event->work]++;
    if (event->severity > heard.worst_of[event->work]) heard.worst_of[event->work] = event->severity;
    cr_expect(event->error != NULL && event->error->status != NACRE_OK);
  }
  if (event->type == NACRE_EVENT_HEALED) heard.healed++;
}

static void begin(void) {
  site_make(&s);
  failing_init(&disk);
  create_any = disk.io.file_create;
  disk.io.file_create = create_but_segments;
  no_segments = false;
  s.options.io = &disk.io;
  s.options.on_event = on_event;
  s.options.memtable_bytes = 64 << 10;
  heard = (told){0};
  t = site_table(&s, &store, "table");
  put_text(t, "first", "write", false);
}

static void end(void) {
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  site_remove(&s);
}

TestSuite(health, .init = begin, .fini = end, .timeout = 60);

/* From now on every change of the disk fails with `code`; 0: none does. */
static void disk_fails(int code) {
  atomic_store(&disk.count, 0);
  disk.code = code;
  disk.fail_from = true;
  disk.fail_at = code == 0 ? 0 : 1;
}

static nacre_condition condition(nacre_work work) {
  nacre_health health;
  ok(nacre_table_health(t, &health));
  for (int i = 0; i < NACRE_WORK_COUNT; i++) cr_expect(health.works[i].severity <= health.severity);
  return health.works[work];
}

static void all_is_well(void) {
  nacre_health health;
  ok(nacre_table_health(t, &health));
  cr_expect_eq(health.severity, NACRE_SEVERITY_NONE);
  for (int i = 0; i < NACRE_WORK_COUNT; i++) {
    cr_expect(health.works[i].error.status == NACRE_OK && health.works[i].since_ms == 0 &&
              health.works[i].failures == 0 && health.works[i].remedy == NACRE_REMEDY_NONE);
  }
  cr_expect(heard.healed <= heard.errors && (heard.healed > 0) == (heard.errors > 0), "%u errors, %u healed",
            heard.errors, heard.healed);
}

static nacre_status put_number(unsigned n) {
  char key[16];
  static const char value[1000];
  int size = snprintf(key, sizeof key, "key %u", n);
  return nacre_put(t, nc_slice(key, (size_t)size), nc_slice(value, sizeof value), NULL);
}

Test(health, nothing_is_wrong_with_a_table_that_works) {
  ok(nacre_flush(t));
  all_is_well();
  cr_expect_eq(heard.errors, 0);
  ok(nacre_table_health(t, NULL));
  fails(nacre_table_health(NULL, NULL), NC_E_ARGUMENT);
}

Test(health, a_write_that_fails_is_told_once_and_heals_with_the_next_that_does_not) {
  disk_fails(EIO);
  for (unsigned i = 0; i < 3; i++) cr_expect_eq(put_number(i), NACRE_IO);
  nacre_condition c = condition(NACRE_WORK_WRITE);
  cr_expect(c.severity == NACRE_SEVERITY_STOPPED && c.remedy == NACRE_REMEDY_TIME && c.since_ms > 0);
  cr_expect(c.error.status == NACRE_IO && c.error.os_errno == EIO && c.failures == 3);
  cr_expect(heard.errors_of[NACRE_WORK_WRITE] == 1 &&
            heard.worst_of[NACRE_WORK_WRITE] == NACRE_SEVERITY_STOPPED);
  cr_expect(holds(t, NULL, "first", "write"), "reads go on");
  disk_fails(0);
  ok(put_number(9));
  all_is_well();
}

Test(health, a_full_disk_heals_by_itself_when_there_is_room) {
  disk_fails(ENOSPC);
  cr_expect_eq(put_number(1), NACRE_NO_SPACE);
  cr_expect_eq(put_number(2), NACRE_NO_SPACE);
  nacre_condition c = condition(NACRE_WORK_WRITE);
  cr_expect(c.severity == NACRE_SEVERITY_STOPPED && c.remedy == NACRE_REMEDY_ROOM);
  cr_expect(holds(t, NULL, "first", "write"), "reads go on");
  disk_fails(0);
  ok(put_number(3));
  ok(nacre_wait_idle(t));
  all_is_well();
  cr_expect(heard.errors >= 1);
}

Test(health, a_failed_sync_is_told_and_its_rescue_too) {
  nacre_write_options sync = {.sync = true};
  ok(nacre_put(t, text("a"), text("1"), NULL));
  atomic_store(&disk.count, 0);
  disk.code = EIO;
  disk.fail_from = false;
  disk.fail_at = 2; /* the append, then the sync */
  cr_expect_eq(nacre_put(t, text("b"), text("2"), &sync), NACRE_IO);
  cr_expect(heard.errors == 1 && heard.worst_of[NACRE_WORK_WRITE] == NACRE_SEVERITY_STOPPED);
  all_is_well(); /* what was in the log was flushed at once */
  ok(nacre_put(t, text("c"), text("3"), &sync));
}

/* What a full memtable holds is in its log: a flush that fails keeps nobody from writing until there is no place for
 * another one. */
Test(health, a_flush_that_fails_delays_and_at_last_stops_writes) {
  nacre_status status = NACRE_OK;
  unsigned n = 0;
  no_segments = true;
  for (; condition(NACRE_WORK_FLUSH).failures == 0; n++) ok(put_number(n));
  nacre_condition c = condition(NACRE_WORK_FLUSH);
  cr_expect(c.severity == NACRE_SEVERITY_DELAYED && c.remedy == NACRE_REMEDY_TIME);
  ok(put_number(n));
  for (; status == NACRE_OK && n < 2000; n++) status = put_number(n);
  cr_expect_eq(status, NACRE_IO);
  cr_expect_eq(condition(NACRE_WORK_FLUSH).severity, NACRE_SEVERITY_STOPPED);
  cr_expect_eq(heard.errors_of[NACRE_WORK_FLUSH], 2, "told again when it got worse");
  cr_expect(holds(t, NULL, "first", "write"), "reads go on");
  no_segments = false;
  ok(nacre_wait_idle(t)); /* tries again */
  cr_expect_eq(condition(NACRE_WORK_FLUSH).severity, NACRE_SEVERITY_NONE);
  ok(put_number(n));
  all_is_well();
}

Test(health, a_merge_that_fails_delays_only_itself) {
  ok(nacre_flush(t));
  put_text(t, "second", "write", false);
  ok(nacre_flush(t));
  disk_fails(EIO);
  cr_expect_neq(nacre_compact(t, none, none), NACRE_OK);
  nacre_condition c = condition(NACRE_WORK_MERGE);
  cr_expect(c.severity == NACRE_SEVERITY_DELAYED && c.remedy == NACRE_REMEDY_TIME && c.failures >= 1);
  disk_fails(0);
  ok(nacre_compact(t, none, none));
  all_is_well();
}

Test(health, a_merge_that_failed_is_forgotten_once_none_is_due) {
  ok(nacre_compact(t, none, none));
  disk_fails(EIO);
  cr_expect_neq(nacre_compact(t, none, none), NACRE_OK); /* of one segment, which nothing but this asks for */
  cr_expect_eq(condition(NACRE_WORK_MERGE).severity, NACRE_SEVERITY_DELAYED);
  disk_fails(0);
  ok(nacre_wait_idle(t));
  all_is_well();
}

static void put_stretch(const char *lead, unsigned count) {
  static const char value[1000];
  for (unsigned i = 0; i < count; i++) {
    char key[16];
    int size = snprintf(key, sizeof key, "%s%02u", lead, i);
    ok(nacre_put(t, nc_slice(key, (size_t)size), nc_slice(value, sizeof value), NULL));
  }
  ok(nacre_flush(t));
}

Test(health, a_segment_that_cannot_be_read_keeps_no_other_from_being_merged) {
  char directory[PATH_BYTES], path[PATH_BYTES], uuid[NC_UUID_TEXT_BYTES];
  nc_uuid_format(&t->uuid, uuid);
  join(directory, s.store, uuid);
  put_stretch("a", 20);
  only_file(directory, ".seg", path);
  file_flip(path, 8192 + 40);
  nacre_condition c = {0};
  for (unsigned i = 0; i < 12; i++) {
    put_stretch(i == 3 ? "a" : "z", 20);
    c = condition(NACRE_WORK_MERGE);
    cr_expect(c.failures <= 1, "round %u: %u failures", i, (unsigned)c.failures);
  }
  cr_expect(c.failures == 1 && c.severity == NACRE_SEVERITY_DELAYED && c.remedy == NACRE_REMEDY_REPAIR &&
            c.error.status == NACRE_CORRUPT && c.next_try_ms == 0);
  nacre_stats stats;
  ok(nacre_table_stats(t, &stats));
  cr_expect(stats.merges >= 2 && stats.runs <= 6, "%u merges, %u runs", (unsigned)stats.merges, (unsigned)stats.runs);
  cr_expect_eq(nacre_wait_idle(t), NACRE_CORRUPT, "who waits is told");
  cr_expect_eq(condition(NACRE_WORK_MERGE).failures, 2, "after another try");
  file_flip(path, 8192 + 40);
  ok(nacre_wait_idle(t));
  cr_expect_eq(condition(NACRE_WORK_MERGE).severity, NACRE_SEVERITY_NONE);
}

/* The disk fails from one operation on, later and later, until it is the rewrap that meets it. */
Test(health, a_rewrap_that_fails_delays_only_itself) {
  nacre_status status = NACRE_NO_SPACE;
  uint64_t at = 1;
  for (; status != NACRE_OK && at < 200; at++) {
    disk_fails(ENOSPC);
    disk.fail_at = at;
    status = nacre_table_rotate(t);
    if (status != NACRE_OK) disk_fails(0);
  }
  nacre_condition c = condition(NACRE_WORK_REWRAP);
  cr_expect(c.severity == NACRE_SEVERITY_DELAYED && c.remedy == NACRE_REMEDY_ROOM, "%d, at %d",
            (int)c.severity, (int)at);
  cr_expect(holds(t, NULL, "first", "write"), "reads go on");
  disk_fails(0);
  ok(nacre_table_rewrap_wait(t, NULL));
  cr_expect_eq(condition(NACRE_WORK_REWRAP).severity, NACRE_SEVERITY_NONE);
}

/* Nobody waits for 2^56 writes: the table is told that they have been. */
Test(health, what_no_further_try_can_help_needs_somebody_to_see_to_it) {
  uint64_t visible = atomic_load(&t->visible);
  atomic_store(&t->visible, NC_SEQUENCE_MAX);
  fails(put_number(1), NC_E_SEQUENCES_SPENT);
  nacre_condition c = condition(NACRE_WORK_WRITE);
  cr_expect(c.severity == NACRE_SEVERITY_READ_ONLY && c.remedy == NACRE_REMEDY_REPAIR);
  atomic_store(&t->visible, visible);
  ok(put_number(1));
  all_is_well();
}
