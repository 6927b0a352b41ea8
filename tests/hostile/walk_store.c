/* SPDX-License-Identifier: Apache-2.0
 *
 * walk_store: see walk_store.h.
 */
#include "walk_store.h"

#include <sys/stat.h>

#include "support.h"
#include "verify_report.h"

void walk_store_lay_out(const shelf *files, const char *path) {
  if (mkdir(path, 0700) != 0) test_die("%s cannot be made", path);
  shelf_store(files, path);
}

size_t walk_store_faults(const char *store, const char *directory) {
  options o = {.keyless = true};
  verify_report report = {.o = &o};
  if (directory[0] == '\0')
    (void)tool_verify_walk_store(&report, store);
  else
    tool_verify_walk_directory(&report, store, directory, true, NULL);
  size_t faults = report.fault_count;
  tool_verify_free(&report);
  return faults;
}
