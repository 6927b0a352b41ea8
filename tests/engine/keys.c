/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of table keys, as an application sees them: set_key, rotate, waiting, status, retirement, events.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "key_site.h"
#include "store.h"

static key_site k;

static void setup(void) { key_site_make(&k); }
static void teardown(void) { key_site_remove(&k); }
TestSuite(keys, .init = setup, .fini = teardown);

/* ---- what a change does -------------------------------------------------------------------------------- */

Test(keys, rotates_while_the_table_is_in_use) {
  cr_assert_eq(key_site_only_version(&k), 1);
  ok(nacre_table_rotate(k.t));
  put_text(k.t, "d", "4", true);
  nacre_rewrap_report report;
  ok(nacre_table_rewrap_wait(k.t, &report));
  cr_assert_eq(report.versions_retired, 1);
  cr_assert_geq(report.rewrapped, 3);
  cr_assert_eq(report.header_bytes, 8192 * report.rewrapped);
  cr_assert(report.copied == 0 && report.healed == 0 && report.copied_bytes == 0);
  cr_assert_eq(nacre_retirements_count(report.retirements), 1);
  cr_assert_eq(nacre_retirements_at(report.retirements, 0)->version, 1);
  cr_assert_null(nacre_retirements_at(report.retirements, 0)->uri);
  cr_assert_null(nacre_retirements_at(report.retirements, 1));
  nacre_retirements_free(report.retirements);
  cr_assert_eq(key_site_only_version(&k), 2);
  key_site_check(&k);
  key_site_reopen(&k);
  key_site_check(&k);
  cr_assert(holds(k.t, NULL, "d", "4"));
  for (uint32_t version = 3; version < 8; version++) {
    ok(nacre_table_rotate(k.t));
    ok(nacre_table_rewrap_wait(k.t, NULL));
    cr_assert_eq(key_site_only_version(&k), version);
  }
  key_site_check(&k);
}

Test(keys, a_change_touches_no_data) {
  char path[PATH_BYTES];
  size_t size, now;
  first_file(k.table_path, ".seg", path);
  uint8_t *before = file_load(path, &size);
  key_site_set(&k, 1, 1);
  uint8_t *after = file_load(path, &now);
  cr_assert_eq(size, now);
  cr_assert_eq(memcmp(before + 8192, after + 8192, size - 8192), 0, "every byte of data is the same");
  cr_assert_eq(memcmp(before, after, 96), 0);
  cr_assert_neq(memcmp(before, after, 8192), 0);
  free(before);
  free(after);
}

Test(keys, moves_to_another_key_and_the_first_may_go) {
  key_site_set(&k, 1, 1);
  nacre_rewrap_report report;
  ok(nacre_table_rewrap_wait(k.t, &report));
  cr_assert_eq(nacre_retirements_count(report.retirements), 2);
  cr_assert_str_eq(nacre_retirements_at(report.retirements, 1)->uri, "fake:0");
  cr_assert_eq(nacre_retirements_at(report.retirements, 1)->version, 1);
  nacre_retirements_free(report.retirements);
  ok(nacre_store_set_key(k.store, fake_spec(1)));
  key_site_close(&k);
  k.kms.keys[0].unwrap_status = k.kms.keys[0].wrap_status = NACRE_KEY_MISSING;
  k.s.options.default_key = fake_spec(1);
  fake_forget(&k.kms);
  key_site_reopen(&k);
  key_site_check(&k);
  cr_assert_eq(atomic_load(&k.kms.keys[0].unwraps), 0, "nobody asks for it any more");
}

/* Regions: each of several keys opens the table alone. */
Test(keys, several_keys_any_of_which_opens) {
  key_site_set(&k, 1, 3);
  for (unsigned alive = 1; alive <= 3; alive++) {
    key_site_close(&k);
    for (unsigned i = 1; i <= 3; i++)
      k.kms.keys[i].unwrap_status = i == alive   ? NACRE_OK
                                    : i % 2 == 0 ? NACRE_KEY_UNREACHABLE
                                                 : NACRE_KEY_DENIED;
    key_site_reopen(&k);
    key_site_check(&k);
  }
  key_site_close(&k);
  k.kms.keys[3].unwrap_status = NACRE_KEY_MISSING;
  k.store = site_open(&k.s);
  fails(nacre_table_open(k.store, "table", NULL, &k.t), NC_E_KMS_DENIED);
  k.kms.keys[1].unwrap_status = NACRE_OK; /* one revoked region is left behind by the next change */
  ok(nacre_table_open(k.store, "table", NULL, &k.t));
  fails(nacre_table_rotate(k.t), NC_E_KMS_PROVIDER);
  key_site_set(&k, 1, 1);
  key_site_only_version(&k);
  cr_assert_not_null(key_site_find(&k, NACRE_EVENT_KEY_RETIRED, "fake:2"));
  cr_assert_not_null(key_site_find(&k, NACRE_EVENT_KEY_RETIRED, "fake:3"));
  cr_assert_null(key_site_find(&k, NACRE_EVENT_KEY_RETIRED, "fake:1"));
  key_site_check(&k);
}

