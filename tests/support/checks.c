/* SPDX-License-Identifier: Apache-2.0
 *
 * checks: see checks.h. A failed check aborts: Criterion reports the test as crashed, below the line that is printed
 * here.
 */
#include "checks.h"

#include <stdio.h>
#include <stdlib.h>

void check_true(bool condition, const char *what, const char *file, int line) {
  if (condition) return;
  fprintf(stderr, "%s:%d: %s does not hold\n", file, line, what);
  abort();
}

void check_ok(nacre_status status, const nacre_error *err, const char *call, const char *file, int line) {
  if (status == NACRE_OK) return;
  fprintf(stderr, "%s:%d: %s: %s %u: %s [%s]\n", file, line, call, nacre_status_name(status), err->id,
          err->text, err->file);
  abort();
}

void check_id(nacre_status status, const nacre_error *err, uint32_t id, const char *call, const char *file,
              int line) {
  const nc_error_info *wanted = nc_error_info_of(id);
  if (wanted != NULL && status == wanted->status && err->id == id && err->status == status) return;
  fprintf(stderr, "%s:%d: %s: %s %u (%s) instead of %s\n", file, line, call, nacre_status_name(status),
          err->id, err->text, wanted == NULL ? "?" : wanted->name);
  abort();
}

uint8_t *file_load(const char *path, size_t *ret_size) {
  FILE *file = fopen(path, "rb");
  require(file != NULL && fseek(file, 0, SEEK_END) == 0);
  size_t size = (size_t)ftell(file);
  rewind(file);
  uint8_t *bytes = malloc(size + 1);
  require(bytes != NULL && fread(bytes, 1, size, file) == size);
  fclose(file);
  *ret_size = size;
  return bytes;
}
