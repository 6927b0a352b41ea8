/* SPDX-License-Identifier: Apache-2.0
 *
 * passphrase: see passphrase.h.
 *
 * What was typed or read is kept until the command ends, in memory that stays out of core dumps: a command
 * may open several stores, and asks once. While the terminal does not echo, the signals that would end or
 * stop the command are caught, told through a pipe (any thread may get them), and raised again when it
 * echoes.
 */
#include "passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include "exit_status.h"
#include "failure.h"
#include "render_text.h"

enum { TRIES = 3, LINE_BYTES = 4096 /* the longest line of a terminal */ };

typedef struct answer {
  bool there;
  size_t size;
  char bytes[NACRE_PASSPHRASE_BYTES_MAX];
} answer;

typedef struct memory {
  answer old, new;
  char line[LINE_BYTES], again[LINE_BYTES];
} memory;

static memory *held;

static bool hold(void) {
  if (held != NULL) return true;
  void *mapped = mmap(NULL, sizeof *held, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return false;
  (void)madvise(mapped, sizeof *held, MADV_DONTDUMP);
  held = mapped;
  return true;
}

void tool_passphrase_forget(void) {
  if (held == NULL) return;
  explicit_bzero(held, sizeof *held);
  munmap(held, sizeof *held);
  held = NULL;
}

/* ---- the terminal -------------------------------------------------------------------------------------- */

static const int caught_signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};
enum { CAUGHT = sizeof caught_signals / sizeof caught_signals[0] };

/* A handler has nothing else to reach. */
static volatile sig_atomic_t caught;
static int wake[2];

static void on_signal(int number) {
  int saved = errno;
  caught = number;
  ssize_t ignored = write(wake[1], "", 1);
  (void)ignored;
  errno = saved;
}

static void catch_signals(struct sigaction before[CAUGHT]) {
  struct sigaction catching = {.sa_handler = on_signal};
  for (int i = 0; i < CAUGHT; i++) {
    sigaction(caught_signals[i], NULL, &before[i]);
    if (before[i].sa_handler != SIG_IGN) sigaction(caught_signals[i], &catching, NULL);
  }
}

static void release_signals(const struct sigaction before[CAUGHT]) {
  for (int i = 0; i < CAUGHT; i++) sigaction(caught_signals[i], &before[i], NULL);
}

/* A line without its newline. False at the end of the input, for a line that is too long, and when a
 * signal came. */
static bool read_line(int tty, char line[LINE_BYTES], size_t *ret_size) {
  size_t size = 0;
  while (size < LINE_BYTES) {
    struct pollfd ready[2] = {{.fd = tty, .events = POLLIN}, {.fd = wake[0], .events = POLLIN}};
    if (poll(ready, 2, -1) < 0 && errno != EINTR) return false;
    if (caught != 0) return false;
    if (ready[0].revents == 0) continue;
    ssize_t got = read(tty, line + size, LINE_BYTES - size);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    size += (size_t)got;
    if (line[size - 1] != '\n') continue;
    *ret_size = size - 1;
    return true;
  }
  return false;
}

static bool read_silently(FILE *tty, const char *question, const char *keyring, char *line,
                          size_t *ret_size) {
  struct termios shown, silent;
  int fd = fileno(tty);
  if (tcgetattr(fd, &shown) != 0) return false;
  silent = shown;
  silent.c_lflag &= ~(tcflag_t)ECHO;
  silent.c_lflag |= ECHONL;
  if (tcsetattr(fd, TCSAFLUSH, &silent) != 0) return false;
  fputs(question, tty);
  tool_text_safe(tty, keyring);
  fputs(": ", tty);
  (void)fflush(tty);
  bool good = read_line(fd, line, ret_size);
  (void)tcsetattr(fd, TCSAFLUSH, &shown);
  return good;
}

static bool ask_once(FILE *tty, const char *question, const char *keyring, char *line, size_t *ret_size) {
  struct sigaction before[CAUGHT];
  for (;;) {
    caught = 0;
    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0) return false;
    catch_signals(before);
    bool good = read_silently(tty, question, keyring, line, ret_size);
    release_signals(before);
    close(wake[0]);
    close(wake[1]);
    int number = caught;
    if (number == 0) return good;
    fputc('\n', tty);
    (void)fflush(tty);
    (void)raise(number); /* most end the command here */
    if (number != SIGTSTP) return false;
  }
}