Test(keys, the_wanted_region_is_asked_first) {
  nacre_key_spec specs[] = {fake_spec(1), fake_spec(2), fake_spec(3)};
  specs[0].region = "north";
  specs[1].region = "south";
  specs[2].principal = "somebody";
  ok(nacre_table_set_key(k.t, specs, 3));
  key_site_close(&k);
  k.s.options.region = "south";
  fake_forget(&k.kms);
  key_site_reopen(&k);
  cr_assert_eq(atomic_load(&k.kms.keys[2].unwraps), 1);
  cr_assert_eq(fake_calls(&k.kms), 2, "that one, and the catalogue's own");
}

/* ---- what cannot be used ------------------------------------------------------------------------------- */

static void changes_nothing(nacre_status status, uint32_t id, uint64_t digest) {
  api_id(status, id, "a change", __FILE__, __LINE__);
  cr_assert_eq(tree_digest(k.s.store, NULL), digest, "not a byte of the store is another");
}

Test(keys, a_key_that_cannot_be_used_changes_nothing) {
  static const struct {
    nacre_status status;
    uint32_t id;
  } cases[] = {{NACRE_KEY_DENIED, NC_E_KMS_DENIED},
               {NACRE_KEY_UNREACHABLE, NC_E_KMS_PROVIDER},
               {NACRE_KEY_MISSING, NC_E_KMS_KEY_MISSING}};
  uint64_t digest = tree_digest(k.s.store, NULL);
  fake_key *last = &k.kms.keys[3];
  for (size_t i = 0; i < 3; i++) {
    last->wrap_status = cases[i].status;
    changes_nothing(key_site_try(&k, 1, 3), cases[i].id, digest);
    last->wrap_status = NACRE_OK;
    last->unwrap_status = cases[i].status; /* may wrap, and not unwrap */
    changes_nothing(key_site_try(&k, 1, 3), cases[i].id, digest);
    changes_nothing(nacre_store_set_key(k.store, fake_spec(3)), cases[i].id, digest);
    last->unwrap_status = NACRE_OK;
  }
  last->lies = true;
  changes_nothing(key_site_try(&k, 1, 3), NC_E_KMS_ROUND_TRIP, digest);
  last->lies = false;
  nacre_key_spec stranger = {.uri = "unheard-of:key"}, malformed = {.uri = "no scheme"};
  changes_nothing(nacre_table_set_key(k.t, &stranger, 1), NC_E_KMS_SCHEME, digest);
  changes_nothing(nacre_table_set_key(k.t, &malformed, 1), NC_E_KMS_URI, digest);
  k.kms.keys[0].wrap_status = NACRE_KEY_DENIED;
  changes_nothing(nacre_table_rotate(k.t), NC_E_KMS_DENIED, digest);
  changes_nothing(nacre_store_rotate(k.store), NC_E_KMS_DENIED, digest);
  cr_assert_eq(key_site_only_version(&k), 1);
  cr_assert_eq(k.event_count, 0);
  key_site_check(&k);
}

