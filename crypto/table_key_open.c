/* SPDX-License-Identifier: Apache-2.0
 *
 * table_key_open: from the two copies of a key file to keys that may be believed.
 *
 * The order matters. Nothing in a key file is authentic before its MAC is checked, and that needs a key; so
 * first one copy is chosen by checksum and generation, then compared with what the caller trusts, then only
 * URIs that the caller named are asked, with the caller's own principal, and what they answer is held against
 * the commitments; the MAC comes last.
 */
#include <stdlib.h>

#include "secret.h"
#include "table_key_set.h"

/* ---- choosing a copy ----------------------------------------------------------------------------------- */

typedef struct copy {
  const char *name;
  uint8_t *bytes;
  size_t size, body_size;
  nc_key_file *file;
  nacre_status status;
  nacre_error error;
} copy;

static void read_copy(copy *c, const nc_dir *dir) {
  c->status = nc_dir_load_file(dir, c->name, NC_KEY_FILE_BYTES_MAX, &c->bytes, &c->size, &c->error);
  if (c->status != NACRE_OK) return;
  c->file = malloc(sizeof *c->file); /* too large for the stack */
  if (c->file == NULL) {
    c->status = nc_fail(&c->error, NC_E_NO_MEMORY, NULL);
    return;
  }
  c->status = nc_key_file_decode((nacre_slice){c->bytes, c->size}, c->file, &c->body_size, &c->error);
  if (c->status == NACRE_OK) return;
  char label[NC_FILE_LABEL_BYTES];
  nc_dir_label(dir, c->name, label);
  nc_fail_in(&c->error, c->status, label, 0);
}

static void free_copy(copy *c) {
  free(c->bytes);
  free(c->file);
}

/* Of two bad copies the first that is there is told of. */
static nacre_status tell_worse(const copy copies[2], nacre_error *err) {
  const copy *told = copies[0].status != NACRE_NOT_FOUND ? &copies[0] : &copies[1];
  if (told->status == NACRE_NOT_FOUND) return nc_fail(err, NC_E_KEY_FILE_MISSING, NULL); /* [K4] */
  return nc_fail_with(err, &told->error);
}

static nacre_status choose(const copy copies[2], const copy **ret_chosen, nacre_error *err) {
  for (int i = 0; i < 2; i++) {
    if (copies[i].status != NACRE_NO_MEMORY)
      continue; /* nothing is known of it: no reason to take the other */
    return nc_fail_with(err, &copies[i].error);
  }
  bool a = copies[0].status == NACRE_OK, b = copies[1].status == NACRE_OK;
  if (!a && !b) return tell_worse(copies, err);
  bool second = b && (!a || copies[1].file->generation > copies[0].file->generation);
  *ret_chosen = &copies[second ? 1 : 0];
  return NACRE_OK;
}

static bool copies_equal(const copy copies[2]) {
  return copies[0].status == NACRE_OK && copies[1].status == NACRE_OK && copies[0].size == copies[1].size &&
         memcmp(copies[0].bytes, copies[1].bytes, copies[0].size) == 0;
}

/* ---- what the caller trusts ---------------------------------------------------------------------------- */

static nacre_status find_active(const nc_key_file *file, uint32_t *ret_index, nacre_error *err) {
  for (uint32_t i = 0; i < file->version_count; i++) {
    if (file->versions[i].state == NC_KEY_ACTIVE) {
      *ret_index = i;
      return NACRE_OK;
    }
  }
  return nc_fail(err, NC_E_KEY_FILE_SHAPE, "no version is active");
}

static bool pinned(const nc_key_version *version, const nc_kek_pin *pin) {
  return pin != NULL && nc_uuid_equal(&version->id, &pin->id) && version->version == pin->version &&
         nc_equal_secret(version->commitment, pin->commitment, NC_COMMITMENT_BYTES);
}

static bool holds_pinned(const nc_key_file *file, const uint8_t *commitment) {
  for (uint32_t i = 0; i < file->version_count; i++) {
    if (nc_equal_secret(file->versions[i].commitment, commitment, NC_COMMITMENT_BYTES)) return true;
  }
  return false;
}

/* A change of keys that the catalogue has not committed yet: the file calls the new version active, but files
 * are made under the current one. [K9] */
