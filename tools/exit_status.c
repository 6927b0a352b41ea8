/* SPDX-License-Identifier: Apache-2.0
 *
 * exit_status: from status to exit; see exit_status.h.
 */
#include "exit_status.h"

#include <errno.h>

int tool_exit_status(nacre_status status) {
  switch (status) {
    case NACRE_OK:
      return TOOL_DONE;
    case NACRE_NOT_FOUND:
      return TOOL_NOT_FOUND;
    case NACRE_INVALID:
      return TOOL_USAGE;
    case NACRE_BUSY:
    case NACRE_LOCKED:
      return TOOL_BUSY;
    case NACRE_NO_SPACE:
      return TOOL_NO_SPACE;
    case NACRE_CORRUPT:
    case NACRE_TAMPERED:
    case NACRE_ROLLED_BACK:
      return TOOL_DAMAGED;
    case NACRE_KEY_MISSING:
    case NACRE_KEY_DENIED:
    case NACRE_KEY_UNREACHABLE:
    case NACRE_KEY_REVOKED:
      return TOOL_NO_KEY;
    case NACRE_EXISTS:
    case NACRE_TOO_LARGE:
    case NACRE_CONFLICT:
    case NACRE_UNSUPPORTED:
    case NACRE_CANCELLED:
    case NACRE_IO:
    case NACRE_NO_MEMORY:
    case NACRE_READ_ONLY:
    case NACRE_FORKED:
      return TOOL_FAILED;
  }
  return TOOL_FAILED;
}

nacre_status tool_errno_status(int os_errno) {
  switch (os_errno) {
    case ENOENT:
    case ENOTDIR:
      return NACRE_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
      return NACRE_NO_SPACE;
    case ENOMEM:
      return NACRE_NO_MEMORY;
    default:
      return NACRE_IO;
  }
}
