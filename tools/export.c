/* SPDX-License-Identifier: Apache-2.0
 *
 * export: `nacre export`: the records of a table as text; what `import` reads back exactly.
 */
#include "exit_status.h"
#include "failure.h"
#include "records.h"
#include "store_access.h"

static int export_records(const options *o, session *a, const key_range *range, const record_kind *kind) {
  nacre_read_options read_options = {
      .lower = range->lower, .upper_excluded = range->upper_excluded, .no_cache_fill = true};
  nacre_iter *iter = NULL;
  bytes scratch = {0};
  if (kind->write_head != NULL) kind->write_head(stdout);
  if (range->empty) return TOOL_DONE;
  if (nacre_iter_open(a->table, &read_options, &iter) != NACRE_OK) return tool_fail_last(o);
  for (nacre_iter_first(iter); nacre_iter_valid(iter) && tool_output_good(); nacre_iter_next(iter)) {
    kind->write(&scratch, nacre_iter_key(iter), nacre_iter_value(iter), stdout);
  }
  int status = tool_output_check(o);
  if (status == TOOL_DONE) status = nacre_iter_status(iter) == NACRE_OK ? TOOL_DONE : tool_fail_last(o);
  nacre_iter_close(iter);
  tool_bytes_free(&scratch);
  return status;
}

int tool_export_run(const options *o) {
  key_range range;
  session a = {0};
  const record_kind *kind = tool_records_of(o->format);
  int status = tool_range_read(o, &range);
  if (status == TOOL_DONE) status = tool_table_open(o, ACCESS_READ, &a);
  if (status == TOOL_DONE) status = tool_session_close(o, &a, export_records(o, &a, &range, kind));
  tool_range_free(&range);
  return status;
}
