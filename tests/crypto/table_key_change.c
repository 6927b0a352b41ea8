/* SPDX-License-Identifier: Apache-2.0
 *
 * The generations of a key file that a change of keys goes through: succession, a pending version,
 * retirement.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "../support/fake_kms.h"
#include "crc32c.h"
#include "support.h"
#include "table_key.h"

static nacre_error err;
static fixture f;
static fake_kms kms;
static nacre_key_spec specs[FAKE_KEYS];
static nc_kek_pin first; /* the first version */

static void setup(void) {
  fixture_open(&f);
  fake_kms_init(&kms);
  f.kms.providers = kms.list;
  f.kms.provider_count = 1;
  for (unsigned i = 0; i < FAKE_KEYS; i++) specs[i] = fake_spec(i);
  must(nc_table_keys_create(&f.kms, &f.table, specs, 1, false, &f.keys, &err));
  first = *nc_kek_describe(nc_table_keys_active(f.keys));
}
static void teardown(void) { fixture_close(&f); }
TestSuite(table_key_change, .init = setup, .fini = teardown);

/* ---- helpers ------------------------------------------------------------------------------------------- */

static nc_table_keys *succeed(const nc_table_keys *keys, unsigned from, size_t count) {
  nc_table_keys *next;
  nc_key_succession succession = {.specs = &specs[from], .spec_count = count};
  must(nc_table_keys_succeed(&f.kms, keys, &succession, &next, &err));
  return next;
}

static nc_table_keys *trim(const nc_table_keys *keys, bool retire, unsigned spec) {
  nc_table_keys *next;
  nacre_slice uri = nc_slice(specs[spec].uri, strlen(specs[spec].uri));
  must(nc_table_keys_trim(keys, retire, &uri, 1, &next, &err));
  return next;
}

static nc_key_trust trust_in(const nc_kek_pin *current, const nc_kek_pin *pending) {
  return (nc_key_trust){
      .table = f.table, .current = current, .pending = pending, .specs = specs, .spec_count = FAKE_KEYS};
}

static nc_table_keys *open_with(const nc_key_trust *trust) {
  nc_table_keys *keys;
  must(nc_table_keys_open(&f.kms, &f.dir, trust, &keys, &err));
  return keys;
}

static void refuses(const nc_key_trust *trust, uint32_t id) {
  nc_table_keys *keys;
  uint64_t before = nc_heap_bytes(f.env->heap);
  must_fail(nc_table_keys_open(&f.kms, &f.dir, trust, &keys, &err), id);
  cr_assert_eq(nc_heap_bytes(f.env->heap), before, "its keys are wiped and given back");
}

static const nc_kek_pin *active_pin(const nc_table_keys *keys) {
  return nc_kek_describe(nc_table_keys_active(keys));
}

static bool same_key(const nc_table_keys *a, const nc_table_keys *b, const nc_kek_pin *pin) {
  const nc_kek *x = nc_table_keys_find(a, &pin->id), *y = nc_table_keys_find(b, &pin->id);
  return x != NULL && y != NULL && memcmp(nc_kek_bytes(x), nc_kek_bytes(y), NC_KEK_BYTES) == 0;
}

static nc_key_file *file_of(const nc_table_keys *keys) {
  size_t body;
  nc_key_file *file = malloc(sizeof *file);
  must(nc_key_file_decode(nc_table_keys_image(keys), file, &body, &err));
  return file;
}

static unsigned wraps_under(const nc_table_keys *keys, uint32_t version_index, const char *uri) {
  nc_key_file *file = file_of(keys);
  unsigned count = 0;
  for (uint32_t i = 0; i < file->wrap_count; i++) {
    count += file->wraps[i].version_index == version_index &&
             nc_slice_equal(file->wraps[i].uri, nc_slice(uri, strlen(uri)));
  }
  free(file);
  return count;
}

/* ---- succession ---------------------------------------------------------------------------------------- */

