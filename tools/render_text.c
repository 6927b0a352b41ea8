/* SPDX-License-Identifier: Apache-2.0
 *
 * render_text: output for people; see render_text.h.
 */
#include "render_text.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bytes.h"
#include "text_key.h"

static bool may_colour(FILE *to) {
  const char *off = getenv("NO_COLOR"), *term = getenv("TERM");
  if (off != NULL && off[0] != 0) return false;
  return isatty(fileno(to)) == 1 && term != NULL && strcmp(term, "dumb") != 0;
}

void tool_text_styled(FILE *to, text_style style, const char *text) {
  static const char *const codes[] = {"", "\033[1m", "\033[32m", "\033[31m", "\033[2m"};
  bool colour = style != STYLE_PLAIN && may_colour(to);
  fprintf(to, "%s%s%s", colour ? codes[style] : "", text, colour ? "\033[0m" : "");
}

const char *tool_text_count(char text[TOOL_UNIT_TEXT_BYTES], uint64_t count) {
  char digits[24];
  int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
  char *to = text;
  for (int i = 0; i < size; i++) {
    if (i > 0 && (size - i) % 3 == 0) *to++ = ',';
    *to++ = digits[i];
  }
  *to = 0;
  return text;
}

const char *tool_text_counted(char text[TOOL_UNIT_TEXT_BYTES], uint64_t count, const char *one,
                              const char *many) {
  char digits[TOOL_UNIT_TEXT_BYTES];
  (void)snprintf(text, TOOL_UNIT_TEXT_BYTES, "%.26s %s", tool_text_count(digits, count),
                 count == 1 ? one : many);
  return text;
}

const char *tool_text_size(char text[TOOL_UNIT_TEXT_BYTES], uint64_t size, bool exact) {
  static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  char count[TOOL_UNIT_TEXT_BYTES];
  (void)tool_text_count(count, size);
  if (size < 1024) {
    (void)snprintf(text, TOOL_UNIT_TEXT_BYTES, "%.26s byte%s", count, size == 1 ? "" : "s");
    return text;
  }
  double value = (double)size / 1024;
  size_t unit = 0;
  for (; value >= 1024 && unit < 5; unit++) value /= 1024;
  char with_unit[16];
  (void)snprintf(with_unit, sizeof with_unit, "%.1f %s", value, units[unit]);
  if (exact) {
    (void)snprintf(text, TOOL_UNIT_TEXT_BYTES, "%s (%.26s bytes)", with_unit, count);
  } else {
    (void)snprintf(text, TOOL_UNIT_TEXT_BYTES, "%s", with_unit);
  }
  return text;
}

const char *tool_text_time(char text[TOOL_UNIT_TEXT_BYTES], uint64_t unix_ms) {
  time_t seconds = (time_t)(unix_ms / 1000);
  struct tm parts;
  if (gmtime_r(&seconds, &parts) == NULL ||
      strftime(text, TOOL_UNIT_TEXT_BYTES, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0) {
    (void)snprintf(text, TOOL_UNIT_TEXT_BYTES, "%llu ms", (unsigned long long)unix_ms);
  }
  return text;
}

const char *tool_text_seconds(char text[TOOL_UNIT_TEXT_BYTES], uint64_t ns) {
  (void)snprintf(text, TOOL_UNIT_TEXT_BYTES, "%.2f s", (double)ns / 1e9);
  return text;
}

const char *tool_text_from(char text[TOOL_UNIT_TEXT_BYTES], uint64_t offset) {
  text[0] = 0;
  if (offset != NACRE_NONE) {
    (void)snprintf(text, TOOL_UNIT_TEXT_BYTES, " from offset %llu on", (unsigned long long)offset);
  }
  return text;
}

void tool_text_safe(FILE *to, const char *text) {
  bytes escaped = {0};
  for (; *text != 0; text += *text == '\\') {
    size_t size = strcspn(text, "\\");
    tool_text_escape(&escaped, tool_slice(text, size));
    text += size;
    if (*text == '\\') tool_bytes_add_byte(&escaped, '\\');
  }
  fputs(tool_bytes_text(&escaped), to);
  tool_bytes_free(&escaped);
}

void tool_text_error(const nacre_error *error, FILE *to) {
  tool_text_safe(to, error->text[0] != 0 ? error->text : nacre_status_name(error->status));
  bool offset = error->offset != NACRE_NONE,
       file = error->file[0] != 0 && strstr(error->text, error->file) == NULL;
  if (file && offset) {
    fprintf(to, " [file %s, offset %llu]", error->file, (unsigned long long)error->offset);
  } else if (file) {
    fprintf(to, " [file %s]", error->file);
  } else if (offset) {
    fprintf(to, " [offset %llu]", (unsigned long long)error->offset);
  }
}

void tool_text_field(const char *name, const char *format, ...) {
  printf("  %-20s  ", name);
  va_list arguments;
  va_start(arguments, format);
  (void)vprintf(format, arguments);
  va_end(arguments);
  putchar('\n');
}

void tool_text_table_cell(text_table *t, const char *format, ...) {
  char *text = NULL;
  va_list arguments;
  va_start(arguments, format);
  int size = vasprintf(&text, format, arguments);
  va_end(arguments);
  if (t->cells == t->capacity) {
    t->capacity = t->capacity == 0 ? 64 : 2 * t->capacity;
    t->cell = tool_realloc(t->cell, t->capacity * sizeof *t->cell);
  }
  t->cell[t->cells++] = size < 0 ? NULL : text;
}

/* How many columns of a terminal a text takes: characters, not bytes. Good for what the command itself
 * prints. */
static size_t width_of(const char *text) {
  size_t width = 0;
  for (; text != NULL && *text != 0; text++) width += ((uint8_t)*text & 0xc0) != 0x80;
  return width;
}

static void print_cell(const text_table *t, size_t at, size_t width, bool last) {
  const char *text = t->cell[at] == NULL ? "" : t->cell[at];
  size_t pad = width - width_of(text);
  bool right = t->right != NULL && t->right[at % t->columns];
  if (right) printf("%*s", (int)pad, "");
  tool_text_styled(stdout, at < t->columns ? STYLE_HEAD : STYLE_PLAIN, text);
  if (!right && !last) printf("%*s", (int)pad, "");
  fputs(last ? "\n" : "  ", stdout);
}

void tool_text_table_print(text_table *t) {
  size_t *widths = tool_alloc(t->columns * sizeof *widths);
  memset(widths, 0, t->columns * sizeof *widths);
  for (size_t i = 0; i < t->cells; i++) {
    size_t width = width_of(t->cell[i]);
    if (width > widths[i % t->columns]) widths[i % t->columns] = width;
  }
  for (size_t i = 0; i < t->cells; i++) {
    print_cell(t, i, widths[i % t->columns], i % t->columns == t->columns - 1);
    free(t->cell[i]);
  }
  free(widths);
  free(t->cell);
  *t = (text_table){.columns = t->columns, .right = t->right};
}
