/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage_target: the new store that a salvage fills; see salvage.h.
 *
 * It is written through the public calls, as by anybody. The table gets its name last: until then it bears
 * one that says that it is not whole, for whoever finds it after a failure.
 */
#include <stdio.h>
#include <stdlib.h>

#include "salvage.h"

enum { BATCH_BYTES = 1 << 20, LEVELS_MAX = 64, OPERATION_HEAD_BYTES = 32 };
static const char UNFINISHED_NAME[] = "unfinished salvage";

/* ---- where it lies ------------------------------------------------------------------------------------- */

/* Whether a directory holds the one of the table. */
static nacre_status holds_table(const nc_dir *dir, const char *table, bool *ret_holds, nacre_error *err) {
  nc_dir inside;
  nacre_error why;
  nacre_status status = nc_dir_open_at(dir, table, &inside, &why);
  *ret_holds = status == NACRE_OK;
  if (*ret_holds) nc_dir_close(&inside);
  return status == NACRE_NO_MEMORY ? nc_fail_with(err, &why) : NACRE_OK;
}

/* Cuts the last component off: "a/b" to "a", "b" to ".". */
static void cut_last(char *path) {
  size_t size = strlen(path);
  while (size > 1 && path[size - 1] == '/') size--;
  while (size > 0 && path[size - 1] != '/') size--;
  if (size == 0) path[size++] = '.';
  path[size] = '\0';
}

/* Goes up from the directory that holds `to`, as the file system sees it, past symbolic links. A directory
 * that cannot be opened ends the way up: a store cannot be made through it either. */
static nacre_status look_upwards(nc_env *env, char *path, const char *table, nacre_error *err) {
  for (int level = 0; level < LEVELS_MAX; level++) {
    nc_dir dir;
    nacre_error why;
    bool holds = false;
    nacre_status status = nc_dir_open(env, path, false, &dir, &why);
    if (status == NACRE_NO_MEMORY) return nc_fail_with(err, &why);
    if (status != NACRE_OK) return NACRE_OK;
    status = holds_table(&dir, table, &holds, err);
    nc_dir_close(&dir);
    NC_TRY(status);
    if (holds) return nc_fail(err, NC_E_SALVAGE_INSIDE, NULL);
    memcpy(path + strlen(path), "/..", 4);
  }
  return NACRE_OK;
}

/* What lies in the source would change it. */
static nacre_status check_outside(nc_salvage *s, const nc_uuid *table, nacre_error *err) {
  char directory[NC_UUID_TEXT_BYTES];
  nc_uuid_format(table, directory);
  size_t size = strlen(s->options->to) + 3 * (LEVELS_MAX + 1) + 1;
  char *path = malloc(size);
  if (path == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  snprintf(path, size, "%s", s->options->to);
  nc_dir there;
  if (nc_dir_open(s->shared.env, path, false, &there, NULL) == NACRE_OK) {
    nc_dir_close(&there);
    memcpy(path + strlen(path), "/..", 4);
  } else {
    cut_last(path);
  }
  nacre_status status = look_upwards(s->shared.env, path, directory, err);
  free(path);
  return status;
}

/* ---- making it ----------------------------------------------------------------------------------------- */

static nacre_status open_store(nc_salvage *s, nacre_store **ret_store) {
  nacre_store_options options = nc_salvage_store_options(s);
  options.pinned_commitment = NULL; /* of the source */
  options.create = options.must_not_exist = true;
  options.pinned_commitment = NULL; /* it is the source's */
  if (s->options->to_key.uri != NULL) options.default_key = s->options->to_key;
  return nacre_open(s->options->to, &options, ret_store);
}

nacre_status nc_salvage_target_open(nc_salvage *s, const nc_salvage_found *found,
                                    nc_salvage_target *ret_target, nacre_error *err) {
  nc_salvage_target target = {0};
  nacre_table_options options = {.compression = found->settings.compression,
                                 .block_bytes = found->settings.block_bytes,
                                 .filter_bits_per_key = found->settings.filter_bits_per_key,
                                 .large_value_bytes = found->settings.large_value_bytes};
  NC_TRY(check_outside(s, nc_table_keys_table(found->keys), err));
  nacre_status status = open_store(s, &target.store);
  if (status == NACRE_OK) status = nacre_batch_create(&target.batch);
  if (status == NACRE_OK) status = nacre_table_create(target.store, UNFINISHED_NAME, &options, &target.table);
  if (status != NACRE_OK) {
    nacre_error first = *err; /* the public calls told it to this thread, whose error this is */
    nc_salvage_target_abandon(&target);
    return nc_fail_with(err, &first);
  }
  *ret_target = target;
  return NACRE_OK;
}

static nacre_status write_batch(nc_salvage_target *target) {
  nacre_status status = nacre_write(target->table, target->batch, NULL);
  nacre_batch_clear(target->batch);
  return status;
}

nacre_status nc_salvage_target_put(nc_salvage_target *target, const nc_entry *entry, nacre_error *err) {
  (void)err; /* told to the thread */
  if (entry->kind == NC_KIND_LARGE) return nacre_put(target->table, entry->key, entry->value, NULL); /* no copy */
  size_t bytes = nacre_batch_bytes(target->batch);
  size_t more = entry->key.size + entry->value.size + OPERATION_HEAD_BYTES;
  if (bytes > 0 && bytes + more > BATCH_BYTES) NC_TRY(write_batch(target));
  return nacre_batch_put(target->batch, entry->key, entry->value);
}

static nacre_status close_all(nc_salvage_target *target) {
  nacre_batch_destroy(target->batch);
  nacre_status status = nacre_table_close(target->table);
  nacre_status closed = nacre_close(target->store);
  return status == NACRE_OK ? closed : status;
}

nacre_status nc_salvage_target_finish(nc_salvage_target *target, const char *name, nacre_error *err) {
  nacre_status status = nacre_batch_count(target->batch) > 0 ? write_batch(target) : NACRE_OK;
  if (status == NACRE_OK) status = nacre_flush(target->table);
  if (status == NACRE_OK) status = nacre_wait_idle(target->table);
  if (status == NACRE_OK && strcmp(name, UNFINISHED_NAME) != 0)
    status = nacre_table_rename(target->store, UNFINISHED_NAME, name);
  if (status == NACRE_OK) return close_all(target);
  nacre_error first = *err;
  nc_salvage_target_abandon(target);
  return nc_fail_with(err, &first);
}

void nc_salvage_target_abandon(nc_salvage_target *target) { nc_ignore(close_all(target)); }
