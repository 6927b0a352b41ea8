/* SPDX-License-Identifier: Apache-2.0
 *
 * The names of one simulated directory: a sorted array.
 */
#include <stdlib.h>
#include <string.h>

#include "sim_state.h"
#include "support.h"

/* The first place whose name is not before `text`. */
static size_t lower_bound(const sim_names *names, const char *text) {
  size_t low = 0, high = names->count;
  while (low < high) {
    size_t middle = low + (high - low) / 2;
    if (strcmp(names->at[middle].text, text) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

sim_name *sim_names_find(const sim_names *names, const char *text) {
  size_t place = lower_bound(names, text);
  return place < names->count && strcmp(names->at[place].text, text) == 0 ? &names->at[place] : NULL;
}

void sim_names_set(sim_names *names, const char *text, sim_inode *inode) {
  size_t place = lower_bound(names, text);
  if (place == names->count || strcmp(names->at[place].text, text) != 0) {
    names->at = test_grow(names->at, names->count, &names->capacity, sizeof *names->at);
    memmove(&names->at[place + 1], &names->at[place], (names->count - place) * sizeof *names->at);
    names->count++;
    memset(&names->at[place], 0, sizeof names->at[place]);
    memcpy(names->at[place].text, text, strlen(text));
  }
  names->at[place].inode = inode;
}

void sim_names_unset(sim_names *names, const char *text) {
  sim_name *name = sim_names_find(names, text);
  if (name == NULL) return;
  size_t place = (size_t)(name - names->at);
  names->count--;
  memmove(name, name + 1, (names->count - place) * sizeof *name);
}

void sim_names_share(sim_names *to, const sim_names *from) {
  sim_names copy = {.count = from->count, .capacity = from->count};
  copy.at = test_alloc(copy.count * sizeof *copy.at);
  if (copy.count > 0) memcpy(copy.at, from->at, copy.count * sizeof *copy.at);
  free(to->at);
  *to = copy;
}

/* A removal or a rename concerns the inode it was made for: when another one has the name by now, because the
 * change that gave it away did not survive, that one keeps it. */
void sim_names_apply(sim_names *names, const sim_change *change) {
  const sim_name *name = sim_names_find(names, change->name);
  bool same = name != NULL && name->inode == change->inode;
  switch (change->kind) {
    case SIM_CHANGE_ADD:
      sim_names_set(names, change->name, change->inode);
      break;
    case SIM_CHANGE_REMOVE:
      if (same) sim_names_unset(names, change->name);
      break;
    case SIM_CHANGE_RENAME:
      if (same) sim_names_unset(names, change->name);
      sim_names_set(names, change->to, change->inode);
      break;
  }
}
