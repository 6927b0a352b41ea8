/* SPDX-License-Identifier: Apache-2.0
 *
 * trust_file: which key opens which store, and which key of the store's catalogue that was: a file of the
 * user's, beside the keyring and named after it (KEYRING.trust). It holds no secrets, but who may write it
 * decides which keys are asked: it is its owner's alone (mode 0600), or is not used. JSON:
 *
 *   {"nacre_trust": 1,
 *    "stores": {"<store UUID>": {"commitment": "<64 hexadecimal digits>",
 *                                "key": {"uri": "…", "region": "…", "principal": "…"}}}}
 *
 * region and principal may be missing; anything else that is not as above is damage, which is told and left
 * alone. It is replaced as a whole: written aside, synced, renamed, under the lock of KEYRING.trust.lock.
 */
#ifndef TOOL_TRUST_FILE_H
#define TOOL_TRUST_FILE_H

#include <nacre/nacre.h>

enum { TOOL_UUID_TEXT_BYTES = 40, TOOL_COMMITMENT_TEXT_BYTES = 65, TOOL_TRUST_PATH_BYTES = 4096 };

typedef struct trust_entry {
  char store[TOOL_UUID_TEXT_BYTES]; /* its UUID */
  nacre_key_spec key;               /* region and principal NULL: none */
  char commitment[TOOL_COMMITMENT_TEXT_BYTES];
  char *copy; /* what the key points into, where tool_trust_find has filled it */
} trust_entry;

/* False where the environment names no place for a keyring, and so none for this. */
bool tool_trust_path(char path[TOOL_TRUST_PATH_BYTES]);

/* Looks a store up. NACRE_OK also when there is no such entry, or no file (`*ret_found`); any other status
 * with `err`: the file is damaged, or not the user's alone. Free the entry. */
nacre_status tool_trust_find(const char *store, trust_entry *ret_entry, bool *ret_found, nacre_error *err);
void tool_trust_entry_free(trust_entry *entry);
/* Adds an entry, or replaces the store's. On stable storage on return. */
nacre_status tool_trust_put(const trust_entry *entry, nacre_error *err);

#endif
