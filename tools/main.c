/* SPDX-License-Identifier: Apache-2.0
 *
 * main: the `nacre` command: finds the subcommand, parses its options, runs it.
 *
 * A closed pipe is told by write() and not by a signal, so that a store is closed cleanly also then. That is
 * the command's business alone: the library never touches signals.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "exit_status.h"
#include "failure.h"
#include "passphrase.h"

/* A file of the store that came to lie on descriptor 1 would be written over by the first printf. */
static void occupy_standard_descriptors(void) {
  int fd = open("/dev/null", O_RDWR);
  while (fd >= 0 && fd <= STDERR_FILENO) fd = open("/dev/null", O_RDWR);
  if (fd > STDERR_FILENO) close(fd);
}

/* Options may also stand before the command: how many words they take. */
static int leading_options(int argc, char **argv) {
  int count = 0;
  while (count + 1 < argc && argv[count + 1][0] == '-') {
    const char *word = argv[count + 1];
    bool takes_value =
        strcmp(word, "--key") == 0 || strcmp(word, "--store-key") == 0 || strcmp(word, "--trust-key") == 0;
    count += takes_value && count + 2 < argc ? 2 : 1;
  }
  return count;
}

/* The words of the command line as the command's parser wants them: program, options that stood first, the
 * rest. */
static int run_command(const command *c, int leading, int words, int argc, char **argv) {
  char **rest = argv + words; /* the words of the command's name are the ones to leave out */
  for (int i = leading; i >= 0; i--) rest[i] = argv[i];
  options o;
  int status = tool_options_parse(c, argc - words, rest, &o);
  if (status == TOOL_DONE && o.help) {
    tool_help_command(c);
  } else if (status == TOOL_DONE) {
    status = c->run(&o);
  }
  status = tool_output_end(&o, status);
  tool_passphrase_forget();
  tool_options_free(&o);
  return status;
}

/* "table --help": the pages of all commands that begin with that word. */
static bool help_wanted(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
  }
  return false;
}

static int unknown_command(const options *o, const char *name) {
  const char *near = tool_command_suggest(name);
  if (near != NULL) return tool_fail_usage(o, "there is no command \"%s\"; did you mean \"%s\"?", name, near);
  return tool_fail_usage(o, "there is no command \"%s\"; nacre help lists all", name);
}

int main(int argc, char **argv) {
  occupy_standard_descriptors();
  /* Records on their way in or out lie in ordinary memory, jansson's and stdio's: this process leaves no core dump. */
  (void)prctl(PR_SET_DUMPABLE, 0);
  (void)signal(SIGPIPE, SIG_IGN);
  options o = {.json = tool_options_want_json(argc, argv)};
  int leading = leading_options(argc, argv), words = 0;
  char **first = argv + leading + 1;
  if (leading + 1 >= argc) {
    bool version = leading > 0 && strcmp(argv[1], "--version") == 0;
    bool help = leading > 0 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0);
    if (!version && !help) return tool_fail_usage(&o, "which command? nacre help lists all");
    const command *c = tool_command_find(version ? "version" : "help", NULL, &words);
    o.command = c;
    return tool_output_end(&o, c->run(&o));
  }
  const command *c = tool_command_find(first[0], leading + 2 < argc ? first[1] : NULL, &words);
  if (c == NULL && help_wanted(argc, argv)) {
    o.arguments = first;
    o.argument_count = 1;
    return tool_output_end(&o, tool_help_run(&o));
  }
  if (c == NULL) return unknown_command(&o, first[0]);
  return run_command(c, leading, words, argc, argv);
}
