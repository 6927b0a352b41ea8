/* SPDX-License-Identifier: Apache-2.0
 *
 * store_access: opening and closing stores and tables; see store_access.h.
 */
#include "store_access.h"

#include <string.h>

#include "exit_status.h"
#include "failure.h"
#include "passphrase.h"
#include "render_text.h"
#include "text_key.h"

nacre_store_options tool_store_options(const options *o) {
  nacre_store_options made = {.default_key = o->store_key, .region = o->store_key.region};
  tool_passphrase_source(o, &made.passphrase, &made.passphrase_arg);
  return made;
}

int tool_key_check(const options *o, const char *uri) {
  if (uri == NULL || strncmp(uri, "local:", 6) != 0 || uri[6] == 0 || uri[6] == '/') return TOOL_DONE;
  return tool_fail_usage(
      o, "%s: give the keyring's path from / on; the store keeps it, and is opened from anywhere", uri);
}

int tool_store_open(const options *o, access_mode mode, session *ret_session) {
  nacre_store_options store_options = tool_store_options(o);
  store_options.read_only = mode == ACCESS_READ;
  *ret_session = (session){0};
  if (nacre_open(o->arguments[0], &store_options, &ret_session->store) != NACRE_OK) return tool_fail_last(o);
  return TOOL_DONE;
}

/* What a torn log lost is said whenever a table is opened: it is the only trace of it. */
static void warn_of_recovery(const options *o, const char *name, nacre_table *table) {
  nacre_recovery_report report;
  if (nacre_table_recovery(table, &report) != NACRE_OK || report.clean) return;
  if (report.dropped_bytes == 0 && report.dropped_offset == NACRE_NONE) return;
  char size[TOOL_UNIT_TEXT_BYTES], where[TOOL_UNIT_TEXT_BYTES];
  tool_warn(o, "table %s did not end cleanly: %s of %s%s were dropped (%s)%s", name,
            tool_text_size(size, report.dropped_bytes, false), report.file,
            tool_text_from(where, report.dropped_offset), report.reason,
            report.maybe_synced ? "; part of it may have been synced" : "");
}

int tool_session_table(const options *o, access_mode mode, const char *name, session *a) {
  nacre_table_open_options table_options = {.read_only = mode == ACCESS_READ};
  if (nacre_table_open(a->store, name, &table_options, &a->table) != NACRE_OK) return tool_fail_last(o);
  warn_of_recovery(o, name, a->table);
  return TOOL_DONE;
}

int tool_table_open(const options *o, access_mode mode, session *ret_session) {
  int status = tool_store_open(o, mode, ret_session);
  if (status != TOOL_DONE) return status;
  status = tool_session_table(o, mode, o->arguments[1], ret_session);
  return status == TOOL_DONE ? TOOL_DONE : tool_session_close(o, ret_session, status);
}

int tool_session_close(const options *o, session *a, int status) {
  if (a->table != NULL && nacre_table_close(a->table) != NACRE_OK) {
    int told = tool_fail_last(o);
    if (status == TOOL_DONE) status = told;
  }
  a->table = NULL;
  if (a->store != NULL && nacre_close(a->store) != NACRE_OK) {
    int told = tool_fail_last(o);
    if (status == TOOL_DONE) status = told;
  }
  a->store = NULL;
  return status;
}

int tool_argument_bytes(const options *o, const char *what, const char *text, bytes *to) {
  const char *wrong = tool_bytes_read(to, text, o->form);
  return wrong == NULL ? TOOL_DONE : tool_fail_usage(o, "%s %s", what, wrong);
}

/* The first key after all that begin with the prefix: its last byte below 0xff raised, what follows cut
 * off. False when there is none: the prefix is empty or all 0xff. */
static bool prefix_end(const bytes *prefix, bytes *end) {
  size_t size = prefix->size;
  while (size > 0 && prefix->data[size - 1] == 0xff) size--;
  if (size == 0) return false;
  tool_bytes_add(end, prefix->data, size);
  end->data[size - 1]++;
  return true;
}

static int compare(nacre_slice a, nacre_slice b) {
  size_t common = a.size < b.size ? a.size : b.size;
  int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
  if (order != 0) return order;
  return (a.size > b.size) - (a.size < b.size);
}

static void raise_lower(key_range *r, nacre_slice bound) {
  if (r->lower.data == NULL || compare(bound, r->lower) > 0) r->lower = bound;
}

static void reduce_upper(key_range *r, nacre_slice bound) {
  if (r->upper_excluded.data == NULL || compare(bound, r->upper_excluded) < 0) r->upper_excluded = bound;
}

int tool_range_read(const options *o, key_range *ret_range) {
  key_range *r = ret_range;
  *r = (key_range){0};
  int status = TOOL_DONE;
  if (o->from != NULL) {
    status = tool_argument_bytes(o, "--from", o->from, &r->from);
    if (status != TOOL_DONE) return status;
    raise_lower(r, tool_bytes_slice(&r->from));
  }
  if (o->to != NULL) {
    status = tool_argument_bytes(o, "--to", o->to, &r->to);
    if (status != TOOL_DONE) return status;
    reduce_upper(r, tool_bytes_slice(&r->to));
  }
  if (o->prefix != NULL) {
    status = tool_argument_bytes(o, "--prefix", o->prefix, &r->prefix);
    if (status != TOOL_DONE) return status;
    raise_lower(r, tool_bytes_slice(&r->prefix));
    if (prefix_end(&r->prefix, &r->prefix_end)) reduce_upper(r, tool_bytes_slice(&r->prefix_end));
  }
  r->empty =
      r->lower.data != NULL && r->upper_excluded.data != NULL && compare(r->lower, r->upper_excluded) >= 0;
  return TOOL_DONE;
}

void tool_range_free(key_range *range) {
  tool_bytes_free(&range->from);
  tool_bytes_free(&range->to);
  tool_bytes_free(&range->prefix);
  tool_bytes_free(&range->prefix_end);
}