Test(keys, arguments) {
  nacre_key_spec specs[NACRE_KEY_SPECS_MAX + 1], empty = {.uri = ""}, none = {0};
  nacre_key_status status;
  for (unsigned i = 0; i <= NACRE_KEY_SPECS_MAX; i++) specs[i] = fake_spec(i % FAKE_KEYS);
  char long_uri[NACRE_KEY_URI_BYTES_MAX + 2];
  memset(long_uri, 'x', sizeof long_uri - 1);
  memcpy(long_uri, "fake:", 5);
  long_uri[sizeof long_uri - 1] = '\0';
  nacre_key_spec too_long = {.uri = long_uri};
  uint64_t digest = tree_digest(k.s.store, NULL);
  changes_nothing(nacre_table_set_key(NULL, specs, 1), NC_E_ARGUMENT, digest);
  changes_nothing(nacre_table_set_key(k.t, NULL, 1), NC_E_ARGUMENT, digest);
  changes_nothing(nacre_table_set_key(k.t, specs, 0), NC_E_ARGUMENT, digest);
  changes_nothing(nacre_table_set_key(k.t, specs, NACRE_KEY_SPECS_MAX + 1), NC_E_ARGUMENT, digest);
  changes_nothing(nacre_table_set_key(k.t, &empty, 1), NC_E_ARGUMENT, digest);
  changes_nothing(nacre_table_set_key(k.t, &none, 1), NC_E_ARGUMENT, digest);
  changes_nothing(nacre_table_set_key(k.t, &too_long, 1), NC_E_ARGUMENT, digest);
  changes_nothing(nacre_table_rotate(NULL), NC_E_ARGUMENT, digest);
  changes_nothing(nacre_table_rewrap_wait(NULL, NULL), NC_E_ARGUMENT, digest);
  changes_nothing(nacre_table_key_status(NULL, &status), NC_E_ARGUMENT, digest);
  changes_nothing(nacre_table_key_status(k.t, NULL), NC_E_ARGUMENT, digest);
  changes_nothing(nacre_store_key_status(NULL, &status), NC_E_ARGUMENT, digest);
  changes_nothing(nacre_store_set_key(NULL, specs[0]), NC_E_ARGUMENT, digest);
  changes_nothing(nacre_store_set_key(k.store, none), NC_E_ARGUMENT, digest);
  changes_nothing(nacre_store_rotate(NULL), NC_E_ARGUMENT, digest);
  key_site_set(&k, 0, NACRE_KEY_SPECS_MAX); /* as many as there may be */
  nacre_key_versions_free(NULL);
  nacre_kms_keys_free(NULL);
  nacre_retirements_free(NULL);
  cr_assert(nacre_key_versions_count(NULL) == 0 && nacre_key_versions_at(NULL, 0) == NULL);
  cr_assert(nacre_kms_keys_count(NULL) == 0 && nacre_kms_keys_at(NULL, 0) == NULL);
  cr_assert(nacre_retirements_count(NULL) == 0 && nacre_retirements_at(NULL, 0) == NULL);
}

Test(keys, a_reader_may_look_and_not_change) {
  key_site_close(&k);
  k.s.options.create = false;
  k.s.options.read_only = true;
  key_site_reopen(&k);
  uint64_t digest = tree_digest(k.s.store, NULL);
  changes_nothing(key_site_try(&k, 1, 1), NC_E_READ_ONLY, digest);
  changes_nothing(nacre_table_rotate(k.t), NC_E_READ_ONLY, digest);
  changes_nothing(nacre_table_rewrap_wait(k.t, NULL), NC_E_READ_ONLY, digest);
  changes_nothing(nacre_store_set_key(k.store, fake_spec(1)), NC_E_READ_ONLY, digest);
  changes_nothing(nacre_store_rotate(k.store), NC_E_READ_ONLY, digest);
  cr_assert_eq(key_site_only_version(&k), 1);
  key_site_close(&k);
  k.s.options.read_only = false;
  k.store = site_open(&k.s);
  nacre_table_open_options options = {.read_only = true}; /* a table alone */
  ok(nacre_table_open(k.store, "table", &options, &k.t));
  changes_nothing(nacre_table_rotate(k.t), NC_E_READ_ONLY, digest);
}

/* ---- status -------------------------------------------------------------------------------------------- */

/* A named file that cannot be read keeps the older version alive: the state in between stands still. */
static void break_one(char path[PATH_BYTES]) {
  first_file(k.table_path, ".seg", path);
  file_flip(path, 140);
  file_flip(path, 4096 + 140);
}
static void mend(const char *path) {
  file_flip(path, 140);
  file_flip(path, 4096 + 140);
}

