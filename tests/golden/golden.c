/* SPDX-License-Identifier: Apache-2.0
 *
 * golden: see golden.h.
 */
#include "golden.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

enum { RUN_BYTES_MIN = 16 }; /* so many equal bytes are printed as one */
enum { LARGE_VALUE_BYTES_DEFAULT = 1 << 20, SEGMENT_BYTES_DEFAULT = 64 << 20, LEVEL_RATIO_DEFAULT = 10 };

void golden_ok(nacre_status status, const char *doing) {
  nacre_error error;
  if (status == NACRE_OK) return;
  nacre_last_error(&error);
  test_die("%s: [%u] %s", doing, (unsigned)error.id, error.text);
}

/* ---- records ------------------------------------------------------------------------------------------- */

static int compare(nacre_slice a, const golden_record *b) {
  size_t shorter = a.size < b->key_size ? a.size : b->key_size;
  int order = shorter == 0 ? 0 : memcmp(a.data, b->key, shorter);
  return order != 0 ? order : (a.size > b->key_size) - (a.size < b->key_size);
}

/* The place of a key; true: it is there. */
static bool find(const golden_records *records, nacre_slice key, size_t *ret_place) {
  size_t place = 0;
  while (place < records->count && compare(key, &records->list[place]) > 0) place++;
  *ret_place = place;
  return place < records->count && compare(key, &records->list[place]) == 0;
}

static uint8_t *copy_of(nacre_slice bytes) {
  uint8_t *copy = test_alloc(bytes.size + 1);
  if (bytes.size > 0) memcpy(copy, bytes.data, bytes.size);
  return copy;
}

void golden_put(golden_records *records, nacre_slice key, nacre_slice value) {
  golden_put_expiring(records, key, value, 0);
}

void golden_put_expiring(golden_records *records, nacre_slice key, nacre_slice value, uint64_t expire_at_ms) {
  size_t place;
  if (find(records, key, &place)) {
    free(records->list[place].value);
  } else {
    records->list = test_grow(records->list, records->count, &records->capacity, sizeof *records->list);
    golden_record *at = &records->list[place];
    memmove(at + 1, at, (records->count++ - place) * sizeof *at);
    *at = (golden_record){.key = copy_of(key), .key_size = key.size};
  }
  records->list[place].value = copy_of(value);
  records->list[place].value_size = value.size;
  records->list[place].expire_at_ms = expire_at_ms;
}

void golden_delete(golden_records *records, nacre_slice key) {
  size_t place;
  if (!find(records, key, &place)) return;
  golden_record *at = &records->list[place];
  free(at->key);
  free(at->value);
  memmove(at, at + 1, (--records->count - place) * sizeof *at);
}

void golden_delete_range(golden_records *records, nacre_slice from, nacre_slice to_excluded) {
  size_t place;
  (void)find(records, from, &place);
  while (place < records->count && compare(to_excluded, &records->list[place]) > 0) {
    const golden_record *at = &records->list[place];
    golden_delete(records, (nacre_slice){at->key, at->key_size});
  }
}

void golden_read(nacre_table *table, golden_records *records) {
  nacre_iter *iter;
  golden_ok(nacre_iter_open(table, NULL, &iter), "opening an iterator");
  for (nacre_iter_first(iter); nacre_iter_valid(iter); nacre_iter_next(iter))
    golden_put_expiring(records, nacre_iter_key(iter), nacre_iter_value(iter), nacre_iter_expire_at_ms(iter));
  golden_ok(nacre_iter_status(iter), "reading a table to its end");
  nacre_iter_close(iter);
}

bool golden_equal(const golden_records *a, const golden_records *b) {
  if (a->count != b->count) return false;
  for (size_t i = 0; i < a->count; i++) {
    const golden_record *one = &a->list[i], *other = &b->list[i];
    if (compare((nacre_slice){one->key, one->key_size}, other) != 0 || one->value_size != other->value_size)
      return false;
    if (one->expire_at_ms != other->expire_at_ms) return false;
    if (memcmp(one->value, other->value, one->value_size) != 0) return false;
  }
  return true;
}

