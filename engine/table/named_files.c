/* SPDX-License-Identifier: Apache-2.0
 *
 * named_files: see named_files.h.
 */
#include "named_files.h"

#include <stdio.h>
#include <stdlib.h>

#include "segment_writer.h"
#include "value_writer.h"

/* ---- names --------------------------------------------------------------------------------------------- */

bool nc_file_name_parse(const char *name, uint64_t *ret_number, nc_file_type *ret_type) {
  if (strlen(name) != 24 || name[20] != '.') return false;
  uint64_t number = 0;
  for (int i = 0; i < 20; i++) {
    if (name[i] < '0' || name[i] > '9' || number > UINT64_MAX / 16) return false;
    number = number * 10 + (uint64_t)(name[i] - '0');
  }
  static const struct {
    const char *suffix;
    nc_file_type type;
  } kinds[] = {{"seg", NC_FILE_SEGMENT}, {"log", NC_FILE_LOG}, {"man", NC_FILE_MANIFEST}, {"val", NC_FILE_VALUE}};
  for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
    if (strcmp(name + 21, kinds[i].suffix) != 0) continue;
    *ret_number = number;
    *ret_type = kinds[i].type;
    return true;
  }
  return false;
}

void nc_file_name_format(uint64_t number, nc_file_type type, char name[NC_FILE_NAME_BYTES]) {
  switch (type) {
    case NC_FILE_SEGMENT:
      nc_segment_name(number, name);
      break;
    case NC_FILE_LOG:
      nc_log_name_file(number, name);
      break;
    case NC_FILE_MANIFEST:
      nc_manifest_name(number, name);
      break;
    case NC_FILE_VALUE:
      nc_value_file_name(number, name);
      break;
  }
}

/* ---- named --------------------------------------------------------------------------------------------- */

static void name_segment(nc_named_files *named, const nc_segment_record *record) {
  named->list[named->count++] = (nc_named_file){record->number,
                                                {.type = NC_FILE_SEGMENT,
                                                 .origin_table = &record->origin_table,
                                                 .file = &record->file,
                                                 .number = record->number,
                                                 .dek_commitment = record->dek_commitment}};
}

static void name_log(nc_named_files *named, const nacre_table *t, const nc_log_name *log) {
  named->list[named->count++] = (nc_named_file){log->number,
                                                {.type = NC_FILE_LOG,
                                                 .origin_table = &t->uuid,
                                                 .file = &log->file,
                                                 .number = log->number,
                                                 .dek_commitment = log->dek_commitment}};
}

static void name_value(nc_named_files *named, const nc_value_item *value) {
  const nc_value_name *name = &value->name;
  named->list[named->count++] = (nc_named_file){.number = name->number,
                                                .expect = {.type = NC_FILE_VALUE,
                                                           .origin_table = &name->origin_table,
                                                           .file = &name->file,
                                                           .number = name->number,
                                                           .dek_commitment = name->dek_commitment},
                                                .value = value};
}

static int by_number(const void *a, const void *b) {
  uint64_t x = ((const nc_named_file *)a)->number, y = ((const nc_named_file *)b)->number;
  return (x > y) - (x < y);
}

/* Those of loads under way stand in no manifest yet, but are not nobody's: they must come under a new table key
 * like any other. They stay as long as the load does, which may end at once; so counts are kept. */
