/* SPDX-License-Identifier: Apache-2.0
 *
 * arena: see arena.h.
 */
#include "arena.h"

#include <assert.h>

enum { LEAD_BYTES = 64 };

struct nc_arena_chunk {
  nc_arena_chunk *next;
  size_t size, used;
};
_Static_assert(sizeof(nc_arena_chunk) <= LEAD_BYTES, "a chunk's lead leaves its pieces aligned");

void nc_arena_deinit(nc_arena *a) {
  for (nc_arena_chunk *c = a->first, *next; c != NULL; c = next) {
    next = c->next;
    nc_heap_free(a->heap, c, c->size);
  }
  *a = (nc_arena){0};
}

/* What a chunk holds for certain, in whatever order pieces come: the last one may not fit by a little. */
static size_t chunk_room(const nc_arena_chunk *c, size_t piece_max) {
  size_t left = c->size - c->used, lost = piece_max - 8;
  return left > lost ? left - lost : 0;
}

size_t nc_arena_room(const nc_arena *a, size_t piece_max) {
  size_t room = 0;
  for (const nc_arena_chunk *c = a->current; c != NULL; c = c->next) room += chunk_room(c, piece_max);
  return room;
}

static bool fits_in_one(const nc_arena *a, size_t bytes) {
  for (const nc_arena_chunk *c = a->current; c != NULL; c = c->next) {
    if (c->size - c->used >= bytes) return true;
  }
  return false;
}

nacre_status nc_arena_reserve(nc_arena *a, size_t bytes, size_t piece_max, size_t *ret_grown,
                              nacre_error *err) {
  *ret_grown = 0;
  if (fits_in_one(a, bytes)) return NACRE_OK;
  size_t room = nc_arena_room(a, piece_max);
  if (room >= bytes) return NACRE_OK;
  size_t need = LEAD_BYTES + (bytes - room + piece_max < bytes ? bytes - room + piece_max : bytes);
  size_t size = need > a->next_bytes ? need : a->next_bytes;
  nc_arena_chunk *c = nc_heap_alloc(a->heap, size);
  if (c == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes for the memtable", size);
  *c = (nc_arena_chunk){.size = size, .used = LEAD_BYTES};
  if (a->last == NULL) {
    a->first = a->current = c;
  } else {
    a->last->next = c;
  }
  a->last = c;
  a->next_bytes = a->next_bytes * 2 < a->chunk_bytes ? a->next_bytes * 2 : a->chunk_bytes;
  *ret_grown = size;
  return NACRE_OK;
}

void *nc_arena_take(nc_arena *a, size_t bytes) {
  while (a->current->size - a->current->used < bytes) {
    assert(a->current->next != NULL);
    a->current = a->current->next;
  }
  void *piece = (uint8_t *)a->current + a->current->used;
  a->current->used += bytes;
  return piece;
}
