/* SPDX-License-Identifier: Apache-2.0
 *
 * Providers: found by scheme, and never trusted further than nacre_kms.h goes.
 */
#include "kms.h"

#include <criterion/criterion.h>

#include "last_error.h"
#include "support.h"

static nacre_error err;
static fixture f;

/* What the fake provider answers next. */
static struct {
  nacre_status status;
  size_t size;
  bool silent; /* does not fill the error */
  uint8_t context[36];
  bool may_create;
} fake;

static nacre_status fake_answer(nacre_error *error) {
  if (fake.status == NACRE_OK || fake.silent) return fake.status;
  return nacre_kms_fail(error, fake.status, "the fake says so");
}
static nacre_status fake_wrap(void *arg, const nacre_kms_call *call, const uint8_t key[32], uint8_t *wrapped,
                              size_t capacity, size_t *ret_size, nacre_error *error) {
  (void)arg;
  cr_assert_geq(capacity, 32);
  cr_assert_eq(call->context.size, sizeof fake.context);
  memcpy(fake.context, call->context.data, sizeof fake.context);
  fake.may_create = call->may_create;
  memcpy(wrapped, key, 32);
  *ret_size = fake.size;
  return fake_answer(error);
}
static nacre_status fake_unwrap(void *arg, const nacre_kms_call *call, nacre_slice wrapped,
                                uint8_t ret_key[32], nacre_error *error) {
  (void)arg, (void)call;
  cr_assert_eq(wrapped.size, 32);
  memcpy(ret_key, wrapped.data, 32);
  return fake_answer(error);
}
static const nacre_kms_provider fake_provider = {.scheme = "fake", .wrap = fake_wrap, .unwrap = fake_unwrap};
static const nacre_kms_provider lame_provider = {.scheme = "lame"};
static const nacre_kms_provider *const providers[] = {NULL, &lame_provider, &fake_provider};

static void setup(void) {
  fixture_open(&f);
  f.kms.providers = providers;
  f.kms.provider_count = 3;
  fake.status = NACRE_OK;
  fake.size = 32;
  fake.silent = false;
}
static void teardown(void) { fixture_close(&f); }
TestSuite(kms, .init = setup, .fini = teardown);

static const nc_kms_purpose purpose = {.table = {{1}}, .kek_id = {{2}}, .kek_version = 0x01020304};

static nacre_status wrap(const char *uri, size_t *ret_size) {
  static const uint8_t key[32] = {42};
  static uint8_t wrapped[NACRE_KMS_WRAPPED_BYTES_MAX];
  nacre_key_spec spec = {.uri = uri};
  return nc_kms_wrap(&f.kms, &spec, &purpose, true, key, wrapped, sizeof wrapped, ret_size, &err);
}
static nacre_status unwrap(const char *uri, uint8_t *ret_key) {
  static const uint8_t wrapped[32] = {42};
  nacre_key_spec spec = {.uri = uri};
  return nc_kms_unwrap(&f.kms, &spec, &purpose, nc_slice(wrapped, 32), ret_key, &err);
}

Test(kms, tells_the_scheme_of_a_uri) {
  char scheme[8];
  cr_assert(nc_kms_scheme("local:/a:b", scheme, sizeof scheme));
  cr_assert_str_eq(scheme, "local");
  cr_assert(nc_kms_scheme("aws-kms:x", scheme, sizeof scheme));
  cr_assert_not(nc_kms_scheme("aws-kms2:x", scheme, sizeof scheme));
  cr_assert_not(nc_kms_scheme("no scheme", scheme, sizeof scheme));
  cr_assert_not(nc_kms_scheme(":x", scheme, sizeof scheme));
  cr_assert_not(nc_kms_scheme("a/b:x", scheme, sizeof scheme));
  cr_assert_not(nc_kms_scheme(NULL, scheme, sizeof scheme));
}

