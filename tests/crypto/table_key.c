/* SPDX-License-Identifier: Apache-2.0
 *
 * Table keys: two copies of a key file, and what it takes to believe one.
 */
#include "table_key.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "crc32c.h"
#include "support.h"

static nacre_error err;
static fixture f;
static nc_key_trust trust;

static void setup(void) {
  fixture_open(&f);
  fixture_keys(&f);
  must(nc_table_keys_write(f.keys, &f.dir, &err));
  trust = (nc_key_trust){.table = f.table,
                         .current = nc_kek_describe(nc_table_keys_active(f.keys)),
                         .generation_min = 1,
                         .specs = &f.spec,
                         .spec_count = 1};
}
static void teardown(void) { fixture_close(&f); }
TestSuite(table_key, .init = setup, .fini = teardown);

static void opens(void) {
  nc_table_keys *keys;
  must(nc_table_keys_open(&f.kms, &f.dir, &trust, &keys, &err));
  const nc_kek *mine = nc_table_keys_active(f.keys), *read = nc_table_keys_active(keys);
  cr_assert_eq(memcmp(nc_kek_bytes(mine), nc_kek_bytes(read), NC_KEK_BYTES), 0);
  cr_assert(nc_uuid_equal(nc_table_keys_table(keys), &f.table));
  nc_table_keys_unref(keys);
}
static void refuses(uint32_t id) {
  nc_table_keys *keys;
  uint64_t before = nc_heap_bytes(f.env->heap);
  must_fail(nc_table_keys_open(&f.kms, &f.dir, &trust, &keys, &err), id);
  cr_assert_eq(nc_heap_bytes(f.env->heap), before);
}

static void flip(const char *name, size_t offset) {
  size_t size;
  uint8_t *bytes = file_bytes(&f, name, &size);
  bytes[offset] ^= 1;
  file_replace(&f, name, bytes, size);
  free(bytes);
}

/* Changes both copies, and mends their checksums. */
static void edit(void (*change)(uint8_t *bytes, size_t size)) {
  size_t size;
  uint8_t *bytes = file_bytes(&f, NC_KEY_FILE_A, &size);
  change(bytes, size);
  nc_put_u32(bytes + size - 4, nc_crc32c(0, bytes, size - 4));
  file_replace(&f, NC_KEY_FILE_A, bytes, size);
  file_replace(&f, NC_KEY_FILE_B, bytes, size);
  free(bytes);
}

Test(table_key, comes_back) {
  opens();
  const nc_kek *kek = nc_table_keys_active(f.keys);
  cr_assert_eq(nc_table_keys_find(f.keys, &nc_kek_describe(kek)->id), kek);
  cr_assert_null(nc_table_keys_find(f.keys, &f.table));
  cr_assert_eq(nc_table_keys_generation(f.keys), 1);
}

Test(table_key, the_catalogue_learns_its_own_uuid) {
  trust.any_table = true;
  memset(&trust.table, 0, sizeof trust.table);
  trust.current = NULL;
  opens();
}

Test(table_key, either_copy_serves) {
  flip(NC_KEY_FILE_A, 100);
  opens();
  must(nc_table_keys_write(f.keys, &f.dir, &err));
  flip(NC_KEY_FILE_B, 100);
  opens();
  must(nc_dir_remove(&f.dir, NC_KEY_FILE_B, &err));
  opens();
  flip(NC_KEY_FILE_A, 100);
  refuses(NC_E_KEY_FILE_CRC);
  cr_assert_str_eq(err.file, NC_KEY_FILE_A);
  must(nc_dir_remove(&f.dir, NC_KEY_FILE_A, &err));
  refuses(NC_E_KEY_FILE_MISSING); /* [K4] */
}

