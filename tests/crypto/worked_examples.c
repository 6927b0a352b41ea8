/* SPDX-License-Identifier: Apache-2.0
 *
 * The worked examples of the specification that need a key: derived keys, commitments, wraps, MACs and sealed frames come
 * out as the bytes that stand in format/README.md. tests/format/worked_examples.c builds the structures around them.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <sys/stat.h>

#include "../support/examples.h"
#include "aead.h"
#include "derive.h"
#include "frame.h"
#include "kms/keyring_seal.h"
#include "support.h"
#include "wrap.h"

static nacre_error err;
static fixture f;
static uint8_t kek[32], dek[32], table[16], kek_id[16], context[36];

static void ascending(uint8_t first, uint8_t *to, size_t size) {
  for (size_t i = 0; i < size; i++) to[i] = (uint8_t)(first + i);
}

static void setup(void) {
  fixture_open(&f);
  ascending(0x00, kek, sizeof kek);
  ascending(0x20, dek, sizeof dek);
  ascending(0x40, table, sizeof table);
  ascending(0x60, kek_id, sizeof kek_id);
  memcpy(context, table, sizeof table);
  memcpy(context + 16, kek_id, sizeof kek_id);
  nc_put_u32(context + 32, 1);
}
static void teardown(void) { fixture_close(&f); }
TestSuite(worked_examples, .init = setup, .fini = teardown);

static void is_example(const char *name, const void *bytes, size_t size) {
  example e = example_of(name);
  cr_assert_eq(e.size, size, "%s has %zu bytes, not %zu", name, e.size, size);
  cr_assert_eq(memcmp(e.bytes, bytes, size), 0, "%s is not what comes out", name);
}

static void derived_is(const char *name, const uint8_t *key, nc_label label, nacre_slice input) {
  uint8_t out[32];
  must(nc_derive(f.env, key, label, input, out, sizeof out, &err));
  is_example(name, out, sizeof out);
}

/* Seals under a derived one-time key and nonce, as wraps are. */
static void wrap_under(const uint8_t *key, nacre_slice salt, nacre_slice aad, const uint8_t *plaintext,
                       uint8_t wrapped[48]) {
  uint8_t derived[44];
  nc_aead *aead;
  must(nc_derive(f.env, key, NC_LABEL_WRAP, salt, derived, sizeof derived, &err));
  must(nc_aead_create(f.env, derived, true, &aead, &err));
  must(nc_aead_seal(aead, derived + 32, aad, nc_slice(plaintext, 32), wrapped, wrapped + 32, &err));
  nc_aead_destroy(aead);
}

Test(worked_examples, the_keys_of_the_table) {
  is_example("encryption context", context, sizeof context);
  derived_is("KEK commitment", kek, NC_LABEL_KEK_COMMIT, nc_slice(context, sizeof context));
  derived_is("key file MAC key", kek, NC_LABEL_KEYFILE_MAC, nc_slice(table, sizeof table));
  derived_is("CURRENT MAC key", kek, NC_LABEL_CURRENT_MAC, nc_slice(table, sizeof table));
}

Test(worked_examples, the_keyrings_wrap) {
  uint8_t root[32], salt[24], wrapped[48];
  example e = example_of("local wrap");
  ascending(0xE0, root, sizeof root);
  ascending(0xB0, salt, sizeof salt);
  wrap_under(root, nc_slice(salt, sizeof salt), nc_slice(context, sizeof context), kek, wrapped);
  cr_assert_eq(memcmp(e.bytes + e.size - sizeof wrapped, wrapped, sizeof wrapped), 0);
}

/* Everything before its commitment is what its keys are derived with; everything before its keys is authenticated. */
Test(worked_examples, the_protected_keyring) {
  enum { BEFORE_COMMITMENT = 52, BEFORE_KEYS = 84, KEY_RECORD = 56 };
  example ring = example_of("keyring"), stored = example_of("protected keyring");
  example key = example_of("K of the passphrase");
  nacre_slice before = nc_slice(stored.bytes, BEFORE_COMMITMENT);
  uint8_t commitment[32], derived[44], sealed[KEY_RECORD + 16];
  nc_aead *aead;
  must(nc_derive(f.env, key.bytes, NC_LABEL_KEYRING_COMMIT, before, commitment, sizeof commitment, &err));
  cr_assert_eq(memcmp(stored.bytes + BEFORE_COMMITMENT, commitment, sizeof commitment), 0);
  must(nc_derive(f.env, key.bytes, NC_LABEL_KEYRING, before, derived, sizeof derived, &err));
  must(nc_aead_create(f.env, derived, true, &aead, &err));
  must(nc_aead_seal(aead, derived + 32, nc_slice(stored.bytes, BEFORE_KEYS),
                    nc_slice(ring.bytes + 16, KEY_RECORD), sealed, sealed + KEY_RECORD, &err));
  nc_aead_destroy(aead);
  cr_assert_eq(memcmp(stored.bytes + BEFORE_KEYS, sealed, sizeof sealed), 0);

  static nc_keyring_work work = {.passphrase = {5, "nacre"}};
  work.size = stored.size;
  memcpy(work.bytes, stored.bytes, stored.size);
  must(nc_keyring_open(f.env, "the example", &work, false, &err));
  cr_assert(work.protected && work.ring.key_count == 1);
  cr_assert_eq(memcmp(work.ring.keys[0].key, ring.bytes + 40, NC_ROOT_KEY_BYTES), 0);
}

