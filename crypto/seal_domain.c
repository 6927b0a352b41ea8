/* SPDX-License-Identifier: Apache-2.0
 *
 * seal_domain: the public face of sealed files. Immutable but for the count of open files, which is atomic.
 */
#include "seal_domain.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "last_error.h"
#include "sealed_reader.h"

struct nacre_seal_domain {
  nc_env *env;
  nc_table_keys *keys;
  atomic_size_t open_files;
};

struct nacre_sealed_file {
  nacre_seal_domain *domain;
  nc_sealed_reader *reader;
};

nacre_status nc_seal_domain_create(nc_env *env, nc_table_keys *keys, nacre_seal_domain **ret_domain,
                                   nacre_error *err) {
  nacre_seal_domain *domain = calloc(1, sizeof *domain);
  if (domain == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  domain->env = env;
  domain->keys = keys;
  *ret_domain = domain;
  return NACRE_OK;
}

nacre_status nacre_seal_domain_close(nacre_seal_domain *domain) {
  nacre_error *err = nc_thread_error();
  if (domain == NULL) return NACRE_OK;
  if (nc_env_forked(domain->env)) return nc_fail(err, NC_E_SEAL_FORKED, NULL);
  size_t open_files = atomic_load(&domain->open_files);
  if (open_files > 0) return nc_fail(err, NC_E_DOMAIN_BUSY, "%zu", open_files);
  nc_table_keys_unref(domain->keys);
  nc_env_destroy(domain->env);
  free(domain);
  return NACRE_OK;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

/* Cuts a path in two, in place: "a/b" into "a" and "b", "/b" into "/" and "b", "b" into "." and "b". */
static nacre_status split(char *path, const char **ret_dir, const char **ret_name, nacre_error *err) {
  char *slash = strrchr(path, '/');
  const char *name = slash == NULL ? path : slash + 1;
  if (name[0] == 0 || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
    return nc_fail(err, NC_E_SEAL_ARGUMENT, "the path does not end in a file's name");
  }
  *ret_name = name;
  *ret_dir = slash == NULL ? "." : slash == path ? "/" : path;
  if (slash != NULL && slash != path) *slash = 0;
  return NACRE_OK;
}

static nacre_status open_in(nacre_seal_domain *domain, const char *dir_path, const char *name,
                            nc_sealed_reader **ret_reader, nacre_error *err) {
  nc_dir dir;
  NC_TRY(nc_dir_open(domain->env, dir_path, false, &dir, err));
  nacre_status status = nc_sealed_reader_open(&dir, name, domain->keys, NULL, ret_reader, err);
  nc_dir_close(&dir);
  return status;
}

static nacre_status open_path(nacre_seal_domain *domain, const char *path, nc_sealed_reader **ret_reader,
                              nacre_error *err) {
  const char *dir = NULL, *name = NULL;
  char *copy = strdup(path);
  if (copy == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_status status = split(copy, &dir, &name, err);
  if (status == NACRE_OK) status = open_in(domain, dir, name, ret_reader, err);
  free(copy);
  return status;
}

nacre_status nacre_sealed_file_open(nacre_seal_domain *domain, const char *path,
                                    nacre_sealed_file **ret_file) {
  nacre_error *err = nc_thread_error();
  if (domain == NULL || path == NULL || ret_file == NULL)
    return nc_fail(err, NC_E_SEAL_ARGUMENT, "it is NULL");
  if (nc_env_forked(domain->env)) return nc_fail(err, NC_E_SEAL_FORKED, NULL);
  nacre_sealed_file *file = calloc(1, sizeof *file);
  if (file == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  file->domain = domain;
  nacre_status status = open_path(domain, path, &file->reader, err);
  if (status != NACRE_OK) {
    free(file);
    return status;
  }
  atomic_fetch_add(&domain->open_files, 1);
  *ret_file = file;
  return NACRE_OK;
}

void nacre_sealed_file_close(nacre_sealed_file *file) {
  if (file == NULL || nc_env_forked(file->domain->env)) return;
  nc_sealed_reader_close(file->reader);
  atomic_fetch_sub(&file->domain->open_files, 1);
  free(file);
}

/* ---- reading ------------------------------------------------------------------------------------------- */

enum { LOOKS = 3 }; /* at a frame of a log that is on its way: it takes less than a microsecond */

static nacre_status frame_end(const nc_sealed_reader *r, uint64_t offset, nacre_error *err) {
  return nc_fail_in(err, nc_fail_at(err, NC_E_FRAME_END, offset, NULL), nc_sealed_reader_label(r), 0);
}

static bool is_log(const nc_sealed_reader *r) {
  return nc_sealed_reader_header(r)->identity.type == NC_FILE_LOG;
}

/* No whole frame stands there: does the log end there, or did when it was opened? Its writer makes it longer, and cuts
 * off what is behind its frames. [L13] */
static bool log_ends(nc_sealed_reader *r, uint64_t offset, const nacre_error *why) {
  uint64_t end;
  if (!is_log(r)) return false;
  if (why->id == NC_E_FILE_SHORT) return nc_sealed_reader_size(r) - offset >= NC_FRAME_HEADER_BYTES;
  if (why->id == NC_E_FRAME_SHORT) return nc_sealed_reader_has_grown(r);
  return nc_sealed_reader_written(r, nc_sealed_reader_size(r), &end, NULL) == NACRE_OK && offset >= end;
}

/* Where the frame at `offset` ends, by its own header, and how much plaintext it holds. */
static nacre_status measure_once(nc_sealed_reader *r, uint64_t offset, nc_handle *ret_handle,
                                 size_t *ret_plaintext, nacre_error *err) {
  uint8_t bytes[NC_FRAME_HEADER_BYTES];
  nc_frame_header header;
  const char *label = nc_sealed_reader_label(r);
  NC_TRY(nc_sealed_reader_raw(r, offset, bytes, sizeof bytes, err));
  NC_TRY(nc_fail_in(err, nc_frame_decode(bytes, &header, err), label, offset));
  *ret_plaintext = header.ciphertext_size;
  *ret_handle = (nc_handle){offset, (uint32_t)nc_frame_size(header.ciphertext_size)};
  if (ret_handle->size <= nc_sealed_reader_size(r) - offset) return NACRE_OK;
  return nc_fail_in(err, nc_fail_at(err, NC_E_FRAME_SHORT, offset, NULL), label, 0);
}

static nacre_status measure(nc_sealed_reader *r, uint64_t offset, nc_handle *ret_handle,
                            size_t *ret_plaintext, nacre_error *err) {
  nacre_error why;
  for (int i = 0; i < (is_log(r) ? LOOKS : 1); i++) {
    if (measure_once(r, offset, ret_handle, ret_plaintext, &why) == NACRE_OK) return NACRE_OK;
    if (log_ends(r, offset, &why)) return frame_end(r, offset, err);
  }
  return nc_fail_with(err, &why);
}

static nacre_status read_frame(nacre_sealed_file *file, nc_handle handle, uint8_t expected_type, void *buffer,
                               nacre_error *err) {
  nc_heap *heap = file->domain->env->heap;
  uint8_t *frame = nc_heap_alloc(heap, handle.size);
  if (frame == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nacre_slice plaintext;
  nacre_status status =
      nc_sealed_reader_frame(file->reader, handle, expected_type, frame, &plaintext, NULL, err);
  if (status == NACRE_OK && plaintext.size > 0) memcpy(buffer, plaintext.data, plaintext.size);
  nc_heap_free(heap, frame, handle.size);
  return status;
}

static nacre_status check_place(const nc_sealed_reader *r, uint64_t offset, nacre_error *err) {
  if (offset < NC_FRAMES_OFFSET || offset % NC_FRAME_ALIGN != 0) {
    return nc_fail_at(err, NC_E_SEAL_ARGUMENT, offset, "no frame begins there");
  }
  if (offset < nc_sealed_reader_size(r)) return NACRE_OK;
  return frame_end(r, offset, err);
}

nacre_status nacre_sealed_file_read(nacre_sealed_file *file, uint64_t offset, uint8_t expected_type,
                                    void *buffer, size_t capacity, size_t *ret_size, uint64_t *ret_next) {
  nacre_error *err = nc_thread_error();
  nc_handle handle;
  size_t size = 0;
  if (file == NULL || ret_size == NULL || (buffer == NULL && capacity > 0)) {
    return nc_fail(err, NC_E_SEAL_ARGUMENT, "it is NULL");
  }
  if (nc_env_forked(file->domain->env)) return nc_fail(err, NC_E_SEAL_FORKED, NULL);
  NC_TRY(check_place(file->reader, offset, err));
  NC_TRY(measure(file->reader, offset, &handle, &size, err));
  if (size > capacity) {
    *ret_size = size;
    return nc_fail_at(err, NC_E_FRAME_BUFFER, offset, "%zu bytes are needed", size);
  }
  NC_TRY(read_frame(file, handle, expected_type, buffer, err));
  *ret_size = size;
  if (ret_next != NULL) *ret_next = offset + handle.size;
  return NACRE_OK;
}
