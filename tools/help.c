/* SPDX-License-Identifier: Apache-2.0
 *
 * help: `nacre help`, `version` and COMMAND --help, from the list of commands.
 */
#include <jansson.h>
#include <string.h>

#include "exit_status.h"
#include "failure.h"
#include "render_json.h"
#include "render_text.h"

static void overview(void) {
  puts("nacre: an embeddable table store that encrypts everything it keeps\n");
  puts("usage: nacre COMMAND ARGUMENTS [OPTIONS]\n");
  for (size_t i = 0; tool_command_at(i) != NULL; i++) {
    const command *c = tool_command_at(i);
    printf("  %-13s  %s\n", c->name, c->summary);
  }
  puts(
      "\nEvery command takes --json, --quiet and --help; nacre COMMAND --help says all about one, with an "
      "example.");
  puts("The FILE of import and the VALUE of put may be -: standard input. Words after -- are arguments,");
  puts("also those that begin with -. A store is open in one process that writes, or in several that only");
  puts("read; inspect and dump work beside any.");
  puts("\nexit status: 0 done, 1 failed, 2 usage, 3 not found, 4 corrupt, tampered or rolled back,");
  puts("             5 key missing, denied, unreachable or revoked, 6 locked or busy, 7 no space");
}

void tool_help_command(const command *c) {
  printf("nacre %s: %s\n\nusage: nacre %s%s%s [OPTIONS]\n", c->name, c->summary, c->name,
         c->arguments[0] != 0 ? " " : "", c->arguments);
  if (c->detail != NULL) printf("\n%s\n", c->detail);
  puts("\noptions:");
  tool_options_print(c, stdout);
  printf("\nexample:\n%s\n", c->example);
}

int tool_help_run(const options *o) {
  if (o->argument_count == 0) {
    overview();
    return TOOL_DONE;
  }
  if (tool_help_errors_named(o->arguments[0])) return tool_help_errors_run(o);
  int words = 0;
  const command *c =
      tool_command_find(o->arguments[0], o->argument_count > 1 ? o->arguments[1] : NULL, &words);
  if (c == NULL) {
    /* "help table": the pages of its commands. */
    bool any = false;
    size_t size = strlen(o->arguments[0]);
    for (size_t i = 0; tool_command_at(i) != NULL; i++) {
      const command *each = tool_command_at(i);
      if (strncmp(each->name, o->arguments[0], size) != 0 || each->name[size] != ' ') continue;
      if (any) puts("\n");
      tool_help_command(each);
      any = true;
    }
    if (any) return TOOL_DONE;
    return tool_fail_usage(o, "there is no command \"%s\"; nacre help lists all", o->arguments[0]);
  }
  tool_help_command(c);
  return TOOL_DONE;
}

int tool_version_run(const options *o) {
  if (o->json) {
    json_t *object = json_object();
    tool_json_set_text(object, "version", nacre_version());
    tool_json_line(object, stdout);
  } else {
    printf("nacre %s\n", nacre_version());
  }
  return TOOL_DONE;
}
