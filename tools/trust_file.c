/* SPDX-License-Identifier: Apache-2.0
 *
 * trust_file: reading and replacing the user's trust file; see trust_file.h.
 */
#include "trust_file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "exit_status.h"

enum { FILE_VERSION = 1, FILE_BYTES_MAX = 16 * 1024 * 1024, NAME_BYTES = TOOL_TRUST_PATH_BYTES + 16 };

static nacre_status fail(nacre_error *err, nacre_status status, const char *path, const char *text) {
  *err = (nacre_error){.status = status, .offset = NACRE_NONE};
  tool_text_fit(err->file, sizeof err->file, path);
  (void)snprintf(err->text, sizeof err->text, "%s", text);
  return status;
}

static nacre_status fail_errno(nacre_error *err, int code, const char *doing, const char *path) {
  char text[256];
  (void)snprintf(text, sizeof text, "cannot %s the trust file: %s", doing, strerror(code));
  nacre_status status = code == EACCES || code == EPERM ? NACRE_KEY_DENIED : tool_errno_status(code);
  (void)fail(err, status == NACRE_NOT_FOUND ? NACRE_IO : status, path, text);
  err->os_errno = code;
  return err->status;
}

static nacre_status damaged(nacre_error *err, const char *path, const char *what) {
  char text[376];
  (void)snprintf(
      text, sizeof text,
      "the trust file is damaged: %.240s; mend it, or move it away and name each store's key once with --key",
      what);
  return fail(err, NACRE_CORRUPT, path, text);
}

bool tool_trust_path(char path[TOOL_TRUST_PATH_BYTES]) {
  static const char suffix[] = ".trust";
  return nacre_keyring_path("local:", path, TOOL_TRUST_PATH_BYTES - sizeof suffix) == NACRE_OK &&
         strcat(path, suffix) != NULL;
}

/* ---- what it says -------------------------------------------------------------------------------------- */

static bool hexadecimal(const char *text, size_t size) {
  return strlen(text) == size && strspn(text, "0123456789abcdef") == size;
}

static bool is_uuid(const char *text) {
  return strlen(text) == 36 && strspn(text, "0123456789abcdef-") == 36;
}

static bool text_sound(const json_t *text, size_t size_min) {
  return json_is_string(text) && json_string_length(text) >= size_min &&
         json_string_length(text) <= NACRE_KEY_URI_BYTES_MAX &&
         strlen(json_string_value(text)) == json_string_length(text);
}

/* A misspelt member would otherwise be a setting that is silently not kept. */
static bool key_sound(const json_t *key) {
  const json_t *region = json_object_get(key, "region"), *principal = json_object_get(key, "principal");
  size_t members = 1u + (region != NULL) + (principal != NULL);
  return json_is_object(key) && text_sound(json_object_get(key, "uri"), 1) &&
         (region == NULL || text_sound(region, 1)) && (principal == NULL || text_sound(principal, 1)) &&
         json_object_size(key) == members;
}

static bool entry_sound(const char *store, const json_t *entry) {
  const json_t *commitment = json_object_get(entry, "commitment");
  return is_uuid(store) && json_is_object(entry) && json_object_size(entry) == 2 &&
         json_is_string(commitment) &&
         hexadecimal(json_string_value(commitment), TOOL_COMMITMENT_TEXT_BYTES - 1) &&
         key_sound(json_object_get(entry, "key"));
}

static nacre_status check(json_t *root, const char *path, nacre_error *err) {
  const json_t *version = json_object_get(root, "nacre_trust");
  json_t *stores = json_object_get(root, "stores"), *entry;
  const char *store;
  if (!json_is_integer(version)) return damaged(err, path, "it is not one that nacre has written");
  if (json_integer_value(version) != FILE_VERSION)
    return fail(err, NACRE_UNSUPPORTED, path,
                "the trust file was written by a later version of nacre; use that");
  if (!json_is_object(stores) || json_object_size(root) != 2)
    return damaged(err, path, "it has no list of stores");
  json_object_foreach(stores, store, entry) {
    char what[128];
    (void)snprintf(what, sizeof what, "its entry \"%.60s\" is not one of a store, a key and a commitment",
                   store);
    if (!entry_sound(store, entry)) return damaged(err, path, what);
  }
  return NACRE_OK;
}

/* ---- reading ------------------------------------------------------------------------------------------- */

