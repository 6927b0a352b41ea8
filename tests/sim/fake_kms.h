/* SPDX-License-Identifier: Apache-2.0
 *
 * A key service in memory, with a few root keys that can be destroyed one by one, and that fails or lies when it
 * is told to. What one instance wraps every other unwraps, as long as the root key is there in it: each image of
 * a disk meets a service of its own. Any thread.
 */
#ifndef NACRE_TESTS_SIM_FAKE_KMS_H
#define NACRE_TESTS_SIM_FAKE_KMS_H

#include <nacre/nacre_kms.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { FAKE_KMS_KEYS = 4, FAKE_KMS_ALL = (1 << FAKE_KMS_KEYS) - 1 };

typedef enum fake_fault {
  FAKE_NO_FAULT = 0,
  FAKE_DENIED,
  FAKE_UNREACHABLE,
  FAKE_MISSING,    /* wrong key, or bytes that are not its own */
  FAKE_OTHER_KEY,  /* unwraps to another key; wraps another key than the one it was given */
  FAKE_SIZE_NONE,  /* a wrap of no bytes */
  FAKE_SIZE_HUGE,  /* a wrap that is longer than the buffer */
  FAKE_ODD_STATUS, /* one that no provider may return */
  FAKE_FAULT_COUNT
} fake_fault;

typedef struct fake_kms {
  nacre_kms_provider provider;
  const nacre_kms_provider *list[1]; /* for nacre_store_options */
  atomic_uint keys;                  /* bit i: root key i is there */
  atomic_uint denied;                /* bit i: it may not be used */
  atomic_uint no_unwrap;             /* bit i: it may encrypt, but not decrypt */
  atomic_uint unreachable;           /* bit i: no answer */
  atomic_uint_fast64_t calls;
  uint64_t fault_at; /* the call that fails; NACRE_NONE: none */
  bool for_good;     /* and those after it */
  fake_fault fault;
} fake_kms;

void fake_kms_init(fake_kms *kms, unsigned keys);
const char *fake_kms_uri(unsigned key);
/* FAKE_KMS_KEYS when it is none of these. */
unsigned fake_kms_key_of(const char *uri);

#endif
