/* SPDX-License-Identifier: Apache-2.0
 *
 * merge_cursor: see merge_cursor.h.
 *
 * Children that have an entry stand sorted in the direction of travel.
 *
 * Forward, what they have at hand is merged a batch at a time, without moving any of them: a head says how far a
 * child's window has been used. A batch ends with the last entry that some child has at hand, for what that one has
 * next is not known; it is moved on only when the batch has been passed, so that all entries of it stay good. A
 * stretch that comes from one child alone is shown in that child's own window.
 *
 * Backward, every child stands at or before the current entry, and the first one is shown.
 *
 * Whoever turns around, or passes a stretch, first has the children moved to where the merge stands (settle).
 */
#include "merge_cursor.h"

#include <stdlib.h>

enum { BATCH_MAX = 64, WORD_BYTES = 8 };

/* A child, and what of its entries has not been merged yet. */
typedef struct head {
  nc_cursor *child;
  const nc_entry *at;
  size_t left;   /* entries at hand behind `at` */
  uint64_t word; /* of the key of `at`: mix */
} head;

typedef struct merge_cursor {
  nc_cursor base;
  bool backward;
  bool spent; /* forward: the first head's last entry at hand has been merged */
  size_t count, live;
  head *heads;
  head **sorted; /* the first `live` */
  nc_entry batch[BATCH_MAX];
} merge_cursor;

/* What a child has at hand, from where it stands. */
static void head_load(head *h) {
  h->at = h->child->ahead > 0 ? h->child->window : &h->child->entry;
  h->left = h->child->ahead;
}

/* Moves the child to where its head is. */
static void head_sync(head *h) {
  nc_cursor *child = h->child;
  if (h->at == &child->entry || h->at == child->window) return;
  child->window = h->at;
  child->ahead = h->left;
  child->entry = *h->at;
}

/* Whether an entry of head `x` is met before one of `y`. Two of one key and sequence, which only a defect or malice
 * makes unlike each other, are met in the order of their children, and backward in the other, so that both ways lead
 * to the same one. */
static bool is_met_first(const merge_cursor *c, const head *x, const nc_entry *of_x, const head *y,
                         const nc_entry *of_y) {
  int order = nc_entry_compare(of_x->key, of_x->sequence, of_y->key, of_y->sequence);
  return order == 0 ? (x < y) != c->backward : (order < 0) != c->backward;
}

static nacre_status fail(merge_cursor *c, nacre_status status) {
  nc_cursor_show_nothing(&c->base);
  c->live = 0;
  c->spent = false;
  return status;
}

/* ---- sorting ------------------------------------------------------------------------------------------- */

/* Puts `h` in its place among sorted[from..live), which are in order; sorted[from - 1] is free. */
static void insert(merge_cursor *c, head *h, size_t from) {
  size_t low = from, high = c->live;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (is_met_first(c, c->sorted[middle], c->sorted[middle]->at, h, h->at)) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  for (size_t i = from; i < low; i++) c->sorted[i - 1] = c->sorted[i];
  c->sorted[low - 1] = h;
}

/* All children anew, from where they stand. */
static void sort(merge_cursor *c) {
  size_t live = c->live = 0;
  c->spent = false;
  for (size_t i = 0; i < c->count; i++) live += c->heads[i].child->valid;
  c->live = live;
  for (size_t i = c->count; i > 0; i--) {
    head *h = &c->heads[i - 1];
    if (!h->child->valid) continue;
    head_load(h);
    insert(c, h, live--);
  }
}

/* ---- showing ------------------------------------------------------------------------------------------- */

/* How many of the first bytes all keys at hand share: those between the first one and the last of each window. */
static size_t shared_bytes(const merge_cursor *c) {
  nacre_slice first = c->sorted[0]->at->key;
  size_t shared = first.size;
  for (size_t i = 0; i < c->live; i++) {
    const head *h = c->sorted[i];
    size_t with_last = nc_slice_shared_prefix(nc_slice(first.data, shared), h->at[h->left].key);
    if (with_last < shared) shared = with_last;
  }
  return shared;
}

static inline uint64_t load_word(const uint8_t *p) {
  uint64_t word;
  memcpy(&word, p, WORD_BYTES);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
  word = __builtin_bswap64(word);
#endif
  return word;
}

/* The bytes of a key behind those that all share, as a number that orders as they do; zeros behind its end. */
static inline uint64_t word_of(nacre_slice key, size_t skip) {
  const uint8_t *p = key.data;
  size_t size = key.size - skip;
  uint64_t word = 0;
  if (size >= WORD_BYTES) return load_word(p + skip);
  if (size == 0) return 0;
  if (key.size >= WORD_BYTES) return load_word(p + key.size - WORD_BYTES) << (8 * (WORD_BYTES - size));
  for (size_t i = 0; i < size; i++) word |= (uint64_t)p[skip + i] << (56 - 8 * i);
  return word;
}

