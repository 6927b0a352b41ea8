/* SPDX-License-Identifier: Apache-2.0
 *
 * walk_frames: the frames of a sealed file, one after the other, and over damage; see walk.h.
 *
 * What a cut-off write leaves at the end of a log or a manifest (the beginning of a frame, or zeros) is a
 * torn tail and no damage: whoever opens the table with its keys tells which of the two it is. A whole frame
 * that fails its checksum is damage wherever it stands. Filler up to the end of a log is its end.
 *
 * A log may be written to meanwhile. A frame of which only the end was there when it was looked at is looked at
 * again; when another one stands behind it by now, its first bytes are there, too.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filler.h"
#include "walk.h"
#include "walk_window.h"

const uint8_t *tool_window_at(walk *w, uint64_t offset, size_t size) {
  if (offset > w->size || size > w->size - offset || size > WALK_WINDOW_BYTES) return NULL;
  if (w->window_size > 0 && offset >= w->window_offset && offset - w->window_offset <= w->window_size &&
      size <= w->window_size - (size_t)(offset - w->window_offset)) {
    return w->window + (offset - w->window_offset);
  }
  size_t want = size < WALK_READ_BYTES ? WALK_READ_BYTES : size;
  if (want > w->size - offset) want = (size_t)(w->size - offset);
  w->window_offset = offset;
  w->window_size = 0;
  while (w->window_size < want) {
    ssize_t got =
        pread(w->fd, w->window + w->window_size, want - w->window_size, (off_t)(offset + w->window_size));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    w->window_size += (size_t)got;
  }
  return w->window_size >= size ? w->window : NULL;
}

/* Looks at the frame that should stand at `at`. NACRE_OK and its size, or what is wrong with it;
 * `*ret_size` is 0 then when its header tells nothing. */
static nacre_status look(walk *w, uint64_t at, walk_frame *ret_frame, nacre_error *err) {
  *ret_frame = (walk_frame){.offset = at};
  uint64_t left = w->size - at;
  if (left < NC_FRAME_HEADER_BYTES) return nc_fail_at(err, NC_E_FRAME_SHORT, at, "%u bytes", (unsigned)left);
  const uint8_t *p = tool_window_at(w, at, NC_FRAME_HEADER_BYTES);
  if (p == NULL) return nc_fail_at(err, NC_E_FRAME_SHORT, at, "it cannot be read");
  if (!nc_frame_plausible(p)) return nc_fail_at(err, NC_E_FRAME_CHECK, at, NULL);
  size_t size = nc_frame_size(nc_get_u32(p));
  ret_frame->type = p[4];
  ret_frame->size = size;
  if (size > left) {
    return nc_fail_at(err, NC_E_FRAME_SHORT, at, "%llu of %zu bytes", (unsigned long long)left, size);
  }
  p = tool_window_at(w, at, size);
  if (p == NULL) return nc_fail_at(err, NC_E_FRAME_SHORT, at, "it cannot be read");
  nacre_status status = nc_frame_check(nc_slice(p, size), err);
  if (status != NACRE_OK) return nc_fail_in(err, status, w->label, at);
  ret_frame->good = true;
  return NACRE_OK;
}

static bool belongs(const walk *w, uint8_t type) {
  return w->file_type == 0 || nc_frame_type_belongs(type, w->file_type);
}

/* A whole frame stands at `at`, or the file ends there. Both bear out the length of the frame before. */
static bool boundary(walk *w, uint64_t at) {
  walk_frame frame;
  nacre_error ignored;
  return at == w->size || (at < w->size && look(w, at, &frame, &ignored) == NACRE_OK);
}

