/* SPDX-License-Identifier: Apache-2.0
 *
 * checkpoint: `nacre checkpoint`: a store copied, consistent, to a new directory.
 */
#include "exit_status.h"
#include "failure.h"
#include "progress.h"
#include "render_json.h"
#include "render_text.h"
#include "store_access.h"

static void on_progress(void *arg, uint64_t bytes_done, uint64_t bytes_total) {
  progress *p = arg;
  p->total = bytes_total;
  tool_progress_update(p, bytes_done, 0);
}

static void tell(const options *o, const nacre_checkpoint_report *r, uint64_t elapsed_ns) {
  if (o->json) {
    json_t *object = json_object();
    tool_json_set_number(object, "tables", r->tables);
    tool_json_set_number(object, "files", r->files);
    tool_json_set_number(object, "bytes", r->bytes);
    tool_json_set_number(object, "elapsed_ms", elapsed_ns / 1000000);
    tool_json_line(object, stdout);
  } else if (!o->quiet) {
    char tables[TOOL_UNIT_TEXT_BYTES], files[TOOL_UNIT_TEXT_BYTES], size[TOOL_UNIT_TEXT_BYTES],
        time[TOOL_UNIT_TEXT_BYTES];
    printf("copied %s: %s, %s, in %s\n", tool_text_counted(tables, r->tables, "table", "tables"),
           tool_text_counted(files, r->files, "file", "files"), tool_text_size(size, r->bytes, false),
           tool_text_seconds(time, elapsed_ns));
  }
}

int tool_checkpoint_run(const options *o) {
  session s;
  int status = tool_store_open(o, ACCESS_READ, &s);
  if (status != TOOL_DONE) return status;
  progress bar;
  tool_progress_begin(&bar, o, "copying", NACRE_NONE);
  nacre_checkpoint_options how = {.on_progress = on_progress, .progress_arg = &bar};
  nacre_checkpoint_report report;
  nacre_status done = nacre_checkpoint(s.store, o->arguments[1], &how, &report);
  tool_progress_clear(&bar);
  if (done == NACRE_OK) {
    tell(o, &report, tool_progress_elapsed_ns(&bar));
  } else {
    status = tool_fail_last(o);
  }
  return tool_session_close(o, &s, status);
}
