/* SPDX-License-Identifier: Apache-2.0
 *
 * key_specs: see key_specs.h.
 */
#include "key_specs.h"

#include <stdlib.h>
#include <string.h>

void nc_key_specs_free(nacre_key_spec *specs, size_t count) {
  for (size_t i = 0; specs != NULL && i < count; i++) {
    free((void *)(uintptr_t)specs[i].uri);
    free((void *)(uintptr_t)specs[i].region);
    free((void *)(uintptr_t)specs[i].principal);
  }
  free(specs);
}

/* The empty string stands for none. */
static bool copy_string(nacre_slice s, const char **ret_copy) {
  if (s.size == 0) return true;
  *ret_copy = strndup(s.data, s.size);
  return *ret_copy != NULL;
}

static bool copy_spec(const nc_key_spec_record *from, nacre_key_spec *to) {
  return copy_string(from->uri, &to->uri) && copy_string(from->region, &to->region) &&
         copy_string(from->principal, &to->principal);
}

static nacre_slice text_slice(const char *s) {
  return s == NULL ? (nacre_slice){"", 0} : nc_slice(s, strlen(s));
}

static nc_key_spec_record record_of(const nacre_key_spec *spec) {
  return (nc_key_spec_record){text_slice(spec->uri), text_slice(spec->region), text_slice(spec->principal)};
}

void nc_key_record_fill(nc_key_record *record, const nc_kek_pin *pin, const nacre_key_spec *specs,
                        size_t spec_count) {
  *record = (nc_key_record){.pin = *pin, .spec_count = (uint32_t)spec_count};
  for (size_t i = 0; i < spec_count; i++) record->specs[i] = record_of(&specs[i]);
}

/* The specs that a record names: of the current key, then of a pending one. */
static size_t named_by(const nc_catalogue_record *record, nc_key_spec_record out[2 * NACRE_KEY_SPECS_MAX]) {
  size_t count = 0;
  if (record == NULL) return 0;
  for (uint32_t i = 0; i < record->current.spec_count; i++) out[count++] = record->current.specs[i];
  for (uint32_t i = 0; record->has_pending && i < record->pending.spec_count; i++)
    out[count++] = record->pending.specs[i];
  return count;
}

static nacre_status check_specs(const nacre_key_spec *specs, size_t count, nacre_error *err) {
  for (size_t i = 0; i < count; i++) {
    bool good =
        specs[i].uri != NULL && specs[i].uri[0] != '\0' && strlen(specs[i].uri) <= NACRE_KEY_URI_BYTES_MAX;
    if (!good) return nc_fail(err, NC_E_ARGUMENT, "a key has no URI, or one that is too long");
  }
  return NACRE_OK;
}

nacre_status nc_key_specs_join(const nc_catalogue_record *record, const nacre_key_spec *more,
                               size_t more_count, nacre_key_spec **ret_specs, size_t *ret_count,
                               nacre_error *err) {
  NC_TRY(check_specs(more, more_count, err));
  nc_key_spec_record by_record[2 * NACRE_KEY_SPECS_MAX];
  size_t named = named_by(record, by_record), count = named + more_count;
  nacre_key_spec *all = calloc(count + 1, sizeof *all);
  bool copied = all != NULL;
  for (size_t i = 0; copied && i < count; i++) {
    nc_key_spec_record from = i < named ? by_record[i] : record_of(&more[i - named]);
    copied = copy_spec(&from, &all[i]);
  }
  if (!copied) {
    nc_key_specs_free(all, count);
    return nc_fail(err, NC_E_NO_MEMORY, NULL);
  }
  *ret_specs = all;
  *ret_count = count;
  return NACRE_OK;
}

nacre_status nc_key_specs_append(const nacre_key_spec *first, size_t first_count, const nacre_key_spec *then,
                                 size_t then_count, nacre_key_spec **ret_specs, size_t *ret_count,
                                 nacre_error *err) {
  nacre_key_spec *both = calloc(first_count + then_count + 1, sizeof *both);
  if (both == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  for (size_t i = 0; i < first_count; i++) both[i] = first[i];
  for (size_t i = 0; i < then_count; i++) both[first_count + i] = then[i];
  nacre_status status = nc_key_specs_join(NULL, both, first_count + then_count, ret_specs, ret_count, err);
  free(both); /* the strings are the lists' */
  return status;
}
