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

/* Whether it is time to draw; the line is begun then. */
static bool begin_line(progress *p) {
  if (!p->shown) return false;
  uint64_t now = now_ns();
  if (now - p->drawn_ns < DRAW_EVERY_NS) return false;
  p->drawn_ns = now;
  p->drawn = true;
  fprintf(stderr, "\r\033[K%s", p->doing);
  return true;
}

static void draw_bar(uint64_t done, uint64_t total) {
  if (total == NACRE_NONE || total == 0) return;
  if (done > total) done = total;
  int filled = (int)((double)done / (double)total * BAR_WIDTH);
  char bar[BAR_WIDTH + 1];
  memset(bar, '.', BAR_WIDTH);
  memset(bar, '#', (size_t)filled);
  bar[BAR_WIDTH] = 0;
  fprintf(stderr, " [%s] %3d %%", bar, (int)((double)done / (double)total * 100));
}

void tool_progress_update(progress *p, uint64_t done_bytes, uint64_t records) {
  char size[TOOL_UNIT_TEXT_BYTES], count[TOOL_UNIT_TEXT_BYTES];
  if (!begin_line(p)) return;
  draw_bar(done_bytes, p->total);
  fprintf(stderr, "  %s", tool_text_size(size, done_bytes, false));
  if (records != 0) fprintf(stderr, "  %s records", tool_text_count(count, records));
  (void)fflush(stderr);
}

void tool_progress_count(progress *p, uint64_t done, uint64_t total, const char *things) {
  char count[TOOL_UNIT_TEXT_BYTES];
  if (!begin_line(p)) return;
  draw_bar(done, total);
  fprintf(stderr, "  %s %s", tool_text_count(count, done), things);
  (void)fflush(stderr);
}

void tool_progress_clear(progress *p) {
  if (!p->drawn) return;
  fputs("\r\033[K", stderr);
  (void)fflush(stderr);
  p->drawn = false;
}

uint64_t tool_progress_elapsed_ns(const progress *p) { return now_ns() - p->started_ns; }
