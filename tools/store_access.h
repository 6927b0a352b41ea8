/* SPDX-License-Identifier: Apache-2.0
 *
 * store_access: opening what a command line names, and closing it with its errors told. Every function
 * returns an exit status; all but TOOL_DONE are told already.
 */
#ifndef TOOL_STORE_ACCESS_H
#define TOOL_STORE_ACCESS_H

#include <nacre/nacre.h>

#include "bytes.h"
#include "options.h"

typedef struct session {
  nacre_store *store;
  nacre_table *table;
} session;

typedef enum access_mode { ACCESS_READ, ACCESS_WRITE } access_mode;

/* The options that every way of opening a store shares. */
nacre_store_options tool_store_options(const options *o);

/* Whether a URI may be put into a store: it must mean the same from every working directory. */
int tool_key_check(const options *o, const char *uri);
/* Opens the store argument 0 names. ACCESS_READ takes a shared lock and changes nothing. */
int tool_store_open(const options *o, access_mode mode, session *ret_session);
/* The same, and the table that argument 1 names; warns when its log ended in something that was dropped. */
int tool_table_open(const options *o, access_mode mode, session *ret_session);
/* Opens the table in an open store. */
int tool_session_table(const options *o, access_mode mode, const char *name, session *a);
/* Closes both. Returns `status`, unless it was TOOL_DONE and closing fails. */
int tool_session_close(const options *o, session *a, int status);

/* The bytes of a key or value argument. `what` names it in the error. */
int tool_argument_bytes(const options *o, const char *what, const char *text, bytes *to);

/* A range of keys from --prefix, --from and --to together; `lower` and `upper` are its bounds. */
typedef struct key_range {
  bytes from, to, prefix, prefix_end;
  nacre_slice lower, upper_excluded;
  bool empty; /* no key can lie in it */
} key_range;
int tool_range_read(const options *o, key_range *ret_range);
void tool_range_free(key_range *range);

#endif
