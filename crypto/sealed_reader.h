/* SPDX-License-Identifier: Apache-2.0
 *
 * sealed_reader: a sealed file opened for reading. Any threads at once.
 */
#ifndef NC_SEALED_READER_H
#define NC_SEALED_READER_H

#include "index.h"
#include "io.h"
#include "wrap.h"

typedef struct nc_sealed_reader nc_sealed_reader;

/* What the file must be; a difference is NACRE_TAMPERED: an older or foreign file stands in its place.
 * Pointers may be NULL, numbers 0: not checked. */
typedef struct nc_sealed_expect {
  nc_file_type type;
  const nc_uuid *origin_table, *file;
  uint64_t number;
  uint64_t epoch_max; /* a higher epoch is NACRE_ROLLED_BACK: something newer than CURRENT has existed */
  const uint8_t *dek_commitment;
} nc_sealed_expect;

/* The KEK that a slot names, exactly: NC_E_KEK_UNKNOWN (NACRE_KEY_MISSING) when it is not held,
 * NC_E_KEK_RETIRED (NACRE_ROLLED_BACK) when it is of a version before the active one. */
NC_MUST_CHECK nacre_status nc_header_kek(const nc_table_keys *keys, const nc_header_slot *slot,
                                         const nc_kek **ret_kek, nacre_error *err);
/* Compares an authenticated header with what the file must be. */
NC_MUST_CHECK nacre_status nc_header_expected(const nc_header_slot *header, const nc_sealed_expect *expect,
                                              nacre_error *err);

/* Reads a header without a key: the slot that a reader would try first. Nothing of it is authenticated. */
NC_MUST_CHECK nacre_status nc_sealed_header_peek(const nc_dir *dir, const char *name,
                                                 nc_header_slot *ret_slot, nacre_error *err);

/* Reads and picks the header slots, unwraps with exactly the KEK that the slot names, checks commitment and
 * expectations. When the picked slot does not unwrap the other is tried if it decodes. */
NC_MUST_CHECK nacre_status nc_sealed_reader_open(const nc_dir *dir, const char *name,
                                                 const nc_table_keys *keys, const nc_sealed_expect *expect,
                                                 nc_sealed_reader **ret_reader, nacre_error *err);
/* The same under the present keys of a holder: also when they are changed, and the file is rewrapped, between
 * the moment they are taken and the moment its header is read. */
NC_MUST_CHECK nacre_status nc_sealed_reader_open_under(const nc_dir *dir, const char *name,
                                                       nc_key_holder *holder, const nc_sealed_expect *expect,
                                                       nc_sealed_reader **ret_reader, nacre_error *err);
void nc_sealed_reader_close(nc_sealed_reader *r);
const nc_header_slot *nc_sealed_reader_header(const nc_sealed_reader *r);
const char *nc_sealed_reader_label(const nc_sealed_reader *r);
uint64_t nc_sealed_reader_size(const nc_sealed_reader *r); /* of the file, as it was when opened */
bool nc_sealed_reader_has_grown(nc_sealed_reader *r);      /* is longer now */
/* Where the filler begins that ends a log's first `end` bytes [L13]; `end` when there is none, and for other files. */
NC_MUST_CHECK nacre_status nc_sealed_reader_written(nc_sealed_reader *r, uint64_t end, uint64_t *ret_end,
                                                    nacre_error *err);
/* Both header slots good and equal but for their index? For verify. */
NC_MUST_CHECK nacre_status nc_sealed_reader_check_header(nc_sealed_reader *r, nacre_error *err);

/* One pread of exactly one frame into `buffer` (handle.size bytes), opened in place. A bad tag is read again
 * to tell what it was: a failed checksum is NACRE_CORRUPT, a good one NACRE_TAMPERED. `ret_tag` (16 bytes)
 * may be NULL. */
NC_MUST_CHECK nacre_status nc_sealed_reader_frame(nc_sealed_reader *r, nc_handle handle,
                                                  uint8_t expected_type, uint8_t *buffer,
                                                  nacre_slice *ret_plaintext, uint8_t *ret_tag,
                                                  nacre_error *err);
/* Sealed bytes as they stand in the file, for walking and scrubbing: exactly `size` bytes. */
NC_MUST_CHECK nacre_status nc_sealed_reader_raw(nc_sealed_reader *r, uint64_t offset, void *buffer,
                                                size_t size, nacre_error *err);
/* Opens a frame that was read raw, in place. */
NC_MUST_CHECK nacre_status nc_sealed_reader_open_raw(nc_sealed_reader *r, uint64_t offset, uint8_t *frame,
                                                     size_t size, uint8_t expected_type,
                                                     nacre_slice *ret_plaintext, nacre_error *err);

#endif