/* The next whole frame from `at` on; the file's size when there is none. */
static uint64_t search(walk *w, uint64_t at, bool *ret_given_up) {
  walk_frame frame;
  nacre_error ignored;
  *ret_given_up = false;
  for (; at < w->size && w->size - at >= NC_FRAME_HEADER_BYTES + NC_FRAME_TAG_BYTES; at += NC_FRAME_ALIGN) {
    const uint8_t *p = tool_window_at(w, at, NC_FRAME_HEADER_BYTES);
    if (p == NULL) break;
    if (!nc_frame_plausible(p) || !belongs(w, p[4])) continue;
    size_t size = nc_frame_size(nc_get_u32(p));
    if (size > w->search_budget) {
      *ret_given_up = true;
      break;
    }
    w->search_budget -= size;
    if (look(w, at, &frame, &ignored) == NACRE_OK) return at;
  }
  return w->size;
}

static bool zeros_to_the_end(walk *w, uint64_t at) {
  while (at < w->size) {
    size_t size = w->size - at < WALK_READ_BYTES ? (size_t)(w->size - at) : WALK_READ_BYTES;
    const uint8_t *p = tool_window_at(w, at, size);
    if (p == NULL || p[0] != 0 || memcmp(p, p + 1, size - 1) != 0) return false;
    at += size;
  }
  return true;
}

/* Again at a frame that is on its way, which takes less than a microsecond; and in all of a file, for one frame only is
 * on its way at a time, and each look costs what a window does. */
enum { LOOKS = 3, LOOKS_MAX = 48 };

static const nc_uuid *log_uuid(const walk *w) {
  return w->file_type == NC_FILE_LOG && w->pick >= 0 ? &w->slots[w->pick].identity.file : NULL;
}

static bool filler_to_the_end(walk *w, uint64_t at) {
  const nc_uuid *file = log_uuid(w);
  if (file == NULL || w->size % NC_FILLER_BYTES != 0) return false;
  while (at < w->size) {
    size_t size = w->size - at < WALK_READ_BYTES ? (size_t)(w->size - at) : WALK_READ_BYTES;
    const uint8_t *p = tool_window_at(w, at, size);
    if (p == NULL || nc_filler_at_end(p, size, file, at) < size) return false;
    at += size;
  }
  return true;
}

/* The file was made longer for this frame, and its first bytes, which come last, are not there. */
static bool half_stored(walk *w, uint64_t at) {
  const uint8_t *p = tool_window_at(w, at, NC_FRAME_HEADER_BYTES);
  return p != NULL && log_uuid(w) != NULL && nc_filler_begins(p, log_uuid(w));
}

static bool stored_meanwhile(walk *w, uint64_t at) {
  walk_frame frame;
  nacre_error ignored;
  w->window_size = 0;
  return w->file_type == NC_FILE_LOG && look(w, at, &frame, &ignored) == NACRE_OK;
}

static uint64_t ends_at(walk *w, walk_tail tail, uint64_t at) {
  w->tail = tail;
  w->tail_offset = at;
  return w->size;
}

/* What a log was made longer by is cut off again when it is closed. True when the file is longer by now: a frame over
 * the end that it had is one of those that came later. */
static bool note_length(walk *w) {
  struct stat info;
  if (w->file_type != NC_FILE_LOG || fstat(w->fd, &info) != 0) return false;
  if ((uint64_t)info.st_size < w->size) {
    w->size = (uint64_t)info.st_size;
    w->window_size = 0;
  }
  return (uint64_t)info.st_size > w->size;
}

