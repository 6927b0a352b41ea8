/* SPDX-License-Identifier: Apache-2.0
 *
 * table: one table, open: its newest entries in memtables, the rest in segments, its log, its manifest.
 *
 * Lock order (take only downward):
 *   change_lock -> sync_lock -> write_lock -> flush_lock -> merge_lock -> loads.lock -> commit_lock -> state_lock
 *     change_lock  one change of table keys at a time, held during KMS calls; after it the store's
 *                  catalogue_lock
 *     sync_lock    one log sync at a time; those who wait find that it covered them
 *     write_lock   the log's tail, the active memtable's adding side, the encode buffer
 *     flush_lock   one flush at a time
 *     merge_lock   which segments are being merged; across I/O in the commit of a bulk load alone
 *     loads.lock   the list of bulk loads; under it the lock of one load, which is adding an entry
 *     commit_lock  the manifest, the list of live logs, file numbers; held across a commit's sync
 *     header_lock  one file's header is being rewritten; nothing is taken under it
 *     state_lock   the view, immutables, snapshots, counters; held for a few instructions; readers take it only
 *                  after the view was replaced
 */
#ifndef NC_TABLE_H
#define NC_TABLE_H

#include "catalogue_record.h"
#include "later.h"
#include "levels.h"
#include "manifest.h"
#include "memtable.h"
#include "meter.h"
#include "recovery.h"
#include "segment_writer.h"
#include "stripe.h"
#include "throttle.h"
#include "value_set.h"
#include "write_queue.h"

enum {
  NC_IMMUTABLES_MAX = 2,
  NC_LOGS_KEPT_MAX = 4,
  NC_RUNS_STALL = 24,
  NC_YOUNG_RUNS = 4,
  NC_LEVEL_RATIO = 10
};

/* What a reader needs, at one moment. Counted. */
typedef struct nc_view {
  atomic_uint refs;
  nc_version *version;
  size_t memtable_count; /* the active one first, then immutables from new to old */
  nc_memtable *memtables[1 + NC_IMMUTABLES_MAX + 1];
  nc_value_grave *grave; /* files of large values that go with this view and those before it */
} nc_view;

/* Readers that would otherwise all count themselves in the same place. What is here belongs to a few threads, which
 * most of the time means one: table_view.c. */
enum { NC_READER_STRIPE_BITS = 4, NC_READER_STRIPES = 1 << NC_READER_STRIPE_BITS };
typedef struct nc_reader_stripe {
  _Alignas(NC_STRIPE_BYTES) atomic_uintptr_t place;   /* 0, a view with a count, or the mark of a reader that took it */
  _Atomic(nacre_iter *) resting;         /* an iterator that was closed, for the next one: iterator_open.c */
  atomic_bool rests;                     /* one may rest here */
  atomic_uint_fast64_t lent, given_back; /* live ones are the difference of all stripes' sums */
  atomic_uint_fast64_t reads, writes;    /* calls, for statistics */
} nc_reader_stripe;

/* A full memtable on its way to a segment. */
typedef struct nc_immutable {
  nc_memtable *memtable;
  uint64_t logs_to; /* the highest log that it covers */
  uint64_t last_sequence;
  nc_segment **built; /* written, but the commit that names them failed: tried again first */
  size_t built_count;
  nc_value_changes built_values; /* of the same */
} nc_immutable;

/* A file of entries or of a large value that is being written: segment_build.h. Under state_lock. */
typedef struct nc_making {
  struct nc_making *next, *before;
  nc_table_keys *keys;
} nc_making;

/* Bringing every file under the active table key: rewrapper.c. Under state_lock, but for `work`, which is the
 * running job's. */
typedef struct nc_rewrap_work nc_rewrap_work;
typedef struct nc_rewrapper {
  nc_job job;
  nc_rewrap_work *work;
  bool queued, running;
  bool again;  /* asked for while it ran */
  bool parked; /* waits for a flush or merge that may hold an older key to end */
  atomic_bool stopping;
  nacre_error error; /* of the last try */
  nacre_rewrap_report report;
  nacre_retirements *retirements; /* since the open; NULL: none */
} nc_rewrapper;

