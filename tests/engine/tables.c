/* SPDX-License-Identifier: Apache-2.0
 *
 * nacre.h, tables: options, names, handles, creating, renaming, dropping, and what is finished after an
 * interruption.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"
#include "store.h"

static site s;

static void setup(void) { site_make(&s); }
static void teardown(void) { site_remove(&s); }
TestSuite(tables, .init = setup, .fini = teardown);

Test(tables, table_calls_refuse_null_arguments) {
  nacre_store *store = site_open(&s);
  nacre_table *t;
  nacre_table_infos *infos;
  fails(nacre_table_create(NULL, "t", NULL, &t), NC_E_ARGUMENT);
  fails(nacre_table_create(store, NULL, NULL, &t), NC_E_ARGUMENT);
  fails(nacre_table_open(NULL, "t", NULL, &t), NC_E_ARGUMENT);
  fails(nacre_table_open(store, NULL, NULL, &t), NC_E_ARGUMENT);
  fails(nacre_table_open(store, "t", NULL, NULL), NC_E_ARGUMENT);
  fails(nacre_table_drop(NULL, "t"), NC_E_ARGUMENT);
  fails(nacre_table_drop(store, NULL), NC_E_ARGUMENT);
  fails(nacre_table_rename(NULL, "t", "u"), NC_E_ARGUMENT);
  fails(nacre_table_rename(store, NULL, "u"), NC_E_ARGUMENT);
  fails(nacre_table_rename(store, "t", NULL), NC_E_ARGUMENT);
  fails(nacre_table_list(NULL, &infos), NC_E_ARGUMENT);
  fails(nacre_table_list(store, NULL), NC_E_ARGUMENT);
  ok(nacre_close(store));
}

Test(tables, names_are_1_to_255_bytes_and_no_uuid) {
  nacre_store *store = site_open(&s);
  nacre_table *t;
  char name[258];
  memset(name, 'n', sizeof name);
  name[256] = 0;
  static const char *const good[] = {"x",    "a/b",    "..",   ".",        "with space\nand \xff",
                                     "uuid", "UUID:x", "LOCK", "catalogue"};
  fails(nacre_table_create(store, "", NULL, &t), NC_E_TABLE_NAME);
  fails(nacre_table_create(store, name, NULL, &t), NC_E_TABLE_NAME);
  fails(nacre_table_create(store, "uuid:", NULL, &t), NC_E_TABLE_NAME);
  fails(nacre_table_create(store, "uuid:3", NULL, &t), NC_E_TABLE_NAME);
  name[255] = 0;
  ok(nacre_table_create(store, name, NULL, NULL));
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    ok(nacre_table_create(store, good[i], NULL, &t));
    put_text(t, "name", good[i], false);
    ok(nacre_table_close(t));
  }
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    ok(nacre_table_open(store, good[i], NULL, &t));
    cr_expect(holds(t, NULL, "name", good[i]));
    ok(nacre_table_close(t));
  }
  fails(nacre_table_rename(store, "x", ""), NC_E_TABLE_NAME);
  fails(nacre_table_rename(store, "x", "uuid:y"), NC_E_TABLE_NAME);
  name[255] = 'n';
  fails(nacre_table_rename(store, "x", name), NC_E_TABLE_NAME);
  ok(nacre_close(store));
}

Test(tables, table_options_are_checked) {
  nacre_store *store = site_open(&s);
  static const nacre_table_options bad[] = {{.reserved = {1}},          {.key_count = 1},
                                            {.key_count = 17},          {.compression = (nacre_compression)4},
                                            {.segment_bytes = 16383},   {.segment_bytes = (1 << 30) + 1},
                                            {.level_ratio = 1},         {.level_ratio = 101},
                                            {.block_bytes = 1023},      {.block_bytes = 1048577},
                                            {.filter_bits_per_key = 33}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    fails(nacre_table_create(store, "t", &bad[i], NULL), i == 0 ? NC_E_OPTION_RESERVED : NC_E_ARGUMENT);
  }
  static const nacre_table_options good[] = {
      {.compression = NACRE_COMPRESSION_NONE, .block_bytes = 1024},
      {.compression = NACRE_COMPRESSION_LZ4, .block_bytes = 1048576},
      {.segment_bytes = 16384, .level_ratio = 100},
      {.compression = NACRE_COMPRESSION_ZSTD, .filter_bits_per_key = 32},
      {.filter_bits_per_key = UINT32_MAX}};
  nacre_table_infos *infos;
  for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
    char name[2] = {(char)('a' + i), 0};
    nacre_table *t;
    ok(nacre_table_create(store, name, &good[i], &t));
    put_text(t, "k", "v", false);
    ok(nacre_compact(t, (nacre_slice){0}, (nacre_slice){0}));
    cr_expect(holds(t, NULL, "k", "v"));
    ok(nacre_table_close(t));
  }
  ok(nacre_table_list(store, &infos));
  cr_assert_eq(nacre_table_infos_count(infos), 5);
  for (size_t i = 0; i < 5; i++) {
    const nacre_table_info *info = nacre_table_infos_at(infos, i);
    cr_expect_eq(info->compression, good[i].compression);
    cr_expect_eq(info->block_bytes, good[i].block_bytes == 0 ? 4096 : good[i].block_bytes);
    cr_expect_eq(info->filter_bits_per_key,
                 good[i].filter_bits_per_key == 0 ? 10 : good[i].filter_bits_per_key);
    cr_expect_eq(info->segment_bytes, good[i].segment_bytes == 0 ? 64 << 20 : good[i].segment_bytes);
    cr_expect_eq(info->level_ratio, good[i].level_ratio == 0 ? 10 : good[i].level_ratio);
    cr_expect(info->key_count == 1 && strcmp(info->keys[0].uri, s.uri) == 0 && strlen(info->uuid) == 36);
    cr_expect(info->kek_version == 1 && strlen(info->kek_id) == 36 && info->created_ms > 1500000000000u);
  }
  cr_expect_null(nacre_table_infos_at(infos, 5));
  nacre_table_infos_free(infos);
  ok(nacre_close(store));
}

Test(tables, table_open_options_are_checked) {
  nacre_store *store = site_open(&s);
  nacre_table *t;
  ok(nacre_table_create(store, "t", NULL, NULL));
  static const nacre_table_open_options bad[] = {{.reserved = {1}},
                                                 {.recovery = NACRE_RECOVERY_TO_DAMAGE},
                                                 {.recovery = (nacre_recovery_mode)2, .read_only = true},
                                                 {.key_count = 1},
                                                 {.key_count = 17}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
    fails(nacre_table_open(store, "t", &bad[i], &t), i == 0 ? NC_E_OPTION_RESERVED : NC_E_ARGUMENT);
  }
  ok(nacre_close(store));
}

Test(tables, handles_of_a_table_are_counted) {
  nacre_store *store = site_open(&s);
  nacre_table *one, *two;
  nacre_table_infos *infos;
  char name[64];
  ok(nacre_table_create(store, "t", NULL, &one));
  ok(nacre_table_list(store, &infos));
  snprintf(name, sizeof name, "uuid:%s", nacre_table_infos_at(infos, 0)->uuid);
  nacre_table_infos_free(infos);
  ok(nacre_table_open(store, name, NULL, &two));
  cr_expect_eq(one, two, "the same handle, by either name");
  put_text(one, "k", "v", false);
  ok(nacre_table_close(one));
  cr_expect(holds(two, NULL, "k", "v"));
  fails(nacre_table_drop(store, "t"), NC_E_TABLE_OPEN);
  fails(nacre_close(store), NC_E_STORE_BUSY);
  ok(nacre_table_close(two));
  ok(nacre_close(store));
}

Test(tables, a_name_is_taken_once) {
  nacre_store *store = site_open(&s);
  nacre_table *t;
  ok(nacre_table_create(store, "a", NULL, &t));
  ok(nacre_table_create(store, "b", NULL, NULL));
  put_text(t, "k", "v", false);
  fails(nacre_table_create(store, "a", NULL, NULL), NC_E_TABLE_EXISTS);
  fails(nacre_table_rename(store, "a", "b"), NC_E_TABLE_EXISTS);
  fails(nacre_table_rename(store, "c", "d"), NC_E_TABLE_MISSING);
  ok(nacre_table_rename(store, "a", "c")); /* while it is open */
  ok(nacre_table_close(t));
  fails(nacre_table_open(store, "a", NULL, &t), NC_E_TABLE_MISSING);
  fails(nacre_table_drop(store, "a"), NC_E_TABLE_MISSING);
  fails(nacre_table_open(store, "uuid:00000000-0000-0000-0000-000000000000", NULL, &t), NC_E_TABLE_MISSING);
  fails(nacre_table_open(store, "uuid:nonsense", NULL, &t), NC_E_TABLE_MISSING);
  ok(nacre_close(store));
  store = site_open(&s);
  ok(nacre_table_open(store, "c", NULL, &t));
  cr_expect(holds(t, NULL, "k", "v"));
  ok(nacre_table_close(t));
  ok(nacre_table_create(store, "a", NULL, NULL));
  ok(nacre_close(store));
}

