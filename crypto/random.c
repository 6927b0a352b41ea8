/* SPDX-License-Identifier: Apache-2.0
 *
 * random: getrandom(2), until every byte has come.
 */
#include "random.h"

#include <errno.h>
#include <sys/random.h>

nacre_status nc_random(void *out, size_t size, nacre_error *err) {
  uint8_t *at = out;
  while (size > 0) {
    ssize_t got = getrandom(at, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      int code = errno;
      nacre_status status = nc_fail(err, NC_E_RANDOM, NULL);
      if (err != NULL) err->os_errno = code;
      return status;
    }
    at += got;
    size -= (size_t)got;
  }
  return NACRE_OK;
}

nacre_status nc_random_uuid(nc_uuid *ret_uuid, nacre_error *err) {
  nc_uuid uuid;
  NC_TRY(nc_random(&uuid, sizeof uuid, err));
  uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0F) | 0x40); /* version 4 */
  uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3F) | 0x80); /* the RFC's variant */
  *ret_uuid = uuid;
  return NACRE_OK;
}