static nacre_status find_current(const nc_key_file *file, const nc_kek_pin *current, uint32_t *ret_index,
                                 nacre_error *err) {
  for (uint32_t i = 0; i < file->version_count; i++) {
    if (!pinned(&file->versions[i], current)) continue;
    *ret_index = i;
    return NACRE_OK;
  }
  return nc_fail(err, NC_E_KEY_FILE_PIN, "the current version is not in it");
}

/* Which version new files are made under, and which is pending: the file's last one, or none (the number of
 * versions). */
static nacre_status check_trust(const nc_key_file *file, const nc_key_trust *trust, uint32_t *ret_active,
                                uint32_t *ret_pending, nacre_error *err) {
  uint32_t active = 0;
  NC_TRY(find_active(file, &active, err));
  const nc_key_version *version = &file->versions[active];
  if (!trust->any_table && !nc_uuid_equal(&file->table, &trust->table)) { /* [K5] */
    char id[NC_UUID_TEXT_BYTES];
    nc_uuid_format(&file->table, id);
    return nc_fail(err, NC_E_KEY_FILE_TABLE, "%s", id);
  }
  if (file->generation < trust->generation_min) { /* [T3] */
    return nc_fail(err, NC_E_KEY_FILE_ROLLED_BACK, "generation %llu, before %llu",
                   (unsigned long long)file->generation, (unsigned long long)trust->generation_min);
  }
  *ret_active = active;
  *ret_pending = file->version_count;
  if (trust->pinned != NULL && !holds_pinned(file, trust->pinned)) /* [T5] */
    return nc_fail(err, NC_E_STORE_PIN, NULL);
  if (trust->current == NULL || pinned(version, trust->current)) return NACRE_OK; /* [T2] */
  if (pinned(version, trust->pending) && active + 1 == file->version_count) {
    *ret_pending = active;
    return find_current(file, trust->current, ret_active, err);
  }
  char id[NC_UUID_TEXT_BYTES];
  nc_uuid_format(&version->id, id);
  return nc_fail(err, NC_E_KEY_FILE_PIN, "%s, version %u", id, version->version);
}

/* ---- asking for the keys ------------------------------------------------------------------------------- */

/* How much a failure tells: a denial more than an outage, and both more than that a key does not fit. */
static int weight_of(nacre_status status) {
  if (status == NACRE_KEY_DENIED) return 3;
  if (status == NACRE_KEY_UNREACHABLE) return 2;
  return status == NACRE_KEY_MISSING ? 0 : 1;
}

typedef struct asking {
  const nc_kms *kms;
  const nc_key_trust *trust;
  const nc_key_file *file;
  nc_table_keys *keys;
  nacre_status status; /* of the version at hand: what its failures come to so far */
  nacre_error error;
} asking;

static void note_failure(asking *a, nacre_status status, const nacre_error *why) {
  if (weight_of(status) < weight_of(a->status)) return;
  if (weight_of(status) == weight_of(a->status) && a->error.id != NC_E_KEY_NO_WRAP)
    return; /* the first one stays */
  a->status = status;
  a->error = *why;
}

static nacre_status unwrap_one(asking *a, const nacre_key_spec *spec, const nc_key_wrap *wrap, nc_kek *kek,
                               nacre_error *err) {
  NC_SECRET(key);
  uint8_t commitment[NC_COMMITMENT_BYTES];
  nc_kms_purpose purpose = {a->file->table, kek->pin.id, kek->pin.version};
  NC_TRY(nc_kms_unwrap(a->kms, spec, &purpose, wrap->ciphertext, key.bytes, err));
  NC_TRY(nc_kek_commitment(a->kms->env, key.bytes, &a->file->table, &kek->pin, commitment, err));
  if (!nc_equal_secret(commitment, kek->pin.commitment, sizeof commitment)) { /* [D1] */
    return nc_fail(err, NC_E_KEK_COMMITMENT, "%.200s", spec->uri);
  }
  memcpy(kek->key, key.bytes, NC_KEK_BYTES);
  return NACRE_OK;
}

static nacre_slice text_slice(const char *s) { return (nacre_slice){s, s == NULL ? 0 : strlen(s)}; }

/* Whether a wrap may be opened by one of the caller's keys: of the same URI, or of the same provider under
 * another one, as when a keyring has been moved. The URI that is asked is the caller's in either case. */
static bool fits(const nc_key_wrap *wrap, const nacre_key_spec *spec, bool same_uri) {
  char scheme[64];
  bool same = nc_slice_equal(wrap->uri, text_slice(spec->uri));
  if (same_uri || same) return same_uri && same;
  return nc_kms_scheme(spec->uri, scheme, sizeof scheme) &&
         nc_slice_equal(wrap->provider, text_slice(scheme));
}

