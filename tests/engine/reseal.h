/* SPDX-License-Identifier: Apache-2.0
 *
 * reseal: past the seal. Opens a sealed file with the table's key, gives the plaintext of its frames to be
 * changed, and seals them again as a file of the same identity: what authenticates and is wrong.
 */
#ifndef TESTS_ENGINE_RESEAL_H
#define TESTS_ENGINE_RESEAL_H

#include "fixture.h"
#include "frame.h"
#include "header.h"

enum { RESEAL_FRAMES_MAX = 64 };

typedef struct plain_frame {
  nc_frame_type type;
  uint8_t *bytes; /* an allocation of its own */
  size_t size;
} plain_frame;

typedef struct plain_file {
  nc_identity identity;
  plain_frame frames[RESEAL_FRAMES_MAX];
  size_t count;
} plain_file;

void plain_load(const floor_fixture *f, const char *name, plain_file *ret_file);
void plain_copy(const plain_file *from, plain_file *to); /* `to` holds nothing yet */
void plain_free(plain_file *file);
/* Replaces what a frame holds. */
void plain_set(plain_frame *frame, const void *bytes, size_t size);
/* Under a fresh DEK. Tells the new header, the tag of the last frame and the size of the file, which bind it
 * to its name. */
typedef struct sealed_again {
  nc_header_slot header;
  uint8_t last_tag[NC_TAG_BYTES];
  uint64_t size;
} sealed_again;
sealed_again plain_seal(const floor_fixture *f, const char *name, const plain_file *file);

#endif
