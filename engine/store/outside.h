/* SPDX-License-Identifier: Apache-2.0
 *
 * outside: a new store must not lie in a store that is being read.
 */
#ifndef NC_OUTSIDE_H
#define NC_OUTSIDE_H

#include "io.h"

/* Refuses, with `id`, a place for a new directory `to` below one that holds a directory `name`, as the file system
 * sees it, past symbolic links. */
NC_MUST_CHECK nacre_status nc_check_outside(nc_env *env, const char *to, const char *name, nc_error_id id,
                                            nacre_error *err);

#endif