Test(table_key_change, a_successor_is_active_and_the_older_ones_are_held) {
  nc_table_keys *next = succeed(f.keys, 1, 2);
  cr_assert_eq(nc_table_keys_generation(next), 2);
  cr_assert_eq(nc_table_keys_count(next), 2);
  cr_assert_eq(active_pin(next)->version, 2);
  cr_assert_eq(nc_table_keys_oldest(next), 1);
  cr_assert(same_key(f.keys, next, &first));
  cr_assert_eq(nc_table_keys_at(next, 1), nc_table_keys_active(next));
  cr_assert_neq(
      memcmp(nc_kek_bytes(nc_table_keys_at(next, 0)), nc_kek_bytes(nc_table_keys_at(next, 1)), NC_KEK_BYTES),
      0, "a new key is another");
  cr_assert(nc_uuid_equal(nc_table_keys_table(next), &f.table));
  cr_assert_null(nc_table_keys_pending(next, NULL));
  must(nc_table_keys_write(next, &f.dir, &err));
  nc_key_trust trust = trust_in(active_pin(next), NULL);
  nc_table_keys *read = open_with(&trust);
  cr_assert(same_key(read, next, &first) && same_key(read, next, active_pin(next)));
  nc_table_keys_unref(read);
  nc_table_keys_unref(next);
}

/* The old wraps stay beside the new ones: whichever keys the next one who opens it can use, they do. */
Test(table_key_change, every_version_is_wrapped_under_the_new_keys_beside_its_old_wraps) {
  nc_table_keys *next = succeed(f.keys, 1, 2);
  cr_assert_eq(wraps_under(next, 0, "fake:0"), 1);
  for (uint32_t version = 0; version < 2; version++) {
    cr_assert_eq(wraps_under(next, version, "fake:1"), 1);
    cr_assert_eq(wraps_under(next, version, "fake:2"), 1);
  }
  cr_assert_eq(wraps_under(next, 1, "fake:0"), 0);
  must(nc_table_keys_write(next, &f.dir, &err));
  nc_key_trust trust = trust_in(active_pin(next), NULL);
  trust.spec_count = 1; /* fake:0 alone does not open the new version */
  refuses(&trust, NC_E_KMS_KEY_MISSING);
  trust.specs = &specs[2];
  nc_table_keys_unref(open_with(&trust));
  nc_table_keys_unref(next);
}

Test(table_key_change, the_old_keys_may_open_the_new_version_when_they_are_asked_to) {
  nc_table_keys *next;
  nc_key_succession succession = {&specs[1], 1, &specs[0], 1, false};
  must(nc_table_keys_succeed(&f.kms, f.keys, &succession, &next, &err));
  cr_assert_eq(wraps_under(next, 1, "fake:0"), 1);
  must(nc_table_keys_write(next, &f.dir, &err));
  nc_key_trust trust = trust_in(NULL, NULL); /* the catalogue's own */
  trust.any_table = true;
  trust.spec_count = 1;
  nc_table_keys *read = open_with(&trust);
  cr_assert_eq(active_pin(read)->version, 2);
  nc_table_keys *trimmed = trim(read, true, 1);
  must(nc_table_keys_write(trimmed, &f.dir, &err));
  refuses(&trust, NC_E_KMS_KEY_MISSING); /* the old key opens nothing any more */
  nc_table_keys_unref(trimmed);
  nc_table_keys_unref(read);
  nc_table_keys_unref(next);
}

Test(table_key_change, an_old_key_that_does_not_wrap_any_more_is_left_sooner) {
  nc_table_keys *next;
  nc_key_succession succession = {&specs[1], 1, &specs[0], 1, false};
  kms.keys[0].wrap_status = NACRE_KEY_DENIED;
  must(nc_table_keys_succeed(&f.kms, f.keys, &succession, &next, &err));
  cr_assert_eq(wraps_under(next, 1, "fake:0"), 0);
  cr_assert_eq(wraps_under(next, 1, "fake:1"), 1);
  nc_table_keys_unref(next);
}

/* ---- probes -------------------------------------------------------------------------------------------- */

