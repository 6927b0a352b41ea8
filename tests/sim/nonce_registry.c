/* SPDX-License-Identifier: Apache-2.0
 *
 * Two hash tables under one mutex: live sealing contexts by address, and (key, nonce) pairs by digest.
 * Global, because what is wrapped is the whole program.
 */
#include "nonce_registry.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "aead.h"
#include "support.h"

enum { CONTEXT_BUCKETS = 4096, PAIRS_FIRST = 1 << 16, DIGEST_BYTES = 32 };

typedef struct seal_key {
  struct seal_key *next;
  const nc_aead *aead;
  uint8_t key[DIGEST_BYTES];
} seal_key;

typedef struct pair {
  uint64_t name[2]; /* of key and nonce; both zero: a free place */
  uint64_t content;
} pair;

static struct {
  pthread_mutex_t mutex;
  seal_key *contexts[CONTEXT_BUCKETS];
  pair *pairs;
  size_t count, capacity;
  uint64_t reused;
} registry = {.mutex = PTHREAD_MUTEX_INITIALIZER};

nacre_status __real_nc_aead_create(nc_env *env, const uint8_t key[NC_AEAD_KEY_BYTES], bool sealing,
                                   nc_aead **ret_aead, nacre_error *err);
nacre_status __wrap_nc_aead_create(nc_env *env, const uint8_t key[NC_AEAD_KEY_BYTES], bool sealing,
                                   nc_aead **ret_aead, nacre_error *err);
void __real_nc_aead_destroy(nc_aead *aead);
void __wrap_nc_aead_destroy(nc_aead *aead);
nacre_status __real_nc_aead_seal(nc_aead *aead, const uint8_t nonce[NC_AEAD_NONCE_BYTES], nacre_slice aad,
                                 nacre_slice plaintext, uint8_t *ciphertext, uint8_t tag[NC_AEAD_TAG_BYTES],
                                 nacre_error *err);
nacre_status __wrap_nc_aead_seal(nc_aead *aead, const uint8_t nonce[NC_AEAD_NONCE_BYTES], nacre_slice aad,
                                 nacre_slice plaintext, uint8_t *ciphertext, uint8_t tag[NC_AEAD_TAG_BYTES],
                                 nacre_error *err);

static seal_key **bucket_of(const nc_aead *aead) {
  return &registry.contexts[test_mix((uintptr_t)aead, 0) % CONTEXT_BUCKETS];
}

static void digest_of(nacre_slice first, nacre_slice second, uint8_t digest[DIGEST_BYTES]) {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  if (context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1 ||
      EVP_DigestUpdate(context, &first.size, sizeof first.size) != 1 ||
      EVP_DigestUpdate(context, first.data, first.size) != 1 ||
      EVP_DigestUpdate(context, second.data, second.size) != 1 ||
      EVP_DigestFinal_ex(context, digest, NULL) != 1)
    test_die("SHA-256 failed");
  EVP_MD_CTX_free(context);
}

/* The pair's place, or the free one where it belongs. */
static pair *place_of(pair *pairs, size_t capacity, const uint64_t name[2]) {
  size_t i = (size_t)name[0] & (capacity - 1);
  while ((pairs[i].name[0] | pairs[i].name[1]) != 0 && memcmp(pairs[i].name, name, sizeof pairs[i].name) != 0)
    i = (i + 1) & (capacity - 1);
  return &pairs[i];
}

static void make_room_locked(void) {
  if (registry.count * 2 < registry.capacity) return;
  size_t capacity = registry.capacity == 0 ? PAIRS_FIRST : registry.capacity * 2;
  pair *pairs = test_alloc(capacity * sizeof *pairs);
  for (size_t i = 0; i < registry.capacity; i++)
    if ((registry.pairs[i].name[0] | registry.pairs[i].name[1]) != 0)
      *place_of(pairs, capacity, registry.pairs[i].name) = registry.pairs[i];
  free(registry.pairs);
  registry.pairs = pairs;
  registry.capacity = capacity;
}

static void note_locked(const uint64_t name[2], uint64_t content) {
  make_room_locked();
  pair *place = place_of(registry.pairs, registry.capacity, name);
  if ((place->name[0] | place->name[1]) == 0) {
    memcpy(place->name, name, sizeof place->name);
    place->content = content;
    registry.count++;
  } else if (place->content != content) {
    registry.reused++;
  }
}

static void note(const nc_aead *aead, const uint8_t nonce[NC_AEAD_NONCE_BYTES], nacre_slice aad,
                 nacre_slice plaintext) {
  uint8_t content[DIGEST_BYTES], name[DIGEST_BYTES];
  uint64_t name_words[2], content_word;
  digest_of(aad, plaintext, content);
  memcpy(&content_word, content, sizeof content_word);
  pthread_mutex_lock(&registry.mutex);
  const seal_key *c = *bucket_of(aead);
  while (c != NULL && c->aead != aead) c = c->next;
  if (c != NULL) {
    digest_of((nacre_slice){c->key, sizeof c->key}, (nacre_slice){nonce, NC_AEAD_NONCE_BYTES}, name);
    memcpy(name_words, name, sizeof name_words);
    note_locked(name_words, content_word);
  }
  pthread_mutex_unlock(&registry.mutex);
}

nacre_status __wrap_nc_aead_create(nc_env *env, const uint8_t key[NC_AEAD_KEY_BYTES], bool sealing,
                                   nc_aead **ret_aead, nacre_error *err) {
  nacre_status status = __real_nc_aead_create(env, key, sealing, ret_aead, err);
  if (status != NACRE_OK || !sealing) return status;
  seal_key *c = test_alloc(sizeof *c);
  c->aead = *ret_aead;
  digest_of((nacre_slice){key, NC_AEAD_KEY_BYTES}, (nacre_slice){"", 0}, c->key);
  pthread_mutex_lock(&registry.mutex);
  seal_key **bucket = bucket_of(c->aead);
  c->next = *bucket;
  *bucket = c;
  pthread_mutex_unlock(&registry.mutex);
  return status;
}

void __wrap_nc_aead_destroy(nc_aead *aead) {
  pthread_mutex_lock(&registry.mutex);
  for (seal_key **at = bucket_of(aead); *at != NULL; at = &(*at)->next) {
    if ((*at)->aead != aead) continue;
    seal_key *gone = *at;
    *at = gone->next;
    free(gone);
    break;
  }
  pthread_mutex_unlock(&registry.mutex);
  __real_nc_aead_destroy(aead);
}

nacre_status __wrap_nc_aead_seal(nc_aead *aead, const uint8_t nonce[NC_AEAD_NONCE_BYTES], nacre_slice aad,
                                 nacre_slice plaintext, uint8_t *ciphertext, uint8_t tag[NC_AEAD_TAG_BYTES],
                                 nacre_error *err) {
  note(aead, nonce, aad, plaintext);
  return __real_nc_aead_seal(aead, nonce, aad, plaintext, ciphertext, tag, err);
}

uint64_t nonce_registry_seen(void) {
  pthread_mutex_lock(&registry.mutex);
  uint64_t seen = registry.count;
  pthread_mutex_unlock(&registry.mutex);
  return seen;
}

uint64_t nonce_registry_reused(void) {
  pthread_mutex_lock(&registry.mutex);
  uint64_t reused = registry.reused;
  pthread_mutex_unlock(&registry.mutex);
  return reused;
}

void nonce_registry_free(void) {
  pthread_mutex_lock(&registry.mutex);
  free(registry.pairs);
  registry.pairs = NULL;
  registry.count = registry.capacity = 0;
  registry.reused = 0;
  pthread_mutex_unlock(&registry.mutex);
}