/* Bulk loads under way: load.c. */
typedef struct nc_loads {
  pthread_mutex_t lock;
  nacre_load *list; /* changes under `lock` and commit_lock */
} nc_loads;

/* Of work that fails (health.c): what was told of it last, since when, how often. */
typedef struct nc_trouble {
  nacre_severity told;
  uint64_t since_ms, failures;
} nc_trouble;

struct nacre_snapshot {
  nacre_table *table;
  uint64_t sequence;
  uint64_t taken_ms; /* by the wall clock: what has expired since is still there for it */
  nacre_snapshot *next;
};

#define NC_LARGE_VALUE_BYTES ((uint64_t)1 << 20) /* unless the table says otherwise */

typedef struct nc_table_settings {
  nacre_compression compression;
  uint32_t block_bytes, filter_bits_per_key;
  uint64_t large_value_bytes; /* a longer value has a file of its own */
  uint64_t segment_bytes;
  uint32_t level_ratio;
} nc_table_settings;

/* What a table asks of whom it belongs to, who knows of its keys in the catalogue. */
typedef struct nc_table_owner {
  /* Whether the catalogue says of the table's keys what is so. Needs change_lock. */
  bool (*keys_recorded_locked)(nacre_table *t);
  /* Reads a set of keys from disk anew, when a failed change has left it in doubt, and brings a change that the
   * catalogue calls pending to an end: committed when its key can be had, abandoned when that is denied or gone.
   * Needs change_lock. */
  nacre_status (*settle_keys_locked)(nacre_table *t, nacre_error *err);
  /* Drops every version but the active one, which `held` must still be the present set for: `*ret_done` says
   * whether it was. Takes change_lock. */
  nacre_status (*retire_keys)(nacre_table *t, const nc_table_keys *held, bool *ret_done, nacre_error *err);
} nc_table_owner;

struct nacre_table {
  nacre_store *store;
  const nc_table_owner *owner; /* NULL with `store`: a table that is only read from */
  nc_shared *shared;
  nc_dir dir;
  nc_uuid uuid;
  nc_key_holder keys;
  nc_segment_home home;
  nc_table_settings settings;
  nc_policy policy; /* of its tree */
  nc_throttle throttle;
  char name[NACRE_TABLE_NAME_BYTES_MAX + 1]; /* under state_lock; "" for the catalogue */
  bool read_only;
  nacre_recovery_mode mode;
  uint32_t open_count;       /* under the store's lock */
  nacre_table *next;         /* in the store's list of open tables */
  nc_reader_stripe readers[NC_READER_STRIPES];
  _Atomic(nc_meters *) meters; /* NULL: nothing was timed yet */
  nacre_recovery_report recovery;

  pthread_mutex_t change_lock, sync_lock, write_lock, flush_lock, merge_lock, commit_lock, header_lock,
      state_lock;
  pthread_cond_t changed; /* with state_lock */

  /* change_lock */
  nacre_key_spec *caller_keys; /* who opened it named these, beside those that the catalogue names */
  size_t caller_key_count;
  uint64_t generation_recorded; /* of the key file, in the catalogue */
  bool change_recorded;         /* the catalogue calls a key pending */
  bool keys_secured;            /* this open knows that both copies of the key file are equal and durable */
  bool keys_doubtful;           /* a change failed half-way: what is on disk must be read first */

  /* write_lock */
  atomic_bool writing; /* this open has written its own manifest */
  /* What was replayed, or is in a failed log, must be in a segment before anything is acknowledged. */
  bool must_flush;
  atomic_bool log_failed; /* a sync failed: as must_flush, once the next writer sees it */
  nc_log *log;            /* takes new groups; NULL: none yet */
  nc_memtable *active;    /* takes new entries; the view keeps it */
  uint8_t *encode;
  size_t encode_capacity;
  uint64_t groups_written, group_bytes_written;
  nc_write_queue writers, syncing_writers; /* not under it: who waits for it, and for sync_lock before it */

