/* SPDX-License-Identifier: Apache-2.0
 *
 * import: `nacre import`: records of a text file, written in batches.
 *
 * A line is acknowledged once nacre_write has returned for the batch that holds it (or once it is known to
 * hold no record). Lines are acknowledged in the order of the file, without gaps, so that one number says
 * what is in the table, also after a kill; writing a line twice does no harm, which makes that number a safe
 * place to go on from.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "exit_status.h"
#include "failure.h"
#include "progress.h"
#include "records.h"
#include "render_json.h"
#include "render_text.h"
#include "store_access.h"

#define BATCH_BYTES ((size_t)1024 * 1024)

typedef struct import_state {
  const options *o;
  session session;
  nacre_batch *batch;
  nacre_load *load; /* --sorted: in the place of the batch */
  record_reader reader;
  progress progress;
  uint64_t taken_line; /* every line up to this one is in the batch, or acknowledged, or holds no record */
  uint64_t acknowledged_line;
  uint64_t records, bytes; /* written */
  uint64_t batch_record_bytes, load_records;
  uint64_t skipped; /* bad lines */
} import_state;

/* Says that a write is done. False when nobody can hear it: then the import ends. */
static bool acknowledge(import_state *s) {
  s->acknowledged_line = s->taken_line;
  if (!s->o->acknowledge) return true;
  if (s->o->json) {
    printf("{\"acknowledged_line\":%llu}\n", (unsigned long long)s->acknowledged_line);
  } else {
    printf("ack %llu\n", (unsigned long long)s->acknowledged_line);
  }
  return fflush(stdout) == 0 && tool_output_good();
}

static int commit_load(import_state *s) {
  if (nacre_load_commit(s->load) != NACRE_OK) {
    tool_progress_clear(&s->progress);
    return tool_fail_last(s->o);
  }
  s->load = NULL;
  s->records = s->load_records;
  s->bytes = s->batch_record_bytes;
  return acknowledge(s) ? TOOL_DONE : TOOL_FAILED;
}

/* What is loaded in bulk waits for its end; when that does not come, nothing is written. */
static int write_batch(import_state *s) {
  if (s->load != NULL) return TOOL_DONE;
  size_t count = nacre_batch_count(s->batch);
  if (count == 0) {
    s->acknowledged_line = s->taken_line;
    return TOOL_DONE;
  }
  nacre_write_options write_options = {.sync = s->o->sync};
  if (nacre_write(s->session.table, s->batch, &write_options) != NACRE_OK) {
    tool_progress_clear(&s->progress);
    return tool_fail_last(s->o);
  }
  s->records += count;
  s->bytes += s->batch_record_bytes;
  s->batch_record_bytes = 0;
  nacre_batch_clear(s->batch);
  tool_progress_update(&s->progress, s->reader.lines.bytes_done, s->records);
  return acknowledge(s) ? TOOL_DONE : TOOL_FAILED;
}

/* A line that holds no record that can be stored. */
static int bad_line(import_state *s, const char *reason) {
  if (s->reader.line < s->o->from_line) return TOOL_DONE;
  tool_progress_clear(&s->progress);
  if (!s->o->skip_bad) {
    /* What came before stays: it is written, so that the number told is one to go on from. */
    int status = write_batch(s);
    if (status != TOOL_DONE) return status;
    return tool_fail(s->o, NACRE_CANCELLED, NULL,
                     "line %llu: %s; correct it, or pass over bad lines with --skip-bad",
                     (unsigned long long)s->reader.line, reason);
  }
  tool_warn_line(s->o, s->reader.line, reason);
  s->skipped++;
  return TOOL_DONE;
}

static int load_record(import_state *s, nacre_slice key, nacre_slice value, uint64_t expire_at_ms) {
  nacre_error error;
  nacre_status put = nacre_load_put_expiring(s->load, key, value, expire_at_ms);
  if (put == NACRE_OK) {
    s->load_records++;
    s->batch_record_bytes += key.size + value.size;
    if (s->load_records % 1000 == 0)
      tool_progress_update(&s->progress, s->reader.lines.bytes_done, s->load_records);
    return TOOL_DONE;
  }
  nacre_last_error(&error);
  if (put == NACRE_TOO_LARGE) return bad_line(s, error.text);
  tool_progress_clear(&s->progress);
  if (put != NACRE_INVALID) return tool_fail_last(s->o);
  return tool_fail(s->o, NACRE_CANCELLED, NULL,
                   "line %llu: its key is not above the one before; sort the file by its keys' bytes, or leave out "
                   "--sorted",
                   (unsigned long long)s->reader.line);
}

static int add_record(import_state *s) {
  nacre_slice key = tool_bytes_slice(&s->reader.key), value = tool_bytes_slice(&s->reader.value);
  if (s->reader.line < s->o->from_line) return TOOL_DONE;
  uint64_t expire_at_ms = s->reader.expire_at_ms != 0 ? s->reader.expire_at_ms : s->o->expire_at_ms;
  if (s->load != NULL) return load_record(s, key, value, expire_at_ms);
  size_t size = key.size + value.size, count = nacre_batch_count(s->batch);
  if (count > 0 && (count >= s->o->batch || nacre_batch_bytes(s->batch) + size > BATCH_BYTES)) {
    int status = write_batch(s);
    if (status != TOOL_DONE) return status;
  }
  nacre_status put = nacre_batch_put_expiring(s->batch, key, value, expire_at_ms);
  if (put == NACRE_TOO_LARGE) {
    nacre_error error;
    nacre_last_error(&error);
    return bad_line(s, error.text);
  }
  if (put != NACRE_OK) return tool_fail_last(s->o);
  s->batch_record_bytes += size;
  return TOOL_DONE;
}

