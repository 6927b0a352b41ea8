/* SPDX-License-Identifier: Apache-2.0
 *
 * walk: one file of a store read from front to back without any key: what kind it is, its header, its frames,
 * and what is damaged at which offset. Checksums are all that is checked: nothing that a walk says is
 * authenticated.
 *
 * A walk never writes, takes no lock, and follows the length that the file had when it was opened, so that it
 * works beside a writer. It holds one frame at a time, whatever the file's size. After damage it goes on with
 * the next whole frame, searched on 16-byte steps; the work of searching is bounded to WALK_SEARCH_FACTOR
 * times the file.
 */
#ifndef TOOL_WALK_H
#define TOOL_WALK_H

#include "current.h"
#include "frame.h"
#include "header.h"
#include "key_file.h"

typedef enum walk_kind {
  WALK_SEALED, /* segment, log, manifest or value */
  WALK_CURRENT,
  WALK_KEY_FILE,
  WALK_KEYRING,  /* holds root keys: recognised, and not looked into */
  WALK_LOCK,     /* the store's lock: no content */
  WALK_LEFTOVER, /* CURRENT.tmp: an update that was cut short before it counted; may be anything */
  WALK_UNKNOWN
} walk_kind;
const char *tool_walk_kind_name(walk_kind kind);

enum { WALK_SEARCH_FACTOR = 16 };

typedef struct walk_frame {
  uint64_t offset, size; /* header to padding */
  uint8_t type;
  bool good; /* header check, checksum and padding */
} walk_frame;

typedef struct walk walk;

/* Called in the order of the file. Any may be NULL. */
typedef struct walk_visitor {
  void *arg;
  void (*frame)(void *arg, const walk *w, const walk_frame *frame);
  void (*fault)(void *arg, const nacre_error *fault);
} walk_visitor;

typedef enum walk_tail { WALK_TAIL_NONE, WALK_TAIL_ZEROS, WALK_TAIL_TORN, WALK_TAIL_FILLER } walk_tail;

struct walk {
  int fd;
  char label[sizeof((nacre_error *)0)->file]; /* how errors name the file */
  uint64_t size;
  walk_kind kind;
  /* sealed */
  uint8_t file_type; /* nc_file_type; by the file's name where no header slot is good; 0: not known */
  nc_header_slot slots[NC_SLOT_COUNT];
  bool slot_good[NC_SLOT_COUNT];
  bool slots_equal;
  nacre_error slot_errors[NC_SLOT_COUNT];
  int pick; /* the slot to go by; -1: none is good */
  uint64_t good_frames, bad_frames, frame_bytes;
  uint8_t first_type, last_type;
  walk_tail tail; /* an end without a frame: not damage by itself */
  uint64_t tail_offset;
  unsigned looks; /* again at frames that may be on their way */
  /* CURRENT, key file */
  bool decoded;
  nc_current current;
  nc_key_file *key_file;
  uint8_t *content; /* the whole of a small file; what `key_file` points into */
  size_t content_size;

  uint64_t fault_count;
  walk_visitor visitor;
  uint8_t *window; /* one piece of the file */
  uint64_t window_offset;
  size_t window_size;
  uint64_t search_budget;
};

/* Opens a file; symbolic links are followed only with `follow`. Returns 0 or an errno value: EINVAL for
 * anything but a regular file, which is never waited for. */
int tool_walk_open(walk *w, int dir_fd, const char *path, const char *label, bool follow);
/* Reads the header, or the whole of a small file, and reports its faults. */
void tool_walk_head(walk *w, const walk_visitor *visitor);
/* Walks the frames of a sealed file; of any other, does nothing. */
void tool_walk_frames(walk *w);
void tool_walk_close(walk *w);
/* Reports a fault of the file to the visitor. */
void tool_walk_fault(walk *w, nacre_error *fault);
/* The number and the type that a name like 00000000000000000004.seg says; false when it is no such name. */
bool tool_walk_name(const char *path, uint64_t *ret_number, uint8_t *ret_file_type);

#endif
