/* SPDX-License-Identifier: Apache-2.0
 *
 * nacre.h: an embeddable table store that encrypts everything it keeps. This header is the manual.
 *
 * A *store* is a directory with a sealed catalogue of *tables*. A table maps keys to values, both of them
 * bytes; keys order as memcmp does, a prefix before what it begins. Every byte at rest is sealed with
 * AES-256-GCM under keys that are wrapped by the caller's KMS.
 *
 * Conventions, for every function unless it says otherwise
 *   Errors     A call that can fail returns nacre_status; nacre_last_error() tells the calling thread the
 *              detail. Results come last, in `ret_` parameters, and are untouched on failure (a nacre_value
 *              is zeroed). A report that the caller does not want may be NULL.
 *   Ownership  What a call takes, it copies before it returns. What it hands out belongs to the caller until
 *              it is given back with the matching close, destroy, release or free; giving back NULL or a
 *              zeroed value is harmless.
 *   Threads    Store and table handles may be used from any thread at once; an iterator or a batch by one
 *              thread at a time. Nacre never changes signals, locale, umask, working directory or OpenSSL's
 *              default context.
 *   Options    NULL or a zeroed struct means the defaults. `reserved` must be zero (NACRE_INVALID otherwise).
 *              A field that this version cannot honour is refused with NACRE_UNSUPPORTED, never ignored.
 *   Fork       In a child, every handle of the parent answers NACRE_FORKED; the parent's are unharmed. A
 *              child that outlives its parent keeps the store's lock until it exits.
 *   Any call   may return NACRE_NO_MEMORY, NACRE_INVALID (a malformed argument) or NACRE_FORKED; these are
 *              not repeated.
 *
 * Durability. Once a write returns, `kill -9` loses nothing. With sync = true it also survives the loss of
 * power. A write that returns an error is indeterminate: it may or may not be there after a reopen, and never
 * leaves a gap before a later one.
 *
 * Statuses, and who returns them. Each call's own list stands with it; this is all, by kinds of calls:
 *   O opens     nacre_open, nacre_table_open, nacre_table_keys_open
 *   T tables    nacre_table_create, _drop, _rename, _list
 *   R reads     nacre_get, _get_into, _multi_get, nacre_iter_status
 *   W writes    nacre_put, _delete, _write, nacre_load_begin, _put, _commit
 *   C care      nacre_sync, _flush, _compact, _wait_idle, nacre_table_close, nacre_close
 *   V verify    nacre_verify; nacre_salvage, which opens and writes too
 *   K keys      nacre_table_set_key, _rotate, _rewrap_wait, nacre_store_set_key, _rotate
 *
 *   NACRE_NOT_FOUND        O T R        no such store, table or key; no place for a keyring
 *   NACRE_EXISTS           O T          the name is taken
 *   NACRE_INVALID          any          an argument is malformed: a mistake of the program
 *   NACRE_TOO_LARGE        O T R W K    beyond a limit (nacre_format.h), or a buffer is too small
 *   NACRE_BUSY             O T C        handles are still open, or open in another way
 *   NACRE_CONFLICT         W            a key that the batch expects to be unchanged has changed
 *   NACRE_UNSUPPORTED      O T R W C V K
 *                                       an option or a file's version that this library does not know
 *   NACRE_IO               O T R W C V K
 *                                       the system failed; what was acknowledged is safe; may be tried again
 *   NACRE_NO_SPACE         O T W C K    the disk is full; writes resume by themselves when there is room
 *   NACRE_NO_MEMORY        any          there is no memory, or no thread; may be tried again
 *   NACRE_LOCKED           O            another process has the store open
 *   NACRE_READ_ONLY        O T W C K    the handle, the store or the file system may not be written
 *   NACRE_FORKED           any          the handle belongs to the parent process
 *   NACRE_CORRUPT          O T R W C V K
 *                                       bytes are damaged; the rest still answers (nacre_verify)
 *   NACRE_TAMPERED         O T R W C V K
 *                                       bytes changed and their checksums mended, or files swapped
 *   NACRE_ROLLED_BACK      O T R W C V K
 *                                       files were put back to an older copy
 *   NACRE_KEY_MISSING      O T R W C V K
 *                                       the key is wrong or lost, or the key file is not the table's
 *   NACRE_KEY_DENIED       O T K        the key service refuses, or a keyring is not its user's alone
 *   NACRE_KEY_UNREACHABLE  O T K        the key service does not answer; may be tried again
 * No call returns NACRE_CANCELLED or NACRE_KEY_REVOKED yet.
 */
#ifndef NACRE_H
#define NACRE_H

#include <nacre/nacre_format.h>
#include <nacre/nacre_io.h>
#include <nacre/nacre_kms.h>
#include <nacre/nacre_seal.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nacre_store nacre_store;
typedef struct nacre_table nacre_table;
typedef struct nacre_table_infos nacre_table_infos;
typedef struct nacre_batch nacre_batch;
typedef struct nacre_iter nacre_iter;
typedef struct nacre_snapshot nacre_snapshot;
typedef struct nacre_load nacre_load;
typedef struct nacre_faults nacre_faults;

/* ---- events -------------------------------------------------------------------------------------------- */

typedef enum nacre_event_type {
  NACRE_EVENT_RECOVERED = 1, /* a table opened after an unclean end; `bytes` were dropped from its logs */
  NACRE_EVENT_FLUSHED = 2,   /* a memtable became a segment of `bytes` */
  NACRE_EVENT_MERGED = 3,    /* segments were merged into `bytes` */
  NACRE_EVENT_BACKGROUND_ERROR = 4, /* `work` begins to fail, or gets worse; `error` says why, `severity` how */
                                    /* bad it is. It is tried again by itself (nacre_table_health) */
  NACRE_EVENT_HEALED = 5,           /* what had failed (`work`) has succeeded */
  NACRE_EVENT_KEY_CHANGED = 6,   /* new files are made under table-key version `kek_version` from here on */
  NACRE_EVENT_REWRAPPED = 7,     /* every file is under the active table key: `files` were looked at */
  NACRE_EVENT_KEY_RETIRED = 8,   /* no file is left under version `kek_version`; with `key_uri`: that KMS key */
                                 /* is no longer needed by this table */
  NACRE_EVENT_KEY_ABANDONED = 9, /* a change of keys that had not been committed was undone: `error` says why */
  NACRE_EVENT_REWRAP_PROGRESS = 10 /* `files_done` of `files`, about every second */
} nacre_event_type;

/* What may fail without anybody to tell, or fails for all who write. */
typedef enum nacre_work {
  NACRE_WORK_WRITE = 0,  /* logging a group of writes, or syncing it; each caller is told, too */
  NACRE_WORK_FLUSH = 1,  /* a memtable to a segment */
  NACRE_WORK_MERGE = 2,  /* segments to segments */
  NACRE_WORK_REWRAP = 3, /* files to the newest table key */
  NACRE_WORK_COUNT = 4   /* how many there are */
} nacre_work;

/* What it keeps from the table. In no case is anything lost that was acknowledged. */
typedef enum nacre_severity {
  NACRE_SEVERITY_NONE = 0,     /* nothing failed at the last try */
  NACRE_SEVERITY_DELAYED = 1,  /* only this work is put off; reads and writes go on */
  NACRE_SEVERITY_STOPPED = 2,  /* writes fail with this error; each of them tries again */
  NACRE_SEVERITY_READ_ONLY = 3 /* writes fail until somebody has seen to it: trying again does not help */
} nacre_severity;

