/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: operations as a batch and a log group hold them (format/README.md, "Batches").
 */
#include "batch.h"

#include <stdlib.h>

#include "fuzz.h"

/* An operation encodes again to where it came from. */
static void encode_again(const nc_entry *entry, const uint8_t *from, size_t from_size) {
  size_t size = 0;
  nacre_status status = nc_operation_size(entry->kind, entry->key, entry->value, &size, NULL);
  if (status == NACRE_TOO_LARGE && from_size > NACRE_BATCH_BYTES_MAX) return; /* the limit is the writer's */
  FUZZ_REQUIRE(status == NACRE_OK && size == from_size);
  uint8_t *again = fuzz_alloc(size);
  fuzz_require_same(again, nc_operation_encode(entry->kind, entry->key, entry->value, again), from, size);
  free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  nacre_error err;
  nc_error_clear(&err);
  nc_batch_reader r;
  nc_entry entry;
  bool more = true;
  nacre_status status = NACRE_OK;
  nc_batch_read_begin(&r, nc_slice(data, size));
  while (more) {
    size_t at = r.reader.at;
    fuzz_blank(&entry, sizeof entry);
    status = nc_batch_read(&r, &entry, &more, &err);
    if (!fuzz_accepted(status, &err, size, &entry, sizeof entry)) break;
    if (!more) break;
    FUZZ_REQUIRE(entry.sequence == 0 && entry.key.size <= NACRE_KEY_BYTES_MAX);
    FUZZ_REQUIRE(entry.kind != NC_KIND_DELETE || entry.value.size == 0);
    FUZZ_REQUIRE(entry.kind != NC_KIND_RANGE_DELETE || nc_slice_compare(entry.key, entry.value) < 0);
    FUZZ_REQUIRE(entry.kind != NC_KIND_EXPIRING || nc_expiry_sound(entry.value));
    FUZZ_REQUIRE(entry.kind >= NC_KIND_PUT && entry.kind <= NC_KIND_LARGE);
    encode_again(&entry, data + at, r.reader.at - at);
  }
  FUZZ_REQUIRE(!more || status != NACRE_OK);
  FUZZ_REQUIRE(status != NACRE_OK || r.reader.at == size);
  FUZZ_REQUIRE(nc_batch_check(nc_slice(data, size), r.seen, NULL) == status);
  FUZZ_REQUIRE(nc_batch_check(nc_slice(data, size), r.seen + 1, NULL) != NACRE_OK);
  return 0;
}
