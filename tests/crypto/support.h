/* SPDX-License-Identifier: Apache-2.0
 *
 * support: a scratch directory with an env, a keyring and table keys in it, and an nacre_io that fails on
 * demand.
 */
#ifndef TESTS_CRYPTO_SUPPORT_H
#define TESTS_CRYPTO_SUPPORT_H

#include <stdatomic.h>

#include "../support/checks.h"
#include "io.h"
#include "kms.h"
#include "sealed_reader.h"
#include "sealed_writer.h"
#include "table_key.h"

/* The operating system's operations, but for what is set here. Counts begin at 1; 0 never fails. */
typedef struct faults {
  nacre_io io;
  int code; /* what a failing operation answers */
  atomic_int writes, syncs, reads, opens, creates, renames, dir_syncs;
  int fail_write, fail_sync, fail_read, fail_open, fail_create, fail_rename, fail_dir_sync;
  int lie_read;   /* this read answers one bit of every 4 KiB wrong */
  bool quick;     /* syncs do nothing, unless they fail */
  bool trace_on;  /* keep what follows: */
  char trace[64]; /* "w" and a slot's number for a write, "s" for a sync */
  uint64_t clock_ns; /* added to the clock */
} faults;
void faults_init(faults *f);

typedef struct fixture {
  char path[64];
  faults faults;
  nc_env *env;
  nc_dir dir;
  char keyring[128], uri[160];
  nacre_key_spec spec;
  nc_kms kms;
  nc_uuid table;
  nc_table_keys *keys;
} fixture;

void fixture_open(fixture *f); /* makes all of it but the keys */
void fixture_keys(fixture *f); /* the keys, too */
void fixture_close(fixture *f);

/* Bytes of a file below the scratch directory; the caller frees them. */
uint8_t *file_bytes(const fixture *f, const char *name, size_t *ret_size);
void file_replace(const fixture *f, const char *name, const void *bytes, size_t size);
void file_path(const fixture *f, const char *name, char path[128]);

/* Fills `out` from a string of hex digits; returns how many bytes. */
size_t from_hex(const char *hex, uint8_t *out, size_t capacity);
/* A sealed file of the fixture's table, of type log. */
nc_sealed_writer *make_writer(fixture *f, const char *name, size_t buffer_bytes);

#endif
