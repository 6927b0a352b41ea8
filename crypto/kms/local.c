/* SPDX-License-Identifier: Apache-2.0
 *
 * local: the keyring file, root keys that lie outside of every store (format/README.md, "Keyring").
 *
 * Invariants
 *   1. A keyring that anyone but its owner may read or write is not used.
 *   2. A keyring comes into being whole: written aside, synced, and linked to its name, which fails when
 *      another process was first; whoever loses reads the winner's. It is never overwritten.
 *   3. Nothing is wrapped by a new keyring before its name is on stable storage: a store must not outlive its
 *      key.
 * The provider's `arg` is the nc_env. It uses files directly, not nacre_io: a keyring is no part of a store.
 * No state, no lock.
 */
#include "keyring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "aead.h"
#include "derive.h"
#include "kms.h"
#include "last_error.h"
#include "random.h"
#include "secret.h"

enum { PATH_BYTES = 4096, FIRST_FD = 3, WRAP_KEY_BYTES = NC_AEAD_KEY_BYTES + NC_AEAD_NONCE_BYTES };

static const char scheme[] = "local";

/* Secrets on their way from and to the file, in private memory. */
typedef struct workspace {
  nc_keyring ring;
  uint8_t bytes[NC_KEYRING_BYTES_MAX];
} workspace;

/* ---- where it lies ------------------------------------------------------------------------------------- */

static nacre_status join(char *path, size_t capacity, const char *a, const char *b, nacre_error *err) {
  size_t left = strlen(a), right = strlen(b);
  if (left + right >= capacity) return nc_fail(err, NC_E_NAME_TOO_LONG, "%zu bytes", left + right);
  memcpy(path, a, left);
  memcpy(path + left, b, right + 1);
  return NACRE_OK;
}

/* A variable that names an absolute path; the XDG rules ignore any other. */
static const char *directory_variable(const char *name) {
  const char *value = secure_getenv(name);
  return value != NULL && value[0] == '/' ? value : NULL;
}

static nacre_status keyring_path(const char *uri, char *path, size_t capacity, nacre_error *err) {
  size_t lead = sizeof scheme; /* the colon stands where the terminator does */
  if (uri == NULL || strncmp(uri, scheme, lead - 1) != 0 || uri[lead - 1] != ':') {
    return nc_fail(err, NC_E_KMS_URI, "%.200s", uri != NULL ? uri : "there is none");
  }
  if (uri[lead] != 0) return join(path, capacity, uri + lead, "", err);
  const char *named = secure_getenv("NACRE_KEYRING");
  if (named != NULL && named[0] != 0) return join(path, capacity, named, "", err);
  const char *data = directory_variable("XDG_DATA_HOME");
  if (data != NULL) return join(path, capacity, data, "/nacre/keyring", err);
  const char *home = directory_variable("HOME");
  if (home != NULL) return join(path, capacity, home, "/.local/share/nacre/keyring", err);
  return nc_fail(err, NC_E_KEYRING_HOME, NULL);
}

nacre_status nacre_keyring_path(const char *uri, char *path, size_t capacity) {
  nacre_error *err = nc_thread_error();
  if (path == NULL) return nc_fail(err, NC_E_SEAL_ARGUMENT, "path is NULL");
  return keyring_path(uri != NULL ? uri : "local:", path, capacity, err);
}

/* ---- files --------------------------------------------------------------------------------------------- */

static nacre_status file_fail(nacre_error *err, int code, const char *doing, const char *path) {
  nc_error_id id = NC_E_OS;
  if (code == ENOENT) id = NC_E_KEYRING_MISSING;
  if (code == ELOOP || code == ENOTDIR) id = NC_E_KEYRING_KIND;
  if (code == EACCES || code == EPERM) id = NC_E_KMS_DENIED;
  if (code == ENOSPC || code == EDQUOT) id = NC_E_OS_NO_SPACE;
  if (code == EROFS) id = NC_E_OS_READ_ONLY;
  nacre_status status = nc_fail(err, id, "%s %.200s: %s", doing, path, strerror(code));
  if (err != NULL) err->os_errno = code;
  return nc_fail_in(err, status, path, 0);
}

