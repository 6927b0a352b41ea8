/* SPDX-License-Identifier: Apache-2.0
 *
 * iterator: the keys of a table in order, each with its newest visible value.
 *
 * Beneath lies a merge of all memtables and runs, which knows every version. Going forward, the merge stands
 * at the entry that is shown, whose key and value are borrowed from it; a key that was passed is copied only
 * when the merge is about to let go of it. Going backward, versions of a key come oldest first, so the merge
 * has to pass them all: it stands before the key that is shown, whose value is kept by a pin.
 */
#include "iterator.h"

#include "expiry.h"
#include "large_read.h"
#include "last_error.h"
#include "range_read.h"

enum { STEPS_BEFORE_A_JUMP = 16 };

/* ---- moving -------------------------------------------------------------------------------------------- */

static nacre_status end(nacre_iter *it) {
  it->valid = false;
  nc_iter_drop_value(it);
  return NACRE_OK;
}

/* Before the merge lets go of it. */
static nacre_status keep_key(nacre_iter *it, nacre_error *err) {
  if (it->at.data == it->key.data) return NACRE_OK;
  NC_TRY(nc_iter_copy_key(it, &it->key, it->at, err));
  it->at = nc_key_copy_slice(&it->key);
  return NACRE_OK;
}

/* Keys in order mostly differ at their ends. */
static inline bool same_key(nacre_slice a, nacre_slice b) {
  if (a.size != b.size) return false;
  const uint8_t *p = a.data, *q = b.data;
  if (a.size < sizeof(uint64_t)) return a.size == 0 || memcmp(p, q, a.size) == 0;
  size_t rest = a.size - sizeof(uint64_t);
  return nc_get_u64(p + rest) == nc_get_u64(q + rest) && memcmp(p, q, rest) == 0;
}

/* Whether an entry is one to show: visible, and not an older version of the key that was passed last. */
static inline bool hidden(const nacre_iter *it, const nc_entry *entry, bool has_passed) {
  return entry->sequence > it->sequence || (has_passed && same_key(it->at, entry->key));
}

/* A put that has not expired. */
static inline bool is_seen(const nacre_iter *it, const nc_entry *entry) {
  return entry->kind != NC_KIND_DELETE && !nc_entry_expired(entry, it->opened_ms);
}

/* Whether a range delete hides the entry. */
static nacre_status deleted(nacre_iter *it, const nc_entry *entry, bool *ret_deleted, nacre_error *err) {
  if (!it->has_span || !nc_range_span_holds(&it->span, entry->key)) {
    it->has_span = false;
    NC_TRY(nc_view_span(it->view, entry->key, it->sequence, &it->span, err));
    it->has_span = true;
  }
  *ret_deleted = entry->sequence < it->span.hidden;
  it->steps += *ret_deleted;
  return NACRE_OK;
}

/* Nobody checks the order of blocks on the way, so those of a segment that was sealed with malice may lead back to where
 * a jump began. Whoever jumps gets on, or is told. */
static nacre_status note_jump(nacre_iter *it, const nc_entry *from, nacre_error *err) {
  int order =
      nc_entry_compare(nc_key_copy_slice(&it->jumped), it->jumped_sequence, from->key, from->sequence);
  if (it->has_jumped && (it->backward ? order <= 0 : order >= 0))
    return nc_fail(err, NC_E_SEGMENT_ORDER, "a scan comes to where it was");
  NC_TRY(nc_iter_copy_key(it, &it->jumped, from->key, err));
  it->jumped_sequence = from->sequence;
  it->has_jumped = true;
  return NACRE_OK;
}

/* After some steps over what a range delete hides, a jump: so short stretches are not sought through, and long ones not
 * walked through. */
static nacre_status jump(nacre_iter *it, nacre_error *err) {
  if (it->steps < STEPS_BEFORE_A_JUMP || !it->merge->valid) return NACRE_OK;
  it->steps = 0;
  NC_TRY(note_jump(it, &it->merge->entry, err));
  return nc_cursor_pass(it->merge, &it->span, it->backward, err);
}

/* From where the merge stands, the first key with a visible value. With `has_passed`, versions of it->key are
 * skipped. */
