/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring_file: see keyring_file.h.
 */
#include "kms/keyring_file.h"

#include <stdlib.h>
#include <unistd.h>

#include "kms.h"
#include "random.h"

/* ---- where it lies ------------------------------------------------------------------------------------- */

/* A variable that names an absolute path; the XDG rules ignore any other. */
static const char *directory_variable(const char *name) {
  const char *value = secure_getenv(name);
  return value != NULL && value[0] == '/' ? value : NULL;
}

nacre_status nc_keyring_path(const char *uri, char *path, size_t capacity, nacre_error *err) {
  size_t lead = strlen(NC_LOCAL_SCHEME);
  if (uri == NULL || strncmp(uri, NC_LOCAL_SCHEME, lead) != 0 || uri[lead] != ':') {
    return nc_fail(err, NC_E_KMS_URI, "%.200s", uri != NULL ? uri : "there is none");
  }
  const char *rest = uri + lead + 1, *named = secure_getenv("NACRE_KEYRING");
  if (rest[0] != 0) return nc_private_path_join(path, capacity, rest, "", err);
  if (named != NULL && named[0] != 0) return nc_private_path_join(path, capacity, named, "", err);
  const char *data = directory_variable("XDG_DATA_HOME");
  if (data != NULL) return nc_private_path_join(path, capacity, data, "/nacre/keyring", err);
  const char *home = directory_variable("HOME");
  if (home != NULL) return nc_private_path_join(path, capacity, home, "/.local/share/nacre/keyring", err);
  return nc_fail(err, NC_E_KEYRING_HOME, NULL);
}

/* ---- reading, first use -------------------------------------------------------------------------------- */

nacre_status nc_keyring_load(nc_env *env, const char *path, nc_keyring_work *work, nacre_error *err) {
  NC_TRY(
      nc_private_file_read(&NC_KEYRING_FILE_WORDS, path, work->bytes, sizeof work->bytes, &work->size, err));
  return nc_keyring_open(env, path, work, true, err);
}

nacre_status nc_keyring_add_fresh(nc_env *env, nc_keyring *ring, nacre_error *err) {
  nc_root_key root = {.created_ms = env->io->wall_ms(env->io->context)};
  nacre_status status = nc_random_uuid(&root.id, err);
  if (status == NACRE_OK) status = nc_random(root.key, sizeof root.key, err);
  if (status == NACRE_OK) status = nc_keyring_add(ring, &root, err);
  nc_wipe(&root, sizeof root);
  return status;
}

/* A name beside the keyring that nobody else thinks of. */
static nacre_status unique_path(const char *path, char aside[NC_PRIVATE_PATH_BYTES], nacre_error *err) {
  char suffix[1 + NC_UUID_TEXT_BYTES] = ".";
  nc_uuid unique;
  NC_TRY(nc_random_uuid(&unique, err));
  nc_uuid_format(&unique, suffix + 1);
  return nc_private_path_join(aside, NC_PRIVATE_PATH_BYTES, path, suffix, err);
}

nacre_status nc_keyring_create(nc_env *env, const char *path, nc_keyring_work *work, nacre_error *err) {
  char aside[NC_PRIVATE_PATH_BYTES];
  bool taken = false;
  NC_TRY(unique_path(path, aside, err));
  NC_TRY(nc_passphrase_obtain(env, path, true, &work->passphrase, err));
  NC_TRY(nc_private_file_make_parents(path, err));
  work->ring.key_count = 0;
  NC_TRY(nc_keyring_add_fresh(env, &work->ring, err));
  NC_TRY(nc_keyring_seal(env, work, err));
  NC_TRY(nc_private_file_make(aside, work->bytes, work->size, err));
  NC_TRY(nc_private_file_name(aside, path, false, &taken, err));
  nc_wipe(work, sizeof *work);
  return nc_keyring_load(env, path, work, err); /* the winner's, which need not be this one */
}

/* ---- changing ------------------------------------------------------------------------------------------ */

/* The passphrase itself is needed, not only what it became: the new file takes a fresh salt. */
static nacre_status open_to_change(nc_env *env, const char *path, int fd, nc_keyring_work *work,
                                   nacre_error *err) {
  nc_keyring_parts parts;
  NC_TRY(nc_private_file_read_fd(&NC_KEYRING_FILE_WORDS, fd, path, work->bytes, sizeof work->bytes,
                                 &work->size, err));
  nacre_status status = nc_keyring_parse(nc_slice(work->bytes, work->size), &parts, err);
  if (status != NACRE_OK) return nc_fail_in(err, status, path, 0);
  if (parts.protection == NC_KEYRING_SCRYPT)
    NC_TRY(nc_passphrase_obtain(env, path, false, &work->passphrase, err));
  return nc_keyring_open(env, path, work, false, err);
}

/* The name aside is always the same, and the lock says that nobody else is using it: what a crash left there,
 * which may be keys without protection, goes with the next change. */
static nacre_status put_in_place(const char *path, const nc_keyring_work *work, nacre_error *err) {
  char aside[NC_PRIVATE_PATH_BYTES];
  bool taken = false;
  NC_TRY(nc_private_path_join(aside, sizeof aside, path, ".new", err));
  unlink(aside);
  NC_TRY(nc_private_file_make(aside, work->bytes, work->size, err));
  NC_TRY(nc_private_file_name(aside, path, true, &taken, err));
  return nc_private_file_sync_parent(path, err);
}

static nacre_status change(nc_env *env, const char *path, int fd, nc_keyring_work *work, nc_keyring_edit edit,
                           void *arg, nacre_error *err) {
  NC_TRY(nc_private_file_lock(fd, path, err));
  NC_TRY(open_to_change(env, path, fd, work, err));
  NC_TRY(edit(env, work, arg, err));
  NC_TRY(nc_keyring_seal(env, work, err));
  return put_in_place(path, work, err);
}

nacre_status nc_keyring_change(nc_env *env, const char *path, nc_keyring_edit edit, void *arg,
                               nacre_error *err) {
  int fd = -1;
  nc_keyring_work *work = nc_heap_alloc(env->heap, sizeof *work);
  if (work == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = nc_private_file_open(&NC_KEYRING_FILE_WORDS, path, &fd, err);
  if (status == NACRE_OK) status = change(env, path, fd, work, edit, arg, err);
  nc_private_file_close(fd); /* the lock's end: the file that bore it has gone, or stays as it was */
  nc_heap_free(env->heap, work, sizeof *work);
  return status;
}