static void close_fd(const int *fd) {
  if (*fd >= 0) close(*fd);
}
#define CLOSED_FD(name) __attribute__((cleanup(close_fd))) int name

/* Never a standard stream's descriptor: a host that closed its own might print into the keyring. */
static int open_lifted(const char *path, int flags) {
  int fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY, 0600);
  if (fd < 0 || fd >= FIRST_FD) return fd;
  int lifted = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);
  int code = errno;
  close(fd);
  errno = code;
  return lifted;
}

static nacre_status check_mode(int fd, const char *path, nacre_error *err) {
  struct stat info;
  if (fstat(fd, &info) != 0) return file_fail(err, errno, "looking at", path);
  if (!S_ISREG(info.st_mode)) return nc_fail(err, NC_E_KEYRING_KIND, "%.200s", path);
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return nc_fail(err, NC_E_KEYRING_MODE, "%.200s has mode %04o", path, (unsigned)info.st_mode & 07777u);
  }
  if (info.st_uid != geteuid()) {
    return nc_fail(err, NC_E_KEYRING_MODE, "%.200s belongs to user %lu", path, (unsigned long)info.st_uid);
  }
  return NACRE_OK;
}

static nacre_status read_all(int fd, const char *path, uint8_t *bytes, size_t capacity, size_t *ret_size,
                             nacre_error *err) {
  size_t done = 0;
  while (done < capacity) {
    ssize_t got = read(fd, bytes + done, capacity - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return file_fail(err, errno, "reading", path);
    if (got == 0) break;
    done += (size_t)got;
  }
  *ret_size = done;
  return NACRE_OK;
}

static nacre_status write_all(int fd, const char *path, const uint8_t *bytes, size_t size, nacre_error *err) {
  size_t done = 0;
  while (done < size) {
    ssize_t put = write(fd, bytes + done, size - done);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return file_fail(err, put == 0 ? EIO : errno, "writing", path);
    done += (size_t)put;
  }
  if (fsync(fd) != 0) return file_fail(err, errno, "syncing", path);
  return NACRE_OK;
}

static nacre_status read_keyring(const char *path, workspace *work, nacre_error *err) {
  size_t size = 0;
  CLOSED_FD(fd) = open_lifted(path, O_RDONLY | O_NONBLOCK);
  if (fd < 0) return file_fail(err, errno, "opening", path);
  NC_TRY(check_mode(fd, path, err));
  NC_TRY(read_all(fd, path, work->bytes, sizeof work->bytes, &size, err));
  nacre_status status = nc_keyring_decode((nacre_slice){work->bytes, size}, &work->ring, err);
  if (status != NACRE_OK) return nc_fail_in(err, status, path, 0);
  if (work->ring.key_count == 0) return nc_fail(err, NC_E_KEYRING_NO_KEY, "%.200s is empty", path);
  return NACRE_OK;
}

/* ---- first use ----------------------------------------------------------------------------------------- */

/* Makes a name in a directory durable. */
static nacre_status sync_parent(const char *path, nacre_error *err) {
  char parent[PATH_BYTES];
  NC_TRY(join(parent, sizeof parent, path, "", err));
  char *slash = strrchr(parent, '/');
  if (slash == parent) slash[1] = 0;
  if (slash != NULL && slash != parent) *slash = 0;
  int code = 0;
  CLOSED_FD(fd) = open_lifted(slash == NULL ? "." : parent, O_RDONLY | O_DIRECTORY);
  if (fd < 0 || fsync(fd) != 0) code = errno;
  return code == 0 ? NACRE_OK : file_fail(err, code, "syncing the directory of", path);
}

/* Makes the directories that lead to a path, each durable before the next. */
static nacre_status make_parents(const char *path, nacre_error *err) {
  char part[PATH_BYTES];
  NC_TRY(join(part, sizeof part, path, "", err));
  for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    if (mkdir(part, 0700) == 0) {
      NC_TRY(sync_parent(part, err));
    } else if (errno != EEXIST) {
      return file_fail(err, errno, "making", part);
    }
    *slash = '/';
  }
  return NACRE_OK;
}

