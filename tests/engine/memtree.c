/* SPDX-License-Identifier: Apache-2.0
 *
 * memtree: a seek beside whoever adds, in two steps: what comes in between may or may not be met, but everything that
 * was there before is, and nothing that comes before the key.
 */
#include "memtree.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "fixture.h"

static nc_env *env;
static nc_arena nodes, records;
static nc_memtree tree;
static uint64_t sequence;
static nacre_error err;

static void setup(void) {
  must(nc_env_create(NULL, &env, &err));
  nodes = nc_arena_over(env->heap, 1 << 20);
  records = nc_arena_over(env->heap, 1 << 20);
  nc_memtree_init(&tree, &nodes);
}
static void teardown(void) {
  nc_arena_deinit(&nodes);
  nc_arena_deinit(&records);
  nc_env_destroy(env);
}
TestSuite(memtree, .init = setup, .fini = teardown);

static void add(const char *prefix, unsigned number) {
  char key[32];
  size_t size = (size_t)snprintf(key, sizeof key, "%s/%05u", prefix, number), grown;
  size_t need = (sizeof(nc_record) + size + 7) & ~(size_t)7;
  must(nc_arena_reserve(&records, need, need, &grown, &err));
  must(nc_memtree_reserve(&tree, 1, &grown, &err));
  nc_record *r = nc_arena_take(&records, need);
  *r = (nc_record){.tag = ++sequence << 3 | NC_KIND_PUT, .key_size = (uint32_t)size};
  memcpy(r->bytes, key, size);
  nc_memtree_add(&tree, r);
}

/* A tree of `old` keys that begin alike; then others, which come before all of them, are added between the two steps of
 * a seek for what lies in between. */
static void seek_beside(unsigned old, unsigned others) {
  nc_memtree_place place;
  for (unsigned i = 0; i < old; i++) add("w", i * 7919 % 100000);
  nc_memtree_inner *root = nc_memtree_root(&tree);
  for (unsigned i = 0; i < others; i++) add("group", i * 31 % others);
  cr_assert(nc_memtree_seek_below(root, text("v"), 0, &place), "%u and %u: nothing is found", old, others);
  nacre_slice found = nc_record_key(nc_memtree_at(&place));
  cr_expect(slice_is(found, "w/00000"), "%u and %u: it stops at %.*s", old, others, (int)found.size,
            (const char *)found.data);
}

Test(memtree, a_seek_passes_what_came_before_its_key_meanwhile) { seek_beside(1, 1); }
Test(memtree, a_seek_passes_what_has_filled_the_first_leaf_meanwhile) { seek_beside(8, 40); }
Test(memtree, a_seek_passes_what_has_filled_leaves_meanwhile) { seek_beside(400, 14); }
Test(memtree, a_seek_passes_what_has_filled_the_first_half_meanwhile) { seek_beside(400, 3000); }