Test(table_key, a_torn_copy_a_is_no_loss_at_any_length) {
  size_t size;
  uint8_t *bytes = file_bytes(&f, NC_KEY_FILE_A, &size);
  for (size_t length = 0; length < size; length += 1 + length / 16) {
    file_replace(&f, NC_KEY_FILE_A, bytes, length);
    opens();
    must_fail(nc_table_keys_check_copies(f.keys, &f.dir, &err), NC_E_KEY_COPIES_DIFFER);
    cr_assert_str_eq(err.file, NC_KEY_FILE_A);
  }
  free(bytes);
}

Test(table_key, tells_which_copy_is_not_as_it_should_be) { /* [K8] */
  must(nc_table_keys_check_copies(f.keys, &f.dir, &err));
  must(nc_dir_remove(&f.dir, NC_KEY_FILE_B, &err));
  must_fail(nc_table_keys_check_copies(f.keys, &f.dir, &err), NC_E_KEY_COPIES_DIFFER);
  cr_assert_str_eq(err.file, NC_KEY_FILE_B);
}

/* A damaged disk does not hide the other copy; and with both unreadable the disk is to blame, not the key. */
Test(table_key, an_unreadable_copy_is_told_as_such) {
  f.faults.opens = 0;
  f.faults.fail_open = 1;
  opens();
  must(nc_dir_remove(&f.dir, NC_KEY_FILE_B, &err));
  f.faults.opens = 0;
  refuses(NC_E_OS);
}

Test(table_key, a_key_file_longer_than_any_is_refused) {
  uint8_t *bytes = calloc(1, NC_KEY_FILE_BYTES_MAX + 1);
  file_replace(&f, NC_KEY_FILE_A, bytes, NC_KEY_FILE_BYTES_MAX + 1);
  opens();
  file_replace(&f, NC_KEY_FILE_B, bytes, NC_KEY_FILE_BYTES_MAX + 1);
  refuses(NC_E_FILE_LONG);
  free(bytes);
}

Test(table_key, refuses_anothers_table_generation_or_key) {
  nc_kek_pin other = *trust.current;
  trust.table.bytes[5] ^= 1;
  refuses(NC_E_KEY_FILE_TABLE); /* [K5] */
  trust.table.bytes[5] ^= 1;
  trust.generation_min = 2;
  refuses(NC_E_KEY_FILE_ROLLED_BACK); /* [T3] */
  trust.generation_min = 1;
  for (int part = 0; part < 3; part++) {
    other = *nc_kek_describe(nc_table_keys_active(f.keys));
    if (part == 0) other.id.bytes[0] ^= 1;
    if (part == 1) other.version++;
    if (part == 2) other.commitment[31] ^= 1;
    trust.current = &other;
    refuses(NC_E_KEY_FILE_PIN); /* [T2] */
  }
  trust.pending = nc_kek_describe(nc_table_keys_active(f.keys)); /* and the current one is not in the file */
  refuses(NC_E_KEY_FILE_PIN);
}

static void raise_generation(uint8_t *bytes, size_t size) {
  (void)size;
  bytes[16]++;
}
static void change_mac(uint8_t *bytes, size_t size) { bytes[size - 5] ^= 1; }

Test(table_key, an_edited_key_file_does_not_authenticate) { /* [K6] */
  edit(raise_generation);
  refuses(NC_E_KEY_FILE_MAC);
  edit(change_mac);
  refuses(NC_E_KEY_FILE_MAC);
}

/* Every bit, with the checksum mended: refused by something. */
Test(table_key, refuses_every_flipped_bit) {
  size_t size;
  uint8_t *good = file_bytes(&f, NC_KEY_FILE_A, &size), *bytes = malloc(size);
  must(nc_dir_remove(&f.dir, NC_KEY_FILE_B, &err));
  for (size_t bit = 0; bit < (size - 4) * 8; bit++) {
    nc_table_keys *keys;
    memcpy(bytes, good, size);
    bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    nc_put_u32(bytes + size - 4, nc_crc32c(0, bytes, size - 4));
    file_replace(&f, NC_KEY_FILE_A, bytes, size);
    cr_assert_neq(nc_table_keys_open(&f.kms, &f.dir, &trust, &keys, &err), NACRE_OK, "bit %zu", bit);
  }
  free(good);
  free(bytes);
}

