/* SPDX-License-Identifier: Apache-2.0
 *
 * key_check: see key_check.h. The figures are global, and atomic.
 */
#include "key_check.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "check.h"

enum { EXTRAS = 3, DENIED_ONE_IN = 3, READ_ONLY_ONE_IN = 6 };

static struct {
  atomic_uint_fast64_t with_old_alone, with_new_alone, refused, destroyed, abandoned, calls;
} figures;

key_figures key_check_figures(void) {
  return (key_figures){.with_old_alone = figures.with_old_alone,
                       .with_new_alone = figures.with_new_alone,
                       .refused = figures.refused,
                       .destroyed = figures.destroyed,
                       .abandoned = figures.abandoned,
                       .calls = figures.calls};
}

typedef struct look {
  const campaign *campaign;
  campaign_job *job;
  fake_kms kms;
  unsigned listed; /* by what has been looked at */
  sim_disk *after; /* what was on stable storage when everything was settled */
  store_bounds bounds_after;
} look;

/* ---- status -------------------------------------------------------------------------------------------- */

static unsigned listed_in(const nacre_key_status *status) {
  unsigned listed = 0;
  for (size_t i = 0; i < nacre_kms_keys_count(status->kms_keys); i++)
    listed |= 1u << fake_kms_key_of(nacre_kms_keys_at(status->kms_keys, i)->uri);
  return listed;
}

unsigned key_check_settled(nacre_table *table, nacre_store *store, unsigned allowed, const char *label) {
  nacre_key_status status;
  nacre_error error = {0};
  nacre_status answer =
      table != NULL ? nacre_table_key_status(table, &status) : nacre_store_key_status(store, &status);
  if (answer != NACRE_OK) nacre_last_error(&error);
  if (!CHECK(answer == NACRE_OK, "%s: key status: %s: %s", label, nacre_status_name(answer), error.text))
    return 0;
  size_t versions = nacre_key_versions_count(status.versions);
  unsigned listed = listed_in(&status);
  bool settled = versions == 1 && status.files_left == 0 && !status.changing && !status.rewrapping &&
                 nacre_key_versions_at(status.versions, 0)->active;
  bool one = nacre_kms_keys_count(status.kms_keys) == 1 && (listed & allowed) == listed &&
             nacre_kms_keys_at(status.kms_keys, 0)->status == NACRE_OK;
  settled =
      CHECK(settled, "%s: not settled: %zu versions, %llu files of %llu left, changing %d, rewrapping %d",
            label, versions, (unsigned long long)status.files_left, (unsigned long long)status.files,
            status.changing, status.rewrapping);
  one = CHECK(one, "%s: KMS keys %#x are listed, of %#x", label, listed, allowed);
  nacre_key_versions_free(status.versions);
  nacre_kms_keys_free(status.kms_keys);
  return settled && one ? listed : 0;
}

static bool look_at_table(void *arg, nacre_table *table, uint32_t index, const char *label) {
  look *l = arg;
  key_bounds *keys = &l->job->bounds.keys[index];
  nacre_status status = nacre_table_rewrap_wait(table, NULL);
  nacre_error error = {0};
  if (status != NACRE_OK) nacre_last_error(&error);
  if (!CHECK(status == NACRE_OK, "%s: table %u: waiting for the rewrap: %s: %s (\"%s\")", label, index,
             nacre_status_name(status), error.text, error.file))
    return false;
  unsigned listed = key_check_settled(table, NULL, keys->sure | keys->maybe, label);
  l->listed |= listed;
  *keys = (key_bounds){.sure = listed};
  nacre_verify_report report = {0};
  status = nacre_verify(table, NULL, &report);
  if (status != NACRE_OK) nacre_last_error(&error);
  nacre_faults_free(report.faults);
  return CHECK(status == NACRE_OK, "%s: table %u: verify after the rewrap: %s", label, index, error.text) &&
         listed != 0;
}

