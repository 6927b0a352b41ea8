/* SPDX-License-Identifier: Apache-2.0
 *
 * resealed_table: see resealed_table.h.
 */
#include "resealed_table.h"

#include <stdio.h>
#include <stdlib.h>

#include "current.h"
#include "store.h"
#include "table.h"

resealed_table resealed;

static void open_up(plain_file *ret_manifest) {
  site_table_path(&resealed.s, "table", resealed.directory);
  only_file(resealed.directory, ".man", resealed.name);
  snprintf(resealed.manifest, sizeof resealed.manifest, "%s", strrchr(resealed.name, '/') + 1);
  resealed.t = site_table(&resealed.s, &resealed.store, "table"); /* for its keys; not written to */
  resealed.view.shared.env = resealed.t->shared->env;
  resealed.view.keys = resealed.t->keys.keys; /* nothing replaces them here */
  resealed.view.dir = resealed.t->dir;
  snprintf(resealed.view.path, sizeof resealed.view.path, "%s", resealed.directory);
  plain_load(&resealed.view, resealed.manifest, ret_manifest);
}

void resealed_make(plain_file *ret_manifest) {
  site_make(&resealed.s);
  site_fill(&resealed.s);
  open_up(ret_manifest);
}

void resealed_make_with_value(plain_file *ret_manifest) {
  site_make(&resealed.s);
  site_fill(&resealed.s);
  nacre_table *t = site_table(&resealed.s, &resealed.store, "table");
  size_t size = NC_LARGE_VALUE_BYTES + 1;
  uint8_t *value = test_alloc(size);
  memset(value, 'v', size);
  ok(nacre_put(t, text("large"), nc_slice(value, size), NULL));
  free(value);
  ok(nacre_flush(t));
  ok(nacre_table_close(t));
  ok(nacre_close(resealed.store));
  open_up(ret_manifest);
}

void resealed_seal(plain_file *manifest) {
  nacre_error err;
  char path[PATH_BYTES];
  size_t size;
  sealed_again again = plain_seal(&resealed.view, resealed.manifest, manifest);
  plain_free(manifest);
  join(path, resealed.directory, NC_CURRENT_NAME);
  uint8_t *bytes = file_load(path, &size);
  nc_current current;
  must(nc_current_decode(nc_slice(bytes, size), &current, &err));
  memcpy(current.manifest_commitment, again.header.dek_commitment, NC_COMMITMENT_BYTES);
  nc_current_encode(&current, bytes);
  must(nc_table_keys_current_mac(resealed.view.keys, nc_table_keys_active(resealed.view.keys),
                                 nc_slice(bytes, NC_CURRENT_MAC_OFFSET), bytes + NC_CURRENT_MAC_OFFSET,
                                 &err));
  file_store(path, bytes, size);
  free(bytes);
  ok(nacre_table_close(resealed.t));
  resealed.t = NULL;
}

void resealed_done(void) {
  if (resealed.t != NULL) ok(nacre_table_close(resealed.t));
  ok(nacre_close(resealed.store));
  site_remove(&resealed.s);
  resealed = (resealed_table){0};
}
