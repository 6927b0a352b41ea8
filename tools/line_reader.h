/* SPDX-License-Identifier: Apache-2.0
 *
 * line_reader: the lines of a file or a pipe, numbered from 1. A line beyond TOOL_LINE_BYTES_MAX is passed
 * over and marked, never cut: no record that the store accepts is as long.
 */
#ifndef TOOL_LINE_READER_H
#define TOOL_LINE_READER_H

#include "bytes.h"

/* A key and a value within the limits, every byte of them escaped (\u00XX takes six), and what stands
 * around them. */
#define TOOL_LINE_BYTES_MAX ((size_t)6 * (NACRE_BATCH_BYTES_MAX + NACRE_KEY_BYTES_MAX) + 4096)

typedef struct line_reader {
  int fd;
  uint8_t *buffer;
  size_t at, filled;
  uint64_t line;       /* number of the line read last; 0 before the first */
  uint64_t bytes_done; /* of the file, up to the end of that line */
  int os_errno;        /* what reading failed with; 0: nothing did */
} line_reader;

typedef enum line_result { LINE_END, LINE_GOOD, LINE_TOO_LONG, LINE_FAILED } line_result;

void tool_lines_begin(line_reader *r, int fd);
void tool_lines_end(line_reader *r);
/* Appends the next line to `to`, its newline included where there is one: only the last line may lack it.
 * A line that is too long is not appended. */
line_result tool_lines_next(line_reader *r, bytes *to);

#endif