static nacre_status check_mode(int fd, const char *path, nacre_error *err) {
  struct stat info;
  if (fstat(fd, &info) != 0) return fail_errno(err, errno, "look at", path);
  if (!S_ISREG(info.st_mode)) return fail(err, NACRE_KEY_DENIED, path, "the trust file is not a plain file");
  if ((info.st_mode & (S_IRWXG | S_IRWXO)) == 0 && info.st_uid == geteuid()) return NACRE_OK;
  return fail(
      err, NACRE_KEY_DENIED, path,
      "the trust file may be used by others; look whether it is as you left it, then make it yours alone: "
      "mode 0600, your own user");
}

static nacre_status slurp(int fd, const char *path, bytes *to, nacre_error *err) {
  for (;;) {
    tool_bytes_reserve(to, 65536);
    ssize_t got = read(fd, to->data + to->size, 65536);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno(err, errno, "read", path);
    if (got == 0) return NACRE_OK;
    to->size += (size_t)got;
    if (to->size > FILE_BYTES_MAX) return damaged(err, path, "it is too large");
  }
}

static nacre_status parse(const bytes *text, const char *path, json_t **ret_root, nacre_error *err) {
  json_error_t error;
  char what[256];
  json_t *root = json_loadb((const char *)text->data, text->size, JSON_REJECT_DUPLICATES, &error);
  if (root == NULL) {
    (void)snprintf(what, sizeof what, "line %d: %.160s", error.line, error.text);
    return damaged(err, path, what);
  }
  nacre_status status = check(root, path, err);
  if (status == NACRE_OK) {
    *ret_root = root;
  } else {
    json_decref(root);
  }
  return status;
}

/* `*ret_root` is NULL when there is no file. */
static nacre_status load(const char *path, json_t **ret_root, nacre_error *err) {
  bytes text = {0};
  *ret_root = NULL;
  int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) return NACRE_OK;
  if (fd < 0 && errno == ELOOP)
    return fail(err, NACRE_KEY_DENIED, path, "the trust file is not a plain file");
  if (fd < 0) return fail_errno(err, errno, "open", path);
  nacre_status status = check_mode(fd, path, err);
  if (status == NACRE_OK) status = slurp(fd, path, &text, err);
  (void)close(fd);
  if (status == NACRE_OK) status = parse(&text, path, ret_root, err);
  tool_bytes_free(&text);
  return status;
}

static const char *member(const json_t *key, const char *name) {
  return json_string_value(json_object_get(key, name));
}

/* The strings outlive the JSON in one block. */
static void fill(trust_entry *entry, const char *store, const json_t *from) {
  static const char *const names[] = {"uri", "region", "principal"};
  const char **const to[] = {&entry->key.uri, &entry->key.region, &entry->key.principal};
  const json_t *key = json_object_get(from, "key");
  size_t size = 0;
  for (size_t i = 0; i < 3; i++)
    size += member(key, names[i]) == NULL ? 0 : strlen(member(key, names[i])) + 1;
  char *at = entry->copy = tool_alloc(size);
  for (size_t i = 0; i < 3; i++) {
    const char *text = member(key, names[i]);
    if (text == NULL) continue;
    *to[i] = at;
    at = stpcpy(at, text) + 1;
  }
  tool_text_fit(entry->store, sizeof entry->store, store);
  tool_text_fit(entry->commitment, sizeof entry->commitment, member(from, "commitment"));
}

nacre_status tool_trust_find(const char *store, trust_entry *ret_entry, bool *ret_found, nacre_error *err) {
  char path[TOOL_TRUST_PATH_BYTES];
  json_t *root = NULL;
  *ret_found = false;
  *ret_entry = (trust_entry){0};
  if (!tool_trust_path(path)) return NACRE_OK;
  nacre_status status = load(path, &root, err);
  const json_t *entry = json_object_get(json_object_get(root, "stores"), store);
  if (status == NACRE_OK && entry != NULL) {
    fill(ret_entry, store, entry);
    *ret_found = true;
  }
  json_decref(root);
  return status;
}

void tool_trust_entry_free(trust_entry *entry) {
  free(entry->copy);
  *entry = (trust_entry){0};
}

/* ---- replacing ----------------------------------------------------------------------------------------- */

/* The directories that lead to the file, as a keyring's first use makes them. */
static nacre_status make_parents(const char *path, nacre_error *err) {
  char part[TOOL_TRUST_PATH_BYTES];
  tool_text_fit(part, sizeof part, path);
  for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    if (mkdir(part, 0700) != 0 && errno != EEXIST)
      return fail_errno(err, errno, "make the directory of", path);
    *slash = '/';
  }
  return NACRE_OK;
}

