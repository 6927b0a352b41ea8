/* SPDX-License-Identifier: Apache-2.0
 *
 * store_access: opening and closing stores and tables; see store_access.h.
 */
#include "store_access.h"

#include <string.h>

#include "exit_status.h"
#include "failure.h"
#include "render_text.h"
#include "text_key.h"

int tool_key_check(const options *o, const char *uri) {
  if (uri == NULL || strncmp(uri, "local:", 6) != 0 || uri[6] == 0 || uri[6] == '/') return TOOL_DONE;
  return tool_fail_usage(
      o, "%s: give the keyring's path from / on; the store keeps it, and is opened from anywhere", uri);
}

int tool_store_open_watched(const options *o, access_mode mode, tool_on_event *on_event, void *arg,
                            session *ret_session) {
  *ret_session = (session){0};
  opening *p = &ret_session->opening;
  int status = tool_opening_begin(o, o->arguments[0], p);
  if (status != TOOL_DONE) return tool_session_close(o, ret_session, status);
  p->options.read_only = mode == ACCESS_READ;
  p->options.on_event = on_event;
  p->options.event_arg = arg;
  if (nacre_open(o->arguments[0], &p->options, &ret_session->store) != NACRE_OK)
    return tool_session_close(o, ret_session, tool_fail_last(o));
  tool_opening_learn(o, p, ret_session->store);
  return TOOL_DONE;
}

int tool_store_open(const options *o, access_mode mode, session *ret_session) {
  return tool_store_open_watched(o, mode, NULL, NULL, ret_session);
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
  if (nacre_table_open(a->store, name, &table_options, &a->table) != NACRE_OK)
    return tool_fail_table(o, name);
  warn_of_recovery(o, name, a->table);
  return TOOL_DONE;
}

int tool_table_open(const options *o, access_mode mode, session *ret_session) {
  int status = tool_store_open(o, mode, ret_session);
  if (status != TOOL_DONE) return status;
  status = tool_session_table(o, mode, o->arguments[1], ret_session);
  return status == TOOL_DONE ? TOOL_DONE : tool_session_close(o, ret_session, status);
}

int tool_session_leave(const options *o, session *a, int status) {
  if (a->table != NULL && nacre_table_close(a->table) != NACRE_OK) {
    int told = tool_fail_last(o);
    if (status == TOOL_DONE) status = told;
  }
  a->table = NULL;
  return status;
}

int tool_session_close(const options *o, session *a, int status) {
  status = tool_session_leave(o, a, status);
  if (a->store != NULL && nacre_close(a->store) != NACRE_OK) {
    int told = tool_fail_last(o);
    if (status == TOOL_DONE) status = told;
  }
  a->store = NULL;
  tool_opening_end(&a->opening);
  return status;
}

void tool_error_of_table(nacre_error *error, const char *table) {
  char text[sizeof error->text];
  tool_text_fit(text, sizeof text, error->text);
  (void)snprintf(error->text, sizeof error->text, "table %.60s: %.*s", table, (int)sizeof error->text - 70,
                 text);
}

int tool_fail_table(const options *o, const char *table) {
  nacre_error error;
  nacre_last_error(&error);
  tool_error_of_table(&error, table);
  return tool_fail_error(o, &error);
}

static bool names(const char *wanted, const nacre_table_info *info) {
  return strcmp(wanted, info->name) == 0 ||
         (strncmp(wanted, "uuid:", 5) == 0 && strcmp(wanted + 5, info->uuid) == 0);
}

int tool_session_each(const options *o, session *a, tool_visit_table *visit, void *arg) {
  nacre_table_infos *infos = NULL;
  const char *wanted = o->argument_count > 1 ? o->arguments[1] : NULL;
  bool found = wanted == NULL;
  int status = TOOL_DONE;
  if (nacre_table_list(a->store, &infos) != NACRE_OK) return tool_fail_last(o);
  for (size_t i = 0; i < nacre_table_infos_count(infos); i++) {
    const nacre_table_info *info = nacre_table_infos_at(infos, i);
    if (wanted != NULL && !names(wanted, info)) continue;
    found = true;
    int told = visit(arg, info);
    if (status == TOOL_DONE) status = told;
  }
  nacre_table_infos_free(infos);
  if (found) return status;
  return tool_fail(o, NACRE_NOT_FOUND, NULL, "the store %s has no table %s (nacre table list %s shows all)",
                   o->arguments[0], wanted, o->arguments[0]);
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