/* --- keys and keyrings ---------------------------------------------------------------------------------- */

Test(table_key, wants_its_own_keyring) {
  char other[160], uri[200];
  snprintf(other, sizeof other, "%s.away", f.keyring);
  cr_assert_eq(rename(f.keyring, other), 0);
  refuses(NC_E_KEYRING_MISSING);
  nc_table_keys *foreign;
  must(nc_table_keys_create(&f.kms, &f.table, &f.spec, 1, true, &foreign,
                            &err)); /* makes a new keyring in its place */
  nc_table_keys_unref(foreign);
  refuses(NC_E_KEYRING_NO_KEY);
  snprintf(uri, sizeof uri, "local:%s", other);
  nacre_key_spec moved = {.uri = uri};
  trust.specs = &moved;
  nc_table_keys *keys; /* the keyring has moved, and the caller says where to */
  must(nc_table_keys_open(&f.kms, &f.dir, &trust, &keys, &err));
  nc_table_keys_unref(keys);
  moved.uri = "elsewhere:key"; /* a wrap is never shown to another provider */
  refuses(NC_E_KEY_NO_WRAP);
}

Test(table_key, asks_nobody_whom_the_caller_does_not_name) { /* [K7] */
  trust.spec_count = 0;
  refuses(NC_E_KEY_NO_WRAP);
}

/* A provider that keeps its secret in this table and can be told to misbehave. */
static struct {
  int wraps, unwraps;
  nacre_status status;
  bool wrong;
} fake[3];

static size_t fake_of(const nacre_kms_call *call) { return (size_t)(call->key.uri[5] - '0'); }
static nacre_status fake_wrap(void *arg, const nacre_kms_call *call, const uint8_t key[32], uint8_t *wrapped,
                              size_t capacity, size_t *ret_size, nacre_error *error) {
  (void)arg, (void)error;
  size_t n = fake_of(call);
  fake[n].wraps++;
  cr_assert_geq(capacity, 32);
  for (size_t i = 0; i < 32; i++) wrapped[i] = key[i] ^ 0x55;
  *ret_size = 32;
  return NACRE_OK;
}
static nacre_status fake_unwrap(void *arg, const nacre_kms_call *call, nacre_slice wrapped,
                                uint8_t ret_key[32], nacre_error *error) {
  (void)arg;
  size_t n = fake_of(call);
  fake[n].unwraps++;
  if (fake[n].status != NACRE_OK) return nacre_kms_fail(error, fake[n].status, call->key.uri);
  for (size_t i = 0; i < 32; i++) ret_key[i] = ((const uint8_t *)wrapped.data)[i] ^ 0x55;
  if (fake[n].wrong) ret_key[3] ^= 1;
  return NACRE_OK;
}
static const nacre_kms_provider fake_provider = {.scheme = "fake", .wrap = fake_wrap, .unwrap = fake_unwrap};
static const nacre_kms_provider *const providers[] = {&fake_provider};
static const nacre_key_spec regions[] = {
    {"fake:0", "north", NULL}, {"fake:1", "south", NULL}, {"fake:2", "west", "me"}};

static void use_regions(void) {
  nc_table_keys_unref(f.keys);
  memset(fake, 0, sizeof fake);
  f.kms.providers = providers;
  f.kms.provider_count = 1;
  must(nc_table_keys_create(&f.kms, &f.table, regions, 3, false, &f.keys, &err));
  must(nc_table_keys_write(f.keys, &f.dir, &err));
  memset(fake, 0, sizeof fake);
  trust.current = nc_kek_describe(nc_table_keys_active(f.keys));
  trust.specs = regions;
  trust.spec_count = 3;
}

