/* SPDX-License-Identifier: Apache-2.0
 *
 * verify: segments that authenticate and still lie: made frame by frame under the table's own key, as only
 * a defect of a writer could. Verify sees through each of them; reading does not fall for what it meets.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "filter.h"
#include "ranges.h"
#include "segments.h"
#include "verify.h"

/* What is wrong with the segment; zeroed: nothing. It has three blocks of two entries each. */
typedef struct lie {
  bool block_in_disorder, same_version_twice; /* the second block begins before the first one ends */
  bool wrong_index_key, block_named_twice, block_not_named, empty_block, no_entries_at_all;
  bool leaves, empty_leaf; /* a leaf for each block, and a root; the second of them empty */
  bool empty_filter, short_filter, wrong_filter_lines;
  uint64_t more_entries, more_blocks, more_frames;
  const char *smallest, *largest; /* instead of the true ones */
  const struct fragment *ranges;  /* range deletes; NULL: none, and no frame of them */
  uint64_t more_range_deletes;
  bool ranges_elsewhere, ranges_not_told;
  uint64_t load; /* in the footer: the first segment of a load that it is said to be of */
} lie;

/* One of a ranges frame; the last of a list has no sequence. */
typedef struct fragment {
  const char *from, *to;
  uint64_t sequences[3];
  size_t count;
} fragment;

enum { BLOCKS = 3, BLOCK_BYTES = 512, FILTER_LINES = 2, FILTER_PROBES = 6 };

static floor_fixture f;
static nacre_error err;
static nc_sealed_writer *w;
static nc_segment *segment;

static void setup(void) { floor_open(&f); }
static void teardown(void) {
  nc_segment_unref(segment);
  floor_close(&f);
}
TestSuite(verify_segment, .init = setup, .fini = teardown);

/* ---- forging ------------------------------------------------------------------------------------------- */

static nc_handle append_packed(nc_frame_type type, nc_block_builder *block) {
  uint8_t packed[BLOCK_BYTES + 64];
  size_t size;
  nc_handle handle;
  nc_compress_workspace workspace = {0};
  must(nc_pack(&workspace, NC_PACK_NONE, nc_block_finish(block), packed, sizeof packed, &size, &err));
  must(nc_sealed_writer_append(w, type, nc_slice(packed, size), &handle, &err));
  return handle;
}

static const char *key_of(const lie *l, size_t block, size_t entry, char buffer[8]) {
  bool first_of_second = block == 1 && entry == 0;
  if (l->same_version_twice && first_of_second) block = 0, entry = 1;
  snprintf(buffer, 8, "%c%u%u", l->block_in_disorder && first_of_second ? 'j' : 'k', (unsigned)block,
           (unsigned)entry);
  return buffer;
}

static nc_handle append_data(const lie *l, size_t block) {
  static uint8_t last_key[NACRE_KEY_BYTES_MAX];
  uint8_t bytes[BLOCK_BYTES];
  nc_block_builder b;
  nc_block_begin(&b, bytes, sizeof bytes, last_key);
  for (size_t i = 0; i < 2 && !(l->empty_block && block == 1); i++) {
    char key[8];
    nc_entry entry = {text(key_of(l, block, i, key)), 10 + 2 * block + i, NC_KIND_PUT, text("value")};
    if (l->same_version_twice && block == 1 && i == 0) entry.sequence = 11;
    require(nc_block_add(&b, &entry));
  }
  return append_packed(NC_FRAME_DATA, &b);
}

static void add_address(nc_block_builder *b, const char *key, nc_handle handle) {
  uint8_t value[NC_HANDLE_VARINT_BYTES_MAX];
  nc_entry entry = {.key = text(key), .kind = NC_KIND_PUT, .value = {value, nc_handle_encode(handle, value)}};
  require(nc_block_add(b, &entry));
}

static nc_handle append_leaves(const lie *l, const nc_handle *handles) {
  static uint8_t last_keys[2][NACRE_KEY_BYTES_MAX];
  uint8_t root_bytes[BLOCK_BYTES], bytes[BLOCK_BYTES];
  nc_block_builder root, leaf;
  nc_block_begin(&root, root_bytes, sizeof root_bytes, last_keys[0]);
  for (size_t i = 0; i < BLOCKS; i++) {
    char key[8];
    key_of(l, i, 1, key);
    nc_block_begin(&leaf, bytes, sizeof bytes, last_keys[1]);
    if (!(l->empty_leaf && i == 1)) add_address(&leaf, key, handles[i]);
    add_address(&root, key, append_packed(NC_FRAME_INDEX, &leaf));
  }
  return append_packed(NC_FRAME_INDEX, &root);
}

