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
typedef struct nacre_faults nacre_faults;

/* ---- events -------------------------------------------------------------------------------------------- */

typedef enum nacre_event_type {
  NACRE_EVENT_RECOVERED = 1, /* a table opened after an unclean end; `bytes` were dropped from its logs */
  NACRE_EVENT_FLUSHED = 2,   /* a memtable became a segment of `bytes` */
  NACRE_EVENT_MERGED = 3,    /* segments were merged into `bytes` */
  NACRE_EVENT_BACKGROUND_ERROR = 4, /* `error` says what; it is tried again by itself */
  NACRE_EVENT_HEALED = 5            /* what an earlier background error prevented has succeeded */
} nacre_event_type;

/* Delivered on whatever thread caused it, with no lock of Nacre's held that a read needs. The callback must
 * return soon and must not call into the same store. All pointers are valid during the call only. */
typedef struct nacre_event {
  nacre_event_type type;
  const char *table; /* its name; NULL for the catalogue */
  uint64_t bytes;
  const nacre_error *error; /* NULL when nothing failed */
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
  /* Cache and memtables of all tables together; default 1 GiB. Memtables are flushed early to stay under
   * it. */
  uint64_t memory_bytes_max;
  uint32_t workers; /* background threads; default 2. UINT32_MAX: none, calling threads do all the work */
  uint32_t open_files_max;   /* not yet supported: refused unless 0 */
  uint64_t key_check_ms;     /* not yet supported: refused unless 0 */
  uint64_t key_stale_max_ms; /* not yet supported: refused unless 0 */
  uint64_t kms_deadline_ms;  /* how long one KMS call may take; default 10,000 */
  void (*on_event)(void *arg, const nacre_event *event);
  void *event_arg;
  const nacre_io *io; /* NULL: the operating system. The table must outlive the store. */
  nacre_slice anchor; /* not yet supported: refused unless empty */
  /* Looked up by scheme before the built-in ones; must outlive the store. */
  const nacre_kms_provider *const *kms_providers;
  size_t kms_provider_count;
  uint64_t reserved[8];
} nacre_store_options;

/* Opens a store, one process at a time (read-only opens share). Opening a store that was closed cleanly
 * writes nothing but the lock. With `create`, the new store is durable on return. Errors: NACRE_NOT_FOUND (no
 * store there), NACRE_EXISTS, NACRE_LOCKED, NACRE_KEY_MISSING / DENIED / UNREACHABLE, NACRE_CORRUPT,
 * NACRE_TAMPERED, NACRE_ROLLED_BACK, NACRE_IO, NACRE_NO_SPACE, NACRE_UNSUPPORTED. A failed create leaves no
 * file behind (an empty directory may stay). Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_open(const char *path, const nacre_store_options *options,
                                                   nacre_store **ret_store);

/* Syncs every log, joins the workers, wipes the keys and releases the lock. NACRE_BUSY while tables are open,
 * and nothing is changed then; after any other result the handle is gone, an error telling that the last sync
 * failed: what was not synced before survives the process but perhaps not the power. Since 0.1. */
NACRE_API nacre_status nacre_close(nacre_store *store);

/* ---- tables -------------------------------------------------------------------------------------------- */

