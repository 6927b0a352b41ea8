/* SPDX-License-Identifier: Apache-2.0
 *
 * seal: what encryption costs, by back end and size. For each of
 *   - aead: AES-256-GCM alone, with the 8 bytes of additional data of a frame,
 *   - frame: a whole frame, header and checksum included, in memory,
 *   - append: a frame appended to a log file, as a write does it,
 *   - open: a sealed file opened for reading and closed, whatever its size,
 * it prints nanoseconds of processor time a call, the lowest of several turns. "none" is a cipher that only copies, and that exists
 * here alone: what a row costs over it is the price of encryption.
 *
 * usage: seal DIRECTORY [ROUNDS]       DIRECTORY must not exist; it is left behind. ROUNDS: calls a turn
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "aead.h"
#include "kms.h"
#include "sealed_reader.h"
#include "sealed_writer.h"
#include "wrap.h"

enum { TURNS = 30, ROUNDS = 2000, TEXT_MAX = 16384, LOG_BYTES_MAX = 64 << 20 };
static const size_t sizes[] = {64, 136, 256, 1024, 4096, TEXT_MAX};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static nacre_error err;
static _Noreturn void die(const char *what) {
  fprintf(stderr, "seal: %s: %s [%s]\n", what, err.text, err.file);
  exit(1);
}
#define OK(call)                        \
  do {                                  \
    if ((call) != NACRE_OK) die(#call); \
  } while (0)

/* ---- no cipher ----------------------------------------------------------------------------------------- */

static nacre_status none_create(nc_env *env, const uint8_t *key, bool sealing, nc_aead **ret_aead,
                                nacre_error *why) {
  (void)env, (void)key, (void)sealing;
  *ret_aead = calloc(1, sizeof **ret_aead);
  return *ret_aead != NULL ? NACRE_OK : nc_fail(why, NC_E_NO_MEMORY, NULL);
}
static void none_destroy(nc_aead *aead) { free(aead); }
static nacre_status none_seal(nc_aead *aead, const uint8_t *nonce, nacre_slice aad, nacre_slice plaintext,
                              uint8_t *ciphertext, uint8_t *tag, nacre_error *why) {
  (void)aead, (void)nonce, (void)aad, (void)why;
  memmove(ciphertext, plaintext.data, plaintext.size);
  memset(tag, 0, NC_AEAD_TAG_BYTES);
  return NACRE_OK;
}
static nacre_status none_open(nc_aead *aead, const uint8_t *nonce, nacre_slice aad, nacre_slice ciphertext,
                              const uint8_t *tag, uint8_t *plaintext, nacre_error *why) {
  (void)aead, (void)nonce, (void)aad, (void)tag, (void)why;
  memmove(plaintext, ciphertext.data, ciphertext.size);
  return NACRE_OK;
}
static const nc_aead_backend none = {
    .name = "none", .create = none_create, .destroy = none_destroy, .seal = none_seal, .open = none_open};

/* ---- what is measured ---------------------------------------------------------------------------------- */

typedef struct bench {
  nc_env *env;
  nc_dir dir;
  nc_table_keys *keys;
  nc_aead *sealer, *opener;
  nc_seal_ctx *seal;
  nc_open_ctx *open;
  nc_sealed_writer *log;
  uint64_t offset;
  uint8_t text[TEXT_MAX], sealed[TEXT_MAX + 64], copy[TEXT_MAX + 64];
  uint8_t tag[NC_AEAD_TAG_BYTES], nonce[NC_AEAD_NONCE_BYTES], aad[NC_FRAME_AAD_BYTES];
} bench;

static void aead_seal(bench *b, size_t size) {
  b->nonce[0]++;
  OK(nc_aead_seal(b->sealer, b->nonce, nc_slice(b->aad, sizeof b->aad), nc_slice(b->text, size), b->sealed,
                  b->tag, &err));
}
static void aead_open(bench *b, size_t size) {
  OK(nc_aead_open(b->opener, b->nonce, nc_slice(b->aad, sizeof b->aad), nc_slice(b->sealed, size), b->tag,
                  b->copy, &err));
}
static void frame_seal(bench *b, size_t size) {
  static const uint8_t salt[NC_FRAME_SALT_BYTES];
  b->offset += sizeof b->sealed;
  OK(nc_seal_frame(b->seal, NC_FRAME_LOG_GROUP, salt, b->offset, nc_slice(b->text, size), b->sealed, &err));
}
static void frame_open(bench *b, size_t size) {
  nacre_slice text;
  memcpy(b->copy, b->sealed, nc_frame_size(size)); /* stands for what is read from the file */
  OK(nc_open_frame(b->open, b->copy, nc_frame_size(size), NC_FRAME_LOG_GROUP, b->offset, &text, &err));
}
static void new_log(bench *b) {
  nc_identity identity = {.type = NC_FILE_LOG, .number = 1, .epoch = 1};
  if (b->log != NULL) OK(nc_dir_remove(&b->dir, "log", &err));
  nc_sealed_writer_close(b->log);
  OK(nc_sealed_writer_create(&b->dir, "log", &identity, nc_table_keys_active(b->keys), 0, &b->log, &err));
  nc_sealed_writer_begin_window(b->log);
}
static void append(bench *b, size_t size) {
  if (nc_sealed_writer_size(b->log) > LOG_BYTES_MAX) new_log(b);
  OK(nc_sealed_writer_append(b->log, NC_FRAME_LOG_GROUP, nc_slice(b->text, size), NULL, &err));
}

