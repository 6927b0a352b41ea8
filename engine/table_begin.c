/* SPDX-License-Identifier: Apache-2.0
 *
 * table_begin: the first write after an open (format/README.md, "Manifest").
 *
 * Before any other file is created or removed, this open writes a manifest of its own and syncs it: what a dead process left in
 * the page cache is made durable before anything rests on it. Then orphans go, files that a crash left behind and nothing
 * names; but only when every file that the manifest names is present and matches, and none knows of a later state.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "frame_scan.h"
#include "table.h"

typedef struct found_file {
  struct found_file *next;
  char name[NC_FILE_NAME_BYTES];
  uint64_t number;
  nc_file_type type;
} found_file;

typedef struct listing {
  nacre_table *table;
  found_file *orphans;
  uint64_t highest;
} listing;

/* "<20 digits>.<log|seg|man>", as Nacre writes it and in no other way. */
static bool parse_name(const char *name, uint64_t *ret_number, nc_file_type *ret_type) {
  if (strlen(name) != 24 || name[20] != '.') return false;
  uint64_t number = 0;
  for (int i = 0; i < 20; i++) {
    if (name[i] < '0' || name[i] > '9' || number > UINT64_MAX / 16) return false;
    number = number * 10 + (uint64_t)(name[i] - '0');
  }
  static const struct {
    const char *suffix;
    nc_file_type type;
  } kinds[] = {{"seg", NC_FILE_SEGMENT}, {"log", NC_FILE_LOG}, {"man", NC_FILE_MANIFEST}};
  for (size_t i = 0; i < 3; i++) {
    if (strcmp(name + 21, kinds[i].suffix) != 0) continue;
    *ret_number = number;
    *ret_type = kinds[i].type;
    return true;
  }
  return false;
}

static bool is_named(const nacre_table *t, uint64_t number, nc_file_type type) {
  if (type == NC_FILE_MANIFEST) return number == t->found_manifest_number;
  for (size_t i = 0; type == NC_FILE_LOG && i < t->log_count; i++) {
    if (t->logs[i]->name.number == number) return true;
  }
  const nc_version *v = t->view->version;
  for (size_t i = 0; type == NC_FILE_SEGMENT && i < v->segment_count; i++) {
    if (nc_segment_describe(v->segments[i])->number == number) return true;
  }
  return false;
}

static nacre_status visit(void *arg, const char *name, nacre_io_kind kind, nacre_error *err) {
  listing *l = arg;
  uint64_t number;
  nc_file_type type;
  if (kind != NACRE_IO_REGULAR) return NACRE_OK;
  if (!parse_name(name, &number, &type)) return NACRE_OK;
  if (number > l->highest) l->highest = number;
  if (is_named(l->table, number, type)) return NACRE_OK;
  found_file *f = calloc(1, sizeof *f);
  if (f == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  snprintf(f->name, sizeof f->name, "%s", name);
  f->number = number;
  f->type = type;
  f->next = l->orphans;
  l->orphans = f;
  return NACRE_OK;
}

/* The footer of an unnamed segment says under which manifest commit it was made. */
static nacre_status check_orphan_segment(nacre_table *t, nc_sealed_reader *reader, nacre_error *err) {
  uint8_t frame[NC_FOOTER_BYTES + 64];
  uint64_t size = nc_sealed_reader_size(reader);
  size_t footer_size = nc_frame_size(NC_FOOTER_BYTES);
  if (size < NC_FRAMES_OFFSET + footer_size || size % NC_FRAME_ALIGN != 0) return NACRE_OK; /* never finished */
  nacre_slice plaintext;
  nc_footer footer;
  nc_handle handle = {size - footer_size, (uint32_t)footer_size};
  if (nc_sealed_reader_frame(reader, handle, NC_FRAME_FOOTER, frame, &plaintext, NULL, NULL) != NACRE_OK) return NACRE_OK;
  if (nc_footer_decode(plaintext, size, &footer, NULL) != NACRE_OK) return NACRE_OK;
  if (footer.manifest_sequence <= t->commit_sequence) return NACRE_OK;
  return nc_fail(err, NC_E_MANIFEST_ROLLED_BACK, "a segment knows of commit %" PRIu64 ", the manifest ends at %" PRIu64,
                 footer.manifest_sequence, t->commit_sequence);
}

/* An unnamed file that knows of a later state means that the manifest was cut or put back. One that cannot be opened is what a
 * crash leaves of a file that was being made. */
static nacre_status check_orphan(nacre_table *t, const found_file *f, nacre_error *err) {
  nc_sealed_reader *reader;
  /* A manifest that CURRENT never came to name is of the next epoch; nothing else can be. */
  nc_sealed_expect expect = {.epoch_max = t->epoch + (f->type == NC_FILE_MANIFEST ? 1 : 0)};
  nacre_status status = nc_sealed_reader_open(&t->dir, f->name, t->keys, &expect, &reader, err);
  if (status == NACRE_ROLLED_BACK) return status;
  if (status != NACRE_OK) return NACRE_OK;
  if (f->type == NC_FILE_SEGMENT) {
    status = nc_fail_in(err, check_orphan_segment(t, reader, err), nc_sealed_reader_label(reader), 0);
  }
  nc_sealed_reader_close(reader);
  return status;
}

static bool named_files_are_whole(nacre_table *t) {
  const nc_version *v = t->view->version;
  for (size_t i = 0; i < v->segment_count; i++) {
    if (nc_segment_open(v->segments[i], NULL) != NACRE_OK) return false;
  }
  return true; /* the logs were read when the table was opened */
}

static void remove_orphans(nacre_table *t, const listing *l) {
  if (l->orphans != NULL && !named_files_are_whole(t)) return;
  for (const found_file *f = l->orphans; f != NULL; f = f->next) {
    nacre_status ignored = nc_dir_remove(&t->dir, f->name, NULL);
    (void)ignored;
  }
}

static nacre_status begin(nacre_table *t, listing *l, nacre_error *err) {
  NC_TRY(nc_dir_list(&t->dir, visit, l, err));
  for (const found_file *f = l->orphans; f != NULL; f = f->next) NC_TRY(check_orphan(t, f, err));
  pthread_mutex_lock(&t->commit_lock);
  if (l->highest >= t->state.next_file_number) t->state.next_file_number = l->highest + 1;
  pthread_mutex_unlock(&t->commit_lock);
  NC_TRY(nc_table_new_manifest(t, err));
  t->writing = true;
  remove_orphans(t, l);
  return NACRE_OK;
}

nacre_status nc_table_begin_writing_locked(nacre_table *t, nacre_error *err) {
  listing l = {.table = t};
  nacre_status status = begin(t, &l, err);
  for (found_file *f = l.orphans, *next; f != NULL; f = next) {
    next = f->next;
    free(f);
  }
  return status;
}
