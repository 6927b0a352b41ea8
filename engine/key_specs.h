/* SPDX-License-Identifier: Apache-2.0
 *
 * key_specs: lists of key specs: the caller's, the catalogue's, and copies of them.
 */
#ifndef NC_KEY_SPECS_H
#define NC_KEY_SPECS_H

#include "catalogue_record.h"
#include "nacre/nacre.h"

/* Copies the specs of a catalogue record (NULL: none), then `more`; freed by nc_key_specs_free. */
NC_MUST_CHECK nacre_status nc_key_specs_join(const nc_catalogue_record *record, const nacre_key_spec *more,
                                             size_t more_count, nacre_key_spec **ret_specs, size_t *ret_count,
                                             nacre_error *err);
/* What a catalogue record says of a table key; points into the specs' strings. */
void nc_key_record_fill(nc_key_record *record, const nc_kek_pin *pin, const nacre_key_spec *specs,
                        size_t spec_count);
/* Copies of one list's specs, then of another's. */
NC_MUST_CHECK nacre_status nc_key_specs_append(const nacre_key_spec *first, size_t first_count,
                                               const nacre_key_spec *then, size_t then_count,
                                               nacre_key_spec **ret_specs, size_t *ret_count,
                                               nacre_error *err);
void nc_key_specs_free(nacre_key_spec *specs, size_t count);

#endif