/* What heals it. */
typedef enum nacre_remedy {
  NACRE_REMEDY_NONE = 0,  /* nothing is wrong */
  NACRE_REMEDY_TIME = 1,  /* trying again, which is done by itself: see nacre_table_health */
  NACRE_REMEDY_ROOM = 2,  /* room on the disk; then as above. Dropping another table makes some */
  NACRE_REMEDY_REPAIR = 3 /* what the error's text says, and opening the table again */
} nacre_remedy;

/* Delivered on whatever thread caused it, with no lock of Nacre's held that a read needs. The callback must
 * return soon and must not call into the same store. All pointers are valid during the call only. */
typedef struct nacre_event {
  nacre_event_type type;
  const char *table; /* its name; NULL for the catalogue */
  uint64_t bytes;
  const nacre_error *error; /* NULL when nothing failed */
  uint32_t kek_version;
  const char *key_uri; /* NULL: none */
  uint64_t files, files_done;
  nacre_work work;         /* of a background error, and of what has healed */
  nacre_severity severity; /* of a background error */
  uint64_t reserved[8];
} nacre_event;

/* ---- the store ----------------------------------------------------------------------------------------- */

typedef struct nacre_store_options {
  bool create;         /* make the store when the directory is missing or empty */
  bool must_not_exist; /* with create: NACRE_EXISTS when there is one */
  bool read_only; /* shared lock; logs are replayed in memory, and nothing on disk is changed or healed */
  /* Wraps the catalogue's key, and tables' where none is named. No URI: "local:", a keyring outside the
   * store, made on first use (nacre_keyring_path). Without its key a store is lost. */
  nacre_key_spec default_key;
  /* Further keys that may be contacted; those that the authenticated catalogue names may be in any case. */
  const nacre_key_spec *trusted_keys;
  size_t trusted_key_count;
  const char *region;      /* which of a table key's wraps to try first */
  uint64_t cache_bytes;    /* decrypted blocks, shared by all tables; default 256 MiB; NACRE_NONE: no cache */
  uint64_t memtable_bytes; /* a table's memtable before it is flushed; default 64 MiB; at least 64 KiB */
  /* Everything that Nacre holds for all tables: memtables, the cache and blocks that are in use beside it,
   * the roots and filters of open segments, their cipher contexts, iterators, and the buffers of writers,
   * flushes and merges. Default 1 GiB; at least 128 KiB more than the cache. To stay under it the cache is
   * shrunk, memtables are flushed early and idle segments closed. On top may come, for as long as they last,
   * up to 4 MiB of such buffers, the batch that is being written, and what the application pins (values,
   * iterators). Freed memory stays with the store for reuse: the process may take somewhat more. */
  uint64_t memory_bytes_max;
  uint32_t workers; /* background threads; default 2. UINT32_MAX: none, calling threads do all the work */
  /* Segments, of all tables, that stay open at once; default 512; at least 16. Others are closed when another
   * is to be opened, and opened again when they are read. More are open only while more are being read: by
   * live iterators and merges, one a run. A table's directory, log and manifest, and what each thread is
   * writing, come on top: see to it that RLIMIT_NOFILE allows for about four more a table. */
  uint32_t open_files_max;
  uint64_t key_check_ms;     /* not yet supported: refused unless 0 */
  uint64_t key_stale_max_ms; /* not yet supported: refused unless 0 */
  uint64_t kms_deadline_ms;  /* how long one KMS call may take; default 10,000 */
  void (*on_event)(void *arg, const nacre_event *event);
  void *event_arg;
  const nacre_io *io; /* NULL: the operating system. The table must outlive the store. Commit logs are mapped then, on
                       * ext4 and tmpfs; how to go without, and why one might: nacre_io.h, file_map. */
  nacre_slice anchor; /* not yet supported: refused unless empty */
  /* Opens only a store whose catalogue's key is, or has succeeded by rotation, the one of this commitment
   * (nacre_key_version, 64 hexadecimal digits); NULL: any that default_key opens. Else NACRE_TAMPERED. */
  const char *pinned_commitment;
  /* Looked up by scheme before the built-in ones; must outlive the store. */
  const nacre_kms_provider *const *kms_providers;
  size_t kms_provider_count;
  /* Asked for the passphrase of a keyring that lies under one, or is to be made: once for each, however many
   * tables it opens. NULL: the environment's NACRE_PASSPHRASE_FILE (nacre_kms.h). */
  nacre_passphrase_ask passphrase;
  void *passphrase_arg;
  uint64_t reserved[8];
} nacre_store_options;

/* Opens a store, one process at a time (read-only opens share). Opening a store that was closed cleanly
 * writes nothing but the lock. With `create`, the new store is durable on return. Errors: NACRE_NOT_FOUND (no
 * store there; no place for a keyring), NACRE_EXISTS, NACRE_LOCKED, NACRE_READ_ONLY (the file system is),
 * NACRE_KEY_MISSING / DENIED / UNREACHABLE, NACRE_CORRUPT, NACRE_TAMPERED, NACRE_ROLLED_BACK, NACRE_IO,
 * NACRE_NO_SPACE, NACRE_UNSUPPORTED, NACRE_TOO_LARGE (the keyring's path). A failed create leaves no file
 * behind (an empty directory may stay). Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_open(const char *path, const nacre_store_options *options,
                                                   nacre_store **ret_store);

/* Syncs every log, joins the workers, wipes the keys and releases the lock. NACRE_BUSY while tables are open,
 * and nothing is changed then; after any other result the handle is gone, an error telling that the last sync
 * failed (NACRE_IO, NACRE_NO_SPACE, or as nacre_sync): what was not synced before survives the process but
 * perhaps not the power. Since 0.1. */
NACRE_API nacre_status nacre_close(nacre_store *store);

/* ---- tables -------------------------------------------------------------------------------------------- */

typedef enum nacre_compression {
  /* LZ4 for young segments, for merged-down ones Zstd where it saves an eighth more, none where it does not
   * pay. */
  NACRE_COMPRESSION_AUTOMATIC = 0,
  /* For tables where an attacker's bytes share a block with secrets: lengths leak. */
  NACRE_COMPRESSION_NONE = 1,
  NACRE_COMPRESSION_LZ4 = 2,
  NACRE_COMPRESSION_ZSTD = 3
} nacre_compression;

typedef struct nacre_table_options {
  /* Each makes one wrap of the table key, any one of which opens it; none: the store's default. */
  const nacre_key_spec *keys;
  size_t key_count; /* at most NACRE_KEY_SPECS_MAX */
  nacre_compression compression;
  uint32_t block_bytes;         /* before compression; default 4,096; 1,024 to 1,048,576 */
  uint32_t filter_bits_per_key; /* default 10; at most 32; UINT32_MAX: no filter */
  /* A longer value is kept in a sealed file of its own instead of log and segments, which are spared copying
   * it at every merge; writing one takes two syncs. Default 1 MiB; at least 4,096; NACRE_NONE: only what does
   * not fit the log, over some 15 MiB, is. For values written from then on. */
  uint64_t large_value_bytes;
  /* Merges and bulk loads end a segment when it has grown past this; default 64 MiB; NACRE_SEGMENT_BYTES_MIN
   * to _MAX (16 KiB to 1 GiB). Smaller ones let a merge touch less of what lies below, and are more files. */
  uint64_t segment_bytes;
  /* How many times as large as a level the one below it should be; default 10; NACRE_LEVEL_RATIO_MIN to _MAX
   * (2 to 100). More means fewer levels, and more written again at each merge. */
  uint32_t level_ratio;
  uint64_t reserved[8];
} nacre_table_options;

