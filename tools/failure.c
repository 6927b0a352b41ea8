/* SPDX-License-Identifier: Apache-2.0
 *
 * failure: errors and warnings on standard error, and the end of standard output; see failure.h.
 */
#include "failure.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

#include "bytes.h"
#include "exit_status.h"
#include "render_json.h"
#include "render_text.h"

int tool_fail_error(const options *o, const nacre_error *error) {
  (void)fflush(stdout);
  if (o->json) {
    json_t *object = json_object();
    json_object_set_new(object, "error", tool_json_error(error));
    tool_json_line(object, stderr);
  } else {
    fputs("nacre: ", stderr);
    tool_text_error(error, stderr);
    fputc('\n', stderr);
  }
  return tool_exit_status(error->status);
}

int tool_fail_last(const options *o) {
  nacre_error error;
  nacre_last_error(&error);
  return tool_fail_error(o, &error);
}

static nacre_error own_error(nacre_status status, const char *file) {
  nacre_error error = {.status = status, .offset = NACRE_NONE};
  if (file != NULL) tool_text_fit(error.file, sizeof error.file, file);
  return error;
}

int tool_fail(const options *o, nacre_status status, const char *file, const char *format, ...) {
  nacre_error error = own_error(status, file);
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(error.text, sizeof error.text, format, arguments);
  va_end(arguments);
  return tool_fail_error(o, &error);
}

int tool_fail_errno(const options *o, int os_errno, const char *doing, const char *file) {
  nacre_error error = own_error(tool_errno_status(os_errno), NULL);
  error.os_errno = os_errno;
  (void)snprintf(error.text, sizeof error.text, "cannot %s %s: %s", doing, file, strerror(os_errno));
  return tool_fail_error(o, &error);
}

int tool_fail_usage(const options *o, const char *format, ...) {
  nacre_error error = own_error(NACRE_INVALID, NULL);
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(error.text, sizeof error.text, format, arguments);
  va_end(arguments);
  return tool_fail_error(o, &error);
}

void tool_warn(const options *o, const char *format, ...) {
  if (o->quiet) return;
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  (void)vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (o->json) {
    tool_json_line(json_pack("{s:{s:s}}", "warning", "message", text), stderr);
  } else {
    fputs("nacre: ", stderr);
    tool_text_safe(stderr, text);
    fputc('\n', stderr);
  }
}

void tool_warn_line(const options *o, uint64_t line, const char *reason) {
  if (o->json) {
    tool_json_line(json_pack("{s:{s:I,s:s}}", "bad_line", "line", (json_int_t)line, "reason", reason),
                   stderr);
  } else {
    fprintf(stderr, "nacre: line %llu: %s\n", (unsigned long long)line, reason);
  }
}

/* Whether standard output is a pipe or socket that nobody reads any more. */
static bool nobody_reads(void) {
  struct pollfd p = {.fd = STDOUT_FILENO, .events = POLLOUT};
  return poll(&p, 1, 0) == 1 && (p.revents & (POLLERR | POLLHUP)) != 0;
}

/* What cannot be written any more is dropped: it is told once. */
static int output_failed(const options *o, int os_errno) {
  clearerr(stdout);
  __fpurge(stdout);
  if (os_errno == EPIPE || nobody_reads()) return TOOL_DONE;
  return tool_fail_errno(o, os_errno == 0 ? EIO : os_errno, "write to", "standard output");
}

int tool_output_check(const options *o) { return ferror(stdout) == 0 ? TOOL_DONE : output_failed(o, errno); }

bool tool_output_good(void) { return ferror(stdout) == 0; }

int tool_output_end(const options *o, int status) {
  bool failed = ferror(stdout) != 0;
  clearerr(stdout);
  errno = 0; /* what could not be written before is tried again here, which tells why */
  if (fflush(stdout) == 0 && !failed) return status;
  int told = output_failed(o, errno);
  return status == TOOL_DONE ? told : status;
}
