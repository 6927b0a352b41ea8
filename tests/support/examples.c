/* SPDX-License-Identifier: Apache-2.0
 *
 * examples: see examples.h. In the fenced parts of the page's "Worked examples" a line is `name  bytes ; remark`; lines that
 * begin with a space go on with the bytes of the line before.
 */
#include "examples.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void give_up(const char *what, const char *name) {
  fprintf(stderr, "%s: %s: %s\n", SPECIFICATION, what, name);
  exit(1);
}

static unsigned digit(char c) { return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10); }

/* Appends the bytes of a line, up to its remark. */
static void take_bytes(example *e, const char *line, const char *name) {
  for (const char *p = line; *p != '\0' && *p != ';' && *p != '\n'; p++) {
    if (*p == ' ' || *p == '|') continue;
    if (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]) || e->size == sizeof e->bytes) {
      give_up("not bytes, or too many", name);
    }
    e->bytes[e->size++] = (uint8_t)(digit(p[0]) << 4 | digit(p[1]));
    p++;
  }
}

example example_of(const char *name) {
  static const char heading[] = "## Worked examples";
  example e = {0};
  size_t length = strlen(name);
  int found = 0;
  bool here = false, fenced = false, inside = false;
  char line[1024];
  FILE *page = fopen(SPECIFICATION, "r");
  if (page == NULL) give_up("cannot be read", name);
  while (fgets(line, sizeof line, page) != NULL) {
    if (strncmp(line, "## ", 3) == 0) inside = strncmp(line, heading, strlen(heading)) == 0;
    if (strncmp(line, "```", 3) == 0) {
      fenced = !fenced;
      here = false;
      continue;
    }
    if (!inside || !fenced) continue;
    if (line[0] != ' ') {
      here = strncmp(line, name, length) == 0 && strncmp(line + length, "  ", 2) == 0;
      found += here;
    }
    if (here) take_bytes(&e, line[0] == ' ' ? line : line + length, name);
  }
  fclose(page);
  if (found != 1) give_up(found == 0 ? "no such example" : "two examples of one name", name);
  return e;
}