Test(tables, a_dropped_table_is_gone_with_its_directory) {
  nacre_store *store;
  nacre_table_infos *infos;
  char directory[PATH_BYTES];
  site_fill(&s);
  site_table_path(&s, "table", directory);
  cr_assert(file_is_there(directory));
  store = site_open(&s);
  ok(nacre_table_drop(store, "table"));
  cr_expect_not(file_is_there(directory));
  fails(nacre_table_drop(store, "table"), NC_E_TABLE_MISSING);
  ok(nacre_table_list(store, &infos));
  cr_expect_eq(nacre_table_infos_count(infos), 0);
  nacre_table_infos_free(infos);
  ok(nacre_close(store));
}

/* Many keys with regions far too long to be recorded. */
Test(tables, a_table_with_too_much_to_record_is_refused_and_leaves_nothing) {
  static nacre_key_spec specs[NACRE_KEY_SPECS_MAX];
  static char region[65536];
  memset(region, 'r', sizeof region - 1);
  for (size_t i = 0; i < NACRE_KEY_SPECS_MAX; i++)
    specs[i] = (nacre_key_spec){.uri = s.uri, .region = region};
  nacre_store *store = site_open(&s);
  size_t before = count_files(s.store, "");
  nacre_table_options options = {.keys = specs, .key_count = NACRE_KEY_SPECS_MAX};
  fails(nacre_table_create(store, "t", &options, NULL), NC_E_SEAL_ARGUMENT);
  cr_expect_eq(count_files(s.store, ""), before);
  ok(nacre_close(store));
}

