/* SPDX-License-Identifier: Apache-2.0
 *
 * init: `nacre init`, which makes a store and says where its root key is.
 */
#include <stdlib.h>
#include <string.h>

#include "exit_status.h"
#include "failure.h"
#include "render_json.h"
#include "render_text.h"
#include "store_access.h"

static bool is_local(const char *uri) { return uri == NULL || strncmp(uri, "local:", 6) == 0; }

static void tell(const options *o, const char *keyring, bool is_protected) {
  if (o->json) {
    json_t *object = json_object();
    tool_json_set_text(object, "store", o->arguments[0]);
    tool_json_set_text(object, "key", o->store_key.uri == NULL ? "local:" : o->store_key.uri);
    tool_json_set_text(object, "keyring", keyring);
    if (keyring != NULL) json_object_set_new(object, "passphrase", json_boolean(is_protected));
    tool_json_line(object, stdout);
  } else if (!o->quiet && keyring != NULL) {
    printf("Made the store %s.\n", o->arguments[0]);
    printf("Its root key is in the keyring %s%s.\n", keyring, is_protected ? ", under a passphrase" : "");
    tool_text_styled(stdout, STYLE_HEAD,
                     is_protected
                         ? "Without that file and its passphrase the store is lost: keep a copy somewhere else."
                         : "Without that file the store is lost: keep a copy of it somewhere else.");
    putchar('\n');
  } else if (!o->quiet) {
    printf("Made the store %s under the key %s.\n", o->arguments[0], o->store_key.uri);
    tool_text_styled(stdout, STYLE_HEAD,
                     "Without that key the store is lost. It is remembered for you; others name it with --key.");
    putchar('\n');
  }
}

/* The library's advice is for programs. */
static int open_failed(const options *o) {
  nacre_error error;
  nacre_last_error(&error);
  if (error.status == NACRE_EXISTS) {
    (void)snprintf(error.text, sizeof error.text, "there is a store here already: %s; choose another path",
                   o->arguments[0]);
  }
  return tool_fail_error(o, &error);
}

/* A keyring that is there already stays as it is, so a passphrase that was asked for would not be there. */
static int check_passphrase(const options *o, bool local, const char *keyring) {
  bool is_protected = true;
  if (!o->passphrase) return TOOL_DONE;
  if (!local) return tool_fail_usage(o, "--passphrase is for keyrings (local:)");
  if (nacre_keyring_is_protected(o->store_key.uri, &is_protected) != NACRE_OK || is_protected) return TOOL_DONE;
  return tool_fail(o, NACRE_EXISTS, NULL,
                   "the keyring %s is there already, without a passphrase; nacre keyring passphrase gives it one",
                   keyring);
}

int tool_init_run(const options *o) {
  char keyring[4096];
  bool local = is_local(o->store_key.uri);
  int checked = tool_key_check(o, o->store_key.uri);
  if (checked != TOOL_DONE) return checked;
  /* Asked before anything is made: a keyring that cannot be named is no place for a root key. */
  if (local && nacre_keyring_path(o->store_key.uri == NULL ? "local:" : o->store_key.uri, keyring,
                                  sizeof keyring) != NACRE_OK) {
    return tool_fail_last(o);
  }
  bool is_protected = false;
  int passphrase = check_passphrase(o, local, keyring);
  if (passphrase != TOOL_DONE) return passphrase;
  session a = {0};
  int status = tool_opening_begin_new(o, &a.opening);
  if (status != TOOL_DONE) return status;
  a.opening.options.create = true;
  a.opening.options.must_not_exist = true;
  if (nacre_open(o->arguments[0], &a.opening.options, &a.store) != NACRE_OK) return open_failed(o);
  tool_opening_learn(o, &a.opening, a.store);
  status = tool_session_close(o, &a, TOOL_DONE);
  if (status != TOOL_DONE) return status;
  char *whole =
      local ? realpath(keyring, NULL) : NULL; /* NACRE_KEYRING may depend on the working directory */
  if (local && nacre_keyring_is_protected(o->store_key.uri, &is_protected) != NACRE_OK) is_protected = false;
  tell(o, whole == NULL && local ? keyring : whole, is_protected);
  free(whole);
  return status;
}