static nacre_status settle_forward(nacre_iter *it, bool has_passed, nacre_error *err) {
  nc_cursor *m = it->merge;
  it->has_jumped &= !it->backward;
  it->backward = false;
  nc_iter_drop_value(it);
  while (m->valid) {
    const nc_entry *entry = &m->entry;
    if (it->has_upper && nc_slice_compare(entry->key, nc_key_copy_slice(&it->upper)) >= 0) break;
    if (!hidden(it, entry, has_passed)) {
      it->at = entry->key;
      has_passed = true;
      bool gone;
      NC_TRY(deleted(it, entry, &gone, err));
      if (!gone && is_seen(it, entry)) {
        it->value = nc_entry_payload(entry);
        it->expires_ms = nc_entry_expires_ms(entry);
        it->large = entry->kind == NC_KIND_LARGE;
        it->valid = true;
        return NACRE_OK;
      }
    }
    if (has_passed && (m->ahead == 0 || it->steps >= STEPS_BEFORE_A_JUMP)) NC_TRY(keep_key(it, err));
    NC_TRY(nc_cursor_next(m, err));
    NC_TRY(jump(it, err));
  }
  return end(it);
}

/* Takes a visible entry as the candidate to show: the newest visible version of a key is the last one that is
 * met. */
static nacre_status take_candidate(nacre_iter *it, const nc_entry *entry, nc_pin *pin, nacre_error *err) {
  bool gone;
  NC_TRY(nc_iter_copy_key(it, &it->key, entry->key, err));
  it->at = nc_key_copy_slice(&it->key);
  nc_iter_drop_value(it);
  NC_TRY(deleted(it, entry, &gone, err));
  if (gone || !is_seen(it, entry)) return NACRE_OK;
  it->value = nc_entry_payload(entry);
  it->expires_ms = nc_entry_expires_ms(entry);
  it->large = entry->kind == NC_KIND_LARGE;
  it->value_pin = pin;
  nc_pin_ref(pin);
  return NACRE_OK;
}

/* From where the merge stands, backward, the first key with a visible value; a pinned value marks a candidate
 * that is one. */
static nacre_status settle_backward(nacre_iter *it, nacre_error *err) {
  nc_cursor *m = it->merge;
  it->has_jumped &= it->backward;
  it->backward = true;
  nc_iter_drop_value(it);
  while (m->valid) {
    const nc_entry *entry = &m->entry;
    if (it->value_pin != NULL && !same_key(it->at, entry->key)) break;
    if (it->has_lower && nc_slice_compare(entry->key, nc_key_copy_slice(&it->lower)) < 0) break;
    if (entry->sequence <= it->sequence) NC_TRY(take_candidate(it, entry, m->pin, err));
    NC_TRY(nc_cursor_prev(m, err));
    NC_TRY(jump(it, err));
  }
  it->valid = it->value_pin != NULL;
  return NACRE_OK;
}

static nacre_status move_first(nacre_iter *it, nacre_error *err) {
  NC_TRY(it->has_lower ? nc_cursor_seek(it->merge, nc_key_copy_slice(&it->lower), NC_SEQUENCE_MAX, err)
                       : nc_cursor_first(it->merge, err));
  return settle_forward(it, false, err);
}

static nacre_status move_last(nacre_iter *it, nacre_error *err) {
  NC_TRY(it->has_upper ? nc_cursor_seek_before(it->merge, nc_key_copy_slice(&it->upper), NC_SEQUENCE_MAX, err)
                       : nc_cursor_last(it->merge, err));
  return settle_backward(it, err);
}

/* The caller's key may be the one that is shown. */
static nacre_status take_target(nacre_iter *it, nacre_slice *key, nacre_error *err) {
  if (key->data == NULL) return nc_fail(err, NC_E_ARGUMENT, "the key is NULL");
  NC_TRY(nc_iter_copy_key(it, &it->sought, *key, err));
  *key = nc_key_copy_slice(&it->sought);
  return NACRE_OK;
}

static nacre_status move_seek(nacre_iter *it, nacre_slice key, nacre_error *err) {
  NC_TRY(take_target(it, &key, err));
  if (it->has_lower && nc_slice_compare(key, nc_key_copy_slice(&it->lower)) < 0) return move_first(it, err);
  NC_TRY(nc_cursor_seek(it->merge, key, NC_SEQUENCE_MAX, err));
  return settle_forward(it, false, err);
}

/* Sequence 0 stands behind every version of a key. */
static nacre_status move_seek_back(nacre_iter *it, nacre_slice key, nacre_error *err) {
  NC_TRY(take_target(it, &key, err));
  if (it->has_upper && nc_slice_compare(key, nc_key_copy_slice(&it->upper)) >= 0) return move_last(it, err);
  NC_TRY(nc_cursor_seek_before(it->merge, key, 0, err));
  return settle_backward(it, err);
}

