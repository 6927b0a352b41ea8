/* SPDX-License-Identifier: Apache-2.0
 *
 * nacre_kms.h: what a key management service is to Nacre.
 *
 * A provider wraps and unwraps 32-byte table keys under a root key that Nacre never sees. It is chosen by the
 * scheme of a key's URI ("local:", "aws-kms:", ...). The `local:` provider is built in; an application passes
 * others in nacre_store_options.kms_providers.
 */
#ifndef NACRE_KMS_H
#define NACRE_KMS_H

#include <nacre/nacre_format.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NACRE_KMS_WRAPPED_BYTES_MAX ((size_t)4096) /* the longest wrapped table key that a key file holds */
#define NACRE_KMS_KEY_BYTES ((size_t)32)

/* Names one key at a KMS. The strings are the caller's; NULL region and principal mean none. */
typedef struct nacre_key_spec {
  const char *uri;       /* for instance "local:/srv/app/keyring" */
  const char *region;    /* a label that nacre_store_options.region is compared with */
  const char *principal; /* whom to act as, for providers that need it */
} nacre_key_spec;

/* One request. The context binds a wrap to its purpose: a provider with additional authenticated data passes
 * it there, any other includes a digest of it in what it wraps, so that a wrap for one table key never opens
 * as another's. */
typedef struct nacre_kms_call {
  nacre_key_spec key;
  nacre_slice context;  /* table UUID (16 bytes), table-key id (16), table-key version (4, little-endian) */
  uint64_t deadline_ms; /* how long the provider may take */
  bool may_create;      /* wrap only: the root key may be made when there is none (a keyring's first use) */
  uint64_t reserved[8];
} nacre_kms_call;

/* A provider. Its functions may be called from several threads at once. They return
 *   NACRE_OK
 *   NACRE_KEY_MISSING      no such key, or the wrapped bytes were not made by it
 *   NACRE_KEY_DENIED       the service answers and refuses
 *   NACRE_KEY_UNREACHABLE  no answer within the deadline
 *   NACRE_INVALID          the URI is malformed
 *   NACRE_NO_MEMORY
 * Before any but NACRE_OK they fill `err` with nacre_kms_fail. */
typedef struct nacre_kms_provider {
  const char *scheme; /* without the colon */
  void *arg;          /* passed back to the functions */
  nacre_status (*wrap)(void *arg, const nacre_kms_call *call, const uint8_t key[32], uint8_t *wrapped,
                       size_t capacity, size_t *ret_size, nacre_error *err);
  nacre_status (*unwrap)(void *arg, const nacre_kms_call *call, nacre_slice wrapped, uint8_t ret_key[32],
                         nacre_error *err);
  uint64_t reserved[8];
} nacre_kms_provider;

/* Fills `err` for a provider and returns `status`. `text` says what failed and what to do; it must not hold
 * key material. Since 0.1. */
NACRE_API nacre_status nacre_kms_fail(nacre_error *err, nacre_status status, const char *text);

/* Where the `local:` provider keeps its keyring when the URI names no path: the environment's NACRE_KEYRING,
 * else $XDG_DATA_HOME/nacre/keyring, else $HOME/.local/share/nacre/keyring. Writes a terminated string;
 * NACRE_TOO_LARGE when it does not fit, NACRE_NOT_FOUND when the environment names no home, NACRE_INVALID
 * when the URI is not one of this provider's. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_keyring_path(const char *uri, char *path, size_t capacity);

/* ---- the keyring: its passphrase and its keys ---------------------------------------------------------- */

#define NACRE_PASSPHRASE_BYTES_MAX ((size_t)1024)
#define NACRE_KEYRING_KEYS_MAX ((size_t)64)

/* Asks for the passphrase of the keyring at the path `keyring`: writes at most `capacity` bytes to
 * `buffer`, which Nacre wipes, and their number. Passphrases are bytes; two spellings of one letter are
 * two passphrases. `confirm`: it is to be a new one, which is better asked for twice. When a keyring is
 * made on first use, 0 bytes then mean that it is to have no passphrase. Anything but NACRE_OK: there is
 * none to be had. Where a function or an option takes this and is given NULL, the passphrase is the first
 * line of the file that the environment's NACRE_PASSPHRASE_FILE names, as nacre_passphrase_file reads it.
 * A passphrase never comes from a store or a URI. */
typedef nacre_status (*nacre_passphrase_ask)(void *arg, const char *keyring, bool confirm, char *buffer,
                                             size_t capacity, size_t *ret_size);

/* Reads the first line of a file, without its newline: a plain file of this user that nobody else may read
 * or write. Errors: NACRE_KEY_MISSING (no such file), NACRE_KEY_DENIED (it is not one that may be used),
 * NACRE_INVALID (the line is empty, or longer than NACRE_PASSPHRASE_BYTES_MAX), NACRE_TOO_LARGE (or than
 * `capacity`), NACRE_IO. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_passphrase_file(const char *path, char *buffer, size_t capacity,
                                                              size_t *ret_size);

/* The functions below work on the keyring file of a `local:` URI (NULL: "local:"), which must be there.
 * They do not touch stores: one that is open sees a changed keyring with its next KMS call. Each change is
 * on stable storage on return; one that was interrupted leaves the old keyring or the new one. Errors, for
 * all: NACRE_KEY_MISSING (no keyring; no passphrase, or a wrong one), NACRE_KEY_DENIED (not the user's
 * own, or others may read it), NACRE_CORRUPT, NACRE_TAMPERED, NACRE_UNSUPPORTED, NACRE_IO,
 * NACRE_NO_MEMORY; and for those that change it NACRE_LOCKED (another process is changing it) and
 * NACRE_NO_SPACE. Since 0.1. */

/* Whether the keyring lies under a passphrase; asks for none. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_keyring_is_protected(const char *uri, bool *ret_protected);

typedef struct nacre_keyring_key {
  char id[40];         /* canonical text form of a UUID */
  uint64_t created_ms; /* since 1970-01-01 UTC */
  bool wraps;          /* this one, the last, wraps new table keys; the others only open what they wrapped */
} nacre_keyring_key;

/* The keys of the keyring, the oldest first: never their secrets. NACRE_TOO_LARGE when there are more than
 * `capacity` (`*ret_count` says how many then too). */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_keyring_list(const char *uri, nacre_passphrase_ask ask,
                                                           void *ask_arg, nacre_keyring_key *ret_keys,
                                                           size_t capacity, size_t *ret_count);
/* Adds a new root key, which wraps table keys from now on. What older keys wrapped stays theirs until
 * those table keys are changed. `ret_id` (may be NULL) takes its id. NACRE_TOO_LARGE at
 * NACRE_KEYRING_KEYS_MAX. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_keyring_add_key(const char *uri, nacre_passphrase_ask ask,
                                                              void *ask_arg, char ret_id[40]);
/* Removes a root key for good: what it alone wraps cannot be opened again. NACRE_NOT_FOUND when it is not
 * there, NACRE_INVALID for the only one. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_keyring_remove_key(const char *uri, nacre_passphrase_ask ask,
                                                                 void *ask_arg, const char *id);
/* Puts the keyring under a new passphrase, which is asked for with `confirm`, after the one that it lies
 * under, if any. Copies of the keyring, and perhaps blocks of the disk, still hold what it was before. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_keyring_protect(const char *uri, nacre_passphrase_ask ask,
                                                              void *ask_arg);
/* Takes the passphrase away. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_keyring_unprotect(const char *uri, nacre_passphrase_ask ask,
                                                                void *ask_arg);

#ifdef __cplusplus
}
#endif
#endif