/* Here no frame can be read. Returns where to go on: the next one, or the end of the file. */
static uint64_t broken(walk *w, const walk_frame *frame, nacre_error *err) {
  bool appended = w->file_type == NC_FILE_LOG || w->file_type == NC_FILE_MANIFEST, given_up = false;
  bool ended = w->last_type == NC_FRAME_LOG_FINAL;
  bool longer = note_length(w);
  if (frame->offset >= w->size || (longer && frame->size > w->size - frame->offset)) return w->size;
  bool half = half_stored(w, frame->offset);
  if (half && filler_to_the_end(w, frame->offset)) return ends_at(w, WALK_TAIL_FILLER, frame->offset);
  for (int i = 0; half && i < LOOKS && w->looks < LOOKS_MAX; i++, w->looks++) {
    if (stored_meanwhile(w, frame->offset)) return frame->offset;
    if (filler_to_the_end(w, frame->offset)) return ends_at(w, WALK_TAIL_FILLER, frame->offset);
  }
  bool cut_off =
      half || w->size - frame->offset < NC_FRAME_HEADER_BYTES || frame->size > w->size - frame->offset;
  bool zeros = zeros_to_the_end(w, frame->offset);
  uint64_t next = zeros ? w->size : search(w, frame->offset + NC_FRAME_ALIGN, &given_up);
  if (half && w->looks < LOOKS_MAX && stored_meanwhile(w, frame->offset)) return frame->offset;
  if (appended && !ended && next == w->size && (zeros || cut_off) && !given_up)
    return ends_at(w, zeros ? WALK_TAIL_ZEROS : WALK_TAIL_TORN, frame->offset);
  size_t used = strlen(err->text);
  const char *how = given_up          ? "; the search for further frames was given up"
                    : next == w->size ? "; no frame follows"
                                      : "";
  (void)snprintf(err->text + used, sizeof err->text - used, "%s", how);
  tool_walk_fault(w, err);
  if (w->visitor.frame != NULL && frame->size != 0) w->visitor.frame(w->visitor.arg, w, frame);
  w->bad_frames++;
  return next;
}

/* Frames that stand where their type does not belong: the keyless part of what a reader demands. */
static void check_place(walk *w, const walk_frame *frame) {
  nacre_error err;
  const char *wrong = NULL;
  bool first = w->good_frames + w->bad_frames == 0;
  if (!belongs(w, frame->type)) wrong = "a file of this kind";
  if (w->file_type == NC_FILE_LOG && first != (frame->type == NC_FRAME_LOG_START))
    wrong = "this place of a log";
  if (w->last_type == NC_FRAME_LOG_FINAL) wrong = "a log after its final frame";
  if (w->last_type == NC_FRAME_FOOTER) wrong = "a segment after its footer";
  if (w->last_type == NC_FRAME_VALUE_END) wrong = "a value after its end";
  if (wrong == NULL) return;
  (void)nc_fail_at(&err, NC_E_FRAME_TYPE, frame->offset, "a %s frame in %s", nc_frame_type_name(frame->type),
                   wrong);
  tool_walk_fault(w, &err);
}

static uint64_t step(walk *w, uint64_t at) {
  walk_frame frame;
  nacre_error err;
  bool good = look(w, at, &frame, &err) == NACRE_OK;
  if (!good && (frame.size == 0 || frame.size > w->size - at || !boundary(w, at + frame.size))) {
    return broken(w, &frame, &err);
  }
  if (good) {
    check_place(w, &frame);
    w->good_frames++;
  } else {
    tool_walk_fault(w, &err);
    w->bad_frames++;
  }
  if (w->good_frames + w->bad_frames == 1) w->first_type = frame.type;
  w->last_type = frame.type;
  w->frame_bytes += frame.size;
  if (w->visitor.frame != NULL) w->visitor.frame(w->visitor.arg, w, &frame);
  return at + frame.size;
}

void tool_walk_frames(walk *w) {
  if (w->kind != WALK_SEALED) return;
  uint64_t at = NC_FRAMES_OFFSET;
  while (at < w->size) at = step(w, at);
  bool segment = w->file_type == NC_FILE_SEGMENT && w->last_type != NC_FRAME_FOOTER;
  bool value = w->file_type == NC_FILE_VALUE && w->last_type != NC_FRAME_VALUE_END;
  if (!segment && !value) return;
  nacre_error err;
  (void)nc_fail_at(&err, NC_E_FRAME_TYPE, w->size, "the %s does not end with %s: it was cut off",
                   segment ? "segment" : "value", segment ? "a footer" : "its end frame");
  tool_walk_fault(w, &err);
}