/* Tries every wrap of a version that one of the caller's keys may open. [K7] */
static bool ask_one(asking *a, const nacre_key_spec *spec, bool same_uri, uint32_t version_index) {
  for (uint32_t i = 0; i < a->file->wrap_count; i++) {
    const nc_key_wrap *wrap = &a->file->wraps[i];
    nacre_error why;
    if (wrap->version_index != version_index || spec->uri == NULL || !fits(wrap, spec, same_uri)) continue;
    nacre_status status = unwrap_one(a, spec, wrap, &a->keys->keks[version_index], &why);
    if (status == NACRE_OK) return true;
    note_failure(a, status, &why);
  }
  return false;
}

static bool in_region(const nacre_key_spec *spec, const char *region) {
  return region != NULL && spec->region != NULL && strcmp(spec->region, region) == 0;
}

/* What to say when no wrap could be tried: under which key, by the file's own word, the first one lies. */
static nacre_status no_wrap(asking *a, uint32_t version_index) {
  const nc_key_version *version = &a->file->versions[version_index];
  char id[NC_UUID_TEXT_BYTES];
  nacre_slice uri = {"", 0};
  nc_uuid_format(&version->id, id);
  for (uint32_t i = a->file->wrap_count; i > 0; i--) {
    if (a->file->wraps[i - 1].version_index == version_index) uri = a->file->wraps[i - 1].uri;
  }
  return nc_fail(&a->error, NC_E_KEY_NO_WRAP, "%s, version %u, wrapped under %.*s", id, version->version,
                 (int)(uri.size < 150 ? uri.size : 150), (const char *)uri.data);
}

/* A key that the catalogue and the caller both name is asked once: an outage costs one deadline. */
static bool named_before(const nc_key_trust *trust, size_t index) {
  const nacre_key_spec *spec = &trust->specs[index];
  for (size_t i = 0; i < index; i++) {
    const nacre_key_spec *earlier = &trust->specs[i];
    if (nc_slice_equal(text_slice(earlier->uri), text_slice(spec->uri)) &&
        nc_slice_equal(text_slice(earlier->principal), text_slice(spec->principal)) &&
        nc_slice_equal(text_slice(earlier->region), text_slice(spec->region)))
      return true;
  }
  return false;
}

/* The wanted region's keys first, then the others, then keys of the same provider under other URIs. */
static nacre_status ask_all(asking *a, uint32_t version_index, nacre_error *err) {
  a->status = no_wrap(a, version_index);
  for (int pass = 0; pass < 3; pass++) {
    for (size_t i = 0; i < a->trust->spec_count; i++) {
      const nacre_key_spec *spec = &a->trust->specs[i];
      bool turn = pass == 2 || in_region(spec, a->trust->region) == (pass == 0);
      if (turn && !named_before(a->trust, i) && ask_one(a, spec, pass < 2, version_index)) return NACRE_OK;
    }
  }
  return nc_fail_with(err, &a->error);
}

static nc_kek_pin pin_of(const nc_key_version *version) {
  nc_kek_pin pin = {.id = version->id, .version = version->version};
  memcpy(pin.commitment, version->commitment, sizeof pin.commitment);
  return pin;
}

static nacre_status unwrap_version(asking *a, uint32_t i, nacre_error *err) {
  a->keys->keks[i].pin = pin_of(&a->file->versions[i]);
  return ask_all(a, i, err);
}

/* A pending version that cannot be had keeps nothing from opening: no file is under it yet. [K9] */
static nacre_status unwrap_versions(asking *a, uint32_t pending, nacre_error *err) {
  for (uint32_t i = 0; i < a->file->version_count; i++) {
    nacre_error why;
    nacre_status status = unwrap_version(a, i, &why);
    if (status == NACRE_OK) {
      a->keys->kek_count = i + 1;
    } else if (i != pending) {
      return nc_fail_with(err, &why);
    }
    if (i == pending) a->keys->pending_error = status == NACRE_OK ? (nacre_error){0} : why;
  }
  return NACRE_OK;
}

