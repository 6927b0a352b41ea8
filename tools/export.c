/* SPDX-License-Identifier: Apache-2.0
 *
 * export: `nacre export`: the records of a table as text; what `import` reads back exactly.
 */
#include <string.h>

#include "exit_status.h"
#include "failure.h"
#include "records.h"
#include "render_json.h"
#include "store_access.h"

typedef struct exporting {
  const options *o;
  session session;
  key_range range;
  const record_kind *kind;
  const char *table; /* named in each line; NULL: there is but one */
} exporting;

/* A line of the whole store's export: which table, then what jsonl always has. */
static void write_of_table(const char *table, nacre_slice key, nacre_slice value, uint64_t expire_at_ms) {
  json_t *object = json_object();
  tool_json_set_bytes(object, "table", tool_slice(table, strlen(table)), BYTES_TEXT);
  tool_json_set_bytes(object, "key", key, BYTES_TEXT);
  tool_json_set_bytes(object, "value", value, BYTES_TEXT);
  tool_json_set_expiry(object, expire_at_ms);
  tool_json_line(object, stdout);
}

/* False: the format has no place for what must be said. */
static bool write_record(const exporting *e, bytes *scratch, const nacre_iter *iter) {
  uint64_t expire_at_ms = nacre_iter_expire_at_ms(iter);
  if (e->table != NULL) {
    write_of_table(e->table, nacre_iter_key(iter), nacre_iter_value(iter), expire_at_ms);
  } else if (expire_at_ms != 0 && e->kind == &tool_records_csv) {
    return false;
  } else {
    e->kind->write(scratch, nacre_iter_key(iter), nacre_iter_value(iter), expire_at_ms, stdout);
  }
  return true;
}

static int export_records(const exporting *e) {
  const options *o = e->o;
  nacre_read_options read_options = {
      .lower = e->range.lower, .upper_excluded = e->range.upper_excluded, .no_cache_fill = true};
  nacre_iter *iter = NULL;
  bytes scratch = {0};
  if (e->kind->write_head != NULL) e->kind->write_head(stdout);
  if (e->range.empty) return TOOL_DONE;
  if (nacre_iter_open(e->session.table, &read_options, &iter) != NACRE_OK) return tool_fail_last(o);
  int status = TOOL_DONE;
  for (nacre_iter_first(iter); nacre_iter_valid(iter) && tool_output_good(); nacre_iter_next(iter)) {
    if (write_record(e, &scratch, iter)) continue;
    status = tool_fail(
        o, NACRE_CANCELLED, NULL,
        "there are records that expire, for which csv has a place with --expire only (tsv and jsonl "
        "always do)");
    break;
  }
  if (status == TOOL_DONE) status = tool_output_check(o);
  if (status == TOOL_DONE) status = nacre_iter_status(iter) == NACRE_OK ? TOOL_DONE : tool_fail_last(o);
  nacre_iter_close(iter);
  tool_bytes_free(&scratch);
  return status;
}

static int export_table(void *arg, const nacre_table_info *info) {
  exporting *e = arg;
  if (!tool_output_good()) return TOOL_DONE;
  int status = tool_session_table(e->o, ACCESS_READ, info->name, &e->session);
  if (status != TOOL_DONE) return status;
  e->table = info->name;
  return tool_session_leave(e->o, &e->session, export_records(e));
}

static int export_all(exporting *e) {
  if (e->o->format != RECORDS_UNSAID && e->o->format != RECORDS_JSONL) {
    return tool_fail_usage(
        e->o, "only jsonl has a place for the table's name: name a table, or leave out --format");
  }
  int status = tool_store_open(e->o, ACCESS_READ, &e->session);
  if (status != TOOL_DONE) return status;
  return tool_session_close(e->o, &e->session, tool_session_each(e->o, &e->session, export_table, e));
}

static int export_one(exporting *e) {
  int status = tool_table_open(e->o, ACCESS_READ, &e->session);
  return status == TOOL_DONE ? tool_session_close(e->o, &e->session, export_records(e)) : status;
}

int tool_export_run(const options *o) {
  exporting e = {.o = o, .kind = tool_records_of(o->format)};
  if (o->expire_column && o->format != RECORDS_CSV)
    return tool_fail_usage(o, "--expire is for csv: tsv and jsonl always say when a record expires");
  if (o->expire_column) e.kind = &tool_records_csv_expiring;
  int status = tool_range_read(o, &e.range);
  if (status == TOOL_DONE) status = o->argument_count == 1 ? export_all(&e) : export_one(&e);
  tool_range_free(&e.range);
  return status;
}
