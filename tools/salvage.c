/* SPDX-License-Identifier: Apache-2.0
 *
 * salvage: `nacre salvage`: what a damaged store still holds of a table, in a new store, and what is lost.
 *
 * Losses are told also when nothing could be brought out. Keys are user data and stand in no error's text:
 * the range that a loss takes away is shown beside it, in the form that the user asked for.
 */
#include "exit_status.h"
#include "failure.h"
#include "progress.h"
#include "render_json.h"
#include "render_text.h"
#include "store_access.h"
#include "text_key.h"

static void on_progress(void *arg, uint64_t bytes_done, uint64_t bytes_total) {
  progress *p = arg;
  p->total = bytes_total;
  tool_progress_update(p, bytes_done, 0);
}

/* ---- JSON ---------------------------------------------------------------------------------------------- */

static json_t *fault_json(const options *o, const nacre_error *fault, const nacre_fault_extent *extent) {
  json_t *object = tool_json_error(fault);
  tool_json_set_number(object, "bytes", extent->bytes);
  if (extent->first_key.data != NULL) tool_json_set_bytes(object, "first_key", extent->first_key, o->form);
  if (extent->last_key.data != NULL) tool_json_set_bytes(object, "last_key", extent->last_key, o->form);
  return object;
}

static void tell_json(const options *o, const nacre_salvage_report *r, nacre_status status,
                      uint64_t elapsed_ns) {
  json_t *object = json_object(), *faults = json_array();
  for (size_t i = 0; i < r->fault_count; i++)
    json_array_append_new(faults,
                          fault_json(o, nacre_faults_at(r->faults, i), nacre_faults_extent(r->faults, i)));
  json_object_set_new(object, "copied", json_boolean(status == NACRE_OK));
  json_object_set_new(object, "whole", json_boolean(status == NACRE_OK && r->fault_count == 0));
  tool_json_set_text(object, "table", r->table);
  tool_json_set_number(object, "keys", r->keys);
  tool_json_set_number(object, "value_bytes", r->value_bytes);
  tool_json_set_number(object, "authenticated_files", r->files);
  tool_json_set_number(object, "authenticated_frames", r->frames);
  tool_json_set_number(object, "authenticated_bytes", r->bytes);
  tool_json_set_number(object, "entries", r->entries);
  tool_json_set_number(object, "beyond_gap_entries", r->beyond_entries);
  tool_json_set_number(object, "torn_bytes", r->torn_bytes);
  json_object_set_new(object, "without_manifest", json_boolean(r->without_manifest));
  json_object_set_new(object, "faults", faults);
  tool_json_set_number(object, "elapsed_ms", elapsed_ns / 1000000);
  tool_json_line(object, stdout);
}

/* ---- text ---------------------------------------------------------------------------------------------- */

static void key_text(const options *o, const char *before, nacre_slice key) {
  bytes text = {0};
  tool_bytes_write(&text, key, o->form);
  printf("%s%s", before, tool_bytes_text(&text));
  tool_bytes_free(&text);
}

static void fault_text(const options *o, const nacre_error *fault, const nacre_fault_extent *extent) {
  char size[TOOL_UNIT_TEXT_BYTES];
  tool_text_styled(stdout, STYLE_BAD, "LOST");
  if (fault->file[0] != 0) {
    putchar(' ');
    tool_text_safe(stdout, fault->file);
  }
  if (fault->offset != NACRE_NONE) printf(" at %llu", (unsigned long long)fault->offset);
  if (extent->bytes != NACRE_NONE) printf(", %s", tool_text_size(size, extent->bytes, false));
  printf(": [%u] ", fault->id);
  tool_text_safe(stdout, fault->text);
  putchar('\n');
  if (extent->first_key.data == NULL && extent->last_key.data == NULL) return;
  fputs("     keys", stdout);
  if (extent->first_key.data != NULL) key_text(o, " from ", extent->first_key);
  if (extent->last_key.data != NULL) key_text(o, " to ", extent->last_key);
  putchar('\n');
}

