/* SPDX-License-Identifier: Apache-2.0
 *
 * Uses the crypto floor with an env of its own. Keys are collected where they are derived: nc_derive is
 * wrapped at link time, and hands on what it is given and what it makes; in the process under test nothing is
 * collected.
 */
#include "hoard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "canary.h"
#include "kms/keyring_file.h"
#include "support.h"
#include "table_key_set.h"
#include "wrap.h"

enum { KEKS_MAX = 256 };

typedef struct known_kek {
  nc_kek kek;
  nc_uuid table;
  bool lives;
} known_kek;

struct hoard {
  nc_env *env;
  nc_kms kms;
  canary_service service;
  nacre_kms_provider provider;
  const nacre_kms_provider *providers[1];
  needles *set;
  uint64_t seed;
  known_kek keks[KEKS_MAX];
  size_t kek_count, header_count;
  long done; /* of what was overheard */
};

/* ---- collecting ---------------------------------------------------------------------------------------- */

static hoard *collecting; /* NULL: nothing is collected */
static uint32_t collecting_owner;

nacre_status __real_nc_derive(nc_env *env, const uint8_t key[NC_DERIVE_KEY_BYTES], nc_label label,
                              nacre_slice context, uint8_t *out, size_t size, nacre_error *err);
nacre_status __wrap_nc_derive(nc_env *env, const uint8_t key[NC_DERIVE_KEY_BYTES], nc_label label,
                              nacre_slice context, uint8_t *out, size_t size, nacre_error *err);

static void collect(nc_label label, const uint8_t *key, const uint8_t *out) {
  needles *set = collecting->set;
  uint32_t owner = collecting_owner;
  switch (label) {
    case NC_LABEL_WRAP: /* of a root key or a KEK, both known already */
      needles_add_cipher_key(set, NEEDLE_WRAPPING_KEY, owner, out);
      break;
    case NC_LABEL_KEK_COMMIT:
      break;
    case NC_LABEL_KEYFILE_MAC:
    case NC_LABEL_CURRENT_MAC:
      needles_add_hmac_key(set, NEEDLE_MAC_KEY, owner, out);
      break;
    case NC_LABEL_DATA:
      needles_add_hmac_key(set, NEEDLE_DEK, owner, key);
      needles_add_cipher_key(set, NEEDLE_DATA_KEY, owner, out);
      break;
    case NC_LABEL_DEK_COMMIT:
      needles_add_hmac_key(set, NEEDLE_DEK, owner, key);
      break;
    case NC_LABEL_KEYRING:
      needles_add_hmac_key(set, NEEDLE_PASSPHRASE_KEY, owner, key);
      needles_add_cipher_key(set, NEEDLE_WRAPPING_KEY, owner, out);
      break;
    case NC_LABEL_KEYRING_COMMIT:
      break;
  }
}

nacre_status __wrap_nc_derive(nc_env *env, const uint8_t key[NC_DERIVE_KEY_BYTES], nc_label label,
                              nacre_slice context, uint8_t *out, size_t size, nacre_error *err) {
  nacre_status status = __real_nc_derive(env, key, label, context, out, size, err);
  if (collecting != NULL && status == NACRE_OK) collect(label, key, out);
  return status;
}

/* ---- the hoard ----------------------------------------------------------------------------------------- */

static nacre_status know_passphrase(void *arg, const char *keyring, bool confirm, char *buffer,
                                    size_t capacity, size_t *ret_size) {
  const hoard *h = arg;
  char word[CANARY_WORD];
  (void)keyring, (void)confirm, (void)capacity;
  canary_passphrase(h->seed, word);
  *ret_size = strlen(word);
  memcpy(buffer, word, *ret_size);
  return NACRE_OK;
}

hoard *hoard_create(uint64_t seed) {
  hoard *h = test_alloc(sizeof *h);
  char word[CANARY_WORD];
  nacre_error error;
  h->seed = seed;
  h->set = needles_create();
  if (nc_env_create(NULL, &h->env, &error) != NACRE_OK) test_die("env: %s", error.text);
  nc_passphrases_source(h->env, know_passphrase, h);
  h->service.seed = seed;
  h->provider = canary_provider(&h->service);
  h->providers[0] = &h->provider;
  h->kms = (nc_kms){h->env, h->providers, 1, 10000};
  canary_passphrase(seed, word);
  needles_add(h->set, NEEDLE_PASSPHRASE, 0, word, CANARY_WORD - 1);
  return h;
}

void hoard_destroy(hoard *h) {
  collecting = NULL;
  nc_env_destroy(h->env);
  needles_destroy(h->set);
  free(h);
}

needles *hoard_needles(hoard *h) { return h->set; }
size_t hoard_headers(const hoard *h) { return h->header_count; }

uint32_t hoard_owner(const uint8_t uuid[16]) {
  uint32_t owner;
  memcpy(&owner, uuid, sizeof owner);
  return owner;
}

bool hoard_kek_lives(const hoard *h, const uint8_t key[32]) {
  for (size_t i = 0; i < h->kek_count; i++)
    if (memcmp(h->keks[i].kek.key, key, 32) == 0) return h->keks[i].lives;
  return true;
}

size_t hoard_keks(const hoard *h, bool living) {
  size_t count = 0;
  for (size_t i = 0; i < h->kek_count; i++) count += h->keks[i].lives == living;
  return count;
}