typedef enum nacre_recovery_mode {
  NACRE_RECOVERY_STRICT = 0, /* a damaged log or manifest refuses to open */
  /* Read-only opens only: the history up to the damage; the report says what is missing. */
  NACRE_RECOVERY_TO_DAMAGE = 1
} nacre_recovery_mode;

typedef struct nacre_table_open_options {
  bool read_only;
  nacre_recovery_mode recovery;
  /* Tried after the wraps that the catalogue names. */
  const nacre_key_spec *keys;
  size_t key_count;
  uint64_t reserved[8];
} nacre_table_open_options;

/* Makes a table and opens it. Every key is probed first: the table key is wrapped, unwrapped again and
 * compared before anything is written. Durable on return. Names are 1 to NACRE_TABLE_NAME_BYTES_MAX bytes,
 * anything but NUL, and do not begin with "uuid:". `ret_table` may be NULL. Errors: NACRE_EXISTS,
 * NACRE_KEY_MISSING / DENIED / UNREACHABLE, NACRE_NOT_FOUND (no place for a keyring), NACRE_UNSUPPORTED (of a
 * keyring), NACRE_TOO_LARGE (what the catalogue would have to record), NACRE_IO, NACRE_NO_SPACE,
 * NACRE_READ_ONLY; and as for every call that goes through the catalogue NACRE_CORRUPT, NACRE_TAMPERED,
 * NACRE_ROLLED_BACK (it, or a keyring, is damaged). Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_table_create(nacre_store *store, const char *name,
                                                           const nacre_table_options *options,
                                                           nacre_table **ret_table);

/* Opens a table by name, or by "uuid:" and its UUID. Opening twice returns the same, counted, handle;
 * NACRE_BUSY when it is open with another read_only or recovery. Logs are replayed in memory, and the call
 * itself writes nothing. Later a table that is not opened read_only writes when it is written to, and by
 * itself, on a worker, when an earlier open has left something to merge: once nobody has written for a
 * second, when that is worth it, also when something has expired since, or later when something expires. So a
 * table that is only read may have NACRE_WORK_MERGE in its health, and in events, when such a merge fails. A
 * store without workers, or opened read_only, does none of it. Errors: NACRE_NOT_FOUND, NACRE_KEY_MISSING /
 * DENIED / UNREACHABLE, NACRE_CORRUPT, NACRE_TAMPERED, NACRE_ROLLED_BACK, NACRE_UNSUPPORTED (a newer
 * version's files), NACRE_IO. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_table_open(nacre_store *store, const char *name,
                                                         const nacre_table_open_options *options,
                                                         nacre_table **ret_table);

/* Gives back one open. The last one waits for background work on the table and ends it cleanly: what was
 * written is on stable storage on return. What logs hold goes to a segment when it is much (2 MiB, or an
 * eighth of memtable_bytes if that is less), so that no open has to replay it. That takes as long as a flush;
 * and the runs that such closes leave are merged when they have become four, for which the table takes the
 * time only when it is closed so soon that it has not done so before: up to a second, with memtables of 64
 * MiB. Less stays in the logs, which are synced. So does what cannot be flushed, on a full disk for instance,
 * which only an event tells (NACRE_EVENT_BACKGROUND_ERROR), for nothing is lost by it. Opening, creating,
 * closing and checkpointing other tables of the store waits for as long. A table that was neither written to
 * nor merged by itself since it was opened is left as it is. NACRE_BUSY with live iterators, snapshots or
 * values, and nothing is changed then; after any other result the handle is gone, an error (as of nacre_sync)
 * telling that the last sync failed. Since 0.1. */
NACRE_API nacre_status nacre_table_close(nacre_table *table);

/* Destroys a table for good: tombstone in the catalogue, then its wrapped keys, then its files. Durable on
 * return, and resumed by the next writing open of the store if interrupted. Errors: NACRE_NOT_FOUND,
 * NACRE_BUSY (open), NACRE_IO, NACRE_NO_SPACE, NACRE_READ_ONLY; of the catalogue NACRE_CORRUPT,
 * NACRE_TAMPERED, NACRE_ROLLED_BACK. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_table_drop(nacre_store *store, const char *name);

/* Renames a table, open or not. Durable on return. Errors: NACRE_NOT_FOUND, NACRE_EXISTS, NACRE_IO,
 * NACRE_NO_SPACE, NACRE_READ_ONLY, NACRE_TOO_LARGE; of the catalogue NACRE_CORRUPT, NACRE_TAMPERED,
 * NACRE_ROLLED_BACK. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_table_rename(nacre_store *store, const char *name,
                                                           const char *to);

typedef struct nacre_table_info {
  const char *name; /* valid until the list is freed, as is the rest */
  char uuid[40];    /* canonical text form; also the name of the table's directory */
  char kek_id[40];  /* the current table key, in the same form */
  uint32_t kek_version;
  nacre_compression compression;
  uint32_t block_bytes, filter_bits_per_key;
  uint64_t large_value_bytes; /* as it was asked for; NACRE_NONE: only what does not fit otherwise */
  uint64_t segment_bytes;     /* this and the next: of the tree, as in nacre_table_options */
  uint32_t level_ratio;
  const nacre_key_spec *keys; /* the KMS keys that wrap the table key */
  size_t key_count;
  uint64_t created_ms; /* since 1970-01-01 UTC */
  uint64_t reserved[8];
} nacre_table_info;

/* The tables of a store, by name, as they were at the call. Reads only the catalogue; errors are those of
 * reading. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_table_list(nacre_store *store, nacre_table_infos **ret_infos);
NACRE_API size_t nacre_table_infos_count(const nacre_table_infos *infos);
NACRE_API const nacre_table_info *nacre_table_infos_at(const nacre_table_infos *infos,
                                                       size_t index); /* NULL past the end */
NACRE_API void nacre_table_infos_free(nacre_table_infos *infos);

typedef struct nacre_recovery_report {
  bool clean;             /* the last writer closed the table; everything below is zero then but the counts */
  uint32_t logs;          /* logs replayed */
  uint64_t groups;        /* write groups replayed */
  uint64_t entries;       /* puts and deletes replayed */
  uint64_t dropped_bytes; /* log bytes from the break on that were not kept */
  uint64_t dropped_offset; /* where the history breaks, in `file`; NACRE_NONE when it does not */
  /* Part of what was dropped could have been synced after the last surviving mark (format, tail rule). */
  bool maybe_synced;
  bool damaged;     /* NACRE_RECOVERY_TO_DAMAGE stopped at damage that a strict open refuses */
  char file[128];   /* the log in which the history breaks; empty when it does not */
  char reason[160]; /* why the history ends there; empty when it does not */
  uint64_t reserved[8];
} nacre_recovery_report;

/* What opening this table found and dropped. Since 0.1. */
NACRE_API nacre_status nacre_table_recovery(nacre_table *table, nacre_recovery_report *ret_report);

/* ---- writing ------------------------------------------------------------------------------------------- */