/* No key that is accepted makes a record that large; the catalogue itself is asked. */
Test(tables, a_record_that_is_too_large_for_the_catalogue_is_refused) {
  nacre_store *store = site_open(&s);
  nacre_error err;
  nc_uuid table = {{1}};
  static char region[NC_CATALOGUE_RECORD_BYTES_MAX];
  static nc_catalogue_record record;
  record = (nc_catalogue_record){.life = NC_TABLE_LIVE, .name = text("t"), .current.spec_count = 1};
  record.current.specs[0] = (nc_key_spec_record){text(s.uri), nc_slice(region, sizeof region), text("")};
  must_fail(nc_catalogue_put(store->catalogue, &table, &record, &err), NC_E_CATALOGUE_FULL);
  ok(nacre_close(store));
}

Test(tables, a_table_may_have_a_key_of_its_own) {
  char uri[PATH_BYTES];
  snprintf(uri, sizeof uri, "local:%.400s/own-keyring", s.path);
  nacre_key_spec specs[] = {{.uri = uri}, {.uri = s.uri, .region = "here"}};
  nacre_table_options options = {.keys = specs, .key_count = 2};
  nacre_store *store = site_open(&s);
  nacre_table *t;
  ok(nacre_table_create(store, "t", &options, &t));
  put_text(t, "k", "v", false);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
  cr_assert_eq(remove(strchr(uri, ':') + 1), 0); /* either wrap serves */
  store = site_open(&s);
  ok(nacre_table_open(store, "t", NULL, &t));
  cr_expect(holds(t, NULL, "k", "v"));
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}

Test(tables, a_table_open_in_one_way_is_not_opened_in_another) {
  site_fill(&s);
  nacre_store *store = site_open(&s);
  nacre_table *one, *two;
  nacre_table_open_options reading = {.read_only = true},
                           to_damage = {.read_only = true, .recovery = NACRE_RECOVERY_TO_DAMAGE};
  ok(nacre_table_open(store, "table", &reading, &one));
  fails(nacre_table_open(store, "table", NULL, &two), NC_E_TABLE_OPEN_OTHERWISE);
  fails(nacre_table_open(store, "table", &to_damage, &two), NC_E_TABLE_OPEN_OTHERWISE);
  ok(nacre_table_open(store, "table", &reading, &two));
  ok(nacre_table_close(one));
  ok(nacre_table_close(two));
  ok(nacre_table_open(store, "table", NULL, &one));
  fails(nacre_table_open(store, "table", &reading, &two), NC_E_TABLE_OPEN_OTHERWISE);
  ok(nacre_table_close(one));
  ok(nacre_close(store));
}

/* ---- interrupted changes ------------------------------------------------------------------------------- */

