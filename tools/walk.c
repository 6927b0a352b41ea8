/* SPDX-License-Identifier: Apache-2.0
 *
 * walk: opening a file, its kind and its head; see walk.h. The frames are in walk_frames.c.
 */
#include "walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "walk_window.h"

const char *tool_walk_kind_name(walk_kind kind) {
  switch (kind) {
    case WALK_SEALED:
      return "sealed file";
    case WALK_CURRENT:
      return "CURRENT";
    case WALK_KEY_FILE:
      return "key file";
    case WALK_KEYRING:
      return "keyring";
    case WALK_LOCK:
      return "lock";
    case WALK_LEFTOVER:
      return "leftover";
    case WALK_UNKNOWN:
      break;
  }
  return "unknown";
}

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == NULL ? path : slash + 1;
}

bool tool_walk_name(const char *path, uint64_t *ret_number, uint8_t *ret_file_type) {
  const char *name = base_name(path);
  char *end = NULL;
  if (strspn(name, "0123456789") != 20) return false;
  errno = 0;
  unsigned long long number = strtoull(name, &end, 10);
  if (errno != 0) return false;
  uint8_t type = 0;
  if (strcmp(end, ".seg") == 0) type = NC_FILE_SEGMENT;
  if (strcmp(end, ".log") == 0) type = NC_FILE_LOG;
  if (strcmp(end, ".man") == 0) type = NC_FILE_MANIFEST;
  if (strcmp(end, ".val") == 0) type = NC_FILE_VALUE;
  if (type == 0) return false;
  *ret_number = number;
  *ret_file_type = type;
  return true;
}

static walk_kind kind_by_name(const char *path) {
  const char *name = base_name(path);
  uint64_t number = 0;
  uint8_t type = 0;
  if (strcmp(name, "LOCK") == 0) return WALK_LOCK;
  if (strcmp(name, "CURRENT") == 0) return WALK_CURRENT;
  if (strcmp(name, "KEYS.a") == 0 || strcmp(name, "KEYS.b") == 0) return WALK_KEY_FILE;
  return tool_walk_name(path, &number, &type) ? WALK_SEALED : WALK_UNKNOWN;
}

static bool is_leftover(const char *path) {
  size_t size = strlen(path);
  return size >= 4 && strcmp(path + size - 4, ".tmp") == 0;
}

/* What the file begins as, or else (its first bytes may be the damage) what its name says it is. */
static walk_kind kind_of(walk *w, const char *path) {
  static const struct {
    char name[3];
    walk_kind kind;
  } magics[] = {{"RE", WALK_SEALED}, {"CU", WALK_CURRENT}, {"KE", WALK_KEY_FILE}, {"KR", WALK_KEYRING}};
  if (is_leftover(path)) return WALK_LEFTOVER;
  for (uint64_t at = 0; at <= NC_SLOT_BYTES; at += NC_SLOT_BYTES) {
    const uint8_t *p = tool_window_at(w, at, 8);
    for (size_t i = 0; p != NULL && i < sizeof magics / sizeof magics[0]; i++) {
      uint8_t magic[8] = {0x89, 'N', 'A', 'C', (uint8_t)magics[i].name[0], (uint8_t)magics[i].name[1],
                          0x0D, 0x0A};
      bool here = at == 0 || magics[i].kind == WALK_SEALED; /* only a sealed file has a second head */
      if (here && memcmp(p, magic, sizeof magic) == 0) return magics[i].kind;
    }
  }
  return kind_by_name(path);
}

int tool_walk_open(walk *w, int dir_fd, const char *path, const char *label, bool follow) {
  struct stat info;
  *w = (walk){.fd = -1, .pick = -1};
  /* O_NONBLOCK: opening a FIFO must not wait for a writer, nor a device for its medium. */
  int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (follow ? 0 : O_NOFOLLOW));
  if (fd < 0) return errno;
  int os_errno = fstat(fd, &info) != 0   ? errno
                 : S_ISREG(info.st_mode) ? 0
                 : S_ISDIR(info.st_mode) ? EISDIR
                                         : EINVAL;
  if (os_errno != 0) {
    close(fd);
    return os_errno;
  }
  w->fd = fd;
  w->size = (uint64_t)info.st_size;
  w->search_budget = w->size > NC_FILE_BYTES_MAX ? NACRE_NONE : w->size * WALK_SEARCH_FACTOR;
  tool_text_fit(w->label, sizeof w->label, label);
  w->window = tool_alloc(w->size < WALK_WINDOW_BYTES ? (size_t)w->size + 1 : WALK_WINDOW_BYTES);
  w->kind = kind_of(w, path);
  uint64_t number = 0;
  (void)tool_walk_name(path, &number, &w->file_type);
  return 0;
}

