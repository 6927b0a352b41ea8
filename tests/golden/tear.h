/* SPDX-License-Identifier: Apache-2.0
 *
 * tear: what a power cut does to the end of a sealed file. Ends the program when it cannot.
 */
#ifndef NACRE_TESTS_TEAR_H
#define NACRE_TESTS_TEAR_H

#include <stddef.h>
#include <stdint.h>

enum { TEAR_FRAMES_OFFSET = 8192 };

uint64_t tear_file_size(const char *path);
/* Where the frame begins that is the `back`-th before the end of a whole sealed file; 1: the last. */
uint64_t tear_frame_from_end(const char *path, size_t back);
void tear_resize(const char *path, uint64_t size); /* what is added is zeros */
void tear_zero(const char *path, uint64_t from, uint64_t to);

#endif
