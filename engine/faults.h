/* SPDX-License-Identifier: Apache-2.0
 *
 * faults: the list of findings that verify and salvage hand out.
 *
 * A fault may tell which bytes and which keys it concerns. Keys are user data: they lie in private memory of
 * the list's own, which outlives the store.
 */
#ifndef NC_FAULTS_H
#define NC_FAULTS_H

#include <nacre/nacre.h>

#include "status.h"

/* Adds a fault to *faults, which is made when it is NULL. Copies the extent (NULL: nothing is known). */
NC_MUST_CHECK nacre_status nc_faults_add(nacre_faults **faults, const nacre_error *fault,
                                         const nacre_fault_extent *extent, nacre_error *err);
/* Whether a fault at the same place of the same file, or the same fault of no place, is in the list. */
bool nc_faults_have(const nacre_faults *faults, const nacre_error *fault);

#endif