void tool_walk_close(walk *w) {
  if (w->fd >= 0) close(w->fd);
  free(w->window);
  free(w->key_file);
  free(w->content);
  *w = (walk){.fd = -1, .pick = -1};
}

void tool_walk_fault(walk *w, nacre_error *fault) {
  w->fault_count++;
  memcpy(fault->file, w->label, sizeof fault->file);
  if (w->visitor.fault != NULL) w->visitor.fault(w->visitor.arg, fault);
}

/* Equal but for their index, that is. */
static bool slots_equal(const nc_header_slot *a, const nc_header_slot *b) {
  uint8_t bytes_a[NC_SLOT_BYTES], bytes_b[NC_SLOT_BYTES];
  nc_header_slot one = *a, other = *b;
  one.index = other.index = 0;
  nc_header_encode(&one, bytes_a);
  nc_header_encode(&other, bytes_b);
  return memcmp(bytes_a, bytes_b, sizeof bytes_a) == 0;
}

static void sealed_head(walk *w) {
  for (uint8_t i = 0; i < NC_SLOT_COUNT; i++) {
    uint64_t at = (uint64_t)i * NC_SLOT_BYTES;
    uint64_t left = w->size > at ? w->size - at : 0;
    size_t size = left < NC_SLOT_BYTES ? (size_t)left : NC_SLOT_BYTES;
    const uint8_t *p = tool_window_at(w, at, size);
    nacre_error *err = &w->slot_errors[i];
    w->slot_good[i] = nc_header_decode(nc_slice(p == NULL ? (const void *)"" : p, p == NULL ? 0 : size), i,
                                       &w->slots[i], err) == NACRE_OK;
    if (w->slot_good[i]) continue;
    (void)nc_fail_in(err, err->status, w->label, at);
    if (err->offset == NACRE_NONE) err->offset = at;
    tool_walk_fault(w, err);
  }
  if (w->slot_good[0] || w->slot_good[1]) {
    bool second = !w->slot_good[0] || (w->slot_good[1] && w->slots[1].sequence > w->slots[0].sequence);
    w->pick = second ? 1 : 0;
    w->file_type = (uint8_t)w->slots[w->pick].identity.type;
  }
  if (!w->slot_good[0] || !w->slot_good[1]) return;
  w->slots_equal = slots_equal(&w->slots[0], &w->slots[1]);
  if (w->slots_equal) return;
  nacre_error err;
  (void)nc_fail_at(&err, NC_E_HEADER_SLOTS_DIFFER, NC_SLOT_BYTES, NULL);
  tool_walk_fault(w, &err);
}

static void small_head(walk *w) {
  nacre_error err;
  if (w->size > NC_KEY_FILE_BYTES_MAX) {
    nc_error_id id = w->kind == WALK_CURRENT ? NC_E_CURRENT_SHAPE : NC_E_KEY_FILE_SHAPE;
    (void)nc_fail_at(&err, id, 0, "%llu bytes", (unsigned long long)w->size);
    tool_walk_fault(w, &err);
    return;
  }
  const uint8_t *p = tool_window_at(w, 0, (size_t)w->size);
  w->content_size = p == NULL ? 0 : (size_t)w->size;
  w->content = tool_alloc(w->content_size);
  if (p != NULL) memcpy(w->content, p, w->content_size);
  nacre_slice content = nc_slice(w->content, w->content_size);
  nacre_status status;
  if (w->kind == WALK_CURRENT) {
    status = nc_current_decode(content, &w->current, &err);
  } else {
    size_t body_size = 0;
    w->key_file = tool_alloc(sizeof *w->key_file);
    status = nc_key_file_decode(content, w->key_file, &body_size, &err);
  }
  w->decoded = status == NACRE_OK;
  if (!w->decoded) tool_walk_fault(w, &err);
}

void tool_walk_head(walk *w, const walk_visitor *visitor) {
  w->visitor = *visitor;
  if (w->kind == WALK_SEALED) sealed_head(w);
  if (w->kind == WALK_CURRENT || w->kind == WALK_KEY_FILE) small_head(w);
}