static bool look_at_store(void *arg, nacre_store *store, const char *label) {
  look *l = arg;
  key_bounds *keys = &l->job->bounds.catalogue_keys;
  unsigned listed = key_check_settled(NULL, store, keys->sure | keys->maybe, label);
  l->listed |= listed;
  *keys = (key_bounds){.sure = listed};
  l->after = sim_disk_image(l->job->image, SIM_KEEP_NONE, 1);
  l->bounds_after = l->job->bounds;
  /* A store without a table holds nothing yet, and whoever was making it was killed. */
  l->bounds_after.made = !l->job->killed || l->job->power.made;
  return listed != 0;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static void count_event(void *arg, const nacre_event *event) {
  (void)arg;
  if (event->type == NACRE_EVENT_KEY_ABANDONED) figures.abandoned++;
}

static nacre_store_options options_of(look *l, sim_disk *disk, nacre_key_spec trusted[FAKE_KMS_KEYS]) {
  const key_bounds *keys = &l->job->bounds.catalogue_keys;
  unsigned left = atomic_load(&l->kms.keys) & ~atomic_load(&l->kms.denied);
  nacre_store_options options = keyed_options(disk, &l->kms, (keys->sure | keys->maybe) & left, trusted);
  options.on_event = count_event;
  return options;
}

/* The keys that are not in `keys` are destroyed, or may not be used. */
static void leave_keys(look *l, unsigned keys) {
  bool denied = l->job->seed % DENIED_ONE_IN == 0;
  figures.calls += atomic_load(&l->kms.calls);
  fake_kms_init(&l->kms, denied ? FAKE_KMS_ALL : keys);
  if (denied) atomic_store(&l->kms.denied, FAKE_KMS_ALL & ~keys);
}

static nacre_status open_tables(look *l, nacre_store *store) {
  const history *h = &l->campaign->history;
  nacre_status worst = NACRE_OK;
  for (uint32_t i = 0; i < h->table_count && worst == NACRE_OK; i++) {
    nacre_table *table = NULL;
    if (l->job->bounds.tables[i].there == PRESENCE_ABSENT) continue;
    worst = nacre_table_open(store, h->tables[i].name, NULL, &table);
    if (worst == NACRE_NOT_FOUND) worst = NACRE_OK;
    (void)nacre_table_close(table);
  }
  return worst;
}

/* Whether these keys open everything. What it writes on the way must do no harm. */
static nacre_status try_keys(look *l, unsigned keys) {
  nacre_key_spec trusted[FAKE_KMS_KEYS];
  nacre_store *store = NULL;
  leave_keys(l, keys);
  nacre_store_options options = options_of(l, l->job->image, trusted);
  if (options.default_key.uri == NULL) return NACRE_KEY_MISSING;
  nacre_status status = nacre_open(STORE_PATH, &options, &store);
  if (status == NACRE_OK) status = open_tables(l, store);
  (void)nacre_close(store);
  bool key = status == NACRE_KEY_MISSING || status == NACRE_KEY_DENIED;
  nacre_error error = {0};
  if (status != NACRE_OK) nacre_last_error(&error);
  CHECK(status == NACRE_OK || key, "%s: opening with keys %#x: %s: %s", l->job->label, keys,
        nacre_status_name(status), error.text);
  return status;
}

typedef struct key_choice {
  unsigned old, new, all;
} key_choice;

static void add_keys(key_choice *choice, const key_bounds *keys) {
  choice->old |= keys->sure;
  choice->new |= keys->maybe != 0 ? keys->maybe : keys->sure;
  choice->all |= keys->sure | keys->maybe;
}

static key_choice choices_of(const look *l) {
  key_choice choice = {0};
  add_keys(&choice, &l->job->bounds.catalogue_keys);
  for (uint32_t i = 0; i < l->campaign->history.table_count; i++)
    if (l->job->bounds.tables[i].there != PRESENCE_ABSENT) add_keys(&choice, &l->job->bounds.keys[i]);
  return choice;
}

/* The old key alone opens what is not committed, the new one alone what is. */
static unsigned choose_keys(look *l) {
  key_choice choice = choices_of(l);
  uint64_t turn = l->job->seed / 7 % 3;
  if (turn == 0 || !l->job->bounds.made) return choice.all;
  unsigned first = turn == 1 ? choice.old : choice.new, second = turn == 1 ? choice.new : choice.old;
  nacre_status status = try_keys(l, first);
  if (status == NACRE_OK) {
    figures.with_old_alone += choice.old != choice.new && turn == 1;
    figures.with_new_alone += choice.old != choice.new && turn == 2;
    /* A change of the store's own key that was committed is brought to its end by who opens it, with whichever key;
     * from then on the new one alone opens it. */
    return choice.old == choice.new || turn == 2 || try_keys(l, first) == NACRE_OK ? first : second;
  }
  figures.refused++;
  CHECK(choice.old != choice.new, "%s: the keys that must suffice, %#x, do not: %s", l->job->label, first,
        nacre_status_name(status));
  status = try_keys(l, second);
  if (status == NACRE_OK) return second;
  nacre_error error = {0};
  nacre_last_error(&error);
  CHECK(false, "%s: neither keys %#x nor %#x open it: %s: %s", l->job->label, first, second,
        nacre_status_name(status), error.text);
  return choice.all;
}

/* ---- the check ----------------------------------------------------------------------------------------- */

static bool check_with(look *l, sim_disk *disk, store_bounds *bounds, check_plan *plan, bool read_only,
                       const char *what) {
  char label[sizeof l->job->label + 64];
  nacre_key_spec trusted[FAKE_KMS_KEYS];
  nacre_store_options options = options_of(l, disk, trusted);
  options.read_only = read_only;
  plan->options = &options;
  plan->arg = l;
  snprintf(label, sizeof label, "%s%s", l->job->label, what);
  return check_store_with(disk, plan, &l->campaign->history, bounds, label);
}

static bool check_after(look *l) {
  check_plan plan = {0}, unwritten = {.unwritten = true};
  leave_keys(l, l->listed);
  figures.destroyed++;
  bool ok = check_with(l, l->after, &l->bounds_after, &plan, false, "; other keys destroyed, power cut");
  return check_with(l, l->job->image, &l->job->bounds, &unwritten, false,
                    "; other keys destroyed, reopened") &&
         ok;
}

bool key_check(const campaign *c, campaign_job *job) {
  look l = {.campaign = c, .job = job};
  check_plan plan = {.extras = EXTRAS, .table = look_at_table, .store = look_at_store};
  check_plan quiet = {.unwritten = true, .unsettled = true};
  bool ok = true;
  if (job->keys == 0) job->keys = choose_keys(&l);
  leave_keys(&l, job->keys);
  if (job->bounds.made && job->seed / 64 % READ_ONLY_ONE_IN == 0)
    ok = check_with(&l, job->image, &job->bounds, &quiet, true, "; read-only");
  ok = ok && check_with(&l, job->image, &job->bounds, &plan, false, "");
  sim_disk_watch(job->image, NULL, NULL);
  ok = ok && check_after(&l);
  figures.calls += atomic_load(&l.kms.calls);
  if (l.after != NULL && sim_disk_handles(l.after) == 0) sim_disk_destroy(l.after);
  return ok;
}
