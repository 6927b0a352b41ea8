/* SPDX-License-Identifier: Apache-2.0
 *
 * failure: how the command says no, on standard error: a sentence after "nacre: ", or one JSON object a line.
 * Each function returns the exit status that goes with it, so that it can end a function.
 */
#ifndef TOOL_FAILURE_H
#define TOOL_FAILURE_H

#include <nacre/nacre.h>

#include "options.h"

/* The last failure of the library on this thread. */
int tool_fail_last(const options *o);
int tool_fail_error(const options *o, const nacre_error *error);
/* A failure of the command's own. `file` may be NULL. */
int tool_fail(const options *o, nacre_status status, const char *file, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* A file operation of the command's own failed: "cannot <doing> <file>: <errno>". */
int tool_fail_errno(const options *o, int os_errno, const char *doing, const char *file);
int tool_fail_usage(const options *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Not an end, but not to be overlooked; silent with --quiet. */
void tool_warn(const options *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same, of an input line: told even with --quiet, for it says what was not taken. */
void tool_warn_line(const options *o, uint64_t line, const char *reason);

/* Standard output. False once it is closed or failing: then it is useless to write more. */
bool tool_output_good(void);
/* The same after a run of writes, while errno still tells why one failed: TOOL_DONE, or the failure, told. */
int tool_output_check(const options *o);
/* Flushes standard output; `status` unless that fails. A closed pipe is no failure of ours and stays
 * silent. */
int tool_output_end(const options *o, int status);

#endif
