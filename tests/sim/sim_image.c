/* SPDX-License-Identifier: Apache-2.0
 *
 * What a power cut leaves. An image is a new disk: the stable tree, and on top of it the unsynced writes and
 * names that the adversary lets survive. The source is only read, under its mutex; the image shares its
 * pages.
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "sim_state.h"
#include "support.h"

/* One adversary: a policy with its random choices. */
typedef struct adversary {
  sim_policy policy;
  test_random random;
  uint64_t limit;     /* the operation at which a prefix ends or a suffix begins */
  uint64_t keep_of_8; /* how many of eight survive, where each is decided by itself */
} adversary;

typedef enum fate { FATE_LOST, FATE_WHOLE, FATE_SECTORS, FATE_BYTES } fate;

const char *sim_policy_name(sim_policy policy) {
  static const char *const names[SIM_POLICY_COUNT] = {"none",   "all",     "prefix", "prefix-torn", "suffix",
                                                      "subset", "sectors", "data",   "names"};
  return (unsigned)policy < SIM_POLICY_COUNT ? names[policy] : "unknown";
}

/* ---- choosing ------------------------------------------------------------------------------------------ */

static bool spared(adversary *who) { return test_random_below(&who->random, 8) < who->keep_of_8; }

static fate fate_of_write(adversary *who, uint64_t operation) {
  switch (who->policy) {
    case SIM_KEEP_NONE:
    case SIM_KEEP_NAMES:
      return FATE_LOST;
    case SIM_KEEP_ALL:
    case SIM_KEEP_DATA:
      return FATE_WHOLE;
    case SIM_KEEP_PREFIX:
      return operation < who->limit ? FATE_WHOLE : FATE_LOST;
    case SIM_KEEP_PREFIX_TORN:
      if (operation == who->limit) return test_random_chance(&who->random, 2) ? FATE_BYTES : FATE_SECTORS;
      return operation < who->limit ? FATE_WHOLE : FATE_LOST;
    case SIM_KEEP_SUFFIX:
      return operation >= who->limit ? FATE_WHOLE : FATE_LOST;
    case SIM_KEEP_SUBSET:
      return spared(who) ? FATE_WHOLE : FATE_LOST;
    case SIM_KEEP_SECTORS:
      return FATE_SECTORS;
    case SIM_POLICY_COUNT:
      break;
  }
  test_die("unknown policy %d", (int)who->policy);
}

static bool keeps_change(adversary *who, uint64_t operation) {
  switch (who->policy) {
    case SIM_KEEP_NONE:
    case SIM_KEEP_DATA:
      return false;
    case SIM_KEEP_ALL:
    case SIM_KEEP_NAMES:
      return true;
    case SIM_KEEP_PREFIX:
    case SIM_KEEP_PREFIX_TORN:
      return operation < who->limit;
    case SIM_KEEP_SUFFIX:
      return operation >= who->limit;
    case SIM_KEEP_SUBSET:
    case SIM_KEEP_SECTORS:
      return spared(who);
    case SIM_POLICY_COUNT:
      break;
  }
  test_die("unknown policy %d", (int)who->policy);
}

/* The numbers of all operations that a cut could undo, so that a limit is drawn from those that matter. */
static uint64_t draw_limit(const sim_disk *disk, test_random *random) {
  uint64_t *numbers = NULL;
  size_t count = 0, capacity = 0;
  for (const sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next) {
    for (size_t i = 0; i < inode->write_count; i++) {
      numbers = test_grow(numbers, count, &capacity, sizeof *numbers);
      numbers[count++] = inode->writes[i].operation;
    }
    for (size_t i = 0; i < inode->change_count; i++) {
      numbers = test_grow(numbers, count, &capacity, sizeof *numbers);
      numbers[count++] = inode->changes[i].operation;
    }
  }
  uint64_t limit = count > 0 ? numbers[test_random_below(random, count)] : disk->operations;
  free(numbers);
  return limit;
}

/* ---- files --------------------------------------------------------------------------------------------- */

/* The sectors of [from, to) survive as they are in `cache` now, the earlier writes to the same sectors
 * included. */