/* Keys of one word and one size that end within the word are one key. */
static inline bool comes_before(const head *x, const head *y, size_t skip) {
  if (x->word != y->word) return x->word < y->word;
  const nc_entry *a = x->at, *b = y->at;
  bool same = a->key.size == b->key.size && a->key.size <= skip + WORD_BYTES;
  if (same && a->sequence != b->sequence) return a->sequence > b->sequence;
  int order = same ? 0 : nc_entry_compare(a->key, a->sequence, b->key, b->sequence);
  return order < 0 || (order == 0 && x < y);
}

/* Takes entries of the first head, at least one, as long as they surely come before the second head's. */
static size_t take_first(merge_cursor *c, size_t skip, size_t n) {
  head *h = c->sorted[0];
  const nc_entry *at = h->at, *last = at + h->left;
  uint64_t word = 0, until = c->live > 1 ? c->sorted[1]->word : UINT64_MAX;
  for (;;) {
    c->batch[n++] = *at;
    c->spent = at == last;
    if (c->spent) break;
    word = word_of((++at)->key, skip);
    if (word >= until || n == BATCH_MAX) break;
  }
  h->at = at;
  h->left = (size_t)(last - at);
  h->word = word;
  return n;
}

/* Merges what is at hand until a child's last entry of it is taken. */
static size_t mix(merge_cursor *c) {
  head **sorted = c->sorted;
  size_t n = 0, skip = shared_bytes(c), live = c->live;
  for (size_t i = 0; i < live; i++) sorted[i]->word = word_of(sorted[i]->at->key, skip);
  do {
    n = take_first(c, skip, n);
    if (c->spent) break;
    head *h = sorted[0];
    size_t place = 1;
    for (; place < live && comes_before(sorted[place], h, skip); place++) sorted[place - 1] = sorted[place];
    sorted[place - 1] = h;
  } while (n < BATCH_MAX);
  return n;
}

static void show(merge_cursor *c, const nc_entry *window, size_t count) {
  c->base.valid = true;
  c->base.entry = *window;
  c->base.window = window;
  c->base.ahead = count - 1;
}

static void publish(merge_cursor *c) {
  nc_cursor_show_nothing(&c->base);
  if (c->live == 0) return;
  head *first = c->sorted[0];
  c->base.pin = first->child->pin;
  if (c->backward) {
    c->base.valid = true;
    c->base.entry = *first->at;
  } else if (c->live == 1 ||
             is_met_first(c, first, &first->at[first->left], c->sorted[1], c->sorted[1]->at)) {
    show(c, first->at, first->left + 1);
    first->at += first->left;
    first->left = 0;
    c->spent = true;
  } else {
    show(c, c->batch, mix(c));
  }
}

/* ---- moving -------------------------------------------------------------------------------------------- */

/* Moves every child to a first, last or sought entry, and sorts them. */
typedef struct target {
  bool backward, seek;
  nacre_slice key;
  uint64_t sequence;
} target;

static nacre_status place(merge_cursor *c, const target *to, nacre_error *err) {
  c->backward = to->backward;
  for (size_t i = 0; i < c->count; i++) {
    nc_cursor *child = c->heads[i].child;
    nacre_status status = to->seek       ? nc_cursor_seek(child, to->key, to->sequence, err)
                          : to->backward ? nc_cursor_last(child, err)
                                         : nc_cursor_first(child, err);
    if (status != NACRE_OK) return fail(c, status);
  }
  sort(c);
  publish(c);
  return NACRE_OK;
}

static nacre_status cursor_first(nc_cursor *base, nacre_error *err) {
  return place((merge_cursor *)base, &(target){0}, err);
}

static nacre_status cursor_last(nc_cursor *base, nacre_error *err) {
  return place((merge_cursor *)base, &(target){.backward = true}, err);
}

static nacre_status cursor_seek(nc_cursor *base, nacre_slice key, uint64_t sequence, nacre_error *err) {
  return place((merge_cursor *)base, &(target){.seek = true, .key = key, .sequence = sequence}, err);
}

/* Moves a head, from the beginning of its child's window, to the first entry that does not come before `shown`. When
 * there is none at hand, nothing of that window is shown, and the child may go on. */
static nacre_status head_settle(head *h, const nc_entry *shown, nacre_error *err) {
  for (head_load(h); nc_entry_compare(h->at->key, h->at->sequence, shown->key, shown->sequence) < 0;
       h->at++, h->left--) {
    if (h->left > 0) continue;
    head_sync(h);
    return nc_cursor_next(h->child, err);
  }
  head_sync(h);
  return NACRE_OK;
}

