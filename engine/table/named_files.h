/* SPDX-License-Identifier: Apache-2.0
 *
 * named_files: the sealed files that make up a table at one moment, by number, and what each must be; and the
 * ones that stand in its directory.
 */
#ifndef NC_NAMED_FILES_H
#define NC_NAMED_FILES_H

#include "table.h"

typedef struct nc_named_file {
  uint64_t number;
  nc_sealed_expect expect;    /* points into the set */
  const nc_value_item *value; /* of a large value; else NULL */
} nc_named_file;

typedef struct nc_named_files {
  nc_view *view;
  nc_segment **loads; /* of bulk loads under way, counted */
  size_t load_count;
  uint64_t sequence; /* the newest in it that is visible */
  nc_log_name *logs;
  nc_value_item *values;
  size_t value_count;
  nc_named_file *list; /* by number */
  size_t count;
} nc_named_files;

/* `ret_named` is for nc_named_files_free, also after a failure. */
NC_MUST_CHECK nacre_status nc_named_files_take(nacre_table *t, nc_named_files *ret_named, nacre_error *err);
/* The same; needs commit_lock. */
NC_MUST_CHECK nacre_status nc_named_files_take_locked(nacre_table *t, nc_named_files *ret_named,
                                                      nacre_error *err);
void nc_named_files_free(nc_named_files *named);
/* Whether the file of a large value is not part of the table any more: its write has failed since, or its put was
 * dropped before a manifest named it. Then it may be missing, and nothing that counts refers to it. */
bool nc_named_value_gone(nacre_table *t, const nc_value_item *value);
/* Whether an entry of the memtables, and so of the logs, of that moment refers to the value file of this number. One of a
 * write under way is listed before that is so, and goes when the write fails. */
NC_MUST_CHECK nacre_status nc_named_value_logged(const nc_named_files *named, uint64_t number, bool *ret_logged,
                                                 nacre_error *err);
/* NULL: it is not named. */
const nc_named_file *nc_named_files_find(const nc_named_files *named, uint64_t number, nc_file_type type);

/* One that stands in the directory under the name of a sealed file. */
typedef struct nc_present_file {
  uint64_t number;
  nc_file_type type;
} nc_present_file;
typedef struct nc_present_files {
  nc_present_file *list; /* by number */
  size_t count, capacity;
  uint64_t highest; /* number that a name bears, whatever stands there: no new file can have it */
} nc_present_files;

NC_MUST_CHECK nacre_status nc_present_files_list(const nc_dir *dir, nc_present_files *ret_present,
                                                 nacre_error *err);
void nc_present_files_free(nc_present_files *present);
bool nc_present_files_hold(const nc_present_files *present, uint64_t number, nc_file_type type);

/* "<20 digits>.<log|seg|man|val>", as Nacre writes it and in no other way. [N1, N2] */
bool nc_file_name_parse(const char *name, uint64_t *ret_number, nc_file_type *ret_type);
void nc_file_name_format(uint64_t number, nc_file_type type, char name[NC_FILE_NAME_BYTES]);

#endif
