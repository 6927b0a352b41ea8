/* SPDX-License-Identifier: Apache-2.0
 *
 * progress: a line on the terminal; see progress.h.
 */
#include "progress.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "render_text.h"

enum { BAR_WIDTH = 24, DRAW_EVERY_NS = 100000000 };

static uint64_t now_ns(void) {
  struct timespec t;
  if (clock_gettime(CLOCK_MONOTONIC, &t) != 0) return 0;
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void tool_progress_begin(progress *p, const options *o, const char *doing, uint64_t total_bytes) {
  *p = (progress){.doing = doing, .total = total_bytes, .started_ns = now_ns()};
  p->drawn_ns = p->started_ns; /* work that is done in a tenth of a second shows nothing */
  p->shown = !o->quiet && !o->json && isatty(STDERR_FILENO) == 1;
}

void tool_progress_update(progress *p, uint64_t done_bytes, uint64_t records) {
  if (!p->shown) return;
  uint64_t now = now_ns();
  if (now - p->drawn_ns < DRAW_EVERY_NS) return;
  p->drawn_ns = now;
  p->drawn = true;
  char size[TOOL_UNIT_TEXT_BYTES], count[TOOL_UNIT_TEXT_BYTES];
  (void)tool_text_size(size, done_bytes, false);
  (void)tool_text_count(count, records);
  fprintf(stderr, "\r\033[K%s", p->doing);
  if (p->total != NACRE_NONE && p->total != 0) {
    uint64_t done = done_bytes < p->total ? done_bytes : p->total;
    int filled = (int)((double)done / (double)p->total * BAR_WIDTH);
    char bar[BAR_WIDTH + 1];
    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', (size_t)filled);
    bar[BAR_WIDTH] = 0;
    fprintf(stderr, " [%s] %3d %%", bar, (int)((double)done / (double)p->total * 100));
  }
  fprintf(stderr, "  %s", size);
  if (records != 0) fprintf(stderr, "  %s records", count);
  (void)fflush(stderr);
}

void tool_progress_clear(progress *p) {
  if (!p->drawn) return;
  fputs("\r\033[K", stderr);
  (void)fflush(stderr);
  p->drawn = false;
}

uint64_t tool_progress_elapsed_ns(const progress *p) { return now_ns() - p->started_ns; }
