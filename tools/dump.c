/* SPDX-License-Identifier: Apache-2.0
 *
 * dump: `nacre dump`: files of a store decrypted with the store's keys; see dump.h.
 *
 * The keyless walk finds the frames, also past damage; the library opens each. A frame that does not
 * authenticate is reported, and never shown.
 */
#include "dump.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "exit_status.h"
#include "failure.h"
#include "inspect_head.h"
#include "render_json.h"
#include "render_text.h"
#include "store_access.h"

static void show_fault(dump *d, const nacre_error *fault) {
  d->fault_count++;
  if (d->o->json) {
    json_t *object = json_object();
    json_object_set_new(object, "damage", tool_json_error(fault));
    tool_json_line(object, stdout);
  } else {
    tool_text_styled(stdout, STYLE_BAD, "  DAMAGED");
    printf(" at %llu: [%u] %s\n", (unsigned long long)fault->offset, fault->id, fault->text);
  }
}

static void visit_fault(void *arg, const nacre_error *fault) { show_fault(arg, fault); }

/* Whether a frame is shown without being asked for: blocks and filters are many, and say little. */
static bool wanted(const options *o, uint8_t type) {
  if (o->raw) return true;
  if (type == NC_FRAME_DATA) return o->blocks || o->entries;
  if (type == NC_FRAME_VALUE_PART) return o->blocks || o->entries;
  if (type == NC_FRAME_INDEX || type == NC_FRAME_FILTER) return o->blocks;
  return true;
}

static nacre_status decode(dump *d, const walk *w, uint8_t type, nacre_slice plaintext, nacre_error *err) {
  if (w->file_type == NC_FILE_SEGMENT) return tool_dump_segment(d, w, type, plaintext, err);
  if (w->file_type == NC_FILE_LOG) return tool_dump_log(d, type, plaintext, err);
  if (w->file_type == NC_FILE_VALUE) return tool_dump_value(d, w, type, plaintext, err);
  return tool_dump_manifest(d, plaintext, err);
}

/* Every frame is opened, wanted or not: that is what authenticates it. */
static void visit_frame(void *arg, const walk *w, const walk_frame *frame) {
  dump *d = arg;
  nacre_error err;
  size_t size = 0;
  tool_bytes_clear(&d->plaintext);
  tool_bytes_reserve(&d->plaintext, frame->size);
  nacre_status status = nacre_sealed_file_read(d->file, frame->offset, frame->type, d->plaintext.data,
                                               d->plaintext.capacity, &size, NULL);
  if (status != NACRE_OK) {
    if (!frame->good) return; /* the walk has told already */
    nacre_last_error(&err);
    show_fault(d, &err);
    return;
  }
  d->plaintext.size = size;
  if (!wanted(d->o, frame->type)) return;
  nacre_slice plaintext = tool_bytes_slice(&d->plaintext);
  tool_emit_begin(&d->emit, NULL);
  tool_emit_number(&d->emit, "offset", frame->offset);
  tool_emit_text(&d->emit, "type", nc_frame_type_name(frame->type));
  tool_emit_number(&d->emit, "plaintext_bytes", size);
  status = decode(d, w, frame->type, plaintext, &err);
  if (d->o->raw) tool_emit_hex(&d->emit, "plaintext", plaintext);
  tool_emit_end(&d->emit);
  if (status == NACRE_OK) return;
  (void)nc_fail_in(&err, status, w->label, frame->offset);
  if (err.offset == NACRE_NONE) err.offset = frame->offset;
  show_fault(d, &err);
}

/* STORE of STORE/<table>/<file>; also tells whether that is the catalogue's directory. */
static bool store_of(const char *path, char store[PATH_MAX], bool *ret_catalogue) {
  if (realpath(path, store) == NULL) return false;
  *ret_catalogue = false;
  for (int i = 0; i < 2; i++) {
    char *slash = strrchr(store, '/');
    if (slash == NULL) return false;
    *slash = 0;
    const char *above = strrchr(store, '/');
    if (i == 0) *ret_catalogue = above != NULL && strcmp(above, "/catalogue") == 0;
  }
  if (store[0] == 0) memcpy(store, "/", 2);
  return true;
}

