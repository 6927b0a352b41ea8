/* SPDX-License-Identifier: Apache-2.0
 *
 * kms: from a key's URI to the provider that answers for it.
 */
#ifndef NC_KMS_H
#define NC_KMS_H

#include <nacre/nacre_kms.h>

#include "coding.h"
#include "env.h"

typedef struct nc_kms {
  nc_env *env;
  const nacre_kms_provider *const *providers; /* the application's; looked at before the built-in ones */
  size_t provider_count;
  uint64_t deadline_ms;
} nc_kms;

/* What a table key's wrap is for; its encoding (36 bytes) is the encryption context. */
typedef struct nc_kms_purpose {
  nc_uuid table, kek_id;
  uint32_t kek_version;
} nc_kms_purpose;

/* The scheme of a URI, without the colon; false when it has none. */
bool nc_kms_scheme(const char *uri, char *scheme, size_t capacity);
NC_MUST_CHECK nacre_status nc_kms_wrap(const nc_kms *kms, const nacre_key_spec *spec,
                                       const nc_kms_purpose *purpose, bool may_create, const uint8_t key[32],
                                       uint8_t *wrapped, size_t capacity, size_t *ret_size, nacre_error *err);
NC_MUST_CHECK nacre_status nc_kms_unwrap(const nc_kms *kms, const nacre_key_spec *spec,
                                         const nc_kms_purpose *purpose, nacre_slice wrapped,
                                         uint8_t ret_key[32], nacre_error *err);

/* Built in: the keyring file (kms/local.c); its `arg` is the nc_env. Its wrap uses the last key of the ring,
 * its unwrap the one that the wrap names. */
const nacre_kms_provider *nc_kms_local(void);

#endif