Test(worked_examples, the_macs) {
  uint8_t mac[32];
  example key = example_of("key file MAC key"), file = example_of("key file");
  size_t body = file.size - 4 - 48 - 1; /* before the number of MACs */
  must(nc_hmac(f.env, key.bytes, nc_slice(file.bytes, body), mac, &err));
  cr_assert_eq(memcmp(file.bytes + body + 1 + 16, mac, sizeof mac), 0);
  key = example_of("CURRENT MAC key");
  file = example_of("CURRENT");
  must(nc_hmac(f.env, key.bytes, nc_slice(file.bytes, 128), mac, &err));
  cr_assert_eq(memcmp(file.bytes + 128, mac, sizeof mac), 0);
}

/* Bytes 0 to 135 of the log's slot, its index 0. */
static void slot_aad(uint8_t aad[136]) {
  example identity = example_of("identity"), commitment = example_of("DEK commitment");
  memset(aad, 0, 136);
  memcpy(aad, identity.bytes, 64);
  memcpy(aad + 64, commitment.bytes, 32);
  nc_put_u64(aad + 96, 1);
  memcpy(aad + 112, kek_id, sizeof kek_id);
  nc_put_u32(aad + 128, 1);
}

Test(worked_examples, the_logs_wrap) {
  uint8_t salt[24], derived[44], aad[136], wrapped[48];
  example identity = example_of("identity");
  ascending(0x70, salt, sizeof salt);
  must(nc_derive(f.env, kek, NC_LABEL_WRAP, nc_slice(salt, sizeof salt), derived, sizeof derived, &err));
  is_example("WK", derived, 32);
  is_example("N", derived + 32, 12);
  slot_aad(aad);
  wrap_under(kek, nc_slice(salt, sizeof salt), nc_slice(aad, sizeof aad), dek, wrapped);
  is_example("wrapped DEK", wrapped, 32);
  is_example("wrap tag", wrapped + 32, 16);
  derived_is("DEK commitment", dek, NC_LABEL_DEK_COMMIT, nc_slice(identity.bytes, identity.size));
  derived_is("data key", dek, NC_LABEL_DATA, nc_slice(identity.bytes, identity.size));
}

static void seals_to(const char *frame_name, const char *nonce_name, const char *plaintext_name) {
  example key = example_of("data key"), frame = example_of(frame_name), nonce = example_of(nonce_name),
          plaintext = example_of(plaintext_name);
  uint8_t sealed[512];
  nc_aead *aead;
  must(nc_aead_create(f.env, key.bytes, true, &aead, &err));
  must(nc_aead_seal(aead, nonce.bytes, nc_slice(frame.bytes, NC_FRAME_AAD_BYTES),
                    nc_slice(plaintext.bytes, plaintext.size), sealed, sealed + plaintext.size, &err));
  nc_aead_destroy(aead);
  cr_assert_eq(memcmp(frame.bytes + NC_FRAME_HEADER_BYTES, sealed, plaintext.size + NC_FRAME_TAG_BYTES), 0,
               "%s is not what comes out", frame_name);
}

Test(worked_examples, the_sealed_frames) {
  seals_to("start frame", "start nonce", "start");
  seals_to("group frame", "group nonce", "group");
}

/* From the keyring to a frame's plaintext, as a reader goes. */
Test(worked_examples, the_files_open) {
  char directory[128];
  example ring = example_of("keyring"), file = example_of("key file"), frame = example_of("group frame");
  example plaintext = example_of("group"), wrapped = example_of("wrapped DEK"), tag = example_of("wrap tag");
  snprintf(directory, sizeof directory, "%s/home", f.path);
  cr_assert_eq(mkdir(directory, 0700), 0);
  file_replace(&f, "home/keyring", ring.bytes, ring.size);
  file_replace(&f, NC_KEY_FILE_A, file.bytes, file.size);
  nc_key_trust trust = {.any_table = true, .specs = &f.spec, .spec_count = 1};
  must(nc_table_keys_open(&f.kms, &f.dir, &trust, &f.keys, &err));
  const nc_kek *active = nc_table_keys_active(f.keys);
  cr_assert_eq(memcmp(nc_kek_bytes(active), kek, sizeof kek), 0);

  nc_header_slot slot = {
      .identity = {.type = NC_FILE_LOG, .number = 7, .epoch = 3}, .sequence = 1, .kek_version = 1};
  memcpy(slot.identity.origin_table.bytes, table, sizeof table);
  ascending(0x50, slot.identity.file.bytes, NC_UUID_BYTES);
  memcpy(slot.kek_id.bytes, kek_id, sizeof kek_id);
  memcpy(slot.dek_commitment, example_of("DEK commitment").bytes, NC_COMMITMENT_BYTES);
  ascending(0x70, slot.wrap_salt, NC_WRAP_SALT_BYTES);
  memcpy(slot.wrapped_dek, wrapped.bytes, NC_DEK_BYTES);
  memcpy(slot.wrap_tag, tag.bytes, NC_TAG_BYTES);
  nc_open_ctx *open;
  nacre_slice opened;
  must(nc_dek_unwrap(f.env, active, &slot, &open, &err));
  must(nc_open_frame(open, frame.bytes, frame.size, NC_FRAME_LOG_GROUP, 8256, &opened, &err));
  cr_assert_eq(opened.size, plaintext.size);
  cr_assert_eq(memcmp(opened.data, plaintext.bytes, opened.size), 0);
  nc_open_ctx_destroy(open);
}