static nacre_status move_next(nacre_iter *it, nacre_error *err) {
  if (it->backward || it->merge->ahead == 0) NC_TRY(keep_key(it, err));
  if (it->backward) {
    NC_TRY(nc_cursor_seek(it->merge, it->at, 0, err));
  } else {
    NC_TRY(nc_cursor_next(it->merge, err));
  }
  return settle_forward(it, true, err);
}

static nacre_status move_prev(nacre_iter *it, nacre_error *err) {
  NC_TRY(keep_key(it, err));
  if (!it->backward) NC_TRY(nc_cursor_seek_before(it->merge, it->at, NC_SEQUENCE_MAX, err));
  return settle_backward(it, err);
}

/* False in a child, where nothing may be touched. */
static inline bool is_alive(const nacre_iter *it) { return it != NULL && *it->parent != 0; }

/* Moves the merge to the entry that is shown. */
static inline void catch_up(nacre_iter *it) {
  nc_cursor *m = it->merge;
  if (it->shown == NULL) return;
  m->ahead -= (size_t)(it->shown - m->window);
  m->window = it->shown;
  m->entry = *it->shown;
  it->shown = NULL;
  it->plain = 0;
}

/* False in a child: the iterator is invalid and says why. */
static bool may_move(nacre_iter *it, nacre_error *err) {
  if (it == NULL) return false;
  if (is_alive(it)) {
    catch_up(it);
    return true;
  }
  it->valid = false;
  it->status = nc_fail(err, NC_E_FORKED, NULL);
  return false;
}

/* A large value is read when the iterator comes to it, for nacre_iter_value cannot fail. */
static nacre_status load_large(nacre_iter *it, nacre_error *err) {
  if (!it->valid || !it->large || it->keys_only) return NACRE_OK;
  return nc_large_load(it->table, it->value, &it->value, &it->large_pin, err);
}

static void finish(nacre_iter *it, nacre_status status) {
  if (status == NACRE_OK) status = load_large(it, nc_thread_error());
  it->status = status;
  it->read = false;
  if (status == NACRE_OK) return;
  it->valid = false;
  nc_iter_drop_value(it);
}

/* The same, for moves that begin anywhere. */
static bool may_begin(nacre_iter *it, nacre_error *err) {
  bool may = may_move(it, err);
  if (may) it->has_jumped = false;
  return may;
}

void nacre_iter_first(nacre_iter *it) {
  nacre_error *err = nc_thread_error();
  if (may_begin(it, err)) finish(it, move_first(it, err));
}

void nacre_iter_last(nacre_iter *it) {
  nacre_error *err = nc_thread_error();
  if (may_begin(it, err)) finish(it, move_last(it, err));
}

void nacre_iter_seek(nacre_iter *it, nacre_slice key) {
  nacre_error *err = nc_thread_error();
  if (may_begin(it, err)) finish(it, move_seek(it, key, err));
}

void nacre_iter_seek_back(nacre_iter *it, nacre_slice key) {
  nacre_error *err = nc_thread_error();
  if (may_begin(it, err)) finish(it, move_seek_back(it, key, err));
}

/* How many of the entries that the merge has at hand lie below the upper bound, and in the stretch around the key that
 * was looked at last: they are in order. */
static size_t within_bounds(const nacre_iter *it) {
  const nc_cursor *m = it->merge;
  size_t count = it->has_span ? m->ahead : 0;
  nacre_slice upper = it->has_upper ? nc_key_copy_slice(&it->upper) : (nacre_slice){NULL, 0};
  nacre_slice end = it->span.upper_excluded;
  while (count > 0 && upper.data != NULL && nc_slice_compare(m->window[count].key, upper) >= 0) count /= 2;
  while (count > 0 && end.data != NULL && nc_slice_compare(m->window[count].key, end) >= 0) count /= 2;
  return count;
}

static inline void show_put(nacre_iter *it, const nc_entry *entry) {
  it->at = entry->key;
  it->value = entry->value;
}

/* Looks ahead: how far there are nothing but puts that are seen, each of another key than the one before. */
static size_t look_ahead(const nacre_iter *it) {
  const nc_entry *entry = it->shown, *last = it->last;
  uint64_t newest = it->sequence, hidden = it->span.hidden;
  for (; entry < last; entry++) {
    const nc_entry *next = entry + 1;
    if (next->kind != NC_KIND_PUT || next->sequence > newest || next->sequence < hidden) break;
    if (same_key(entry->key, next->key)) break;
  }
  return (size_t)(entry - it->shown);
}

