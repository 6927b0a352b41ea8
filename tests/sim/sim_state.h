/* SPDX-License-Identifier: Apache-2.0
 *
 * The insides of a simulated disk, shared by sim_disk.c (operations) and sim_image.c (what a power cut
 * leaves).
 *
 * Invariants
 *   1. `current` is what a reader sees. While no sync has failed with SIM_SYNC_PRETENDS, it equals `stable`
 *      with `writes` applied in order; likewise `names` equals `stable_names` with `changes` applied.
 *   2. Inodes live as long as their disk: a removed file may come back in an image.
 *   3. `names` are sorted, so that walks, and with them every random choice, go in one order.
 */
#ifndef NACRE_TESTS_SIM_STATE_H
#define NACRE_TESTS_SIM_STATE_H

#include <pthread.h>

#include "sim_disk.h"

enum { SIM_NAME_BYTES = 64 };

typedef struct sim_inode sim_inode;

typedef struct sim_write {
  uint64_t operation, offset;
  size_t size;
  uint8_t *bytes; /* NULL: the file was cut off at `offset` */
} sim_write;

typedef struct sim_name {
  char text[SIM_NAME_BYTES];
  sim_inode *inode;
} sim_name;

typedef struct sim_names {
  sim_name *at;
  size_t count, capacity;
} sim_names;

typedef enum sim_change_kind { SIM_CHANGE_ADD, SIM_CHANGE_REMOVE, SIM_CHANGE_RENAME } sim_change_kind;

typedef struct sim_change {
  uint64_t operation;
  sim_change_kind kind;
  char name[SIM_NAME_BYTES], to[SIM_NAME_BYTES];
  sim_inode *inode;
} sim_change;

struct sim_inode {
  sim_inode *next; /* of all inodes of the disk */
  bool directory;
  uint32_t names_held, handles; /* how many names and open handles lead here now */
  uint32_t locks_shared;
  bool locked;

  sim_content current, stable; /* of a file */
  sim_write *writes;
  size_t write_count, write_capacity;
  bool pretends; /* `current` holds bytes that no sync will write */

  sim_names names, stable_names; /* of a directory */
  sim_change *changes;
  size_t change_count, change_capacity;

  sim_inode *twin; /* its twin in the image or copy that is being made; NULL otherwise */
};

struct sim_disk {
  pthread_mutex_t mutex;
  nacre_io io;
  sim_inode *inodes, *root;
  uint64_t operations, cut_at, handles, clock_ns;
  bool dead;
  uint64_t capacity;
  uint32_t further_links;
  sim_fault fault;
  uint64_t fault_seen, faults_hit;
  void (*before)(void *arg, uint64_t number);
  void *before_arg;
};

/* A write or a cut as a reader of the file sees it. */
void sim_write_apply(sim_content *content, const sim_write *write);
sim_inode *sim_inode_create(sim_disk *disk, bool directory);
sim_name *sim_names_find(const sim_names *names, const char *text);
void sim_names_set(sim_names *names, const char *text, sim_inode *inode); /* replaces what had the name */
void sim_names_unset(sim_names *names, const char *text);                 /* of a missing name: nothing */
void sim_names_share(sim_names *to, const sim_names *from);
/* A change as a reader of the directory, or a cut in which it survived, sees it. */
void sim_names_apply(sim_names *names, const sim_change *change);

#endif