void hoard_add_keyring(hoard *h, const char *path) {
  nacre_error error;
  nc_keyring_work *work = nc_heap_alloc(h->env->heap, sizeof *work);
  collecting = h;
  collecting_owner = 0;
  if (work == NULL || nc_keyring_load(h->env, path, work, &error) != NACRE_OK)
    test_die("%s: %s", path, error.text);
  collecting = NULL;
  for (uint32_t i = 0; i < work->ring.key_count; i++)
    needles_add_hmac_key(h->set, NEEDLE_ROOT_KEY, 0, work->ring.keys[i].key);
  nc_heap_free(h->env->heap, work, sizeof *work);
}

/* ---- key files ----------------------------------------------------------------------------------------- */

static known_kek *find_kek(hoard *h, const nc_uuid *id) {
  for (size_t i = 0; i < h->kek_count; i++)
    if (nc_uuid_equal(&h->keks[i].kek.pin.id, id)) return &h->keks[i];
  return NULL;
}

static void add_mac_keys(hoard *h, const known_kek *k) {
  uint8_t mac[NC_MAC_BYTES];
  nacre_error error;
  if (nc_kek_mac(h->env, &k->kek, NC_LABEL_KEYFILE_MAC, &k->table, nc_slice("", 0), mac, &error) !=
          NACRE_OK ||
      nc_kek_mac(h->env, &k->kek, NC_LABEL_CURRENT_MAC, &k->table, nc_slice("", 0), mac, &error) != NACRE_OK)
    test_die("MAC keys: %s", error.text);
}

static void text_of(nacre_slice slice, char *text, size_t capacity) {
  snprintf(text, capacity, "%.*s", (int)slice.size, (const char *)slice.data);
}

/* A wrap that was made to be refused (a test's own failure) opens nothing. */
static void add_wrap(hoard *h, const nc_key_file *file, const nc_key_wrap *wrap) {
  const nc_key_version *version = &file->versions[wrap->version_index];
  char uri[512];
  uint8_t key[32];
  nacre_error error;
  text_of(wrap->uri, uri, sizeof uri);
  nc_kms_purpose purpose = {file->table, version->id, version->version};
  nacre_key_spec spec = {.uri = uri};
  if (nc_kms_unwrap(&h->kms, &spec, &purpose, wrap->ciphertext, key, &error) != NACRE_OK)
    test_die("%s does not unwrap what it wrapped: %s", uri, error.text);
  known_kek *k = find_kek(h, &version->id);
  if (k == NULL) {
    if (h->kek_count == KEKS_MAX) test_die("too many table keys");
    k = &h->keks[h->kek_count++];
    *k = (known_kek){.kek.pin = {.id = version->id, .version = version->version}, .table = file->table};
    memcpy(k->kek.key, key, sizeof key);
    needles_add_hmac_key(h->set, NEEDLE_KEK, collecting_owner, key);
    add_mac_keys(h, k);
  }
  k->lives = true;
}

static void add_key_file(hoard *h, nacre_slice image) {
  nc_key_file *file = test_alloc(sizeof *file);
  nacre_error error;
  size_t body;
  if (nc_key_file_decode(image, file, &body, &error) != NACRE_OK) test_die("a key file: %s", error.text);
  collecting_owner = hoard_owner(file->table.bytes);
  for (size_t i = 0; i < h->kek_count; i++)
    if (nc_uuid_equal(&h->keks[i].table, &file->table)) h->keks[i].lives = false;
  for (uint32_t i = 0; i < file->wrap_count; i++) add_wrap(h, file, &file->wraps[i]);
  free(file);
}

/* ---- headers ------------------------------------------------------------------------------------------- */

static void add_header(hoard *h, nacre_slice bytes) {
  nc_header_slot slot;
  nacre_error error;
  nc_open_ctx *ctx = NULL;
  if (nc_header_decode(bytes, 0, &slot, NULL) != NACRE_OK &&
      nc_header_decode(bytes, 1, &slot, &error) != NACRE_OK)
    test_die("a header: %s", error.text);
  const known_kek *k = find_kek(h, &slot.kek_id);
  if (k == NULL) test_die("a header under a table key that was in no key file");
  collecting_owner = hoard_owner(k->table.bytes);
  if (nc_dek_unwrap(h->env, &k->kek, &slot, &ctx, &error) != NACRE_OK) test_die("a header: %s", error.text);
  nc_open_ctx_destroy(ctx);
  h->header_count++;
}

static void add_masked(hoard *h, nacre_slice wrapped) {
  uint8_t key[32];
  nacre_error error;
  nacre_kms_call call = {.key.uri = "mask:"};
  if (h->provider.unwrap(&h->service, &call, wrapped, key, &error) != NACRE_OK)
    test_die("a mask: %s", error.text);
  needles_add_hmac_key(h->set, NEEDLE_KEK, 0, key);
}

void hoard_add_overheard(hoard *h, const char *path) {
  overheard record;
  uint8_t *bytes = NULL;
  FILE *f = fopen(path, "rbe");
  if (f == NULL) test_die("cannot read %s", path);
  collecting = h;
  fseek(f, h->done, SEEK_SET);
  while (fread(&record, sizeof record, 1, f) == 1) {
    bytes = test_alloc(record.size);
    if (fread(bytes, 1, record.size, f) != record.size) test_die("%s ends within a record", path);
    if (record.kind == OVERHEARD_KEY_FILE) add_key_file(h, (nacre_slice){bytes, record.size});
    if (record.kind == OVERHEARD_HEADER) add_header(h, (nacre_slice){bytes, record.size});
    if (record.kind == OVERHEARD_MASKED) add_masked(h, (nacre_slice){bytes, record.size});
    free(bytes);
  }
  h->done = ftell(f);
  fclose(f);
  collecting = NULL;
}
