/* SPDX-License-Identifier: Apache-2.0
 *
 * bytes: a growing buffer. Running out of memory ends the command: it is a process of its own, and what the
 * library acknowledged before survives its end.
 */
#ifndef TOOL_BYTES_H
#define TOOL_BYTES_H

#include <nacre/nacre_format.h>

typedef struct bytes {
  uint8_t *data;
  size_t size, capacity;
} bytes;

/* malloc and realloc that end the command with status 1 when there is no memory. */
void *tool_alloc(size_t size);
void *tool_realloc(void *old, size_t size);

void tool_bytes_free(bytes *b);
void tool_bytes_reserve(bytes *b, size_t more); /* room for `more` bytes after `size` */
void tool_bytes_add(bytes *b, const void *data, size_t size);
void tool_bytes_add_byte(bytes *b, uint8_t byte);
void tool_bytes_add_text(bytes *b, const char *text);
static inline void tool_bytes_clear(bytes *b) { b->size = 0; }
/* The content. Its data is never NULL, so that an empty buffer is the empty key and not an unbounded one. */
nacre_slice tool_bytes_slice(const bytes *b);
/* The content as a C string; the buffer stays as it was. */
const char *tool_bytes_text(bytes *b);

/* Copies a text into an array, cut where it does not fit: for the names of files in errors. */
void tool_text_fit(char *to, size_t capacity, const char *from);

static inline nacre_slice tool_slice(const void *data, size_t size) { return (nacre_slice){data, size}; }

#endif
