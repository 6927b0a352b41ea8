/* SPDX-License-Identifier: Apache-2.0
 *
 * stats: `nacre stats`: what a store's tables hold now.
 */
#include <string.h>

#include "exit_status.h"
#include "failure.h"
#include "render_json.h"
#include "render_text.h"
#include "store_access.h"
#include "text_key.h"

/* Latencies and the counters of flushes, merges, writes and the cache begin when a table is opened: this command has
 * just opened it, so they would only ever say zero and are left out. */
static void levels_text(const nacre_stats *s) {
  char runs[TOOL_UNIT_TEXT_BYTES], segments[TOOL_UNIT_TEXT_BYTES], size[TOOL_UNIT_TEXT_BYTES],
      entries[TOOL_UNIT_TEXT_BYTES];
  for (uint64_t i = 0; i < s->level_count; i++) {
    const nacre_level *level = &s->levels[i];
    char name[32];
    if (level->segments == 0) continue;
    (void)snprintf(name, sizeof name, "level %llu", (unsigned long long)i);
    tool_text_field(
        name, "%s in %s, %s, %s", tool_text_counted(segments, level->segments, "segment", "segments"),
        tool_text_counted(runs, level->runs, "run", "runs"), tool_text_size(size, level->bytes, false),
        tool_text_counted(entries, level->entries, "entry", "entries"));
  }
}

static void stats_text(const char *name, const nacre_stats *s) {
  char a[TOOL_UNIT_TEXT_BYTES], b[TOOL_UNIT_TEXT_BYTES];
  bytes escaped = {0};
  tool_text_escape(&escaped, tool_slice(name, strlen(name)));
  tool_text_styled(stdout, STYLE_HEAD, tool_bytes_text(&escaped));
  tool_bytes_free(&escaped);
  putchar('\n');
  tool_text_field("segments", "%s (in runs: %s)", tool_text_count(a, s->segments),
                  tool_text_count(b, s->runs));
  tool_text_field("segment size", "%s", tool_text_size(a, s->segment_bytes, true));
  tool_text_field("segment entries", "%s", tool_text_count(a, s->segment_entries));
  levels_text(s);
  tool_text_field("read amplification", "%.0f", s->read_amplification);
  tool_text_field("space amplification", "%.2f", s->space_amplification);
  tool_text_field("logs", "%s", tool_text_count(a, s->logs));
  tool_text_field("log size", "%s", tool_text_size(a, s->log_bytes, true));
  tool_text_field("memtable", "%s, %s", tool_text_counted(a, s->memtable_entries, "entry", "entries"),
                  tool_text_size(b, s->memtable_bytes, false));
  tool_text_field("last sequence", "%s", tool_text_count(a, s->last_sequence));
  tool_text_field("manifest", "epoch %s, commit %s", tool_text_count(a, s->manifest_epoch),
                  tool_text_count(b, s->manifest_sequence));
}

static json_t *levels_json(const nacre_stats *s) {
  json_t *list = json_array();
  for (uint64_t i = 0; i < s->level_count; i++) {
    json_t *object = json_object();
    tool_json_set_number(object, "level", i);
    tool_json_set_number(object, "runs", s->levels[i].runs);
    tool_json_set_number(object, "segments", s->levels[i].segments);
    tool_json_set_number(object, "bytes", s->levels[i].bytes);
    tool_json_set_number(object, "entries", s->levels[i].entries);
    json_array_append_new(list, object);
  }
  return list;
}

static json_t *stats_json(const char *name, const nacre_stats *s) {
  json_t *object = json_object();
  tool_json_set_bytes(object, "table", tool_slice(name, strlen(name)), BYTES_TEXT);
  tool_json_set_number(object, "runs", s->runs);
  tool_json_set_number(object, "segments", s->segments);
  tool_json_set_number(object, "segment_bytes", s->segment_bytes);
  tool_json_set_number(object, "segment_entries", s->segment_entries);
  json_object_set_new(object, "levels", levels_json(s));
  json_object_set_new(object, "read_amplification", json_real(s->read_amplification));
  json_object_set_new(object, "space_amplification", json_real(s->space_amplification));
  tool_json_set_number(object, "logs", s->logs);
  tool_json_set_number(object, "log_bytes", s->log_bytes);
  tool_json_set_number(object, "memtable_entries", s->memtable_entries);
  tool_json_set_number(object, "memtable_bytes", s->memtable_bytes);
  tool_json_set_number(object, "last_sequence", s->last_sequence);
  tool_json_set_number(object, "manifest_epoch", s->manifest_epoch);
  tool_json_set_number(object, "manifest_sequence", s->manifest_sequence);
  return object;
}

typedef struct stats_state {
  const options *o;
  session session;
} stats_state;

static int one(void *arg, const nacre_table_info *info) {
  stats_state *s = arg;
  nacre_stats stats;
  int status = tool_session_table(s->o, ACCESS_READ, info->name, &s->session);
  if (status != TOOL_DONE) return status;
  if (nacre_table_stats(s->session.table, &stats) != NACRE_OK) {
    status = tool_fail_table(s->o, info->name);
  } else if (s->o->json) {
    tool_json_line(stats_json(info->name, &stats), stdout);
  } else {
    stats_text(info->name, &stats);
  }
  return tool_session_leave(s->o, &s->session, status);
}

/* A table that does not open is told, and the others are still shown. */
int tool_stats_run(const options *o) {
  stats_state s = {.o = o};
  int status = tool_store_open(o, ACCESS_READ, &s.session);
  if (status != TOOL_DONE) return status;
  return tool_session_close(o, &s.session, tool_session_each(o, &s.session, one, &s));
}
