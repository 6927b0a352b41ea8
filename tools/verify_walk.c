/* SPDX-License-Identifier: Apache-2.0
 *
 * verify_walk: the directories of a store, file by file, without keys (and, of the catalogue, with them).
 *
 * Inside a store nothing but plain files belongs: symbolic links and devices are faults, and never followed
 * or read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bytes.h"
#include "exit_status.h"
#include "failure.h"
#include "verify_report.h"
#include "walk.h"

typedef struct file_check {
  verify_report *report;
  nacre_sealed_file *sealed; /* NULL: checksums only */
  bytes plaintext;
} file_check;

/* A frame of a log behind the place where the table's history ends: without a key it is damage, for any hole
 * in a log is; with one the library has told a torn write from it. File numbers are padded, so that names
 * compare as they do. */
static bool is_dropped(const verify_report *r, const nacre_error *fault) {
  size_t size = strlen(fault->file), torn_size = strlen(r->torn_file);
  if (size != torn_size || size < 4 || strcmp(fault->file + size - 4, ".log") != 0) return false;
  int order = strcmp(fault->file, r->torn_file);
  return fault->offset != NACRE_NONE && fault->offset >= NC_FRAMES_OFFSET &&
         (order > 0 || (order == 0 && fault->offset >= r->torn_offset));
}

static void visit_fault(void *arg, const nacre_error *fault) {
  file_check *c = arg;
  if (!is_dropped(c->report, fault)) tool_verify_fault(c->report, fault);
}

static void visit_frame(void *arg, const walk *w, const walk_frame *frame) {
  file_check *c = arg;
  size_t size = 0;
  if (c->sealed == NULL || !frame->good) return;
  tool_bytes_clear(&c->plaintext);
  tool_bytes_reserve(&c->plaintext, frame->size);
  if (nacre_sealed_file_read(c->sealed, frame->offset, frame->type, c->plaintext.data, c->plaintext.capacity,
                             &size, NULL) == NACRE_OK) {
    c->report->frames++;
    c->report->bytes += frame->size;
    return;
  }
  nacre_error error;
  nacre_last_error(&error);
  memcpy(error.file, w->label, sizeof error.file);
  if (error.offset == NACRE_NONE) error.offset = frame->offset;
  tool_verify_fault(c->report, &error);
}

/* A file under another's name. */
static void check_number(walk *w, const char *name) {
  uint64_t number = 0;
  uint8_t type = 0;
  if (w->pick < 0 || !tool_walk_name(name, &number, &type)) return;
  const nc_identity *identity = &w->slots[w->pick].identity;
  if (identity->number == number && (uint8_t)identity->type == type) return;
  nacre_error err;
  (void)nc_fail_at(&err, NC_E_FILE_IDENTITY, 0, "its header says %s %llu",
                   nc_file_type_name((uint8_t)identity->type), (unsigned long long)identity->number);
  tool_walk_fault(w, &err);
}

static void fault_at(verify_report *r, const char *label, nc_error_id id, const char *particulars) {
  nacre_error err;
  (void)nc_fail(&err, id, "%s", particulars);
  tool_text_fit(err.file, sizeof err.file, label);
  tool_verify_fault(r, &err);
}