typedef struct nacre_write_options {
  bool sync; /* true: on stable storage on return; false: survives the process, not the power */
  /* nacre_put: from this moment on, in ms since 1970-01-01 UTC, the key is not seen any more, as if it had
   * been deleted then; 0: it stays. NACRE_INVALID with other calls (nacre_batch_put_expiring says it in a
   * batch). The clock is the wall clock (nacre_io.wall_ms). A read judges by now, one of a snapshot by the
   * moment when that was taken, an iterator by the one when it was opened. A clock that is set back may show
   * a key again, until a merge has removed it; that happens as merges go over it, and soon after about half
   * of a segment has expired, not before the oldest live snapshot lets it. What was removed stays so however
   * the clock is set, as does what it had hidden. */
  uint64_t expire_at_ms;
  uint64_t reserved[8];
} nacre_write_options;

/* Writing errors, for the three calls that write: NACRE_TOO_LARGE (key over NACRE_KEY_BYTES_MAX, value over
 * NACRE_VALUE_BYTES_MAX; the sequence numbers are used up), NACRE_READ_ONLY, NACRE_NO_SPACE (heals by
 * itself when there is room), NACRE_IO, NACRE_CORRUPT and NACRE_ROLLED_BACK (the first write after an open
 * checks what it rests on). A value given as a slice of NULL data and size 0 is empty. A large value
 * (nacre_table_options, large_value_bytes) goes to a file of its own, which is on stable storage before
 * anything refers to it: whoever does not ask for a sync waits for that one all the same. */
NACRE_API nacre_status nacre_put(nacre_table *table, nacre_slice key, nacre_slice value,
                                 const nacre_write_options *options); /* Since 0.1. */
NACRE_API nacre_status
nacre_delete(nacre_table *table, nacre_slice key,
             const nacre_write_options *options); /* of a missing key: NACRE_OK. Since 0.1. */

/* Deletes every key from `from` to before `to_excluded`, whatever there is, by one small write. An unbounded
 * end (NULL data) is NACRE_INVALID; a range that holds no key, for it ends where it begins or before, does
 * nothing and is NACRE_OK. Snapshots and iterators of before see what they saw. Iterators jump over long
 * stretches that are deleted so. The space comes back as merges go over it. Durability and errors as
 * nacre_delete; either key beyond NACRE_KEY_BYTES_MAX: NACRE_TOO_LARGE. Since 0.1. */
NACRE_API nacre_status nacre_delete_range(nacre_table *table, nacre_slice from, nacre_slice to_excluded,
                                          const nacre_write_options *options);

/* A batch collects puts and deletes, in order, that nacre_write applies all or none. It may be written many
 * times and to several tables. It keeps what it copied in private memory, wiped by clear and destroy. Adding
 * to it: NACRE_TOO_LARGE as above, when it would be encoded over NACRE_BATCH_BYTES_MAX, or when its values
 * over 1 MiB, which do not count there, would be over NACRE_VALUE_BYTES_MAX together; and the batch is as it
 * was. Where those go is settled when it is written: to files of their own in a table that calls them large,
 * or when they do not fit beside the others. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_batch_create(nacre_batch **ret_batch);
NACRE_API void nacre_batch_destroy(nacre_batch *batch);
NACRE_API void nacre_batch_clear(nacre_batch *batch);
NACRE_API size_t nacre_batch_count(const nacre_batch *batch);
NACRE_API size_t
nacre_batch_bytes(const nacre_batch *batch); /* as encoded, large values included */
NACRE_API nacre_status nacre_batch_put(nacre_batch *batch, nacre_slice key, nacre_slice value);
/* A put that is seen up to a moment (nacre_write_options.expire_at_ms); 0: as nacre_batch_put. */
NACRE_API nacre_status nacre_batch_put_expiring(nacre_batch *batch, nacre_slice key, nacre_slice value,
                                                uint64_t expire_at_ms);
NACRE_API nacre_status nacre_batch_delete(nacre_batch *batch, nacre_slice key);
NACRE_API nacre_status nacre_batch_delete_range(nacre_batch *batch, nacre_slice from,
                                                nacre_slice to_excluded); /* as nacre_delete_range */
/* Has nacre_write apply the batch only if nobody has changed `key` since `snapshot` was taken; else it
 * returns NACRE_CONFLICT and changes nothing. `snapshot` NULL: only if a read of `key` finds nothing. The
 * check and the write are one step: no other write comes between them. So reads with a snapshot, expectations
 * of every key read, and a write make a transaction: try it again after NACRE_CONFLICT, with a new snapshot.
 *
 * Every put and delete of the key since then is a change, whatever value it leaves, and so is a delete of a
 * range that holds the key. A delete of a key that was not there may or may not count. That a key expires
 * (when it was put to do so) is no change, but it is not there any more. What the batch itself does to the
 * key does not count, nor does the order of expectations and operations matter.
 *
 * A batch of expectations only may be written: it checks, and changes nothing. The key is copied; the
 * snapshot must live until nacre_write has returned (NACRE_INVALID when it is found released), and be of the
 * table that is written to. With expectations, nacre_write also returns reading errors, but never
 * NACRE_NOT_FOUND: what it has to look at may be damaged. Errors: NACRE_TOO_LARGE (the key; or expectations
 * of more than NACRE_BATCH_BYTES_MAX), and the batch is as it was. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_batch_expect(nacre_batch *batch, nacre_slice key,
                                                           const nacre_snapshot *snapshot);
NACRE_API nacre_status nacre_write(nacre_table *table, const nacre_batch *batch,
                                   const nacre_write_options *options);

/* ---- bulk loads ---------------------------------------------------------------------------------------- */

typedef struct nacre_load_options {
  uint64_t reserved[8];
} nacre_load_options;

/* A load brings sorted data into a table without log, memtable and merges: each byte is written once, to the
 * segment where it stays. That is at the bottom of the tree when the table holds nothing between its keys, as
 * a new table does, else as low as nothing of the table overlaps it. Nothing of it is seen before
 * nacre_load_commit, which shows all of it at once: it counts as one write at that moment, newer than every
 * write acknowledged before and older than every later one, and replaces the values of keys that are there.
 * Writers and readers go on meanwhile; snapshots and iterators from before the commit see nothing of it. A
 * crash before the commit leaves nothing that counts: the next writing open removes it.
 *
 * A load belongs to one thread at a time; a table may have any number at once. It counts as live for
 * nacre_table_close (NACRE_BUSY). Memory: some 10 MiB, and 8 bytes for each key of the segment at hand
 * (nacre_table_options, segment_bytes). Errors: NACRE_READ_ONLY, and those of a first write (NACRE_NO_SPACE,
 * NACRE_IO, NACRE_CORRUPT, NACRE_ROLLED_BACK). Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_load_begin(nacre_table *table,
                                                         const nacre_load_options *options, /* NULL: none */
                                                         nacre_load **ret_load);
/* Adds an entry. Keys come in strictly ascending order: else NACRE_INVALID, and the load is as it was, as
 * also after NACRE_TOO_LARGE (key over NACRE_KEY_BYTES_MAX, value over NACRE_VALUE_BYTES_MAX). A large value
 * (nacre_table_options, large_value_bytes) is written to a file of its own at once, and synced. After
 * NACRE_IO, NACRE_NO_SPACE or NACRE_NO_MEMORY the load has failed: every further call returns the same, and
 * it can only be aborted. Since 0.1. */
NACRE_API nacre_status nacre_load_put(nacre_load *load, nacre_slice key, nacre_slice value);
/* A put that is seen up to a moment (nacre_write_options.expire_at_ms); 0: as nacre_load_put. */
NACRE_API nacre_status nacre_load_put_expiring(nacre_load *load, nacre_slice key, nacre_slice value,
                                               uint64_t expire_at_ms); /* Since 0.1. */