/* Lets everything fail from the n-th operation on, as if the process had died there. */
typedef nacre_status change(nacre_store *store);
static nacre_status creating(nacre_store *store) { return nacre_table_create(store, "new", NULL, NULL); }
static nacre_status dropping(nacre_store *store) { return nacre_table_drop(store, "table"); }

static size_t tables_of(nacre_store *store) {
  nacre_table_infos *infos;
  ok(nacre_table_list(store, &infos));
  size_t count = nacre_table_infos_count(infos);
  nacre_table_infos_free(infos);
  return count;
}

/* Interrupts `what` at every operation; the next open finds the change done or not begun, and no directory
 * too many. */
static void interrupt(change *what) {
  nacre_table *t;
  for (uint64_t n = 1;; n++) {
    site_fill(&s);
    failing_io io;
    failing_init(&io);
    s.options.io = &io.io;
    nacre_store *store = site_open(&s);
    io.fail_at = atomic_load(&io.count) + n;
    io.fail_from = true;
    nacre_status status = what(store);
    (void)nacre_close(store); /* may well fail: the disk is gone */
    s.options.io = &s.quick;
    store = site_open(&s);
    size_t tables = tables_of(store);
    bool is_there = nacre_table_open(store, "table", NULL, &t) == NACRE_OK;
    cr_assert(is_there || what == dropping);
    cr_assert(!is_there || what == creating || status != NACRE_OK, "a drop that succeeded");
    if (is_there) {
      cr_assert(holds(t, NULL, "a", "3") && holds(t, NULL, "b", "2"), "operation %llu",
                (unsigned long long)n);
      ok(nacre_table_close(t));
    }
    if (what == creating && tables == 2) {
      ok(nacre_table_open(store, "new", NULL, &t));
      put_text(t, "k", "v", true);
      ok(nacre_table_close(t));
    }
    ok(nacre_close(store));
    cr_assert_eq(count_files(s.store, ""), 2 + tables, "operation %llu: LOCK, the catalogue and the tables",
                 (unsigned long long)n);
    test_scratch_remove(s.store);
    if (status == NACRE_OK) {
      cr_expect_gt(n, 5);
      return;
    }
  }
}
Test(tables, an_interrupted_create_is_finished_or_undone_by_the_next_open, .timeout = 60) {
  interrupt(creating);
}
Test(tables, an_interrupted_drop_is_finished_by_the_next_open, .timeout = 60) { interrupt(dropping); }

/* A single failure, with a disk that works again: a create that fails leaves neither table nor directory. */
Test(tables, a_failing_table_create_leaves_nothing) {
  for (uint64_t n = 1;; n++) {
    failing_io io;
    failing_init(&io);
    s.options.io = &io.io;
    nacre_store *store = site_open(&s);
    io.fail_at = atomic_load(&io.count) + n;
    nacre_status status = creating(store);
    if (status != NACRE_OK) {
      nacre_status again = creating(store);
      cr_assert_eq(again, NACRE_OK, "operation %llu: %s", (unsigned long long)n, nacre_status_name(again));
    }
    cr_assert_eq(tables_of(store), 1);
    ok(nacre_close(store));
    s.options.io = &s.quick;
    store = site_open(&s);
    cr_assert_eq(tables_of(store), 1);
    ok(nacre_close(store));
    cr_assert_eq(count_files(s.store, ""), 3, "operation %llu", (unsigned long long)n);
    test_scratch_remove(s.store);
    if (status == NACRE_OK) return;
  }
}

/* ---- looking in without a lock ------------------------------------------------------------------------- */

Test(tables, a_tables_keys_are_had_beside_a_writer) {
  nacre_store *store;
  nacre_seal_domain *domain;
  nacre_table *t = site_table(&s, &store, "table");
  put_text(t, "k", "v", true);
  nacre_store_options options = {.default_key.uri = s.uri, .io = &s.quick};
  ok(nacre_table_keys_open(s.store, &options, "table", &domain));
  ok(nacre_seal_domain_close(domain));
  ok(nacre_table_keys_open(s.store, &options, NULL, &domain));
  ok(nacre_seal_domain_close(domain));
  fails(nacre_table_keys_open(s.store, &options, "no such", &domain), NC_E_TABLE_MISSING);
  fails(nacre_table_keys_open(NULL, &options, "table", &domain), NC_E_ARGUMENT);
  fails(nacre_table_keys_open(s.store, &options, "table", NULL), NC_E_ARGUMENT);
  fails(nacre_table_keys_open(s.path, &options, "table", &domain), NC_E_STORE_MISSING);
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}
