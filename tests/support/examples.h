/* SPDX-License-Identifier: Apache-2.0
 *
 * examples: the worked examples of format/README.md, read from the page itself, so that page and code cannot part.
 */
#ifndef TESTS_SUPPORT_EXAMPLES_H
#define TESTS_SUPPORT_EXAMPLES_H

#include <stddef.h>
#include <stdint.h>

typedef struct example {
  size_t size;
  uint8_t bytes[512];
} example;

/* The bytes that stand under a name. Ends the program when the page has no such name, or has it twice. */
example example_of(const char *name);

#endif