static void change_fails(uint32_t id) {
  nc_table_keys *next;
  nc_key_succession succession = {.specs = &specs[1], .spec_count = 2};
  uint64_t before = nc_heap_bytes(f.env->heap);
  must_fail(nc_table_keys_succeed(&f.kms, f.keys, &succession, &next, &err), id);
  cr_assert_eq(nc_heap_bytes(f.env->heap), before);
}

Test(table_key_change, every_wrap_is_probed) {  /* [W1] */
  kms.keys[2].unwrap_status = NACRE_KEY_DENIED; /* may wrap, may not unwrap */
  change_fails(NC_E_KMS_DENIED);
  kms.keys[2].unwrap_status = NACRE_KEY_UNREACHABLE;
  change_fails(NC_E_KMS_PROVIDER);
  kms.keys[2].unwrap_status = NACRE_OK;
  kms.keys[2].lies = true;
  change_fails(NC_E_KMS_ROUND_TRIP);
  kms.keys[2].lies = false;
  kms.keys[2].wrap_status = NACRE_KEY_MISSING;
  change_fails(NC_E_KMS_KEY_MISSING);
  kms.keys[2].runs_out = true; /* wraps the new version, and then the older one no more */
  kms.keys[2].wraps_left = 1;
  kms.keys[2].wrap_status = NACRE_KEY_DENIED;
  change_fails(NC_E_KMS_DENIED);
  cr_assert_eq(atomic_load(&kms.keys[2].wraps), 6);
  kms.keys[2] = (fake_key){0};
  fake_forget(&kms);
  nc_table_keys_unref(succeed(f.keys, 1, 2));
  for (unsigned i = 1; i < 3; i++) {
    cr_assert_eq(atomic_load(&kms.keys[i].wraps), 2);
    cr_assert_eq(atomic_load(&kms.keys[i].unwraps), 2);
  }
  cr_assert_eq(fake_calls(&kms), 8, "nobody else is asked");
}

Test(table_key_change, one_to_sixteen_keys) {
  nc_table_keys *next;
  nc_key_succession succession = {.specs = specs, .spec_count = 0};
  must_fail(nc_table_keys_succeed(&f.kms, f.keys, &succession, &next, &err), NC_E_SEAL_ARGUMENT);
  succession.spec_count = NACRE_KEY_SPECS_MAX + 1;
  must_fail(nc_table_keys_succeed(&f.kms, f.keys, &succession, &next, &err), NC_E_SEAL_ARGUMENT);
  next = succeed(f.keys, 0, NACRE_KEY_SPECS_MAX);
  nc_key_file *file = file_of(next);
  cr_assert_eq(file->wrap_count, 1 + 2 * NACRE_KEY_SPECS_MAX);
  free(file);
  nc_table_keys_unref(next);
}

/* One KMS key alone: which of its wraps it opens, and whether to the right key. */
Test(table_key_change, a_key_is_asked_for_the_newest_version_that_it_wraps) {
  nc_table_keys *next = succeed(f.keys, 1, 1);
  fake_forget(&kms);
  must(nc_table_keys_probe(&f.kms, next, &specs[0], &err));
  must(nc_table_keys_probe(&f.kms, next, &specs[1], &err));
  cr_assert_eq(fake_calls(&kms), 2);
  must_fail(nc_table_keys_probe(&f.kms, next, &specs[2], &err), NC_E_KEY_NO_WRAP);
  cr_assert_eq(fake_calls(&kms), 2, "a key that wraps nothing is not asked");
  kms.keys[0].lies = true;
  must_fail(nc_table_keys_probe(&f.kms, next, &specs[0], &err), NC_E_KEK_COMMITMENT);
  kms.keys[1].unwrap_status = NACRE_KEY_DENIED;
  must_fail(nc_table_keys_probe(&f.kms, next, &specs[1], &err), NC_E_KMS_DENIED);
  nc_table_keys_unref(next);
}

/* ---- limits -------------------------------------------------------------------------------------------- */