static nacre_status keep(answer *to, const char *line, size_t size) {
  if (size > sizeof to->bytes) return NACRE_INVALID;
  memcpy(to->bytes, line, size);
  to->size = size;
  to->there = true;
  return NACRE_OK;
}

static nacre_status ask_old(FILE *tty, const char *keyring) {
  size_t size = 0;
  if (!ask_once(tty, "Passphrase of the keyring ", keyring, held->line, &size)) return NACRE_KEY_MISSING;
  return keep(&held->old, held->line, size);
}

static nacre_status ask_new(FILE *tty, const char *keyring) {
  for (int i = 0; i < TRIES; i++) {
    size_t size = 0, again = 0;
    if (!ask_once(tty, "New passphrase for the keyring ", keyring, held->line, &size) ||
        !ask_once(tty, "The same again, for the keyring ", keyring, held->again, &again)) {
      return NACRE_KEY_MISSING;
    }
    bool same = size == again && memcmp(held->line, held->again, size) == 0;
    if (same && size > 0) return keep(&held->new, held->line, size);
    fputs(same ? "An empty passphrase is none.\n" : "These are not the same.\n", tty);
  }
  return NACRE_INVALID;
}

static nacre_status ask_terminal(const char *keyring, bool new) {
  int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
  FILE *tty = fd < 0 ? NULL : fdopen(fd, "r+");
  if (tty == NULL) {
    if (fd >= 0) close(fd);
    return NACRE_NOT_FOUND;
  }
  nacre_status status = new ? ask_new(tty, keyring) : ask_old(tty, keyring);
  explicit_bzero(held->line, sizeof held->line);
  explicit_bzero(held->again, sizeof held->again);
  (void)fclose(tty);
  return status;
}

/* ---- for the library ----------------------------------------------------------------------------------- */

static nacre_status hand_over(const answer *from, char *buffer, size_t capacity, size_t *ret_size) {
  if (from->size > capacity) return NACRE_TOO_LARGE;
  memcpy(buffer, from->bytes, from->size);
  *ret_size = from->size;
  return NACRE_OK;
}

static nacre_status ask(void *arg, const char *keyring, bool confirm, char *buffer, size_t capacity,
                        size_t *ret_size) {
  const bool *may_be_without = arg;
  if (!hold()) return NACRE_NO_MEMORY;
  answer *wanted = confirm ? &held->new : &held->old;
  if (confirm && !wanted->there && *may_be_without) {
    *ret_size = 0;
    return NACRE_OK;
  }
  nacre_status status = wanted->there ? NACRE_OK : ask_terminal(keyring, confirm);
  return status == NACRE_OK ? hand_over(wanted, buffer, capacity, ret_size) : status;
}

static bool without = true, never_without = false; /* what `ask` is told */

static const char *named_file(void) {
  const char *path = getenv("NACRE_PASSPHRASE_FILE");
  return path != NULL && path[0] != 0 ? path : NULL;
}

void tool_passphrase_source(const options *o, nacre_passphrase_ask *ret_ask, void **ret_arg) {
  *ret_ask = named_file() == NULL ? ask : NULL;
  *ret_arg = o->passphrase ? &never_without : &without;
}

static int from_file(const options *o, const char *path, answer *to) {
  if (nacre_passphrase_file(path, to->bytes, sizeof to->bytes, &to->size) != NACRE_OK)
    return tool_fail_last(o);
  to->there = true;
  return TOOL_DONE;
}

int tool_passphrase_change(const options *o, bool is_protected, nacre_passphrase_ask *ret_ask,
                           void **ret_arg) {
  const char *old = is_protected ? named_file() : NULL;
  const char *new = o->new_passphrase_file;
  int status = TOOL_DONE;
  if (new == NULL && !is_protected) new = named_file();
  *ret_ask = ask;
  *ret_arg = &never_without;
  if (!hold()) return tool_fail(o, NACRE_NO_MEMORY, NULL, "there is no memory left");
  if (old != NULL) status = from_file(o, old, &held->old);
  if (new != NULL && status == TOOL_DONE) status = from_file(o, new, &held->new);
  return status;
}