/* Shows the load. Everything in memtables is flushed first, and a new log begun: the commit, and every write
 * before it, is on stable storage on return. The handle is gone after NACRE_OK, and after nothing else: the
 * commit may be tried again, or the load aborted. After NACRE_IO or NACRE_NO_SPACE the commit may be on disk
 * already, though nobody sees it: a crash may then leave all of the load or nothing, until a later write, or
 * nacre_load_abort, has succeeded. An empty load commits and changes nothing. NACRE_TOO_LARGE: the sequence
 * numbers are used up. Since 0.1. */
NACRE_API nacre_status nacre_load_commit(nacre_load *load);
/* Drops the load and its files. NULL is harmless. Since 0.1. */
NACRE_API void nacre_load_abort(nacre_load *load);

/* ---- reading ------------------------------------------------------------------------------------------- */

typedef struct nacre_read_options {
  const nacre_snapshot *snapshot;    /* NULL: the newest state */
  nacre_slice lower, upper_excluded; /* iterators only: keys outside are not seen */
  bool no_cache_fill;                /* blocks read for this call do not displace others from the cache */
  /* Iterators only: values are not shown (nacre_iter_value is empty), and large ones not read from their
   * files. */
  bool keys_only;
  uint64_t reserved[8];
} nacre_read_options;

/* A value borrowed from Nacre's own memory: `data` (never NULL after success) stays valid and unchanged until
 * it is released. A large value (nacre_table_options) is read as a whole, past the cache, into memory of its
 * own, as long as the value: nacre_get_into and nacre_get_part need no such memory. */
typedef struct nacre_value {
  const void *data;
  size_t size;
  void *pin;
} nacre_value;

/* Reading errors: NACRE_NOT_FOUND, NACRE_CORRUPT or NACRE_TAMPERED (what the read had to touch is damaged;
 * the rest of the table still answers), NACRE_ROLLED_BACK, NACRE_KEY_MISSING or NACRE_UNSUPPORTED (another
 * file stands in a segment's place: a newer one, or one under a key or of a version that is not known),
 * NACRE_IO. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_get(nacre_table *table, nacre_slice key,
                                                  const nacre_read_options *options,
                                                  nacre_value *ret_value); /* Since 0.1. */
NACRE_API void nacre_value_release(nacre_value *value);                    /* zeroes *value. Since 0.1. */

/* A copy into the caller's buffer. NACRE_TOO_LARGE when it does not fit; `*ret_size` is the value's size then
 * too. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_get_into(nacre_table *table, nacre_slice key,
                                                       const nacre_read_options *options, void *buffer,
                                                       size_t capacity, size_t *ret_size);

/* Copies the bytes of a value from `offset` on, at most `size`; fewer, or none, where it ends.
 * `*ret_value_size` (may be NULL) is the size of the whole value. What is copied has authenticated; of a
 * large value, which lies in a file of its own, only the parts that are asked for are read. Two calls may see
 * two values, unless they read with a snapshot. After a failure the buffer's content is not defined. Errors:
 * of reading. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_get_part(nacre_table *table, nacre_slice key,
                                                       const nacre_read_options *options, uint64_t offset,
                                                       void *buffer, size_t size, size_t *ret_copied,
                                                       uint64_t *ret_value_size);

/* Many gets at one moment: all see the same state. Cheaper than as many calls, in whatever order the keys
 * come: keys that are neighbours share the work, blocks that are not in the cache are read with the help of a
 * free worker, and what some keys wait for in memory is fetched while others are looked at. `ret_statuses[i]`
 * is NACRE_OK, NACRE_NOT_FOUND or why key i could not be read; `ret_values[i]` is zeroed unless NACRE_OK, and
 * released one by one. Returns NACRE_OK when every key was found or not found, else the first other status.
 * Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_multi_get(nacre_table *table, size_t count,
                                                        const nacre_slice *keys,
                                                        const nacre_read_options *options,
                                                        nacre_value *ret_values, nacre_status *ret_statuses);

/* An iterator sees the table as it was when it was opened (or as the snapshot does). It starts at no entry:
 * move it first. Opening reads nothing. One that moves on over blocks that are not in the cache reads ahead,
 * once it has passed a few: up to 256 KiB of a segment at once, with a free worker's help twice as much,
 * within its bounds and memory_bytes_max; closing it, seeking and turning wait for a read that is under way.
 * A move to a large value reads it, as nacre_iter_value cannot fail, and forgets the one before: an iterator
 * holds one at a time, and none with keys_only. Once a move finds damage, the iterator is invalid and
 * nacre_iter_status says why: a reading error, but never NACRE_NOT_FOUND. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_iter_open(nacre_table *table, const nacre_read_options *options,
                                                        nacre_iter **ret_iter);
NACRE_API void nacre_iter_close(nacre_iter *iter);
NACRE_API void nacre_iter_first(nacre_iter *iter);
NACRE_API void nacre_iter_last(nacre_iter *iter);
NACRE_API void nacre_iter_seek(nacre_iter *iter, nacre_slice key);      /* first key >= key */
NACRE_API void nacre_iter_seek_back(nacre_iter *iter, nacre_slice key); /* last key <= key */
NACRE_API void nacre_iter_next(nacre_iter *iter); /* of an invalid iterator: stays invalid */
NACRE_API void nacre_iter_prev(nacre_iter *iter);
NACRE_API bool nacre_iter_valid(const nacre_iter *iter);
NACRE_API nacre_slice
nacre_iter_key(const nacre_iter *iter); /* valid until the next move; empty when invalid */
NACRE_API nacre_slice nacre_iter_value(const nacre_iter *iter);   /* likewise */
/* From when on the pair it stands at will not be seen any more (nacre_write_options.expire_at_ms); 0: it
 * stays, or the iterator is invalid. Since 0.1. */
NACRE_API uint64_t nacre_iter_expire_at_ms(const nacre_iter *iter);
NACRE_API nacre_status nacre_iter_status(const nacre_iter *iter); /* NACRE_OK at the end of the data */

typedef struct nacre_entry {
  nacre_slice key, value;
} nacre_entry;

/* Many pairs at once, forward: fills `entries`, at most `capacity` of them, with the pair that the iterator
 * stands at, unless the last nacre_iter_read handed it out, and those that follow it, and returns how many.
 * They are those that need no further block, so that fewer than `capacity` do not mean the end; 0 does, or a
 * failure (nacre_iter_status), and the iterator is invalid then (with a capacity of 0 nothing happens).
 * Afterwards it stands at the last pair it handed out. Keys and values stay as they are until the iterator is
 * moved, read or closed. An iterator is moved to where reading begins first:
 *
 *   nacre_iter_first(it); while ((n = nacre_iter_read(it, entries, 64)) > 0) use(entries, n);
 *
 * Since 0.1. */
NACRE_API size_t nacre_iter_read(nacre_iter *iter, nacre_entry *entries, size_t capacity);

/* A snapshot fixes a moment: reads with it see the table as it was then. It keeps old versions from being
 * dropped, so release it soon. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_snapshot_take(nacre_table *table,
                                                            nacre_snapshot **ret_snapshot);
NACRE_API void nacre_snapshot_release(nacre_snapshot *snapshot);

/* ---- care ---------------------------------------------------------------------------------------------- */

