/* SPDX-License-Identifier: Apache-2.0
 *
 * The operations of the simulated disk. Each begins with begin(), which numbers it, cuts the power and
 * injects faults; everything after that happens under the disk's mutex, in one piece. It is
 * long because nacre_io is: the table's operations stand here one behind the other.
 */
#include "sim_disk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim_state.h"
#include "support.h"

struct nacre_io_dir {
  sim_inode *inode;
};
struct nacre_io_file {
  sim_inode *inode;
  bool writable;
};
struct nacre_io_lock {
  sim_inode *inode;
  bool exclusive;
};
struct nacre_io_map {
  sim_inode *inode;
  uint64_t offset;
  size_t size;
};

/* ---- beginning an operation ---------------------------------------------------------------------------- */

static bool fault_strikes(sim_disk *disk, sim_operation operation) {
  if ((disk->fault.operations & operation) == 0) return false;
  uint64_t seen = disk->fault_seen++;
  if (seen < disk->fault.after || seen - disk->fault.after >= disk->fault.count) return false;
  disk->faults_hit++;
  return true;
}

/* Takes the mutex and gives the operation its number. 0, EIO of a dead disk, or the errno of an injected
 * fault, in which case `ret_fault` is true. */
static int begin(sim_disk *disk, sim_operation operation, bool *ret_fault) {
  if (disk->before != NULL) disk->before(disk->before_arg, disk->operations);
  pthread_mutex_lock(&disk->mutex);
  *ret_fault = false;
  if (disk->operations >= disk->cut_at) disk->dead = true;
  if (disk->dead) return EIO;
  disk->operations++;
  *ret_fault = fault_strikes(disk, operation);
  return *ret_fault ? disk->fault.error : 0;
}

static int end(sim_disk *disk, int result) {
  pthread_mutex_unlock(&disk->mutex);
  return result;
}

/* For operations that change nothing. */
static int begin_quiet(sim_disk *disk) {
  pthread_mutex_lock(&disk->mutex);
  return disk->dead ? EIO : 0;
}

