/* SPDX-License-Identifier: Apache-2.0
 *
 * fake_kms: a key service in memory, which counts what it is asked and misbehaves when it is told to.
 *
 * Its keys are "fake:0" to "fake:15". A wrap opens under the key and the purpose that it was made for, and
 * under nothing else. Counters may be used from any thread; faults are set while nobody asks.
 */
#ifndef NACRE_TESTS_FAKE_KMS_H
#define NACRE_TESTS_FAKE_KMS_H

#include <nacre/nacre_kms.h>
#include <stdatomic.h>

enum { FAKE_KEYS = 16 };

typedef struct fake_key {
  atomic_uint wraps, unwraps;
  nacre_status wrap_status, unwrap_status; /* what it answers; NACRE_OK: it does its work */
  bool lies;                               /* unwraps to something else than it wrapped */
  uint32_t wraps_left;                     /* with `runs_out`: so many wraps, then wrap_status */
  bool runs_out;
} fake_key;

typedef struct fake_kms {
  fake_key keys[FAKE_KEYS];
  atomic_uint strangers; /* calls for other URIs of the scheme */
  void (*on_wrap)(void); /* called in every wrap; NULL: none */
  nacre_kms_provider provider;
  const nacre_kms_provider *list[1]; /* for nacre_store_options.kms_providers */
} fake_kms;

void fake_kms_init(fake_kms *kms);
nacre_key_spec fake_spec(unsigned n);
unsigned fake_calls(const fake_kms *kms);   /* of all keys, strangers included */
unsigned fake_unwraps(const fake_kms *kms); /* of all keys */
void fake_forget(fake_kms *kms);            /* sets all counters to zero */

#endif
