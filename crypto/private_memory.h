/* SPDX-License-Identifier: Apache-2.0
 *
 * private_memory: memory for keys and plaintext, which stays out of core dumps and of children, and is wiped
 * when freed.
 *
 * A heap takes large pieces from the kernel (MADV_DONTDUMP, MADV_WIPEONFORK) and hands out parts of them by
 * size class. What it hands out is zero and aligned to 64 bytes, because what comes back is wiped. Any thread
 * may use it.
 */
#ifndef NC_PRIVATE_MEMORY_H
#define NC_PRIVATE_MEMORY_H

#include "status.h"

typedef struct nc_heap nc_heap;

NC_MUST_CHECK nacre_status nc_heap_create(nc_heap **ret_heap, nacre_error *err);
/* Everything taken from it must have come back. Wipes, unmaps. NULL is harmless. */
void nc_heap_destroy(nc_heap *heap);
/* NULL when there is no memory. `size` 0 counts as 1. */
void *nc_heap_alloc(nc_heap *heap, size_t size);
/* Wipes and takes back; `size` as it was asked for. NULL is harmless. */
void nc_heap_free(nc_heap *heap, void *memory, size_t size);
/* True in a child of the process that made the heap: what it held is gone there, and it must not be used. */
bool nc_heap_forked(const nc_heap *heap);
/* Grows (never shrinks): copies, wipes the old. NULL: no memory, and the old stays as it was. */
void *nc_heap_grow(nc_heap *heap, void *memory, size_t old_size, size_t new_size);
/* `on_taken` is called, in the thread that allocates and under whatever it holds, when another large piece was begun:
 * somebody may then make the next ones ready. NULL: nobody does. */
void nc_heap_on_taken(nc_heap *heap, void (*on_taken)(void *arg), void *arg);
/* Takes from the kernel what is likely wanted next: one large piece or two ahead, and none where the first one has
 * been enough. Waits for memory to be zeroed, for milliseconds. */
void nc_heap_make_ready(nc_heap *heap);
uint64_t nc_heap_bytes(const nc_heap *heap); /* handed out now */
size_t nc_heap_block_bytes(size_t size);     /* what a request of so many bytes really takes */

/* Overwrites a secret in a way that the compiler keeps. */
void nc_wipe(void *memory, size_t size);
/* Equality in a time that depends on `size` alone. */
bool nc_equal_secret(const void *a, const void *b, size_t size);

#endif
