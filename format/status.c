/* SPDX-License-Identifier: Apache-2.0
 *
 * status: the table of errors.def, and the one place where an error's text is put together.
 */
#include "status.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const nc_error_info error_infos[] = {
#define NC_ERROR(id, name, status, sentence, remedy) {NC_E_##name, #name, status, sentence, remedy},
#include "errors.def"
#undef NC_ERROR
};

const nc_error_info *nc_error_info_at(size_t index) {
  return index < sizeof error_infos / sizeof error_infos[0] ? &error_infos[index] : NULL;
}

/* Ids ascend. */
const nc_error_info *nc_error_info_of(uint32_t id) {
  size_t low = 0, high = sizeof error_infos / sizeof error_infos[0];
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if ((uint32_t)error_infos[middle].id < id)
      low = middle + 1;
    else
      high = middle;
  }
  const nc_error_info *info = nc_error_info_at(low);
  return info != NULL && (uint32_t)info->id == id ? info : NULL;
}

void nc_error_clear(nacre_error *err) {
  if (err == NULL) return;
  memset(err, 0, sizeof *err);
  err->offset = NACRE_NONE;
}

/* Appends what fits; the text always stays terminated. */
__attribute__((format(printf, 2, 0))) static void append_list(nacre_error *err, const char *format,
                                                              va_list list) {
  size_t used = strlen(err->text);
  (void)vsnprintf(err->text + used, sizeof err->text - used, format, list);
}

__attribute__((format(printf, 2, 3))) static void append(nacre_error *err, const char *format, ...) {
  va_list list;
  va_start(list, format);
  append_list(err, format, list);
  va_end(list);
}

static void start(nacre_error *err, const nc_error_info *info, uint64_t offset) {
  nc_error_clear(err);
  err->status = info->status;
  err->id = (uint32_t)info->id;
  err->offset = offset;
}

static size_t append_plainly(nacre_error *err, size_t used, const char *text) {
  size_t size = strlen(text), room = sizeof err->text - 1 - used;
  if (size > room) size = room;
  memcpy(err->text + used, text, size);
  return used + size;
}

/* Without particulars nothing is formatted, for that takes longer than to find that a key is missing. */
static nacre_status fail_plainly(nacre_error *err, const nc_error_info *info, uint64_t offset) {
  start(err, info, offset);
  size_t used = append_plainly(err, 0, info->sentence);
  used = append_plainly(err, used, "; ");
  (void)append_plainly(err, used, info->remedy);
  return info->status;
}

/* Builds the error aside: the particulars may quote the one that it replaces. */
__attribute__((format(printf, 4, 0))) static nacre_status fail(nacre_error *err, nc_error_id id,
                                                               uint64_t offset, const char *particulars,
                                                               va_list list) {
  const nc_error_info *info = nc_error_info_of((uint32_t)id);
  assert(info != NULL);
  if (err == NULL) return info->status;
  if (particulars == NULL) return fail_plainly(err, info, offset);
  nacre_error built;
  start(&built, info, offset);
  append(&built, "%s: ", info->sentence);
  append_list(&built, particulars, list);
  append(&built, "; %s", info->remedy);
  *err = built;
  explicit_bzero(&built, sizeof built); /* the particulars may be user data: one copy of them is the caller's */
  return info->status;
}

nacre_status nc_fail(nacre_error *err, nc_error_id id, const char *particulars, ...) {
  va_list list;
  va_start(list, particulars);
  nacre_status status = fail(err, id, NACRE_NONE, particulars, list);
  va_end(list);
  return status;
}

nacre_status nc_fail_at(nacre_error *err, nc_error_id id, uint64_t offset, const char *particulars, ...) {
  va_list list;
  va_start(list, particulars);
  nacre_status status = fail(err, id, offset, particulars, list);
  va_end(list);
  return status;
}

nacre_status nc_fail_in(nacre_error *err, nacre_status status, const char *file, uint64_t base) {
  if (status == NACRE_OK || err == NULL || err->file[0] != '\0') return status;
  (void)snprintf(err->file, sizeof err->file, "%s", file);
  if (err->offset != NACRE_NONE) err->offset += base;
  return status;
}

const char *nacre_status_name(nacre_status status) {
  switch (status) {
#define NAME(value) \
  case value:       \
    return #value;
    NAME(NACRE_OK)
    NAME(NACRE_NOT_FOUND)
    NAME(NACRE_EXISTS)
    NAME(NACRE_INVALID)
    NAME(NACRE_TOO_LARGE)
    NAME(NACRE_BUSY)
    NAME(NACRE_CONFLICT)
    NAME(NACRE_UNSUPPORTED)
    NAME(NACRE_CANCELLED)
    NAME(NACRE_IO)
    NAME(NACRE_NO_SPACE)
    NAME(NACRE_NO_MEMORY)
    NAME(NACRE_LOCKED)
    NAME(NACRE_READ_ONLY)
    NAME(NACRE_FORKED)
    NAME(NACRE_CORRUPT)
    NAME(NACRE_TAMPERED)
    NAME(NACRE_ROLLED_BACK)
    NAME(NACRE_KEY_MISSING)
    NAME(NACRE_KEY_DENIED)
    NAME(NACRE_KEY_UNREACHABLE)
    NAME(NACRE_KEY_REVOKED)
#undef NAME
  }
  return "NACRE_UNKNOWN";
}

const char *nacre_version(void) { return NACRE_VERSION; }
