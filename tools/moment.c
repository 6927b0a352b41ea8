/* SPDX-License-Identifier: Apache-2.0
 *
 * moment: see moment.h.
 */
#include "moment.h"

#include <string.h>
#include <time.h>

#include "options.h"

uint64_t tool_moment_now(void) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0 || now.tv_sec < 0) return 0;
  return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- from now ------------------------------------------------------------------------------------------ */

static uint64_t unit_ms(char unit) {
  switch (unit) {
    case 's':
      return 1000;
    case 'm':
      return 60 * 1000;
    case 'h':
      return 3600 * 1000;
    case 'd':
      return 24 * 3600 * 1000;
    case 'w':
      return 7 * 24 * 3600 * 1000;
    default:
      return 0;
  }
}

static bool parse_from_now(const char *text, uint64_t now_ms, uint64_t *ret_ms) {
  char digits[24];
  uint64_t count;
  size_t size = strlen(text);
  if (size < 2 || size > sizeof digits) return false;
  uint64_t unit = unit_ms(text[size - 1]);
  memcpy(digits, text, size - 1);
  digits[size - 1] = 0;
  if (unit == 0 || !tool_number_parse(digits, &count) || count > (UINT64_MAX - now_ms) / unit) return false;
  *ret_ms = now_ms + count * unit;
  return true;
}

/* ---- RFC 3339 ------------------------------------------------------------------------------------------ */

/* Digits where the pattern has 'd', and else its own characters; what follows them, or NULL. */
static const char *match(const char *text, const char *pattern) {
  for (; *pattern != 0; pattern++, text++) {
    bool digit = *text >= '0' && *text <= '9';
    if (*pattern == 'd' ? !digit : *text != *pattern) return NULL;
  }
  return text;
}

static int number_at(const char *text, int digits) {
  int value = 0;
  for (int i = 0; i < digits; i++) value = 10 * value + (text[i] - '0');
  return value;
}

/* What timegm makes another date of is none. */
static bool seconds_of(const char *date, const char *time, int64_t *ret_seconds) {
  struct tm t = {.tm_year = number_at(date, 4) - 1900,
                 .tm_mon = number_at(date + 5, 2) - 1,
                 .tm_mday = number_at(date + 8, 2)};
  if (time != NULL) {
    t.tm_hour = number_at(time + 1, 2);
    t.tm_min = number_at(time + 4, 2);
    t.tm_sec = number_at(time + 7, 2);
  }
  struct tm given = t;
  *ret_seconds = timegm(&t);
  return t.tm_year == given.tm_year && t.tm_mon == given.tm_mon && t.tm_mday == given.tm_mday &&
         t.tm_hour == given.tm_hour && t.tm_min == given.tm_min && t.tm_sec == given.tm_sec;
}

/* ".123", as many digits as there are; thousandths count. */
static const char *pass_fraction(const char *text, int64_t *ret_ms) {
  *ret_ms = 0;
  if (*text != '.') return text;
  const char *digit = text + 1;
  for (int64_t weight = 100; *digit >= '0' && *digit <= '9'; digit++, weight /= 10)
    *ret_ms += weight * (*digit - '0');
  return digit == text + 1 ? NULL : digit;
}

/* How far the time told is ahead of UTC. */
static bool parse_offset(const char *text, int64_t *ret_seconds) {
  *ret_seconds = 0;
  if (strcmp(text, "Z") == 0) return true;
  const char *end = text[0] == '+' || text[0] == '-' ? match(text + 1, "dd:dd") : NULL;
  if (end == NULL || *end != 0) return false;
  int hours = number_at(text + 1, 2), minutes = number_at(text + 4, 2);
  *ret_seconds = (text[0] == '-' ? -60 : 60) * (60 * hours + minutes);
  return hours < 24 && minutes < 60;
}

static bool parse_date(const char *text, uint64_t *ret_ms) {
  int64_t seconds, ms = 0, offset = 0;
  const char *time = match(text, "dddd-dd-dd");
  if (time == NULL) return false;
  const char *rest = *time == 0 ? time : match(time, "Tdd:dd:dd");
  if (rest == NULL || !seconds_of(text, rest == time ? NULL : time, &seconds)) return false;
  if (rest != time) {
    rest = pass_fraction(rest, &ms);
    if (rest == NULL || !parse_offset(rest, &offset)) return false;
  }
  if (seconds - offset < 0) return false;
  *ret_ms = (uint64_t)(seconds - offset) * 1000 + (uint64_t)ms;
  return true;
}

bool tool_moment_parse(const char *text, uint64_t now_ms, uint64_t *ret_ms) {
  return text[0] == '+' ? parse_from_now(text + 1, now_ms, ret_ms) : parse_date(text, ret_ms);
}
