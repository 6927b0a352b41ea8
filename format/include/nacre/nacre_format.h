/* SPDX-License-Identifier: Apache-2.0
 *
 * nacre_format.h: the vocabulary that every part of Nacre shares.
 *
 * Slices, status codes, the error detail, file kinds and the documented limits. Every other public header
 * includes this one. Nothing here allocates, and everything may be used from any thread.
 */
#ifndef NACRE_FORMAT_H
#define NACRE_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define NACRE_API __attribute__((visibility("default")))
#define NACRE_MUST_CHECK __attribute__((warn_unused_result))
#else
#define NACRE_API
#define NACRE_MUST_CHECK
#endif

/* Where 0 means "the default", NACRE_NONE means "none at all". */
#define NACRE_NONE UINT64_MAX

/* Limits. Beyond them a call returns NACRE_TOO_LARGE; nothing is ever truncated. All in bytes unless said. */
#define NACRE_KEY_BYTES_MAX ((size_t)64 * 1024)
#define NACRE_BATCH_BYTES_MAX \
  ((size_t)15 * 1024 * 1024) /* a batch as encoded: keys, values and a few bytes each */
#define NACRE_VALUE_BYTES_MAX ((size_t)1 << 30) /* 1 GiB; large ones in files of their own */
#define NACRE_TABLE_NAME_BYTES_MAX ((size_t)255)
#define NACRE_KEY_URI_BYTES_MAX ((size_t)2048)
#define NACRE_KEY_SPECS_MAX ((size_t)16) /* KMS keys that wrap one table key */

/* What a table may be given for the shape of its tree (nacre_table_options). */
#define NACRE_SEGMENT_BYTES_MIN ((uint64_t)16 << 10)
#define NACRE_SEGMENT_BYTES_MAX ((uint64_t)1 << 30)
#define NACRE_LEVEL_RATIO_MIN 2
#define NACRE_LEVEL_RATIO_MAX 100

/* Bytes somewhere else. The slice owns nothing: whoever made it says how long it stays valid.
 * As a bound, NULL data means "unbounded"; non-NULL data of size 0 is the empty key. */
typedef struct nacre_slice {
  const void *data;
  size_t size;
} nacre_slice;

/* What a call came to. Values are fixed: blocks of 16 by who is concerned, never renumbered. */
typedef enum nacre_status {
  NACRE_OK = 0,
  /* the call */
  NACRE_NOT_FOUND = 16,
  NACRE_EXISTS = 17,
  NACRE_INVALID = 18,
  NACRE_TOO_LARGE = 19,
  NACRE_BUSY = 20,
  NACRE_CONFLICT = 21,
  NACRE_UNSUPPORTED = 22,
  NACRE_CANCELLED = 23,
  /* the machine */
  NACRE_IO = 32,
  NACRE_NO_SPACE = 33,
  NACRE_NO_MEMORY = 34,
  NACRE_LOCKED = 35,
  NACRE_READ_ONLY = 36,
  NACRE_FORKED = 37,
  /* the bytes */
  NACRE_CORRUPT = 48,     /* damaged: what honest hardware and honest mistakes do */
  NACRE_TAMPERED = 49,    /* intact by its checksum, wrong by its authentication tag */
  NACRE_ROLLED_BACK = 50, /* authentic, but older than what is known to have existed */
  /* the keys */
  NACRE_KEY_MISSING = 64,     /* no wrap here can be opened: wrong key, or key file lost */
  NACRE_KEY_DENIED = 65,      /* the KMS answers and says no: disabled, deleted, not permitted */
  NACRE_KEY_UNREACHABLE = 66, /* the KMS does not answer: network, timeout, throttled */
  NACRE_KEY_REVOKED = 67      /* this table was revoked */
} nacre_status;

/* The status as it is written in this header, for instance "NACRE_NOT_FOUND"; "NACRE_UNKNOWN" for any other
 * number. The string is static. Since 0.1. */
NACRE_API const char *nacre_status_name(nacre_status status);

/* The detail behind a status. Plain data: copy it freely.
 *   id       stable number of the rejection (format/errors.def); 0 when there was no error
 *   os_errno errno of the system call that failed, or 0
 *   offset   byte offset in `file` that the error is about, or NACRE_NONE
 *   file     the file, relative to the store where it lies in one; empty when no file is concerned
 *   text     a sentence that names what failed and says what to do; never a key, a value or key material */
typedef struct nacre_error {
  nacre_status status;
  uint32_t id;
  int os_errno;
  uint64_t offset;
  char file[128];
  char text[376];
} nacre_error;

/* Copies the detail of the calling thread's most recent failure in any Nacre call; all zero (offset
 * NACRE_NONE) if there was none. A call that succeeds leaves it as it is. Since 0.1. */
NACRE_API void nacre_last_error(nacre_error *ret_error);

/* The library's version, "MAJOR.MINOR.PATCH". The string is static. Since 0.1. */
NACRE_API const char *nacre_version(void);

#ifdef __cplusplus
}
#endif
#endif
