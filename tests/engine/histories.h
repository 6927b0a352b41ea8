/* SPDX-License-Identifier: Apache-2.0
 *
 * histories: commit logs made frame by frame, with every frame's place known, and their recovery.
 *
 * Sequence n puts the key "k<n>" with the value "v<n>". What is said to be synced is up to the test:
 * nothing here depends on what really reached the disk.
 */
#ifndef TESTS_ENGINE_HISTORIES_H
#define TESTS_ENGINE_HISTORIES_H

#include "fixture.h"
#include "frame.h"
#include "recovery.h"
#include "reseal.h"

enum { HISTORY_LOGS_MAX = 8, HISTORY_FRAMES_MAX = 128 };

typedef struct history_frame {
  uint64_t log, offset, size;
  nc_frame_type type;
  uint64_t last_sequence; /* of the history behind it */
  nc_log_position synced; /* what it vouches for, a final frame's own place aside */
} history_frame;

typedef struct history {
  floor_fixture floor;
  nc_manifest_content manifest; /* names the logs; commit sequence 10 */
  nc_log_name names[HISTORY_LOGS_MAX];
  nc_log *logs[HISTORY_LOGS_MAX]; /* in the order of their numbers, which are 1, 2, ... */
  uint64_t next_sequence;
  nc_log_position synced; /* what the next frames vouch for */
  uint64_t commit;        /* which manifest commit the next frames know of */
  history_frame frames[HISTORY_FRAMES_MAX];
  size_t frame_count;
  /* of the last recovery */
  nacre_error err;
  nacre_recovery_report report;
  uint64_t last_sequence;
  uint64_t entries; /* in the memtable; all of them checked, */
  bool foreign;     /* unless the test put others there */
} history;

void history_open(history *h);
void history_close(history *h);

/* Makes the next log: named, with a header, without a first frame. Returns its index. */
size_t history_log(history *h);
void history_start(history *h, size_t log, size_t predecessor); /* predecessor: SIZE_MAX for none */
size_t history_group(history *h, size_t log, uint64_t count);   /* these return the frame's index */
size_t history_mark(history *h, size_t log);
size_t history_final(history *h, size_t log);
/* Two logs: start, group of 2, group of 3, mark; start, group of 1, mark, group of 2. */
void history_two_logs(history *h);
/* Seals and frees what a log holds instead, under its name. */
void history_reseal(history *h, size_t log, plain_file *file);
const char *history_log_name(size_t log);
/* From here on everything written so far counts as synced. */
void history_synced(history *h, size_t log);
/* A frame of the log's own key with any plaintext. */
size_t history_raw(history *h, size_t log, nc_frame_type type, nacre_slice plaintext);
void history_path(const history *h, size_t log, char path[PATH_BYTES]);
uint64_t history_size(const history *h, size_t log);

/* Damage to a frame. */
void frame_flip(const history *h, size_t frame);  /* one bit of its ciphertext */
void frame_forge(const history *h, size_t frame); /* the same, with a right checksum */
void frame_zero(const history *h, size_t frame);  /* a hole */
void log_cut(const history *h, size_t log, uint64_t size);
/* Makes a log as long as that, with filler from where it ends now. */
void log_fill(const history *h, size_t log, uint64_t size);

nacre_status history_recover(history *h, nacre_recovery_mode mode);
/* Recovers strictly: all of 1 ... `last` is there, and nothing else. */
void history_keeps(history *h, uint64_t last);
/* Strictly refused; with NACRE_RECOVERY_TO_DAMAGE, 1 ... `last` is there. */
void history_refused(history *h, nc_error_id id, uint64_t last);

#endif