  /* commit_lock */
  nc_manifest manifest;
  bool manifest_bad; /* whether its last commit is on disk is not known: a new manifest comes first */
  uint64_t found_manifest_number;               /* of the manifest that was read at the open */
  uint64_t found_torn_bytes, found_torn_offset; /* of a last commit in it that was not whole */
  uint64_t epoch, commit_sequence;              /* of the newest durable commit */
  nc_table_state state;
  nc_log **logs; /* live ones, oldest first; counted */
  size_t log_count, log_capacity;
  nc_value_set values; /* value files that entries refer to, wherever these stand */
  uint32_t kek_version_min; /* of CURRENT */
  uint64_t own_numbers_from; /* files from this number on were made by this open */
  nc_segment **doubtful; /* a failed commit may name them: they go once a new manifest is durable */
  size_t doubtful_count;

  /* state_lock */
  _Atomic(nc_view *) view; /* replaced by nc_table_show; readers look whether it still is the one that they have */
  /* Every write up to it may be read. In a line of its own, for each group changes it. */
  _Alignas(NC_STRIPE_BYTES) atomic_uint_fast64_t visible;
  _Alignas(NC_STRIPE_BYTES)
  nc_immutable immutables[NC_IMMUTABLES_MAX + 1]; /* oldest first */
  size_t immutable_count;
  nc_log_position synced;       /* everything before it is on stable storage */
  nacre_snapshot *snapshots;
  bool flush_queued, merge_queued;
  uint32_t jobs_running;
  uint32_t compacting;      /* merges that run, whoever asked */
  uint32_t compact_waiters; /* those who asked for one and keep others from beginning */
  bool idle;                /* no memtable has become full since somebody said so */
  atomic_bool closing;      /* merges end early */
  nc_making *makings;
  nacre_error flush_error, merge_error; /* of the last try; status NACRE_OK: it went well */
  nacre_error write_error;
  nc_trouble troubles[NACRE_WORK_COUNT]; /* beside the errors, the rewrapper's too */
  atomic_bool write_failing;             /* write_error is not NACRE_OK */
  nacre_stats counters;                 /* only the counting fields */
  nc_job flush_job, merge_job, relief_job;
  bool relief_queued;
  nc_later later;
  nc_rewrapper rewrapper;
  nc_loads loads;
  nacre_table *next_shared; /* in the list of all loaded tables; under shared->tables_lock */
};

/* As the catalogue says, with what it leaves out. */
static inline nc_table_settings nc_table_settings_of(const nc_catalogue_record *record) {
  return (nc_table_settings){
      .compression = (nacre_compression)record->compression,
      .block_bytes = record->block_bytes,
      .filter_bits_per_key = record->filter_bits_per_key,
      .large_value_bytes = record->large_value_bytes == 0 ? NC_LARGE_VALUE_BYTES : record->large_value_bytes,
      .segment_bytes = record->segment_bytes == 0 ? NC_SEGMENT_BYTES_TARGET : record->segment_bytes,
      .level_ratio = record->level_ratio == 0 ? NC_LEVEL_RATIO : record->level_ratio};
}

/* Of the catalogue, which says nothing of itself. */
static inline nc_table_settings nc_catalogue_settings(void) {
  return nc_table_settings_of(&(nc_catalogue_record){
      .block_bytes = 4096, .filter_bits_per_key = 10, .large_value_bytes = NACRE_NONE});
}

/* ---- table.c: life ------------------------------------------------------------------------------------- */

/* Makes the files of an empty table in an empty directory; durable on return but for the directory's own
 * name. */
NC_MUST_CHECK nacre_status nc_table_make(const nc_dir *dir, const nc_table_keys *keys, nacre_error *err);
/* Takes over `dir` and one count of `keys`, on failure too. The table belongs to nobody yet. */
NC_MUST_CHECK nacre_status nc_table_load(nc_shared *shared, nc_dir *dir,
                                         nc_table_keys *keys, const nc_table_settings *settings,
                                         bool read_only, nacre_recovery_mode mode, nacre_table **ret_table,
                                         nacre_error *err);
/* Ends the log cleanly and frees the table. */
nacre_status nc_table_unload(nacre_table *t, nacre_error *err);

/* ---- table_view.c: views and snapshots ----------------------------------------------------------------- */

