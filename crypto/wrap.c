/* SPDX-License-Identifier: Apache-2.0
 *
 * wrap: DEKs come to be, are wrapped and unwrapped, and become the keys that seal and open frames
 * (format/README.md, "File header", "Frames").
 *
 * A DEK itself lives for a few microseconds, on the stack, and is wiped. What stays is the data key, in an
 * nc_aead that either seals or opens.
 */
#include "wrap.h"

#include <stdlib.h>

#include "aead.h"
#include "derive.h"
#include "random.h"
#include "secret.h"

enum { WRAP_KEY_BYTES = NC_AEAD_KEY_BYTES + NC_AEAD_NONCE_BYTES };

struct nc_seal_ctx {
  nc_aead *aead;
  uint64_t next_offset; /* no frame begins before it */
};

struct nc_open_ctx {
  nc_aead *aead;
};

/* ---- a DEK's uses -------------------------------------------------------------------------------------- */

static nacre_status derive_from_dek(nc_env *env, const uint8_t *dek, nc_label label,
                                    const nc_identity *identity, uint8_t *out, nacre_error *err) {
  uint8_t bytes[NC_IDENTITY_BYTES];
  nc_identity_encode(identity, bytes);
  return nc_derive(env, dek, label, (nacre_slice){bytes, sizeof bytes}, out, NC_DERIVE_KEY_BYTES, err);
}

/* The key of a file's frames, to seal or to open with. */
static nacre_status create_data_aead(nc_env *env, const uint8_t *dek, const nc_identity *identity,
                                     bool sealing, nc_aead **ret_aead, nacre_error *err) {
  NC_SECRET(data_key);
  NC_TRY(derive_from_dek(env, dek, NC_LABEL_DATA, identity, data_key.bytes, err));
  return nc_aead_create(env, data_key.bytes, sealing, ret_aead, err);
}

