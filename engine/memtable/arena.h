/* SPDX-License-Identifier: Apache-2.0
 *
 * arena: private memory that is taken piece by piece and given back all at once.
 *
 * Room can be reserved before it is used, so that taking pieces cannot fail. Chunks double from a sixteenth of their
 * full size, so that a thousand small arenas are small. One thread takes; what it took others may read, once they
 * were told of it.
 */
#ifndef NC_ARENA_H
#define NC_ARENA_H

#include <stdatomic.h>

#include "private_memory.h"

typedef struct nc_arena_chunk nc_arena_chunk;

typedef struct nc_arena {
  nc_heap *heap;
  size_t chunk_bytes, next_bytes; /* of a chunk that is full-grown; of the next one */
  nc_arena_chunk *first, *current, *last; /* behind `current`: not begun yet */
} nc_arena;

static inline nc_arena nc_arena_over(nc_heap *heap, size_t chunk_bytes) {
  size_t whole = chunk_bytes & ~(size_t)63;
  return (nc_arena){.heap = heap, .chunk_bytes = whole, .next_bytes = (whole / 16) & ~(size_t)63};
}
void nc_arena_deinit(nc_arena *arena);

/* Sees to it that pieces of at most `piece_max` and of together `bytes` can be taken; `*ret_grown` is what
 * that took from private memory. All sizes are multiples of 8. */
NC_MUST_CHECK nacre_status nc_arena_reserve(nc_arena *arena, size_t bytes, size_t piece_max,
                                            size_t *ret_grown, nacre_error *err);
/* What can be taken in any such pieces without allocating. */
size_t nc_arena_room(const nc_arena *arena, size_t piece_max);
/* Takes a reserved piece, which is zero; a size that is a multiple of 64 keeps such pieces aligned so. */
void *nc_arena_take(nc_arena *arena, size_t bytes);

#endif
