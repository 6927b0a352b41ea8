/* SPDX-License-Identifier: Apache-2.0
 *
 * seal_domain: the public handle on a table's keys (nacre_seal.h). Takes over the env and one count of the
 * keys.
 */
#ifndef NC_SEAL_DOMAIN_H
#define NC_SEAL_DOMAIN_H

#include <nacre/nacre_seal.h>

#include "table_key.h"

/* On failure nothing is taken over. */
NC_MUST_CHECK nacre_status nc_seal_domain_create(nc_env *env, nc_table_keys *keys,
                                                 nacre_seal_domain **ret_domain, nacre_error *err);

#endif
