/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: what the catalogue says of a table, and the key that it says it under (format/README.md,
 * "Catalogue").
 */
#include "catalogue_record.h"

#include <stdlib.h>

#include "fuzz.h"

static void decode_key(nacre_slice bytes) {
  nacre_error err;
  nc_error_clear(&err);
  nc_uuid table;
  fuzz_blank(&table, sizeof table);
  nacre_status status = nc_catalogue_key_decode(bytes, &table, &err);
  if (!fuzz_accepted(status, &err, bytes.size, &table, sizeof table)) return;
  uint8_t again[NC_CATALOGUE_KEY_BYTES];
  nc_catalogue_key(&table, again);
  fuzz_require_same(again, sizeof again, bytes.data, bytes.size);
}

static void require_text(nacre_slice text, size_t size_min, size_t size_max) {
  FUZZ_REQUIRE(text.size >= size_min && text.size <= size_max && memchr(text.data, 0, text.size) == NULL);
}

static void require_specs(const nc_key_record *key) {
  FUZZ_REQUIRE(key->spec_count <= NACRE_KEY_SPECS_MAX);
  for (uint32_t i = 0; i < key->spec_count; i++) {
    require_text(key->specs[i].uri, 1, NACRE_KEY_URI_BYTES_MAX);
    require_text(key->specs[i].region, 0, NACRE_KEY_URI_BYTES_MAX);
    require_text(key->specs[i].principal, 0, NACRE_KEY_URI_BYTES_MAX);
  }
}

static void decode_record(nacre_slice bytes) {
  nacre_error err;
  nc_error_clear(&err);
  nc_catalogue_record record;
  fuzz_blank(&record, sizeof record);
  nacre_status status = nc_catalogue_record_decode(bytes, &record, &err);
  if (!fuzz_accepted(status, &err, bytes.size, &record, sizeof record)) return;
  require_text(record.name, 1, NACRE_TABLE_NAME_BYTES_MAX);
  require_specs(&record.current);
  require_specs(&record.pending);
  FUZZ_REQUIRE(bytes.size <= NC_CATALOGUE_RECORD_BYTES_MAX);
  uint8_t *again = fuzz_alloc(bytes.size);
  size_t size = nc_catalogue_record_encode(&record, again, bytes.size);
  fuzz_require_same(again, size, bytes.data, bytes.size);
  FUZZ_REQUIRE(nc_catalogue_record_encode(&record, again, bytes.size - 1) == 0);
  free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  decode_key(nc_slice(data, size));
  decode_record(nc_slice(data, size));
  return 0;
}