/* Versions may wait for a file that is missing: as many as there is room for. */
Test(table_key_change, at_most_64_versions) {
  nc_table_keys *keys = nc_table_keys_ref(f.keys);
  for (uint32_t version = 2; version <= NC_KEY_VERSIONS_MAX; version++) {
    nc_table_keys *next = succeed(keys, 0, 1);
    cr_assert_eq(active_pin(next)->version, version);
    nc_table_keys_unref(keys);
    keys = next;
  }
  nc_table_keys *next;
  nc_key_succession succession = {.specs = specs, .spec_count = 1};
  must_fail(nc_table_keys_succeed(&f.kms, keys, &succession, &next, &err), NC_E_KEY_FILE_FULL);
  must(nc_table_keys_write(keys, &f.dir, &err));
  nc_key_trust trust = trust_in(active_pin(keys), NULL);
  nc_table_keys *read = open_with(&trust);
  cr_assert_eq(nc_table_keys_count(read), NC_KEY_VERSIONS_MAX);
  cr_assert(same_key(read, keys, &first));
  nc_table_keys_unref(read);
  nc_table_keys *only = trim(keys, true, 0);
  cr_assert_eq(nc_table_keys_count(only), 1);
  cr_assert_eq(active_pin(only)->version, NC_KEY_VERSIONS_MAX);
  next = succeed(only, 0, 1);
  cr_assert_eq(active_pin(next)->version, NC_KEY_VERSIONS_MAX + 1, "a number does not come back");
  nc_table_keys_unref(next);
  nc_table_keys_unref(only);
  nc_table_keys_unref(keys);
}

Test(table_key_change, at_most_256_wraps) {
  nc_table_keys *keys = nc_table_keys_ref(f.keys), *next = NULL;
  nc_key_succession succession = {.specs = specs, .spec_count = NACRE_KEY_SPECS_MAX};
  nacre_status status;
  while ((status = nc_table_keys_succeed(&f.kms, keys, &succession, &next, &err)) == NACRE_OK) {
    nc_key_file *file = file_of(next);
    cr_assert_leq(file->wrap_count, NC_KEY_WRAPS_MAX);
    free(file);
    nc_table_keys_unref(keys);
    keys = next;
  }
  check_id(status, &err, NC_E_KEY_FILE_FULL, "succeed", __FILE__, __LINE__);
  cr_assert_geq(nc_table_keys_count(keys), 8, "only %u versions", nc_table_keys_count(keys));
  nc_table_keys_unref(keys);
}

/* ---- what is not needed -------------------------------------------------------------------------------- */

Test(table_key_change, retirement_drops_versions_and_wraps_and_asks_nobody) {
  nc_table_keys *two = succeed(f.keys, 1, 1), *three = succeed(two, 2, 1);
  fake_forget(&kms);
  nc_table_keys *only = trim(three, true, 2);
  cr_assert_eq(fake_calls(&kms), 0);
  cr_assert_eq(nc_table_keys_generation(only), nc_table_keys_generation(three) + 1);
  cr_assert_eq(nc_table_keys_count(only), 1);
  cr_assert_null(nc_table_keys_find(only, &first.id));
  cr_assert(same_key(only, three, active_pin(three)));
  nc_key_file *file = file_of(only);
  cr_assert(file->wrap_count == 1 && file->mac_count == 1);
  free(file);
  must(nc_table_keys_write(only, &f.dir, &err));
  nc_key_trust trust = trust_in(active_pin(three), NULL);
  trust.specs = &specs[2];
  trust.spec_count = 1;
  nc_table_keys_unref(open_with(&trust));
  trust.generation_min = nc_table_keys_generation(only); /* the file before it is older than what is known */
  must(nc_table_keys_write(three, &f.dir, &err));
  refuses(&trust, NC_E_KEY_FILE_ROLLED_BACK);
  nc_table_keys_unref(only);
  nc_table_keys_unref(three);
  nc_table_keys_unref(two);
}

