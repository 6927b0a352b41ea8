/* SPDX-License-Identifier: Apache-2.0
 *
 * last_error: where the calling thread's last error lives. A public function passes this to the floors below
 * as `err`, so the detail need not be copied.
 */
#ifndef NC_LAST_ERROR_H
#define NC_LAST_ERROR_H

#include "status.h"

nacre_error *nc_thread_error(void);

#endif
