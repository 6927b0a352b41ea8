/* SPDX-License-Identifier: Apache-2.0
 *
 * one_table: see one_table.h.
 */
#include "one_table.h"

site s;
nacre_store *store;
nacre_table *t;

void one_table_open(void) { t = site_table(&s, &store, "table"); }

void one_table_make(void) {
  site_make(&s);
  one_table_open();
}

void one_table_close(void) {
  ok(nacre_table_close(t));
  ok(nacre_close(store));
}

void one_table_reopen(void) {
  one_table_close();
  one_table_open();
}

void one_table_remove(void) {
  one_table_close();
  site_remove(&s);
}

void compact_all(void) { ok(nacre_compact(t, (nacre_slice){NULL, 0}, (nacre_slice){NULL, 0})); }

nacre_stats stats_now(void) {
  nacre_stats now;
  ok(nacre_table_stats(t, &now));
  return now;
}
