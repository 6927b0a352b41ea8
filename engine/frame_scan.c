/* SPDX-License-Identifier: Apache-2.0
 *
 * frame_scan: see frame_scan.h.
 */
#include "frame_scan.h"

#include "frame.h"
#include "private_memory.h"

enum { WINDOW_BYTES = 1 << 20, SEARCH_FACTOR = 16 };

void nc_scan_init(nc_scan *scan, nc_heap *heap, nc_sealed_reader *reader, uint64_t end) {
  uint64_t size = nc_sealed_reader_size(reader);
  if (end > size) end = size;
  *scan = (nc_scan){.reader = reader,
                    .heap = heap,
                    .end = end,
                    .written = NACRE_NONE,
                    .crc_budget = end * SEARCH_FACTOR};
}

void nc_scan_deinit(nc_scan *scan) {
  nc_heap_free(scan->heap, scan->window, scan->capacity);
  *scan = (nc_scan){0};
}

/* Makes [offset, offset + size) of the file stand in the window. The caller has checked that it lies before
 * the end. */
static nacre_status need(nc_scan *scan, uint64_t offset, size_t size, uint8_t **ret_bytes, nacre_error *err) {
  if (scan->window == NULL || size > scan->capacity) {
    uint64_t useful = scan->end < WINDOW_BYTES
                          ? scan->end
                          : WINDOW_BYTES; /* small files need no more: it is wiped when freed */
    size_t capacity = size > useful ? size : (size_t)useful;
    uint8_t *window = nc_heap_alloc(scan->heap, capacity);
    if (window == NULL) return nc_fail(err, NC_E_NO_MEMORY, "%zu bytes to read frames", capacity);
    nc_heap_free(scan->heap, scan->window, scan->capacity);
    scan->window = window;
    scan->capacity = capacity;
    scan->filled = 0;
  }
  if (offset < scan->base || offset + size > scan->base + scan->filled) {
    uint64_t left = scan->end - offset;
    size_t fill = left < scan->capacity ? (size_t)left : scan->capacity;
    scan->filled = 0;
    NC_TRY(nc_sealed_reader_raw(scan->reader, offset, scan->window, fill, err));
    scan->base = offset;
    scan->filled = fill;
  }
  *ret_bytes = scan->window + (offset - scan->base);
  return NACRE_OK;
}

nacre_status nc_scan_written(nc_scan *scan, uint64_t *ret_end, nacre_error *err) {
  if (scan->written == NACRE_NONE) NC_TRY(nc_sealed_reader_written(scan->reader, scan->end, &scan->written, err));
  *ret_end = scan->written;
  return NACRE_OK;
}

static nacre_status torn(nc_scan *scan, uint64_t offset, nacre_error *ret_why) {
  return nc_fail_in(ret_why, nc_fail_at(ret_why, NC_E_FRAME_SHORT, offset, NULL),
                    nc_sealed_reader_label(scan->reader), 0);
}

nacre_status nc_scan_at(nc_scan *scan, uint64_t offset, nc_scan_result *ret_result, nc_scan_frame *ret_frame,
                        nacre_error *ret_why, nacre_error *err) {
  const char *label = nc_sealed_reader_label(scan->reader);
  *ret_result = NC_SCAN_BAD;
  if (offset == scan->end) {
    *ret_result = NC_SCAN_END;
    return NACRE_OK;
  }
  if (offset > scan->end || scan->end - offset < NC_FRAME_HEADER_BYTES) {
    (void)torn(scan, offset, ret_why);
    return NACRE_OK;
  }
  uint8_t *bytes = NULL;
  nc_frame_header header;
  NC_TRY(need(scan, offset, NC_FRAME_HEADER_BYTES, &bytes, err));
  if (!nc_frame_plausible(bytes)) {
    uint64_t written;
    NC_TRY(nc_scan_written(scan, &written, err));
    if (offset >= written) {
      *ret_result = NC_SCAN_END;
      return NACRE_OK;
    }
  }
  if (nc_fail_in(ret_why, nc_frame_decode(bytes, &header, ret_why), label, offset) != NACRE_OK)
    return NACRE_OK;
  size_t size = nc_frame_size(header.ciphertext_size);
  if (scan->end - offset < size) {
    (void)torn(scan, offset, ret_why);
    return NACRE_OK;
  }
  NC_TRY(need(scan, offset, size, &bytes, err));
  if (nc_fail_in(ret_why, nc_frame_check(nc_slice(bytes, size), ret_why), label, offset) != NACRE_OK)
    return NACRE_OK;
  *ret_frame = (nc_scan_frame){offset, size, header.type, bytes};
  *ret_result = NC_SCAN_FRAME;
  return NACRE_OK;
}

nacre_status nc_scan_search(nc_scan *scan, uint64_t offset, nc_scan_result *ret_result,
                            nc_scan_frame *ret_frame, nacre_error *err) {
  for (; offset < scan->end && scan->end - offset >= NC_FRAME_HEADER_BYTES; offset += NC_FRAME_ALIGN) {
    uint8_t *bytes = NULL;
    NC_TRY(need(scan, offset, NC_FRAME_HEADER_BYTES, &bytes, err));
    if (!nc_frame_plausible(bytes)) continue;
    size_t size = nc_frame_size(nc_get_u32(bytes));
    if (scan->end - offset < size) continue;
    if (size > scan->crc_budget) {
      nacre_status status = nc_fail_at(err, NC_E_LOG_SEARCH, offset, NULL); /* [L11] */
      return nc_fail_in(err, status, nc_sealed_reader_label(scan->reader), 0);
    }
    scan->crc_budget -= size;
    NC_TRY(nc_scan_at(scan, offset, ret_result, ret_frame, NULL, err));
    if (*ret_result == NC_SCAN_FRAME) return NACRE_OK;
  }
  *ret_result = NC_SCAN_END;
  return NACRE_OK;
}

nacre_status nc_scan_open(nc_scan *scan, const nc_scan_frame *frame, nacre_slice *ret_plaintext,
                          nacre_error *err) {
  return nc_sealed_reader_open_raw(scan->reader, frame->offset, frame->bytes, frame->size, frame->type,
                                   ret_plaintext, err);
}

nacre_status nc_scan_search_open(nc_scan *scan, uint64_t offset, nc_scan_result *ret_result,
                                 nc_scan_frame *ret_frame, nacre_slice *ret_plaintext, nacre_error *err) {
  for (;;) {
    NC_TRY(nc_scan_search(scan, offset, ret_result, ret_frame, err));
    if (*ret_result == NC_SCAN_END) return NACRE_OK;
    nacre_error why;
    nacre_status status = nc_scan_open(scan, ret_frame, ret_plaintext, &why);
    if (status == NACRE_OK) return NACRE_OK;
    if (status != NACRE_TAMPERED) return nc_fail_with(err, &why);
    offset = ret_frame->offset + NC_FRAME_ALIGN;
    scan->filled = 0; /* the failed opening has wiped the window there */
  }
}
