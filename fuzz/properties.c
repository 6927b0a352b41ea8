/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: the properties of a segment (format/README.md, "Segment").
 */
#include <stdlib.h>

#include "entry.h"
#include "footer.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  nacre_error err;
  nc_error_clear(&err);
  nc_properties p;
  fuzz_blank(&p, sizeof p);
  nacre_status status = nc_properties_decode(nc_slice(data, size), &p, &err);
  if (!fuzz_accepted(status, &err, size, &p, sizeof p)) return 0;
  FUZZ_REQUIRE(nc_slice_compare(p.smallest, p.largest) <= 0 && p.largest.size <= NACRE_KEY_BYTES_MAX);
  FUZZ_REQUIRE(p.sequence_min <= p.sequence_max && p.sequence_max <= NC_SEQUENCE_MAX);
  FUZZ_REQUIRE(p.sequence_min >= 1 || (p.deletes == 0 && p.range_deletes == 0));
  FUZZ_REQUIRE(p.deletes <= p.entries && p.data_blocks <= p.entries && p.entries + p.range_deletes >= 1);
  FUZZ_REQUIRE((p.data_blocks == 0) == (p.entries == 0));
  FUZZ_REQUIRE((p.filter_lines == 0) == (p.filter_probes == 0) && p.filter_probes <= 16);
  uint8_t *again = fuzz_alloc(size);
  fuzz_require_same(again, nc_properties_encode(&p, again, size), data, size);
  FUZZ_REQUIRE(nc_properties_encode(&p, again, size - 1) == 0);
  free(again);
  return 0;
}
