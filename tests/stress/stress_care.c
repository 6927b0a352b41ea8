/* SPDX-License-Identifier: Apache-2.0
 *
 * stress_care: the jobs that neither read nor write data: care, changes of keys, tables that come and go.
 */
#include <stdio.h>
#include <unistd.h>

#include "stress.h"

void care(world *w, test_random *random, uint64_t n) {
  const nacre_slice none = {NULL, 0};
  nacre_stats stats;
  (void)n;
  switch (test_random_below(random, 7)) {
    case 0:
      went_well(nacre_flush(w->t), "flush");
      break;
    case 1:
      went_well(nacre_compact(w->t, none, none), "compact");
      break;
    case 2:
      went_well(nacre_compact(w->t, text("w1"), text("w2")), "compact of a part");
      break;
    case 3:
      went_well(nacre_sync(w->t), "sync");
      break;
    case 4:
      went_well(nacre_verify(w->t, NULL, NULL), "verify");
      break;
    case 5:
      went_well(nacre_wait_idle(w->t), "wait_idle");
      break;
    default:
      went_well(nacre_table_stats(w->t, &stats), "stats");
      break;
  }
  usleep(500);
}

/* From keyring to keyring, or a new version under the same; one change upon another, or after the rewrap. */
void change_keys(world *w, test_random *random, uint64_t n) {
  nacre_key_spec spec = {.uri = w->keyrings[test_random_below(random, KEYRINGS)]};
  nacre_key_status status;
  went_well(n % 3 == 0 ? nacre_table_set_key(w->t, &spec, 1) : nacre_table_rotate(w->t), "a change of keys");
  if (test_random_chance(random, 2)) went_well(nacre_table_rewrap_wait(w->t, NULL), "rewrap_wait");
  if (n % 8 == 1) {
    went_well(nacre_store_rotate(w->store), "store_rotate");
    went_well(nacre_table_key_status(w->t, &status), "key_status");
    nacre_key_versions_free(status.versions);
    nacre_kms_keys_free(status.kms_keys);
  }
  usleep(5000);
}

/* Tables come and go beside; an open of the busy one is counted, never closed under its users. */
void other_tables(world *w, test_random *random, uint64_t n) {
  char own[32], renamed[32];
  nacre_table *other, *same;
  nacre_table_infos *infos;
  (void)n;
  unsigned id = (unsigned)test_random_below(random, 1U << 30); /* two of this job meet no name twice */
  snprintf(own, sizeof own, "other %u", id);
  snprintf(renamed, sizeof renamed, "renamed %u", id);
  if (!went_well(nacre_table_create(w->store, own, NULL, &other), "table_create")) return;
  put_text(other, "k", "v", test_random_chance(random, 2));
  went_well(nacre_table_rename(w->store, own, renamed), "rename");
  went_well(nacre_table_open(w->store, "table", NULL, &same), "table_open");
  CHECK(same == w->t, "the same handle");
  went_well(nacre_table_close(same), "close of one of several opens");
  went_well(nacre_flush(other), "flush of another table");
  CHECK(holds(other, NULL, "k", "v"), "another table");
  if (test_random_chance(random, 2)) went_well(nacre_table_rotate(other), "rotate of another table");
  went_well(nacre_table_close(other), "close in the middle of a rewrap");
  went_well(nacre_table_list(w->store, &infos), "list");
  CHECK(nacre_table_infos_count(infos) >= 2, "two tables at least");
  nacre_table_infos_free(infos);
  went_well(nacre_table_drop(w->store, renamed), "drop");
}
