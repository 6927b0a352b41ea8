/* SPDX-License-Identifier: Apache-2.0
 *
 * last_error: one nacre_error a thread, the only state of the library that no handle owns.
 */
#include "last_error.h"

static _Thread_local nacre_error last_error = {.offset = NACRE_NONE};

nacre_error *nc_thread_error(void) { return &last_error; }

void nacre_last_error(nacre_error *ret_error) {
  if (ret_error != NULL) *ret_error = last_error;
}