typedef enum nacre_compression {
  /* LZ4 for young segments, Zstd for merged-down ones, none where it does not pay. */
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
 * NACRE_KEY_MISSING / DENIED / UNREACHABLE, NACRE_IO, NACRE_NO_SPACE, NACRE_READ_ONLY. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_table_create(nacre_store *store, const char *name,
                                                           const nacre_table_options *options,
                                                           nacre_table **ret_table);

/* Opens a table by name, or by "uuid:" and its UUID. Opening twice returns the same, counted, handle;
 * NACRE_BUSY when it is open with another read_only or recovery. Logs are replayed in memory; nothing is
 * written before the first write. Errors: NACRE_NOT_FOUND, NACRE_KEY_*, NACRE_CORRUPT, NACRE_TAMPERED,
 * NACRE_ROLLED_BACK, NACRE_IO. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_table_open(nacre_store *store, const char *name,
                                                         const nacre_table_open_options *options,
                                                         nacre_table **ret_table);

/* Gives back one open. The last one waits for background work on the table, syncs its log and ends it
 * cleanly: what was written is on stable storage on return. NACRE_BUSY with live iterators, snapshots or
 * values, and nothing is changed then; after any other result the handle is gone. Since 0.1. */
NACRE_API nacre_status nacre_table_close(nacre_table *table);

/* Destroys a table for good: tombstone in the catalogue, then its wrapped keys, then its files. Durable on
 * return, and resumed by the next writing open of the store if interrupted. Errors: NACRE_NOT_FOUND,
 * NACRE_BUSY (open), NACRE_IO, NACRE_READ_ONLY. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_table_drop(nacre_store *store, const char *name);

/* Renames a table, open or not. Durable on return. Errors: NACRE_NOT_FOUND, NACRE_EXISTS, NACRE_IO,
 * NACRE_READ_ONLY. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_table_rename(nacre_store *store, const char *name,
                                                           const char *to);

typedef struct nacre_table_info {
  const char *name; /* valid until the list is freed, as is the rest */
  char uuid[40];    /* canonical text form; also the name of the table's directory */
  char kek_id[40];  /* the current table key, in the same form */
  uint32_t kek_version;
  nacre_compression compression;
  uint32_t block_bytes, filter_bits_per_key;
  const nacre_key_spec *keys; /* the KMS keys that wrap the table key */
  size_t key_count;
  uint64_t created_ms; /* since 1970-01-01 UTC */
  uint64_t reserved[8];
} nacre_table_info;

/* The tables of a store, by name, as they were at the call. Reads only the catalogue. Since 0.1. */
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
  uint64_t reserved[8];
} nacre_write_options;

/* Writing errors, for the four calls below: NACRE_TOO_LARGE (key over NACRE_KEY_BYTES_MAX, or encoded over
 * NACRE_BATCH_BYTES_MAX), NACRE_READ_ONLY, NACRE_NO_SPACE (heals by itself when there is room), NACRE_IO,
 * NACRE_CORRUPT (the first write after an open checks what it rests on). A value given as a slice of NULL
 * data and size 0 is empty. */
NACRE_API nacre_status nacre_put(nacre_table *table, nacre_slice key, nacre_slice value,
                                 const nacre_write_options *options); /* Since 0.1. */
NACRE_API nacre_status
nacre_delete(nacre_table *table, nacre_slice key,
             const nacre_write_options *options); /* of a missing key: NACRE_OK. Since 0.1. */

/* A batch collects puts and deletes, in order, that nacre_write applies all or none. It may be written many
 * times and to several tables. It keeps what it copied in private memory, wiped by clear and destroy. Since
 * 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_batch_create(nacre_batch **ret_batch);
NACRE_API void nacre_batch_destroy(nacre_batch *batch);
NACRE_API void nacre_batch_clear(nacre_batch *batch);
NACRE_API size_t nacre_batch_count(const nacre_batch *batch);
NACRE_API size_t
nacre_batch_bytes(const nacre_batch *batch); /* as encoded: what NACRE_BATCH_BYTES_MAX bounds */
NACRE_API nacre_status nacre_batch_put(nacre_batch *batch, nacre_slice key, nacre_slice value);
NACRE_API nacre_status nacre_batch_delete(nacre_batch *batch, nacre_slice key);
NACRE_API nacre_status nacre_write(nacre_table *table, const nacre_batch *batch,
                                   const nacre_write_options *options);

/* ---- reading ------------------------------------------------------------------------------------------- */

typedef struct nacre_read_options {
  const nacre_snapshot *snapshot;    /* NULL: the newest state */
  nacre_slice lower, upper_excluded; /* iterators only: keys outside are not seen */
  bool no_cache_fill;                /* blocks read for this call do not displace others from the cache */
  uint64_t reserved[8];
} nacre_read_options;

/* A value borrowed from Nacre's own memory: `data` (never NULL after success) stays valid and unchanged until
 * it is released. */
typedef struct nacre_value {
  const void *data;
  size_t size;
  void *pin;
} nacre_value;

