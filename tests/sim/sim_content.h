/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of one simulated file: pages that are shared until somebody writes to them.
 *
 * Invariants
 *   1. A page with more than one reference is never changed; a writer copies it first. So a copy of a file
 *      costs one pointer a page, and copies may live in different threads.
 *   2. A missing page reads as zeros, as do the bytes of a page past the end of the file.
 *   3. A page's digest is computed once and dies with the next change.
 */
#ifndef NACRE_TESTS_SIM_CONTENT_H
#define NACRE_TESTS_SIM_CONTENT_H

#include <stddef.h>
#include <stdint.h>

enum { SIM_PAGE_BYTES = 4096, SIM_SECTOR_BYTES = 512, SIM_DIGEST_BYTES = 32 };

typedef struct sim_page sim_page;

typedef struct sim_content {
  uint64_t size;
  size_t page_count, page_capacity;
  sim_page **pages;
} sim_content;

void sim_content_deinit(sim_content *content);                    /* leaves it empty */
void sim_content_share(sim_content *to, const sim_content *from); /* `to` becomes equal to `from` */
void sim_content_extend(sim_content *content, uint64_t size);     /* with zeros; never shrinks */
void sim_content_cut(sim_content *content, uint64_t size);    /* never grows */
void sim_content_write(sim_content *content, uint64_t offset, const void *bytes, size_t size);
size_t sim_content_read(const sim_content *content, uint64_t offset, void *buffer, size_t size);
void sim_content_digest(const sim_content *content,
                        uint8_t digest[SIM_DIGEST_BYTES]); /* SHA-256 of pages' SHA-256 */

#endif
