/* SPDX-License-Identifier: Apache-2.0
 *
 * deny: the kernel says no to a system call, from now on and for good: for a child that shows what happens then.
 */
#ifndef TESTS_SUPPORT_DENY_H
#define TESTS_SUPPORT_DENY_H

#include <stdbool.h>

/* Has system call `number` fail with `code` in this process. False where filters (seccomp) are not to be had. */
bool deny_call(long number, int code);

#endif
