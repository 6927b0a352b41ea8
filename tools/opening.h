/* SPDX-License-Identifier: Apache-2.0
 *
 * opening: with which keys a store is opened, and what is remembered of it in the user's trust file.
 *
 * The key is the one of --key; else the one that the trust file has for the store; else the user's own
 * keyring. The store's UUID, by which it is looked up there, is read without a key from its key file, where
 * anybody may have written it. Nothing rests on that: a store that bears another's UUID is opened under that
 * one's key and pinned commitment, and fails. A store that bears an unknown one opens under the user's
 * keyring or not at all.
 */
#ifndef TOOL_OPENING_H
#define TOOL_OPENING_H

#include "options.h"
#include "trust_file.h"

typedef struct opening {
  nacre_store_options options; /* for nacre_open and its like, until tool_opening_end */
  trust_entry known;           /* what the trust file says */
  bool is_known, learn;        /* learn: it is to say something else once the store has opened */
} opening;

/* Returns an exit status, told: a damaged trust file, say. */
int tool_opening_begin(const options *o, const char *store, opening *ret_opening);
/* The same for a store that is to be made: there is nothing to look up, but what is there must be sound. */
int tool_opening_begin_new(const options *o, opening *ret_opening);
void tool_opening_end(opening *p);
/* To be called when the store has opened: remembers what is new. That it cannot is only a warning, for the
 * work itself can go on. */
void tool_opening_learn(const options *o, const opening *p, nacre_store *store);
/* Remembers that from now on `key` opens the store. Returns an exit status, told. */
int tool_opening_remember(const options *o, nacre_store *store, const nacre_key_spec *key);

#endif
