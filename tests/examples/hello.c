/* SPDX-License-Identifier: Apache-2.0
 *
 * hello: opens a store, writes a few entries, reads one back and walks over a range.
 *
 *   cc hello.c $(pkg-config --cflags --libs nacre) -o hello && ./hello /path/of/a/new/store
 */
#include <nacre/nacre.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static nacre_slice text(const char *s) {
  nacre_slice slice = {s, strlen(s)};
  return slice;
}

static void check(nacre_status status) {
  if (status == NACRE_OK) return;
  nacre_error error;
  nacre_last_error(&error);
  fprintf(stderr, "%s: %s\n", nacre_status_name(status), error.text);
  exit(1);
}

static void print(nacre_slice key, nacre_slice value) {
  printf("%.*s is %.*s\n", (int)key.size, (const char *)key.data, (int)value.size, (const char *)value.data);
}

static void write_some(nacre_table *birds) {
  check(nacre_put(birds, text("wren"), text("small"), NULL));
  check(nacre_put(birds, text("heron"), text("patient"), NULL));

  /* A batch goes in whole or not at all; sync = true makes it survive the loss of power as well. */
  nacre_write_options durable = {.sync = true};
  nacre_batch *batch = NULL;
  check(nacre_batch_create(&batch));
  check(nacre_batch_put(batch, text("owl"), text("awake")));
  check(nacre_batch_delete(batch, text("heron")));
  check(nacre_write(birds, batch, &durable));
  nacre_batch_destroy(batch);
}

static void read_back(nacre_table *birds) {
  nacre_value value;
  check(nacre_get(birds, text("owl"), NULL, &value));
  nacre_slice owl = {value.data, value.size};
  print(text("owl"), owl);
  nacre_value_release(&value);
  if (nacre_get(birds, text("heron"), NULL, &value) == NACRE_NOT_FOUND) printf("heron is gone\n");

  nacre_iter *iter = NULL;
  check(nacre_iter_open(birds, NULL, &iter));
  for (nacre_iter_first(iter); nacre_iter_valid(iter); nacre_iter_next(iter)) {
    print(nacre_iter_key(iter), nacre_iter_value(iter));
  }
  check(nacre_iter_status(iter)); /* NACRE_OK: the end of the data, not damage, stopped it */
  nacre_iter_close(iter);
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: hello STORE\n");
    return 2;
  }
  nacre_store *store = NULL;
  nacre_table *birds = NULL;
  nacre_store_options options = {.create = true};
  check(nacre_open(argv[1], &options, &store));
  check(nacre_table_create(store, "birds", NULL, &birds));
  write_some(birds);
  read_back(birds);
  check(nacre_table_close(birds));
  check(nacre_close(store));
  return 0;
}
