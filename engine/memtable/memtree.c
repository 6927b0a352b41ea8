/* SPDX-License-Identifier: Apache-2.0
 *
 * memtree: a B+tree whose nodes grow in place and split by being copied.
 *
 * Invariants
 *   1. A node answers for a range of (key, sequence) that never changes. Its slots are filled one after the
 *      other and never again; its order word (how many, and which slot comes at which place) is stored with
 *      release after them, so whoever acquires it sees every slot that it names.
 *   2. A full node is replaced by two new ones. The old one stays as it is, whole as of then, for those who
 *      stand in it: they miss nothing but what was added later, which no reader at an earlier sequence may see.
 *   3. In the parent, the right one of the two is named before the left one takes the old one's place. A reader
 *      who loads a child, and then finds the order word that led to it unchanged, did not fall in between.
 *   4. Leaves are linked both ways; a link names a node that was live when its own node was.
 *
 * So that most comparisons touch no key, every slot holds a few bytes of its key: those behind the first `skip`
 * ones, which all keys of the node's range share because its two bounds do. The root has no bounds; its skip is
 * what all keys of the tree share, and a reader's key is held against that before it goes down. Only where these
 * windows are equal are the keys themselves compared.
 */
#include "memtree.h"

#include <assert.h>
#include <string.h>

enum {
  LEAF_SLOTS = 13,
  INNER_SLOTS = 14,
  HALF = 7,
  LEVELS_MAX = 24,
  BREAKS_MAX = 4,
  SKIP_MAX = UINT16_MAX,
  RESERVE_MIN = 8
};

/* The first record at or after which a node begins; NULL: it is the first of its level. `whole`: with all
 * versions of the key, whatever their sequence. */
typedef struct bound {
  const nc_record *record;
  bool whole;
} bound;

struct nc_memtree_leaf {
  atomic_uint_fast64_t order;
  const nc_record *low;
  _Atomic(nc_memtree_leaf *) next, prev;
  uint16_t skip;
  bool whole; /* of `low` */
  uint32_t windows[LEAF_SLOTS];
  const nc_record *records[LEAF_SLOTS];
};

struct nc_memtree_inner {
  atomic_uint_fast64_t order;
  const nc_record *low;
  uint16_t skip;
  bool whole;
  uint8_t level;           /* 1: the children are leaves */
  const nc_record *sample; /* of the root: a record that has the bytes that all share */
  uint64_t windows[INNER_SLOTS];
  _Atomic(void *) children[INNER_SLOTS];
};

enum { LEAF_BYTES = 192, INNER_BYTES = 256 };
_Static_assert(sizeof(nc_memtree_leaf) == LEAF_BYTES && sizeof(nc_memtree_inner) == INNER_BYTES,
               "whole lines of the cache");

typedef nc_memtree_leaf leaf;
typedef nc_memtree_inner inner;

typedef struct target {
  nacre_slice key;
  uint64_t sequence;
} target;

/* ---- order words: how many in the lowest four bits, then the slot at each place, four bits each -------------- */

static unsigned order_count(uint64_t order) { return order & 15; }
static unsigned order_slot(uint64_t order, unsigned place) { return order >> (4 + 4 * place) & 15; }

static uint64_t order_insert(uint64_t order, unsigned place, unsigned slot) {
  uint64_t before = (UINT64_C(1) << (4 + 4 * place)) - 1;
  return ((order & before) | (uint64_t)slot << (4 + 4 * place) | (order & ~before) << 4) + 1;
}

/* So many slots in their own order. */
static uint64_t order_straight(unsigned count) {
  return (UINT64_C(0xDCBA98765432100) & ((UINT64_C(1) << (4 + 4 * count)) - 1)) + count;
}

/* ---- comparing ----------------------------------------------------------------------------------------------- */

static uint64_t number_at(const uint8_t *p) {
  uint64_t number;
  memcpy(&number, p, sizeof number);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  number = __builtin_bswap64(number);
#endif
  return number;
}

