/* SPDX-License-Identifier: Apache-2.0
 *
 * data: `nacre put`, `get` and `delete`: one key at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "exit_status.h"
#include "failure.h"
#include "render_json.h"
#include "store_access.h"
#include "text_key.h"

enum { READ_BYTES = 64 << 10, PIECE_BYTES = 4 << 20 };

/* Reads a whole descriptor. What is over the limit of a value is refused here, before it fills the memory. */
static int read_all(const options *o, int fd, const char *name, bytes *to) {
  for (;;) {
    tool_bytes_reserve(to, READ_BYTES);
    ssize_t got = read(fd, to->data + to->size, to->capacity - to->size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tool_fail_errno(o, errno, "read", name);
    if (got == 0) return TOOL_DONE;
    to->size += (size_t)got;
    if (to->size > NACRE_VALUE_BYTES_MAX) {
      return tool_fail(o, NACRE_TOO_LARGE, NULL,
                       "the value in %s is larger than the limit of %zu bytes; split it", name,
                       NACRE_VALUE_BYTES_MAX);
    }
  }
}

static int value_of(const options *o, bytes *to) {
  bool argument = o->argument_count == 4;
  if (argument == (o->value_file != NULL)) {
    return tool_fail_usage(
        o, "put takes one value: as VALUE, from standard input with -, or with --value-file FILE");
  }
  if (argument && strcmp(o->arguments[3], "-") == 0) return read_all(o, STDIN_FILENO, "standard input", to);
  if (argument) return tool_argument_bytes(o, "VALUE", o->arguments[3], to);
  int fd = open(o->value_file, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return tool_fail_errno(o, errno, "open", o->value_file);
  int status = read_all(o, fd, o->value_file, to);
  close(fd);
  return status;
}

int tool_put_run(const options *o) {
  bytes key = {0}, value = {0};
  session a = {0};
  int status = tool_argument_bytes(o, "KEY", o->arguments[2], &key);
  if (status == TOOL_DONE) status = value_of(o, &value);
  if (status == TOOL_DONE) status = tool_table_open(o, ACCESS_WRITE, &a);
  if (status == TOOL_DONE) {
    nacre_write_options write_options = {.sync = o->sync, .expire_at_ms = o->expire_at_ms};
    if (nacre_put(a.table, tool_bytes_slice(&key), tool_bytes_slice(&value), &write_options) != NACRE_OK) {
      status = tool_fail_last(o);
    }
    status = tool_session_close(o, &a, status);
  }
  tool_bytes_free(&key);
  tool_bytes_free(&value);
  return status;
}

/* The bytes as they are, a piece at a time: a value may be as large as the memory. A snapshot, for all pieces are to
 * be of one value. */
static nacre_status write_plain(nacre_table *table, nacre_slice key) {
  nacre_snapshot *snapshot = NULL;
  nacre_status status = nacre_snapshot_take(table, &snapshot);
  if (status != NACRE_OK) return status;
  nacre_read_options read_options = {.snapshot = snapshot, .no_cache_fill = true};
  uint8_t *piece = tool_alloc(PIECE_BYTES);
  uint64_t size = 0;
  size_t got = 0;
  uint64_t at = 0;
  do {
    status = nacre_get_part(table, key, &read_options, at, piece, PIECE_BYTES, &got, &size);
    if (status == NACRE_OK) (void)fwrite(piece, 1, got, stdout);
    at += got;
  } while (status == NACRE_OK && at < size && tool_output_good());
  free(piece);
  nacre_snapshot_release(snapshot);
  if (status == NACRE_OK && isatty(STDOUT_FILENO) == 1) putchar('\n');
  return status;
}

static nacre_status write_encoded(const options *o, nacre_table *table, nacre_slice key) {
  nacre_value value = {0};
  nacre_status status = nacre_get(table, key, NULL, &value);
  if (status != NACRE_OK) return status;
  bytes text = {0};
  tool_bytes_write(&text, tool_slice(value.data, value.size), o->form);
  tool_bytes_add_byte(&text, '\n');
  (void)fwrite(text.data, 1, text.size, stdout);
  tool_bytes_free(&text);
  nacre_value_release(&value);
  return NACRE_OK;
}

/* With an iterator, which says when the key expires. What lies behind the key stays out of its sight: it may be large,
 * or damaged. */
static nacre_status write_json(const options *o, nacre_table *table, nacre_slice key) {
  nacre_iter *at = NULL;
  bytes following = {0};
  tool_bytes_add(&following, key.data, key.size);
  tool_bytes_add_byte(&following, 0);
  nacre_read_options read_options = {
      .lower = key, .upper_excluded = tool_bytes_slice(&following), .no_cache_fill = true};
  nacre_status status = nacre_iter_open(table, &read_options, &at);
  tool_bytes_free(&following);
  if (status != NACRE_OK) return status;
  nacre_iter_first(at);
  status = nacre_iter_status(at);
  bool there = nacre_iter_valid(at);
  if (there) {
    json_t *object = json_object();
    tool_json_set_bytes(object, "key", key, o->form);
    tool_json_set_bytes(object, "value", nacre_iter_value(at), o->form);
    tool_json_set_expiry(object, nacre_iter_expire_at_ms(at));
    tool_json_line(object, stdout);
  }
  nacre_iter_close(at);
  return status == NACRE_OK && !there ? NACRE_NOT_FOUND : status;
}

static nacre_status write_value(const options *o, nacre_table *table, nacre_slice key) {
  if (o->json) return write_json(o, table, key);
  return o->form == BYTES_TEXT ? write_plain(table, key) : write_encoded(o, table, key);
}

int tool_get_run(const options *o) {
  bytes key = {0};
  session a = {0};
  int status = tool_argument_bytes(o, "KEY", o->arguments[2], &key);
  if (status == TOOL_DONE) status = tool_table_open(o, ACCESS_READ, &a);
  if (status == TOOL_DONE) {
    nacre_status got = write_value(o, a.table, tool_bytes_slice(&key));
    if (got == NACRE_NOT_FOUND) {
      status = tool_fail(o, NACRE_NOT_FOUND, NULL, "table %s has no such key", o->arguments[1]);
    } else if (got != NACRE_OK) {
      status = tool_fail_last(o);
    }
    status = tool_session_close(o, &a, status);
  }
  tool_bytes_free(&key);
  return status;
}

int tool_delete_run(const options *o) {
  bytes key = {0}, to = {0};
  session a = {0};
  int status = tool_argument_bytes(o, "KEY", o->arguments[2], &key);
  if (status == TOOL_DONE && o->to != NULL) status = tool_argument_bytes(o, "--to", o->to, &to);
  if (status == TOOL_DONE) status = tool_table_open(o, ACCESS_WRITE, &a);
  if (status == TOOL_DONE) {
    nacre_write_options write_options = {.sync = o->sync};
    nacre_status deleted = o->to == NULL ? nacre_delete(a.table, tool_bytes_slice(&key), &write_options)
                                         : nacre_delete_range(a.table, tool_bytes_slice(&key),
                                                              tool_bytes_slice(&to), &write_options);
    if (deleted != NACRE_OK) status = tool_fail_last(o);
    status = tool_session_close(o, &a, status);
  }
  tool_bytes_free(&key);
  tool_bytes_free(&to);
  return status;
}
