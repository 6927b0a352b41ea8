/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys that are wrong, lost or torn; versions and suites of a later Nacre, with good checksums; and what is
 * longer than may be. Each with its status and its id.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crc32c.h"
#include "current.h"
#include "frames.h"
#include "sim_disk.h"
#include "status.h"
#include "support.h"
#include "trial.h"

typedef struct run {
  trial t;
  subject foreign;
  shelf work;
  uint64_t cases;
} run;

/* ---- the keyring --------------------------------------------------------------------------------------- */

static void must_be(run *r, const char *what, nacre_status status, const nacre_error *error, nc_error_id id) {
  const nc_error_info *wanted = nc_error_info_of(id);
  (void)CHECK(
      wanted != NULL && status == wanted->status && error->id == (uint32_t)id && error->text[0] != '\0',
      "%s: %s %u: %s", what, nacre_status_name(status), error->id, error->text);
  r->cases++;
}

static void open_must_be(run *r, const char *what, nc_error_id id) {
  store_verdict v;
  subject_doing(&r->t.s, what, NULL, NULL, 0);
  judge_store(&r->t.s, shelf_io(&r->work), false, &v);
  must_be(r, what, v.opened, &v.open_error, id);
}

static uint8_t *load(const char *path, size_t *ret_size) {
  FILE *file = fopen(path, "rb");
  uint8_t *bytes = test_alloc(1 << 16);
  if (file == NULL) test_die("%s cannot be read", path);
  *ret_size = fread(bytes, 1, 1 << 16, file);
  fclose(file);
  return bytes;
}

static void save(const char *path, const void *bytes, size_t size) {
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, bytes, size) != (ssize_t)size) test_die("%s cannot be written", path);
  close(fd);
}

/* At every length, and longer: the keyring itself is torn, and says so. */
static void tear_keyring(run *r, const uint8_t *bytes, size_t whole) {
  uint8_t longer[1 << 12] = {0};
  for (size_t size = 0; size < whole; size++) {
    store_verdict v;
    save(r->t.s.keyring, bytes, size);
    judge_store(&r->t.s, shelf_io(&r->work), false, &v);
    (void)CHECK(v.opened == NACRE_CORRUPT, "a keyring of %zu bytes: %s %u: %s", size,
                nacre_status_name(v.opened), v.open_error.id, v.open_error.text);
    r->cases++;
  }
  if (whole + 64 > sizeof longer) test_die("the keyring is larger than expected");
  memcpy(longer, bytes, whole);
  for (size_t more = 1; more <= 64; more++) {
    store_verdict v;
    save(r->t.s.keyring, longer, whole + more);
    judge_store(&r->t.s, shelf_io(&r->work), false, &v);
    (void)CHECK(v.opened == NACRE_CORRUPT, "a keyring of %zu bytes more: %s", more,
                nacre_status_name(v.opened));
    r->cases++;
  }
}

static void spoil_keyring(run *r) {
  size_t size, other_size;
  char uri[300];
  uint8_t *bytes = load(r->t.s.keyring, &size), *other = load(r->foreign.keyring, &other_size);
  char away[300];
  snprintf(away, sizeof away, "%s.away", r->t.s.keyring);
  if (rename(r->t.s.keyring, away) != 0) test_die("there is no keyring");
  open_must_be(r, "a lost keyring", NC_E_KEYRING_MISSING);
  (void)CHECK(access(r->t.s.keyring, F_OK) != 0, "reading has made a new keyring");
  save(r->t.s.keyring, other, other_size);
  open_must_be(r, "another keyring at the path", NC_E_KEYRING_NO_KEY);
  tear_keyring(r, bytes, size);
  bytes[8] = 9;
  nc_put_u32(bytes + size - 4, nc_crc32c(0, bytes, size - 4));
  save(r->t.s.keyring, bytes, size);
  open_must_be(r, "a keyring of a later version", NC_E_KEYRING_VERSION);
  if (rename(away, r->t.s.keyring) != 0) test_die("the keyring cannot be put back");
  if (chmod(r->t.s.keyring, 0640) != 0) test_die("the keyring's mode cannot be changed");
  open_must_be(r, "a keyring that others may read", NC_E_KEYRING_MODE);
  if (chmod(r->t.s.keyring, 0600) != 0) test_die("the keyring's mode cannot be changed");
  memcpy(uri, r->t.s.uri, sizeof r->t.s.uri);
  memcpy(r->t.s.uri, r->foreign.uri, sizeof r->t.s.uri);
  open_must_be(r, "the key of another store", NC_E_KEYRING_NO_KEY);
  snprintf(r->t.s.uri, sizeof r->t.s.uri, "unheard-of:key");
  open_must_be(r, "a provider that is not there", NC_E_KEY_NO_WRAP);
  memcpy(r->t.s.uri, uri, sizeof r->t.s.uri);
  free(bytes);
  free(other);
}

