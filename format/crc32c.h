/* SPDX-License-Identifier: Apache-2.0
 *
 * crc32c: the Castagnoli cyclic redundancy check (RFC 3720, appendix B.4), by the processor's instruction
 * where it has one. It finds torn writes and lets a keyless scrub check a store; authentication never rests
 * on it.
 */
#ifndef NC_CRC32C_H
#define NC_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of `data`, continued from `crc` (0 to begin): nc_crc32c(nc_crc32c(0, a), b) is the CRC of a and b
 * joined. */
uint32_t nc_crc32c(uint32_t crc, const void *data, size_t size);
/* The same by tables alone, for tests and for processors without the instruction. */
uint32_t nc_crc32c_portable(uint32_t crc, const void *data, size_t size);

#endif