static void keep_range(sim_content *file, const sim_content *cache, uint64_t from, uint64_t to) {
  uint8_t sector[SIM_SECTOR_BYTES];
  for (from -= from % sizeof sector; from < to; from += sizeof sector)
    sim_content_write(file, from, sector, sim_content_read(cache, from, sector, sizeof sector));
}

static void keep_sectors(adversary *who, sim_content *file, const sim_content *cache,
                         const sim_write *write) {
  uint64_t to = write->offset + write->size;
  for (uint64_t at = write->offset - write->offset % SIM_SECTOR_BYTES; at < to; at += SIM_SECTOR_BYTES)
    if (spared(who)) keep_range(file, cache, at, at + 1);
}

/* Happened or did not: the length of a file changes in one piece. */
static void keep_cut(adversary *who, sim_content *file, const sim_write *write) {
  fate fell = fate_of_write(who, write->operation);
  if (fell == FATE_WHOLE || (fell != FATE_LOST && spared(who))) sim_content_cut(file, write->offset);
}

static void keep_write(adversary *who, sim_content *file, const sim_content *cache, const sim_write *write) {
  if (write->bytes == NULL) {
    keep_cut(who, file, write);
    return;
  }
  switch (fate_of_write(who, write->operation)) {
    case FATE_LOST:
      break;
    case FATE_WHOLE:
      keep_range(file, cache, write->offset, write->offset + write->size);
      break;
    case FATE_SECTORS:
      keep_sectors(who, file, cache, write);
      break;
    case FATE_BYTES:
      sim_content_write(file, write->offset, write->bytes,
                        (size_t)test_random_below(&who->random, write->size));
      break;
  }
}

/* The length of a file may reach the disk before its data does. */
static void grow_without_data(adversary *who, sim_content *file, const sim_inode *inode) {
  if ((who->policy != SIM_KEEP_SECTORS && who->policy != SIM_KEEP_NAMES) || inode->write_count == 0) return;
  const sim_write *write = &inode->writes[test_random_below(&who->random, inode->write_count)];
  if (test_random_chance(&who->random, 2)) sim_content_extend(file, write->offset + write->size);
}

static void survive_file(adversary *who, const sim_inode *inode, sim_content *file) {
  sim_content_share(file, &inode->stable);
  if (inode->write_count == 0) return;
  sim_content cache = {0};
  sim_content_share(&cache, &inode->stable);
  for (size_t i = 0; i < inode->write_count; i++) {
    const sim_write *write = &inode->writes[i];
    sim_write_apply(&cache, write);
    keep_write(who, file, &cache, write);
  }
  sim_content_deinit(&cache);
  grow_without_data(who, file, inode);
}

/* ---- the tree ------------------------------------------------------------------------------------------ */

static sim_inode *survive(adversary *who, sim_disk *image, sim_inode *inode);

static void survive_names(adversary *who, sim_disk *image, const sim_inode *dir, sim_inode *copy) {
  sim_names names = {0};
  sim_names_share(&names, &dir->stable_names);
  for (size_t i = 0; i < dir->change_count; i++)
    if (keeps_change(who, dir->changes[i].operation)) sim_names_apply(&names, &dir->changes[i]);
  for (size_t i = 0; i < names.count; i++) {
    names.at[i].inode = survive(who, image, names.at[i].inode);
    names.at[i].inode->names_held++;
  }
  sim_names_share(&copy->stable_names, &names);
  copy->names = names;
}

/* The copy of an inode in the image, made when the first name that leads to it survives. */
static sim_inode *survive(adversary *who, sim_disk *image, sim_inode *inode) {
  if (inode->twin != NULL) return inode->twin;
  sim_inode *copy = inode->twin = sim_inode_create(image, inode->directory);
  if (inode->directory) {
    survive_names(who, image, inode, copy);
    return copy;
  }
  survive_file(who, inode, &copy->current);
  sim_content_share(&copy->stable, &copy->current);
  return copy;
}

