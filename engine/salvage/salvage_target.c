/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage_target: the new store that a salvage fills; see salvage.h.
 *
 * It is written through the public calls, as by anybody. The table gets its name last: until then it bears
 * one that says that it is not whole, for whoever finds it after a failure.
 */
#include <stdio.h>
#include <stdlib.h>

#include "expiry.h"
#include "outside.h"
#include "salvage.h"

enum { BATCH_BYTES = 1 << 20, OPERATION_HEAD_BYTES = 32 };
static const char UNFINISHED_NAME[] = "unfinished salvage";

/* ---- where it lies ------------------------------------------------------------------------------------- */

/* What lies in the source would change it. */
static nacre_status check_outside(nc_salvage *s, const nc_uuid *table, nacre_error *err) {
  char directory[NC_UUID_TEXT_BYTES];
  nc_uuid_format(table, directory);
  return nc_check_outside(s->shared.env, s->options->to, directory, NC_E_SALVAGE_INSIDE, err);
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
                                 .large_value_bytes = found->settings.large_value_bytes,
                                 .segment_bytes = found->settings.segment_bytes,
                                 .level_ratio = found->settings.level_ratio};
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

nacre_status nc_salvage_target_put(nc_salvage_target *target, const nc_entry *entry, uint64_t expires_ms,
                                   nacre_error *err) {
  (void)err;                          /* told to the thread */
  if (entry->kind == NC_KIND_LARGE) { /* no copy */
    nacre_write_options options = {.expire_at_ms = expires_ms};
    return nacre_put(target->table, entry->key, entry->value, &options);
  }
  size_t bytes = nacre_batch_bytes(target->batch);
  size_t more = entry->key.size + entry->value.size + OPERATION_HEAD_BYTES;
  if (bytes > 0 && bytes + more > BATCH_BYTES) NC_TRY(write_batch(target));
  return nacre_batch_put_expiring(target->batch, entry->key, nc_entry_payload(entry), expires_ms);
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