static nc_handle append_index(const lie *l, const nc_handle *handles) {
  static uint8_t last_key[NACRE_KEY_BYTES_MAX];
  uint8_t bytes[BLOCK_BYTES];
  nc_block_builder b;
  nc_block_begin(&b, bytes, sizeof bytes, last_key);
  for (size_t i = 0; i < BLOCKS && !l->no_entries_at_all; i++) {
    char key[8];
    nc_handle handle = l->block_named_twice && i == 2 ? handles[1] : handles[i];
    if (l->block_not_named && i == 1) continue;
    key_of(l, i, 1, key);
    if (l->wrong_index_key && i == 1) key[2] = 'z';
    add_address(&b, key, handle);
  }
  return append_packed(NC_FRAME_INDEX, &b);
}

static void append_filter(const lie *l, uint64_t seed, nc_footer *footer) {
  uint8_t lines[FILTER_LINES * NC_FILTER_LINE_BYTES] = {0};
  for (size_t i = 0; i < BLOCKS * 2 && !l->empty_filter; i++) {
    char key[8];
    nc_filter_add(lines, FILTER_LINES, FILTER_PROBES,
                  nc_filter_hash(seed, text(key_of(l, i / 2, i % 2, key))));
  }
  footer->filter_offset = nc_sealed_writer_size(w);
  footer->filter_frames = 1;
  size_t size = l->short_filter ? NC_FILTER_LINE_BYTES : sizeof lines;
  must(nc_sealed_writer_append(w, NC_FRAME_FILTER, nc_slice(lines, size), NULL, &err));
}

/* Returns how many range deletes the frame holds. */
static uint64_t append_ranges(const lie *l, nc_properties *p, nc_handle index) {
  uint8_t bytes[BLOCK_BYTES];
  nc_writer to = nc_writer_over(bytes, sizeof bytes);
  uint64_t held = 0;
  if (l->ranges == NULL) return 0;
  for (const fragment *r = l->ranges; r->from != NULL; held += r++->count)
    nc_ranges_write(&to, text(r->from), text(r->to), r->sequences, r->count);
  require(!to.failed);
  must(nc_sealed_writer_append(w, NC_FRAME_RANGES, nc_slice(bytes, to.size), &p->ranges, &err));
  p->range_deletes = l->ranges_not_told ? 0 : held + l->more_range_deletes;
  if (l->ranges_elsewhere) p->ranges = index;
  return held;
}

static nc_properties properties_of(const lie *l) {
  static char smallest[8], largest[8];
  nc_properties p = {.sequence_min = 10,
                     .sequence_max = 15,
                     .entries = 6 + l->more_entries,
                     .key_bytes = 18,
                     .value_bytes = 30,
                     .data_blocks = BLOCKS + l->more_blocks,
                     .filter_lines = FILTER_LINES,
                     .filter_seed = 77,
                     .filter_probes = FILTER_PROBES};
  if (l->wrong_filter_lines) p.filter_lines = 3 * NC_FILTER_FRAME_LINES;
  p.smallest = text(l->smallest != NULL ? l->smallest : key_of(&(lie){0}, 0, 0, smallest));
  p.largest = text(l->largest != NULL ? l->largest : key_of(&(lie){0}, BLOCKS - 1, 1, largest));
  return p;
}

static void append_end(const lie *l, nc_footer *footer, const nc_properties *p) {
  uint8_t bytes[512];
  size_t size = nc_properties_encode(p, bytes, sizeof bytes);
  require(size > 0);
  must(nc_sealed_writer_append(w, NC_FRAME_PROPERTIES, nc_slice(bytes, size), &footer->properties, &err));
  footer->file_size = nc_sealed_writer_size(w) + nc_frame_size(NC_FOOTER_BYTES);
  footer->frame_count = nc_sealed_writer_frames(w) + 1 + l->more_frames;
  uint8_t footer_bytes[NC_FOOTER_BYTES];
  nc_footer_encode(footer, footer_bytes);
  must(nc_sealed_writer_append(w, NC_FRAME_FOOTER, nc_slice(footer_bytes, sizeof footer_bytes), NULL, &err));
  must(nc_sealed_writer_sync(w, &err));
}

