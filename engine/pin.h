/* SPDX-License-Identifier: Apache-2.0
 *
 * pin: counted memory that values point into (memtables, blocks). A value lent to the application keeps both
 * the memory and the table; whoever closes the table is told that it is busy.
 */
#ifndef NC_PIN_H
#define NC_PIN_H

#include <stdatomic.h>

#include <nacre/nacre.h>

typedef struct nc_pin {
  atomic_uint count;
  nacre_table *table;
  void (*destroy)(struct nc_pin *pin);
} nc_pin;

static inline void nc_pin_init(nc_pin *pin, nacre_table *table, void (*destroy)(nc_pin *)) {
  atomic_init(&pin->count, 1);
  pin->table = table;
  pin->destroy = destroy;
}
static inline void nc_pin_ref(nc_pin *pin) {
  atomic_fetch_add_explicit(&pin->count, 1, memory_order_relaxed);
}
static inline void nc_pin_unref(nc_pin *pin) {
  if (pin != NULL && atomic_fetch_sub_explicit(&pin->count, 1, memory_order_acq_rel) == 1) pin->destroy(pin);
}

#endif