/* On return, everything written before the call is on stable storage. Errors: NACRE_IO, NACRE_NO_SPACE,
 * NACRE_READ_ONLY; when it has to begin a log, NACRE_CORRUPT and NACRE_ROLLED_BACK as of a write.
 * Since 0.1. */
NACRE_API nacre_status nacre_sync(nacre_table *table);
/* Writes the memtable out as a segment, and waits for it. Durable on return. Errors: as nacre_sync.
 * Since 0.1. */
NACRE_API nacre_status nacre_flush(nacre_table *table);
/* Merges every segment that holds keys of [from, to_excluded), and what overlaps those, and waits; both
 * unbounded: everything, flushed first, into one run, in which nothing deleted is left but what live
 * snapshots still see. Merges that go on by themselves are waited for, and none begins meanwhile. Errors: as
 * nacre_sync, and those of reading; segments that cannot be read stay as they are. Since 0.1. */
NACRE_API nacre_status nacre_compact(nacre_table *table, nacre_slice from, nacre_slice to_excluded);
/* Waits until no flush or merge is left to do, one that had failed being tried again, and those included that
 * are left for a time when nobody writes and that make reads faster; returns the error that stopped one, if
 * any: as nacre_compact. Nobody has to call it: with workers such merges begin once nobody has written for a
 * second. Since 0.1. */
NACRE_API nacre_status nacre_wait_idle(nacre_table *table);

typedef struct nacre_verify_options {
  void (*on_progress)(void *arg, uint64_t bytes_done, uint64_t bytes_total);
  void *progress_arg;
  uint64_t reserved[8];
} nacre_verify_options;

typedef struct nacre_verify_report {
  uint64_t files, frames, bytes, entries; /* looked at */
  uint64_t fault_count;
  nacre_faults *faults; /* free it with nacre_faults_free; NULL when there is none */
  uint64_t reserved[8];
} nacre_verify_report;

/* Reads and authenticates every frame of every file of the table, and checks every order, count, filter and
 * cross-reference. Returns the status of the first fault (NACRE_CORRUPT, NACRE_TAMPERED, NACRE_ROLLED_BACK,
 * NACRE_KEY_MISSING, NACRE_UNSUPPORTED, or NACRE_IO of a file that cannot be read), NACRE_OK when there is
 * none; the report lists all of them, also then. Does not change a byte. A writer may go on meanwhile; what
 * is verified is the state at the call. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_verify(nacre_table *table, const nacre_verify_options *options,
                                                     nacre_verify_report *ret_report);
NACRE_API size_t nacre_faults_count(const nacre_faults *faults);
NACRE_API const nacre_error *nacre_faults_at(const nacre_faults *faults,
                                             size_t index); /* NULL past the end */
/* Which part of the file a fault takes away, as far as is known. nacre_verify tells none. */
typedef struct nacre_fault_extent {
  uint64_t bytes; /* from the fault's offset on; NACRE_NONE: not known, or the whole file */
  /* The entries concerned have keys from first_key to last_key, both included; NULL data: no bound is known
   * on that side. Valid until the list is freed. */
  nacre_slice first_key, last_key;
} nacre_fault_extent;
NACRE_API const nacre_fault_extent *nacre_faults_extent(const nacre_faults *faults,
                                                        size_t index); /* NULL past the end. Since 0.1. */
NACRE_API void nacre_faults_free(nacre_faults *faults);

/* A store copied while it is used. */
typedef struct nacre_checkpoint_options {
  void (*on_progress)(void *arg, uint64_t bytes_done, uint64_t bytes_total);
  void *progress_arg;
  uint64_t reserved[8];
} nacre_checkpoint_options;

typedef struct nacre_checkpoint_report {
  uint64_t tables, files, bytes; /* copied; the catalogue is not a table here */
  uint64_t reserved[8];
} nacre_checkpoint_report;

/* Copies the whole store to a new directory `to`, which is missing or empty. The copy is a store of its own,
 * under the same keys; both may be written to from then on, and neither knows of the other. Where the file
 * system can share blocks (btrfs, XFS), it does, and takes next to no room or time.
 *
 * What is in it: of every table, all that was acknowledged before the call, and of what is written meanwhile
 * all up to some moment of that table's own, in order and batches whole: the moments of two tables may
 * differ. A bulk load that is not committed is left out. Readers and writers of open tables go on; opening,
 * closing, creating, dropping and renaming tables and changes of keys wait while logs, manifests and headers
 * are copied, but not for the bulk. Tables that are not open are opened for it, by the keys that the
 * catalogue names and the store's own; one that cannot be opened fails the call. For lack of a table's files
 * its error is that of opening it.
 *
 * Durable on return. The copy becomes a store at the very end, by a rename: after a failure, or a crash, `to`
 * holds what no open takes for a store, and may be removed. Also of a store that is open read-only. `options`
 * and `ret_report` may be NULL. Errors: NACRE_EXISTS (a store in `to`), NACRE_INVALID (`to` is not empty, or
 * lies in a store), NACRE_NOT_FOUND (its parent), NACRE_BUSY (a table is open in a recovery mode), NACRE_IO,
 * NACRE_NO_SPACE, NACRE_READ_ONLY (of the place of `to`), and those of nacre_table_open. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_checkpoint(nacre_store *store, const char *to,
                                                         const nacre_checkpoint_options *options,
                                                         nacre_checkpoint_report *ret_report);

/* What a damaged store still holds of one table, copied to a new store. */
typedef struct nacre_salvage_options {
  const char *to; /* where the new store is made: a directory that is missing or empty; required */
  /* Wraps the new store's keys; no URI: the source's default_key. */
  nacre_key_spec to_key;
  /* How the damaged store is opened, and but for the key the new one; NULL: the defaults. Not used: create,
   * must_not_exist, read_only, workers, cache_bytes, memory_bytes_max, on_event, and for the new store
   * pinned_commitment. */
  const nacre_store_options *source;
  /* Also bring out log groups that are authentic but lie behind a gap in the history of writes: they may rest
   * on writes that are lost. They come out in their own order, never over a newer write. */
  bool beyond_gaps;
  void (*on_progress)(void *arg, uint64_t bytes_done, uint64_t bytes_total); /* of the source's files */
  void *progress_arg;
  uint64_t reserved[8];
} nacre_salvage_options;

typedef struct nacre_salvage_report {
  char table[NACRE_TABLE_NAME_BYTES_MAX + 1]; /* its name in the new store */
  uint64_t files, frames, bytes;              /* of the source that were opened and are authentic */
  uint64_t entries;                           /* puts and deletes read, older versions included */
  uint64_t keys, value_bytes;                 /* copied */
  uint64_t beyond_entries; /* in authentic log groups behind a gap, whether they were brought out or not */
  uint64_t torn_bytes;     /* of a log's torn end, which any open would have dropped; no fault */
  bool without_manifest;   /* it could not be believed: every file of the directory was read, see below */
  uint64_t fault_count;
  nacre_faults *faults; /* what could not be brought out, and what casts doubt on the rest; NULL: nothing */
  uint64_t reserved[8];
} nacre_salvage_report;

