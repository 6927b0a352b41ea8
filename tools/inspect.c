/* SPDX-License-Identifier: Apache-2.0
 *
 * inspect: `nacre inspect`: files looked at without any key.
 *
 * The frame map joins neighbours of one type to runs. A log alternates between types too often for that: past
 * RUNS_MAX runs only the totals by type are shown, so that a file of any size takes little memory. --frames
 * shows each frame as it is met.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "exit_status.h"
#include "failure.h"
#include "inspect_head.h"
#include "render_json.h"
#include "render_text.h"
#include "walk.h"

enum { RUNS_MAX = 48, FAULTS_MAX = 1000, TYPES = 256 };

typedef struct frame_run {
  uint8_t type;
  uint64_t offset, count, bytes, bad;
} frame_run;

typedef struct inspection {
  const options *o;
  const char *path;
  walk walk;
  frame_run runs[RUNS_MAX];
  size_t run_count;
  bool runs_overflow;
  frame_run totals[TYPES];
  nacre_error *faults; /* the first FAULTS_MAX */
  size_t fault_count;
} inspection;

static void add_frame(frame_run *run, const walk_frame *frame) {
  if (run->count == 0) *run = (frame_run){.type = frame->type, .offset = frame->offset};
  run->count++;
  run->bytes += frame->size;
  run->bad += !frame->good;
}

static void show_frame(const inspection *s, const walk_frame *frame) {
  if (s->o->json) {
    json_t *object = json_object(), *inner = json_object();
    tool_json_set_text(inner, "file", s->path);
    tool_json_set_number(inner, "offset", frame->offset);
    tool_json_set_text(inner, "type", nc_frame_type_name(frame->type));
    tool_json_set_number(inner, "frame_bytes", frame->size);
    tool_json_set_text(inner, "crc", frame->good ? "good" : "bad");
    json_object_set_new(object, "frame", inner);
    tool_json_line(object, stdout);
  } else {
    printf("  %16llu  %-10s  %10llu  ", (unsigned long long)frame->offset, nc_frame_type_name(frame->type),
           (unsigned long long)frame->size);
    tool_text_styled(stdout, frame->good ? STYLE_PLAIN : STYLE_BAD, frame->good ? "good\n" : "BAD\n");
  }
}

static void visit_frame(void *arg, const walk *w, const walk_frame *frame) {
  inspection *s = arg;
  (void)w;
  if (s->o->frames) show_frame(s, frame);
  add_frame(&s->totals[frame->type], frame);
  frame_run *last = s->run_count == 0 ? NULL : &s->runs[s->run_count - 1];
  if (last != NULL && last->type == frame->type) {
    add_frame(last, frame);
  } else if (s->run_count < RUNS_MAX) {
    add_frame(&s->runs[s->run_count++], frame);
  } else {
    s->runs_overflow = true;
  }
}

static void visit_fault(void *arg, const nacre_error *fault) {
  inspection *s = arg;
  if (s->fault_count >= FAULTS_MAX) return;
  s->faults = tool_realloc(s->faults, (s->fault_count + 1) * sizeof *s->faults);
  s->faults[s->fault_count++] = *fault;
}

/* What the map shows: the runs in the order of the file, or one row a type where there are too many. */
static size_t map_rows(inspection *s, frame_run **ret_rows) {
  if (!s->runs_overflow) {
    *ret_rows = s->runs;
    return s->run_count;
  }
  size_t count = 0;
  for (size_t type = 0; type < TYPES; type++) {
    if (s->totals[type].count > 0) s->totals[count++] = s->totals[type];
  }
  *ret_rows = s->totals;
  return count;
}

static void map_text(inspection *s) {
  static const bool right[] = {true, false, true, true, false};
  static const char *const heads[] = {"FIRST AT", "TYPE", "FRAMES", "BYTES", "CHECKSUM"};
  text_table t = {.columns = 5, .right = right};
  frame_run *rows = NULL;
  size_t count = map_rows(s, &rows);
  if (count == 0) {
    tool_text_field("frames", "none");
    return;
  }
  for (size_t i = 0; i < 5; i++) tool_text_table_cell(&t, "%s%s", i == 0 ? "  " : "", heads[i]);
  for (size_t i = 0; i < count; i++) {
    tool_text_table_cell(&t, "  %llu", (unsigned long long)rows[i].offset);
    tool_text_table_cell(&t, "%s", nc_frame_type_name(rows[i].type));
    tool_text_table_cell(&t, "%llu", (unsigned long long)rows[i].count);
    tool_text_table_cell(&t, "%llu", (unsigned long long)rows[i].bytes);
    if (rows[i].bad == 0) {
      tool_text_table_cell(&t, "good");
    } else {
      tool_text_table_cell(&t, "%llu BAD", (unsigned long long)rows[i].bad);
    }
  }
  tool_text_table_print(&t);
  if (s->runs_overflow) tool_text_field("(by type)", "the types alternate; --frames shows each frame");
}