static nacre_status create_seal_ctx(nc_env *env, const uint8_t *dek, const nc_identity *identity,
                                    nc_seal_ctx **ret_ctx, nacre_error *err) {
  nc_seal_ctx *ctx = calloc(1, sizeof *ctx);
  if (ctx == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = create_data_aead(env, dek, identity, true, &ctx->aead, err);
  if (status == NACRE_OK) {
    *ret_ctx = ctx;
  } else {
    free(ctx);
  }
  return status;
}

static nacre_status create_open_ctx(nc_env *env, const uint8_t *dek, const nc_identity *identity,
                                    nc_open_ctx **ret_ctx, nacre_error *err) {
  nc_open_ctx *ctx = calloc(1, sizeof *ctx);
  if (ctx == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = create_data_aead(env, dek, identity, false, &ctx->aead, err);
  if (status == NACRE_OK) {
    *ret_ctx = ctx;
  } else {
    free(ctx);
  }
  return status;
}

/* ---- wrapping ------------------------------------------------------------------------------------------ */

/* The one-time key and nonce of a slot's wrap; the fresh salt in each slot makes them so. */
static nacre_status create_wrap_aead(nc_env *env, const nc_kek *kek, const nc_header_slot *slot, bool sealing,
                                     nc_secret *derived, nc_aead **ret_aead, nacre_error *err) {
  nacre_slice salt = {slot->wrap_salt, sizeof slot->wrap_salt};
  NC_TRY(nc_derive(env, nc_kek_bytes(kek), NC_LABEL_WRAP, salt, derived->bytes, WRAP_KEY_BYTES, err));
  return nc_aead_create(env, derived->bytes, sealing, ret_aead, err);
}

static nacre_status wrap_dek(nc_env *env, const nc_kek *kek, const uint8_t *dek, nc_header_slot *slot,
                             nacre_error *err) {
  nc_aead *aead;
  NC_SECRET(derived);
  uint8_t aad[NC_WRAP_AAD_BYTES];
  NC_TRY(nc_random(slot->wrap_salt, sizeof slot->wrap_salt, err));
  NC_TRY(create_wrap_aead(env, kek, slot, true, &derived, &aead, err));
  nc_header_wrap_aad(slot, aad);
  nacre_status status =
      nc_aead_seal(aead, derived.bytes + NC_AEAD_KEY_BYTES, (nacre_slice){aad, sizeof aad},
                   (nacre_slice){dek, NC_DEK_BYTES}, slot->wrapped_dek, slot->wrap_tag, err);
  nc_aead_destroy(aead);
  return status;
}

static nacre_status unwrap_dek(nc_env *env, const nc_kek *kek, const nc_header_slot *slot, uint8_t *ret_dek,
                               nacre_error *err) {
  nc_aead *aead;
  NC_SECRET(derived);
  uint8_t aad[NC_WRAP_AAD_BYTES];
  NC_TRY(create_wrap_aead(env, kek, slot, false, &derived, &aead, err));
  nc_header_wrap_aad(slot, aad);
  nacre_slice wrapped = {slot->wrapped_dek, sizeof slot->wrapped_dek};
  nacre_status status = nc_aead_open(aead, derived.bytes + NC_AEAD_KEY_BYTES, (nacre_slice){aad, sizeof aad},
                                     wrapped, slot->wrap_tag, ret_dek, err);
  nc_aead_destroy(aead);
  /* [H5] */
  return status == NACRE_TAMPERED ? nc_fail_at(err, NC_E_WRAP_TAG, 0, "slot %u", slot->index) : status;
}

static nacre_status check_commitment(nc_env *env, const uint8_t *dek, const nc_header_slot *slot,
                                     nacre_error *err) {
  uint8_t commitment[NC_COMMITMENT_BYTES];
  NC_TRY(derive_from_dek(env, dek, NC_LABEL_DEK_COMMIT, &slot->identity, commitment, err));
  if (nc_equal_secret(commitment, slot->dek_commitment, sizeof commitment)) return NACRE_OK; /* [D1] */
  return nc_fail_at(err, NC_E_DEK_COMMITMENT, 0, "slot %u", slot->index);
}

nacre_status nc_dek_generate(nc_env *env, const nc_kek *kek, nc_header_slot *slot, nc_seal_ctx **ret_ctx,
                             nacre_error *err) {
  NC_SECRET(dek);
  const nc_kek_pin *pin = nc_kek_describe(kek);
  nc_header_slot filled = {
      .identity = slot->identity, .sequence = 1, .kek_id = pin->id, .kek_version = pin->version};
  NC_TRY(nc_random(dek.bytes, NC_DEK_BYTES, err));
  NC_TRY(derive_from_dek(env, dek.bytes, NC_LABEL_DEK_COMMIT, &filled.identity, filled.dek_commitment, err));
  NC_TRY(wrap_dek(env, kek, dek.bytes, &filled, err));
  NC_TRY(create_seal_ctx(env, dek.bytes, &filled.identity, ret_ctx, err));
  *slot = filled;
  return NACRE_OK;
}

nacre_status nc_dek_unwrap(nc_env *env, const nc_kek *kek, const nc_header_slot *slot, nc_open_ctx **ret_ctx,
                           nacre_error *err) {
  NC_SECRET(dek);
  NC_TRY(unwrap_dek(env, kek, slot, dek.bytes, err));
  NC_TRY(check_commitment(env, dek.bytes, slot, err));
  return create_open_ctx(env, dek.bytes, &slot->identity, ret_ctx, err);
}

nacre_status nc_dek_check(nc_env *env, const nc_kek *kek, const nc_header_slot *slot, nacre_error *err) {
  NC_SECRET(dek);
  NC_TRY(unwrap_dek(env, kek, slot, dek.bytes, err));
  return check_commitment(env, dek.bytes, slot, err);
}

nacre_status nc_dek_rewrap(nc_env *env, const nc_kek *from_kek, const nc_header_slot *from,
                           const nc_kek *to_kek, uint64_t load_sequence, nc_header_slot *ret_slot,
                           nacre_error *err) {
  NC_SECRET(dek);
  const nc_kek_pin *pin = nc_kek_describe(to_kek);
  nc_header_slot slot = *from;
  slot.index = 0;
  slot.sequence++;
  slot.load_sequence = load_sequence;
  slot.kek_id = pin->id;
  slot.kek_version = pin->version;
  NC_TRY(unwrap_dek(env, from_kek, from, dek.bytes, err));
  NC_TRY(check_commitment(env, dek.bytes, from, err));
  NC_TRY(wrap_dek(env, to_kek, dek.bytes, &slot, err));
  NC_TRY(nc_dek_check(env, to_kek, &slot, err));
  *ret_slot = slot;
  return NACRE_OK;
}

void nc_seal_ctx_destroy(nc_seal_ctx *ctx) {
  if (ctx == NULL) return;
  nc_aead_destroy(ctx->aead);
  free(ctx);
}

void nc_open_ctx_destroy(nc_open_ctx *ctx) {
  if (ctx == NULL) return;
  nc_aead_destroy(ctx->aead);
  free(ctx);
}

/* ---- frames -------------------------------------------------------------------------------------------- */

nacre_status nc_seal_frame(nc_seal_ctx *ctx, nc_frame_type type, const uint8_t salt[NC_FRAME_SALT_BYTES],
                           uint64_t offset, nacre_slice plaintext, uint8_t *frame, nacre_error *err) {
  if (plaintext.size > NC_FRAME_PLAINTEXT_BYTES_MAX) {
    return nc_fail_at(err, NC_E_FRAME_TOO_LARGE, offset, "%zu bytes", plaintext.size);
  }
  if (offset < ctx->next_offset) return nc_fail_at(err, NC_E_SEAL_OFFSET, offset, NULL);
  ctx->next_offset = offset + nc_frame_size(plaintext.size); /* also when sealing fails: the nonce is spent */
  uint8_t nonce[NC_NONCE_BYTES];
  uint8_t *ciphertext = frame + NC_FRAME_HEADER_BYTES;
  nc_frame_begin(frame, plaintext.size, type, salt);
  nc_frame_nonce(nonce, salt, offset);
  NC_TRY(nc_aead_seal(ctx->aead, nonce, (nacre_slice){frame, NC_FRAME_AAD_BYTES}, plaintext, ciphertext,
                      ciphertext + plaintext.size, err));
  nc_frame_finish(frame);
  return NACRE_OK;
}

/* The header of a frame that must be of this type and exactly this long. */
static nacre_status decode_expected(const uint8_t *frame, size_t size, uint8_t expected_type,
                                    nc_frame_header *ret_header, nacre_error *err) {
  if (size < NC_FRAME_HEADER_BYTES) return nc_fail_at(err, NC_E_FRAME_SHORT, 0, "%zu bytes", size);
  NC_TRY(nc_frame_decode(frame, ret_header, err));
  if (nc_frame_size(ret_header->ciphertext_size) != size) { /* [F10] */
    return nc_fail_at(err, NC_E_FRAME_LENGTH, 0, "%zu bytes instead of %zu",
                      nc_frame_size(ret_header->ciphertext_size), size);
  }
  return nc_frame_expect(ret_header, (nc_frame_type)expected_type, err);
}

nacre_status nc_open_frame(nc_open_ctx *ctx, uint8_t *frame, size_t size, uint8_t expected_type,
                           uint64_t offset, nacre_slice *ret_plaintext, nacre_error *err) {
  nc_frame_header header;
  uint8_t nonce[NC_NONCE_BYTES];
  NC_TRY(decode_expected(frame, size, expected_type, &header, err));
  uint8_t *text = frame + NC_FRAME_HEADER_BYTES;
  nacre_slice ciphertext = {text, header.ciphertext_size};
  nc_frame_nonce(nonce, header.salt, offset);
  nacre_status status = nc_aead_open(ctx->aead, nonce, (nacre_slice){frame, NC_FRAME_AAD_BYTES}, ciphertext,
                                     text + header.ciphertext_size, text, err);
  if (status == NACRE_TAMPERED)
    return nc_fail_at(err, NC_E_FRAME_TAG, 0, "%s", nc_frame_type_name(header.type)); /* [F8] */
  if (status != NACRE_OK) return status;
  *ret_plaintext = ciphertext; /* [F9] */
  return NACRE_OK;
}