/* ---- key files ----------------------------------------------------------------------------------------- */

static void table_must_be(run *r, const shelf_file *file, const char *what, unsigned allowed,
                          nc_error_id id) {
  int table = trial_table_of(&r->t, file);
  subject_doing(&r->t.s, what, file, NULL, 0);
  outcome found = trial_run(&r->t, SUBJECT_TABLES, file, allowed);
  const store_verdict *v = &r->t.verdict;
  if (found != REFUSED) return;
  if (table == SUBJECT_TABLES)
    must_be(r, what, v->opened, &v->open_error, id);
  else
    must_be(r, what, v->tables[table].opened, &v->tables[table].open_error, id);
}

static void both_torn(run *r, shelf_file *a, shelf_file *b) {
  size_t whole = a->size;
  for (size_t size = 0; size < whole; size++) {
    a->size = b->size = size;
    table_must_be(r, a, "both torn", CAN(REFUSED), size < 44 ? NC_E_KEY_FILE_SHAPE : NC_E_KEY_FILE_CRC);
    a->size = whole;
  }
  b->size = whole;
}

static void spoil_key_files(run *r, const char *directory) {
  shelf_file *a = shelf_find(&r->work, directory, "KEYS.a"), *b = shelf_find(&r->work, directory, "KEYS.b");
  size_t whole = a->size;
  a->missing = true;
  table_must_be(r, a, "KEYS.a lost", CAN(WHOLE_TOLD), NC_E_KEY_FILE_MISSING);
  b->size = whole / 2;
  table_must_be(r, b, "KEYS.a lost and KEYS.b torn", CAN(REFUSED), NC_E_KEY_FILE_CRC);
  b->size = whole;
  b->missing = true;
  table_must_be(r, a, "both lost", CAN(REFUSED), NC_E_KEY_FILE_MISSING);
  a->missing = false;
  a->size = whole / 2;
  table_must_be(r, a, "KEYS.a torn and KEYS.b lost", CAN(REFUSED), NC_E_KEY_FILE_CRC);
  b->missing = false;
  table_must_be(r, a, "KEYS.a torn", CAN(WHOLE_TOLD), NC_E_KEY_FILE_CRC);
  a->size = whole;
  both_torn(r, a, b);
}

/* ---- later versions ------------------------------------------------------------------------------------ */

static const uint16_t numbers[] = {0, 2, 3, 255, 256, 65535};
enum { NUMBERS = sizeof numbers / sizeof *numbers };

static void mend(shelf_file *file) {
  if (is_sealed(file)) {
    slot_mend(file->bytes);
    slot_mend(file->bytes + NC_SLOT_BYTES);
  } else {
    size_t at = strcmp(file->name, "CURRENT") == 0 ? NC_CURRENT_MAC_OFFSET - 4 : file->size - 4;
    nc_put_u32(file->bytes + at, nc_crc32c(0, file->bytes, at));
  }
}

/* Writes the number where a version or a suite stands, into both slots of a sealed file. */
static void write_number(shelf_file *file, size_t at, uint16_t number) {
  nc_put_u16(file->bytes + at, number);
  if (is_sealed(file)) nc_put_u16(file->bytes + NC_SLOT_BYTES + at, number);
  mend(file);
}

static void later(run *r, shelf_file *file, size_t at, nc_error_id id) {
  uint8_t aside[NC_FRAMES_OFFSET];
  size_t size = file->size < sizeof aside ? file->size : sizeof aside;
  shelf_file *twin =
      strcmp(file->name, "KEYS.a") == 0 ? shelf_find(&r->work, file->directory, "KEYS.b") : NULL;
  const table_verdict *v = &r->t.verdict.tables[0];
  unsigned without = trial_without(&r->t, file);
  memcpy(aside, file->bytes, size);
  for (size_t i = 0; i < NUMBERS; i++) {
    write_number(file, at, numbers[i]);
    if (twin != NULL) write_number(twin, at, numbers[i]);
    table_must_be(r, file, "a later version", without != 0 ? without : CAN(REFUSED), id);
    if (without != 0) {
      v = &r->t.verdict.tables[trial_table_of(&r->t, file)];
      if (without == CAN(UNREADABLE))
        must_be(r, "reading a file of a later version", v->read_error.status, &v->read_error, id);
      must_be(r, "verifying a file of a later version", v->verified, &v->verify_error, id);
    }
    if (twin != NULL) memcpy(twin->bytes, aside, size);
    if (twin != NULL) table_must_be(r, file, "KEYS.a alone of a later version", CAN(WHOLE_TOLD), id);
    memcpy(file->bytes, aside, size);
  }
}