static void faults_text(const inspection *s) {
  for (size_t i = 0; i < s->fault_count; i++) {
    char where[48];
    (void)snprintf(where, sizeof where, "  DAMAGED at %llu", (unsigned long long)s->faults[i].offset);
    tool_text_styled(stdout, STYLE_BAD, s->faults[i].offset == NACRE_NONE ? "  DAMAGED" : where);
    printf(": [%u] %s\n", s->faults[i].id, s->faults[i].text);
  }
  if (s->walk.fault_count > s->fault_count) {
    printf("  ... and %llu more\n", (unsigned long long)(s->walk.fault_count - s->fault_count));
  }
  if (s->walk.fault_count == 0 && s->walk.kind != WALK_UNKNOWN) {
    bool looked = s->walk.kind != WALK_KEYRING && s->walk.kind != WALK_LOCK && s->walk.kind != WALK_LEFTOVER;
    if (looked)
      tool_text_styled(stdout, STYLE_GOOD, "  every checksum is good (not authenticated: no key was used)\n");
  }
}

static void show_text(inspection *s) {
  const walk *w = &s->walk;
  if (w->kind == WALK_SEALED) {
    map_text(s);
    if (w->tail == WALK_TAIL_ZEROS)
      tool_text_field("tail", "zeros from offset %llu on", (unsigned long long)w->tail_offset);
    if (w->tail == WALK_TAIL_FILLER)
      tool_text_field("tail", "filler from offset %llu on: room for frames to come",
                      (unsigned long long)w->tail_offset);
    if (w->tail == WALK_TAIL_TORN) {
      tool_text_field("tail", "torn: the file ends inside the frame at offset %llu",
                      (unsigned long long)w->tail_offset);
    }
    tool_text_field("checksums", "%llu good, %llu bad", (unsigned long long)w->good_frames,
                    (unsigned long long)w->bad_frames);
  }
  faults_text(s);
}

static json_t *map_json(inspection *s) {
  json_t *array = json_array();
  frame_run *rows = NULL;
  size_t count = map_rows(s, &rows);
  for (size_t i = 0; i < count; i++) {
    json_t *row = json_object();
    tool_json_set_text(row, "type", nc_frame_type_name(rows[i].type));
    tool_json_set_number(row, "first_offset", rows[i].offset);
    tool_json_set_number(row, "frames", rows[i].count);
    tool_json_set_number(row, "frame_bytes", rows[i].bytes);
    tool_json_set_number(row, "bad_frames", rows[i].bad);
    json_array_append_new(array, row);
  }
  return array;
}

static void show_json(inspection *s) {
  const walk *w = &s->walk;
  json_t *object = tool_inspect_head_json(w, s->path), *damage = json_array();
  if (w->kind == WALK_SEALED) {
    json_object_set_new(object, "frame_map", map_json(s));
    json_object_set_new(object, "frame_map_by_type", json_boolean(s->runs_overflow));
    tool_json_set_number(object, "good_frames", w->good_frames);
    tool_json_set_number(object, "bad_frames", w->bad_frames);
    static const char *const tails[] = {"none", "zeros", "torn", "filler"};
    tool_json_set_text(object, "tail", tails[w->tail]);
    if (w->tail != WALK_TAIL_NONE) tool_json_set_number(object, "tail_offset", w->tail_offset);
  }
  for (size_t i = 0; i < s->fault_count; i++) json_array_append_new(damage, tool_json_error(&s->faults[i]));
  json_object_set_new(object, "damage", damage);
  tool_json_set_number(object, "damage_count", w->fault_count);
  tool_json_line(object, stdout);
}

static int open_failed(const options *o, int os_errno, const char *path) {
  if (os_errno != EINVAL && os_errno != EISDIR) return tool_fail_errno(o, os_errno, "open", path);
  return tool_fail(o, NACRE_IO, NULL,
                   "%s is not a plain file; nacre inspect looks at the files of a store one by one", path);
}

static int inspect_file(const options *o, const char *path, bool *shown) {
  inspection s = {.o = o, .path = path};
  int os_errno = tool_walk_open(&s.walk, AT_FDCWD, path, path, true);
  if (os_errno != 0) return open_failed(o, os_errno, path);
  walk_visitor visitor = {.arg = &s, .frame = visit_frame, .fault = visit_fault};
  tool_walk_head(&s.walk, &visitor);
  if (!o->json) {
    if (*shown) putchar('\n');
    tool_inspect_head_text(&s.walk, path);
  }
  *shown = true;
  if (s.walk.kind == WALK_SEALED && o->frames && !o->json) puts("  frames (offset, type, bytes, checksum):");
  tool_walk_frames(&s.walk);
  if (o->json) {
    show_json(&s);
  } else {
    show_text(&s);
  }
  int status = s.walk.fault_count > 0 ? TOOL_DAMAGED : TOOL_DONE;
  if (s.walk.kind == WALK_UNKNOWN) {
    status = tool_fail(o, NACRE_UNSUPPORTED, NULL,
                       "%s is no file of a store: it begins with none of their marks", path);
  }
  free(s.faults);
  tool_walk_close(&s.walk);
  return status;
}

int tool_inspect_run(const options *o) {
  int status = TOOL_DONE;
  bool shown = false;
  for (int i = 0; i < o->argument_count; i++) {
    int one = inspect_file(o, o->arguments[i], &shown);
    if (one == TOOL_DAMAGED || status == TOOL_DONE) status = one; /* damage is what a script must not miss */
    if (!tool_output_good()) break;
  }
  return status;
}
