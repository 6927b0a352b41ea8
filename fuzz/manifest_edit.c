/* SPDX-License-Identifier: Apache-2.0
 *
 * Target: one commit of a manifest (format/README.md, "Manifest").
 *
 * Each record that decodes is encoded again, behind those before it; after each, both have the same bytes.
 */
#include "manifest_edit.h"

#include <stdlib.h>

#include "entry.h"
#include "fuzz.h"

static void require_sound(const nc_segment_record *s) {
  FUZZ_REQUIRE(s->number != 0 && s->entries != 0 && s->size > NC_FRAMES_OFFSET && s->size % 16 == 0);
  FUZZ_REQUIRE(s->sequence_min >= 1 && s->sequence_min <= s->sequence_max &&
               s->sequence_max <= NC_SEQUENCE_MAX);
  FUZZ_REQUIRE(nc_slice_compare(s->smallest, s->largest) <= 0);
  FUZZ_REQUIRE((s->flags & NC_SEGMENT_ONE_SEQUENCE) == 0 || s->sequence_min == s->sequence_max);
}

static void encode(nc_writer *w, const nc_edit_record *record) {
  switch (record->tag) {
    case NC_EDIT_STATE:
      nc_edit_add_state(w, &record->state);
      return;
    case NC_EDIT_SEGMENT_ADD:
      require_sound(&record->segment);
      nc_edit_add_segment(w, &record->segment);
      return;
    case NC_EDIT_SEGMENT_REMOVE:
      nc_edit_remove_segment(w, record->number);
      return;
    case NC_EDIT_LOG_ADD:
      nc_edit_add_log(w, &record->log);
      return;
    case NC_EDIT_LOG_DROP:
      nc_edit_drop_log(w, record->number);
      return;
    case NC_EDIT_VALUE_ADD:
      nc_edit_add_value(w, &record->value);
      return;
    case NC_EDIT_VALUE_REMOVE:
      nc_edit_remove_value(w, record->number);
      return;
  }
  fuzz_stop(__FILE__, __LINE__, "a tag that is known");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  nacre_error err;
  nc_error_clear(&err);
  nc_edit_reader r;
  nc_edit_record record;
  bool more = true;
  fuzz_blank(&r, sizeof r);
  nacre_status status = nc_edit_read_begin(&r, nc_slice(data, size), &err);
  if (!fuzz_accepted(status, &err, size, &r, sizeof r)) return 0;
  nc_writer w = nc_writer_over(fuzz_alloc(size), size);
  nc_edit_begin(&w, r.commit_sequence, r.flags);
  while (more) {
    FUZZ_REQUIRE(!w.failed);
    fuzz_require_same(w.data, w.size, data, r.reader.at);
    fuzz_blank(&record, sizeof record);
    status = nc_edit_read(&r, &record, &more, &err);
    if (!fuzz_accepted(status, &err, size, &record, sizeof record)) FUZZ_REQUIRE(!more);
    if (more) encode(&w, &record);
  }
  FUZZ_REQUIRE(status != NACRE_OK || w.size == size);
  free(w.data);
  return 0;
}