/* Eight bytes of a key as a number, zeros behind its end. */
static uint64_t window_of(nacre_slice key, size_t skip) {
  const uint8_t *p = key.data;
  if (key.size <= skip) return 0;
  size_t left = key.size - skip;
  if (left >= 8) return number_at(p + skip);
  if (key.size >= 8) return number_at(p + key.size - 8) << (64 - 8 * left); /* its last eight bytes */
  uint64_t window = 0;
  for (size_t i = skip; i < key.size; i++) window |= (uint64_t)p[i] << (56 - 8 * (i - skip));
  return window;
}
static uint32_t leaf_window(nacre_slice key, size_t skip) { return (uint32_t)(window_of(key, skip) >> 32); }

static int record_compare(const nc_record *r, const target *t) {
  return nc_entry_compare(nc_record_key(r), nc_record_sequence(r), t->key, t->sequence);
}

static int bound_compare(bound b, const target *t) {
  if (b.record == NULL) return -1;
  return nc_entry_compare(nc_record_key(b.record), b.whole ? UINT64_MAX : nc_record_sequence(b.record),
                          t->key, t->sequence);
}

static bound child_bound(const inner *n, const void *child) {
  if (n->level == 1) return (bound){((const leaf *)child)->low, ((const leaf *)child)->whole};
  return (bound){((const inner *)child)->low, ((const inner *)child)->whole};
}

/* How many of the first bytes all keys between two bounds share. */
static uint16_t shared_between(bound low, bound high) {
  if (low.record == NULL || high.record == NULL) return 0;
  size_t shared = nc_slice_shared_prefix(nc_record_key(low.record), nc_record_key(high.record));
  return (uint16_t)(shared < SKIP_MAX ? shared : SKIP_MAX);
}

/* Where a key stands against what all keys of the tree begin with: before all of them, among, behind. */
static int against_shared(const inner *root, nacre_slice key) {
  size_t common = key.size < root->skip ? key.size : root->skip;
  int order = common == 0 ? 0 : memcmp(key.data, root->sample->bytes, common);
  if (order != 0) return order;
  return key.size < root->skip ? -1 : 0;
}

/* ---- searching ----------------------------------------------------------------------------------------------- */

static void *child_at(const inner *n, unsigned slot) {
  return atomic_load_explicit(&((inner *)(uintptr_t)n)->children[slot], memory_order_acquire);
}

/* The place of the first record at or after the target. */
static unsigned leaf_find(const leaf *l, uint64_t order, const target *t) {
  uint32_t window = leaf_window(t->key, l->skip);
  unsigned count = order_count(order), before = 0, same = 0;
  for (unsigned i = 0; i < count; i++) {
    before += l->windows[i] < window;
    same += l->windows[i] == window;
  }
  while (same > 0) {
    unsigned half = same / 2;
    if (record_compare(l->records[order_slot(order, before + half)], t) < 0) {
      before += half + 1;
      same -= half + 1;
    } else {
      same = half;
    }
  }
  return before;
}

/* The place of the child that answers for the target. */
static unsigned inner_find(const inner *n, uint64_t order, const target *t) {
  uint64_t window = window_of(t->key, n->skip);
  unsigned count = order_count(order), before = 0, same = 0;
  for (unsigned i = 0; i < count; i++) before += n->windows[i] < window;
  while (before + same < count && n->windows[order_slot(order, before + same)] == window) same++;
  while (same > 0) {
    unsigned half = same / 2;
    const void *child = child_at(n, order_slot(order, before + half));
    if (bound_compare(child_bound(n, child), t) <= 0) {
      before += half + 1;
      same -= half + 1;
    } else {
      same = half;
    }
  }
  return before == 0 ? 0 : before - 1;
}

static void prefetch_node(const void *node) {
  for (size_t line = 0; line < INNER_BYTES; line += 64) __builtin_prefetch((const uint8_t *)node + line);
}

typedef enum side { FIRST, SOUGHT, LAST } side;

/* Which nodes were passed, and at which place each was left; by level. */
typedef struct path {
  inner *nodes[LEVELS_MAX];
  unsigned places[LEVELS_MAX];
} path;

