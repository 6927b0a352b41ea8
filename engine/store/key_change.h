/* SPDX-License-Identifier: Apache-2.0
 *
 * key_change: what a store knows of its tables' keys, and does about them.
 */
#ifndef NC_KEY_CHANGE_H
#define NC_KEY_CHANGE_H

#include "table.h"

/* What a table of a store asks of it; its tables and its catalogue alike. */
extern const nc_table_owner nc_store_owner;

/* The KMS keys that wrap the table's key now, as the catalogue says. Freed by nc_key_specs_free. */
NC_MUST_CHECK nacre_status nc_key_specs_now(nacre_table *t, nacre_key_spec **ret_specs, size_t *ret_count,
                                            nacre_error *err);

#endif
