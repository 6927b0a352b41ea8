/* SPDX-License-Identifier: Apache-2.0
 *
 * Private memory: zero when handed out, wiped when given back, kept out of dumps and of children.
 */
#include "private_memory.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static nacre_error err;

static bool all_zero(const uint8_t *p, size_t size) {
  for (size_t i = 0; i < size; i++) {
    if (p[i] != 0) return false;
  }
  return true;
}

static nc_heap *make_heap(void) {
  nc_heap *heap;
  cr_assert_eq(nc_heap_create(&heap, &err), NACRE_OK);
  return heap;
}

Test(private_memory, is_zero_and_aligned_in_every_size) {
  nc_heap *heap = make_heap();
  for (size_t size = 0; size < 5000; size += 1 + size / 7) {
    uint8_t *p = nc_heap_alloc(heap, size);
    cr_assert_not_null(p);
    cr_assert_eq((uintptr_t)p % 64, 0);
    cr_assert(all_zero(p, size));
    memset(p, 0xAA, size);
    nc_heap_free(heap, p, size);
  }
  cr_assert_eq(nc_heap_bytes(heap), 0);
  nc_heap_destroy(heap);
}

Test(private_memory, is_zero_again_when_it_is_reused) {
  nc_heap *heap = make_heap();
  static const size_t sizes[] = {1, 64, 100, 4096, 5000, 300000, (size_t)1 << 20};
  for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
    uint8_t *a = nc_heap_alloc(heap, sizes[i]);
    uint8_t *b = nc_heap_alloc(heap, sizes[i]);
    memset(a, 0x5A, sizes[i]);
    memset(b, 0x5A, sizes[i]);
    nc_heap_free(heap, a, sizes[i]);
    nc_heap_free(heap, b, sizes[i]);
    uint8_t *again = nc_heap_alloc(heap, sizes[i]);
    cr_assert_eq(again, b, "the block last given back is the first to be reused");
    cr_assert(all_zero(again, sizes[i]));
    nc_heap_free(heap, again, sizes[i]);
  }
  nc_heap_destroy(heap);
}

Test(private_memory, wastes_at_most_a_quarter) {
  nc_heap *heap = make_heap();
  for (size_t size = 256; size <= (size_t)1 << 20; size += 1 + size / 11) {
    void *p = nc_heap_alloc(heap, size);
    cr_assert_leq(nc_heap_bytes(heap), size + size / 4 + 64, "%zu bytes took %llu", size,
                  (unsigned long long)nc_heap_bytes(heap));
    nc_heap_free(heap, p, size);
  }
  nc_heap_destroy(heap);
}

Test(private_memory, blocks_never_overlap) {
  enum { COUNT = 400 };
  nc_heap *heap = make_heap();
  uint8_t *blocks[COUNT];
  size_t sizes[COUNT], state = 12345;
  for (size_t i = 0; i < COUNT; i++) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    sizes[i] = 1 + (state >> 33) % (i % 16 == 0 ? 900000 : 9000);
    blocks[i] = nc_heap_alloc(heap, sizes[i]);
    memset(blocks[i], (int)(i % 251) + 1, sizes[i]);
  }
  for (size_t i = 0; i < COUNT; i++) {
    for (size_t j = 0; j < sizes[i]; j++) cr_assert_eq(blocks[i][j], i % 251 + 1);
    nc_heap_free(heap, blocks[i], sizes[i]);
  }
  cr_assert_eq(nc_heap_bytes(heap), 0);
  nc_heap_destroy(heap);
}

Test(private_memory, large_blocks_are_mappings_of_their_own) {
  nc_heap *heap = make_heap();
  size_t size = (size_t)3 << 20;
  uint8_t *a = nc_heap_alloc(heap, size), *b = nc_heap_alloc(heap, size), *c = nc_heap_alloc(heap, size);
  cr_assert(all_zero(a, size));
  memset(b, 1, size);
  nc_heap_free(heap, b, size);
  nc_heap_free(heap, a, size);
  nc_heap_free(heap, c, size);
  cr_assert_eq(nc_heap_bytes(heap), 0);
  cr_assert_null(nc_heap_alloc(heap, SIZE_MAX - 10));
  nc_heap_destroy(heap);
}

Test(private_memory, growing_keeps_the_content) {
  nc_heap *heap = make_heap();
  size_t size = 10;
  uint8_t *p = nc_heap_alloc(heap, size);
  memset(p, 7, 10);
  for (size_t wanted = 11; wanted < 3000000; wanted += wanted / 3) {
    p = nc_heap_grow(heap, p, size, wanted);
    cr_assert_not_null(p);
    cr_assert_eq(p[9], 7);
    cr_assert(all_zero(p + 10, wanted - 10));
    size = wanted;
  }
  nc_heap_free(heap, p, size);
  cr_assert_eq(nc_heap_bytes(heap), 0);
  nc_heap_destroy(heap);
}

