/* SPDX-License-Identifier: Apache-2.0
 *
 * orphans: see orphans.h; format/README.md, "Manifest".
 */
#include "orphans.h"

#include <inttypes.h>
#include <stdlib.h>

#include "frame_scan.h"
#include "named_files.h"
#include "rewrap.h"
#include "value_reader.h"

static nacre_status keep(nc_orphans *orphans, const nc_present_file *file, nacre_error *err) {
  nc_orphan *f = calloc(1, sizeof *f);
  if (f == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  nc_file_name_format(file->number, file->type, f->name);
  f->number = file->number;
  f->type = file->type;
  f->next = orphans->list;
  orphans->list = f;
  return NACRE_OK;
}

static nacre_status list_orphans(nacre_table *t, const nc_present_files *present, nc_orphans *orphans,
                                 nacre_error *err) {
  nc_named_files named;
  nacre_status status = nc_named_files_take(t, &named, err);
  orphans->highest = present->highest;
  for (size_t i = 0; i < present->count && status == NACRE_OK; i++) {
    const nc_present_file *file = &present->list[i];
    if (nc_named_files_find(&named, file->number, file->type) == NULL) status = keep(orphans, file, err);
  }
  nc_named_files_free(&named);
  return status;
}

/* A cut that left half a commit behind is damage; one at a commit's border is what putting back an older copy
 * looks like. [M10] */
static nacre_status knows_more(const nacre_table *t, const char *what, uint64_t sequence, nacre_error *err) {
  return nc_fail(err, t->found_torn_bytes > 0 ? NC_E_MANIFEST_DAMAGED : NC_E_MANIFEST_ROLLED_BACK,
                 "%s knows of commit %" PRIu64 ", the manifest ends at %" PRIu64, what, sequence,
                 t->commit_sequence);
}

/* A file that was being made when its maker died ends anywhere, and so reads as damaged. Any other failure
 * (the disk, memory, a key that is not held) says nothing of the file, which may be the one that would prove
 * a rollback: it is spared. [M11] */
static bool readable(nc_orphan *f, nacre_status status) {
  f->spared = f->spared || (status != NACRE_OK && status != NACRE_CORRUPT);
  return status == NACRE_OK;
}

/* The footer of an unnamed segment says under which manifest commit it was made. One without a footer was
 * never finished. */
static nacre_status check_segment(nacre_table *t, nc_orphan *f, nc_sealed_reader *reader, nacre_error *err) {
  uint8_t frame[NC_FOOTER_BYTES + 64];
  uint64_t size = nc_sealed_reader_size(reader);
  size_t footer_size = nc_frame_size(NC_FOOTER_BYTES);
  if (size < NC_FRAMES_OFFSET + footer_size || size % NC_FRAME_ALIGN != 0) return NACRE_OK;
  nacre_slice plaintext;
  nc_footer footer;
  nc_handle handle = {size - footer_size, (uint32_t)footer_size};
  if (!readable(f, nc_sealed_reader_frame(reader, handle, NC_FRAME_FOOTER, frame, &plaintext, NULL, NULL)))
    return NACRE_OK;
  if (nc_footer_decode(plaintext, size, &footer, NULL) != NACRE_OK) return NACRE_OK;
  return footer.manifest_sequence <= t->commit_sequence
             ? NACRE_OK
             : knows_more(t, "a segment", footer.manifest_sequence, err);
}

/* The first frame of an unnamed log says which commit had named a log by then. */
static nacre_status check_first_frame(nacre_table *t, nc_orphan *f, nc_scan *scan, nacre_error *err) {
  nc_scan_result result;
  nc_scan_frame frame;
  nacre_slice plaintext;
  nc_log_record record;
  if (!readable(f, nc_scan_at(scan, NC_FRAMES_OFFSET, &result, &frame, NULL, NULL))) return NACRE_OK;
  if (result != NC_SCAN_FRAME || frame.type != NC_FRAME_LOG_START) return NACRE_OK;
  if (!readable(f, nc_scan_open(scan, &frame, &plaintext, NULL))) return NACRE_OK;
  if (nc_log_record_decode(plaintext, frame.type, &record, NULL) != NACRE_OK) return NACRE_OK;
  return record.manifest_sequence <= t->commit_sequence
             ? NACRE_OK
             : knows_more(t, "a log", record.manifest_sequence, err);
}

static nacre_status check_log(nacre_table *t, nc_orphan *f, nc_sealed_reader *reader, nacre_error *err) {
  nc_scan scan;
  nc_scan_init(&scan, t->shared->env->heap, reader, NACRE_NONE);
  nacre_status status = check_first_frame(t, f, &scan, err);
  nc_scan_deinit(&scan);
  return status;
}

/* So says the last frame of an unnamed value file. */
static nacre_status check_value(nacre_table *t, nc_orphan *f, nc_sealed_reader *reader, nacre_error *err) {
  nc_value_end end;
  if (!readable(f, nc_value_read_end(reader, &end, NULL, NULL))) return NACRE_OK;
  return end.manifest_sequence <= t->commit_sequence ? NACRE_OK
                                                     : knows_more(t, "a value file", end.manifest_sequence, err);
}

static nacre_status check_orphan(nacre_table *t, nc_orphan *f, nacre_error *err) {
  nc_sealed_reader *reader;
  nacre_error why;
  /* A manifest that CURRENT never came to name is of the next epoch; nothing else can be. */
  nc_sealed_expect expect = {.epoch_max = t->epoch + (f->type == NC_FILE_MANIFEST ? 1 : 0)};
  NC_TAKEN_KEYS(keys, &t->keys);
  nacre_status status = nc_sealed_reader_open(&t->dir, f->name, keys, &expect, &reader, &why);
  /* One under a table key that has been retired is old, and tells nothing. */
  if (status != NACRE_OK && why.id == NC_E_FILE_EPOCH) return nc_fail_with(err, &why);
  if (!readable(f, status)) return NACRE_OK;
  if (f->type == NC_FILE_SEGMENT) status = check_segment(t, f, reader, err);
  if (f->type == NC_FILE_LOG) status = check_log(t, f, reader, err);
  if (f->type == NC_FILE_VALUE) status = check_value(t, f, reader, err);
  status = nc_fail_in(err, status, nc_sealed_reader_label(reader), 0);
  nc_sealed_reader_close(reader);
  return status;
}

nacre_status nc_orphans_find(nacre_table *t, nc_orphans *ret_orphans, nacre_error *err) {
  *ret_orphans = (nc_orphans){0};
  nc_present_files present;
  NC_TRY(nc_present_files_list(&t->dir, &present, err));
  nacre_status status = list_orphans(t, &present, ret_orphans, err);
  nc_present_files_free(&present);
  NC_TRY(status);
  for (nc_orphan *f = ret_orphans->list; f != NULL; f = f->next) NC_TRY(check_orphan(t, f, err));
  return NACRE_OK;
}

void nc_orphans_free(nc_orphans *orphans) {
  for (nc_orphan *f = orphans->list, *next; f != NULL; f = next) {
    next = f->next;
    free(f);
  }
  *orphans = (nc_orphans){0};
}

static bool named_files_are_whole(nacre_table *t) {
  const nc_version *v = t->view->version;
  for (size_t i = 0; i < v->segment_count; i++) {
    if (nc_segment_open(v->segments[i], NULL) != NACRE_OK) return false;
  }
  for (size_t i = 0; i < t->values.count; i++) {
    nc_value_reader *reader;
    if (nc_value_open(&t->dir, &t->keys, &t->values.list[i].name, &reader, NULL) != NACRE_OK) return false;
    nc_value_close(reader);
  }
  return true; /* the logs were read when the table was opened */
}

void nc_orphans_remove(nacre_table *t, const nc_orphans *orphans) {
  if (orphans->list != NULL && !named_files_are_whole(t)) return;
  for (const nc_orphan *f = orphans->list; f != NULL; f = f->next) {
    if (!f->spared) nc_ignore(nc_dir_remove(&t->dir, f->name, NULL));
  }
}

/* ---- copies on their way ------------------------------------------------------------------------------- */

enum { COPIES_MAX = 64 }; /* at a time: what is left over goes at the next open */

typedef struct copies {
  size_t count;
  char names[COPIES_MAX][NC_FILE_NAME_BYTES];
} copies;

static nacre_status note_copy(void *arg, const char *name, nacre_io_kind kind, nacre_error *err) {
  copies *c = arg;
  char stem[NC_FILE_NAME_BYTES];
  uint64_t number;
  nc_file_type type;
  size_t size = strlen(name), suffix = strlen(NC_REWRAP_SUFFIX);
  (void)err;
  if (kind != NACRE_IO_REGULAR || size <= suffix || size >= sizeof stem || c->count == COPIES_MAX) return NACRE_OK;
  memcpy(stem, name, size + 1);
  stem[size - suffix] = '\0';
  if (strcmp(name + size - suffix, NC_REWRAP_SUFFIX) == 0 && nc_file_name_parse(stem, &number, &type))
    memcpy(c->names[c->count++], name, size + 1);
  return NACRE_OK;
}

void nc_orphans_sweep_copies(nacre_table *t) {
  copies c = {0};
  nc_ignore(nc_dir_list(&t->dir, note_copy, &c, NULL)); /* it is of no consequence when they stay */
  for (size_t i = 0; i < c.count; i++) nc_ignore(nc_dir_remove(&t->dir, c.names[i], NULL));
}
