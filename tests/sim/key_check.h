/* SPDX-License-Identifier: Apache-2.0
 *
 * Holds a store whose keys were being changed against its bounds, with a key service that has lost every key that
 * is not needed; lets the change finish; destroys every KMS key that the store does not list; and opens what is
 * then on stable storage with the rest alone.
 */
#ifndef NACRE_TESTS_SIM_KEY_CHECK_H
#define NACRE_TESTS_SIM_KEY_CHECK_H

#include "campaign.h"

/* job->keys 0: of the sets of keys that the bounds allow, one is tried, and the other when that one is refused; the
 * one that opened is left in job->keys. False after a failed check. */
bool key_check(const campaign *c, campaign_job *job);

typedef struct key_figures {
  uint64_t with_old_alone, with_new_alone; /* of stores whose change was under way */
  uint64_t refused;                        /* tries with keys that did not suffice */
  uint64_t destroyed; /* stores that were opened after all other keys had been destroyed */
  uint64_t abandoned; /* changes */
  uint64_t calls;     /* of key services */
} key_figures;
key_figures key_check_figures(void); /* of the whole program */

/* The status of a table, or with NULL of the catalogue: one version, nothing left under another, and the one KMS
 * key that it lists, which is among `allowed`. 0 after a failed check. */
unsigned key_check_settled(nacre_table *table, nacre_store *store, unsigned allowed, const char *label);

#endif