Test(keys, status_counts_files_on_disk_and_asks_every_key) {
  char path[PATH_BYTES];
  nacre_key_status status;
  nacre_key_spec specs[] = {fake_spec(1), fake_spec(2)};
  specs[0].region = "north";
  specs[0].principal = "me";
  break_one(path);
  ok(nacre_table_set_key(k.t, specs, 2));
  mend(path);
  k.kms.keys[2].unwrap_status = NACRE_KEY_DENIED;
  fake_forget(&k.kms);
  uint64_t digest = tree_digest(k.s.store, NULL), before_ms = nacre_io_posix()->wall_ms(NULL);
  ok(nacre_table_key_status(k.t, &status));
  cr_assert_eq(tree_digest(k.s.store, NULL), digest);
  cr_assert_eq(fake_calls(&k.kms), 3, "each once");
  cr_assert(strstr(k.table_path, status.table_uuid) != NULL);
  cr_assert(status.rewrapping && !status.changing);
  cr_assert(status.files_left == 1 && status.files == sealed_files(k.table_path) && status.files >= 4);
  cr_assert_eq(nacre_key_versions_count(status.versions), 2);
  for (size_t i = 0; i < 2; i++) {
    const nacre_key_version *v = nacre_key_versions_at(status.versions, i);
    cr_assert(v->version == i + 1 && v->active == (i == 1) && strlen(v->commitment) == 64);
    cr_assert(v->created_ms > 0 && v->created_ms <= before_ms);
    cr_assert_eq(v->files, files_under(k.table_path, v->kek_id));
  }
  cr_assert_eq(nacre_key_versions_at(status.versions, 0)->files, 1);
  cr_assert_null(nacre_key_versions_at(status.versions, 2));
  static const struct {
    const char *uri, *region;
    bool current;
    uint32_t versions;
    nacre_status status;
  } wanted[] = {{"fake:0", NULL, false, 1, NACRE_OK},
                {"fake:1", "north", true, 2, NACRE_OK},
                {"fake:2", NULL, true, 2, NACRE_KEY_DENIED}};
  cr_assert_eq(nacre_kms_keys_count(status.kms_keys), 3);
  for (size_t i = 0; i < 3; i++) {
    const nacre_kms_key *key = nacre_kms_keys_at(status.kms_keys, i);
    cr_assert_str_eq(key->uri, wanted[i].uri);
    cr_assert(key->current == wanted[i].current && key->versions == wanted[i].versions, "%s", key->uri);
    cr_assert(key->status == wanted[i].status && (key->reason[0] == '\0') == (key->status == NACRE_OK));
    cr_assert((key->region == NULL) == (wanted[i].region == NULL));
    cr_assert(key->checked_ms >= before_ms || (key->checked_ms == 0 && i == 0));
  }
  cr_assert_str_eq(nacre_kms_keys_at(status.kms_keys, 1)->principal, "me");
  cr_assert(strstr(nacre_kms_keys_at(status.kms_keys, 2)->reason, "fake:2") != NULL);
  cr_assert_null(nacre_kms_keys_at(status.kms_keys, 3));
  key_status_free(&status);
  k.kms.keys[2].unwrap_status = NACRE_OK;
  ok(nacre_table_rewrap_wait(k.t, NULL));
  cr_assert_eq(key_site_only_version(&k), 2);
  ok(nacre_table_key_status(k.t, &status));
  cr_assert_eq(nacre_kms_keys_count(status.kms_keys), 2, "the first key is not needed any more");
  key_status_free(&status);
}

Test(keys, status_of_the_catalogue) {
  nacre_key_status status;
  ok(nacre_store_key_status(k.store, &status));
  cr_assert(nacre_key_versions_count(status.versions) == 1 && nacre_kms_keys_count(status.kms_keys) == 1);
  cr_assert_eq(status.files, sealed_files(k.catalogue_path));
  cr_assert_eq(status.generation, 1);
  cr_assert_str_eq(nacre_kms_keys_at(status.kms_keys, 0)->uri, "fake:0");
  key_status_free(&status);
}

/* ---- events and the report ----------------------------------------------------------------------------- */

