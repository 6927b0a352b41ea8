/* SPDX-License-Identifier: Apache-2.0
 *
 * The surroundings. What is handed on is what goes to the disk: header slots and key files, told apart by
 * their place, size and magic.
 */
#include "subject_io.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "header.h"
#include "hoard.h"
#include "support.h"

enum { PAGE_BYTES = 4096 };

static surroundings *the_surroundings; /* nacre_io's context is the operating system's */

/* ---- cipher contexts ----------------------------------------------------------------------------------- */

EVP_CIPHER_CTX *__real_EVP_CIPHER_CTX_new(void);
EVP_CIPHER_CTX *__wrap_EVP_CIPHER_CTX_new(void);
void __real_EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *ctx);
void __wrap_EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *ctx);

static atomic_uint_fast64_t contexts;

EVP_CIPHER_CTX *__wrap_EVP_CIPHER_CTX_new(void) {
  EVP_CIPHER_CTX *ctx = __real_EVP_CIPHER_CTX_new();
  if (ctx != NULL) atomic_fetch_add(&contexts, 1);
  return ctx;
}

void __wrap_EVP_CIPHER_CTX_free(EVP_CIPHER_CTX *ctx) {
  if (ctx != NULL) atomic_fetch_sub(&contexts, 1);
  __real_EVP_CIPHER_CTX_free(ctx);
}

uint64_t contexts_now(void) { return atomic_load(&contexts); }

/* ---- the disk ------------------------------------------------------------------------------------------ */

static void hand_on(uint32_t kind, const void *bytes, size_t size) {
  overheard record = {kind, (uint32_t)size};
  struct iovec parts[2] = {{&record, sizeof record}, {(void *)(uintptr_t)bytes, size}};
  if (writev(the_surroundings->overheard, parts, 2) != (ssize_t)(sizeof record + size))
    test_die("cannot hand on");
}

static bool is_header(uint64_t offset, const uint8_t *bytes, size_t size) {
  return offset < NC_FRAMES_OFFSET && size >= NC_SLOT_BYTES && size <= NC_FRAMES_OFFSET &&
         size % NC_SLOT_BYTES == 0 && memcmp(bytes, "\x89NACRE", 6) == 0;
}

static bool is_key_file(uint64_t offset, const uint8_t *bytes, size_t size) {
  return offset == 0 && size > 8 && memcmp(bytes, "\x89NACKE", 6) == 0;
}

static int telling_write(void *context, nacre_io_file *file, uint64_t offset, const void *buffer,
                         size_t size) {
  surroundings *s = the_surroundings;
  bool key_file = is_key_file(offset, buffer, size);
  if (key_file) hand_on(OVERHEARD_KEY_FILE, buffer, size);
  if (is_header(offset, buffer, size))
    for (size_t at = 0; at < size; at += NC_SLOT_BYTES)
      hand_on(OVERHEARD_HEADER, (const uint8_t *)buffer + at, NC_SLOT_BYTES);
  if (is_header(offset, buffer, size) && size == NC_SLOT_BYTES && atomic_exchange(&s->pause_at_rewrap, false))
    s->pause(s->pause_arg);
  int code = atomic_load(key_file ? &s->fail_key_files : &s->fail_writes);
  return code != 0 ? code : nacre_io_posix()->file_write(context, file, offset, buffer, size);
}

static int failing_sync(void *context, nacre_io_file *file) {
  int code = atomic_load(&the_surroundings->fail_syncs);
  return code != 0 ? code : nacre_io_posix()->file_sync(context, file);
}

/* ---- keys and passphrases ------------------------------------------------------------------------------ */

static void called(void *arg) {
  surroundings *s = arg;
  if (atomic_exchange(&s->pause_at_call, false)) s->pause(s->pause_arg);
}

static nacre_status telling_wrap(void *arg, const nacre_kms_call *call, const uint8_t key[32],
                                 uint8_t *wrapped, size_t capacity, size_t *ret_size, nacre_error *err) {
  surroundings *s = arg;
  if (strcmp(call->key.uri, "mask:refused") == 0)
    return nacre_kms_fail(err, NACRE_KEY_DENIED, "the test's service never serves this key");
  nacre_status status = s->inner.wrap(&s->service, call, key, wrapped, capacity, ret_size, err);
  if (status == NACRE_OK) hand_on(OVERHEARD_MASKED, wrapped, *ret_size);
  return status;
}

static nacre_status plain_unwrap(void *arg, const nacre_kms_call *call, nacre_slice wrapped,
                                 uint8_t ret_key[32], nacre_error *err) {
  surroundings *s = arg;
  return s->inner.unwrap(&s->service, call, wrapped, ret_key, err);
}

nacre_status surroundings_ask(void *arg, const char *keyring, bool confirm, char *buffer, size_t capacity,
                              size_t *ret_size) {
  surroundings *s = arg;
  bool is_protected = strstr(keyring, "protected") != NULL;
  (void)confirm;
  if (capacity < CANARY_WORD) return NACRE_INVALID;
  *ret_size = 0;
  if (!is_protected) return NACRE_OK;
  canary_passphrase(s->seed, buffer);
  if (atomic_load(&s->wrong_passphrase)) buffer[CANARY_WORD - 2] = '?';
  *ret_size = CANARY_WORD - 1;
  if (atomic_exchange(&s->pause_at_question, false)) s->pause(s->pause_arg);
  return NACRE_OK;
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

void surroundings_init(surroundings *s, uint64_t seed) {
  s->seed = seed;
  s->io = *nacre_io_posix();
  s->io.file_write = telling_write;
  s->io.file_sync = failing_sync;
  s->service = (canary_service){.seed = seed, .called = called, .called_arg = s};
  s->inner = canary_provider(&s->service);
  s->provider =
      (nacre_kms_provider){.scheme = "mask", .arg = s, .wrap = telling_wrap, .unwrap = plain_unwrap};
  s->providers[0] = &s->provider;
  s->page = mmap(NULL, PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  s->overheard = open("overheard", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (s->page == MAP_FAILED || s->overheard < 0) test_die("the surroundings: %s", strerror(errno));
  the_surroundings = s;
}