static nacre_status write_aside(const char *aside, const char *text, nacre_error *err) {
  int code = 0;
  (void)unlink(aside); /* what a crash left; the lock is held */
  int fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (fd < 0) return fail_errno(err, errno, "write", aside);
  for (size_t size = strlen(text); size > 0 && code == 0;) {
    ssize_t put = write(fd, text, size);
    if (put < 0 && errno != EINTR) code = errno;
    if (put <= 0) continue;
    text += put;
    size -= (size_t)put;
  }
  if (code == 0 && fsync(fd) != 0) code = errno;
  if (close(fd) != 0 && code == 0) code = errno;
  if (code == 0) return NACRE_OK;
  (void)unlink(aside);
  return fail_errno(err, code, "write", aside);
}

static nacre_status sync_parent(const char *path, nacre_error *err) {
  char parent[TOOL_TRUST_PATH_BYTES];
  tool_text_fit(parent, sizeof parent, path);
  char *slash = strrchr(parent, '/');
  if (slash != NULL) slash[slash == parent ? 1 : 0] = 0;
  int fd = open(slash == NULL ? "." : parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int code = fd >= 0 && fsync(fd) == 0 ? 0 : errno;
  if (fd >= 0) (void)close(fd);
  return code == 0 ? NACRE_OK : fail_errno(err, code, "sync the directory of", path);
}

static nacre_status replace(const char *path, const json_t *root, nacre_error *err) {
  char aside[NAME_BYTES];
  (void)snprintf(aside, sizeof aside, "%s.new", path);
  char *text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
  if (text == NULL) return fail(err, NACRE_NO_MEMORY, path, "no memory to write the trust file");
  bytes lines = {0};
  tool_bytes_add_text(&lines, text);
  tool_bytes_add_byte(&lines, '\n');
  nacre_status status = write_aside(aside, tool_bytes_text(&lines), err);
  tool_bytes_free(&lines);
  free(text);
  if (status != NACRE_OK) return status;
  if (rename(aside, path) != 0) return fail_errno(err, errno, "replace", path);
  return sync_parent(path, err);
}

/* Member by member, since an URI that is not UTF-8 has no JSON form. */
static json_t *json_of(const trust_entry *entry) {
  json_t *key = json_object(), *object = json_object();
  int failed = json_object_set_new(key, "uri", json_string(entry->key.uri));
  if (entry->key.region != NULL) failed |= json_object_set_new(key, "region", json_string(entry->key.region));
  if (entry->key.principal != NULL)
    failed |= json_object_set_new(key, "principal", json_string(entry->key.principal));
  failed |= json_object_set_new(object, "key", key);
  failed |= json_object_set_new(object, "commitment", json_string(entry->commitment));
  if (failed == 0) return object;
  json_decref(object);
  return NULL;
}

static nacre_status put_locked(const char *path, const trust_entry *entry, nacre_error *err) {
  json_t *root = NULL, *made = json_of(entry);
  if (made == NULL)
    return fail(err, NACRE_INVALID, path, "the key's URI is not UTF-8, so it cannot be kept there");
  nacre_status status = load(path, &root, err);
  if (status == NACRE_OK && root == NULL)
    root = json_pack("{s:i,s:{}}", "nacre_trust", FILE_VERSION, "stores");
  if (status == NACRE_OK) {
    json_object_set(json_object_get(root, "stores"), entry->store, made);
    status = replace(path, root, err);
  }
  json_decref(made);
  json_decref(root);
  return status;
}

nacre_status tool_trust_put(const trust_entry *entry, nacre_error *err) {
  char path[TOOL_TRUST_PATH_BYTES], lock_path[NAME_BYTES];
  if (!tool_trust_path(path))
    return fail(err, NACRE_NOT_FOUND, "",
                "the environment names no place for a trust file: set NACRE_KEYRING");
  nacre_status status = make_parents(path, err);
  if (status != NACRE_OK) return status;
  (void)snprintf(lock_path, sizeof lock_path, "%s.lock", path);
  int lock = open(lock_path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600), locked = -1;
  if (lock >= 0) {
    do locked = flock(lock, LOCK_EX);
    while (locked != 0 && errno == EINTR);
  }
  status = locked == 0 ? put_locked(path, entry, err) : fail_errno(err, errno, "lock", lock_path);
  if (lock >= 0) (void)close(lock);
  return status;
}
