/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of table keys, as an application sees them: set_key, rotate, waiting, status, retirement.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <unistd.h>

#include "fixture.h"
#include "store.h"

static site s;
static nacre_store *store;
static nacre_table *t;
static char second_path[PATH_BYTES], second_uri[PATH_BYTES + 8];

static void setup(void) {
  site_make(&s);
  join(second_path, s.path, "second");
  snprintf(second_uri, sizeof second_uri, "local:%s", second_path);
  t = site_table(&s, &store, "table");
  put_text(t, "a", "1", true);
  ok(nacre_flush(t));
  put_text(t, "b", "2", true);
  ok(nacre_flush(t));
  put_text(t, "c", "3", true);
}

static void close_all(void) {
  if (t != NULL) ok(nacre_table_close(t));
  if (store != NULL) ok(nacre_close(store));
  t = NULL;
  store = NULL;
}

static void teardown(void) {
  close_all();
  site_remove(&s);
}
TestSuite(keys, .init = setup, .fini = teardown);

static void reopen(void) {
  close_all();
  t = site_table(&s, &store, "table");
}

static void check_content(void) {
  cr_assert(holds(t, NULL, "a", "1"));
  cr_assert(holds(t, NULL, "b", "2"));
  cr_assert(holds(t, NULL, "c", "3"));
  nacre_verify_report report;
  ok(nacre_verify(t, NULL, &report));
  cr_assert_eq(report.fault_count, 0);
}

/* The only version that is left, once all is rewrapped. */
static uint32_t only_version(void) {
  nacre_key_status status;
  ok(nacre_table_key_status(t, &status));
  cr_assert_eq(nacre_key_versions_count(status.versions), 1);
  const nacre_key_version *version = nacre_key_versions_at(status.versions, 0);
  cr_assert(version->active && version->files == status.files && status.files > 0);
  cr_assert(!status.changing && !status.rewrapping && status.files_left == 0);
  uint32_t number = version->version;
  nacre_key_versions_free(status.versions);
  nacre_kms_keys_free(status.kms_keys);
  return number;
}

Test(keys, rotates_while_the_table_is_in_use) {
  cr_assert_eq(only_version(), 1);
  ok(nacre_table_rotate(t));
  put_text(t, "d", "4", true);
  nacre_rewrap_report report;
  ok(nacre_table_rewrap_wait(t, &report));
  cr_assert_eq(report.versions_retired, 1);
  cr_assert_geq(report.rewrapped, 3);
  cr_assert_eq(nacre_retirements_count(report.retirements), 1);
  cr_assert_eq(nacre_retirements_at(report.retirements, 0)->version, 1);
  cr_assert_null(nacre_retirements_at(report.retirements, 0)->uri);
  nacre_retirements_free(report.retirements);
  cr_assert_eq(only_version(), 2);
  check_content();
  reopen();
  check_content();
  cr_assert(holds(t, NULL, "d", "4"));
  for (uint32_t version = 3; version < 8; version++) {
    ok(nacre_table_rotate(t));
    ok(nacre_table_rewrap_wait(t, NULL));
    cr_assert_eq(only_version(), version);
  }
  check_content();
}

Test(keys, moves_to_another_keyring_and_the_first_may_go) {
  nacre_key_spec spec = {.uri = second_uri};
  ok(nacre_table_set_key(t, &spec, 1));
  nacre_rewrap_report report;
  ok(nacre_table_rewrap_wait(t, &report));
  cr_assert_eq(nacre_retirements_count(report.retirements), 2);
  cr_assert_str_eq(nacre_retirements_at(report.retirements, 1)->uri, s.uri);
  nacre_retirements_free(report.retirements);
  ok(nacre_store_set_key(store, spec));
  close_all();
  ok(unlink(s.uri + strlen("local:")) == 0 ? NACRE_OK : NACRE_IO);
  s.options.default_key = spec;
  t = site_table(&s, &store, "table");
  check_content();
}