Test(table_key_change, of_several_wraps_under_one_key_the_newest_stays) {
  nc_table_keys *two = succeed(f.keys, 0, 1);
  cr_assert_eq(wraps_under(two, 0, "fake:0"), 2);
  nc_table_keys *kept = trim(two, false, 0);
  cr_assert_eq(wraps_under(kept, 0, "fake:0"), 1);
  cr_assert_eq(wraps_under(kept, 1, "fake:0"), 1);
  cr_assert_eq(nc_table_keys_count(kept), 2);
  nc_table_keys *moved = trim(two, false, 9); /* wrapped under no such key: none is thrown away */
  cr_assert_eq(wraps_under(moved, 0, "fake:0"), 2);
  nc_table_keys_unref(moved);
  nc_table_keys_unref(kept);
  nc_table_keys_unref(two);
}

/* ---- a pending version --------------------------------------------------------------------------------- */

Test(table_key_change, a_pending_version_is_held_beside_the_current_one) { /* [K9] */
  nc_table_keys *next = succeed(f.keys, 1, 1);
  nc_kek_pin pending = *active_pin(next);
  must(nc_table_keys_write(next, &f.dir, &err));
  nc_key_trust trust = trust_in(&first, &pending);
  nc_table_keys *read = open_with(&trust);
  const nacre_error *why = NULL;
  cr_assert(nc_uuid_equal(&active_pin(read)->id, &first.id), "files are made under the current one");
  cr_assert(nc_uuid_equal(&nc_table_keys_pending(read, &why)->id, &pending.id));
  cr_assert_eq(why->status, NACRE_OK);
  cr_assert(same_key(read, next, &pending), "files that are made under it already open");
  nc_table_keys *dropped = trim(read, false, 0); /* abandoned */
  cr_assert_eq(nc_table_keys_count(dropped), 1);
  cr_assert_null(nc_table_keys_pending(dropped, NULL));
  cr_assert_eq(nc_table_keys_generation(dropped), 3);
  must(nc_table_keys_write(dropped, &f.dir, &err));
  nc_table_keys *again =
      open_with(&trust); /* the catalogue still calls it pending: the next one settles it */
  cr_assert_null(nc_table_keys_pending(again, NULL));
  nc_table_keys_unref(again);
  nc_table_keys *other = succeed(read, 2, 1); /* another change instead */
  cr_assert_null(nc_table_keys_find(other, &pending.id));
  cr_assert_eq(active_pin(other)->version, 2);
  cr_assert(!nc_uuid_equal(&active_pin(other)->id, &pending.id));
  nc_table_keys_unref(other);
  nc_table_keys_unref(dropped);
  nc_table_keys_unref(read);
  nc_table_keys_unref(next);
}

Test(table_key_change, a_pending_version_that_cannot_be_had_keeps_nothing_from_opening) {
  static const struct {
    nacre_status answer;
    uint32_t id;
  } cases[] = {{NACRE_KEY_DENIED, NC_E_KMS_DENIED},
               {NACRE_KEY_UNREACHABLE, NC_E_KMS_PROVIDER},
               {NACRE_KEY_MISSING, NC_E_KMS_KEY_MISSING}};
  nc_table_keys *next = succeed(f.keys, 1, 1);
  nc_kek_pin pending = *active_pin(next);
  must(nc_table_keys_write(next, &f.dir, &err));
  nc_key_trust trust = trust_in(&first, &pending);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const nacre_error *why = NULL;
    kms.keys[1].unwrap_status = cases[i].answer;
    nc_table_keys *read = open_with(&trust);
    cr_assert_not_null(nc_table_keys_pending(read, &why));
    cr_assert_eq(why->status, cases[i].answer);
    cr_assert_eq(why->id, cases[i].id);
    cr_assert_eq(nc_table_keys_count(read), 1);
    cr_assert_null(nc_table_keys_find(read, &pending.id));
    nc_table_keys *dropped = trim(read, false, 0);
    cr_assert_eq(nc_table_keys_count(dropped), 1);
    nc_table_keys_unref(dropped);
    nc_table_keys_unref(read);
  }
  trust.pending = NULL; /* the current one: it is not optional then */
  trust.current = &pending;
  refuses(&trust, NC_E_KMS_KEY_MISSING);
  nc_table_keys_unref(next);
}

