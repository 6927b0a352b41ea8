/* SPDX-License-Identifier: Apache-2.0
 *
 * A disk in memory that forgets: an implementation of nacre_io for cutting the power, failing operations and
 * filling up.
 *
 * What it models, as the worst that POSIX and ext4 allow
 *   - A file has stable content (as of its last sync) and the writes since. file_sync makes bytes and length
 *     stable, not the file's name.
 *   - A directory has stable names (as of its last dir_sync) and the changes since: a name added, removed,
 *     renamed. A file whose name was never made stable is gone after the cut, synced or not; a removed one
 *     may come back.
 *   - After a cut the adversary (sim_policy and a seed) picks which of the rest survive. The unit of survival
 *     is the 512-byte sector: a sector holds what it held after one of the writes that touched it, or what
 *     was stable. A file may have grown without its data (zeros). A rename, or a cut of a file, happened or did
 *     not. What is stored into a map is as dirty as what is written.
 *
 * Operations (write, store, truncate, sync, create, remove, rename, mkdir, rmdir, dir_sync) are numbered from 0
 * in the order they begin. Paths for dir_open are names from the root, which always exists and needs no sync; the names in
 * it do.
 *
 * Threads: one mutex a disk; disks that share pages may be used by different threads. Everything is
 * deterministic for one thread: the clock is a counter.
 */
#ifndef NACRE_TESTS_SIM_DISK_H
#define NACRE_TESTS_SIM_DISK_H

#include <nacre/nacre_io.h>

#include "sim_content.h"

typedef struct sim_disk sim_disk;

typedef enum sim_operation {
  SIM_WRITE = 1u << 0,
  SIM_SYNC = 1u << 1,
  SIM_CREATE = 1u << 2,
  SIM_REMOVE = 1u << 3,
  SIM_RENAME = 1u << 4,
  SIM_MKDIR = 1u << 5,
  SIM_RMDIR = 1u << 6,
  SIM_DIR_SYNC = 1u << 7,
  SIM_READ = 1u << 8, /* these can be made to fail, and have no number: */
  SIM_OPEN = 1u << 9,
  SIM_OPEN_WRITABLE = 1u << 10, /* of a file that is there: nobody but a rewrap does that */
  SIM_MAP = 1u << 11,
  SIM_TRUNCATE = 1u << 12, /* has a number */
  SIM_STORE = 1u << 13     /* has a number, and cannot fail */
} sim_operation;

enum { SIM_OPERATIONS_ALL = 0xff | SIM_TRUNCATE }; /* everything that has a number and can fail */

/* What of the unsynced rest survives a cut. "Data" are writes, "names" are directory changes. */
typedef enum sim_policy {
  SIM_KEEP_NONE = 0,
  SIM_KEEP_ALL,
  SIM_KEEP_PREFIX,      /* everything before one operation */
  SIM_KEEP_PREFIX_TORN, /* and that operation itself in part: by sectors, or up to a byte */
  SIM_KEEP_SUFFIX,      /* everything from one operation on: holes first */
  SIM_KEEP_SUBSET,      /* whole writes and names, each by itself, more or fewer of them */
  SIM_KEEP_SECTORS,     /* sectors and names, each by itself; files may grow by zeros */
  SIM_KEEP_DATA,        /* all data, no name */
  SIM_KEEP_NAMES,       /* all names, no data; files may grow by zeros */
  SIM_POLICY_COUNT
} sim_policy;

const char *sim_policy_name(sim_policy policy);

sim_disk *sim_disk_create(void);
void sim_disk_destroy(sim_disk *disk); /* every handle must be closed */
const nacre_io *sim_disk_io(sim_disk *disk);

uint64_t sim_disk_operations(sim_disk *disk); /* how many have begun */
uint64_t sim_disk_handles(sim_disk *disk);    /* open files, directories and locks */
uint64_t sim_disk_used(sim_disk *disk);       /* bytes of all files that have a name or a handle */

/* From operation `number` on, everything fails with EIO: the process is dead. NACRE_NONE: never. */
void sim_disk_cut_at(sim_disk *disk, uint64_t number);

/* Called before operation `number` takes effect, with no lock held: the place to take images without
 * stopping. */
void sim_disk_watch(sim_disk *disk, void (*before)(void *arg, uint64_t number), void *arg);

/* A new disk, as the machine finds it after the power was cut now. Everything on it is stable. `disk` goes
 * on unharmed. */
sim_disk *sim_disk_image(sim_disk *disk, sim_policy policy, uint64_t seed);

/* Another disk in the same state, with what is not synced yet, as a process finds it whose predecessor was killed.
 * Operations go on being numbered where `disk` is. */
sim_disk *sim_disk_copy(sim_disk *disk);

/* SHA-256 over every name, kind and byte as a reader sees them. */
void sim_disk_digest(sim_disk *disk, uint8_t digest[SIM_DIGEST_BYTES]);

typedef enum sim_sync_failure {
  SIM_SYNC_FORGETS = 0, /* the cached pages are dropped at once: reads see the stable content */
  SIM_SYNC_PRETENDS     /* reads still see the cache, but no later sync writes those pages */
} sim_sync_failure;

typedef struct sim_fault {
  uint32_t operations; /* which sim_operations fail */
  uint64_t after;      /* this many of them pass first */
  uint64_t count;      /* then this many fail; NACRE_NONE: all */
  int error;           /* errno */
  bool partial;        /* a failing write leaves half of its bytes */
  sim_sync_failure sync_failure;
} sim_fault;

void sim_disk_fault(sim_disk *disk, const sim_fault *fault); /* NULL: none; counting begins anew */
uint64_t sim_disk_faults_hit(sim_disk *disk);                /* since sim_disk_fault */
uint64_t sim_disk_faults_seen(sim_disk *disk); /* operations that the fault concerns, struck or not */
/* From now on every file seems to have this many further names. Images and copies inherit it. */
void sim_disk_links(sim_disk *disk, uint32_t further);
void sim_disk_without_maps(sim_disk *disk); /* from the next log on: every write is a write, and no file has filler */
void sim_disk_capacity(sim_disk *disk,
                       uint64_t bytes); /* beyond it ENOSPC, after a partial write; NACRE_NONE: none */

#endif
