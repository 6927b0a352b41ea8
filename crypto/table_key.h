/* SPDX-License-Identifier: Apache-2.0
 *
 * table_key: the table keys (KEKs) of one table, and the key file that keeps them wrapped.
 *
 * Invariants
 *   1. A KEK comes from the kernel's generator; it is wrapped by every KMS key and each wrap is unwrapped
 *      again by the same key and compared before anything is written.
 *   2. Both copies of the key file are equal at rest; each is written whole to a temporary name, synced and
 *      renamed.
 *   3. A key file is believed only when its MAC verifies under its active KEK and the KEK's commitment is the
 *      one that the catalogue vouches for.
 * KEKs live in private memory. A set of keys never changes and may be shared between threads; it is counted,
 * and the last count wipes it. A change of keys is a new set in the old one's place.
 */
#ifndef NC_TABLE_KEY_H
#define NC_TABLE_KEY_H

#include <pthread.h>

#include "catalogue_record.h"
#include "io.h"
#include "key_file.h"
#include "kms.h"

#define NC_KEY_FILE_A "KEYS.a"
#define NC_KEY_FILE_B "KEYS.b"

typedef struct nc_table_keys nc_table_keys;
typedef struct nc_kek nc_kek; /* one version, unwrapped */

/* Makes version 1 in memory, under all specs; writes nothing. `may_create` lets a local keyring come into
 * being. */
NC_MUST_CHECK nacre_status nc_table_keys_create(const nc_kms *kms, const nc_uuid *table,
                                                const nacre_key_spec *specs, size_t spec_count,
                                                bool may_create, nc_table_keys **ret_keys, nacre_error *err);

/* A change of keys. */
typedef struct nc_key_succession {
  const nacre_key_spec *specs; /* wrap every version from now on */
  size_t spec_count;
  const nacre_key_spec *old_specs; /* may open the new version too, until the old ones retire: for a key file */
  size_t old_spec_count;           /* that no catalogue vouches for, whose caller may come back with either */
  bool may_create;
} nc_key_succession;

/* The next generation: a new active version, the others retiring, all of them wrapped under the new specs
 * beside the wraps that they have. Asks the KMS; writes nothing. A version that was pending is left out.
 * NC_E_KEY_FILE_FULL: too many versions wait to be retired. */
NC_MUST_CHECK nacre_status nc_table_keys_succeed(const nc_kms *kms, const nc_table_keys *keys,
                                                 const nc_key_succession *succession,
                                                 nc_table_keys **ret_keys, nacre_error *err);
/* The next generation without what is not needed: a pending version, with `retire` the versions before the
 * active one, and all wraps but the newest under each of `uris`. Asks nobody; writes nothing. */
NC_MUST_CHECK nacre_status nc_table_keys_trim(const nc_table_keys *keys, bool retire, const nacre_slice *uris,
                                              size_t uri_count, nc_table_keys **ret_keys, nacre_error *err);

/* Writes copy A, then copy B, each synced; the caller syncs the directory. */
NC_MUST_CHECK nacre_status nc_table_keys_write(const nc_table_keys *keys, const nc_dir *dir,
                                               nacre_error *err);

/* Whom to believe and whom to ask when a key file is opened. */
typedef struct nc_key_trust {
  nc_uuid table;             /* as the directory is named; checked unless `any_table` */
  bool any_table;            /* the catalogue: its UUID is learnt from the key file */
  const nc_kek_pin *current; /* NULL: the catalogue's own key file, trusted because a caller's key opens it */
  const uint8_t *pinned;     /* a commitment that one of its versions must have; NULL: any */
  const nc_kek_pin *pending; /* NULL: none */
  uint64_t generation_min;   /* lower is NACRE_ROLLED_BACK */
  const nacre_key_spec *specs; /* the only URIs that are contacted, */
  size_t spec_count;
  const char *region; /* those of this region first (may be NULL) */
} nc_key_trust;