static int open_keys(dump *d, const walk *w, const char *store, nacre_seal_domain **ret_domain) {
  opening p;
  char name[8 + NC_UUID_TEXT_BYTES] = "uuid:";
  if (w->pick < 0) {
    return tool_fail(d->o, NACRE_CORRUPT, d->path,
                     "both header slots are bad, so nothing tells which key opens this file");
  }
  nc_uuid_format(&w->slots[w->pick].identity.origin_table, name + 5);
  int begun = tool_opening_begin(d->o, store, &p);
  nacre_status status = NACRE_NOT_FOUND;
  if (begun == TOOL_DONE && !d->catalogue) status = nacre_table_keys_open(store, &p.options, name, ret_domain);
  if (begun == TOOL_DONE && status == NACRE_NOT_FOUND) { /* perhaps the catalogue's, also when copied out */
    d->catalogue = true;
    status = nacre_table_keys_open(store, &p.options, NULL, ret_domain);
  }
  tool_opening_end(&p);
  if (begun != TOOL_DONE) return begun;
  if (status == NACRE_NOT_FOUND && d->o->keys_store == NULL) {
    return tool_fail(d->o, status, NULL, "%s lies in no store that has its keys; --keys STORE names one",
                     d->path);
  }
  return status == NACRE_OK ? TOOL_DONE : tool_fail_last(d->o);
}

static int workspace_begin(dump *d) {
  enum { ALIGN = 64 };
  nacre_error err;
  size_t size = nc_compress_workspace_size(true);
  d->workspace_memory = tool_alloc(size + ALIGN);
  uintptr_t begin = ((uintptr_t)d->workspace_memory + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1);
  uint8_t *aligned = (uint8_t *)d->workspace_memory + (begin - (uintptr_t)d->workspace_memory);
  if (nc_compress_init(&d->workspace, aligned, size, true, &err) != NACRE_OK)
    return tool_fail_error(d->o, &err);
  return TOOL_DONE;
}

static int dump_frames(dump *d, walk *w, nacre_seal_domain *domain) {
  if (nacre_sealed_file_open(domain, d->path, &d->file) != NACRE_OK) return tool_fail_last(d->o);
  int status = workspace_begin(d);
  walk_visitor visitor = {.arg = d, .frame = visit_frame, .fault = visit_fault};
  w->visitor = visitor;
  if (status == TOOL_DONE) tool_walk_frames(w);
  nacre_sealed_file_close(d->file);
  free(d->workspace_memory);
  return status;
}

static int dump_sealed(dump *d, walk *w) {
  char found[PATH_MAX];
  const char *store = d->o->keys_store;
  nacre_seal_domain *domain = NULL;
  if (!store_of(d->path, found, &d->catalogue)) return tool_fail_errno(d->o, errno, "resolve", d->path);
  int status = open_keys(d, w, store == NULL ? found : store, &domain);
  if (status != TOOL_DONE) return status;
  status = dump_frames(d, w, domain);
  if (nacre_seal_domain_close(domain) != NACRE_OK && status == TOOL_DONE) status = tool_fail_last(d->o);
  return status;
}

static int dump_file(const options *o, const char *path, bool *shown) {
  walk w;
  dump d = {.o = o, .path = path, .emit = {.o = o}};
  int os_errno = tool_walk_open(&w, AT_FDCWD, path, path, true);
  if (os_errno == EINVAL || os_errno == EISDIR) {
    return tool_fail(o, NACRE_IO, NULL,
                     "%s is not a plain file; nacre dump shows the files of a store one by one", path);
  }
  if (os_errno != 0) return tool_fail_errno(o, os_errno, "open", path);
  walk_visitor visitor = {.arg = &d, .fault = o->json ? visit_fault : NULL};
  tool_walk_head(&w, &visitor);
  if (o->json) {
    tool_json_line(tool_inspect_head_json(&w, path), stdout);
  } else {
    if (*shown) putchar('\n');
    tool_inspect_head_text(&w, path);
  }
  *shown = true;
  int status = TOOL_DONE;
  if (w.kind == WALK_SEALED) status = dump_sealed(&d, &w);
  if (w.kind == WALK_UNKNOWN)
    status = tool_fail(o, NACRE_UNSUPPORTED, NULL, "%s is no file of a store", path);
  if (status == TOOL_DONE && (w.fault_count > 0 || d.fault_count > 0)) status = TOOL_DAMAGED;
  tool_bytes_free(&d.plaintext);
  tool_bytes_free(&d.unpacked);
  tool_bytes_free(&d.key);
  tool_walk_close(&w);
  return status;
}

int tool_dump_run(const options *o) {
  int status = TOOL_DONE;
  bool shown = false;
  for (int i = 0; i < o->argument_count; i++) {
    int one = dump_file(o, o->arguments[i], &shown);
    if (one == TOOL_DAMAGED || status == TOOL_DONE) status = one;
    if (!tool_output_good()) break;
  }
  return status;
}
