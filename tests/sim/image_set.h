/* SPDX-License-Identifier: Apache-2.0
 *
 * The images that were already tried: a set of SHA-256 digests. One thread at a time.
 */
#ifndef NACRE_TESTS_SIM_IMAGE_SET_H
#define NACRE_TESTS_SIM_IMAGE_SET_H

#include <stdbool.h>

#include "sim_content.h"

typedef struct image_set {
  uint8_t (*digests)[SIM_DIGEST_BYTES];
  bool *taken;
  size_t count, capacity;
} image_set;

bool image_set_add(image_set *set, const uint8_t digest[SIM_DIGEST_BYTES]); /* false: it was there already */
void image_set_deinit(image_set *set);

#endif