static nacre_status fill_new_ring(nc_env *env, workspace *work, nacre_error *err) {
  nc_root_key *root = &work->ring.keys[0];
  work->ring.key_count = 1;
  root->created_ms = env->io->wall_ms(env->io->context);
  NC_TRY(nc_random_uuid(&root->id, err));
  return nc_random(root->key, sizeof root->key, err);
}

/* Writes the ring aside and links it to its name. NACRE_OK also when another process was first. */
static nacre_status publish(const char *path, const char *aside, workspace *work, nacre_error *err) {
  size_t size = nc_keyring_encode(&work->ring, work->bytes);
  CLOSED_FD(fd) = open_lifted(aside, O_WRONLY | O_CREAT | O_EXCL);
  if (fd < 0) return file_fail(err, errno, "making", aside);
  nacre_status status = write_all(fd, aside, work->bytes, size, err);
  if (status == NACRE_OK && link(aside, path) != 0 && errno != EEXIST) {
    status = file_fail(err, errno, "naming", path);
  }
  unlink(aside); /* a crash before this leaves a file that nothing looks at */
  return status;
}

static nacre_status create_keyring(nc_env *env, const char *path, workspace *work, nacre_error *err) {
  char aside[PATH_BYTES], suffix[1 + NC_UUID_TEXT_BYTES];
  nc_uuid unique;
  NC_TRY(nc_random_uuid(&unique, err));
  suffix[0] = '.';
  nc_uuid_format(&unique, suffix + 1);
  NC_TRY(join(aside, sizeof aside, path, suffix, err));
  NC_TRY(make_parents(path, err));
  NC_TRY(fill_new_ring(env, work, err));
  NC_TRY(publish(path, aside, work, err));
  nc_wipe(work, sizeof *work);
  return read_keyring(path, work, err); /* the winner's, which need not be this one */
}

static nacre_status load_keyring(nc_env *env, const nacre_kms_call *call, bool may_create, workspace *work,
                                 nacre_error *err) {
  char path[PATH_BYTES];
  NC_TRY(keyring_path(call->key.uri, path, sizeof path, err));
  nacre_status status = read_keyring(path, work, err);
  if (!may_create) return status;
  if (status != NACRE_OK && (err == NULL || err->id != NC_E_KEYRING_MISSING)) return status;
  if (status != NACRE_OK) NC_TRY(create_keyring(env, path, work, err));
  /* Also for a keyring that was found: the process that made it may have died before this. */
  return sync_parent(path, err);
}

/* ---- wrapping ------------------------------------------------------------------------------------------ */

static nacre_status root_aead(nc_env *env, const nc_root_key *root, const nc_local_wrap *wrap, bool sealing,
                              nc_secret *derived, nc_aead **ret_aead, nacre_error *err) {
  nacre_slice salt = {wrap->salt, sizeof wrap->salt};
  NC_TRY(nc_derive(env, root->key, NC_LABEL_WRAP, salt, derived->bytes, WRAP_KEY_BYTES, err));
  return nc_aead_create(env, derived->bytes, sealing, ret_aead, err);
}

