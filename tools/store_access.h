/* SPDX-License-Identifier: Apache-2.0
 *
 * store_access: opening what a command line names, and closing it with its errors told. Every function
 * returns an exit status; all but TOOL_DONE are told already.
 */
#ifndef TOOL_STORE_ACCESS_H
#define TOOL_STORE_ACCESS_H

#include <nacre/nacre.h>

#include "bytes.h"
#include "opening.h"
#include "options.h"

typedef struct session {
  nacre_store *store;
  nacre_table *table;
  opening opening; /* with which keys the store was opened */
} session;

typedef enum access_mode { ACCESS_READ, ACCESS_WRITE } access_mode;

typedef void tool_on_event(void *arg, const nacre_event *event);

/* Whether a URI may be put into a store: it must mean the same from every working directory. */
int tool_key_check(const options *o, const char *uri);
/* Opens the store argument 0 names. ACCESS_READ takes a shared lock and changes nothing. */
int tool_store_open(const options *o, access_mode mode, session *ret_session);
/* The same, to be told of what happens in it. */
int tool_store_open_watched(const options *o, access_mode mode, tool_on_event *on_event, void *arg,
                            session *ret_session);
/* The same, and the table that argument 1 names; warns when its log ended in something that was dropped. */
int tool_table_open(const options *o, access_mode mode, session *ret_session);
/* Opens the table in an open store. */
int tool_session_table(const options *o, access_mode mode, const char *name, session *a);
/* Does something with a table. */
typedef int tool_visit_table(void *arg, const nacre_table_info *info);
/* Every table by its name, or only the one that argument 1 names. What `visit` returns for one is no
 * reason to leave out the others; returns the first that was not TOOL_DONE. */
int tool_session_each(const options *o, session *a, tool_visit_table *visit, void *arg);
/* The library's last failure, of a table: its name stands before the message. */
int tool_fail_table(const options *o, const char *table);
void tool_error_of_table(nacre_error *error, const char *table);
/* Closes the table alone, and returns as the next one. */
int tool_session_leave(const options *o, session *a, int status);
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
