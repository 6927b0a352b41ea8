/* SPDX-License-Identifier: Apache-2.0
 *
 * scan: `nacre scan` and `count`: entries of a range of keys, in order.
 */
#include <string.h>

#include "exit_status.h"
#include "failure.h"
#include "render_json.h"
#include "store_access.h"
#include "text_key.h"

/* Shows one entry; false ends the scan. */
typedef bool (*entry_visitor)(void *arg, const nacre_iter *at);

static int walk(const options *o, session *a, const key_range *range, entry_visitor visit, void *arg) {
  nacre_read_options read_options = {
      .lower = range->lower, .upper_excluded = range->upper_excluded, .no_cache_fill = true};
  nacre_iter *iter = NULL;
  if (range->empty) return TOOL_DONE;
  read_options.keys_only = o->keys_only;
  if (nacre_iter_open(a->table, &read_options, &iter) != NACRE_OK) return tool_fail_last(o);
  uint64_t left = o->limit;
  if (o->reverse) {
    nacre_iter_last(iter);
  } else {
    nacre_iter_first(iter);
  }
  for (; left > 0 && nacre_iter_valid(iter); left--) {
    if (!visit(arg, iter)) break;
    if (o->reverse) {
      nacre_iter_prev(iter);
    } else {
      nacre_iter_next(iter);
    }
  }
  int status = tool_output_check(o);
  if (status == TOOL_DONE) status = nacre_iter_status(iter) == NACRE_OK ? TOOL_DONE : tool_fail_last(o);
  nacre_iter_close(iter);
  return status;
}

static int run(const options *o, entry_visitor visit, void *arg) {
  key_range range;
  session a = {0};
  int status = tool_range_read(o, &range);
  if (status == TOOL_DONE) status = tool_table_open(o, ACCESS_READ, &a);
  if (status == TOOL_DONE) status = tool_session_close(o, &a, walk(o, &a, &range, visit, arg));
  tool_range_free(&range);
  return status;
}

typedef struct scan_state {
  const options *o;
  bytes line;
} scan_state;

static bool show_entry(void *arg, const nacre_iter *at) {
  scan_state *s = arg;
  nacre_slice key = nacre_iter_key(at), value = nacre_iter_value(at);
  if (s->o->json) {
    json_t *object = json_object();
    tool_json_set_bytes(object, "key", key, s->o->form);
    if (!s->o->keys_only) tool_json_set_bytes(object, "value", value, s->o->form);
    tool_json_set_expiry(object, nacre_iter_expire_at_ms(at));
    tool_json_line(object, stdout);
    return tool_output_good();
  }
  tool_bytes_clear(&s->line);
  tool_bytes_write(&s->line, key, s->o->form);
  if (!s->o->keys_only) {
    tool_bytes_add_byte(&s->line, '\t');
    tool_bytes_write(&s->line, value, s->o->form);
  }
  tool_bytes_add_byte(&s->line, '\n');
  (void)fwrite(s->line.data, 1, s->line.size, stdout);
  return tool_output_good();
}

int tool_scan_run(const options *o) {
  scan_state s = {.o = o};
  int status = run(o, show_entry, &s);
  tool_bytes_free(&s.line);
  return status;
}

static bool count_entry(void *arg, const nacre_iter *at) {
  (void)at;
  ++*(uint64_t *)arg;
  return true;
}

int tool_count_run(const options *o) {
  uint64_t count = 0;
  int status = run(o, count_entry, &count);
  if (status != TOOL_DONE) return status;
  if (o->json) {
    json_t *object = json_object();
    tool_json_set_number(object, "count", count);
    tool_json_line(object, stdout);
  } else {
    printf("%llu\n", (unsigned long long)count);
  }
  return TOOL_DONE;
}
