/* SPDX-License-Identifier: Apache-2.0
 *
 * kms: providers by scheme, and a wary ear for what they answer.
 *
 * An application's provider is code that Nacre did not write: its sizes are checked, its statuses sorted, its
 * error text ended, and what it leaves in a result that it failed to make is wiped.
 */
#include "kms.h"

#include <ctype.h>

#include "io.h"
#include "secret.h"

enum { CONTEXT_BYTES = 36, SCHEME_BYTES = 32 };

static nc_error_id id_of(nacre_status status) {
  if (status == NACRE_KEY_MISSING) return NC_E_KMS_KEY_MISSING;
  if (status == NACRE_KEY_DENIED) return NC_E_KMS_DENIED;
  if (status == NACRE_INVALID) return NC_E_KMS_URI;
  if (status == NACRE_NO_MEMORY) return NC_E_NO_MEMORY;
  return NC_E_KMS_PROVIDER;
}

nacre_status nacre_kms_fail(nacre_error *err, nacre_status status, const char *text) {
  return nc_fail(err, id_of(status), "%s", text != NULL ? text : "it gives no reason");
}

bool nc_kms_scheme(const char *uri, char *scheme, size_t capacity) {
  const char *colon = uri == NULL ? NULL : strchr(uri, ':');
  if (colon == NULL || colon == uri) return false;
  size_t size = (size_t)(colon - uri);
  if (size >= capacity) return false;
  for (size_t i = 0; i < size; i++) {
    if (!isalnum((unsigned char)uri[i]) && strchr("+-.", uri[i]) == NULL) return false;
  }
  memcpy(scheme, uri, size);
  scheme[size] = 0;
  return true;
}

static const nacre_kms_provider *provider_of(const nc_kms *kms, const char *scheme) {
  for (size_t i = 0; i < kms->provider_count; i++) {
    const nacre_kms_provider *provider = kms->providers[i];
    if (provider != NULL && provider->scheme != NULL && strcmp(provider->scheme, scheme) == 0)
      return provider;
  }
  return strcmp(nc_kms_local()->scheme, scheme) == 0 ? nc_kms_local() : NULL;
}

static nacre_status find_provider(const nc_kms *kms, const nacre_key_spec *spec,
                                  const nacre_kms_provider **ret_provider, nacre_error *err) {
  char scheme[SCHEME_BYTES];
  if (spec->uri == NULL) return nc_fail(err, NC_E_KMS_URI, "there is none");
  size_t size = strnlen(spec->uri, NACRE_KEY_URI_BYTES_MAX + 1);
  if (size > NACRE_KEY_URI_BYTES_MAX)
    return nc_fail(err, NC_E_KMS_URI, "it is longer than %zu bytes", size - 1);
  if (!nc_kms_scheme(spec->uri, scheme, sizeof scheme))
    return nc_fail(err, NC_E_KMS_URI, "%.200s", spec->uri);
  const nacre_kms_provider *provider = provider_of(kms, scheme);
  if (provider == NULL || provider->wrap == NULL || provider->unwrap == NULL) {
    return nc_fail(err, NC_E_KMS_SCHEME, "%.200s", spec->uri);
  }
  *ret_provider = provider;
  return NACRE_OK;
}

/* The built-in provider works with the store's own algorithms and memory. */
static void *arg_of(const nc_kms *kms, const nacre_kms_provider *provider) {
  return provider == nc_kms_local() ? kms->env : provider->arg;
}

static nacre_kms_call make_call(const nc_kms *kms, const nacre_key_spec *spec, const nc_kms_purpose *purpose,
                                uint8_t context[CONTEXT_BYTES]) {
  memcpy(context, purpose->table.bytes, NC_UUID_BYTES);
  memcpy(context + NC_UUID_BYTES, purpose->kek_id.bytes, NC_UUID_BYTES);
  nc_put_u32(context + 2 * NC_UUID_BYTES, purpose->kek_version);
  return (nacre_kms_call){.key = *spec,
                          .context = {context, CONTEXT_BYTES},
                          .deadline_ms = kms->deadline_ms,
                          .may_create = false};
}

/* What a provider answered, as an error that is sound whatever it left in `said`. The built-in provider's
 * statuses are Nacre's own; another's are those that nacre_kms.h allows. */
static nacre_status judge(const nacre_kms_provider *provider, const nacre_key_spec *spec, nacre_status status,
                          nacre_error *said, nacre_error *err) {
  if (status == NACRE_OK) return NACRE_OK;
  said->text[sizeof said->text - 1] = 0;
  said->file[sizeof said->file - 1] = 0;
  const nc_error_info *info = nc_error_info_of(said->id);
  bool sound = said->status == status && info != NULL && info->status == status;
  if (provider == nc_kms_local() || (sound && nc_error_info_of(id_of(status))->status == status)) {
    if (err != NULL) *err = *said;
    return status;
  }
  return nc_fail(err, id_of(status), "%.200s answered with status %d", spec->uri, (int)status);
}

static void count_call(const nc_kms *kms, uint64_t began_ns, nacre_status status) {
  atomic_fetch_add_explicit(&kms->env->kms_calls, 1, memory_order_relaxed);
  atomic_fetch_add_explicit(&kms->env->kms_failures, status != NACRE_OK, memory_order_relaxed);
  atomic_fetch_add_explicit(&kms->env->kms_ns, nc_now_ns(kms->env) - began_ns, memory_order_relaxed);
}

nacre_status nc_kms_wrap(const nc_kms *kms, const nacre_key_spec *spec, const nc_kms_purpose *purpose,
                         bool may_create, const uint8_t key[32], uint8_t *wrapped, size_t capacity,
                         size_t *ret_size, nacre_error *err) {
  const nacre_kms_provider *provider;
  uint8_t context[CONTEXT_BYTES];
  nacre_error said = {0};
  size_t size = 0;
  NC_TRY(find_provider(kms, spec, &provider, err));
  nacre_kms_call call = make_call(kms, spec, purpose, context);
  call.may_create = may_create;
  uint64_t began = nc_now_ns(kms->env);
  nacre_status status = provider->wrap(arg_of(kms, provider), &call, key, wrapped, capacity, &size, &said);
  count_call(kms, began, status);
  NC_TRY(judge(provider, spec, status, &said, err));
  if (size == 0 || size > capacity || size > NACRE_KMS_WRAPPED_BYTES_MAX) {
    return nc_fail(err, NC_E_KMS_PROVIDER, "%.200s answered with a wrapped key of %zu bytes", spec->uri,
                   size);
  }
  *ret_size = size;
  return NACRE_OK;
}

nacre_status nc_kms_unwrap(const nc_kms *kms, const nacre_key_spec *spec, const nc_kms_purpose *purpose,
                           nacre_slice wrapped, uint8_t ret_key[32], nacre_error *err) {
  const nacre_kms_provider *provider;
  uint8_t context[CONTEXT_BYTES];
  nacre_error said = {0};
  NC_SECRET(key);
  NC_TRY(find_provider(kms, spec, &provider, err));
  nacre_kms_call call = make_call(kms, spec, purpose, context);
  uint64_t began = nc_now_ns(kms->env);
  nacre_status status = provider->unwrap(arg_of(kms, provider), &call, wrapped, key.bytes, &said);
  count_call(kms, began, status);
  NC_TRY(judge(provider, spec, status, &said, err));
  memcpy(ret_key, key.bytes, NACRE_KMS_KEY_BYTES);
  return NACRE_OK;
}
