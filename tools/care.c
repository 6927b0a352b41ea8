/* SPDX-License-Identifier: Apache-2.0
 *
 * care: `nacre flush` and `compact`: work that a store does by itself, done now.
 */
#include "exit_status.h"
#include "failure.h"
#include "progress.h"
#include "render_json.h"
#include "render_text.h"
#include "store_access.h"

static void tell(const options *o, const nacre_stats *stats, uint64_t elapsed_ns) {
  char segments[TOOL_UNIT_TEXT_BYTES], runs[TOOL_UNIT_TEXT_BYTES], size[TOOL_UNIT_TEXT_BYTES],
      entries[TOOL_UNIT_TEXT_BYTES], time[TOOL_UNIT_TEXT_BYTES];
  if (o->json) {
    json_t *object = json_object();
    tool_json_set_number(object, "segments", stats->segments);
    tool_json_set_number(object, "runs", stats->runs);
    tool_json_set_number(object, "segment_bytes", stats->segment_bytes);
    tool_json_set_number(object, "segment_entries", stats->segment_entries);
    tool_json_set_number(object, "elapsed_ms", elapsed_ns / 1000000);
    tool_json_line(object, stdout);
  } else if (!o->quiet) {
    printf("%s in %s, %s, %s, after %s\n",
           tool_text_counted(segments, stats->segments, "segment", "segments"),
           tool_text_counted(runs, stats->runs, "run", "runs"),
           tool_text_size(size, stats->segment_bytes, false),
           tool_text_counted(entries, stats->segment_entries, "entry", "entries"),
           tool_text_seconds(time, elapsed_ns));
  }
}

static int run(const options *o, bool compact) {
  session a;
  progress p;
  int status = tool_table_open(o, ACCESS_WRITE, &a);
  if (status != TOOL_DONE) return status;
  tool_progress_begin(&p, o, "", NACRE_NONE);
  nacre_slice unbounded = {0};
  nacre_stats stats;
  nacre_status worked = compact ? nacre_compact(a.table, unbounded, unbounded) : nacre_flush(a.table);
  if (worked == NACRE_OK) worked = nacre_table_stats(a.table, &stats);
  if (worked != NACRE_OK) {
    status = tool_fail_last(o);
  } else {
    tell(o, &stats, tool_progress_elapsed_ns(&p));
  }
  return tool_session_close(o, &a, status);
}

int tool_flush_run(const options *o) { return run(o, false); }
int tool_compact_run(const options *o) { return run(o, true); }