static int check_name(const char *name) {
  if (*name == '\0' || strchr(name, '/') != NULL || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
    return EINVAL;
  return strlen(name) < SIM_NAME_BYTES ? 0 : ENAMETOOLONG;
}

static uint64_t used_bytes(const sim_disk *disk) {
  uint64_t used = 0;
  for (const sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next)
    if (inode->names_held > 0 || inode->handles > 0) used += inode->current.size;
  return used;
}

/* ---- directory changes --------------------------------------------------------------------------------- */

static void change_names(sim_disk *disk, sim_inode *dir, sim_change_kind kind, const char *name,
                         const char *to, sim_inode *inode) {
  dir->changes = test_grow(dir->changes, dir->change_count, &dir->change_capacity, sizeof *dir->changes);
  sim_change *change = &dir->changes[dir->change_count++];
  memset(change, 0, sizeof *change);
  change->operation = disk->operations - 1;
  change->kind = kind;
  memcpy(change->name, name, strlen(name));
  if (to != NULL) memcpy(change->to, to, strlen(to));
  change->inode = inode;
  sim_names_apply(&dir->names, change);
}

static int add_name(sim_disk *disk, sim_inode *dir, const char *name, bool directory, sim_inode **ret_inode) {
  int error = check_name(name);
  if (error != 0) return error;
  if (sim_names_find(&dir->names, name) != NULL) return EEXIST;
  if (disk->capacity != NACRE_NONE && used_bytes(disk) >= disk->capacity) return ENOSPC;
  sim_inode *inode = sim_inode_create(disk, directory);
  inode->names_held = 1;
  change_names(disk, dir, SIM_CHANGE_ADD, name, NULL, inode);
  *ret_inode = inode;
  return 0;
}

static int find(const sim_inode *dir, const char *name, bool directory, sim_inode **ret_inode) {
  const sim_name *found = sim_names_find(&dir->names, name);
  if (found == NULL) return ENOENT;
  if (found->inode->directory != directory) return directory ? ENOTDIR : EINVAL;
  *ret_inode = found->inode;
  return 0;
}

static nacre_io_dir *dir_handle(sim_disk *disk, sim_inode *inode) {
  nacre_io_dir *dir = test_alloc(sizeof *dir);
  dir->inode = inode;
  inode->handles++;
  disk->handles++;
  return dir;
}

static int walk(sim_disk *disk, const char *path, size_t size, sim_inode **ret_inode) {
  sim_inode *inode = disk->root;
  while (size > 0) {
    const char *slash = memchr(path, '/', size);
    size_t part = slash != NULL ? (size_t)(slash - path) : size;
    char name[SIM_NAME_BYTES] = {0};
    if (part >= sizeof name) return ENAMETOOLONG;
    memcpy(name, path, part);
    if (part > 0 && strcmp(name, ".") != 0) {
      int error = find(inode, name, true, &inode);
      if (error != 0) return error;
    }
    part += slash != NULL ? 1 : 0;
    path += part;
    size -= part;
  }
  *ret_inode = inode;
  return 0;
}

static void sync_names(sim_inode *dir) {
  sim_names_share(&dir->stable_names, &dir->names);
  dir->change_count = 0;
}

static int sim_dir_open(void *context, const char *path, bool create, nacre_io_dir **ret_dir) {
  sim_disk *disk = context;
  sim_inode *inode = NULL;
  bool fault;
  int error = begin_quiet(disk);
  if (error == 0) error = walk(disk, path, strlen(path), &inode);
  if (error == 0) *ret_dir = dir_handle(disk, inode);
  end(disk, error);
  if (error != ENOENT || !create) return error;
  size_t size = strlen(path);
  while (size > 0 && path[size - 1] == '/') size--;
  size_t parent_size = size;
  while (parent_size > 0 && path[parent_size - 1] != '/') parent_size--;
  char name[SIM_NAME_BYTES] = {0};
  if (size - parent_size >= sizeof name) return ENAMETOOLONG;
  memcpy(name, path + parent_size, size - parent_size);
  sim_inode *parent = NULL;
  error = begin(disk, SIM_MKDIR, &fault);
  if (error == 0) error = walk(disk, path, parent_size, &parent);
  if (error == 0) error = add_name(disk, parent, name, true, &inode);
  if (error == 0) sync_names(parent); /* a directory made by its path is durable on return (nacre_io.h) */
  if (error == 0) *ret_dir = dir_handle(disk, inode);
  return end(disk, error);
}

static int sim_dir_open_at(void *context, nacre_io_dir *parent, const char *name, nacre_io_dir **ret_dir) {
  sim_disk *disk = context;
  sim_inode *inode = NULL;
  int error = begin_quiet(disk);
  if (error == 0) error = find(parent->inode, name, true, &inode);
  if (error == 0) *ret_dir = dir_handle(disk, inode);
  return end(disk, error);
}

static int sim_dir_create_at(void *context, nacre_io_dir *parent, const char *name) {
  sim_disk *disk = context;
  sim_inode *inode = NULL;
  bool fault;
  int error = begin(disk, SIM_MKDIR, &fault);
  return end(disk, error != 0 ? error : add_name(disk, parent->inode, name, true, &inode));
}

static int remove_name(sim_disk *disk, sim_inode *dir, const char *name, bool directory) {
  sim_inode *inode = NULL;
  int error = find(dir, name, directory, &inode);
  if (error != 0) return error == EINVAL ? EISDIR : error;
  if (directory && inode->names.count > 0) return ENOTEMPTY;
  inode->names_held--;
  change_names(disk, dir, SIM_CHANGE_REMOVE, name, NULL, inode);
  return 0;
}

static int sim_dir_remove_at(void *context, nacre_io_dir *parent, const char *name) {
  bool fault;
  int error = begin(context, SIM_RMDIR, &fault);
  return end(context, error != 0 ? error : remove_name(context, parent->inode, name, true));
}

static int sim_remove(void *context, nacre_io_dir *dir, const char *name) {
  bool fault;
  int error = begin(context, SIM_REMOVE, &fault);
  return end(context, error != 0 ? error : remove_name(context, dir->inode, name, false));
}

static int rename_name(sim_disk *disk, sim_inode *dir, const char *from, const char *to) {
  const sim_name *source = sim_names_find(&dir->names, from);
  const sim_name *target = sim_names_find(&dir->names, to);
  if (source == NULL) return ENOENT;
  if (target != NULL && target->inode == source->inode) return 0;
  if (target != NULL && (target->inode->directory || source->inode->directory))
    return target->inode->directory ? EISDIR : ENOTDIR;
  if (target != NULL) target->inode->names_held--;
  change_names(disk, dir, SIM_CHANGE_RENAME, from, to, source->inode);
  return 0;
}

static int sim_rename(void *context, nacre_io_dir *dir, const char *from, const char *to) {
  bool fault;
  int error = begin(context, SIM_RENAME, &fault);
  if (error == 0) error = check_name(to);
  return end(context, error != 0 ? error : rename_name(context, dir->inode, from, to));
}

/* The names are copied first: `visit` may open what it is told of. */
static int sim_dir_list(void *context, nacre_io_dir *dir,
                        int (*visit)(void *arg, const char *name, nacre_io_kind kind), void *arg) {
  sim_disk *disk = context;
  sim_names names = {0};
  int result = begin_quiet(disk);
  if (result == 0) sim_names_share(&names, &dir->inode->names);
  end(disk, 0);
  for (size_t i = 0; i < names.count && result == 0; i++)
    result =
        visit(arg, names.at[i].text, names.at[i].inode->directory ? NACRE_IO_DIRECTORY : NACRE_IO_REGULAR);
  free(names.at);
  return result;
}

static int sim_dir_sync(void *context, nacre_io_dir *dir) {
  bool fault;
  int error = begin(context, SIM_DIR_SYNC, &fault);
  if (error == 0) sync_names(dir->inode);
  return end(context, error);
}

static void sim_dir_close(void *context, nacre_io_dir *dir) {
  sim_disk *disk = context;
  pthread_mutex_lock(&disk->mutex);
  dir->inode->handles--;
  disk->handles--;
  free(dir);
  end(disk, 0);
}

/* ---- files --------------------------------------------------------------------------------------------- */

static nacre_io_file *file_handle(sim_disk *disk, sim_inode *inode, bool writable) {
  nacre_io_file *file = test_alloc(sizeof *file);
  *file = (nacre_io_file){inode, writable};
  inode->handles++;
  disk->handles++;
  return file;
}

static int sim_file_create(void *context, nacre_io_dir *dir, const char *name, nacre_io_file **ret_file) {
  sim_inode *inode = NULL;
  bool fault;
  int error = begin(context, SIM_CREATE, &fault);
  if (error == 0) error = add_name(context, dir->inode, name, false, &inode);
  if (error == 0) *ret_file = file_handle(context, inode, true);
  return end(context, error);
}

static int sim_file_open(void *context, nacre_io_dir *dir, const char *name, bool writable,
                         nacre_io_file **ret_file) {
  sim_disk *disk = context;
  sim_inode *inode = NULL;
  int error = begin_quiet(disk);
  bool strikes =
      error == 0 && (fault_strikes(disk, SIM_OPEN) || (writable && fault_strikes(disk, SIM_OPEN_WRITABLE)));
  if (strikes) error = disk->fault.error;
  if (error == 0) error = find(dir->inode, name, false, &inode);
  if (error == 0) *ret_file = file_handle(context, inode, writable);
  return end(context, error);
}

static int sim_file_info(void *context, nacre_io_file *file, nacre_io_info *ret_info) {
  sim_disk *disk = context;
  int error = begin_quiet(disk);
  if (error == 0)
    *ret_info = (nacre_io_info){.size = file->inode->current.size,
                                .links = file->inode->names_held + disk->further_links};
  return end(disk, error);
}

static int sim_file_read(void *context, nacre_io_file *file, uint64_t offset, void *buffer, size_t size,
                         size_t *ret_read) {
  sim_disk *disk = context;
  int error = begin_quiet(disk);
  if (error == 0 && fault_strikes(disk, SIM_READ)) error = disk->fault.error;
  if (error == 0) *ret_read = sim_content_read(&file->inode->current, offset, buffer, size);
  return end(disk, error);
}

void sim_write_apply(sim_content *content, const sim_write *write) {
  if (write->bytes == NULL)
    sim_content_cut(content, write->offset);
  else
    sim_content_write(content, write->offset, write->bytes, write->size);
}

static void change_now(sim_inode *inode, const sim_write *write) {
  inode->writes = test_grow(inode->writes, inode->write_count, &inode->write_capacity, sizeof *inode->writes);
  inode->writes[inode->write_count++] = *write;
  sim_write_apply(&inode->current, write);
}

static void write_now(sim_disk *disk, sim_inode *inode, uint64_t offset, const void *bytes, size_t size) {
  if (size == 0) return;
  sim_write write = {disk->operations - 1, offset, size, test_alloc(size)};
  memcpy(write.bytes, bytes, size);
  change_now(inode, &write);
}

/* How many of `size` bytes at `offset` fit on the disk. */
static size_t room_for(const sim_disk *disk, const sim_inode *inode, uint64_t offset, size_t size) {
  uint64_t used = disk->capacity == NACRE_NONE ? 0 : used_bytes(disk);
  uint64_t room = disk->capacity > used ? disk->capacity - used : 0;
  uint64_t reach = inode->current.size + room;
  if (disk->capacity == NACRE_NONE || offset + size <= reach) return size;
  return offset < reach ? (size_t)(reach - offset) : 0;
}

static int sim_file_write(void *context, nacre_io_file *file, uint64_t offset, const void *buffer,
                          size_t size) {
  sim_disk *disk = context;
  bool fault;
  int error = begin(disk, SIM_WRITE, &fault);
  if (!file->writable) return end(disk, EBADF);
  if (error != 0) {
    if (fault && disk->fault.partial) write_now(disk, file->inode, offset, buffer, size / 2);
    return end(disk, error);
  }
  size_t fits = room_for(disk, file->inode, offset, size);
  write_now(disk, file->inode, offset, buffer, fits);
  return end(disk, fits == size ? 0 : ENOSPC);
}

/* As a file system does that cannot share blocks: the bytes are written. */
static int sim_file_copy(void *context, nacre_io_file *from, nacre_io_file *to, uint64_t offset,
                         uint64_t size) {
  uint8_t *bytes = test_alloc((size_t)size + 1);
  size_t done = 0;
  int code = sim_file_read(context, from, offset, bytes, (size_t)size, &done);
  if (code == 0 && done < size) code = EIO;
  if (code == 0) code = sim_file_write(context, to, offset, bytes, (size_t)size);
  free(bytes);
  return code;
}

static void forget_writes(sim_inode *inode) {
  for (size_t i = 0; i < inode->write_count; i++) free(inode->writes[i].bytes);
  inode->write_count = 0;
}

static void make_stable(sim_inode *inode) {
  if (!inode->pretends)
    sim_content_share(&inode->stable, &inode->current);
  else
    for (size_t i = 0; i < inode->write_count; i++)
      sim_write_apply(&inode->stable, &inode->writes[i]);
  forget_writes(inode);
}

static void fail_sync(const sim_disk *disk, sim_inode *inode) {
  if (disk->fault.sync_failure == SIM_SYNC_PRETENDS)
    inode->pretends = true;
  else
    sim_content_share(&inode->current, &inode->stable);
  forget_writes(inode);
}

static int sim_file_sync(void *context, nacre_io_file *file) {
  bool fault;
  int error = begin(context, SIM_SYNC, &fault);
  if (error == 0)
    make_stable(file->inode);
  else if (fault)
    fail_sync(context, file->inode);
  return end(context, error);
}

static int sim_file_truncate(void *context, nacre_io_file *file, uint64_t size) {
  sim_disk *disk = context;
  bool fault;
  int error = begin(disk, SIM_TRUNCATE, &fault);
  if (error == 0) change_now(file->inode, &(sim_write){disk->operations - 1, size, 0, NULL});
  return end(disk, error);
}

/* ---- maps ---------------------------------------------------------------------------------------------- */

static int sim_file_map(void *context, nacre_io_file *file, uint64_t offset, size_t size,
                        nacre_io_map **ret_map) {
  sim_disk *disk = context;
  int error = begin_quiet(disk);
  if (error == 0 && fault_strikes(disk, SIM_MAP)) error = disk->fault.error;
  if (error == 0 && file->inode->current.size < offset + size)
    test_die("a map reaches behind the end of its file: a store there is a SIGBUS");
  if (error == 0) {
    nacre_io_map *map = test_alloc(sizeof *map);
    *map = (nacre_io_map){file->inode, offset, size};
    file->inode->handles++;
    disk->handles++;
    *ret_map = map;
  }
  return end(disk, error);
}

/* A dead process stores nothing: nobody is told, for nobody is there. */
static void sim_map_store(void *context, nacre_io_map *map, uint64_t offset, const void *bytes, size_t size) {
  sim_disk *disk = context;
  bool fault;
  int error = begin(disk, SIM_STORE, &fault);
  if (offset % 8 != 0 || size < 8 || offset < map->offset || offset + size > map->offset + map->size ||
      offset + size > map->inode->current.size)
    test_die("a store of %zu bytes at %llu is not within its map and file", size, (unsigned long long)offset);
  if (error == 0) write_now(disk, map->inode, offset, bytes, size);
  end(disk, 0);
}

static void sim_file_unmap(void *context, nacre_io_map *map) {
  sim_disk *disk = context;
  pthread_mutex_lock(&disk->mutex);
  map->inode->handles--;
  disk->handles--;
  free(map);
  end(disk, 0);
}

static void sim_file_close(void *context, nacre_io_file *file) {
  sim_disk *disk = context;
  pthread_mutex_lock(&disk->mutex);
  file->inode->handles--;
  disk->handles--;
  free(file);
  end(disk, 0);
}

/* ---- locks, clocks ------------------------------------------------------------------------------------- */

static int take_lock(sim_disk *disk, sim_inode *inode, bool exclusive, nacre_io_lock **ret_lock) {
  if (inode->locked || (exclusive && inode->locks_shared > 0)) return EWOULDBLOCK;
  nacre_io_lock *lock = test_alloc(sizeof *lock);
  *lock = (nacre_io_lock){inode, exclusive};
  if (exclusive)
    inode->locked = true;
  else
    inode->locks_shared++;
  inode->handles++;
  disk->handles++;
  *ret_lock = lock;
  return 0;
}

static int sim_lock(void *context, nacre_io_dir *dir, const char *name, bool exclusive,
                    nacre_io_lock **ret_lock) {
  sim_disk *disk = context;
  sim_inode *inode = NULL;
  bool fault;
  int error = begin_quiet(disk);
  if (error == 0) error = find(dir->inode, name, false, &inode);
  if (error != ENOENT || !exclusive)
    return end(disk, error != 0 ? error : take_lock(disk, inode, exclusive, ret_lock));
  end(disk, 0);
  error = begin(disk, SIM_CREATE, &fault);
  if (error == 0) error = add_name(disk, dir->inode, name, false, &inode);
  return end(disk, error != 0 ? error : take_lock(disk, inode, exclusive, ret_lock));
}

static void sim_unlock(void *context, nacre_io_lock *lock) {
  sim_disk *disk = context;
  pthread_mutex_lock(&disk->mutex);
  if (lock->exclusive)
    lock->inode->locked = false;
  else
    lock->inode->locks_shared--;
  lock->inode->handles--;
  disk->handles--;
  free(lock);
  end(disk, 0);
}

static uint64_t sim_monotonic_ns(void *context) {
  sim_disk *disk = context;
  pthread_mutex_lock(&disk->mutex);
  uint64_t now = disk->clock_ns += 100000;
  end(disk, 0);
  return now;
}

static uint64_t sim_wall_ms(void *context) { return 1700000000000u + sim_monotonic_ns(context) / 1000000; }

/* ---- the disk ------------------------------------------------------------------------------------------ */

sim_inode *sim_inode_create(sim_disk *disk, bool directory) {
  sim_inode *inode = test_alloc(sizeof *inode);
  inode->directory = directory;
  inode->next = disk->inodes;
  disk->inodes = inode;
  return inode;
}

sim_disk *sim_disk_create(void) {
  sim_disk *disk = test_alloc(sizeof *disk);
  pthread_mutex_init(&disk->mutex, NULL);
  disk->cut_at = NACRE_NONE;
  disk->capacity = NACRE_NONE;
  disk->root = sim_inode_create(disk, true);
  disk->io = (nacre_io){
      .context = disk,
      .dir_open = sim_dir_open,
      .dir_open_at = sim_dir_open_at,
      .dir_create_at = sim_dir_create_at,
      .dir_remove_at = sim_dir_remove_at,
      .dir_list = sim_dir_list,
      .dir_sync = sim_dir_sync,
      .dir_close = sim_dir_close,
      .file_create = sim_file_create,
      .file_open = sim_file_open,
      .file_info = sim_file_info,
      .file_read = sim_file_read,
      .file_write = sim_file_write,
      .file_copy = sim_file_copy,
      .file_map = sim_file_map,
      .map_store = sim_map_store,
      .file_unmap = sim_file_unmap,
      .file_truncate = sim_file_truncate,
      .file_sync = sim_file_sync,
      .file_close = sim_file_close,
      .rename = sim_rename,
      .remove = sim_remove,
      .lock = sim_lock,
      .unlock = sim_unlock,
      .monotonic_ns = sim_monotonic_ns,
      .wall_ms = sim_wall_ms,
  };
  return disk;
}

static void inode_destroy(sim_inode *inode) {
  forget_writes(inode);
  free(inode->writes);
  sim_content_deinit(&inode->current);
  sim_content_deinit(&inode->stable);
  free(inode->names.at);
  free(inode->stable_names.at);
  free(inode->changes);
  free(inode);
}

void sim_disk_destroy(sim_disk *disk) {
  if (disk == NULL) return;
  if (disk->handles > 0)
    test_die("a simulated disk is destroyed with %llu open handles", (unsigned long long)disk->handles);
  while (disk->inodes != NULL) {
    sim_inode *next = disk->inodes->next;
    inode_destroy(disk->inodes);
    disk->inodes = next;
  }
  pthread_mutex_destroy(&disk->mutex);
  free(disk);
}

const nacre_io *sim_disk_io(sim_disk *disk) { return &disk->io; }

static uint64_t read_locked(sim_disk *disk, const uint64_t *number) {
  pthread_mutex_lock(&disk->mutex);
  uint64_t copy = *number;
  pthread_mutex_unlock(&disk->mutex);
  return copy;
}

uint64_t sim_disk_operations(sim_disk *disk) { return read_locked(disk, &disk->operations); }
uint64_t sim_disk_handles(sim_disk *disk) { return read_locked(disk, &disk->handles); }
uint64_t sim_disk_faults_hit(sim_disk *disk) { return read_locked(disk, &disk->faults_hit); }

uint64_t sim_disk_faults_seen(sim_disk *disk) { return read_locked(disk, &disk->fault_seen); }

uint64_t sim_disk_used(sim_disk *disk) {
  pthread_mutex_lock(&disk->mutex);
  uint64_t used = used_bytes(disk);
  pthread_mutex_unlock(&disk->mutex);
  return used;
}

void sim_disk_cut_at(sim_disk *disk, uint64_t number) {
  pthread_mutex_lock(&disk->mutex);
  disk->cut_at = number;
  disk->dead = disk->operations > number;
  pthread_mutex_unlock(&disk->mutex);
}

void sim_disk_watch(sim_disk *disk, void (*before)(void *arg, uint64_t number), void *arg) {
  disk->before = before;
  disk->before_arg = arg;
}

void sim_disk_fault(sim_disk *disk, const sim_fault *fault) {
  pthread_mutex_lock(&disk->mutex);
  disk->fault = fault != NULL ? *fault : (sim_fault){0};
  disk->fault_seen = disk->faults_hit = 0;
  pthread_mutex_unlock(&disk->mutex);
}

void sim_disk_capacity(sim_disk *disk, uint64_t bytes) {
  pthread_mutex_lock(&disk->mutex);
  disk->capacity = bytes;
  pthread_mutex_unlock(&disk->mutex);
}

void sim_disk_without_maps(sim_disk *disk) { disk->io.file_map = NULL; }

void sim_disk_links(sim_disk *disk, uint32_t further) {
  pthread_mutex_lock(&disk->mutex);
  disk->further_links = further;
  pthread_mutex_unlock(&disk->mutex);
}