Test(table_key_change, a_version_that_nobody_announced_is_refused) {
  nc_table_keys *next = succeed(f.keys, 1, 1);
  nc_kek_pin pending = *active_pin(next);
  must(nc_table_keys_write(next, &f.dir, &err));
  nc_key_trust trust = trust_in(&first, NULL);
  fake_forget(&kms);
  refuses(&trust, NC_E_KEY_FILE_PIN);
  pending.commitment[0] ^= 1;
  trust.pending = &pending;
  refuses(&trust, NC_E_KEY_FILE_PIN);
  nc_kek_pin other = first;
  other.commitment[5] ^= 1;
  trust = trust_in(&other, active_pin(next)); /* pending as announced, but the current one is not in it */
  refuses(&trust, NC_E_KEY_FILE_PIN);
  cr_assert_eq(fake_calls(&kms), 0, "and no key service hears of it");
  nc_table_keys_unref(next);
}

/* ---- what binds the versions together ------------------------------------------------------------------ */

/* Rewrites the file as someone would who holds `held` and not the other versions: their MACs are wrong or
 * gone. */
static void forge(const nc_table_keys *keys, uint32_t wrong_mac) {
  nacre_slice image = nc_table_keys_image(keys);
  uint8_t *bytes = malloc(image.size);
  memcpy(bytes, image.data, image.size);
  size_t macs = image.size - 4 - nc_table_keys_count(keys) * (16 + 32);
  bytes[macs + wrong_mac * 48 + 16] ^= 1;
  nc_put_u32(bytes + image.size - 4, nc_crc32c(0, bytes, image.size - 4));
  file_replace(&f, NC_KEY_FILE_A, bytes, image.size);
  file_replace(&f, NC_KEY_FILE_B, bytes, image.size);
  free(bytes);
}

Test(table_key_change, the_file_authenticates_under_every_version) { /* [K6] */
  nc_table_keys *two = succeed(f.keys, 0, 1), *three = succeed(two, 0, 1);
  nc_kek_pin active = *active_pin(three);
  nc_key_trust trust = trust_in(&active, NULL);
  for (uint32_t i = 0; i < 3; i++) {
    forge(three, i);
    refuses(&trust, NC_E_KEY_FILE_MAC);
  }
  must(nc_table_keys_write(three, &f.dir, &err));
  nc_table_keys_unref(open_with(&trust));
  nc_table_keys_unref(three);
  nc_table_keys_unref(two);
}

/* One MAC less than there are versions, in a file that is sound otherwise. */
Test(table_key_change, a_version_without_a_mac_is_refused) {
  nc_table_keys *two = succeed(f.keys, 0, 1);
  nc_kek_pin active = *active_pin(two);
  nc_key_file *file = file_of(two);
  uint8_t *bytes = malloc(65536);
  file->mac_count = 1;
  size_t body = nc_key_file_encode_body(file, bytes, 65536);
  size_t size = nc_key_file_encode_end(file, bytes, body, 65536);
  file_replace(&f, NC_KEY_FILE_A, bytes, size);
  nc_key_trust trust = trust_in(&active, NULL);
  refuses(&trust, NC_E_KEY_FILE_SHAPE);
  file->mac_count = 2; /* and two, of which one is another's */
  file->macs[0].kek_id = file->macs[1].kek_id;
  body = nc_key_file_encode_body(file, bytes, 65536);
  size = nc_key_file_encode_end(file, bytes, body, 65536);
  file_replace(&f, NC_KEY_FILE_A, bytes, size);
  refuses(&trust, NC_E_KEY_FILE_SHAPE);
  free(bytes);
  free(file);
  nc_table_keys_unref(two);
}

/* What a caller has written down of a store follows its key as long as the key that it names is held. */
Test(table_key_change, a_pinned_commitment_follows_a_succession) {
  nc_table_keys *two = succeed(f.keys, 1, 1);
  must(nc_table_keys_write(f.keys, &f.dir, &err));
  nc_key_trust trust = trust_in(NULL, NULL);
  trust.any_table = true;
  trust.pinned = first.commitment;
  nc_table_keys_unref(open_with(&trust));
  must(nc_table_keys_write(two, &f.dir, &err));
  nc_table_keys_unref(open_with(&trust));
  nc_kek_pin second = *active_pin(two);
  nc_table_keys *only = trim(two, true, 1);
  must(nc_table_keys_write(only, &f.dir, &err));
  fake_forget(&kms);
  refuses(&trust, NC_E_STORE_PIN);
  cr_assert_eq(fake_calls(&kms), 0);
  trust.pinned = second.commitment;
  nc_table_keys_unref(open_with(&trust));
  nc_table_keys_unref(only);
  nc_table_keys_unref(two);
}

