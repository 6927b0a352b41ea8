/* SPDX-License-Identifier: Apache-2.0
 *
 * nacre_seal.h: sealed files, for programs that look inside them.
 *
 * A sealed file is a header (two equal slots of 4 KiB) and frames, each of them AES-256-GCM ciphertext at a
 * fixed address (format/README.md). A *domain* holds the table keys that open the files of one table;
 * nacre_table_keys_open makes one. The conventions of nacre.h hold here too: any call may return
 * NACRE_INVALID, NACRE_NO_MEMORY or NACRE_FORKED.
 */
#ifndef NACRE_SEAL_H
#define NACRE_SEAL_H

#include <nacre/nacre_format.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nacre_seal_domain nacre_seal_domain;
typedef struct nacre_sealed_file nacre_sealed_file;

/* Wipes the keys. NACRE_BUSY while files of the domain are open, and nothing is changed then. Since 0.1. */
NACRE_API nacre_status nacre_seal_domain_close(nacre_seal_domain *domain);

/* Opens one sealed file for reading. The path is the caller's own; a symbolic link as its last component is
 * refused. Errors: NACRE_NOT_FOUND, NACRE_IO, NACRE_CORRUPT (no readable header slot), NACRE_UNSUPPORTED (of
 * a version or suite that is not known), NACRE_KEY_MISSING (wrapped by a table key that this domain does not
 * hold), NACRE_ROLLED_BACK (by one that has been retired), NACRE_TAMPERED (the header does not authenticate,
 * or what stands there is no plain file). Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_sealed_file_open(nacre_seal_domain *domain, const char *path,
                                                               nacre_sealed_file **ret_file);
NACRE_API void nacre_sealed_file_close(nacre_sealed_file *file);

/* Opens the frame at `offset` (the first stands at 8192): checks that its type is the expected one,
 * authenticates it and writes its plaintext to `buffer`. `ret_next` (may be NULL) is where the next frame
 * would stand. At the end of the file: NACRE_NOT_FOUND. Errors: NACRE_INVALID (no frame can begin there),
 * NACRE_TOO_LARGE (`*ret_size` says what is needed), NACRE_CORRUPT, NACRE_TAMPERED, NACRE_IO. One file may be
 * read from several threads. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_sealed_file_read(nacre_sealed_file *file, uint64_t offset,
                                                               uint8_t expected_type, void *buffer,
                                                               size_t capacity, size_t *ret_size,
                                                               uint64_t *ret_next);

#ifdef __cplusplus
}
#endif
#endif