static void forge(const lie *l) {
  nc_identity identity = {.type = NC_FILE_SEGMENT, .origin_table = f.table, .number = 7, .epoch = 1};
  char name[NC_FILE_NAME_BYTES];
  nc_segment_name(7, name);
  must(nc_sealed_writer_create(&f.dir, name, &identity, nc_table_keys_active(f.keys), 0, &w, &err));
  nc_handle handles[BLOCKS];
  nc_footer footer = {.index_levels = l->leaves ? 2 : 1, .load = l->load};
  nc_properties p = properties_of(l);
  for (size_t i = 0; i < BLOCKS; i++) handles[i] = append_data(l, i);
  append_filter(l, p.filter_seed, &footer);
  footer.index_root = l->leaves ? append_leaves(l, handles) : append_index(l, handles);
  uint64_t held = append_ranges(l, &p, footer.index_root);
  append_end(l, &footer, &p);
  nc_segment_record record = {.number = 7,
                              .file = identity.file,
                              .origin_table = f.table,
                              .size = nc_sealed_writer_size(w),
                              .sequence_min = 10,
                              .sequence_max = 15,
                              .entries = 6 + held,
                              .smallest = text("k00"),
                              .largest = text("k21"),
                              .flags = held > 0 ? NC_SEGMENT_HOLDS_RANGES : 0};
  memcpy(record.last_tag, nc_sealed_writer_last_tag(w), NC_TAG_BYTES);
  memcpy(record.dek_commitment, nc_sealed_writer_header(w)->dek_commitment, NC_COMMITMENT_BYTES);
  nc_sealed_writer_close(w);
  segment = segment_of(&f, &record);
}

/* ---- looking ------------------------------------------------------------------------------------------- */

/* The first fault that verify finds; 0: none. */
static uint32_t look(void) {
  static nacre_table table;
  table.shared = &f.shared;
  nc_verifier v = {.table = &table};
  nacre_status status = nc_verify_segment(&v, segment, &err);
  if (status == NACRE_OK && v.report.fault_count > 0) err = v.first;
  uint32_t id = status == NACRE_OK && v.report.fault_count == 0 ? 0 : err.id;
  nacre_faults_free(v.report.faults);
  return id;
}

static void found(lie l, nc_error_id id) {
  forge(&l);
  uint32_t seen = look();
  cr_expect_eq(seen, id, "%u: %s", seen, seen == 0 ? "nothing" : err.text);
}

Test(verify_segment, the_truth_is_found_sound) { found((lie){0}, NC_E_NONE); }
Test(verify_segment, a_block_in_disorder) { found((lie){.block_in_disorder = true}, NC_E_SEGMENT_ORDER); }
Test(verify_segment, one_version_twice) { found((lie){.same_version_twice = true}, NC_E_SEGMENT_ORDER); }
Test(verify_segment, an_index_key_that_is_not_its_blocks_last) { /* [I4] */
  found((lie){.wrong_index_key = true}, NC_E_SEGMENT_INDEX);
}
Test(verify_segment, a_block_that_the_index_names_twice) { /* [I3] */
  found((lie){.block_named_twice = true}, NC_E_SEGMENT_FRAMES);
}
Test(verify_segment, a_block_that_the_index_does_not_name) {
  found((lie){.block_not_named = true}, NC_E_SEGMENT_FRAMES);
}
/* [S4] */
Test(verify_segment, another_number_of_frames) { found((lie){.more_frames = 1}, NC_E_SEGMENT_FRAMES); }
/* [S5] */
Test(verify_segment, another_number_of_entries) { found((lie){.more_entries = 1}, NC_E_SEGMENT_PROPERTIES); }
Test(verify_segment, another_number_of_blocks) { found((lie){.more_blocks = 1}, NC_E_SEGMENT_PROPERTIES); }
Test(verify_segment, another_smallest_key) { found((lie){.smallest = "k0"}, NC_E_SEGMENT_PROPERTIES); }
Test(verify_segment, another_largest_key) { found((lie){.largest = "k22"}, NC_E_SEGMENT_PROPERTIES); }
/* [S7] */
Test(verify_segment, a_load_that_it_is_not_of) { found((lie){.load = 7}, NC_E_SEGMENT_PROPERTIES); }
/* [Q2] */
/* ---- range deletes ------------------------------------------------------------------------------------- */

static const fragment sound[] = {{"k05", "k10", {12}, 1}, {"k10", "k15", {13, 11}, 2}, {0}};

static void found_in_ranges(const fragment *ranges, nc_error_id id) { found((lie){.ranges = ranges}, id); }

