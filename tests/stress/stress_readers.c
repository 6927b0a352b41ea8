/* SPDX-License-Identifier: Apache-2.0
 *
 * stress_readers: the jobs that read, and check what they see.
 */
#include <stdio.h>
#include <unistd.h>

#include "stress.h"

void read_numbers(world *w, test_random *random, uint64_t n) {
  name key;
  (void)n;
  unsigned writer = (unsigned)test_random_below(random, WRITERS),
           i = (unsigned)test_random_below(random, KEYS);
  uint64_t before = atomic_load(&w->acknowledged[writer][i]);
  CHECK(number_at(w, number_key(&key, writer, i), writer, NULL) >= before, "what was acknowledged is seen");
}

/* Many keys at one moment; a key that is missing counts 0. */
static void numbers_at_once(world *w, size_t keys_count, const nacre_slice *keys, uint64_t owner,
                            const nacre_snapshot *snapshot, uint64_t *ret_numbers) {
  nacre_value values[GROUP + ACCOUNTS];
  nacre_status statuses[GROUP + ACCOUNTS];
  nacre_read_options options = {.snapshot = snapshot};
  went_well(nacre_multi_get(w->t, keys_count, keys, &options, values, statuses), "multi_get");
  for (size_t i = 0; i < keys_count; i++) {
    ret_numbers[i] = statuses[i] == NACRE_OK ? cell_read(nc_slice(values[i].data, values[i].size), owner) : 0;
    nacre_value_release(&values[i]);
  }
}

static void check_equal(world *w, nacre_slice (*key_of)(name *n, unsigned i), uint64_t owner, const char *what) {
  name names[GROUP];
  nacre_slice keys[GROUP];
  uint64_t numbers[GROUP];
  for (unsigned i = 0; i < GROUP; i++) keys[i] = key_of(&names[i], i);
  numbers_at_once(w, GROUP, keys, owner, NULL, numbers);
  for (unsigned i = 1; i < GROUP; i++)
    CHECK(numbers[i] == numbers[0], "a torn %s: %llu and %llu", what, (unsigned long long)numbers[0],
          (unsigned long long)numbers[i]);
}

void read_groups(world *w, test_random *random, uint64_t n) {
  (void)random, (void)n;
  check_equal(w, group_key, OWNER_GROUP, "group");
}

void read_loads(world *w, test_random *random, uint64_t n) {
  (void)random, (void)n;
  check_equal(w, load_key, OWNER_LOAD, "load");
}

static void check_accounts(world *w, const nacre_snapshot *snapshot) {
  name names[ACCOUNTS];
  nacre_slice keys[ACCOUNTS];
  uint64_t numbers[ACCOUNTS], sum = 0;
  for (unsigned i = 0; i < ACCOUNTS; i++) keys[i] = account_key(&names[i], i);
  numbers_at_once(w, ACCOUNTS, keys, OWNER_ACCOUNT, snapshot, numbers);
  for (unsigned i = 0; i < ACCOUNTS; i++) sum += numbers[i];
  CHECK(sum == (uint64_t)ACCOUNTS * BALANCE, "the accounts hold %llu", (unsigned long long)sum);
}

void read_accounts(world *w, test_random *random, uint64_t n) {
  (void)random, (void)n;
  check_accounts(w, NULL);
}

/* ---- iterators ----------------------------------------------------------------------------------------- */

typedef struct scanned {
  size_t entries;
  uint64_t all, accounts; /* sums */
} scanned;

static int key_order(const name *a, const name *b) { return memcmp(a->bytes, b->bytes, sizeof a->bytes); }

static void key_copy(nacre_slice key, name *n) {
  memset(n, 0, sizeof *n);
  if (CHECK(key.size < sizeof n->bytes, "a key of %zu bytes", key.size)) memcpy(n->bytes, key.data, key.size);
}

/* All there is, in order, in one direction or the other. */
static scanned scan(nacre_iter *it, bool backward) {
  name last, now;
  scanned s = {0};
  for (backward ? nacre_iter_last(it) : nacre_iter_first(it); nacre_iter_valid(it);
       backward ? nacre_iter_prev(it) : nacre_iter_next(it)) {
    nacre_slice key = nacre_iter_key(it);
    key_copy(key, &now);
    if (s.entries > 0)
      CHECK(backward ? key_order(&now, &last) < 0 : key_order(&now, &last) > 0, "%s and %s", last.bytes,
            now.bytes);
    last = now;
    uint64_t number = cell_read(nacre_iter_value(it), owner_of(key));
    s.all += number;
    if (owner_of(key) == OWNER_ACCOUNT) s.accounts += number;
    s.entries++;
  }
  went_well(nacre_iter_status(it), "iterator");
  return s;
}