static unsigned place_for(const inner *n, uint64_t order, side which, const target *t) {
  if (which == SOUGHT) return inner_find(n, order, t);
  return which == FIRST ? 0 : order_count(order) - 1;
}

static void *child_for(inner *n, side which, const target *t, unsigned *ret_place) {
  uint64_t order = atomic_load_explicit(&n->order, memory_order_acquire), again;
  for (;; order = again) {
    *ret_place = place_for(n, order, which, t);
    void *child = child_at(n, order_slot(order, *ret_place));
    again = atomic_load_explicit(&n->order, memory_order_acquire);
    if (again == order) return child;
  }
}

static leaf *descend(inner *n, side which, const target *t, path *ret_path) {
  for (;;) {
    unsigned place;
    void *child = child_for(n, which, t, &place);
    prefetch_node(child);
    if (ret_path != NULL) {
      ret_path->nodes[n->level] = n;
      ret_path->places[n->level] = place;
    }
    if (n->level == 1) return child;
    n = child;
  }
}

/* For a target that comes before whatever all keys begin with, as of this root. The root's windows leave that out; its
 * first child has no lower bound and leaves nothing out. It may hold more than the root knows of by now, before the
 * target, too: so it is searched. */
static leaf *descend_before(inner *root, const target *t) {
  unsigned place;
  void *first = child_for(root, FIRST, t, &place);
  return root->level == 1 ? first : descend(first, SOUGHT, t, NULL);
}

static inner *root_of(const nc_memtree *t) {
  return atomic_load_explicit(&((nc_memtree *)(uintptr_t)t)->root, memory_order_acquire);
}

static bool enter(leaf *l, nc_memtree_place *place) {
  if (l == NULL) return false;
  place->leaf = l;
  place->order = atomic_load_explicit(&l->order, memory_order_acquire);
  place->at = 0;
  return true;
}

static leaf *link_of(const leaf *l, bool forward) {
  leaf *from = (leaf *)(uintptr_t)l;
  return atomic_load_explicit(forward ? &from->next : &from->prev, memory_order_acquire);
}

bool nc_memtree_first(const nc_memtree *t, nc_memtree_place *place) {
  inner *root = root_of(t);
  return root != NULL && enter(descend(root, FIRST, NULL, NULL), place);
}

bool nc_memtree_last(const nc_memtree *t, nc_memtree_place *place) {
  inner *root = root_of(t);
  if (root == NULL || !enter(descend(root, LAST, NULL, NULL), place)) return false;
  place->at = order_count(place->order) - 1;
  return true;
}

nc_memtree_inner *nc_memtree_root(const nc_memtree *t) { return root_of(t); }

bool nc_memtree_seek_below(nc_memtree_inner *root, nacre_slice key, uint64_t sequence, nc_memtree_place *place) {
  if (root == NULL) return false;
  target sought = {key, sequence};
  int outside = against_shared(root, key);
  if (outside > 0) return false;
  (void)enter(outside < 0 ? descend_before(root, &sought) : descend(root, SOUGHT, &sought, NULL), place);
  place->at = leaf_find(place->leaf, place->order, &sought);
  return place->at < order_count(place->order) || enter(link_of(place->leaf, true), place);
}

bool nc_memtree_seek(const nc_memtree *t, nacre_slice key, uint64_t sequence, nc_memtree_place *place) {
  return nc_memtree_seek_below(root_of(t), key, sequence, place);
}

bool nc_memtree_next(nc_memtree_place *place) {
  if (++place->at < order_count(place->order)) return true;
  return enter(link_of(place->leaf, true), place);
}

bool nc_memtree_prev(nc_memtree_place *place) {
  if (place->at > 0) {
    place->at--;
    return true;
  }
  if (!enter(link_of(place->leaf, false), place)) return false;
  place->at = order_count(place->order) - 1;
  return true;
}

unsigned nc_memtree_read(nc_memtree_place *place, const nc_record **records, unsigned capacity) {
  if (!nc_memtree_next(place)) return 0;
  unsigned count = order_count(place->order) - place->at;
  if (count > capacity) count = capacity;
  for (unsigned i = 0; i < count; i++) {
    records[i] = place->leaf->records[order_slot(place->order, place->at + i)];
    __builtin_prefetch(records[i]);
  }
  place->at += count - 1;
  return count;
}