/* One slot of a later version, the other good: the file opens, and verify says what it cannot judge. */
static void later_slot(run *r, shelf_file *file, size_t slot) {
  uint8_t aside[NC_SLOT_BYTES], *bytes = file->bytes + slot * NC_SLOT_BYTES;
  int table = trial_table_of(&r->t, file);
  memcpy(aside, bytes, sizeof aside);
  nc_put_u16(bytes + 8, 2);
  slot_mend(bytes);
  table_must_be(r, file, "a slot of a later version", CAN(WHOLE_TOLD), NC_E_HEADER_VERSION);
  if (table < SUBJECT_TABLES) {
    const table_verdict *v = &r->t.verdict.tables[table];
    must_be(r, "verifying a slot of a later version", v->verified, &v->verify_error, NC_E_HEADER_VERSION);
  }
  memcpy(bytes, aside, sizeof aside);
}

static void later_versions(run *r) {
  for (size_t i = 0; i < r->work.file_count; i++) {
    shelf_file *file = &r->work.files[i];
    if (is_sealed(file)) {
      later(r, file, 8, NC_E_HEADER_VERSION);
      later(r, file, 10, NC_E_HEADER_SUITE);
      later_slot(r, file, 0);
      later_slot(r, file, 1);
    }
    if (strcmp(file->name, "CURRENT") == 0) later(r, file, 8, NC_E_CURRENT_VERSION);
    if (strcmp(file->name, "KEYS.a") == 0) later(r, file, 8, NC_E_KEY_FILE_VERSION);
  }
}

/* ---- too long ------------------------------------------------------------------------------------------ */

static void call_must_be(run *r, const char *what, nacre_status status, nc_error_id id) {
  nacre_error error;
  nacre_last_error(&error);
  must_be(r, what, status, &error, id);
}

static void call_must_work(run *r, const char *what, nacre_status status) {
  nacre_error error = {0};
  if (status != NACRE_OK) nacre_last_error(&error);
  (void)CHECK(status == NACRE_OK, "%s: %s", what, error.text);
  r->cases++;
}

static void long_keys(run *r, nacre_table *table, const uint8_t *bytes) {
  nacre_slice most = {bytes, NACRE_KEY_BYTES_MAX}, over = {bytes, NACRE_KEY_BYTES_MAX + 1}, one = {"1", 1};
  nacre_batch *batch;
  nacre_value value;
  call_must_work(r, "the longest key", nacre_put(table, most, one, NULL));
  call_must_work(r, "getting the longest key", nacre_get(table, most, NULL, &value));
  nacre_value_release(&value);
  call_must_be(r, "putting a longer key", nacre_put(table, over, one, NULL), NC_E_KEY_TOO_LARGE);
  call_must_be(r, "deleting a longer key", nacre_delete(table, over, NULL), NC_E_KEY_TOO_LARGE);
  if (nacre_batch_create(&batch) != NACRE_OK) test_die("no batch");
  call_must_be(r, "a longer key in a batch", nacre_batch_put(batch, over, one), NC_E_KEY_TOO_LARGE);
  call_must_be(r, "a longer delete in a batch", nacre_batch_delete(batch, over), NC_E_KEY_TOO_LARGE);
  (void)CHECK(nacre_batch_count(batch) == 0 && nacre_batch_bytes(batch) == 0,
              "a refused key stays in the batch");
  nacre_batch_destroy(batch);
}

/* Values over 1 MiB are kept beside a batch and do not count: it is filled with smaller ones. */
static void long_batches(run *r, nacre_table *table, const uint8_t *bytes) {
  nacre_slice key = {"k", 1}, piece = {bytes, 1 << 20};
  nacre_batch *batch;
  nacre_value value;
  if (nacre_batch_create(&batch) != NACRE_OK) test_die("no batch");
  for (int i = 0; i < 14; i++) call_must_work(r, "a piece of a batch", nacre_batch_put(batch, key, piece));
  call_must_be(r, "more than a batch", nacre_batch_put(batch, key, piece), NC_E_BATCH_TOO_LARGE);
  size_t rest = NACRE_BATCH_BYTES_MAX - nacre_batch_bytes(batch);
  nacre_slice fill = {bytes, rest - 1 - 1 - 1 - 3}; /* kind, size of the key, key, size of the value */
  nacre_slice one_more = {bytes, fill.size + 1};
  call_must_be(r, "one byte over", nacre_batch_put(batch, key, one_more), NC_E_BATCH_TOO_LARGE);
  call_must_work(r, "to the last byte", nacre_batch_put(batch, key, fill));
  (void)CHECK(nacre_batch_bytes(batch) == NACRE_BATCH_BYTES_MAX, "%zu bytes", nacre_batch_bytes(batch));
  call_must_work(r, "writing the largest batch", nacre_write(table, batch, NULL));
  call_must_work(r, "reading it", nacre_get(table, key, NULL, &value));
  (void)CHECK(value.size == fill.size, "%zu bytes came back", value.size);
  nacre_value_release(&value);
  nacre_batch_destroy(batch);
  call_must_be(r, "a value beyond all",
               nacre_put(table, key, (nacre_slice){bytes, NACRE_VALUE_BYTES_MAX + 1}, NULL),
               NC_E_VALUE_TOO_LARGE);
}