/* The present view, counted, and the newest visible sequence in it. */
nc_view *nc_table_view(nacre_table *t, uint64_t *ret_sequence);
void nc_view_unref(nc_view *v);
NC_MUST_CHECK nacre_status nc_view_create(nc_memtable *active, const nc_immutable *immutables,
                                          size_t immutable_count, nc_version *version, nc_view **ret_view,
                                          nacre_error *err);
/* The moment by which a read with these options judges what has expired. */
uint64_t nc_read_wall_ms(const nacre_table *t, const nacre_read_options *options);
/* What had expired at this moment is seen by nobody any more: now, or when the oldest live snapshot was taken. */
uint64_t nc_table_expiry_moment(nacre_table *t);
/* The sequences of live snapshots, ascending; the caller frees the list. */
NC_MUST_CHECK nacre_status nc_table_snapshots(nacre_table *t, uint64_t **ret_list, size_t *ret_count,
                                              nacre_error *err);
/* Replaces the view; takes over the count of `view`, and gives back that of the one before. Needs state_lock, which
 * it releases. */
void nc_table_show_locked(nacre_table *t, nc_view *view);
/* Takes back the views that readers have left in their stripes. */
void nc_views_recall(nacre_table *t);

/* A read that ends before its call does: takes no lock unless the view was just replaced. */
typedef struct nc_reading {
  nc_view *view;
  uint64_t sequence;
  nc_reader_stripe *stripe; /* where the view goes back; NULL: it is counted */
} nc_reading;
NC_MUST_CHECK nacre_status nc_reading_begin(nacre_table *t, const nacre_read_options *options,
                                            nc_reading *reading, nacre_error *err);
void nc_reading_end(nc_reading *reading);

/* The calling thread's stripe. */
nc_reader_stripe *nc_table_stripe(nacre_table *t);

/* Iterators, snapshots and values that are lent; none may be when the table is closed. */
void nc_table_lend(nacre_table *t);
void nc_table_take_back(nacre_table *t);
bool nc_table_lends(nacre_table *t);

/* Whether a read can have these options. */
NC_MUST_CHECK nacre_status nc_read_check(const nacre_table *t, const nacre_read_options *options,
                                         nacre_error *err);

/* The sequence that a longer read with these options sees, and a view, counted. */
NC_MUST_CHECK nacre_status nc_read_moment(nacre_table *t, const nacre_read_options *options,
                                          nc_view **ret_view, uint64_t *ret_sequence, nacre_error *err);

/* What a snapshot fixes. */
NC_MUST_CHECK nacre_status nc_snapshot_moment(const nacre_snapshot *snapshot, const nacre_table **ret_table,
                                              uint64_t *ret_sequence, nacre_error *err);
/* There is a live snapshot of that moment: changes after it are kept. */
bool nc_snapshot_lives(nacre_table *t, uint64_t sequence);

/* ---- iterator_open.c: iterators that rest between two opens ------------------------------------------------- */

void nc_iters_recall(nacre_table *t); /* ends them */
void nc_iters_deinit(nacre_table *t);

/* ---- read.c -------------------------------------------------------------------------------------------- */

/* The newest change of a key at or before `sequence`, a delete or whatever else hides older versions included (0:
 * none is known), and whether a read finds the key after it. */
NC_MUST_CHECK nacre_status nc_view_key_state(const nc_view *view, nacre_slice key, uint64_t sequence, uint64_t moment_ms,
                                             uint64_t *ret_changed, bool *ret_exists, nacre_error *err);

/* ---- table_commit.c: the manifest and the list of logs ------------------------------------------------- */

typedef struct nc_change {
  nc_segment *const *add; /* to one place; one that is in `remove`, too, moves there */
  size_t add_count;
  nc_place place;
  nc_segment *const *remove;
  size_t remove_count;
  nc_log *add_log;        /* NULL: none */
  uint64_t drop_logs_to;  /* logs up to this number; 0: none */
  uint64_t last_sequence; /* raises the state's; 0: leaves it */
  bool flushes_oldest;    /* the oldest immutable is in `add` now */
  uint64_t shows;         /* becomes visible together with `add`: the sequence of a load; 0: none */
  const nc_value_changes *values; /* large puts that are kept and dropped; NULL: none */
} nc_change;