const nc_record *nc_memtree_at(const nc_memtree_place *place) {
  return place->leaf->records[order_slot(place->order, place->at)];
}

/* ---- room ---------------------------------------------------------------------------------------------------- */

void nc_memtree_init(nc_memtree *t, nc_arena *nodes) {
  *t = (nc_memtree){.nodes = nodes, .breaks_left = BREAKS_MAX};
  atomic_init(&t->root, NULL);
}

/* The most that nodes for so many records can take. At worst every leaf there is is full and splits, and a
 * leaf that came of a split in halves does so again after seven more records; likewise inner nodes, which are
 * given one child with every split below. */
static size_t bytes_for(const nc_memtree *t, size_t count) {
  inner *root = root_of(t);
  size_t levels = root == NULL ? 1 : root->level;
  size_t splits = (t->leaves < count ? t->leaves : count) + count / 6;
  size_t full = splits * levels < t->inners ? splits * levels : t->inners;
  size_t inner_splits = full + (full + splits) / 6 + 1;
  return (2 * splits + 1) * LEAF_BYTES + (2 * inner_splits + 3 + t->breaks_left) * INNER_BYTES;
}

/* What one split takes that is not in halves, and what may come of it: one more full leaf. */
static size_t bytes_for_uneven(const nc_memtree *t) {
  inner *root = root_of(t);
  size_t levels = root == NULL ? 1 : root->level;
  return 4 * (size_t)LEAF_BYTES + (4 * levels + 2) * INNER_BYTES;
}

/* Reserved for a few at once, so that one after the other costs little. */
nacre_status nc_memtree_reserve(nc_memtree *t, size_t count, size_t *ret_grown, nacre_error *err) {
  *ret_grown = 0;
  if (count <= t->pending) return NACRE_OK;
  size_t pending = count < RESERVE_MIN ? RESERVE_MIN : count;
  NC_TRY(
      nc_arena_reserve(t->nodes, bytes_for(t, pending) + bytes_for_uneven(t), INNER_BYTES, ret_grown, err));
  t->pending = pending;
  return NACRE_OK;
}

/* Whether after such a split everything reserved still has its room. */
static bool room_for_uneven(const nc_memtree *t) {
  return nc_arena_room(t->nodes, INNER_BYTES) >= bytes_for_uneven(t) + bytes_for(t, t->pending);
}

/* ---- nodes --------------------------------------------------------------------------------------------------- */

static void leaf_append(leaf *l, unsigned slot, const nc_record *r) {
  l->windows[slot] = leaf_window(nc_record_key(r), l->skip);
  l->records[slot] = r;
}

static leaf *make_leaf(nc_memtree *t, bound low, bound high, const nc_record *const *records,
                       unsigned count) {
  leaf *l = nc_arena_take(t->nodes, LEAF_BYTES);
  l->low = low.record;
  l->whole = low.whole;
  l->skip = shared_between(low, high);
  for (unsigned i = 0; i < count; i++) leaf_append(l, i, records[i]);
  atomic_init(&l->order, order_straight(count));
  return l;
}

static void inner_append(inner *n, unsigned slot, void *child) {
  bound b = child_bound(n, child);
  n->windows[slot] = b.record == NULL ? 0 : window_of(nc_record_key(b.record), n->skip);
  atomic_store_explicit(&n->children[slot], child, memory_order_relaxed);
}

static inner *make_inner(nc_memtree *t, uint8_t level, bound low, uint16_t skip, void *const *children,
                         unsigned count) {
  inner *n = nc_arena_take(t->nodes, INNER_BYTES);
  n->low = low.record;
  n->whole = low.whole;
  n->level = level;
  n->skip = skip;
  for (unsigned i = 0; i < count; i++) inner_append(n, i, children[i]);
  atomic_init(&n->order, order_straight(count));
  return n;
}

static void plant_root(nc_memtree *t, uint8_t level, void *const *children, unsigned count,
                       const nc_record *sample, uint16_t skip) {
  inner *root = make_inner(t, level, (bound){0}, skip, children, count);
  root->sample = sample;
  atomic_store_explicit(&t->root, root, memory_order_release);
}

