/* SPDX-License-Identifier: Apache-2.0
 *
 * help_errors: `nacre help errors` and `nacre help ID`: what an error id means and what helps, from errors.def.
 */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "exit_status.h"
#include "failure.h"
#include "render_json.h"
#include "status.h"

static void show(const options *o, const nc_error_info *info) {
  if (o->json) {
    json_t *object = json_object();
    tool_json_set_number(object, "id", (uint64_t)info->id);
    tool_json_set_text(object, "status", nacre_status_name(info->status));
    tool_json_set_text(object, "message", info->sentence);
    tool_json_set_text(object, "remedy", info->remedy);
    tool_json_line(object, stdout);
    return;
  }
  printf("%u  %s: %s\n      %s\n", (unsigned)info->id, nacre_status_name(info->status), info->sentence,
         info->remedy);
}

bool tool_help_errors_named(const char *name) {
  return strcmp(name, "errors") == 0 || (name[0] != '\0' && name[strspn(name, "0123456789")] == '\0');
}

int tool_help_errors_run(const options *o) {
  const char *name = o->arguments[0];
  if (o->argument_count > 1) return tool_fail_usage(o, "help takes one error id at a time");
  if (strcmp(name, "errors") == 0) {
    for (size_t i = 0; nc_error_info_at(i) != NULL; i++) show(o, nc_error_info_at(i));
    return TOOL_DONE;
  }
  unsigned long id = strtoul(name, NULL, 10);
  const nc_error_info *info = id <= UINT32_MAX ? nc_error_info_of((uint32_t)id) : NULL;
  if (info == NULL) return tool_fail_usage(o, "there is no error %.20s; nacre help errors lists all", name);
  show(o, info);
  return TOOL_DONE;
}
