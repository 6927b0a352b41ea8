/* SPDX-License-Identifier: Apache-2.0
 *
 * nacre_kms.h: what a key management service is to Nacre.
 *
 * A provider wraps and unwraps 32-byte table keys under a root key that Nacre never sees. It is chosen by the
 * scheme of a key's URI ("local:", "aws-kms:", ...). The `local:` provider is built in; an application passes
 * others in nacre_store_options.kms_providers.
 */
#ifndef NACRE_KMS_H
#define NACRE_KMS_H

#include <nacre/nacre_format.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NACRE_KMS_WRAPPED_BYTES_MAX ((size_t)4096) /* the longest wrapped table key that a key file holds */
#define NACRE_KMS_KEY_BYTES ((size_t)32)

/* Names one key at a KMS. The strings are the caller's; NULL region and principal mean none. */
typedef struct nacre_key_spec {
  const char *uri;       /* for instance "local:/srv/app/keyring" */
  const char *region;    /* a label that nacre_store_options.region is compared with */
  const char *principal; /* whom to act as, for providers that need it */
} nacre_key_spec;

/* One request. The context binds a wrap to its purpose: a provider with additional authenticated data passes
 * it there, any other includes a digest of it in what it wraps, so that a wrap for one table key never opens
 * as another's. */
typedef struct nacre_kms_call {
  nacre_key_spec key;
  nacre_slice context;  /* table UUID (16 bytes), table-key id (16), table-key version (4, little-endian) */
  uint64_t deadline_ms; /* how long the provider may take */
  bool may_create;      /* wrap only: the root key may be made when there is none (a keyring's first use) */
  uint64_t reserved[8];
} nacre_kms_call;

/* A provider. Its functions may be called from several threads at once. They return
 *   NACRE_OK
 *   NACRE_KEY_MISSING      no such key, or the wrapped bytes were not made by it
 *   NACRE_KEY_DENIED       the service answers and refuses
 *   NACRE_KEY_UNREACHABLE  no answer within the deadline
 *   NACRE_INVALID          the URI is malformed
 *   NACRE_NO_MEMORY
 * Before any but NACRE_OK they fill `err` with nacre_kms_fail. */
typedef struct nacre_kms_provider {
  const char *scheme; /* without the colon */
  void *arg;          /* passed back to the functions */
  nacre_status (*wrap)(void *arg, const nacre_kms_call *call, const uint8_t key[32], uint8_t *wrapped,
                       size_t capacity, size_t *ret_size, nacre_error *err);
  nacre_status (*unwrap)(void *arg, const nacre_kms_call *call, nacre_slice wrapped, uint8_t ret_key[32],
                         nacre_error *err);
  uint64_t reserved[8];
} nacre_kms_provider;

/* Fills `err` for a provider and returns `status`. `text` says what failed and what to do; it must not hold
 * key material. Since 0.1. */
NACRE_API nacre_status nacre_kms_fail(nacre_error *err, nacre_status status, const char *text);

/* Where the `local:` provider keeps its keyring when the URI names no path: the environment's NACRE_KEYRING,
 * else $XDG_DATA_HOME/nacre/keyring, else $HOME/.local/share/nacre/keyring. Writes a terminated string;
 * NACRE_TOO_LARGE when it does not fit, NACRE_NOT_FOUND when the environment names no home. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_keyring_path(const char *uri, char *path, size_t capacity);

#ifdef __cplusplus
}
#endif
#endif