/* Goes on to the next key, if the merge has it at hand and nothing about it asks for a second look. Older versions of
 * the key that is shown, and what is newer than the iterator, are passed on the way. */
static bool next_at_hand(nacre_iter *it) {
  const nc_cursor *m = it->merge;
  const nc_entry *entry = it->shown;
  if (entry == NULL) {
    if (!it->valid || it->backward || it->read || it->large || m->ahead == 0) return false;
    entry = m->window;
    it->last = entry + within_bounds(it);
  }
  while (entry < it->last) {
    entry++;
    if (entry->sequence > it->sequence || same_key(it->at, entry->key)) continue;
    if (entry->kind != NC_KIND_PUT || entry->sequence < it->span.hidden) return false;
    it->expires_ms = 0;
    show_put(it, entry);
    it->shown = entry;
    it->plain = look_ahead(it);
    return true;
  }
  return false;
}

/* Apart from nacre_iter_next, which is mostly done without it. */
__attribute__((noinline)) static void next_with_a_look(nacre_iter *it) {
  if (is_alive(it) && next_at_hand(it)) return;
  nacre_error *err = nc_thread_error();
  if (may_move(it, err) && it->valid) finish(it, move_next(it, err));
}

void nacre_iter_next(nacre_iter *it) {
  if (!is_alive(it) || it->plain == 0) {
    next_with_a_look(it);
    return;
  }
  it->plain--;
  show_put(it, ++it->shown);
}

void nacre_iter_prev(nacre_iter *it) {
  nacre_error *err = nc_thread_error();
  if (may_move(it, err) && it->valid) finish(it, move_prev(it, err));
}

/* Hands out what follows the entry that is shown as far as the merge has it at hand, which keeps all of it in
 * place. The merge, and what is shown, move to the last one that was handed out. */
static size_t read_window(nacre_iter *it, nacre_entry *entries, size_t capacity) {
  static const nacre_slice nothing = {"", 0};
  nc_cursor *m = it->merge;
  if (m->ahead == 0) return 0;
  const nc_entry *last = m->window, *end = last + within_bounds(it);
  uint64_t newest = it->sequence, hidden = it->span.hidden;
  bool keys_only = it->keys_only;
  size_t count = 0;
  nacre_slice passed = it->at;
  for (const nc_entry *entry = last; entry < end && count < capacity;) {
    entry++;
    if (entry->sequence > newest || same_key(passed, entry->key)) continue;
    if (entry->kind == NC_KIND_LARGE && !keys_only) break; /* the next move loads it */
    passed = entry->key;
    if (entry->sequence < hidden || (entry->kind != NC_KIND_PUT && !is_seen(it, entry))) continue;
    entries[count++] = (nacre_entry){entry->key, keys_only ? nothing : nc_entry_payload(entry)};
    last = entry;
  }
  if (count == 0) return 0;
  m->ahead -= (size_t)(last - m->window);
  m->window = last;
  m->entry = *last;
  it->at = last->key;
  it->value = nc_entry_payload(last);
  it->expires_ms = nc_entry_expires_ms(last);
  it->large = false;
  return count;
}

size_t nacre_iter_read(nacre_iter *it, nacre_entry *entries, size_t capacity) {
  nacre_error *err = nc_thread_error();
  if (!may_move(it, err)) return 0;
  if (entries == NULL && capacity > 0) {
    finish(it, nc_fail(err, NC_E_ARGUMENT, "entries is NULL"));
    return 0;
  }
  if (capacity > 0 && it->valid && it->read) finish(it, move_next(it, err));
  if (!it->valid || capacity == 0) return 0;
  entries[0] = (nacre_entry){it->at, nacre_iter_value(it)};
  size_t count = it->backward ? 1 : 1 + read_window(it, entries + 1, capacity - 1);
  it->read = true;
  return count;
}

static inline bool is_valid(const nacre_iter *it) { return is_alive(it) && it->valid; }

bool nacre_iter_valid(const nacre_iter *it) { return is_valid(it); }

nacre_slice nacre_iter_key(const nacre_iter *it) { return is_valid(it) ? it->at : (nacre_slice){"", 0}; }

nacre_slice nacre_iter_value(const nacre_iter *it) {
  return is_valid(it) && !it->keys_only ? it->value : (nacre_slice){"", 0};
}

uint64_t nacre_iter_expire_at_ms(const nacre_iter *it) { return is_valid(it) ? it->expires_ms : 0; }

nacre_status nacre_iter_status(const nacre_iter *it) {
  if (it == NULL) return NACRE_INVALID;
  return is_alive(it) ? it->status : NACRE_FORKED;
}
