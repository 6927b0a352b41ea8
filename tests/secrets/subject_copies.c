/* SPDX-License-Identifier: Apache-2.0
 *
 * The process under test leaves copies on purpose, one in every sort of place, so that the detectors can be
 * seen to find them.
 */
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "subject_store.h"
#include "support.h"

enum { ROOM_BYTES = 4096, DEPTH_BYTES = 2048 };

static uint8_t in_static[64];

/* Through volatile, or the compiler would leave out what nobody reads again. */
static void copy_to(const subject *s, uint8_t *to) {
  volatile uint8_t *at = to;
  canary_make(s->seed, 0, 0, s->around.page);
  for (int i = 0; i < CANARY_NOISE; i++) at[i] = s->around.page->value[i];
  explicit_bzero(s->around.page, sizeof *s->around.page);
}

/* The frame is dead when this returns, and too deep for what is called next to overwrite it. */
__attribute__((noinline)) static uint64_t leave_on_stack(const subject *s) {
  uint8_t frame[8 * ROOM_BYTES], *at = frame + DEPTH_BYTES;
  copy_to(s, at);
  return (uint64_t)(uintptr_t)at;
}

static void *leave_in_thread(void *arg) {
  subject *s = arg;
  s->answer.copies[COPY_IN_THREAD_STACK] = leave_on_stack(s);
  s->answer.pid = 1; /* done */
  for (;;) pause();
  return NULL;
}

static void leave_in_freed_heap(subject *s) {
  uint8_t *block = malloc(64 * ROOM_BYTES / 8);
  uint8_t *volatile guard = malloc(64); /* keeps the block from going back to the system */
  copy_to(s, block + DEPTH_BYTES);
  __asm__ volatile("" : : "r"(block) : "memory"); /* else a compiler leaves out what nobody reads any more */
  s->answer.copies[COPY_IN_FREED_HEAP] = (uint64_t)(uintptr_t)(block + DEPTH_BYTES);
  free(block);
  (void)guard;
}

static void leave_out_of_dumps(subject *s) {
  uint8_t *page = mmap(NULL, ROOM_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT_TRUE(madvise(page, ROOM_BYTES, MADV_DONTDUMP) == 0);
  copy_to(s, page + 100);
  s->answer.copies[COPY_LEFT_OUT] = (uint64_t)(uintptr_t)(page + 100);
}

/* A schedule for one direction, and one for the other. */
static void leave_schedules(subject *s) {
  uint8_t *key = (uint8_t *)s->around.page;
  EVP_CIPHER_CTX *sealing = EVP_CIPHER_CTX_new(), *opening = EVP_CIPHER_CTX_new();
  canary_control_key(s->seed, key);
  EXPECT_TRUE(EVP_EncryptInit_ex(sealing, EVP_aes_256_gcm(), NULL, key, NULL) == 1);
  EXPECT_TRUE(EVP_DecryptInit_ex(opening, EVP_aes_256_cbc(), NULL, key, NULL) == 1);
  explicit_bzero(key, sizeof *s->around.page);
}

void subject_leave_copies(subject *s) {
  static pthread_t thread;
  leave_out_of_dumps(s);
  leave_schedules(s);
  copy_to(s, in_static + 20);
  s->answer.copies[COPY_IN_STATIC] = (uint64_t)(uintptr_t)(in_static + 20);
  EXPECT_TRUE(pthread_create(&thread, NULL, leave_in_thread, s) == 0);
  while (((volatile subject *)s)->answer.pid == 0) usleep(1000);
  s->answer.copies[COPY_IN_DEAD_STACK] = leave_on_stack(s);
  leave_in_freed_heap(s); /* last, or another block would take its place */
}