/* Its DEK unwrapped, its keys derived. */
static void open_close(bench *b, size_t size) {
  nc_sealed_reader *reader;
  (void)size;
  OK(nc_sealed_reader_open(&b->dir, "log", b->keys, NULL, &reader, &err));
  nc_sealed_reader_close(reader);
}

static const struct {
  const char *name;
  void (*run)(bench *b, size_t size);
} things[] = {{"aead seal", aead_seal},
              {"aead open", aead_open},
              {"frame seal", frame_seal},
              {"frame open", frame_open},
              {"append", append},
              {"open", open_close}};
enum { THINGS = sizeof things / sizeof things[0] };

/* ---- setting up ---------------------------------------------------------------------------------------- */

/* Not a KMS: a mask, for a key that nobody keeps. */
static nacre_status mask_wrap(void *arg, const nacre_kms_call *call, const uint8_t key[32], uint8_t *wrapped,
                              size_t capacity, size_t *ret_size, nacre_error *why) {
  (void)arg, (void)call;
  if (capacity < 32) return nacre_kms_fail(why, NACRE_KEY_UNREACHABLE, "the buffer is small");
  for (int i = 0; i < 32; i++) wrapped[i] = key[i] ^ 0x5a;
  *ret_size = 32;
  return NACRE_OK;
}
static nacre_status mask_unwrap(void *arg, const nacre_kms_call *call, nacre_slice wrapped,
                                uint8_t ret_key[32], nacre_error *why) {
  (void)arg, (void)call;
  if (wrapped.size != 32) return nacre_kms_fail(why, NACRE_KEY_MISSING, "not wrapped here");
  for (int i = 0; i < 32; i++) ret_key[i] = ((const uint8_t *)wrapped.data)[i] ^ 0x5a;
  return NACRE_OK;
}

static void set_up(bench *b, const char *directory, const nc_aead_backend *backend) {
  static const nacre_kms_provider provider = {.scheme = "bench", .wrap = mask_wrap, .unwrap = mask_unwrap};
  const nacre_kms_provider *providers[] = {&provider};
  const nacre_key_spec spec = {.uri = "bench:"};
  static const uint8_t key[NC_AEAD_KEY_BYTES] = {1};
  nc_header_slot slot = {.identity = {.type = NC_FILE_LOG, .number = 1, .epoch = 1}};
  nc_uuid table = {{0}};
  OK(nc_env_create(NULL, &b->env, &err));
  b->env->aead = backend;
  nc_kms kms = {.env = b->env, .providers = providers, .provider_count = 1, .deadline_ms = 1000};
  OK(nc_dir_open(b->env, directory, true, &b->dir, &err));
  OK(nc_table_keys_create(&kms, &table, &spec, 1, false, &b->keys, &err));
  OK(nc_aead_create(b->env, key, true, &b->sealer, &err));
  OK(nc_aead_create(b->env, key, false, &b->opener, &err));
  OK(nc_dek_generate(b->env, nc_table_keys_active(b->keys), &slot, &b->seal, &err));
  OK(nc_dek_unwrap(b->env, nc_table_keys_active(b->keys), &slot, &b->open, &err));
  new_log(b);
  b->offset = NC_FRAMES_OFFSET;
}

static void tear_down(bench *b) {
  nc_sealed_writer_close(b->log);
  OK(nc_dir_remove(&b->dir, "log", &err));
  nc_open_ctx_destroy(b->open);
  nc_seal_ctx_destroy(b->seal);
  nc_aead_destroy(b->opener);
  nc_aead_destroy(b->sealer);
  nc_table_keys_unref(b->keys);
  nc_dir_close(&b->dir);
  nc_env_destroy(b->env);
}

/* ---- measuring ----------------------------------------------------------------------------------------- */

static double cpu_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double lowest_ns(bench *b, size_t thing, size_t size, size_t rounds) {
  double lowest = 0;
  for (size_t turn = 0; turn < TURNS; turn++) {
    double from = cpu_ns();
    for (size_t i = 0; i < rounds; i++) things[thing].run(b, size);
    double taken = (cpu_ns() - from) / (double)rounds;
    if (turn == 0 || taken < lowest) lowest = taken;
  }
  return lowest;
}

int main(int argc, char **argv) {
  const nc_aead_backend *backends[] = {&none, nc_aead_openssl(), nc_aead_ipsec_mb()};
  size_t rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : ROUNDS;
  bench *b = calloc(1, sizeof *b);
  if (argc < 2 || rounds == 0 || b == NULL) {
    fprintf(stderr, "usage: seal DIRECTORY [ROUNDS]\n");
    return 2;
  }
  printf("%-24s", "ns a call, of bytes:");
  for (size_t s = 0; s < SIZES; s++) printf("%9zu", sizes[s]);
  for (size_t k = 0; k < sizeof backends / sizeof backends[0] && backends[k] != NULL; k++) {
    memset(b, 0, sizeof *b);
    set_up(b, argv[1], backends[k]);
    for (size_t t = 0; t < THINGS; t++) {
      printf("\n%-9s %-14s", backends[k]->name, things[t].name);
      for (size_t s = 0; s < SIZES; s++) {
        things[t == 1 || t == 3 ? t - 1 : t].run(b, sizes[s]); /* something to open */
        printf("%9.0f", lowest_ns(b, t, sizes[s], rounds));
        fflush(stdout);
      }
    }
    tear_down(b);
  }
  printf("\n");
  free(b);
  return 0;
}