Test(table_key, asks_its_own_region_first_and_only_as_often_as_needed) {
  use_regions();
  trust.region = "south";
  opens();
  cr_assert(fake[0].unwraps == 0 && fake[1].unwraps == 1 && fake[2].unwraps == 0);
  fake[1].status = NACRE_KEY_DENIED;
  opens();
  cr_assert(fake[0].unwraps == 1 && fake[1].unwraps == 2 && fake[2].unwraps == 0);
  nc_error_clear(&err);
  opens();
  cr_assert_eq(err.id, 0, "a tolerated failure is not the last error");
}

Test(table_key, a_denial_counts_before_an_outage_and_both_before_absence) {
  use_regions();
  fake[0].status = NACRE_KEY_MISSING;
  fake[1].status = NACRE_KEY_UNREACHABLE;
  fake[2].status = NACRE_KEY_DENIED;
  refuses(NC_E_KMS_DENIED);
  fake[2].status = NACRE_KEY_MISSING;
  refuses(NC_E_KMS_PROVIDER);
  fake[1].status = NACRE_KEY_MISSING;
  refuses(NC_E_KMS_KEY_MISSING);
  fake[2].status = NACRE_OK;
  opens();
}

Test(table_key, a_wrong_key_from_the_kms_is_missing_never_corruption) {
  use_regions();
  for (int i = 0; i < 3; i++) fake[i].wrong = true;
  refuses(NC_E_KEK_COMMITMENT);
  fake[2].wrong = false;
  opens();
}

Test(table_key, a_kms_that_does_not_give_back_what_it_took_is_found_out_at_creation) {
  nc_table_keys *keys;
  use_regions();
  fake[1].wrong = true;
  must_fail(nc_table_keys_create(&f.kms, &f.table, regions, 3, false, &keys, &err), NC_E_KMS_ROUND_TRIP);
  fake[1].wrong = false;
  fake[1].status = NACRE_KEY_DENIED; /* may encrypt, but not decrypt */
  must_fail(nc_table_keys_create(&f.kms, &f.table, regions, 3, false, &keys, &err), NC_E_KMS_DENIED);
  must_fail(nc_table_keys_create(&f.kms, &f.table, regions, 0, false, &keys, &err), NC_E_SEAL_ARGUMENT);
  must_fail(nc_table_keys_create(&f.kms, &f.table, regions, 17, false, &keys, &err), NC_E_SEAL_ARGUMENT);
}

Test(table_key, a_newer_generation_wins_whichever_copy_it_is) {
  size_t old_size, new_size;
  uint8_t *old_bytes = file_bytes(&f, NC_KEY_FILE_A, &old_size);
  edit(raise_generation);
  uint8_t *new_bytes = file_bytes(&f, NC_KEY_FILE_A, &new_size);
  file_replace(&f, NC_KEY_FILE_A, old_bytes, old_size);
  refuses(NC_E_KEY_FILE_MAC); /* B was chosen: its forged generation is higher */
  cr_assert_str_eq(err.file, NC_KEY_FILE_B);
  file_replace(&f, NC_KEY_FILE_A, new_bytes, new_size);
  file_replace(&f, NC_KEY_FILE_B, old_bytes, old_size);
  refuses(NC_E_KEY_FILE_MAC);
  cr_assert_str_eq(err.file, NC_KEY_FILE_A);
  free(old_bytes);
  free(new_bytes);
}

Test(table_key, the_mac_of_current_is_bound_to_key_and_table) {
  uint8_t one[32], two[32], again[32];
  nc_table_keys *other;
  nacre_slice data = {"CURRENT", 7};
  must(nc_table_keys_create(&f.kms, &f.table, &f.spec, 1, false, &other, &err));
  must(nc_table_keys_current_mac(f.keys, nc_table_keys_active(f.keys), data, one, &err));
  must(nc_table_keys_current_mac(f.keys, nc_table_keys_active(f.keys), data, again, &err));
  must(nc_table_keys_current_mac(other, nc_table_keys_active(other), data, two, &err));
  cr_assert_eq(memcmp(one, again, 32), 0);
  cr_assert_neq(memcmp(one, two, 32), 0);
  nc_table_keys_unref(nc_table_keys_ref(other));
  nc_table_keys_unref(other);
}