Test(verify_segment, the_truth_of_range_deletes) { found_in_ranges(sound, NC_E_NONE); }
Test(verify_segment, range_deletes_that_overlap) { /* [E1] */
  found_in_ranges((const fragment[]){{"k05", "k11", {12}, 1}, {"k10", "k15", {13}, 1}, {0}}, NC_E_RANGES_SHAPE);
}
Test(verify_segment, range_deletes_in_disorder) {
  found_in_ranges((const fragment[]){{"k10", "k15", {13}, 1}, {"k05", "k10", {12}, 1}, {0}}, NC_E_RANGES_SHAPE);
}
Test(verify_segment, a_range_delete_that_ends_before_it_begins) {
  found_in_ranges((const fragment[]){{"k15", "k10", {12}, 1}, {0}}, NC_E_RANGES_SHAPE);
}
Test(verify_segment, a_range_delete_of_nothing) {
  found_in_ranges((const fragment[]){{"k10", "k10", {12}, 1}, {0}}, NC_E_RANGES_SHAPE);
}
Test(verify_segment, sequences_of_a_range_that_rise) {
  found_in_ranges((const fragment[]){{"k05", "k10", {11, 12}, 2}, {0}}, NC_E_RANGES_SHAPE);
}
Test(verify_segment, one_range_delete_twice) {
  found_in_ranges((const fragment[]){{"k05", "k10", {12, 12}, 2}, {0}}, NC_E_RANGES_SHAPE);
}
Test(verify_segment, range_deletes_outside_of_the_keys) { /* [S5] */
  found_in_ranges((const fragment[]){{"j", "k10", {12}, 1}, {0}}, NC_E_SEGMENT_PROPERTIES);
}
Test(verify_segment, range_deletes_past_the_keys) {
  found_in_ranges((const fragment[]){{"k10", "k22", {12}, 1}, {0}}, NC_E_SEGMENT_PROPERTIES);
}
Test(verify_segment, a_range_delete_newer_than_the_segment) {
  found_in_ranges((const fragment[]){{"k05", "k10", {16}, 1}, {0}}, NC_E_SEGMENT_PROPERTIES);
}
Test(verify_segment, a_range_delete_older_than_the_segment) {
  found_in_ranges((const fragment[]){{"k05", "k10", {9}, 1}, {0}}, NC_E_SEGMENT_PROPERTIES);
}
Test(verify_segment, another_number_of_range_deletes) {
  found((lie){.ranges = sound, .more_range_deletes = 1}, NC_E_SEGMENT_PROPERTIES);
}
Test(verify_segment, range_deletes_that_lie_elsewhere) {
  found((lie){.ranges = sound, .ranges_elsewhere = true}, NC_E_FRAME_TYPE);
}
Test(verify_segment, range_deletes_that_nothing_leads_to) {
  found((lie){.ranges = sound, .ranges_not_told = true}, NC_E_SEGMENT_PROPERTIES);
}

/* ---- filters, and what is not there -------------------------------------------------------------------- */

Test(verify_segment, a_filter_without_the_keys) { found((lie){.empty_filter = true}, NC_E_SEGMENT_FILTER); }
Test(verify_segment, a_filter_of_another_size) { found((lie){.short_filter = true}, NC_E_FRAME_LENGTH); }
Test(verify_segment, a_filter_of_more_lines_than_frames) {
  found((lie){.wrong_filter_lines = true}, NC_E_FILTER_SHAPE);
}
Test(verify_segment, an_index_of_nothing) {
  lie l = {.no_entries_at_all = true};
  forge(&l);
  cr_expect_neq(look(), 0);
}

/* A block without entries, where the index says that there are some: reads do not take it for the end. */
Test(verify_segment, an_empty_block_stops_readers) {
  lie l = {.empty_block = true};
  forge(&l);
  cr_expect_neq(look(), 0);
  nc_cursor *c;
  must(nc_segment_cursor(segment, &(nc_travel){0}, &c, &err));
  must(nc_cursor_first(c, &err));
  must(nc_cursor_next(c, &err));
  cr_assert(c->valid && slice_is(c->entry.key, "k01"));
  must_fail(nc_cursor_next(c, &err), NC_E_SEGMENT_INDEX);
  cr_expect_not(c->valid);
  nc_cursor_close(c);
}

/* The same of a leaf of the index, wherever a reader comes to it from. */
Test(verify_segment, an_empty_leaf_stops_readers) {
  lie l = {.leaves = true, .empty_leaf = true};
  forge(&l);
  cr_expect_neq(look(), 0);
  nc_cursor *c;
  must(nc_segment_cursor(segment, &(nc_travel){0}, &c, &err));
  must(nc_cursor_first(c, &err));
  must(nc_cursor_next(c, &err));
  cr_assert(c->valid && slice_is(c->entry.key, "k01"));
  must_fail(nc_cursor_next(c, &err), NC_E_SEGMENT_INDEX);
  cr_expect_not(c->valid);
  must(nc_cursor_last(c, &err));
  must(nc_cursor_prev(c, &err));
  cr_assert(c->valid && slice_is(c->entry.key, "k20"));
  must_fail(nc_cursor_prev(c, &err), NC_E_SEGMENT_INDEX);
  cr_expect_not(c->valid);
  must_fail(nc_cursor_seek(c, text("k11"), UINT64_MAX, &err), NC_E_SEGMENT_INDEX);
  cr_expect_not(c->valid);
  nc_cursor_close(c);
}
Test(verify_segment, the_truth_in_leaves_is_found_sound) { found((lie){.leaves = true}, NC_E_NONE); }
