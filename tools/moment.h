/* SPDX-License-Identifier: Apache-2.0
 *
 * moment: points in time as people write them.
 */
#ifndef TOOL_MOMENT_H
#define TOOL_MOMENT_H

#include <stdbool.h>
#include <stdint.h>

/* By the wall clock, in ms since 1970-01-01 UTC. */
uint64_t tool_moment_now(void);
/* "+90d": a time from now, in s, m, h, d or w; "2027-01-31": when that day begins, in UTC; "2027-01-31T12:00:00Z",
 * also with a fraction of the second and with an offset, "+02:00", in the place of Z (RFC 3339). False for anything
 * else, for dates that no calendar has, and before 1970. */
bool tool_moment_parse(const char *text, uint64_t now_ms, uint64_t *ret_ms);

#endif