Test(kms, passes_the_purpose_as_context) {
  size_t size;
  uint8_t key[32];
  must(wrap("fake:x", &size));
  cr_assert_eq(size, 32);
  cr_assert(fake.may_create);
  cr_assert(fake.context[0] == 1 && fake.context[16] == 2 && fake.context[32] == 4 && fake.context[35] == 1);
  must(unwrap("fake:x", key));
  cr_assert_eq(key[0], 42);
}

Test(kms, refuses_uris_that_nobody_serves) {
  size_t size = 77;
  char lengthy[NACRE_KEY_URI_BYTES_MAX + 2];
  memset(lengthy, 'a', sizeof lengthy);
  memcpy(lengthy, "fake:", 5);
  lengthy[sizeof lengthy - 1] = 0;
  must_fail(wrap("other:x", &size), NC_E_KMS_SCHEME);
  must_fail(wrap("lame:x", &size), NC_E_KMS_SCHEME);
  must_fail(wrap("no scheme", &size), NC_E_KMS_URI);
  must_fail(wrap(NULL, &size), NC_E_KMS_URI);
  must_fail(wrap(lengthy, &size), NC_E_KMS_URI);
  cr_assert_eq(size, 77, "results are untouched on failure");
}

Test(kms, tells_denial_outage_and_absence_apart) {
  static const struct {
    nacre_status status;
    uint32_t id;
  } cases[] = {{NACRE_KEY_MISSING, NC_E_KMS_KEY_MISSING},
               {NACRE_KEY_DENIED, NC_E_KMS_DENIED},
               {NACRE_KEY_UNREACHABLE, NC_E_KMS_PROVIDER},
               {NACRE_INVALID, NC_E_KMS_URI},
               {NACRE_NO_MEMORY, NC_E_NO_MEMORY}};
  size_t size;
  uint8_t key[32] = {9};
  for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
    fake.status = cases[i / 2].status;
    fake.silent = i % 2 == 1;
    must_fail(wrap("fake:x", &size), cases[i / 2].id);
    if (!fake.silent) cr_assert_not_null(strstr(err.text, "the fake says so"));
    must_fail(unwrap("fake:x", key), cases[i / 2].id);
    cr_assert_eq(key[0], 9);
  }
}

Test(kms, a_provider_that_lies_is_not_believed) {
  static const nacre_status lies[] = {NACRE_CORRUPT, NACRE_TAMPERED, NACRE_NOT_FOUND, (nacre_status)4711,
                                      NACRE_LOCKED};
  size_t size;
  uint8_t key[32];
  for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
    fake.status = lies[i];
    fake.silent = true;
    must_fail(wrap("fake:x", &size), NC_E_KMS_PROVIDER);
    must_fail(unwrap("fake:x", key), NC_E_KMS_PROVIDER);
  }
  fake.status = NACRE_OK;
  fake.size = NACRE_KMS_WRAPPED_BYTES_MAX + 1;
  must_fail(wrap("fake:x", &size), NC_E_KMS_PROVIDER);
  fake.size = 0;
  must_fail(wrap("fake:x", &size), NC_E_KMS_PROVIDER);
}

Test(kms, an_application_may_serve_a_scheme_instead_of_the_built_in) {
  static const nacre_kms_provider own = {.scheme = "local", .wrap = fake_wrap, .unwrap = fake_unwrap};
  static const nacre_kms_provider *const only[] = {&own};
  size_t size;
  f.kms.providers = only;
  f.kms.provider_count = 1;
  must(wrap("local:/nowhere/at/all", &size));
  cr_assert_eq(size, 32);
}

Test(kms, failing_takes_any_text) {
  nacre_error error;
  cr_assert_eq(nacre_kms_fail(&error, NACRE_KEY_DENIED, NULL), NACRE_KEY_DENIED);
  cr_assert_eq(nacre_kms_fail(&error, NACRE_KEY_DENIED, "100%s"), NACRE_KEY_DENIED);
  cr_assert_not_null(strstr(error.text, "100%s"));
  cr_assert_eq(nacre_kms_fail(NULL, NACRE_KEY_MISSING, "x"), NACRE_KEY_MISSING);
}