static void walk_file(verify_report *r, int dir_fd, const char *name, const char *label, const char *path,
                      nacre_seal_domain *domain) {
  walk w;
  file_check c = {.report = r};
  int os_errno = tool_walk_open(&w, dir_fd, name, label, false);
  if (os_errno == ENOENT) return; /* the store's own process has removed it meanwhile */
  if (os_errno == ELOOP || os_errno == EINVAL || os_errno == EISDIR) {
    fault_at(r, label, NC_E_OS_NOT_A_FILE, "not a plain file");
    return;
  }
  if (os_errno != 0) {
    fault_at(r, label, NC_E_OS, strerror(os_errno));
    return;
  }
  walk_visitor visitor = {.arg = &c, .frame = visit_frame, .fault = visit_fault};
  tool_walk_head(&w, &visitor);
  check_number(&w, name);
  if (domain != NULL && w.pick >= 0 && nacre_sealed_file_open(domain, path, &c.sealed) != NACRE_OK) {
    nacre_error error;
    nacre_last_error(&error);
    memcpy(error.file, w.label, sizeof error.file);
    tool_verify_fault(r, &error);
  }
  tool_walk_frames(&w);
  if (c.sealed != NULL) r->files++;
  r->walked_files++;
  r->walked_frames += w.good_frames + w.bad_frames;
  r->walked_bytes += w.size;
  if (w.kind == WALK_UNKNOWN) tool_verify_note(r, "%s is no file of a store, and nothing looks at it", label);
  if (w.tail == WALK_TAIL_ZEROS || w.tail == WALK_TAIL_TORN) {
    tool_verify_note(r, "%s ends in a write that was cut off, at offset %llu", label,
                     (unsigned long long)w.tail_offset);
  }
  nacre_sealed_file_close(c.sealed);
  tool_bytes_free(&c.plaintext);
  tool_walk_close(&w);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The names in a directory, in order, so that reports compare. NULL and errno when it cannot be read. */
static char **list(int dir_fd, size_t *ret_count) {
  int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  if (dir == NULL) return NULL;
  char **names = tool_alloc(sizeof *names);
  size_t count = 0;
  for (struct dirent *e; (e = readdir(dir)) != NULL;) {
    if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
    names = tool_realloc(names, (count + 1) * sizeof *names);
    size_t size = strlen(e->d_name) + 1;
    names[count] = tool_alloc(size);
    memcpy(names[count++], e->d_name, size);
  }
  closedir(dir);
  qsort(names, count, sizeof *names, by_name);
  *ret_count = count;
  return names;
}

static void free_list(char **names, size_t count) {
  for (size_t i = 0; i < count; i++) free(names[i]);
  free(names);
}

static bool has(char **names, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(names[i], name) == 0) return true;
  }
  return false;
}

static bool read_small(int dir_fd, const char *name, bytes *to) {
  struct stat info;
  int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return false;
  bool plain = fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  size_t size = !plain ? 0 : info.st_size > (off_t)NC_KEY_FILE_BYTES_MAX ? NC_KEY_FILE_BYTES_MAX : (size_t)info.st_size;
  tool_bytes_reserve(to, size + 1);
  ssize_t got = plain ? pread(fd, to->data, size, 0) : -1;
  close(fd);
  to->size = got < 0 ? 0 : (size_t)got;
  return got >= 0;
}

/* Two equal copies; one alone opens the table just as well, so only this says that one is gone. */
static void check_key_copies(verify_report *r, int dir_fd, const char *directory, bool live) {
  bytes a = {0}, b = {0};
  char label[256];
  bool have_a = read_small(dir_fd, "KEYS.a", &a), have_b = read_small(dir_fd, "KEYS.b", &b);
  (void)snprintf(label, sizeof label, "%s/KEYS.%s", directory, have_a ? "b" : "a");
  if (!have_a && !have_b) {
    if (live) fault_at(r, label, NC_E_KEY_FILE_MISSING, directory);
  } else if (!have_a || !have_b) {
    fault_at(r, label, NC_E_KEY_COPIES_DIFFER, "this copy is missing");
  } else if (!nc_slice_equal(tool_bytes_slice(&a), tool_bytes_slice(&b))) {
    fault_at(r, label, NC_E_KEY_COPIES_DIFFER, "KEYS.a and KEYS.b");
  }
  tool_bytes_free(&a);
  tool_bytes_free(&b);
}

static void remember(verify_report *r, const char *name) {
  size_t size = strlen(name) + 1;
  r->walked = tool_realloc(r->walked, (r->walked_count + 1) * sizeof *r->walked);
  r->walked[r->walked_count] = tool_alloc(size);
  memcpy(r->walked[r->walked_count++], name, size);
}