static nacre_status name_loads_locked(nacre_table *t, nc_named_files *named, nacre_error *err) {
  named->load_count = nc_loads_segments_locked(t, NULL);
  named->loads = calloc(named->load_count + 1, sizeof *named->loads);
  if (named->loads == NULL) {
    named->load_count = 0;
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  (void)nc_loads_segments_locked(t, named->loads);
  for (size_t i = 0; i < named->load_count; i++) nc_segment_ref(named->loads[i]);
  return NACRE_OK;
}

static nacre_status name_all_locked(nacre_table *t, nc_named_files *named, nacre_error *err) {
  const nc_version *v = named->view->version;
  NC_TRY(name_loads_locked(t, named, err));
  named->logs = calloc(t->log_count + 1, sizeof *named->logs);
  named->values = calloc(t->values.count + 1, sizeof *named->values);
  named->list = calloc(v->segment_count + named->load_count + t->log_count + t->values.count + 1, sizeof *named->list);
  if (named->logs == NULL || named->values == NULL || named->list == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  for (size_t i = 0; i < v->segment_count; i++) name_segment(named, nc_segment_describe(v->segments[i]));
  for (size_t i = 0; i < named->load_count; i++) name_segment(named, nc_segment_describe(named->loads[i]));
  for (size_t i = 0; i < t->log_count; i++) {
    named->logs[i] = t->logs[i]->name;
    name_log(named, t, &named->logs[i]);
  }
  for (; named->value_count < t->values.count; named->value_count++) {
    named->values[named->value_count] = t->values.list[named->value_count];
    name_value(named, &named->values[named->value_count]);
  }
  uint64_t manifest = t->manifest.writer != NULL ? t->manifest.number : t->found_manifest_number;
  named->list[named->count++] = (nc_named_file){
      manifest, {.type = NC_FILE_MANIFEST, .origin_table = &t->uuid, .number = manifest}};
  qsort(named->list, named->count, sizeof *named->list, by_number);
  return NACRE_OK;
}

nacre_status nc_named_files_take_locked(nacre_table *t, nc_named_files *ret_named, nacre_error *err) {
  *ret_named = (nc_named_files){0};
  ret_named->view = nc_table_view(t, &ret_named->sequence);
  return name_all_locked(t, ret_named, err);
}

nacre_status nc_named_files_take(nacre_table *t, nc_named_files *ret_named, nacre_error *err) {
  pthread_mutex_lock(&t->commit_lock); /* segments and logs of one moment */
  nacre_status status = nc_named_files_take_locked(t, ret_named, err);
  pthread_mutex_unlock(&t->commit_lock);
  return status;
}

void nc_named_files_free(nc_named_files *named) {
  nc_view_unref(named->view);
  for (size_t i = 0; i < named->load_count; i++) nc_segment_unref(named->loads[i]);
  free(named->loads);
  free(named->logs);
  free(named->values);
  free(named->list);
  *named = (nc_named_files){0};
}

bool nc_named_value_gone(nacre_table *t, const nc_value_item *value) {
  if (value->named) return false;
  pthread_mutex_lock(&t->commit_lock);
  bool there = nc_value_set_find(&t->values, value->name.number) != NULL;
  pthread_mutex_unlock(&t->commit_lock);
  return !there;
}

static nacre_status find_reference(nc_memtable *m, uint64_t sequence, uint64_t number, bool *ret_refers,
                                   nacre_error *err) {
  nc_cursor *c;
  NC_TRY(nc_memtable_cursor(m, &c, err));
  nacre_status status = nc_cursor_first(c, err);
  while (status == NACRE_OK && c->valid && !*ret_refers) {
    nc_value_reference reference;
    if (c->entry.kind == NC_KIND_LARGE && c->entry.sequence <= sequence) {
      status = nc_value_reference_decode(c->entry.value, &reference, err);
      *ret_refers = status == NACRE_OK && reference.name.number == number;
    }
    if (status == NACRE_OK) status = nc_cursor_next(c, err);
  }
  nc_cursor_close(c);
  return status;
}

nacre_status nc_named_value_logged(const nc_named_files *named, uint64_t number, bool *ret_logged,
                                   nacre_error *err) {
  *ret_logged = false;
  for (size_t i = 0; i < named->view->memtable_count && !*ret_logged; i++)
    NC_TRY(find_reference(named->view->memtables[i], named->sequence, number, ret_logged, err));
  return NACRE_OK;
}

const nc_named_file *nc_named_files_find(const nc_named_files *named, uint64_t number, nc_file_type type) {
  nc_named_file wanted = {.number = number};
  const nc_named_file *found = named->count == 0 ? NULL
                                                 : bsearch(&wanted, named->list, named->count,
                                                           sizeof *named->list, by_number);
  return found != NULL && found->expect.type == type ? found : NULL;
}

/* ---- present ------------------------------------------------------------------------------------------- */

static int by_number_present(const void *a, const void *b) {
  const nc_present_file *x = a, *y = b;
  if (x->number != y->number) return x->number < y->number ? -1 : 1;
  return (x->type > y->type) - (x->type < y->type);
}

static nacre_status visit(void *arg, const char *name, nacre_io_kind kind, nacre_error *err) {
  nc_present_files *present = arg;
  nc_present_file file;
  if (!nc_file_name_parse(name, &file.number, &file.type)) return NACRE_OK;
  if (file.number > present->highest) present->highest = file.number;
  if (kind != NACRE_IO_REGULAR) return NACRE_OK;
  if (present->count == present->capacity) {
    size_t capacity = present->capacity == 0 ? 64 : present->capacity * 2;
    nc_present_file *grown = realloc(present->list, capacity * sizeof *grown);
    if (grown == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
    present->list = grown;
    present->capacity = capacity;
  }
  present->list[present->count++] = file;
  return NACRE_OK;
}

nacre_status nc_present_files_list(const nc_dir *dir, nc_present_files *ret_present, nacre_error *err) {
  *ret_present = (nc_present_files){0};
  nacre_status status = nc_dir_list(dir, visit, ret_present, err);
  if (status != NACRE_OK) {
    nc_present_files_free(ret_present);
    return status;
  }
  if (ret_present->count > 0)
    qsort(ret_present->list, ret_present->count, sizeof *ret_present->list, by_number_present);
  return NACRE_OK;
}

void nc_present_files_free(nc_present_files *present) {
  free(present->list);
  *present = (nc_present_files){0};
}

bool nc_present_files_hold(const nc_present_files *present, uint64_t number, nc_file_type type) {
  nc_present_file wanted = {number, type};
  return present->count > 0 && bsearch(&wanted, present->list, present->count, sizeof *present->list,
                                       by_number_present) != NULL;
}
