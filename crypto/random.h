/* SPDX-License-Identifier: Apache-2.0
 *
 * random: bytes from the kernel (getrandom(2)); never through nacre_io, so that no test double can weaken a
 * key.
 */
#ifndef NC_RANDOM_H
#define NC_RANDOM_H

#include "coding.h"
#include "status.h"

NC_MUST_CHECK nacre_status nc_random(void *out, size_t size, nacre_error *err);
/* A version 4 UUID (RFC 9562, section 5.4). */
NC_MUST_CHECK nacre_status nc_random_uuid(nc_uuid *ret_uuid, nacre_error *err);

#endif