static nacre_status wrap_under(nc_env *env, const nc_root_key *root, nacre_slice context, const uint8_t *key,
                               nc_local_wrap *wrap, nacre_error *err) {
  nc_aead *aead;
  NC_SECRET(derived);
  wrap->key_id = root->id;
  NC_TRY(nc_random(wrap->salt, sizeof wrap->salt, err));
  NC_TRY(root_aead(env, root, wrap, true, &derived, &aead, err));
  nacre_slice plaintext = {key, NACRE_KMS_KEY_BYTES};
  nacre_status status = nc_aead_seal(aead, derived.bytes + NC_AEAD_KEY_BYTES, context, plaintext,
                                     wrap->ciphertext, wrap->tag, err);
  nc_aead_destroy(aead);
  return status;
}

static nacre_status unwrap_under(nc_env *env, const nc_root_key *root, nacre_slice context,
                                 const nc_local_wrap *wrap, uint8_t *ret_key, nacre_error *err) {
  nc_aead *aead;
  NC_SECRET(derived);
  NC_TRY(root_aead(env, root, wrap, false, &derived, &aead, err));
  nacre_slice ciphertext = {wrap->ciphertext, sizeof wrap->ciphertext};
  nacre_status status =
      nc_aead_open(aead, derived.bytes + NC_AEAD_KEY_BYTES, context, ciphertext, wrap->tag, ret_key, err);
  nc_aead_destroy(aead);
  return status == NACRE_TAMPERED ? nc_fail(err, NC_E_KEYRING_WRAP, NULL) : status;
}

static nacre_status local_wrap(void *arg, const nacre_kms_call *call, const uint8_t key[32], uint8_t *wrapped,
                               size_t capacity, size_t *ret_size, nacre_error *err) {
  nc_env *env = arg;
  nc_local_wrap wrap;
  if (capacity < NC_LOCAL_WRAP_BYTES) return nc_fail(err, NC_E_FRAME_BUFFER, "%zu bytes", capacity);
  workspace *work = nc_heap_alloc(env->heap, sizeof *work);
  if (work == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = load_keyring(env, call, call->may_create, work, err);
  if (status == NACRE_OK) {
    const nc_root_key *root = &work->ring.keys[work->ring.key_count - 1];
    status = wrap_under(env, root, call->context, key, &wrap, err);
  }
  nc_heap_free(env->heap, work, sizeof *work);
  if (status != NACRE_OK) return status;
  nc_local_wrap_encode(&wrap, wrapped);
  *ret_size = NC_LOCAL_WRAP_BYTES;
  return NACRE_OK;
}

static const nc_root_key *find_root(const nc_keyring *ring, const nc_uuid *id) {
  for (uint32_t i = 0; i < ring->key_count; i++) {
    if (nc_uuid_equal(&ring->keys[i].id, id)) return &ring->keys[i];
  }
  return NULL;
}

static nacre_status local_unwrap(void *arg, const nacre_kms_call *call, nacre_slice wrapped,
                                 uint8_t ret_key[32], nacre_error *err) {
  nc_env *env = arg;
  nc_local_wrap wrap;
  if (!nc_local_wrap_decode(wrapped, &wrap)) {
    return nc_fail(err, NC_E_KMS_KEY_MISSING, "the wrapped key was not made by a keyring");
  }
  workspace *work = nc_heap_alloc(env->heap, sizeof *work);
  if (work == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = load_keyring(env, call, false, work, err);
  if (status == NACRE_OK) {
    const nc_root_key *root = find_root(&work->ring, &wrap.key_id);
    char id[NC_UUID_TEXT_BYTES];
    nc_uuid_format(&wrap.key_id, id);
    status = root == NULL ? nc_fail(err, NC_E_KEYRING_NO_KEY, "%s holds no key %s", call->key.uri, id)
                          : unwrap_under(env, root, call->context, &wrap, ret_key, err);
  }
  nc_heap_free(env->heap, work, sizeof *work);
  return status;
}

const nacre_kms_provider *nc_kms_local(void) {
  static const nacre_kms_provider local = {.scheme = scheme, .wrap = local_wrap, .unwrap = local_unwrap};
  return &local;
}