/* Copies everything of one table that authenticates to a new store, and lists what could not be brought out.
 * `table` is its name; or "uuid:" and the name of its directory, which also works when the catalogue is lost,
 * with the keys of the options; or NULL for the store's only table. The copy bears the table's name, or that
 * of its directory when no catalogue tells the name.
 *
 * The source is never changed, not even healed, and may lie on read-only media. A shared lock is taken where
 * there is a lock file: NACRE_LOCKED while a process writes the store, and none can begin meanwhile. Without
 * one (read-only media, a lost LOCK) it is the caller's to see to it that nobody writes.
 *
 * What comes out. Every entry of every authentic frame takes part; of each key the newest version wins, and a
 * delete hides what is older. So where a frame is lost, the keys that the fault's extent tells may be missing
 * or stand at an older value. Frames of a segment are found without its index. The logs are replayed as at an
 * open; when that is refused, up to the first gap in the sequence of writes (see beyond_gaps).
 *
 * without_manifest. When CURRENT or the manifest is damaged, missing or rolled back, every segment and log in
 * the directory that authenticates as the table's own takes part, also one that had been superseded and not
 * yet removed, or belongs to a bulk load that was never committed. Its entries lose against newer versions
 * and against deletes that are still there. But a merge drops a delete that hides nothing any more: a file
 * that was left over from before it may bring such a key back. What is lost with a whole file is not noticed.
 * A file of another table, or under another number than its own, is refused.
 *
 * Memory: what the logs hold, and a block for each run of segments (without a manifest: each segment, which
 * also stays open meanwhile).
 *
 * NACRE_OK when something could be opened and copied, also with faults; the new store is closed, durable and
 * whole on return. After an error, `to` may hold a store with a table "unfinished salvage" in it. The report
 * is filled in either case; free its faults. Errors: NACRE_NOT_FOUND (no such store or table), NACRE_EXISTS
 * (a store in `to`), NACRE_INVALID (`to` is not empty, or lies inside the source; which table is meant is not
 * said), NACRE_LOCKED, NACRE_KEY_*, NACRE_CORRUPT (nothing could be read; the catalogue is lost and `table`
 * is a name), NACRE_TAMPERED and NACRE_ROLLED_BACK (the table's key file cannot be believed), NACRE_IO,
 * NACRE_NO_SPACE. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_salvage(const char *path, const char *table,
                                                      const nacre_salvage_options *options,
                                                      nacre_salvage_report *ret_report);

/* How long calls or pieces of work took, since the table was opened, in nanoseconds. */
typedef struct nacre_latency {
  uint64_t measured; /* how many were timed: of reads and writes about one in 64, of the rest all */
  uint64_t sum_ns;   /* of those */
  uint64_t p50_ns, p99_ns, p999_ns; /* half, 99 % and 99.9 % of them took no longer; at most an eighth too high */
  uint64_t max_ns;
  uint64_t reserved[8];
} nacre_latency;

/* One level of a table. */
typedef struct nacre_level {
  uint64_t runs, segments;
  uint64_t bytes;   /* on disk */
  uint64_t entries; /* in segments, shadowed ones included */
  uint64_t reserved[8];
} nacre_level;

#define NACRE_STATS_LEVELS 8

typedef struct nacre_stats {
  uint64_t runs, segments, logs;             /* live now */
  uint64_t segment_bytes, log_bytes;         /* on disk */
  uint64_t segment_entries;                  /* puts and tombstones in segments, shadowed ones included */
  uint64_t memtable_bytes, memtable_entries; /* not yet flushed */
  uint64_t last_sequence;                    /* of the newest write */
  uint64_t flushes, merges;                  /* since the table was opened */
  uint64_t bytes_flushed, bytes_merged;      /* written by them */
  uint64_t writes, write_bytes, syncs;       /* groups appended to logs, their bytes, log syncs */
  uint64_t cache_hits, cache_misses, cache_bytes; /* of the whole store's block cache */
  uint64_t memory_bytes; /* that the whole store holds: what memory_bytes_max bounds */
  uint64_t manifest_epoch, manifest_sequence;
  uint64_t reads;       /* keys asked for by point reads, since the table was opened */
  uint64_t level_count; /* levels up to the lowest that holds anything, at most NACRE_STATS_LEVELS */
  nacre_level levels[NACRE_STATS_LEVELS]; /* young segments first; the last stands for all below it, too */
  nacre_latency read;         /* nacre_get, _get_into, _get_part: from call to return */
  nacre_latency write;        /* writing calls without sync */
  nacre_latency synced_write; /* writing calls with it: waiting for others' syncs included */
  nacre_latency sync;         /* of logs, in the system */
  nacre_latency flush, merge; /* each memtable flushed; each merge */
  /* Times a writer had to wait for flushes or merges to catch up: at first a little, by the bytes that it
   * writes, and only when they fall far behind until they have caught up. */
  nacre_latency stall;
  /* Since the open: bytes written to the log and by flushes and merges, for each byte of writes in the log;
   * 0: nothing was written. The overhead of frames is left out. */
  double write_amplification;
  /* Now: how many runs and memtables a point read may have to ask, not counting that filters save most of
   * it. */
  double read_amplification;
  /* Now: bytes of all segments, for each byte of the oldest run, which holds every key that was there when it
   * was made, once; 0: there is none. */
  double space_amplification;
  uint64_t loads, bytes_loaded; /* bulk loads committed since the table was opened; written by them */
  uint64_t reserved[8];
} nacre_stats;

/* What a table holds now, and what it did since it was opened. Takes some microseconds, and waits for a write
 * that is under way. Threads: any. Since 0.1. */
NACRE_API nacre_status nacre_table_stats(nacre_table *table, nacre_stats *ret_stats);

/* What a store takes, and what it asked of its key services. */
typedef struct nacre_usage {
  uint64_t tables_open;
  uint64_t memory_bytes;   /* what memory_bytes_max bounds */
  uint64_t memtable_bytes; /* of all tables; a part of it */
  uint64_t cache_bytes, cache_hits, cache_misses; /* of the block cache: taken now; lookups since the open */
  uint64_t kms_calls, kms_failures; /* wraps and unwraps since the open; those that were not answered well */
  uint64_t kms_ns;                  /* that they took together */
  uint64_t reserved[8];
} nacre_usage;

/* Threads: any; takes no lock that a read or write holds. Since 0.1. */
NACRE_API nacre_status nacre_store_usage(nacre_store *store, nacre_usage *ret_usage);

/* How one kind of work does. */
typedef struct nacre_condition {
  nacre_severity severity;
  nacre_remedy remedy;
  nacre_error error;  /* of the last try; status NACRE_OK: it went well, or nothing was to be done yet */
  uint64_t since_ms;  /* when it began to fail, since 1970-01-01 UTC; 0: it does not */
  uint64_t failures;  /* tries since then */
  uint64_t next_try_ms; /* when it is tried again if no call does so sooner, since 1970-01-01 UTC; 0: then only */
  uint64_t reserved[8];
} nacre_condition;

typedef struct nacre_health {
  nacre_severity severity;                 /* the worst of all */
  nacre_condition works[NACRE_WORK_COUNT]; /* by nacre_work */
  uint64_t reserved[8];
} nacre_health;

/* What fails at present, how bad it is and what heals it. Nothing has to be called, closed or opened again
 * for it to heal, but with NACRE_REMEDY_REPAIR: a failed log is given up and its content flushed by the next
 * write; a flush is tried again by the next write that needs its place, by nacre_flush and nacre_wait_idle,
 * and by itself after a second, then after twice as long each time, up to about a minute; a merge likewise,
 * after the next flush and by nacre_wait_idle. Without workers, and with NACRE_REMEDY_REPAIR, only calls do
 * so. A rewrap likewise, after the next flush or merge and by nacre_table_rewrap_wait. A segment that a merge
 * cannot read is left out of others, which go on, until it is tried again or the table opened anew; the error
 * stays meanwhile. On a full disk reads go on, and writes fail with NACRE_NO_SPACE until there is room; what
 * a failed try had written is removed at once. Errors: none of its own. Since 0.1. */
