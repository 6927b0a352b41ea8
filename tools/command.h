/* SPDX-License-Identifier: Apache-2.0
 *
 * command: the list of subcommands, with the words that `help`, usage errors and the parser share.
 */
#ifndef TOOL_COMMAND_H
#define TOOL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct options options;

typedef struct command {
  const char *name;      /* one word or two: "get", "table create" */
  const char *arguments; /* as they are named in the synopsis */
  const char *summary;   /* one line */
  const char *detail;    /* what else is to be known; may be NULL */
  const char *example;
  uint64_t options;                 /* bits of option_id, besides the ones that every command takes */
  int arguments_min, arguments_max; /* max -1: any number */
  int (*run)(const options *o);     /* returns the exit status, its errors already told */
} command;

const command *tool_command_at(size_t index); /* NULL past the end */
/* The command that a name of one word or two stands for; `second` may be NULL. `*ret_words` tells how many
 * were used. */
const command *tool_command_find(const char *first, const char *second, int *ret_words);
/* The known name that a mistyped one is nearest to; NULL when none is near. */
const char *tool_command_suggest(const char *name);

int tool_help_run(const options *o);
int tool_version_run(const options *o);
/* `help errors` and `help ID`: errors.def. */
bool tool_help_errors_named(const char *name);
int tool_help_errors_run(const options *o);
/* Prints the page of one command. */
void tool_help_command(const command *c);

int tool_init_run(const options *o);
int tool_keyring_list_run(const options *o);
int tool_keyring_add_run(const options *o);
int tool_keyring_remove_run(const options *o);
int tool_keyring_passphrase_run(const options *o);
int tool_table_create_run(const options *o);
int tool_table_list_run(const options *o);
int tool_table_info_run(const options *o);
int tool_table_drop_run(const options *o);
int tool_table_rename_run(const options *o);
int tool_keys_status_run(const options *o);
int tool_keys_set_run(const options *o);
int tool_keys_rotate_run(const options *o);
int tool_keys_wait_run(const options *o);
int tool_put_run(const options *o);
int tool_get_run(const options *o);
int tool_delete_run(const options *o);
int tool_scan_run(const options *o);
int tool_count_run(const options *o);
int tool_import_run(const options *o);
int tool_export_run(const options *o);
int tool_inspect_run(const options *o);
int tool_dump_run(const options *o);
int tool_verify_run(const options *o);
int tool_salvage_run(const options *o);
int tool_checkpoint_run(const options *o);
int tool_flush_run(const options *o);
int tool_compact_run(const options *o);
int tool_stats_run(const options *o);

#endif
