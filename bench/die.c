/* SPDX-License-Identifier: Apache-2.0
 *
 * die: see engine.h.
 */
#include "engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void bench_die(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("compare: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(1);
}
