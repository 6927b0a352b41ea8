/* SPDX-License-Identifier: Apache-2.0
 *
 * wrap: one DEK a file, wrapped by a table key in the file's header; and the only two things a DEK is good
 * for.
 *
 * Invariant: only the process that generated a DEK can seal with it. nc_dek_generate makes an nc_seal_ctx;
 * nc_dek_unwrap makes an nc_open_ctx, which has no function that seals. There is no other way to either.
 */
#ifndef NC_WRAP_H
#define NC_WRAP_H

#include "frame.h"
#include "header.h"
#include "table_key.h"

typedef struct nc_seal_ctx nc_seal_ctx; /* one thread at a time */
typedef struct nc_open_ctx nc_open_ctx; /* any threads at once */

/* Generates a DEK for slot->identity, wraps it under `kek` and fills the rest of the slot (index 0, sequence
 * 1). */
NC_MUST_CHECK nacre_status nc_dek_generate(nc_env *env, const nc_kek *kek, nc_header_slot *slot,
                                           nc_seal_ctx **ret_ctx, nacre_error *err);
/* Unwraps; checks the wrap's tag (NC_E_WRAP_TAG, NACRE_TAMPERED) and the DEK's commitment
 * (NC_E_DEK_COMMITMENT). */
NC_MUST_CHECK nacre_status nc_dek_unwrap(nc_env *env, const nc_kek *kek, const nc_header_slot *slot,
                                         nc_open_ctx **ret_ctx, nacre_error *err);
/* Wraps the DEK of `from`, a slot wrapped under `from_kek`, under `to_kek` with a fresh salt: the slot's next
 * sequence, its index 0, its load's sequence as told. The new wrap is unwrapped again and compared before this returns. */
NC_MUST_CHECK nacre_status nc_dek_rewrap(nc_env *env, const nc_kek *from_kek, const nc_header_slot *from,
                                         const nc_kek *to_kek, uint64_t load_sequence,
                                         nc_header_slot *ret_slot, nacre_error *err);
/* Whether a slot unwraps and its commitment is right, as nc_dek_unwrap, without keeping anything. */
NC_MUST_CHECK nacre_status nc_dek_check(nc_env *env, const nc_kek *kek, const nc_header_slot *slot,
                                        nacre_error *err);
void nc_seal_ctx_destroy(nc_seal_ctx *ctx);
void nc_open_ctx_destroy(nc_open_ctx *ctx);

/* Builds a whole frame of nc_frame_size(plaintext.size) bytes at `frame`, for file offset `offset`. The
 * caller never passes an offset twice; the context refuses one that is not beyond the last
 * (NC_E_SEAL_OFFSET). */
NC_MUST_CHECK nacre_status nc_seal_frame(nc_seal_ctx *ctx, nc_frame_type type,
                                         const uint8_t salt[NC_FRAME_SALT_BYTES], uint64_t offset,
                                         nacre_slice plaintext, uint8_t *frame, nacre_error *err);
/* Opens a whole frame in place: the plaintext stands at frame + 16 then. Checks header, size and expected
 * type, and the tag; not the CRC. When the tag is bad the frame's ciphertext is gone (wiped):
 * NC_E_FRAME_TAG. */
NC_MUST_CHECK nacre_status nc_open_frame(nc_open_ctx *ctx, uint8_t *frame, size_t size, uint8_t expected_type,
                                         uint64_t offset, nacre_slice *ret_plaintext, nacre_error *err);

#endif
