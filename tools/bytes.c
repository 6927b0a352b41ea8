/* SPDX-License-Identifier: Apache-2.0
 *
 * bytes: growing buffers; see bytes.h.
 */
#include "bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exit_status.h"

void *tool_alloc(size_t size) { return tool_realloc(NULL, size); }

void *tool_realloc(void *old, size_t size) {
  void *memory = realloc(old, size == 0 ? 1 : size);
  if (memory == NULL) {
    (void)fputs("nacre: there is not enough memory; free some and try again\n", stderr);
    exit(TOOL_FAILED);
  }
  return memory;
}

void tool_bytes_free(bytes *b) {
  free(b->data);
  *b = (bytes){0};
}

void tool_bytes_reserve(bytes *b, size_t more) {
  if (b->capacity - b->size >= more) return;
  size_t capacity = b->capacity < 64 ? 64 : b->capacity;
  while (capacity - b->size < more) capacity *= 2;
  b->data = tool_realloc(b->data, capacity);
  b->capacity = capacity;
}

void tool_bytes_add(bytes *b, const void *data, size_t size) {
  if (size == 0) return;
  tool_bytes_reserve(b, size);
  memcpy(b->data + b->size, data, size);
  b->size += size;
}

void tool_bytes_add_byte(bytes *b, uint8_t byte) {
  tool_bytes_reserve(b, 1);
  b->data[b->size++] = byte;
}

void tool_bytes_add_text(bytes *b, const char *text) { tool_bytes_add(b, text, strlen(text)); }

nacre_slice tool_bytes_slice(const bytes *b) {
  return tool_slice(b->data == NULL ? (const void *)"" : b->data, b->size);
}

const char *tool_bytes_text(bytes *b) {
  tool_bytes_reserve(b, 1);
  b->data[b->size] = 0;
  return (const char *)b->data;
}

void tool_text_fit(char *to, size_t capacity, const char *from) {
  size_t size = strnlen(from, capacity - 1);
  memcpy(to, from, size);
  to[size] = 0;
}
