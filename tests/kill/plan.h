/* SPDX-License-Identifier: Apache-2.0
 *
 * What the writers of the kill loop do: operation n of thread t is a function of (seed, t, n), so that child
 * and parent agree on it without talking, and the parent knows every state from two numbers, the last
 * acknowledged operation of each thread.
 */
#ifndef NACRE_TESTS_KILL_PLAN_H
#define NACRE_TESTS_KILL_PLAN_H

#include <nacre/nacre.h>

#include "support.h"

enum { PLAN_THREADS = 4, PLAN_TABLES = 2, PLAN_KEYS = 150, PLAN_ENTRIES_MAX = 6 };
enum { PLAN_KEY_BYTES = 32, PLAN_VALUE_BYTES = 32 * 1024 };

extern const char *const plan_table_names[PLAN_TABLES];

typedef enum plan_kind { PLAN_WRITE, PLAN_LOAD, PLAN_SYNC, PLAN_FLUSH, PLAN_COMPACT } plan_kind;

typedef struct plan_entry {
  uint32_t key;
  uint64_t expire_at_ms;  /* of a put; 0: never. Long ago, or long after this test. */
  bool deleted, as_range; /* a range that holds this key alone: threads' keys lie between one another */
} plan_entry;

typedef struct plan_operation {
  plan_kind kind;
  uint32_t table;
  bool sync;
  size_t entry_count; /* of PLAN_WRITE, one: a plain put or delete; of PLAN_LOAD, in the order of keys */
  plan_entry entries[PLAN_ENTRIES_MAX];
} plan_operation;

/* One thread's keys: the operation that wrote each, 0 where there is none. Threads never share keys. */
typedef struct plan_state {
  uint64_t written[PLAN_TABLES][PLAN_KEYS];
} plan_state;

void plan_make(uint64_t seed, uint32_t thread, uint64_t n, plan_operation *ret_operation); /* n from 1 */
void plan_apply(plan_state *state, const plan_operation *operation, uint64_t n);

size_t plan_key(uint32_t thread, uint32_t key, char bytes[PLAN_KEY_BYTES]);
bool plan_key_parse(nacre_slice bytes, uint32_t *ret_thread, uint32_t *ret_key);
size_t plan_value(uint32_t thread, uint32_t table, uint32_t key, uint64_t n, uint8_t bytes[PLAN_VALUE_BYTES]);
/* Which operation wrote this value; 0 when none did. */
uint64_t plan_value_parse(uint32_t thread, uint32_t table, uint32_t key, nacre_slice value);

/* Changes of keys, beside the writers. What has a key: the tables, then the catalogue; the keys are keyrings. */
enum { PLAN_KEYED = PLAN_TABLES + 1, PLAN_KEYRINGS = 4, PLAN_KEY_THREAD = PLAN_THREADS };
/* Where keys stay, a thread closes tables beside the writers, and opens them again; n: 1, what was logged was flushed. */
enum { PLAN_CLOSE_THREAD = PLAN_KEY_THREAD + 1 };
/* The URI of a keyring; that of number 0 is the `base` of the others. */
void plan_keyring_uri(const char *base, unsigned keyring, char *uri, size_t capacity);

/* What the child tells the parent, written at once to a pipe after the call has returned. Of a change of keys it is
 * told, too, before the call; n is plan_key_news_encode's then. */
typedef struct plan_acknowledgement {
  uint32_t thread;
  uint32_t status; /* NACRE_OK, or the child gives up */
  uint64_t n;
} plan_acknowledgement;

typedef struct plan_key_news {
  unsigned subject, keyring;
  bool done; /* the call has returned */
} plan_key_news;
uint64_t plan_key_news_encode(plan_key_news news);
plan_key_news plan_key_news_decode(uint64_t n);

/* Options that name these keyrings (a set of bits, the lowest the default) for the catalogue. */
typedef struct plan_keyrings {
  char uris[PLAN_KEYRINGS][340];
  nacre_key_spec trusted[PLAN_KEYRINGS];
} plan_keyrings;
void plan_name_keyrings(nacre_store_options *options, const char *base, unsigned set, plan_keyrings *names);

/* The child: opens the store and writes until it is killed. `start[t]` is the first operation of thread t.
 * With `die_at` > 0 it kills itself at that operation on the disk. Returns only after an error or when it has
 * run long enough. */
typedef struct plan_child {
  const char *store_path, *key_uri;
  uint64_t seed, start[PLAN_THREADS], die_at;
  uint64_t keyrings; /* of the catalogue, a set of bits; 0: keys never change */
  int pipe;
} plan_child;
int plan_child_run(const plan_child *child);

nacre_store_options plan_store_options(const char *key_uri, uint64_t round);

#endif