/* Every child stands at or behind the entry that is shown afterwards, and the first one at it. */
static nacre_status settle(merge_cursor *c, nacre_error *err) {
  if (c->backward) return NACRE_OK;
  const nc_entry shown = c->base.entry;
  for (size_t i = 0; i < c->live; i++) NC_TRY(head_settle(c->sorted[i], &shown, err));
  sort(c);
  return NACRE_OK;
}

/* Turns around: puts every other child on the far side of the current entry, and moves the current one on. It is that
 * one which moves, whichever stands first afterwards: a memtable may have got an entry behind the current one between
 * the two moves of a child that goes back. */
static nacre_status turn(merge_cursor *c, bool backward, nacre_error *err) {
  NC_TRY(settle(c, err));
  nc_cursor *current = c->sorted[0]->child;
  const nc_entry at = *c->sorted[0]->at;
  for (size_t i = 0; i < c->count; i++) {
    nc_cursor *child = c->heads[i].child;
    if (child == current) continue;
    NC_TRY(backward ? nc_cursor_seek_before(child, at.key, at.sequence, err)
                    : nc_cursor_seek(child, at.key, at.sequence, err));
  }
  NC_TRY(backward ? nc_cursor_prev(current, err) : nc_cursor_next(current, err));
  c->backward = backward;
  sort(c);
  return NACRE_OK;
}

/* Moves the first child on, and puts it back in its place. */
static nacre_status refill(merge_cursor *c, nacre_error *err) {
  head *h = c->sorted[0];
  head_sync(h);
  NC_TRY(c->backward ? nc_cursor_prev(h->child, err) : nc_cursor_next(h->child, err));
  c->spent = false;
  if (h->child->valid) {
    head_load(h);
    insert(c, h, 1);
  } else {
    c->live--;
    memmove(c->sorted, c->sorted + 1, c->live * sizeof *c->sorted);
  }
  return NACRE_OK;
}

static nacre_status step(merge_cursor *c, bool backward, nacre_error *err) {
  nacre_status status = NACRE_OK;
  if (c->backward != backward) {
    status = turn(c, backward, err);
  } else if (backward || c->spent) {
    status = refill(c, err);
  }
  if (status != NACRE_OK) return fail(c, status);
  publish(c);
  return NACRE_OK;
}

static nacre_status cursor_next(nc_cursor *base, nacre_error *err) {
  return step((merge_cursor *)base, false, err);
}

static nacre_status cursor_prev(nc_cursor *base, nacre_error *err) {
  return step((merge_cursor *)base, true, err);
}

static nacre_status cursor_pass(nc_cursor *base, const nc_range_span *deleted, bool backward,
                                nacre_error *err) {
  merge_cursor *c = (merge_cursor *)base;
  if (backward != c->backward) return NACRE_OK;
  nacre_status status = settle(c, err);
  for (size_t i = 0; i < c->live && status == NACRE_OK; i++)
    status = nc_cursor_pass(c->sorted[i]->child, deleted, backward, err);
  if (status != NACRE_OK) return fail(c, status);
  sort(c);
  publish(c);
  return NACRE_OK;
}

static void cursor_rest(nc_cursor *base) {
  merge_cursor *c = (merge_cursor *)base;
  for (size_t i = 0; i < c->count; i++) nc_cursor_rest(c->heads[i].child);
  c->live = 0;
  c->spent = false;
}

static void cursor_close(nc_cursor *base) {
  merge_cursor *c = (merge_cursor *)base;
  for (size_t i = 0; i < c->count; i++) nc_cursor_close(c->heads[i].child);
  free(c);
}

static const nc_cursor_ops merge_cursor_ops = {cursor_first, cursor_last,  cursor_seek, cursor_next,
                                               cursor_prev,  cursor_close, cursor_pass, cursor_rest};

nacre_status nc_merge_cursor(nc_cursor *const *children, size_t count, nc_cursor **ret_cursor,
                             nacre_error *err) {
  merge_cursor *c = malloc(sizeof *c + count * (sizeof(head) + sizeof(head *)));
  if (c == NULL) {
    for (size_t i = 0; i < count; i++) nc_cursor_close(children[i]);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  c->base = (nc_cursor){.ops = &merge_cursor_ops};
  c->backward = c->spent = false;
  c->count = count;
  c->live = 0;
  c->heads = (head *)(void *)(c + 1);
  c->sorted = (head **)(void *)(c->heads + count);
  for (size_t i = 0; i < count; i++) c->heads[i] = (head){.child = children[i]};
  *ret_cursor = &c->base;
  return NACRE_OK;
}