/* The VmFlags line of the mapping that holds an address. */
static void flags_of(const void *address, char flags[256]) {
  FILE *maps = fopen("/proc/self/smaps", "r");
  char line[512];
  bool inside = false;
  flags[0] = 0;
  cr_assert_not_null(maps);
  while (fgets(line, sizeof line, maps) != NULL) {
    unsigned long begin, end;
    if (sscanf(line, "%lx-%lx ", &begin, &end) == 2)
      inside = (uintptr_t)address >= begin && (uintptr_t)address < end;
    if (inside && strncmp(line, "VmFlags:", 8) == 0) snprintf(flags, 256, "%.255s", line);
  }
  fclose(maps);
}

Test(private_memory, stays_out_of_dumps_and_children) {
  nc_heap *heap = make_heap();
  static const size_t sizes[] = {100, (size_t)2 << 20};
  for (size_t i = 0; i < 2; i++) {
    char flags[256];
    void *p = nc_heap_alloc(heap, sizes[i]);
    flags_of(p, flags);
    cr_assert_not_null(strstr(flags, " dd"), "not MADV_DONTDUMP: %s", flags);
    cr_assert_not_null(strstr(flags, " wf"), "not MADV_WIPEONFORK: %s", flags);
    nc_heap_free(heap, p, sizes[i]);
  }
  nc_heap_destroy(heap);
}

/* The first 4 MiB take pages as they are used; what comes then asks for huge ones, and is kept like the first. */
Test(private_memory, what_grows_large_asks_for_huge_pages) {
  enum { BLOCKS = 20, FIRST_BLOCKS = 3, BLOCK_BYTES = 1000 * 1000 };
  bool huge_pages = access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0;
  nc_heap *heap = make_heap();
  char flags[256];
  void *blocks[BLOCKS];
  for (int i = 0; i < BLOCKS; i++) {
    blocks[i] = nc_heap_alloc(heap, BLOCK_BYTES);
    memset(blocks[i], 1, BLOCK_BYTES);
    flags_of(blocks[i], flags);
    cr_expect_eq(strstr(flags, " hg") != NULL, huge_pages && i >= FIRST_BLOCKS, "block %d: %s", i, flags);
    cr_expect(strstr(flags, " dd") != NULL && strstr(flags, " wf") != NULL, "block %d: %s", i, flags);
  }
  for (int i = 0; i < BLOCKS; i++) nc_heap_free(heap, blocks[i], BLOCK_BYTES);
  nc_heap_destroy(heap);
}

static void count_call(void *calls) { ++*(int *)calls; }

static bool resident(const void *address) {
  unsigned char state = 0;
  cr_assert_eq(mincore((void *)((uintptr_t)address & ~(uintptr_t)4095), 1, &state), 0);
  return (state & 1) != 0;
}

Test(private_memory, is_made_ready_ahead_where_one_piece_is_not_enough) {
  enum { BLOCKS = 15, BLOCK_BYTES = 1 << 20, PIECE_BLOCKS = 4, FIRST_BLOCKS = 3 }; /* a word is the heap's */
  nc_heap *heap = make_heap();
  uint8_t *blocks[BLOCKS];
  int calls = 0;
  char flags[256];
  nc_heap_on_taken(heap, count_call, &calls);
  for (int i = 0; i < BLOCKS; i++) {
    int piece = (i + PIECE_BLOCKS - FIRST_BLOCKS) / PIECE_BLOCKS; /* which one it lies in; the first is 0 */
    bool begins = i > 0 && (i - FIRST_BLOCKS) % PIECE_BLOCKS == 0;
    blocks[i] = nc_heap_alloc(heap, BLOCK_BYTES);
    cr_assert_eq(calls, piece, "block %d: %d pieces were begun", i, calls);
    if (begins) /* its last MiB is nobody's yet; the second piece came when it was wanted, later ones before */
      cr_expect_eq(resident(blocks[i] + (PIECE_BLOCKS - 1) * BLOCK_BYTES), piece > 1, "piece %d", piece);
    flags_of(blocks[i], flags);
    cr_expect(strstr(flags, " dd") != NULL && strstr(flags, " wf") != NULL, "block %d: %s", i, flags);
    cr_expect(all_zero(blocks[i], BLOCK_BYTES));
    nc_heap_make_ready(heap); /* too often does no harm */
  }
  for (int i = 0; i < BLOCKS; i++) nc_heap_free(heap, blocks[i], BLOCK_BYTES);
  nc_heap_destroy(heap);
}

Test(private_memory, compares_secrets) {
  uint8_t a[32] = {1, 2, 3}, b[32] = {1, 2, 3};
  cr_assert(nc_equal_secret(a, b, sizeof a));
  b[31] = 1;
  cr_assert_not(nc_equal_secret(a, b, sizeof a));
  nc_wipe(b, sizeof b);
  cr_assert(all_zero(b, sizeof b));
  nc_wipe(NULL, 0);
}
