/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: the plaintext of a commit log's frames (format/README.md, "Commit log").
 *
 * The input is decoded as a record of each type, and of one that no log has.
 */
#include "log_record.h"

#include <stdlib.h>

#include "batch.h"
#include "frame.h"
#include "fuzz.h"

static void require_sound(const nc_log_record *record, uint8_t type) {
  FUZZ_REQUIRE(record->first_sequence >= 1 && record->first_sequence <= NC_SEQUENCE_MAX);
  FUZZ_REQUIRE(record->synced.offset % NC_FRAME_ALIGN == 0);
  if (type == NC_FRAME_LOG_GROUP) {
    FUZZ_REQUIRE(record->count >= 1 && record->first_sequence + record->count - 1 <= NC_SEQUENCE_MAX);
    FUZZ_REQUIRE(record->operations.size > 0);
    return;
  }
  FUZZ_REQUIRE(record->count == 0 && record->operations.size == 0);
  FUZZ_REQUIRE(type == NC_FRAME_LOG_START || !record->predecessor.present);
  FUZZ_REQUIRE(record->predecessor.end % NC_FRAME_ALIGN == 0);
  FUZZ_REQUIRE(record->predecessor.last_sequence < record->first_sequence);
}

static void decode(nacre_slice bytes, uint8_t type) {
  nacre_error err;
  nc_error_clear(&err);
  nc_log_record record;
  fuzz_blank(&record, sizeof record);
  nacre_status status = nc_log_record_decode(bytes, type, &record, &err);
  if (!fuzz_accepted(status, &err, bytes.size, &record, sizeof record)) return;
  FUZZ_REQUIRE(type != NC_FRAME_DATA);
  require_sound(&record, type);
  uint8_t again[NC_LOG_RECORD_FIXED_BYTES_MAX];
  size_t head = nc_log_record_encode(&record, type, again);
  FUZZ_REQUIRE(head + record.operations.size == bytes.size);
  fuzz_require_same(again, head, bytes.data, head);
  if (type != NC_FRAME_LOG_GROUP) return;
  FUZZ_REQUIRE(record.operations.data == (const uint8_t *)bytes.data + head);
  (void)fuzz_accepted_in_place(nc_batch_check(record.operations, record.count, &err), &err, bytes.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const uint8_t types[] = {NC_FRAME_LOG_START, NC_FRAME_LOG_GROUP, NC_FRAME_LOG_MARK,
                                  NC_FRAME_LOG_FINAL, NC_FRAME_DATA};
  for (size_t i = 0; i < sizeof types; i++) decode(nc_slice(data, size), types[i]);
  return 0;
}
