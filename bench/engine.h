/* SPDX-License-Identifier: Apache-2.0
 *
 * engine: what the driver asks of a store, so that one adapter an engine is all that tells them apart.
 *
 * An adapter ends the process when its engine fails (bench_die): a run with an error in it measured nothing.
 * A store may be used from several threads, each with its own session; sessions are closed before the store.
 */
#ifndef NACRE_BENCH_ENGINE_H
#define NACRE_BENCH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BENCH_MEMTABLE_BYTES = 64 << 20, BENCH_CACHE_BYTES = 256 << 20, BENCH_FILTER_BITS = 10 };

typedef struct bench_slice {
  const void *data;
  size_t size;
} bench_slice;

typedef struct bench_pair {
  bench_slice key, value;
} bench_pair;

typedef struct bench_engine {
  const char *name;
  const char *options; /* how it is opened, in words */
  void (*version)(char *text, size_t capacity);
  /* `directory` exists; it is empty when `create`. With `sync`, every write is durable on return; without, it
   * survives the death of the process. */
  void *(*open)(const char *directory, bool create, bool sync);
  void (*close)(void *store);
  /* Waits until background work is done; returns the seconds at its end that only made sure of it. */
  double (*settle)(void *store);
  void (*tell)(void *store); /* what the engine says of its amplification, to stderr. NULL: nothing */
  void *(*session_open)(void *store);
  void (*session_close)(void *session);
  void (*put)(void *session, bench_slice key, bench_slice value);
  void (*write)(void *session, const bench_pair *pairs, size_t count); /* all or none */
  /* False: there is no such key. The value is valid until the session's next call. */
  bool (*get)(void *session, bench_slice key, bench_slice *ret_value);
  /* Moves to the first key >= `key`, through a new iterator; a session has one at a time. The pair is valid
   * until the next move. False at the end of the data. */
  bool (*seek)(void *session, bench_slice key, bench_pair *ret_pair);
  bool (*next)(void *session, bench_pair *ret_pair);
  /* From where `seek` or the last `many` left the iterator, as many pairs as are at hand, at least one but at the
   * end of the data; good until the next move. NULL: the engine has nothing of the kind. */
  size_t (*many)(void *session, bench_pair *pairs, size_t capacity);
  void (*leave)(void *session); /* closes the iterator */
} bench_engine;

extern const bench_engine bench_nacre;
#ifdef BENCH_ROCKSDB
extern const bench_engine bench_rocksdb;
#endif
#ifdef BENCH_LEVELDB
extern const bench_engine bench_leveldb;
#endif
#ifdef BENCH_LMDB
extern const bench_engine bench_lmdb;
#endif

_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