NACRE_API nacre_status nacre_table_health(nacre_table *table, nacre_health *ret_health);

/* ---- keys ---------------------------------------------------------------------------------------------- */

/* A table's KMS keys wrap its *table key*, of which there are versions: one is active, new files are made
 * under it; older ones retire as soon as no file is under them. A change of keys touches no data: the header
 * of each file is rewritten in the background (4 KiB, twice), while reads and writes go on, and is taken up
 * again by the next writing open when it is interrupted. What that cannot reach are copies: old headers in
 * backups, snapshots and a drive's spare blocks still open under an old table key that somebody has kept. */

/* Puts the table under other KMS keys: a new table key, wrapped under each of `specs` (1 to
 * NACRE_KEY_SPECS_MAX; strings are copied). Every wrap is probed before anything is written; a key that
 * cannot be used changes nothing. On return the change is committed and durable, new files use the new key,
 * and the rewrapper has begun; the old KMS keys are needed until it is done (nacre_table_rewrap_wait,
 * NACRE_EVENT_KEY_RETIRED). After NACRE_IO or NACRE_NO_SPACE the change may have been committed or not: it is
 * brought to an end, or undone, by the next change, rewrap or open; nacre_table_key_status tells. Errors:
 * NACRE_KEY_MISSING / DENIED / UNREACHABLE, NACRE_IO, NACRE_NO_SPACE, NACRE_READ_ONLY, NACRE_TOO_LARGE (64
 * versions wait to be retired). Threads: any; changes of one table come one after the other. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_table_set_key(nacre_table *table, const nacre_key_spec *specs,
                                                            size_t count);
/* The same with the KMS keys that the table has, at their newest version. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_table_rotate(nacre_table *table);

/* The same for the key of the store's catalogue, which the caller names when the store is opened. On return
 * the catalogue's files are rewrapped, and only the new key opens the store; if it is interrupted, or returns
 * an error, the old key may still do so, too, until an open for writing has brought the change to its end.
 * Tables keep their keys. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_store_set_key(nacre_store *store, nacre_key_spec spec);
NACRE_API NACRE_MUST_CHECK nacre_status nacre_store_rotate(nacre_store *store);

typedef struct nacre_retirements nacre_retirements;
/* Something that is not needed any more: a version of the table key, or, with a URI, a KMS key. */
typedef struct nacre_retirement {
  uint32_t version; /* the newest version that was retired with it */
  char kek_id[40];
  const char *uri; /* valid until the list is freed; NULL: the version itself */
  uint64_t reserved[8];
} nacre_retirement;

typedef struct nacre_rewrap_report {
  uint64_t files;                         /* of the table, looked at in the last round */
  uint64_t rewrapped, healed, copied;     /* since the table was opened */
  uint64_t header_bytes, copied_bytes;    /* written to files; copied: those of several names, or bad blocks */
  uint32_t versions_retired;              /* since the table was opened */
  nacre_retirements *retirements; /* since then, oldest first; free it. NULL: none */
  uint64_t reserved[8];
} nacre_rewrap_report;

/* Waits until every file is under the active table key and the older versions are retired; returns the error
 * that stands in the way, if any: it is tried again by the next call, flush or open. `ret_report` may be NULL
 * and is filled in either case. On return of NACRE_OK that state is on stable storage. Since 0.1. */
NACRE_API nacre_status nacre_table_rewrap_wait(nacre_table *table, nacre_rewrap_report *ret_report);
NACRE_API size_t nacre_retirements_count(const nacre_retirements *retirements);
NACRE_API const nacre_retirement *nacre_retirements_at(const nacre_retirements *retirements,
                                                       size_t index); /* NULL past the end */
NACRE_API void nacre_retirements_free(nacre_retirements *retirements);

typedef struct nacre_key_versions nacre_key_versions;
typedef struct nacre_key_version {
  uint32_t version;
  char kek_id[40];
  char commitment[65]; /* hexadecimal; names the key without telling it */
  bool active;
  uint64_t created_ms; /* since 1970-01-01 UTC */
  uint64_t files;      /* whose header names it, as counted on disk at the call */
  uint64_t reserved[8];
} nacre_key_version;

typedef struct nacre_kms_keys nacre_kms_keys;
/* A KMS key that wraps a version of the table key. One that is not listed is not needed by the table. */
typedef struct nacre_kms_key {
  const char *uri, *region, *principal; /* valid until the list is freed; NULL: none */
  bool current;       /* wraps new versions, too; otherwise it is on its way out */
  uint32_t versions;  /* that it wraps */
  nacre_status status; /* what it answered just now when it was asked for one of them */
  char reason[376];   /* empty when it opened it */
  uint64_t checked_ms; /* when, since 1970-01-01 UTC; 0: it was not asked, being no key that may be */
  uint64_t reserved[8];
} nacre_kms_key;

typedef struct nacre_key_status {
  char table_uuid[40];
  uint64_t generation; /* of the key file, raised by every change */
  bool changing;       /* a change of keys is not brought to an end yet */
  bool rewrapping;     /* files are under other versions than the active one */
  uint64_t files, files_left;    /* of the table; of them not under the active version */
  nacre_key_versions *versions;  /* oldest first; free it */
  nacre_kms_keys *kms_keys;      /* free it */
  uint64_t reserved[8];
} nacre_key_status;

/* Reads the header of every file, and asks every KMS key once. Changes nothing; also for tables that are open
 * read-only. A KMS key that does not answer is no error of the call. Errors: NACRE_IO, NACRE_NO_MEMORY. Since
 * 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_table_key_status(nacre_table *table,
                                                               nacre_key_status *ret_status);
NACRE_API NACRE_MUST_CHECK nacre_status nacre_store_key_status(nacre_store *store,
                                                               nacre_key_status *ret_status);
NACRE_API size_t nacre_key_versions_count(const nacre_key_versions *versions);
NACRE_API const nacre_key_version *nacre_key_versions_at(const nacre_key_versions *versions,
                                                         size_t index); /* NULL past the end */
NACRE_API void nacre_key_versions_free(nacre_key_versions *versions);
NACRE_API size_t nacre_kms_keys_count(const nacre_kms_keys *keys);
NACRE_API const nacre_kms_key *nacre_kms_keys_at(const nacre_kms_keys *keys,
                                                 size_t index); /* NULL past the end */
NACRE_API void nacre_kms_keys_free(nacre_kms_keys *keys);

/* ---- inspection ---------------------------------------------------------------------------------------- */

/* Opens the keys of one table, to read its files with nacre_sealed_file_open. `table` is a name, "uuid:" and
 * a UUID, or NULL for the catalogue. Takes no lock and changes nothing, so it works beside a writer. Of the
 * options only default_key, trusted_keys, region, pinned_commitment, passphrase, kms_* and io are used.
 * Errors: as nacre_open and nacre_table_open, but never NACRE_EXISTS, NACRE_LOCKED, NACRE_BUSY or
 * NACRE_NO_SPACE. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_table_keys_open(const char *store_path,
                                                              const nacre_store_options *options,
                                                              const char *table,
                                                              nacre_seal_domain **ret_domain);

#ifdef __cplusplus
}
#endif
#endif
