/* SPDX-License-Identifier: Apache-2.0
 *
 * The operating system's disk, until the n-th operation that changes it: there the process kills itself with
 * SIGKILL, before, after, or for a write in the middle of it.
 */
#ifndef NACRE_TESTS_KILL_DYING_IO_H
#define NACRE_TESTS_KILL_DYING_IO_H

#include <nacre/nacre_io.h>

/* One a process. `die_at` counts from 1. The result is valid for the life of the process. */
const nacre_io *dying_io(uint64_t die_at);

#endif