sim_disk *sim_disk_image(sim_disk *disk, sim_policy policy, uint64_t seed) {
  static const uint64_t densities[] = {1, 4, 7};
  adversary who = {.policy = policy, .random = {test_mix(seed, (uint64_t)policy)}};
  sim_disk *image = sim_disk_create();
  pthread_mutex_lock(&disk->mutex);
  who.limit = draw_limit(disk, &who.random);
  who.keep_of_8 = densities[test_random_below(&who.random, 3)];
  disk->root->twin = image->root;
  survive_names(&who, image, disk->root, image->root);
  for (sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next) inode->twin = NULL;
  image->clock_ns = disk->clock_ns;
  image->further_links = disk->further_links;
  pthread_mutex_unlock(&disk->mutex);
  return image;
}

/* ---- a copy -------------------------------------------------------------------------------------------- */

static void copy_names(sim_names *to, const sim_names *from) {
  sim_names_share(to, from);
  for (size_t i = 0; i < to->count; i++) to->at[i].inode = to->at[i].inode->twin;
}

static void copy_file(const sim_inode *from) {
  sim_inode *to = from->twin;
  sim_content_share(&to->current, &from->current);
  sim_content_share(&to->stable, &from->stable);
  to->pretends = from->pretends;
  for (size_t i = 0; i < from->write_count; i++) {
    to->writes = test_grow(to->writes, to->write_count, &to->write_capacity, sizeof *to->writes);
    sim_write *write = &to->writes[to->write_count++];
    *write = from->writes[i];
    if (write->bytes == NULL) continue;
    write->bytes = test_alloc(write->size);
    memcpy(write->bytes, from->writes[i].bytes, write->size);
  }
}

static void copy_directory(const sim_inode *from) {
  sim_inode *to = from->twin;
  copy_names(&to->names, &from->names);
  copy_names(&to->stable_names, &from->stable_names);
  for (size_t i = 0; i < from->change_count; i++) {
    to->changes = test_grow(to->changes, to->change_count, &to->change_capacity, sizeof *to->changes);
    to->changes[to->change_count] = from->changes[i];
    to->changes[to->change_count++].inode = from->changes[i].inode->twin;
  }
}

sim_disk *sim_disk_copy(sim_disk *disk) {
  sim_disk *copy = sim_disk_create();
  pthread_mutex_lock(&disk->mutex);
  for (sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next) {
    inode->twin = inode == disk->root ? copy->root : sim_inode_create(copy, inode->directory);
    inode->twin->names_held = inode->names_held;
  }
  for (sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next)
    inode->directory ? copy_directory(inode) : copy_file(inode);
  for (sim_inode *inode = disk->inodes; inode != NULL; inode = inode->next) inode->twin = NULL;
  copy->operations = disk->operations;
  copy->clock_ns = disk->clock_ns;
  copy->further_links = disk->further_links;
  pthread_mutex_unlock(&disk->mutex);
  return copy;
}

/* ---- the digest ---------------------------------------------------------------------------------------- */

static void digest_update(EVP_MD_CTX *context, const void *bytes, size_t size) {
  if (EVP_DigestUpdate(context, bytes, size) != 1) test_die("SHA-256 failed");
}

static void digest_names(EVP_MD_CTX *context, const sim_names *names) {
  digest_update(context, &names->count, sizeof names->count);
  for (size_t i = 0; i < names->count; i++) {
    const sim_name *name = &names->at[i];
    uint8_t digest[SIM_DIGEST_BYTES];
    digest_update(context, name->text, sizeof name->text);
    digest_update(context, name->inode->directory ? "d" : "f", 1);
    if (name->inode->directory) {
      digest_names(context, &name->inode->names);
    } else {
      sim_content_digest(&name->inode->current, digest);
      digest_update(context, digest, sizeof digest);
    }
  }
}

void sim_disk_digest(sim_disk *disk, uint8_t digest[SIM_DIGEST_BYTES]) {
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  if (context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1) test_die("SHA-256 failed");
  pthread_mutex_lock(&disk->mutex);
  digest_names(context, &disk->root->names);
  pthread_mutex_unlock(&disk->mutex);
  if (EVP_DigestFinal_ex(context, digest, NULL) != 1) test_die("SHA-256 failed");
  EVP_MD_CTX_free(context);
}