static void long_names(run *r, nacre_store *store) {
  char name[NACRE_TABLE_NAME_BYTES_MAX + 2];
  nacre_table *table;
  memset(name, 'n', sizeof name);
  name[NACRE_TABLE_NAME_BYTES_MAX + 1] = '\0';
  call_must_be(r, "a name too long", nacre_table_create(store, name, NULL, NULL), NC_E_TABLE_NAME);
  call_must_be(r, "no name", nacre_table_create(store, "", NULL, NULL), NC_E_TABLE_NAME);
  call_must_be(r, "a UUID as a name", nacre_table_create(store, "uuid:1", NULL, NULL), NC_E_TABLE_NAME);
  call_must_be(r, "renaming to what is too long", nacre_table_rename(store, "t", name), NC_E_TABLE_NAME);
  name[NACRE_TABLE_NAME_BYTES_MAX] = '\0';
  call_must_work(r, "the longest name", nacre_table_create(store, name, NULL, &table));
  call_must_work(r, "closing it", nacre_table_close(table));
}

static void long_key_specs(run *r, nacre_store *store) {
  static char uri[8192];
  nacre_key_spec many[NACRE_KEY_SPECS_MAX + 1];
  memset(uri, 'u', sizeof uri - 1);
  memcpy(uri, "local:/", 7);
  for (size_t i = 0; i <= NACRE_KEY_SPECS_MAX; i++) many[i] = (nacre_key_spec){.uri = r->t.s.uri};
  nacre_table_options too_many = {.keys = many, .key_count = NACRE_KEY_SPECS_MAX + 1};
  nacre_key_spec spec = {.uri = uri};
  nacre_table_options too_long = {.keys = &spec, .key_count = 1};
  nacre_status status = nacre_table_create(store, "many keys", &too_many, NULL);
  (void)CHECK(status == NACRE_INVALID || status == NACRE_TOO_LARGE, "too many keys: %s",
              nacre_status_name(status));
  status = nacre_table_create(store, "a long key", &too_long, NULL);
  (void)CHECK(status == NACRE_INVALID || status == NACRE_TOO_LARGE, "too long a URI: %s",
              nacre_status_name(status));
  r->cases += 2;
}

static void too_long(run *r) {
  sim_disk *disk = sim_disk_create();
  nacre_store_options options = subject_options(&r->t.s, sim_disk_io(disk), false);
  uint8_t *bytes = test_alloc(NACRE_BATCH_BYTES_MAX + 1);
  nacre_store *store;
  nacre_table *table;
  options.memtable_bytes = 64 << 20;
  if (nacre_open("long", &options, &store) != NACRE_OK ||
      nacre_table_create(store, "t", NULL, &table) != NACRE_OK)
    test_die("a store cannot be made");
  long_keys(r, table, bytes);
  long_batches(r, table, bytes);
  long_names(r, store);
  long_key_specs(r, store);
  call_must_work(r, "closing the table", nacre_table_close(table));
  call_must_work(r, "closing the store", nacre_close(store));
  sim_disk_destroy(disk);
  free(bytes);
}

int main(void) {
  static run r;
  double started = test_seconds();
  subject_make(&r.t.s, NULL);
  subject_make(&r.foreign, NULL);
  shelf_copy(&r.work, &r.t.s.clean);
  trial_begin(&r.t, &r.work, false);
  spoil_keyring(&r);
  for (size_t i = 1; i < r.work.dir_count; i++) spoil_key_files(&r, r.t.s.clean.dirs[i].name);
  later_versions(&r);
  too_long(&r);
  trial_end(&r.t);
  trial_print(&r.t, "keys: key files and versions");
  printf("keys: %llu statuses and ids, %.1f s\n", (unsigned long long)r.cases, test_seconds() - started);
  shelf_deinit(&r.work);
  subject_remove(&r.foreign);
  subject_remove(&r.t.s);
  return test_finish();
}
