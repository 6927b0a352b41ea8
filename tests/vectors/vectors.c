/* SPDX-License-Identifier: Apache-2.0
 *
 * vectors: checks Nacre's AEAD, HKDF-Expand and HMAC against published vectors, which vectors.py writes to the
 * standard input. Fields are separated by one space; bytes are in hex, none at all is "-":
 *
 *   source NOT_APPLICABLE NAME...                 what follows is from here; so many vectors were left out
 *   gcm ID VERDICT KEY NONCE AAD PLAINTEXT CIPHERTEXT TAG      (an invalid one's plaintext is not looked at)
 *   hkdf ID VERDICT PRK INFO SIZE OKM
 *   hmac ID VERDICT KEY MESSAGE TAG               (a tag may be cut short)
 *
 * GCM vectors are checked by every back end of aead.h that there is here.
 * VERDICT is "valid" or "invalid"; what is invalid must be refused. Where a GCM vector is valid, each single
 * flipped bit of nonce, additional data, ciphertext and tag must be refused, too. Each vector is one test. Its
 * bytes lie in memory of exactly their size, so that AddressSanitizer sees a step past them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "aead.h"
#include "derive.h"
#include "support.h"

enum { FIELDS_MAX = 9 };

typedef struct bytes {
  uint8_t *data;
  size_t size;
} bytes;

typedef struct gcm_vector {
  nc_aead *opener;
  bytes key, nonce, aad, plaintext, ciphertext, tag;
} gcm_vector;

/* What is said of a source when its vectors are done. */
typedef struct source {
  char name[128];
  unsigned long not_applicable, agree, differ, flips;
} source;

static const nc_aead_backend *backends[2];
static size_t backend_count;

static void find_backends(void) {
  backends[backend_count++] = nc_aead_openssl();
  if (nc_aead_ipsec_mb() != NULL) backends[backend_count++] = nc_aead_ipsec_mb();
  printf("AES-256-GCM by %s%s\n", backends[0]->name, backend_count > 1 ? " and ipsec-mb" : " alone");
}

static nacre_slice slice_of(bytes b) { return nc_slice(b.data, b.size); }

static bytes make_bytes(size_t size) {
  bytes made = {malloc(size), size};
  if (made.data == NULL && size > 0) test_die("no memory for %zu bytes", size);
  return made;
}

static uint8_t hex_digit(char digit) {
  static const char digits[] = "0123456789abcdef";
  const char *found = digit == '\0' ? NULL : strchr(digits, digit);
  if (found == NULL) test_die("'%c' is no hex digit", digit);
  return (uint8_t)(found - digits);
}

static bytes from_hex(const char *hex) {
  if (strcmp(hex, "-") == 0) return make_bytes(0);
  bytes made = make_bytes(strlen(hex) / 2);
  if (strlen(hex) % 2 != 0) test_die("half a byte in %s", hex);
  for (size_t i = 0; i < made.size; i++) {
    made.data[i] = (uint8_t)(hex_digit(hex[2 * i]) << 4 | hex_digit(hex[2 * i + 1]));
  }
  return made;
}

static bytes from_hex_sized(const char *hex, size_t size) {
  bytes made = from_hex(hex);
  if (made.size != size) test_die("%s has %zu bytes instead of %zu", hex, made.size, size);
  return made;
}

static bool is_wiped(bytes b) {
  uint8_t any = 0;
  for (size_t i = 0; i < b.size; i++) any |= b.data[i];
  return any == 0;
}

/* --- AES-256-GCM ---------------------------------------------------------------------------------------- */

static bool seals(nc_env *env, const gcm_vector *v) {
  nc_aead *sealer;
  nacre_error err;
  bytes out = make_bytes(v->ciphertext.size), tag = make_bytes(NC_AEAD_TAG_BYTES);
  if (nc_aead_create(env, v->key.data, true, &sealer, &err) != NACRE_OK) test_die("%s", err.text);
  bool good = nc_aead_seal(sealer, v->nonce.data, slice_of(v->aad), slice_of(v->plaintext), out.data,
                           tag.data, &err) == NACRE_OK &&
              nc_slice_equal(slice_of(out), slice_of(v->ciphertext)) &&
              nc_slice_equal(slice_of(tag), slice_of(v->tag));
  nc_aead_destroy(sealer);
  free(out.data);
  free(tag.data);
  return good;
}