/* A stranger's store, made under a key that the caller's KMS opens as well, with the pinned version copied
 * into it: it cannot be authenticated under that version. */
Test(table_key_change, a_pinned_version_in_a_strangers_file_does_not_help_it) {
  nc_table_keys *theirs, *two;
  must(nc_table_keys_create(&f.kms, &f.table, specs, 1, false, &theirs, &err));
  two = succeed(theirs, 0, 1);
  nc_key_file *file = file_of(two), *mine = file_of(f.keys);
  file->versions[0].id = mine->versions[0].id;
  memcpy(file->versions[0].commitment, mine->versions[0].commitment, NC_COMMITMENT_BYTES);
  for (uint32_t i = 0; i < file->wrap_count; i++) {
    if (file->wraps[i].version_index == 0) file->wraps[i].ciphertext = mine->wraps[0].ciphertext;
  }
  file->macs[0].kek_id = mine->versions[0].id;
  uint8_t *bytes = malloc(65536);
  size_t body = nc_key_file_encode_body(file, bytes, 65536);
  size_t size = nc_key_file_encode_end(file, bytes, body, 65536);
  file_replace(&f, NC_KEY_FILE_A, bytes, size);
  nc_key_trust trust = trust_in(NULL, NULL);
  trust.any_table = true;
  trust.pinned = first.commitment;
  refuses(&trust, NC_E_KEY_FILE_MAC);
  free(bytes);
  free(file);
  free(mine);
  nc_table_keys_unref(two);
  nc_table_keys_unref(theirs);
}

/* ---- who is asked -------------------------------------------------------------------------------------- */

Test(table_key_change, each_version_costs_one_call) {
  nc_table_keys *two = succeed(f.keys, 1, 3), *three = succeed(two, 4, 3);
  must(nc_table_keys_write(three, &f.dir, &err));
  nc_key_trust trust = trust_in(active_pin(three), NULL);
  fake_forget(&kms);
  nc_table_keys_unref(open_with(&trust));
  cr_assert_eq(fake_calls(&kms), 3);
  trust.specs = &specs[4]; /* who names the present keys only */
  trust.spec_count = 3;
  fake_forget(&kms);
  nc_table_keys_unref(open_with(&trust));
  cr_assert_eq(fake_calls(&kms), 3);
  nc_table_keys_unref(three);
  nc_table_keys_unref(two);
}

/* ---- wiping -------------------------------------------------------------------------------------------- */

Test(table_key_change, keys_are_wiped_with_the_last_one_who_holds_them) {
  uint64_t before = nc_heap_bytes(f.env->heap);
  nc_table_keys *two = succeed(f.keys, 1, 1), *only = trim(two, true, 1);
  cr_assert_gt(nc_heap_bytes(f.env->heap), before);
  nc_table_keys_unref(nc_table_keys_ref(two));
  cr_assert_eq(nc_table_keys_count(two), 2);
  nc_table_keys_unref(two);
  nc_table_keys_unref(only);
  cr_assert_eq(nc_heap_bytes(f.env->heap), before);
  nc_key_holder holder;
  nc_key_holder_init(&holder, succeed(f.keys, 1, 1));
  nc_table_keys *taken = nc_key_holder_take(&holder);
  nc_key_holder_replace(&holder, nc_table_keys_ref(f.keys));
  cr_assert_eq(nc_table_keys_count(taken), 2, "who took it still has it");
  nc_table_keys_unref(taken);
  nc_key_holder_deinit(&holder);
  cr_assert_eq(nc_heap_bytes(f.env->heap), before);
}