Test(keys, what_a_change_tells) {
  key_site_set(&k, 1, 2);
  const kept_event *changed = key_site_find(&k, NACRE_EVENT_KEY_CHANGED, NULL);
  const kept_event *retired = key_site_find(&k, NACRE_EVENT_KEY_RETIRED, NULL);
  const kept_event *uri = key_site_find(&k, NACRE_EVENT_KEY_RETIRED, "fake:0");
  const kept_event *done = key_site_find(&k, NACRE_EVENT_REWRAPPED, NULL);
  cr_assert(changed != NULL && retired != NULL && uri != NULL && done != NULL);
  cr_assert(changed < retired && retired < uri && uri < done, "in the order in which it happens");
  cr_assert(changed->kek_version == 2 && retired->kek_version == 1 && done->kek_version == 2);
  cr_assert(done->files == done->files_done && done->files == sealed_files(k.table_path));
  cr_assert_str_eq(changed->table, "table");
  cr_assert_str_eq(uri->table, "table");
  cr_assert_eq(key_site_count(&k, NACRE_EVENT_KEY_RETIRED), 2);
  cr_assert_eq(key_site_count(&k, NACRE_EVENT_KEY_ABANDONED), 0);
  cr_assert_eq(key_site_count(&k, NACRE_EVENT_BACKGROUND_ERROR), 0);
  key_site_forget(&k);
  ok(nacre_store_rotate(k.store));
  changed = key_site_find(&k, NACRE_EVENT_KEY_CHANGED, NULL);
  cr_assert(changed != NULL && changed->kek_version == 2);
  cr_assert_str_eq(changed->table, "", "the catalogue has no name");
}

Test(keys, a_change_during_a_change) {
  char path[PATH_BYTES];
  nacre_rewrap_report report;
  break_one(path);
  key_site_set(&k, 1, 1);
  ok(nacre_table_rotate(k.t));
  key_site_set(&k, 2, 2);
  fails(nacre_table_rewrap_wait(k.t, &report), NC_E_HEADER_CRC);
  cr_assert(report.versions_retired == 0 && report.retirements == NULL, "nothing is let go of");
  nacre_key_status status;
  ok(nacre_table_key_status(k.t, &status));
  cr_assert_eq(nacre_key_versions_count(status.versions), 4);
  key_status_free(&status);
  mend(path);
  ok(nacre_table_rewrap_wait(k.t, &report));
  cr_assert_eq(key_site_only_version(&k), 4);
  cr_assert_eq(report.versions_retired, 3);
  cr_assert_eq(nacre_retirements_count(report.retirements), 5);
  for (uint32_t i = 0; i < 3; i++) {
    cr_assert_eq(nacre_retirements_at(report.retirements, i)->version, i + 1);
    cr_assert_null(nacre_retirements_at(report.retirements, i)->uri);
    cr_assert_eq(strlen(nacre_retirements_at(report.retirements, i)->kek_id), 36);
  }
  cr_assert_str_eq(nacre_retirements_at(report.retirements, 3)->uri, "fake:0");
  cr_assert_str_eq(nacre_retirements_at(report.retirements, 4)->uri, "fake:1");
  nacre_retirements_free(report.retirements);
  key_site_check(&k);
}

Test(keys, as_many_changes_as_may_wait) {
  char path[PATH_BYTES];
  break_one(path);
  for (uint32_t version = 2; version <= NC_KEY_VERSIONS_MAX; version++) ok(nacre_table_rotate(k.t));
  uint64_t digest = tree_digest(k.s.store, NULL);
  api_id(nacre_table_rotate(k.t), NC_E_KEY_FILE_FULL, "rotate", __FILE__, __LINE__);
  cr_assert_eq(tree_digest(k.s.store, NULL), digest);
  put_text(k.t, "d", "4", true); /* nobody else is in its way */
  mend(path);
  ok(nacre_table_rewrap_wait(k.t, NULL));
  cr_assert_eq(key_site_only_version(&k), NC_KEY_VERSIONS_MAX);
  ok(nacre_table_rotate(k.t));
  key_site_check(&k);
}

/* ---- the catalogue's own key --------------------------------------------------------------------------- */

static void opens_only_with(unsigned yes, unsigned no, uint32_t id) {
  key_site_close(&k);
  k.s.options.default_key = fake_spec(no);
  fails(nacre_open(k.s.store, &k.s.options, &k.store), id);
  k.s.options.default_key = fake_spec(yes);
  key_site_reopen(&k);
  key_site_check(&k);
}

