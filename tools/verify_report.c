/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_report: the faults of a store; see verify_report.h.
 */
#include "verify_report.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "exit_status.h"
#include "render_json.h"
#include "render_text.h"

void tool_verify_fault(verify_report *r, const nacre_error *fault) {
  for (size_t i = 0; i < r->fault_count; i++) {
    const nacre_error *had = &r->faults[i];
    bool same_place =
        had->file[0] != 0 && strcmp(had->file, fault->file) == 0 && had->offset == fault->offset;
    if (same_place && (had->id == fault->id || had->offset != NACRE_NONE)) return;
  }
  r->faults = tool_realloc(r->faults, (r->fault_count + 1) * sizeof *r->faults);
  r->faults[r->fault_count++] = *fault;
}

void tool_verify_note(verify_report *r, const char *format, ...) {
  char *text = NULL;
  va_list arguments;
  va_start(arguments, format);
  int size = vasprintf(&text, format, arguments);
  va_end(arguments);
  if (size < 0) return;
  r->notes = tool_realloc(r->notes, (r->note_count + 1) * sizeof *r->notes);
  r->notes[r->note_count++] = text;
}

void tool_verify_note_torn(verify_report *r, const char *table, const nacre_recovery_report *recovery) {
  char where[TOOL_UNIT_TEXT_BYTES];
  tool_verify_note(r, "table %s did not end cleanly: %llu bytes of %s%s hold no whole write (%s)%s", table,
                   (unsigned long long)recovery->dropped_bytes, recovery->file,
                   tool_text_from(where, recovery->dropped_offset), recovery->reason,
                   recovery->maybe_synced ? "; part of them may have been synced" : "");
  memcpy(r->torn_file, recovery->file, sizeof r->torn_file);
  r->torn_offset = recovery->dropped_offset;
}

void tool_verify_free(verify_report *r) {
  for (size_t i = 0; i < r->note_count; i++) free(r->notes[i]);
  for (size_t i = 0; i < r->walked_count; i++) free(r->walked[i]);
  free(r->notes);
  free(r->walked);
  free(r->faults);
}

static void tell_json(const verify_report *r, uint64_t elapsed_ns) {
  json_t *object = json_object(), *faults = json_array(), *notes = json_array();
  for (size_t i = 0; i < r->fault_count; i++) json_array_append_new(faults, tool_json_error(&r->faults[i]));
  for (size_t i = 0; i < r->note_count; i++) json_array_append_new(notes, json_string(r->notes[i]));
  json_object_set_new(object, "good", json_boolean(r->fault_count == 0));
  json_object_set_new(object, "faults", faults);
  json_object_set_new(object, "notes", notes);
  tool_json_set_number(object, "tables", r->tables);
  tool_json_set_number(object, "authenticated_files", r->files);
  tool_json_set_number(object, "authenticated_frames", r->frames);
  tool_json_set_number(object, "authenticated_bytes", r->bytes);
  tool_json_set_number(object, "entries", r->entries);
  tool_json_set_number(object, "checksummed_files", r->walked_files);
  tool_json_set_number(object, "checksummed_frames", r->walked_frames);
  tool_json_set_number(object, "checksummed_bytes", r->walked_bytes);
  tool_json_set_number(object, "elapsed_ms", elapsed_ns / 1000000);
  tool_json_line(object, stdout);
}

static void fault_text(const nacre_error *fault) {
  tool_text_styled(stdout, STYLE_BAD, "FAULT");
  if (fault->file[0] != 0) {
    putchar(' ');
    tool_text_safe(stdout, fault->file);
  }
  if (fault->offset != NACRE_NONE) printf(" at %llu", (unsigned long long)fault->offset);
  printf(": [%u] ", fault->id);
  tool_text_safe(stdout, fault->text);
  putchar('\n');
}

static void tell_text(const verify_report *r, uint64_t elapsed_ns) {
  char a[TOOL_UNIT_TEXT_BYTES], b[TOOL_UNIT_TEXT_BYTES], c[TOOL_UNIT_TEXT_BYTES], d[TOOL_UNIT_TEXT_BYTES];
  for (size_t i = 0; i < r->note_count; i++) {
    fputs("note: ", stdout);
    tool_text_safe(stdout, r->notes[i]);
    putchar('\n');
  }
  for (size_t i = 0; i < r->fault_count; i++) fault_text(&r->faults[i]);
  if (r->o->quiet) return;
  if (!r->o->keyless) {
    printf("authenticated: %s, %s, %s, %s", tool_text_counted(a, r->tables, "table", "tables"),
           tool_text_counted(b, r->files, "file", "files"),
           tool_text_counted(c, r->frames, "frame", "frames"),
           tool_text_counted(d, r->entries, "entry", "entries"));
    printf(", %s\n", tool_text_size(a, r->bytes, false));
  }
  printf("checksums: %s, %s, %s\n", tool_text_counted(a, r->walked_files, "file", "files"),
         tool_text_counted(b, r->walked_frames, "frame", "frames"),
         tool_text_size(c, r->walked_bytes, false));
  tool_text_seconds(a, elapsed_ns);
  if (r->fault_count == 0) {
    tool_text_styled(stdout, STYLE_GOOD, r->o->keyless ? "no fault found without a key" : "no fault");
  } else {
    tool_text_styled(stdout, STYLE_BAD, tool_text_counted(b, r->fault_count, "fault", "faults"));
  }
  printf(", after %s\n", a);
}

/* Damage before all else; then what kept a part from being verified. */
static int exit_of(const verify_report *r) {
  int status = TOOL_DONE;
  for (size_t i = 0; i < r->fault_count; i++) {
    int one = tool_exit_status(r->faults[i].status);
    if (one == TOOL_DAMAGED) return one;
    if (status == TOOL_DONE) status = one;
  }
  return status;
}

int tool_verify_tell(const verify_report *r, uint64_t elapsed_ns) {
  if (r->o->json) {
    tell_json(r, elapsed_ns);
  } else {
    tell_text(r, elapsed_ns);
  }
  return exit_of(r);
}
