/* SPDX-License-Identifier: Apache-2.0
 *
 * Copy-on-write pages. Reference counts are atomic, because crash images that share pages are checked by
 * several threads; one sim_content is used by one thread at a time (its disk's mutex sees to that).
 */
#include "sim_content.h"

#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

enum { DIGEST_NONE, DIGEST_BUSY, DIGEST_KNOWN };

struct sim_page {
  atomic_uint refs;
  atomic_int digest_state;
  uint8_t digest[SIM_DIGEST_BYTES];
  uint8_t bytes[SIM_PAGE_BYTES];
};

static void page_release(sim_page *page) {
  if (page != NULL && atomic_fetch_sub(&page->refs, 1) == 1) free(page);
}

static sim_page *page_copy(const sim_page *from) {
  sim_page *page = test_alloc(sizeof *page);
  atomic_store(&page->refs, 1);
  if (from != NULL) memcpy(page->bytes, from->bytes, sizeof page->bytes);
  return page;
}

/* The page at `index`, owned by this content alone. */
static sim_page *page_for_write(sim_content *content, size_t index) {
  sim_page *page = content->pages[index];
  if (page != NULL && atomic_load(&page->refs) == 1) {
    atomic_store(&page->digest_state, DIGEST_NONE);
    return page;
  }
  content->pages[index] = page_copy(page);
  page_release(page);
  return content->pages[index];
}

void sim_content_deinit(sim_content *content) {
  for (size_t i = 0; i < content->page_count; i++) page_release(content->pages[i]);
  free(content->pages);
  *content = (sim_content){0};
}

void sim_content_share(sim_content *to, const sim_content *from) {
  sim_content copy = {.size = from->size, .page_count = from->page_count, .page_capacity = from->page_count};
  copy.pages = test_alloc(copy.page_count * sizeof *copy.pages);
  for (size_t i = 0; i < copy.page_count; i++) {
    copy.pages[i] = from->pages[i];
    if (copy.pages[i] != NULL) atomic_fetch_add(&copy.pages[i]->refs, 1);
  }
  sim_content_deinit(to);
  *to = copy;
}

void sim_content_extend(sim_content *content, uint64_t size) {
  if (size <= content->size) return;
  size_t pages = (size_t)((size + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES);
  while (content->page_count < pages) {
    content->pages =
        test_grow(content->pages, content->page_count, &content->page_capacity, sizeof *content->pages);
    content->pages[content->page_count++] = NULL;
  }
  content->size = size;
}

void sim_content_cut(sim_content *content, uint64_t size) {
  if (size >= content->size) return;
  size_t pages = (size_t)((size + SIM_PAGE_BYTES - 1) / SIM_PAGE_BYTES), kept = (size_t)(size % SIM_PAGE_BYTES);
  while (content->page_count > pages) page_release(content->pages[--content->page_count]);
  content->size = size;
  if (kept > 0 && content->pages[pages - 1] != NULL)
    memset(page_for_write(content, pages - 1)->bytes + kept, 0, SIM_PAGE_BYTES - kept);
}

void sim_content_write(sim_content *content, uint64_t offset, const void *bytes, size_t size) {
  const uint8_t *from = bytes;
  sim_content_extend(content, offset + size);
  while (size > 0) {
    size_t start = (size_t)(offset % SIM_PAGE_BYTES);
    size_t part = SIM_PAGE_BYTES - start < size ? SIM_PAGE_BYTES - start : size;
    memcpy(page_for_write(content, (size_t)(offset / SIM_PAGE_BYTES))->bytes + start, from, part);
    from += part;
    offset += part;
    size -= part;
  }
}

size_t sim_content_read(const sim_content *content, uint64_t offset, void *buffer, size_t size) {
  if (offset >= content->size) return 0;
  if (size > content->size - offset) size = (size_t)(content->size - offset);
  uint8_t *to = buffer;
  for (size_t left = size; left > 0;) {
    size_t start = (size_t)(offset % SIM_PAGE_BYTES);
    size_t part = SIM_PAGE_BYTES - start < left ? SIM_PAGE_BYTES - start : left;
    const sim_page *page = content->pages[offset / SIM_PAGE_BYTES];
    if (page != NULL)
      memcpy(to, page->bytes + start, part);
    else
      memset(to, 0, part);
    to += part;
    offset += part;
    left -= part;
  }
  return size;
}

static void sha256(const void *bytes, size_t size, uint8_t digest[SIM_DIGEST_BYTES]) {
  if (EVP_Digest(bytes, size, digest, NULL, EVP_sha256(), NULL) != 1) test_die("SHA-256 failed");
}

/* Two threads may meet at one shared page: the first keeps its result, the other computes its own and
 * drops it. */
static void page_digest(sim_page *page, uint8_t digest[SIM_DIGEST_BYTES]) {
  int state = DIGEST_NONE;
  if (atomic_load(&page->digest_state) == DIGEST_KNOWN) {
    memcpy(digest, page->digest, SIM_DIGEST_BYTES);
    return;
  }
  sha256(page->bytes, sizeof page->bytes, digest);
  if (atomic_compare_exchange_strong(&page->digest_state, &state, DIGEST_BUSY)) {
    memcpy(page->digest, digest, SIM_DIGEST_BYTES);
    atomic_store(&page->digest_state, DIGEST_KNOWN);
  }
}

void sim_content_digest(const sim_content *content, uint8_t digest[SIM_DIGEST_BYTES]) {
  static const uint8_t zeros[SIM_PAGE_BYTES];
  size_t size = sizeof content->size + content->page_count * SIM_DIGEST_BYTES;
  uint8_t *list = test_alloc(size);
  memcpy(list, &content->size, sizeof content->size);
  for (size_t i = 0; i < content->page_count; i++) {
    uint8_t *place = list + sizeof content->size + i * SIM_DIGEST_BYTES;
    if (content->pages[i] != NULL)
      page_digest(content->pages[i], place);
    else
      sha256(zeros, sizeof zeros, place);
  }
  sha256(list, size, digest);
  free(list);
}
