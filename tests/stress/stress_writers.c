/* SPDX-License-Identifier: Apache-2.0
 *
 * stress_writers: the jobs that write.
 */
#include <stdio.h>
#include <unistd.h>

#include "stress.h"

/* ---- numbers ------------------------------------------------------------------------------------------- */

static void write_number(world *w, unsigned writer, uint64_t n) {
  name key;
  cell c;
  unsigned i = (unsigned)(n % KEYS);
  nacre_write_options options = {.sync = writer == 0 && n % 8 == 0};
  if (!went_well(nacre_put(w->t, number_key(&key, writer, i), cell_make(&c, writer, n), &options), "put"))
    return;
  atomic_store(&w->acknowledged[writer][i], n);
}

void write_numbers_0(world *w, test_random *random, uint64_t n) {
  (void)random;
  write_number(w, 0, n);
}
void write_numbers_1(world *w, test_random *random, uint64_t n) {
  (void)random;
  write_number(w, 1, n);
}
void write_numbers_2(world *w, test_random *random, uint64_t n) {
  (void)random;
  write_number(w, 2, n);
}

/* Some puts expire, long after this test. */
static uint64_t far_off(uint64_t n) { return n % 3 == 0 ? 4102444800000u + n : 0; }

/* ---- groups -------------------------------------------------------------------------------------------- */

/* Now and then the whole group is deleted, by one batch as well, or as a range. */
void write_groups(world *w, test_random *random, uint64_t n) {
  nacre_batch *b;
  nacre_write_options options = {.sync = n % 16 == 0};
  if (n % 7 == 0 && test_random_chance(random, 2)) {
    if (went_well(nacre_delete_range(w->t, text("group/"), text("group0"), &options), "delete_range"))
      atomic_store(&w->group_acknowledged, n);
    return;
  }
  ok(nacre_batch_create(&b));
  for (unsigned i = 0; i < GROUP; i++) {
    name key;
    cell c;
    ok(n % 7 == 0
           ? nacre_batch_delete(b, group_key(&key, i))
           : nacre_batch_put_expiring(b, group_key(&key, i), cell_make(&c, OWNER_GROUP, n), far_off(n)));
  }
  if (went_well(nacre_write(w->t, b, &options), "write")) atomic_store(&w->group_acknowledged, n);
  nacre_batch_destroy(b);
}

/* ---- accounts and the counter -------------------------------------------------------------------------- */

void accounts_open(world *w) {
  nacre_batch *b;
  ok(nacre_batch_create(&b));
  for (unsigned i = 0; i < ACCOUNTS; i++) {
    name key;
    cell c;
    ok(nacre_batch_put(b, account_key(&key, i), cell_make(&c, OWNER_ACCOUNT, BALANCE)));
  }
  ok(nacre_write(w->t, b, NULL));
  nacre_batch_destroy(b);
}

/* True: it was written; else somebody came between. */
static bool write_expecting(world *w, nacre_batch *b, bool sync) {
  nacre_write_options options = {.sync = sync};
  nacre_status status = nacre_write(w->t, b, &options);
  if (status != NACRE_CONFLICT) return went_well(status, "write with expectations");
  atomic_fetch_add(&w->conflicts, 1);
  return false;
}

void transfer(world *w, test_random *random, uint64_t n) {
  nacre_snapshot *snapshot;
  nacre_batch *b;
  name names[2];
  cell c;
  unsigned from = (unsigned)test_random_below(random, ACCOUNTS);
  unsigned to = (from + 1 + (unsigned)test_random_below(random, ACCOUNTS - 1)) % ACCOUNTS;
  nacre_slice keys[2] = {account_key(&names[0], from), account_key(&names[1], to)};
  ok(nacre_batch_create(&b));
  if (!went_well(nacre_snapshot_take(w->t, &snapshot), "snapshot_take")) return;
  uint64_t has = number_at(w, keys[0], OWNER_ACCOUNT, snapshot);
  uint64_t gets = number_at(w, keys[1], OWNER_ACCOUNT, snapshot);
  uint64_t sum = test_random_below(random, has + 1);
  for (int i = 0; i < 2; i++) ok(nacre_batch_expect(b, keys[i], snapshot));
  ok(nacre_batch_put(b, keys[0], cell_make(&c, OWNER_ACCOUNT, has - sum)));
  ok(nacre_batch_put(b, keys[1], cell_make(&c, OWNER_ACCOUNT, gets + sum)));
  (void)write_expecting(w, b, n % 32 == 0);
  nacre_snapshot_release(snapshot);
  nacre_batch_destroy(b);
}

void count(world *w, test_random *random, uint64_t n) {
  nacre_snapshot *snapshot;
  nacre_batch *b;
  cell c;
  (void)random;
  ok(nacre_batch_create(&b));
  if (!went_well(nacre_snapshot_take(w->t, &snapshot), "snapshot_take")) return;
  uint64_t now = number_at(w, counter_key(), OWNER_COUNTER, snapshot);
  ok(nacre_batch_expect(b, counter_key(), now == 0 ? NULL : snapshot)); /* the first one makes it */
  ok(nacre_batch_put(b, counter_key(), cell_make(&c, OWNER_COUNTER, now + 1)));
  if (write_expecting(w, b, n % 64 == 0)) atomic_fetch_add(&w->counted, 1);
  nacre_snapshot_release(snapshot);
  nacre_batch_destroy(b);
}

/* ---- bulk loads ---------------------------------------------------------------------------------------- */

static void check_loads(world *w, const nacre_snapshot *snapshot, uint64_t wanted, const char *when) {
  for (unsigned i = 0; i < GROUP; i++) {
    name key;
    uint64_t number = number_at(w, load_key(&key, i), OWNER_LOAD, snapshot);
    CHECK(number == wanted, "load %llu where %llu belongs, %s", (unsigned long long)number,
          (unsigned long long)wanted, when);
  }
}

/* One thread alone does this. Now and then a load rests, or is given up. */
void load_all(world *w, test_random *random, uint64_t n) {
  nacre_load *load;
  nacre_snapshot *before;
  if (!went_well(nacre_load_begin(w->t, NULL, &load), "load_begin")) return;
  for (unsigned i = 0; i < GROUP; i++) {
    name key;
    cell c;
    went_well(nacre_load_put_expiring(load, load_key(&key, i), cell_make(&c, OWNER_LOAD, n), far_off(n)),
              "load_put");
    if (test_random_chance(random, 20)) usleep(2000);
  }
  if (test_random_chance(random, 8)) {
    nacre_load_abort(load);
    if (!went_well(nacre_load_begin(w->t, NULL, &load), "load_begin")) return;
    for (unsigned i = 0; i < GROUP; i++) {
      name key;
      cell c;
      went_well(nacre_load_put(load, load_key(&key, i), cell_make(&c, OWNER_LOAD, n)), "load_put");
    }
  }
  went_well(nacre_snapshot_take(w->t, &before), "snapshot_take");
  check_loads(w, NULL, n - 1, "before the commit");
  went_well(nacre_load_commit(load), "load_commit");
  check_loads(w, NULL, n, "behind the commit");
  check_loads(w, before, n - 1, "at a snapshot from before");
  nacre_snapshot_release(before);
}