static void begin(nc_memtree *t, const nc_record *r) {
  leaf *l = make_leaf(t, (bound){0}, (bound){0}, &r, 1);
  t->tail = l;
  t->leaves = t->inners = 1;
  size_t skip = r->key_size < SKIP_MAX ? r->key_size : SKIP_MAX;
  plant_root(t, 1, (void *const[]){l}, 1, r, (uint16_t)skip);
}

/* The children of a node in their order. */
static unsigned gather(const inner *n, void **children) {
  uint64_t order = atomic_load_explicit(&n->order, memory_order_relaxed);
  for (unsigned i = 0; i < order_count(order); i++) children[i] = child_at(n, order_slot(order, i));
  return order_count(order);
}

/* A key that does not begin like all others gets a root that looks at earlier bytes. After some such keys, one
 * that looks at all: copies are reserved for so many only. */
static void keep_shared(nc_memtree *t, nacre_slice key) {
  inner *root = root_of(t);
  if (against_shared(root, key) == 0) return;
  size_t shared = nc_slice_shared_prefix(key, nc_slice(root->sample->bytes, root->skip));
  t->breaks_left--;
  void *children[INNER_SLOTS];
  unsigned count = gather(root, children);
  plant_root(t, root->level, children, count, root->sample, t->breaks_left == 0 ? 0 : (uint16_t)shared);
}

/* ---- splitting ----------------------------------------------------------------------------------------------- */

/* Where the range of the child ends that the path passes at `level`; no record: nowhere. */
static bound upper_bound(const path *p, unsigned level, unsigned levels) {
  for (; level <= levels; level++) {
    const inner *n = p->nodes[level];
    uint64_t order = atomic_load_explicit(&n->order, memory_order_relaxed);
    unsigned next = p->places[level] + 1;
    if (next < order_count(order)) return child_bound(n, child_at(n, order_slot(order, next)));
  }
  return (bound){0};
}

static unsigned place_of(uint64_t order, unsigned slot) {
  unsigned place = 0;
  while (order_slot(order, place) != slot) place++;
  return place;
}

/* Whether what comes to `place` is the third in a row of ascending or descending ones: then the node is cut
 * there, and what came in a row fills whole nodes. */
static bool in_a_row(uint64_t order, unsigned place) {
  unsigned count = order_count(order);
  unsigned newest = place_of(order, count - 1), second = place_of(order, count - 2);
  return (place == newest + 1 && newest == second + 1) || (place == newest && second == newest + 1);
}

/* Of a full node and one more at `place`, how many stay left. */
static unsigned cut_at(const nc_memtree *t, uint64_t order, unsigned place) {
  unsigned count = order_count(order);
  if (!in_a_row(order, place) || !room_for_uneven(t)) return HALF;
  return place == count ? count : place + 1;
}

static void replace_child(nc_memtree *t, path *p, unsigned level, void *left, void *right);

static void split_inner(nc_memtree *t, path *p, unsigned level, void *left, void *right) {
  inner *n = p->nodes[level], *root = root_of(t);
  unsigned place = p->places[level] + 1;
  void *all[INNER_SLOTS + 1];
  unsigned count = gather(n, all);
  memmove(all + place + 1, all + place, (count - place) * sizeof *all);
  all[place - 1] = left;
  all[place] = right;
  unsigned cut = cut_at(t, atomic_load_explicit(&n->order, memory_order_relaxed), place);
  bound low = {n->low, n->whole}, middle = child_bound(n, all[cut]);
  bound high = upper_bound(p, level + 1, root->level);
  inner *lower = make_inner(t, n->level, low, shared_between(low, middle), all, cut);
  inner *upper = make_inner(t, n->level, middle, shared_between(middle, high), all + cut, count + 1 - cut);
  t->inners++;
  if (n == root) {
    t->inners++;
    assert(root->level + 1 < LEVELS_MAX);
    plant_root(t, (uint8_t)(root->level + 1), (void *const[]){lower, upper}, 2, root->sample, root->skip);
  } else {
    replace_child(t, p, level + 1, lower, upper);
  }
}

