/* SPDX-License-Identifier: Apache-2.0
 *
 * A set of byte strings, and a scanner that finds them anywhere in a run of bytes. Any thread.
 */
#ifndef NACRE_TESTS_CANARY_MARKER_SET_H
#define NACRE_TESTS_CANARY_MARKER_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MARKER_PREFIX_BYTES = 8 }; /* no marker is shorter */

typedef struct marker_set marker_set;

marker_set *marker_set_create(void);
void marker_set_destroy(marker_set *set);
void marker_set_add(marker_set *set, const char *what, const void *bytes,
                    size_t size); /* one known already: nothing */
size_t marker_set_count(marker_set *set);

/* How many places of `bytes` begin a marker. With `where`, says so on stderr: what, and where (the first
 * few). */
uint64_t marker_set_scan(marker_set *set, const void *bytes, size_t size, const char *where);
/* Every file below `path`, names included; adds up the bytes looked at. */
uint64_t marker_set_scan_tree(marker_set *set, const char *path, bool say, uint64_t *bytes);
/* Markers that no scan has found yet. */
size_t marker_set_unfound(marker_set *set);

#endif
