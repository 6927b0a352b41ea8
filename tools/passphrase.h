/* SPDX-License-Identifier: Apache-2.0
 *
 * passphrase: asking for the passphrase of a keyring on the terminal, or taking it from a file. Never from
 * the command line, which other users can see.
 */
#ifndef TOOL_PASSPHRASE_H
#define TOOL_PASSPHRASE_H

#include <nacre/nacre.h>

#include "options.h"

/* Who is asked while this command runs: the library reads NACRE_PASSPHRASE_FILE by itself where that is
 * set; else the terminal is asked, without echo, and once. A keyring that is made gets a passphrase with
 * --passphrase. */
void tool_passphrase_source(const options *o, nacre_passphrase_ask *ret_ask, void **ret_arg);

/* The same for a change of the passphrase, where the old one and the new one may come from different
 * places: what comes from files is read here, and told when it cannot be. `is_protected`: there is an old
 * one. */
int tool_passphrase_change(const options *o, bool is_protected, nacre_passphrase_ask *ret_ask,
                           void **ret_arg);

/* Wipes what was typed. */
void tool_passphrase_forget(void);

#endif