static bool opens(const gcm_vector *v) {
  nacre_error err;
  bytes out = make_bytes(v->ciphertext.size);
  bool good = nc_aead_open(v->opener, v->nonce.data, slice_of(v->aad), slice_of(v->ciphertext), v->tag.data,
                           out.data, &err) == NACRE_OK &&
              nc_slice_equal(slice_of(out), slice_of(v->plaintext));
  free(out.data);
  return good;
}

/* As forged, and with nothing of the plaintext left behind in `out`. */
static bool refuses_into(const gcm_vector *v, bytes out) {
  nacre_error err;
  if (out.size > 0) memset(out.data, 0xEE, out.size);
  return nc_aead_open(v->opener, v->nonce.data, slice_of(v->aad), slice_of(v->ciphertext), v->tag.data,
                      out.data, &err) == NACRE_TAMPERED &&
         err.id == NC_E_AEAD_TAG && is_wiped(out);
}

static bool refuses(const gcm_vector *v) {
  bytes out = make_bytes(v->ciphertext.size);
  bool good = refuses_into(v, out);
  free(out.data);
  return good;
}

/* Flips each bit of `part`, which is a part of `v`, in turn. */
static bool refuses_flips(const gcm_vector *v, bytes part, unsigned long *flips) {
  bytes out = make_bytes(v->ciphertext.size);
  bool good = true;
  for (size_t bit = 0; bit < part.size * 8; bit++) {
    uint8_t mask = (uint8_t)(1u << (bit % 8));
    part.data[bit / 8] ^= mask;
    good &= refuses_into(v, out);
    part.data[bit / 8] ^= mask;
  }
  *flips += part.size * 8;
  free(out.data);
  return good;
}

static bool gcm_agrees(nc_env *env, const gcm_vector *v, bool valid, unsigned long *flips) {
  if (!valid) return refuses(v);
  return seals(env, v) && opens(v) && refuses_flips(v, v->tag, flips) && refuses_flips(v, v->aad, flips) &&
         refuses_flips(v, v->nonce, flips) && refuses_flips(v, v->ciphertext, flips) &&
         opens(v); /* a refusal leaves the context as it was */
}

/* By every back end there is. */
static bool every_gcm_agrees(nc_env *env, gcm_vector *v, bool valid, unsigned long *flips) {
  nacre_error err;
  bool good = true;
  for (size_t i = 0; i < backend_count; i++) {
    env->aead = backends[i];
    if (nc_aead_create(env, v->key.data, false, &v->opener, &err) != NACRE_OK) test_die("%s", err.text);
    bool agrees = gcm_agrees(env, v, valid, flips);
    if (!agrees) printf("by %s:\n", backends[i]->name);
    nc_aead_destroy(v->opener);
    good = good && agrees;
  }
  return good;
}

static bool check_gcm(nc_env *env, char *const *field, bool valid, source *from) {
  gcm_vector v = {
      .key = from_hex_sized(field[0], NC_AEAD_KEY_BYTES),
      .nonce = from_hex_sized(field[1], NC_AEAD_NONCE_BYTES),
      .aad = from_hex(field[2]),
      .plaintext = from_hex(field[3]),
      .ciphertext = from_hex(field[4]),
      .tag = from_hex_sized(field[5], NC_AEAD_TAG_BYTES),
  };
  if (valid && v.plaintext.size != v.ciphertext.size) test_die("plaintext and ciphertext differ in length");
  bool good = every_gcm_agrees(env, &v, valid, &from->flips);
  bytes all[] = {v.key, v.nonce, v.aad, v.plaintext, v.ciphertext, v.tag};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i].data);
  return good;
}

/* --- HKDF-Expand and HMAC ------------------------------------------------------------------------------- */