static int read_failed(import_state *s, const char *file) {
  tool_progress_clear(&s->progress);
  if (s->reader.lines.os_errno != 0) return tool_fail_errno(s->o, s->reader.lines.os_errno, "read", file);
  return tool_fail(s->o, NACRE_CANCELLED, NULL, "%s cannot be imported: %s", file, s->reader.reason);
}

static int import_records(import_state *s, const record_kind *kind, const char *file) {
  for (;;) {
    int status = TOOL_DONE;
    switch (kind->next(&s->reader)) {
      case RECORD_END:
        return s->load != NULL ? commit_load(s) : write_batch(s);
      case RECORD_FAILED:
        status = write_batch(s);
        return status == TOOL_DONE ? read_failed(s, file) : status;
      case RECORD_BAD:
        status = bad_line(s, s->reader.reason);
        break;
      case RECORD_GOOD:
        status = add_record(s);
        break;
      case RECORD_NONE:
        break;
    }
    if (status != TOOL_DONE) return status;
    if (s->reader.lines.line > s->taken_line) s->taken_line = s->reader.lines.line;
  }
}

static void tell(const import_state *s, const char *file, int status) {
  const options *o = s->o;
  uint64_t elapsed_ns = tool_progress_elapsed_ns(&s->progress);
  if (o->json) {
    json_t *object = json_object();
    tool_json_set_number(object, "records", s->records);
    tool_json_set_number(object, "record_bytes", s->bytes);
    tool_json_set_number(object, "skipped_lines", s->skipped);
    tool_json_set_number(object, "last_acknowledged_line", s->acknowledged_line);
    tool_json_set_number(object, "elapsed_ms", elapsed_ns / 1000000);
    json_object_set_new(object, "complete", json_boolean(status == TOOL_DONE));
    tool_json_line(object, stdout);
    return;
  }
  char records[TOOL_UNIT_TEXT_BYTES], size[TOOL_UNIT_TEXT_BYTES], time[TOOL_UNIT_TEXT_BYTES],
      skipped[TOOL_UNIT_TEXT_BYTES];
  if (status != TOOL_DONE) {
    if (s->acknowledged_line < o->from_line) {
      tool_warn(o, "nothing was imported");
    } else {
      tool_warn(o, "all lines up to line %llu are in the table; --from-line %llu continues there",
                (unsigned long long)s->acknowledged_line, (unsigned long long)s->acknowledged_line + 1);
    }
  } else if (!o->quiet) {
    printf("imported %s (%s) from %s in %s; last acknowledged line %llu\n",
           tool_text_counted(records, s->records, "record", "records"), tool_text_size(size, s->bytes, false),
           file, tool_text_seconds(time, elapsed_ns), (unsigned long long)s->acknowledged_line);
    if (s->skipped > 0)
      printf("passed over %s\n", tool_text_counted(skipped, s->skipped, "bad line", "bad lines"));
  }
}

static int open_table(import_state *s) {
  int status = tool_store_open(s->o, ACCESS_WRITE, &s->session);
  if (status != TOOL_DONE) return status;
  if (s->o->create) {
    nacre_status created = nacre_table_create(s->session.store, s->o->arguments[1], NULL, &s->session.table);
    if (created == NACRE_OK) return TOOL_DONE;
    if (created != NACRE_EXISTS) return tool_session_close(s->o, &s->session, tool_fail_last(s->o));
  }
  status = tool_session_table(s->o, ACCESS_WRITE, s->o->arguments[1], &s->session);
  return status == TOOL_DONE ? TOOL_DONE : tool_session_close(s->o, &s->session, status);
}

static int import_from(const options *o, int fd, const char *file, const record_kind *kind) {
  import_state s = {.o = o, .taken_line = o->from_line - 1, .acknowledged_line = o->from_line - 1};
  struct stat info;
  int status = open_table(&s);
  if (status != TOOL_DONE) return status;
  uint64_t total = fstat(fd, &info) == 0 && S_ISREG(info.st_mode) ? (uint64_t)info.st_size : NACRE_NONE;
  tool_records_begin(&s.reader, fd, o->key_field);
  tool_progress_begin(&s.progress, o, "importing", total);
  nacre_status begun = o->sorted ? nacre_load_begin(s.session.table, NULL, &s.load) : nacre_batch_create(&s.batch);
  if (begun != NACRE_OK) {
    status = tool_fail_last(o);
  } else {
    status = import_records(&s, kind, file);
  }
  tool_progress_clear(&s.progress);
  nacre_load_abort(s.load);
  nacre_batch_destroy(s.batch);
  tool_records_end(&s.reader);
  status = tool_session_close(o, &s.session, status);
  tell(&s, file, status);
  return status;
}

int tool_import_run(const options *o) {
  const char *file = o->arguments[2];
  bool standard_input = strcmp(file, "-") == 0;
  record_format format = o->format != RECORDS_UNSAID ? o->format : tool_records_guess(file);
  if (format == RECORDS_UNSAID)
    return tool_fail_usage(o, "which form has %s? say --format tsv, csv or jsonl", file);
  if (format == RECORDS_TSV && o->key_field != NULL) {
    return tool_fail_usage(o,
                           "--key-field is for csv and jsonl; in tsv the key is what stands before the tab");
  }
  int fd = standard_input ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return tool_fail_errno(o, errno, "open", file);
  int status = import_from(o, fd, standard_input ? "standard input" : file, tool_records_of(format));
  if (!standard_input) close(fd);
  return status;
}