/* Commits a change durably, by an edit or, when one does not fit or the manifest is bad, by a new manifest,
 * and publishes it. */
NC_MUST_CHECK nacre_status nc_table_commit(nacre_table *t, const nc_change *change, nacre_error *err);
/* The manifest of this open: the first thing that a writing open writes. */
NC_MUST_CHECK nacre_status nc_table_new_manifest(nacre_table *t, nacre_error *err);
/* Replaces a manifest whose last commit failed, and with it lets go of the segments that it may name: on a
 * full disk their room is what the next try needs. */
NC_MUST_CHECK nacre_status nc_table_settle_manifest(nacre_table *t, nacre_error *err);
/* Takes over a list of segments, and its counts, whose commit has failed: it may have named them on disk, so they
 * stay until a new manifest is durable. */
void nc_table_set_doubtful(nacre_table *t, nc_segment **segments, size_t count);
uint64_t nc_table_new_number(nacre_table *t);
/* What files that are made now are made under. */
void nc_table_moment(nacre_table *t, uint64_t *ret_epoch, nc_uuid *ret_manifest, uint64_t *ret_sequence);

/* ---- table_begin.c: the first change after an open ----------------------------------------------------- */

/* Writes this open's manifest and removes orphans. Needs write_lock. */
NC_MUST_CHECK nacre_status nc_table_begin_writing_locked(nacre_table *t, nacre_error *err);
/* The same, unless it has been done. */
NC_MUST_CHECK nacre_status nc_table_begin_writing(nacre_table *t, nacre_error *err);

/* ---- write_room.c, log_sync.c, write.c ------------------------------------------------------------------- */

/* Makes the table able to change: begun, its log sound. Needs write_lock. */
NC_MUST_CHECK nacre_status nc_table_ready_locked(nacre_table *t, nacre_error *err);
/* The same, and there is room in its memtable. */
NC_MUST_CHECK nacre_status nc_table_prepare_locked(nacre_table *t, nacre_error *err);
NC_MUST_CHECK nacre_status nc_table_new_memtable(nacre_table *t, nc_memtable **ret_memtable,
                                                 nacre_error *err);
/* Begins a new log for the memtable that there is. Needs write_lock. */
NC_MUST_CHECK nacre_status nc_table_renew_log_locked(nacre_table *t, nacre_error *err);
/* Puts everything that only logs hold into segments and drops all logs: the next write begins a new one. Needs
 * write_lock. */
NC_MUST_CHECK nacre_status nc_table_drain_logs_locked(nacre_table *t, nacre_error *err);
/* Makes the active memtable immutable and begins a new log. Needs write_lock. */
NC_MUST_CHECK nacre_status nc_table_rotate_locked(nacre_table *t, nacre_error *err);
NC_MUST_CHECK nacre_status nc_table_sync(nacre_table *t, nacre_error *err);
NC_MUST_CHECK nacre_status nc_table_end_log(nacre_table *t, nacre_error *err);
/* nacre_put, nacre_delete and nacre_write without the public checks, for the catalogue. */
NC_MUST_CHECK nacre_status nc_table_put(nacre_table *t, nacre_slice key, nacre_slice value, bool sync,
                                        nacre_error *err);
NC_MUST_CHECK nacre_status nc_table_delete(nacre_table *t, nacre_slice key, bool sync, nacre_error *err);

/* ---- rewrapper.c --------------------------------------------------------------------------------------- */

/* True: a job was running, and another will follow it. */
bool nc_rewrap_schedule(nacre_table *t);
void nc_rewrap_run(void *table);
/* To be called whenever a flush or a merge has ended, with no lock held but those above theirs. */
void nc_rewrap_unpark(nacre_table *t);
/* One that failed, after a while. */
void nc_rewrap_retry(nacre_table *t);
/* Waits until all is under the active key, or something stands in the way. */
NC_MUST_CHECK nacre_status nc_rewrap_wait(nacre_table *t, nacre_error *err);
/* Ends after the file at hand, and waits. */
void nc_rewrap_stop(nacre_table *t);
bool nc_rewrap_due(nacre_table *t);
void nc_rewrap_deinit(nacre_table *t);