void golden_free(golden_records *records) {
  for (size_t i = 0; i < records->count; i++) {
    free(records->list[i].key);
    free(records->list[i].value);
  }
  free(records->list);
  *records = (golden_records){0};
}

/* ---- text ---------------------------------------------------------------------------------------------- */

static size_t run_of(const uint8_t *bytes, size_t size) {
  size_t run = 1;
  while (run < size && bytes[run] == bytes[0]) run++;
  return run;
}

static void print_bytes(FILE *to, const uint8_t *bytes, size_t size) {
  (void)fputc('"', to);
  for (size_t at = 0, step; at < size; at += step) {
    uint8_t byte = bytes[at];
    step = run_of(bytes + at, size - at);
    if (step >= RUN_BYTES_MIN) {
      (void)fprintf(to, "\\{%02x*%zu}", byte, step);
      continue;
    }
    step = 1;
    if (byte < 0x20 || byte > 0x7E || byte == '"' || byte == '\\') {
      (void)fprintf(to, "\\x%02x", byte);
    } else {
      (void)fputc(byte, to);
    }
  }
  (void)fputc('"', to);
}

static void print_settings(FILE *to, const nacre_table_info *info) {
  static const char *const compressions[] = {"auto", "none", "lz4", "zstd"};
  (void)fprintf(to, "table ");
  print_bytes(to, (const uint8_t *)info->name, strlen(info->name));
  (void)fprintf(to, "\nuuid %s\ncreated_ms %llu\nkek_version %u\n", info->uuid,
                (unsigned long long)info->created_ms, info->kek_version);
  (void)fprintf(to, "compression %s\nblock_bytes %u\nfilter_bits %u\n", compressions[info->compression],
                info->block_bytes, info->filter_bits_per_key);
  if (info->large_value_bytes != LARGE_VALUE_BYTES_DEFAULT)
    (void)fprintf(to, "large_value_bytes %llu\n", (unsigned long long)info->large_value_bytes);
  if (info->segment_bytes != SEGMENT_BYTES_DEFAULT)
    (void)fprintf(to, "segment_bytes %llu\n", (unsigned long long)info->segment_bytes);
  if (info->level_ratio != LEVEL_RATIO_DEFAULT) (void)fprintf(to, "level_ratio %u\n", info->level_ratio);
}

static const char *base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == NULL ? path : slash + 1;
}

static void print_recovery(FILE *to, nacre_table *table) {
  nacre_recovery_report r;
  golden_ok(nacre_table_recovery(table, &r), "asking what recovery found");
  (void)fprintf(to, "recovery clean=%d logs=%u groups=%llu entries=%llu\n", r.clean, r.logs,
                (unsigned long long)r.groups, (unsigned long long)r.entries);
  if (r.dropped_offset == NACRE_NONE) return;
  (void)fprintf(to, "dropped file=%s offset=%llu bytes=%llu maybe_synced=%d\n", base_name(r.file),
                (unsigned long long)r.dropped_offset, (unsigned long long)r.dropped_bytes, r.maybe_synced);
}

static void print_faults(FILE *to, nacre_table *table) {
  nacre_verify_report report;
  nacre_status status = nacre_verify(table, NULL, &report);
  if (status == NACRE_OK) (void)fprintf(to, "verify clean\n");
  for (size_t i = 0; i < nacre_faults_count(report.faults); i++) {
    const nacre_error *fault = nacre_faults_at(report.faults, i);
    (void)fprintf(to, "verify id=%u file=%s offset=%llu\n", (unsigned)fault->id, base_name(fault->file),
                  (unsigned long long)fault->offset);
  }
  nacre_faults_free(report.faults);
}

static void print_records(FILE *to, const golden_records *records) {
  (void)fprintf(to, "records %zu\n", records->count);
  for (size_t i = 0; i < records->count; i++) {
    const golden_record *record = &records->list[i];
    print_bytes(to, record->key, record->key_size);
    (void)fprintf(to, " = ");
    print_bytes(to, record->value, record->value_size);
    if (record->expire_at_ms != 0) (void)fprintf(to, " until %llu", (unsigned long long)record->expire_at_ms);
    (void)fputc('\n', to);
  }
  (void)fputc('\n', to);
}

