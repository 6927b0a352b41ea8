/* SPDX-License-Identifier: Apache-2.0
 *
 * segments: lists of entries in memory, and segments made of them.
 */
#ifndef TESTS_ENGINE_SEGMENTS_H
#define TESTS_ENGINE_SEGMENTS_H

#include "fixture.h"
#include "segment_writer.h"

typedef struct entry_list {
  nc_entry *entries; /* keys and values are allocations of their own */
  size_t count, capacity;
} entry_list;

void list_add(entry_list *list, nacre_slice key, uint64_t sequence, nc_kind kind,
              nacre_slice value); /* copies */
void list_sort(entry_list *list);
void list_free(entry_list *list);
/* Random entries over `keys` keys that share prefixes, of mixed sizes; sorted. */
void list_random(entry_list *list, test_random *random, size_t count, uint64_t keys, size_t value_max);
/* The newest version at or before `sequence`; NULL: none. */
const nc_entry *list_get(const entry_list *list, nacre_slice key, uint64_t sequence);

/* Defaults: number 7, epoch 1, no compression, blocks of 1,024 bytes, 10 filter bits a key. */
nc_segment_params segment_params(const floor_fixture *f);
/* Writes a segment of the list; the record's keys point into the list. */
void segment_write(floor_fixture *f, const nc_segment_params *params, const entry_list *list,
                   nc_segment_record *ret_record);
/* The same, with range deletes, which do not reach beyond the list's keys. */
void segment_write_with(floor_fixture *f, const nc_segment_params *params, const entry_list *list,
                        const nc_range_fragment *ranges, size_t range_count, nc_segment_record *ret_record);
nc_segment *segment_of(floor_fixture *f, const nc_segment_record *record);
void segment_path(const floor_fixture *f, uint64_t number, char path[PATH_BYTES]);
/* Everything that can be asked of a segment, against the list: moves in both directions, seeks, gets. */
void segment_check(nc_segment *s, const entry_list *list, test_random *random);

#endif
