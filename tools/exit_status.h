/* SPDX-License-Identifier: Apache-2.0
 *
 * exit_status: what the command's exit tells a script.
 */
#ifndef TOOL_EXIT_STATUS_H
#define TOOL_EXIT_STATUS_H

#include <nacre/nacre_format.h>

enum {
  TOOL_DONE = 0,
  TOOL_FAILED = 1,
  TOOL_USAGE = 2,
  TOOL_NOT_FOUND = 3,
  TOOL_DAMAGED = 4, /* corrupt, tampered or rolled back */
  TOOL_NO_KEY = 5,  /* missing, denied, unreachable or revoked */
  TOOL_BUSY = 6,    /* locked or busy */
  TOOL_NO_SPACE = 7
};

int tool_exit_status(nacre_status status);
/* The status that stands for an errno value of the command's own file operations. */
nacre_status tool_errno_status(int os_errno);

#endif