/* ---- load.c: bulk loads --------------------------------------------------------------------------------- */

/* Ends the segments that loads are writing under other table keys than the active one. Takes loads.lock. */
void nc_loads_end_older(nacre_table *t, const nc_table_keys *keys);
/* The finished segments of loads under way, which no manifest names. Call with `list` NULL for their number. Needs
 * commit_lock. */
size_t nc_loads_segments_locked(const nacre_table *t, nc_segment **list);

/* ---- retirements.c: what is not needed any more -------------------------------------------------------- */

/* Notes and tells what `before` had and the present keys have not. */
void nc_retirements_note(nacre_table *t, const nc_table_keys *before);
NC_MUST_CHECK nacre_status nc_retirements_copy(nacre_table *t, nacre_retirements **ret_copy, nacre_error *err);
void nc_retirements_drop(nacre_table *t);

/* ---- flush.c, compact.c: work in the background ---------------------------------------------------------- */

NC_MUST_CHECK nacre_status nc_table_flush_immutables(nacre_table *t, nacre_error *err);
void nc_table_schedule_flush(nacre_table *t);
void nc_table_retry_flush(nacre_table *t); /* one that failed */
void nc_table_schedule_merge(nacre_table *t);
/* What there will be to merge of a version that is shown now: young runs once nobody has written for a while, and what
 * will have expired. Needs state_lock. */
void nc_table_expect_locked(nacre_table *t, const nc_version *v);
/* What an earlier open has left to merge: also what expired before this one, once nobody has written for a while. Needs
 * state_lock. */
void nc_table_expect_left_locked(nacre_table *t);
/* Says that the table is idle, until its next memtable is full: what is worth merging then is merged. */
void nc_table_rest(nacre_table *t);
/* Segments that a merge could not read are chosen again. */
void nc_table_put_back(nacre_table *t);
/* Merges what is most urgent. */
NC_MUST_CHECK nacre_status nc_table_compact_once(nacre_table *t, bool *ret_any, nacre_error *err);
/* Merges what flushes at closes have left, when it has become many runs, as far as that takes no longer than a flush. For
 * one who is alone with the table. */
NC_MUST_CHECK nacre_status nc_table_merge_small(nacre_table *t, nacre_error *err);
NC_MUST_CHECK nacre_status nc_table_merge_range(nacre_table *t, nacre_slice from, nacre_slice to,
                                                nacre_error *err);
void nc_table_run_flush(void *table); /* the jobs */
void nc_table_run_merge(void *table);
void nc_table_run_relief(void *table);
/* Asks the table with the largest memtable to flush it; false when that is `t` itself. */
bool nc_table_relieve_other(nacre_table *t);
void nc_table_end_job(nacre_table *t); /* of those that jobs_running counts */
void nc_table_wait_jobs(nacre_table *t);
void nc_table_tell(nacre_table *t, nacre_event *event); /* fills in the table's name */
void nc_table_emit(nacre_table *t, nacre_event_type type, uint64_t bytes, const nacre_error *error);

/* ---- health.c ------------------------------------------------------------------------------------------ */

/* Notes in a place for errors (flush_error and its like) how work ended, and tells when that changes. */
void nc_table_note_result(nacre_table *t, nacre_error *place, nacre_status status, const nacre_error *err);

/* True in a child of the process that opened the table. The table itself lies in memory that is wiped
 * there. */
static inline bool nc_table_forked(const nacre_table *t) {
  return t == NULL || t->shared == NULL || nc_env_forked(t->shared->env);
}

/* ---- checks of public calls ---------------------------------------------------------------------------- */

NC_MUST_CHECK nacre_status nc_table_check(nacre_table *t, nacre_error *err);          /* NULL, forked */
NC_MUST_CHECK nacre_status nc_table_check_writable(nacre_table *t, nacre_error *err); /* and read-only */
NC_MUST_CHECK nacre_status nc_check_reserved(const uint64_t reserved[8], nacre_error *err);

#endif
