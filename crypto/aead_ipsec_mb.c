/* SPDX-License-Identifier: Apache-2.0
 *
 * aead_ipsec_mb: AES-256-GCM by Intel's Multi-Buffer Crypto for IPsec, whose functions take a nonce and a text in
 * one call and look nothing up.
 *
 * A key schedule is a plain structure that lies in private memory and is only read once it is made, so any number
 * of threads may use one at once; what a call works with lies on its stack and is wiped. The library's manager is
 * made once a process, for the functions that it picks for this processor.
 */
#include "aead.h"

#ifdef NC_IPSEC_MB
#include <intel-ipsec-mb.h>
#include <pthread.h>

/* Built for AES-NI, and so that it clears its registers and stack of secrets behind itself. */
#define FEATURES_NEEDED (IMB_FEATURE_AESNI | IMB_FEATURE_PCLMULQDQ | IMB_FEATURE_SAFE_DATA)

typedef struct ipsec_aead {
  nc_aead base;
  nc_env *env;
  _Alignas(64) struct gcm_key_data key; /* private memory is aligned so */
} ipsec_aead;

static struct {
  aes_gcm_pre_t prepare;
  aes_gcm_enc_dec_t seal, open;
} functions; /* NULL: not for this processor */

static nacre_status create(nc_env *env, const uint8_t *key, bool sealing, nc_aead **ret_aead,
                           nacre_error *err) {
  (void)sealing; /* one schedule does for both */
  ipsec_aead *made = nc_heap_alloc(env->heap, sizeof *made);
  if (made == NULL) return nc_fail(err, NC_E_NO_MEMORY, NULL);
  made->env = env;
  functions.prepare(key, &made->key);
  *ret_aead = &made->base;
  return NACRE_OK;
}

static void destroy(nc_aead *aead) {
  ipsec_aead *a = (ipsec_aead *)aead;
  nc_heap_free(a->env->heap, a, sizeof *a);
}

static nacre_status seal(nc_aead *aead, const uint8_t *nonce, nacre_slice aad, nacre_slice plaintext,
                         uint8_t *ciphertext, uint8_t *tag, nacre_error *err) {
  (void)err;
  struct gcm_context_data context;
  functions.seal(&((ipsec_aead *)aead)->key, &context, ciphertext, plaintext.data, plaintext.size, nonce,
                 aad.data, aad.size, tag, NC_AEAD_TAG_BYTES);
  nc_wipe(&context, sizeof context);
  return NACRE_OK;
}

static nacre_status open(nc_aead *aead, const uint8_t *nonce, nacre_slice aad, nacre_slice ciphertext,
                         const uint8_t *tag, uint8_t *plaintext, nacre_error *err) {
  struct gcm_context_data context;
  uint8_t right[NC_AEAD_TAG_BYTES];
  functions.open(&((ipsec_aead *)aead)->key, &context, plaintext, ciphertext.data, ciphertext.size, nonce,
                 aad.data, aad.size, right, sizeof right);
  bool authentic = nc_equal_secret(right, tag, sizeof right);
  nc_wipe(&context, sizeof context);
  nc_wipe(right, sizeof right); /* of a forgery it is the tag that would pass */
  return authentic ? NACRE_OK : nc_fail(err, NC_E_AEAD_TAG, NULL);
}

static const nc_aead_backend backend = {
    .name = "ipsec-mb", .create = create, .destroy = destroy, .seal = seal, .open = open};

static bool usable(const IMB_MGR *manager) {
  uint64_t tested =
      IMB_FEATURE_SELF_TEST | IMB_FEATURE_SELF_TEST_PASS; /* where it has a self-test, it passes */
  return imb_get_errno((IMB_MGR *)(uintptr_t)manager) == 0 &&
         (manager->features & FEATURES_NEEDED) == FEATURES_NEEDED &&
         (manager->features & tested) != IMB_FEATURE_SELF_TEST &&
         (manager->features & IMB_FEATURE_AESNI_EMU) == 0;
}

static void pick_functions(void) {
  IMB_MGR *manager = alloc_mb_mgr(0);
  if (manager == NULL) return;
  init_mb_mgr_auto(manager, NULL);
  if (usable(manager)) {
    functions.prepare = manager->gcm256_pre;
    functions.seal = manager->gcm256_enc;
    functions.open = manager->gcm256_dec;
  }
  free_mb_mgr(manager);
}

const nc_aead_backend *nc_aead_ipsec_mb(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  (void)pthread_once(&once, pick_functions);
  return functions.seal != NULL ? &backend : NULL;
}

#else

const nc_aead_backend *nc_aead_ipsec_mb(void) { return NULL; }

#endif