static void tell_notes(const nacre_salvage_report *r) {
  char size[TOOL_UNIT_TEXT_BYTES];
  if (r->without_manifest)
    puts("note: without a manifest all files of the table were read; deleted keys may have come back");
  if (r->torn_bytes > 0)
    printf("note: %s at the end of a log hold no whole write, as after a crash\n",
           tool_text_size(size, r->torn_bytes, false));
}

static void tell_text(const options *o, const nacre_salvage_report *r, nacre_status status,
                      uint64_t elapsed_ns) {
  char a[TOOL_UNIT_TEXT_BYTES], b[TOOL_UNIT_TEXT_BYTES], c[TOOL_UNIT_TEXT_BYTES];
  for (size_t i = 0; i < r->fault_count; i++)
    fault_text(o, nacre_faults_at(r->faults, i), nacre_faults_extent(r->faults, i));
  if (o->quiet || status != NACRE_OK) return;
  tell_notes(r);
  printf("authenticated: %s, %s, %s\n", tool_text_counted(a, r->files, "file", "files"),
         tool_text_counted(b, r->frames, "frame", "frames"),
         tool_text_counted(c, r->entries, "entry", "entries"));
  printf("copied: %s, %s of values, to table ", tool_text_counted(a, r->keys, "key", "keys"),
         tool_text_size(b, r->value_bytes, false));
  tool_text_safe(stdout, r->table);
  fputs(" of ", stdout);
  tool_text_safe(stdout, o->to);
  putchar('\n');
  tool_text_seconds(a, elapsed_ns);
  if (r->fault_count == 0) {
    tool_text_styled(stdout, STYLE_GOOD, "nothing is lost");
  } else {
    tool_text_styled(stdout, STYLE_BAD, tool_text_counted(b, r->fault_count, "loss", "losses"));
  }
  printf(", after %s\n", a);
}

/* As after `init --key`: the new store's key is remembered, where it is not the user's own keyring. */
static void remember(const options *o, const opening *source) {
  nacre_store_options made = source->options;
  nacre_store *store = NULL;
  if (o->to_key.uri != NULL) made.default_key = o->to_key;
  if (made.default_key.uri == NULL) return;
  made.pinned_commitment = NULL; /* it is the source's */
  made.read_only = true;
  if (nacre_open(o->to, &made, &store) != NACRE_OK) {
    (void)tool_fail_last(o);
    return;
  }
  (void)tool_opening_remember(o, store, &made.default_key);
  if (nacre_close(store) != NACRE_OK) (void)tool_fail_last(o);
}

/* ---- the command --------------------------------------------------------------------------------------- */

int tool_salvage_run(const options *o) {
  if (o->to == NULL || o->to[0] == 0)
    return tool_fail_usage(o, "salvage needs --to NEW: the new store's directory");
  int status = tool_key_check(o, o->to_key.uri);
  if (status != TOOL_DONE) return status;
  opening source;
  status = tool_opening_begin(o, o->arguments[0], &source);
  if (status != TOOL_DONE) return status;
  progress bar;
  tool_progress_begin(&bar, o, "salvaging", NACRE_NONE);
  nacre_salvage_options salvage_options = {.to = o->to,
                                           .to_key = o->to_key,
                                           .source = &source.options,
                                           .beyond_gaps = o->beyond_gaps,
                                           .on_progress = on_progress,
                                           .progress_arg = &bar};
  nacre_salvage_report report = {0};
  nacre_status done = nacre_salvage(o->arguments[0], o->argument_count == 2 ? o->arguments[1] : NULL,
                                    &salvage_options, &report);
  tool_progress_clear(&bar);
  uint64_t elapsed_ns = tool_progress_elapsed_ns(&bar);
  if (done == NACRE_OK || report.fault_count > 0) {
    (o->json ? tell_json : tell_text)(o, &report, done, elapsed_ns);
  }
  if (done != NACRE_OK) {
    status = tool_fail_last(o);
  } else {
    remember(o, &source);
    if (report.fault_count > 0) status = TOOL_DAMAGED;
  }
  nacre_faults_free(report.faults);
  tool_opening_end(&source);
  return status;
}
