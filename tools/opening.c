/* SPDX-License-Identifier: Apache-2.0
 *
 * opening: with which keys a store is opened; see opening.h.
 */
#include "opening.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "exit_status.h"
#include "failure.h"
#include "key_file.h"
#include "passphrase.h"

/* ---- the catalogue's key file, without a key ----------------------------------------------------------- */

static bool load(const char *store, const char *name, nc_key_file *file) {
  bytes path = {0}, image = {0};
  nacre_error ignored;
  size_t body;
  tool_bytes_add_text(&path, store);
  tool_bytes_add_text(&path, name);
  tool_bytes_reserve(&image, NC_KEY_FILE_BYTES_MAX);
  int fd = open(tool_bytes_text(&path), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  for (ssize_t got = 1; fd >= 0 && got > 0 && image.size < NC_KEY_FILE_BYTES_MAX;) {
    got = read(fd, image.data + image.size, NC_KEY_FILE_BYTES_MAX - image.size);
    if (got < 0 && errno == EINTR)
      got = 1;
    else if (got > 0)
      image.size += (size_t)got;
  }
  bool good = fd >= 0 && nc_key_file_decode(tool_bytes_slice(&image), file, &body, &ignored) == NACRE_OK;
  if (fd >= 0) (void)close(fd);
  tool_bytes_free(&path);
  tool_bytes_free(&image);
  return good;
}

/* What a key file says of a commitment: whether it holds it at all, and whether for its active version. */
static void find_commitment(const nc_key_file *file, const char *wanted, bool *ret_held, bool *ret_active) {
  *ret_held = *ret_active = false;
  for (uint32_t i = 0; i < file->version_count; i++) {
    char text[TOOL_COMMITMENT_TEXT_BYTES];
    for (size_t j = 0; j < NC_COMMITMENT_BYTES; j++)
      (void)snprintf(text + 2 * j, 3, "%02x", file->versions[i].commitment[j]);
    if (strcmp(text, wanted) != 0) continue;
    *ret_held = true;
    *ret_active = file->versions[i].state == NC_KEY_ACTIVE;
  }
}

/* ---- beginning ----------------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b) {
  return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_key(const nacre_key_spec *a, const nacre_key_spec *b) {
  return same_text(a->uri, b->uri) && same_text(a->region, b->region) &&
         same_text(a->principal, b->principal);
}

static void set_options(const options *o, opening *p) {
  bool named = o->store_key.uri != NULL;
  p->options = (nacre_store_options){.default_key = named || !p->is_known ? o->store_key : p->known.key,
                                     .trusted_keys = o->trusted_key_count == 0 ? NULL : o->trusted_keys,
                                     .trusted_key_count = o->trusted_key_count,
                                     .pinned_commitment = p->is_known ? p->known.commitment : NULL};
  p->options.region = p->options.default_key.region;
  tool_passphrase_source(o, &p->options.passphrase, &p->options.passphrase_arg);
}

/* Whoever names the key of a store whose pin does not fit any more means this one; only then is the pin
 * let go. */
static void weigh_pin(const options *o, opening *p, const nc_key_file *file) {
  bool named = o->store_key.uri != NULL, held = false, active = false;
  p->learn = named && !(p->is_known && same_key(&p->known.key, &o->store_key));
  if (!p->is_known) return;
  find_commitment(file, p->known.commitment, &held, &active);
  p->learn = p->learn || !active;
  if (held || !named) return;
  p->options.pinned_commitment = NULL;
  tool_warn(
      o,
      "the store's key is not the one that was trusted for it; you name its key, so this one is trusted now");
}

int tool_opening_begin_new(const options *o, opening *ret_opening) {
  nacre_error err;
  *ret_opening = (opening){.learn = true};
  nacre_status status = tool_trust_find("", &ret_opening->known, &ret_opening->is_known, &err);
  if (status != NACRE_OK) return tool_fail_error(o, &err);
  set_options(o, ret_opening);
  return TOOL_DONE;
}

int tool_opening_begin(const options *o, const char *store, opening *ret_opening) {
  opening *p = ret_opening;
  nacre_error err;
  char uuid[TOOL_UUID_TEXT_BYTES] = "";
  nc_key_file *file = tool_alloc(sizeof *file);
  bool there = load(store, "/catalogue/KEYS.a", file) || load(store, "/catalogue/KEYS.b", file);
  *p = (opening){0};
  if (there) nc_uuid_format(&file->table, uuid);
  nacre_status status = tool_trust_find(uuid, &p->known, &p->is_known, &err);
  set_options(o, p);
  if (status == NACRE_OK && there) weigh_pin(o, p, file);
  free(file);
  return status == NACRE_OK ? TOOL_DONE : tool_fail_error(o, &err);
}

void tool_opening_end(opening *p) { tool_trust_entry_free(&p->known); }

/* ---- remembering --------------------------------------------------------------------------------------- */

/* Both UUID and commitment as the library has authenticated them. */
static nacre_status describe(nacre_store *store, trust_entry *entry, nacre_error *err) {
  nacre_key_status keys;
  nacre_status status = nacre_store_key_status(store, &keys);
  if (status != NACRE_OK) {
    nacre_last_error(err);
    return status;
  }
  tool_text_fit(entry->store, sizeof entry->store, keys.table_uuid);
  for (size_t i = 0; i < nacre_key_versions_count(keys.versions); i++) {
    const nacre_key_version *version = nacre_key_versions_at(keys.versions, i);
    if (version->active) tool_text_fit(entry->commitment, sizeof entry->commitment, version->commitment);
  }
  nacre_key_versions_free(keys.versions);
  nacre_kms_keys_free(keys.kms_keys);
  return NACRE_OK;
}

static nacre_status remember(nacre_store *store, const nacre_key_spec *key, nacre_error *err) {
  trust_entry entry = {.key = *key};
  if (entry.key.uri == NULL) entry.key.uri = "local:";
  nacre_status status = describe(store, &entry, err);
  return status == NACRE_OK ? tool_trust_put(&entry, err) : status;
}

void tool_opening_learn(const options *o, const opening *p, nacre_store *store) {
  nacre_error err;
  char path[TOOL_TRUST_PATH_BYTES];
  if (!p->learn || !tool_trust_path(path)) return;
  if (remember(store, &p->options.default_key, &err) == NACRE_OK) return;
  tool_warn(o, "the store's key is not remembered, so name it with --key the next time, too: %s (%s)",
            err.text, err.file);
}

int tool_opening_remember(const options *o, nacre_store *store, const nacre_key_spec *key) {
  nacre_error err;
  char path[TOOL_TRUST_PATH_BYTES];
  if (!tool_trust_path(path)) return TOOL_DONE;
  return remember(store, key, &err) == NACRE_OK ? TOOL_DONE : tool_fail_error(o, &err);
}