/* When the file's active version is the pending one, the current one is active in the set, and the pending one
 * need not open (nc_table_keys_pending says why).
 *
 * Chooses the copy with the higher generation and a good CRC before any KMS call, unwraps every version in it
 * and checks commitments, pins and MAC. Any one wrap that opens serves; otherwise any *denied* counts as
 * denied, otherwise unreachable, otherwise what else was wrong with a keyring or a wrap (damaged, changed),
 * otherwise NACRE_KEY_MISSING. Both copies missing: NACRE_KEY_MISSING. */
NC_MUST_CHECK nacre_status nc_table_keys_open(const nc_kms *kms, const nc_dir *dir, const nc_key_trust *trust,
                                              nc_table_keys **ret_keys, nacre_error *err);
nc_table_keys *nc_table_keys_ref(nc_table_keys *keys);
void nc_table_keys_unref(nc_table_keys *keys); /* the last one wipes */

const nc_uuid *nc_table_keys_table(const nc_table_keys *keys);
uint64_t nc_table_keys_generation(const nc_table_keys *keys);
const nc_kek *nc_table_keys_active(const nc_table_keys *keys);
const nc_kek *nc_table_keys_find(const nc_table_keys *keys,
                                 const nc_uuid *kek_id); /* exact id; NULL: not held */
const nc_kek_pin *nc_kek_describe(const nc_kek *kek);
/* All that are held, by rising version. */
uint32_t nc_table_keys_count(const nc_table_keys *keys);
const nc_kek *nc_table_keys_at(const nc_table_keys *keys, uint32_t index);
uint32_t nc_table_keys_oldest(const nc_table_keys *keys); /* version */
/* The version that the key file calls active before the catalogue does; NULL: none. `ret_why` (may be NULL)
 * says why it is not held. */
const nc_kek_pin *nc_table_keys_pending(const nc_table_keys *keys, const nacre_error **ret_why);
/* Asks one KMS key for a version that it wraps, the newest, and compares what it answers. */
NC_MUST_CHECK nacre_status nc_table_keys_probe(const nc_kms *kms, const nc_table_keys *keys,
                                               const nacre_key_spec *spec, nacre_error *err);
nacre_slice nc_table_keys_image(const nc_table_keys *keys); /* the key file's bytes */
/* The MAC of CURRENT under a KEK. */
NC_MUST_CHECK nacre_status nc_table_keys_current_mac(const nc_table_keys *keys, const nc_kek *kek,
                                                     nacre_slice data, uint8_t mac[NC_MAC_BYTES],
                                                     nacre_error *err);
/* Whether both copies are there and equal, for verify; the error names the one that is not. */
NC_MUST_CHECK nacre_status nc_table_keys_check_copies(const nc_table_keys *keys, const nc_dir *dir,
                                                      nacre_error *err);
/* Whether it was read from one of two copies that are not equal, as an interrupted change leaves them. */
bool nc_table_keys_copies_differ(const nc_table_keys *keys);
/* A place for the present set of keys, which may be replaced while others use what they took. */
typedef struct nc_key_holder {
  pthread_mutex_t lock;
  nc_table_keys *keys;
} nc_key_holder;
void nc_key_holder_init(nc_key_holder *holder, nc_table_keys *keys); /* takes over the count */
void nc_key_holder_deinit(nc_key_holder *holder);
nc_table_keys *nc_key_holder_take(nc_key_holder *holder); /* counted */
void nc_key_holder_replace(nc_key_holder *holder, nc_table_keys *keys); /* takes over the count */

static inline void nc_table_keys_let_go(nc_table_keys **keys) { nc_table_keys_unref(*keys); }
/* A set of keys that is given back when the scope ends. */
#define NC_TAKEN_KEYS(name, holder) \
  __attribute__((cleanup(nc_table_keys_let_go))) nc_table_keys *name = nc_key_holder_take(holder)

/* For wrap.c only: the key's 32 bytes. */
const uint8_t *nc_kek_bytes(const nc_kek *kek);

#endif