void scan_both_ways(world *w, test_random *random, uint64_t n) {
  nacre_iter *it;
  (void)random, (void)n;
  if (!went_well(nacre_iter_open(w->t, NULL, &it), "iter_open")) return;
  scanned forward = scan(it, false), backward = scan(it, true);
  CHECK(forward.entries == backward.entries && forward.all == backward.all, "an iterator sees one moment");
  CHECK(forward.accounts == (uint64_t)ACCOUNTS * BALANCE, "a scan of the accounts finds %llu",
        (unsigned long long)forward.accounts);
  nacre_iter_close(it);
}

/* Seeks find neighbours, whichever way they are come from. */
void seek_about(world *w, test_random *random, uint64_t n) {
  nacre_iter *it;
  name sought, found, back;
  nacre_read_options options = {.lower = text("account"), .upper_excluded = text("w2")};
  if (!went_well(nacre_iter_open(w->t, n % 2 == 0 ? NULL : &options, &it), "iter_open")) return;
  for (int i = 0; i < 8; i++) {
    nacre_slice key = number_key(&sought, (unsigned)test_random_below(random, WRITERS),
                                 (unsigned)test_random_below(random, KEYS));
    nacre_iter_seek(it, key);
    if (!nacre_iter_valid(it)) continue;
    CHECK(nc_slice_compare(nacre_iter_key(it), key) >= 0, "a seek goes forward");
    key_copy(nacre_iter_key(it), &found);
    nacre_iter_prev(it);
    if (nacre_iter_valid(it)) {
      CHECK(nc_slice_compare(nacre_iter_key(it), key) < 0, "and nothing stands between");
      nacre_iter_next(it);
      key_copy(nacre_iter_key(it), &back);
      CHECK(key_order(&found, &back) == 0, "there and back");
    }
    nacre_iter_seek_back(it, key);
    if (nacre_iter_valid(it))
      CHECK(nc_slice_compare(nacre_iter_key(it), key) <= 0, "a seek back goes backward");
  }
  went_well(nacre_iter_status(it), "iterator");
  nacre_iter_close(it);
}

/* ---- snapshots ----------------------------------------------------------------------------------------- */

/* What a snapshot shows stays the same, whatever is flushed and merged; a later one shows no less. */
void hold_snapshots(world *w, test_random *random, uint64_t n) {
  nacre_snapshot *snapshot, *later;
  name key;
  (void)n;
  if (!went_well(nacre_snapshot_take(w->t, &snapshot), "snapshot_take")) return;
  unsigned writer = (unsigned)test_random_below(random, WRITERS),
           i = (unsigned)test_random_below(random, KEYS);
  nacre_slice number = number_key(&key, writer, i);
  uint64_t first = number_at(w, number, writer, snapshot);
  uint64_t counter = number_at(w, counter_key(), OWNER_COUNTER, snapshot);
  name first_of_group, last_of_group;
  uint64_t group = number_at(w, group_key(&first_of_group, 0), OWNER_GROUP, snapshot);
  for (int again = 0; again < 4; again++) {
    usleep(1000);
    CHECK(number_at(w, number, writer, snapshot) == first, "a snapshot's number moved");
    CHECK(number_at(w, group_key(&last_of_group, GROUP - 1), OWNER_GROUP, snapshot) == group,
          "a snapshot's group moved");
    CHECK(number_at(w, counter_key(), OWNER_COUNTER, snapshot) == counter, "a snapshot's counter moved");
    check_accounts(w, snapshot);
  }
  if (went_well(nacre_snapshot_take(w->t, &later), "snapshot_take")) {
    CHECK(number_at(w, number, writer, later) >= first, "a number went back");
    CHECK(number_at(w, counter_key(), OWNER_COUNTER, later) >= counter, "the counter went back");
    nacre_snapshot_release(later);
  }
  nacre_snapshot_release(snapshot);
}