static bool check_hkdf(nc_env *env, char *const *field, bool valid, source *from) {
  (void)from;
  nacre_error err;
  bytes prk = from_hex_sized(field[0], NC_DERIVE_KEY_BYTES), info = from_hex(field[1]);
  bytes out = make_bytes(strtoul(field[2], NULL, 10)), okm = from_hex(field[3]);
  if (out.size > 0) memset(out.data, 0xEE, out.size);
  nacre_status status = nc_hkdf_expand(env, prk.data, slice_of(info), out.data, out.size, &err);
  bool good = valid ? status == NACRE_OK && nc_slice_equal(slice_of(out), slice_of(okm))
                    : status != NACRE_OK && is_wiped(out);
  bytes all[] = {prk, info, out, okm};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) free(all[i].data);
  return good;
}

static bool check_hmac(nc_env *env, char *const *field, bool valid, source *from) {
  (void)from;
  nacre_error err;
  bytes key = from_hex_sized(field[0], 32), message = from_hex(field[1]), tag = from_hex(field[2]);
  uint8_t mac[32];
  if (tag.size == 0 || tag.size > sizeof mac) test_die("a tag of %zu bytes", tag.size);
  bool good = nc_hmac(env, key.data, slice_of(message), mac, &err) == NACRE_OK &&
              nc_equal_secret(mac, tag.data, tag.size) == valid;
  free(key.data);
  free(message.data);
  free(tag.data);
  return good;
}

/* --- lines ---------------------------------------------------------------------------------------------- */

static void report(const source *s) {
  if (s->name[0] == '\0') return;
  printf("%s: %lu of %lu vectors passed, %lu not applicable", s->name, s->agree, s->agree + s->differ,
         s->not_applicable);
  if (s->flips > 0) printf("; single bits flipped: %lu", s->flips);
  printf("\n");
}

static void begin_source(source *s, const char *line) {
  report(s);
  *s = (source){0};
  if (sscanf(line, "source %lu %127[^\n]", &s->not_applicable, s->name) != 2) test_die("unclear: %s", line);
}

typedef struct vector_kind {
  const char *name;
  size_t fields; /* after the verdict */
  bool (*check)(nc_env *env, char *const *field, bool valid, source *from);
} vector_kind;

static const vector_kind kinds[] = {
    {"gcm", 6, check_gcm},
    {"hkdf", 4, check_hkdf},
    {"hmac", 3, check_hmac},
};

static void check_vector(nc_env *env, char *line, source *from) {
  char *field[FIELDS_MAX], *rest = NULL;
  size_t count = 0;
  for (char *word = strtok_r(line, " \n", &rest); word != NULL; word = strtok_r(NULL, " \n", &rest)) {
    if (count == FIELDS_MAX) test_die("too many fields in %s %s", field[0], field[1]);
    field[count++] = word;
  }
  const vector_kind *kind = kinds, *end = kinds + sizeof kinds / sizeof kinds[0];
  while (kind < end && (count == 0 || strcmp(field[0], kind->name) != 0)) kind++;
  if (kind == end || count != 3 + kind->fields)
    test_die("unclear: %s", count == 0 ? "an empty line" : field[0]);
  bool valid = strcmp(field[2], "valid") == 0;
  if (!valid && strcmp(field[2], "invalid") != 0) test_die("%s is no verdict", field[2]);
  bool good = kind->check(env, field + 3, valid, from);
  CHECK(good, "%s: %s %s (%s)", from->name, field[0], field[1], field[2]);
  *(good ? &from->agree : &from->differ) += 1;
}

int main(void) {
  nc_env *env;
  nacre_error err;
  source from = {0};
  char *line = NULL;
  size_t capacity = 0;
  find_backends();
  if (nc_env_create(NULL, &env, &err) != NACRE_OK) test_die("%s", err.text);
  while (getline(&line, &capacity, stdin) > 0) {
    if (strncmp(line, "source ", 7) == 0) {
      begin_source(&from, line);
    } else {
      check_vector(env, line, &from);
    }
  }
  report(&from);
  free(line);
  nc_env_destroy(env);
  return test_finish();
}