/* Reading errors: NACRE_NOT_FOUND, NACRE_CORRUPT or NACRE_TAMPERED (what the read had to touch is damaged;
 * the rest of the table still answers), NACRE_IO. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_get(nacre_table *table, nacre_slice key,
                                                  const nacre_read_options *options,
                                                  nacre_value *ret_value); /* Since 0.1. */
NACRE_API void nacre_value_release(nacre_value *value);                    /* zeroes *value. Since 0.1. */

/* A copy into the caller's buffer. NACRE_TOO_LARGE when it does not fit; `*ret_size` is the value's size then
 * too. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_get_into(nacre_table *table, nacre_slice key,
                                                       const nacre_read_options *options, void *buffer,
                                                       size_t capacity, size_t *ret_size);

/* Many gets at one moment: all see the same state. `ret_statuses[i]` is NACRE_OK, NACRE_NOT_FOUND or why key
 * i could not be read; `ret_values[i]` is zeroed unless NACRE_OK, and released one by one. Returns NACRE_OK
 * when every key was found or not found, else the first other status. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_multi_get(nacre_table *table, size_t count,
                                                        const nacre_slice *keys,
                                                        const nacre_read_options *options,
                                                        nacre_value *ret_values, nacre_status *ret_statuses);

/* An iterator sees the table as it was when it was opened (or as the snapshot does). It starts at no entry:
 * move it first. Once a move finds damage, the iterator is invalid and nacre_iter_status says why. Since
 * 0.1. */
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
NACRE_API nacre_status nacre_iter_status(const nacre_iter *iter); /* NACRE_OK at the end of the data */

/* A snapshot fixes a moment: reads with it see the table as it was then. It keeps old versions from being
 * dropped, so release it soon. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_snapshot_take(nacre_table *table,
                                                            nacre_snapshot **ret_snapshot);
NACRE_API void nacre_snapshot_release(nacre_snapshot *snapshot);

/* ---- care ---------------------------------------------------------------------------------------------- */

/* On return, everything written before the call is on stable storage. Errors: NACRE_IO, NACRE_NO_SPACE. Since
 * 0.1. */
NACRE_API nacre_status nacre_sync(nacre_table *table);
/* Writes the memtable out as a segment, and waits for it. Durable on return. Since 0.1. */
NACRE_API nacre_status nacre_flush(nacre_table *table);
/* Merges every run that holds keys of [from, to_excluded), and waits; both unbounded: everything, flushed
 * first, into one run, in which nothing deleted is left but what live snapshots still see. Since 0.1. */
NACRE_API nacre_status nacre_compact(nacre_table *table, nacre_slice from, nacre_slice to_excluded);
/* Waits until no flush or merge is left to do; returns the error that stopped one, if any. Since 0.1. */
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
 * cross-reference. Returns the status of the first fault, NACRE_OK when there is none; the report lists all
 * of them, also then. Does not change a byte. A writer may go on meanwhile; what is verified is the state at
 * the call. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_verify(nacre_table *table, const nacre_verify_options *options,
                                                     nacre_verify_report *ret_report);
NACRE_API size_t nacre_faults_count(const nacre_faults *faults);
NACRE_API const nacre_error *nacre_faults_at(const nacre_faults *faults,
                                             size_t index); /* NULL past the end */
NACRE_API void nacre_faults_free(nacre_faults *faults);

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
  uint64_t manifest_epoch, manifest_sequence;
  uint64_t reserved[8];
} nacre_stats;

NACRE_API nacre_status nacre_table_stats(nacre_table *table, nacre_stats *ret_stats); /* Since 0.1. */

/* ---- inspection ---------------------------------------------------------------------------------------- */

/* Opens the keys of one table, to read its files with nacre_sealed_file_open. `table` is a name, "uuid:" and
 * a UUID, or NULL for the catalogue. Takes no lock and changes nothing, so it works beside a writer. Of the
 * options only default_key, trusted_keys, region, kms_* and io are used. Errors: as nacre_open and
 * nacre_table_open. Since 0.1. */
NACRE_API NACRE_MUST_CHECK nacre_status nacre_table_keys_open(const char *store_path,
                                                              const nacre_store_options *options,
                                                              const char *table,
                                                              nacre_seal_domain **ret_domain);

#ifdef __cplusplus
}
#endif
#endif