static void print_table(FILE *to, nacre_store *store, const nacre_table_info *info,
                        golden_records_of *records_of, void *arg) {
  nacre_table *table;
  golden_records records = {0};
  golden_ok(nacre_table_open(store, info->name, NULL, &table), info->uuid);
  print_settings(to, info);
  print_recovery(to, table);
  print_faults(to, table);
  records_of(arg, table, info->name, &records);
  print_records(to, &records);
  golden_free(&records);
  golden_ok(nacre_table_close(table), "closing a table");
}

char *golden_text(nacre_store *store, golden_records_of *records_of, void *arg) {
  char *text = NULL;
  size_t size = 0;
  nacre_table_infos *infos;
  FILE *to = open_memstream(&text, &size);
  if (to == NULL) test_die("no memory for the text of a store");
  golden_ok(nacre_table_list(store, &infos), "listing the tables");
  for (size_t i = 0; i < nacre_table_infos_count(infos); i++)
    print_table(to, store, nacre_table_infos_at(infos, i), records_of, arg);
  nacre_table_infos_free(infos);
  if (fclose(to) != 0) test_die("no memory for the text of a store");
  return text;
}

/* ---- files --------------------------------------------------------------------------------------------- */

char *golden_read_file(const char *path, size_t *ret_size) {
  struct stat info;
  FILE *file = fopen(path, "rb");
  if (file == NULL || fstat(fileno(file), &info) != 0) test_die("%s cannot be read", path);
  size_t size = (size_t)info.st_size;
  char *bytes = test_alloc(size + 1);
  if (fread(bytes, 1, size, file) != size) test_die("%s cannot be read", path);
  (void)fclose(file);
  *ret_size = size;
  return bytes;
}

void golden_copy_file(const char *from, const char *to, unsigned mode) {
  size_t size;
  char *bytes = golden_read_file(from, &size);
  int fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (fd < 0 || write(fd, bytes, size) != (ssize_t)size || close(fd) != 0)
    test_die("%s cannot be written", to);
  free(bytes);
}

typedef void visit(const char *from, const char *to);

static void each_name(const char *from, const char *to, visit *each) {
  char path[GOLDEN_PATH_BYTES], copy[GOLDEN_PATH_BYTES];
  DIR *dir = opendir(from);
  if (dir == NULL || mkdir(to, 0700) != 0) test_die("%s cannot be copied to %s", from, to);
  for (struct dirent *e; (e = readdir(dir)) != NULL;) {
    if (e->d_name[0] == '.') continue;
    test_path(path, sizeof path, from, e->d_name);
    test_path(copy, sizeof copy, to, e->d_name);
    each(path, copy);
  }
  (void)closedir(dir);
}

static void copy_plain(const char *from, const char *to) { golden_copy_file(from, to, 0600); }

static void copy_any(const char *from, const char *to) {
  struct stat info;
  if (stat(from, &info) != 0) test_die("%s cannot be read", from);
  if (S_ISDIR(info.st_mode)) {
    each_name(from, to, copy_plain);
  } else {
    copy_plain(from, to);
  }
}

void golden_copy_store(const char *from, const char *to) { each_name(from, to, copy_any); }

void golden_find(const char *directory, const char *suffix, bool last, char path[GOLDEN_PATH_BYTES]) {
  char found[256] = "";
  DIR *dir = opendir(directory);
  if (dir == NULL) test_die("%s cannot be listed", directory);
  for (struct dirent *e; (e = readdir(dir)) != NULL;) {
    size_t size = strlen(e->d_name), end = strlen(suffix);
    if (size < end || strcmp(e->d_name + size - end, suffix) != 0) continue;
    int order = strcmp(e->d_name, found);
    if (found[0] == 0 || (last ? order > 0 : order < 0)) (void)snprintf(found, sizeof found, "%s", e->d_name);
  }
  (void)closedir(dir);
  if (found[0] == 0) test_die("%s holds no %s", directory, suffix);
  test_path(path, GOLDEN_PATH_BYTES, directory, found);
}
