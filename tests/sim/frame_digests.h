/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands behind the header of every sealed file on a simulated disk, by name and place, to tell that a change
 * of keys has left it alone.
 */
#ifndef NACRE_TESTS_SIM_FRAME_DIGESTS_H
#define NACRE_TESTS_SIM_FRAME_DIGESTS_H

#include "sim_disk.h"

enum { FRAME_DIGESTS_MAX = 1024 };

typedef struct frame_digest {
  char directory[64], name[64];
  uint64_t size;
  uint8_t digest[SIM_DIGEST_BYTES];
} frame_digest;

typedef struct frame_digests {
  size_t count;
  frame_digest list[FRAME_DIGESTS_MAX];
} frame_digests;

void frame_digests_take(frame_digests *digests, sim_disk *disk);
/* Checks every file that was there at the taking and still is; returns how many. */
uint64_t frame_digests_compare(const frame_digests *digests, sim_disk *disk);

#endif