/* Without keys nobody can tell a table from what is left of an interrupted create or drop. */
static void check_complete(verify_report *r, int dir_fd, const char *name, char **names, size_t count,
                           bool live) {
  char label[256];
  bool current = has(names, count, "CURRENT"),
       keys = has(names, count, "KEYS.a") || has(names, count, "KEYS.b");
  check_key_copies(r, dir_fd, name, live);
  (void)snprintf(label, sizeof label, "%s/CURRENT", name);
  if (!current && live) fault_at(r, label, NC_E_CURRENT_MISSING, name);
  if (!live && (!current || !keys)) {
    tool_verify_note(r, "%s has no %s: a damaged table, or what an interrupted create or drop left", name,
                     keys ? "CURRENT" : "key file");
  }
}

void tool_verify_walk_directory(verify_report *r, const char *store, const char *name, bool live,
                                nacre_seal_domain *domain) {
  bytes path = {0};
  size_t count = 0;
  remember(r, name);
  tool_bytes_add_text(&path, store);
  tool_bytes_add_byte(&path, '/');
  tool_bytes_add_text(&path, name);
  int dir_fd = open(tool_bytes_text(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
  char **names = dir_fd < 0 ? NULL : list(dir_fd, &count);
  if (names == NULL) fault_at(r, name, NC_E_OS_NOT_FOUND, strerror(errno));
  size_t directory_size = path.size;
  for (size_t i = 0; i < count; i++) {
    char label[512];
    (void)snprintf(label, sizeof label, "%s/%s", name, names[i]);
    path.size = directory_size;
    tool_bytes_add_byte(&path, '/');
    tool_bytes_add_text(&path, names[i]);
    walk_file(r, dir_fd, names[i], label, tool_bytes_text(&path), domain);
  }
  if (names != NULL) check_complete(r, dir_fd, name, names, count, live);
  r->torn_file[0] = '\0';
  free_list(names, count);
  if (dir_fd >= 0) close(dir_fd);
  tool_bytes_free(&path);
}

/* A table's directory bears its UUID; any other name in a store is not the store's own. */
static bool is_table_directory(const char *name) {
  nc_uuid uuid;
  return strcmp(name, "catalogue") == 0 || nc_uuid_parse(name, &uuid);
}

/* `listed`: the tables are known, and those walked already are all of them. */
static void walk_top(verify_report *r, int store_fd, const char *store, const char *name, bool listed) {
  struct stat info;
  if (has(r->walked, r->walked_count, name) || strcmp(name, "LOCK") == 0) return;
  bool ours = is_table_directory(name), known = fstatat(store_fd, name, &info, AT_SYMLINK_NOFOLLOW) == 0;
  if (ours && known && !S_ISDIR(info.st_mode)) {
    fault_at(r, name, NC_E_OS_NOT_A_FILE, "not a directory");
  } else if (ours && known && listed) {
    tool_verify_note(
        r, "%s belongs to no table: an interrupted create or drop left it, the next write removes it", name);
  } else if (ours && known) {
    tool_verify_walk_directory(r, store, name, strcmp(name, "catalogue") == 0, NULL);
  } else if (known) {
    tool_verify_note(r, "%s is no part of a store, and nothing looks at it", name);
  }
}

static void walk_tops(verify_report *r, const char *store, bool listed) {
  size_t count = 0;
  int store_fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  char **names = store_fd < 0 ? NULL : list(store_fd, &count);
  for (size_t i = 0; i < count; i++) walk_top(r, store_fd, store, names[i], listed);
  free_list(names, count);
  if (store_fd >= 0) close(store_fd);
}

void tool_verify_walk_rest(verify_report *r, const char *store) { walk_tops(r, store, true); }

int tool_verify_walk_store(verify_report *r, const char *store) {
  char catalogue[16] = "catalogue";
  struct stat info;
  int store_fd = open(store, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (store_fd < 0) return tool_fail_errno(r->o, errno, "open the store", store);
  bool is_store = fstatat(store_fd, catalogue, &info, AT_SYMLINK_NOFOLLOW) == 0;
  close(store_fd);
  if (!is_store)
    return tool_fail(r->o, NACRE_NOT_FOUND, NULL, "there is no store in %s: it has no catalogue", store);
  walk_tops(r, store, false);
  return TOOL_DONE;
}