/* In the path's node of `level`, two nodes take the place of the child that the path passes. */
static void replace_child(nc_memtree *t, path *p, unsigned level, void *left, void *right) {
  inner *n = p->nodes[level];
  uint64_t order = atomic_load_explicit(&n->order, memory_order_relaxed);
  unsigned place = p->places[level], count = order_count(order);
  if (count == INNER_SLOTS) {
    split_inner(t, p, level, left, right);
    return;
  }
  inner_append(n, count, right);
  atomic_store_explicit(&n->order, order_insert(order, place + 1, count), memory_order_release);
  atomic_store_explicit(&n->children[order_slot(order, place)], left, memory_order_release);
}

static void link_leaves(nc_memtree *t, const leaf *old, leaf *left, leaf *right) {
  leaf *before = link_of(old, false), *after = link_of(old, true);
  atomic_init(&left->prev, before);
  atomic_init(&left->next, right);
  atomic_init(&right->prev, left);
  atomic_init(&right->next, after);
  if (before != NULL) atomic_store_explicit(&before->next, left, memory_order_release);
  if (after != NULL) {
    atomic_store_explicit(&after->prev, right, memory_order_release);
  } else {
    t->tail = right;
  }
}

static void split_leaf(nc_memtree *t, path *p, const leaf *l, unsigned place, const nc_record *r) {
  const nc_record *all[LEAF_SLOTS + 1];
  uint64_t order = atomic_load_explicit(&l->order, memory_order_relaxed);
  for (unsigned i = 0, from = 0; i <= LEAF_SLOTS; i++)
    all[i] = i == place ? r : l->records[order_slot(order, from++)];
  unsigned cut = cut_at(t, order, place);
  nacre_slice last = nc_record_key(all[cut - 1]), first = nc_record_key(all[cut]);
  bound low = {l->low, l->whole}, middle = {all[cut], !nc_slice_equal(last, first)};
  leaf *left = make_leaf(t, low, middle, all, cut);
  leaf *right = make_leaf(t, middle, upper_bound(p, 1, root_of(t)->level), all + cut, LEAF_SLOTS + 1 - cut);
  link_leaves(t, l, left, right);
  t->leaves++;
  replace_child(t, p, 1, left, right);
}

/* ---- adding -------------------------------------------------------------------------------------------------- */

static bool leaf_add(leaf *l, uint64_t order, unsigned place, const nc_record *r) {
  unsigned count = order_count(order);
  if (count == LEAF_SLOTS) return false;
  leaf_append(l, count, r);
  atomic_store_explicit(&l->order, order_insert(order, place, count), memory_order_release);
  return true;
}

static bool comes_behind(const leaf *l, uint64_t order, const target *at) {
  unsigned slot = order_slot(order, order_count(order) - 1);
  uint32_t window = leaf_window(at->key, l->skip);
  return window > l->windows[slot] ||
         (window == l->windows[slot] && record_compare(l->records[slot], at) < 0);
}

static void add_in_place(nc_memtree *t, const nc_record *r, const target *at) {
  path p;
  uint64_t order = atomic_load_explicit(&t->tail->order, memory_order_relaxed);
  bool behind = comes_behind(t->tail, order, at); /* all others: no search then */
  if (behind && leaf_add(t->tail, order, order_count(order), r)) return;
  leaf *l = descend(root_of(t), behind ? LAST : SOUGHT, at, &p);
  order = atomic_load_explicit(&l->order, memory_order_relaxed);
  unsigned place = behind ? order_count(order) : leaf_find(l, order, at);
  if (!leaf_add(l, order, place, r)) split_leaf(t, &p, l, place, r);
}

void nc_memtree_add(nc_memtree *t, const nc_record *r) {
  assert(t->pending > 0);
  t->pending--;
  target at = {nc_record_key(r), nc_record_sequence(r)};
  if (root_of(t) == NULL) {
    begin(t, r);
  } else {
    keep_shared(t, at.key);
    add_in_place(t, r, &at);
  }
}