/* One MAC under every version: whoever holds one of them can tell what the others are. [K6] */
static nacre_status check_macs(const nc_table_keys *keys, const copy *chosen, nacre_error *err) {
  uint8_t mac[NC_MAC_BYTES];
  nacre_slice body = {chosen->bytes, chosen->body_size};
  for (uint32_t i = 0; i < keys->kek_count; i++) {
    NC_TRY(nc_kek_mac(keys->env, &keys->keks[i], NC_LABEL_KEYFILE_MAC, &keys->table, body, mac, err));
    if (!nc_equal_secret(chosen->file->macs[i].mac, mac, sizeof mac))
      return nc_fail(err, NC_E_KEY_FILE_MAC, "version %u", keys->keks[i].pin.version);
  }
  return NACRE_OK;
}

/* ---- one key alone ------------------------------------------------------------------------------------- */

nacre_status nc_table_keys_probe(const nc_kms *kms, const nc_table_keys *keys, const nacre_key_spec *spec,
                                 nacre_error *err) {
  size_t body;
  NC_SECRET(key);
  nc_key_file *file = malloc(sizeof *file);
  if (file == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = nc_key_file_decode((nacre_slice){keys->image, keys->image_size}, file, &body, err);
  const nc_key_wrap *wrap = NULL;
  for (uint32_t i = 0; status == NACRE_OK && i < file->wrap_count; i++) {
    if (nc_slice_equal(file->wraps[i].uri, text_slice(spec->uri))) wrap = &file->wraps[i];
  }
  if (wrap == NULL) {
    status = status == NACRE_OK ? nc_fail(err, NC_E_KEY_NO_WRAP, "%.200s", spec->uri) : status;
  } else {
    const nc_key_version *version = &file->versions[wrap->version_index];
    const nc_kek *held = nc_table_keys_find(keys, &version->id);
    nc_kms_purpose purpose = {keys->table, version->id, version->version};
    status = nc_kms_unwrap(kms, spec, &purpose, wrap->ciphertext, key.bytes, err);
    bool right = held == NULL || nc_equal_secret(key.bytes, held->key, NC_KEK_BYTES);
    if (status == NACRE_OK && !right) status = nc_fail(err, NC_E_KEK_COMMITMENT, "%.200s", spec->uri);
  }
  free(file);
  return status;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static nacre_status fill(nc_table_keys *keys, const copy *chosen, uint32_t pending, const nc_kms *kms,
                         const nc_key_trust *trust, nacre_error *err) {
  asking a = {.kms = kms, .trust = trust, .file = chosen->file, .keys = keys};
  keys->table = chosen->file->table;
  keys->generation = chosen->file->generation;
  keys->has_pending = pending < chosen->file->version_count;
  if (keys->has_pending) keys->pending = pin_of(&chosen->file->versions[pending]);
  memcpy(keys->image, chosen->bytes, chosen->size);
  NC_TRY(unwrap_versions(&a, pending, err));
  return check_macs(keys, chosen, err);
}

static nacre_status believe(const copy *chosen, const nc_kms *kms, const nc_key_trust *trust,
                            nc_table_keys **ret_keys, nacre_error *err) {
  uint32_t active = 0, pending = 0;
  nc_table_keys *keys;
  NC_TRY(check_trust(chosen->file, trust, &active, &pending, err));
  NC_TRY(nc_key_set_create(kms->env, chosen->file->version_count, chosen->size, &keys, err));
  keys->active = active;
  nacre_status status = fill(keys, chosen, pending, kms, trust, err);
  if (status != NACRE_OK) {
    nc_table_keys_unref(keys);
    return status;
  }
  *ret_keys = keys;
  return NACRE_OK;
}

nacre_status nc_table_keys_open(const nc_kms *kms, const nc_dir *dir, const nc_key_trust *trust,
                                nc_table_keys **ret_keys, nacre_error *err) {
  copy copies[2] = {{.name = NC_KEY_FILE_A}, {.name = NC_KEY_FILE_B}};
  const copy *chosen = NULL;
  char label[NC_FILE_LABEL_BYTES];
  for (int i = 0; i < 2; i++) read_copy(&copies[i], dir);
  nacre_status status = choose(copies, &chosen, err);
  nc_dir_label(dir, chosen != NULL ? chosen->name : NC_KEY_FILE_A, label);
  if (status == NACRE_OK) status = believe(chosen, kms, trust, ret_keys, err);
  if (status == NACRE_OK) (*ret_keys)->copies_differ = !copies_equal(copies);
  if (status != NACRE_OK) nc_fail_in(err, status, label, 0);
  for (int i = 0; i < 2; i++) free_copy(&copies[i]);
  return status;
}