Test(keys, the_stores_key_is_changed) {
  ok(nacre_store_set_key(k.store, fake_spec(1)));
  cr_assert_not_null(key_site_find(&k, NACRE_EVENT_KEY_RETIRED, "fake:0"));
  cr_assert_eq(key_site_only_version(&k), 1, "tables keep theirs");
  nacre_table *other;
  ok(nacre_table_create(k.store, "other", NULL, &other)); /* under the store's key of now */
  nacre_key_status status;
  ok(nacre_table_key_status(other, &status));
  cr_assert_str_eq(nacre_kms_keys_at(status.kms_keys, 0)->uri, "fake:1");
  key_status_free(&status);
  ok(nacre_table_close(other));
  opens_only_with(1, 0, NC_E_KMS_KEY_MISSING);
  ok(nacre_store_rotate(k.store));
  ok(nacre_store_rotate(k.store));
  ok(nacre_store_key_status(k.store, &status));
  cr_assert(nacre_key_versions_count(status.versions) == 1 && !status.rewrapping);
  cr_assert_eq(nacre_key_versions_at(status.versions, 0)->version, 4);
  cr_assert_eq(files_under(k.catalogue_path, nacre_key_versions_at(status.versions, 0)->kek_id),
               status.files);
  key_status_free(&status);
  opens_only_with(1, 0, NC_E_KMS_KEY_MISSING);
}

/* The first of the caller's keys is the default, also after a change to it that fails. */
Test(keys, a_failed_change_of_the_stores_key_leaves_the_default) {
  nacre_key_spec others[] = {fake_spec(5)};
  nacre_table *other;
  nacre_key_status status;
  key_site_close(&k);
  k.s.options.trusted_keys = others;
  k.s.options.trusted_key_count = 1;
  key_site_reopen(&k);
  k.kms.keys[0].wrap_status = NACRE_KEY_DENIED;
  fails(nacre_store_set_key(k.store, fake_spec(0)), NC_E_KMS_DENIED);
  k.kms.keys[0].wrap_status = NACRE_OK;
  ok(nacre_table_create(k.store, "other", NULL, &other));
  ok(nacre_table_key_status(other, &status));
  cr_assert_str_eq(nacre_kms_keys_at(status.kms_keys, 0)->uri, "fake:0");
  key_status_free(&status);
  ok(nacre_table_close(other));
}

static void commitment_of(char out[65]) {
  nacre_key_status status;
  ok(nacre_store_key_status(k.store, &status));
  const nacre_key_version *v = nacre_key_versions_at(status.versions, 0);
  memcpy(out, v->commitment, 65);
  key_status_free(&status);
}

Test(keys, a_pinned_store_is_the_one_that_is_opened) { /* [T5] */
  char first[65], second[65];
  commitment_of(first);
  key_site_close(&k);
  k.s.options.pinned_commitment = first;
  key_site_reopen(&k);
  ok(nacre_store_rotate(k.store));
  commitment_of(second);
  key_site_close(&k);
  fails(nacre_open(k.s.store, &k.s.options, &k.store), NC_E_STORE_PIN);
  k.s.options.pinned_commitment = second;
  key_site_reopen(&k);
  key_site_check(&k);
  static const char *const malformed[] = {"", "ab", "zz", NULL};
  key_site_close(&k);
  for (size_t i = 0; malformed[i] != NULL; i++) {
    k.s.options.pinned_commitment = malformed[i];
    fails(nacre_open(k.s.store, &k.s.options, &k.store), NC_E_ARGUMENT);
  }
  second[63] = 'G';
  k.s.options.pinned_commitment = second;
  fails(nacre_open(k.s.store, &k.s.options, &k.store), NC_E_ARGUMENT);
  k.s.options.pinned_commitment = NULL;
}

/* While a change of the store's key waits for its end, what was pinned before it is still there. */
Test(keys, a_pin_follows_a_change_that_is_under_way) {
  char first[65], path[PATH_BYTES];
  commitment_of(first);
  put_text(k.t, "d", "4", true);
  ok(nacre_flush(k.store->catalogue));
  first_file(k.catalogue_path, ".seg", path);
  file_flip(path, 140);
  file_flip(path, 4096 + 140);
  fails(nacre_store_rotate(k.store), NC_E_HEADER_CRC);
  file_flip(path, 140);
  file_flip(path, 4096 + 140);
  key_site_close(&k);
  k.s.options.pinned_commitment = first;
  key_site_reopen(&k); /* which brings it to its end */
  key_site_check(&k);
  key_site_close(&k);
  fails(nacre_open(k.s.store, &k.s.options, &k.store), NC_E_STORE_PIN);
  k.s.options.pinned_commitment = NULL;
}
