/* SPDX-License-Identifier: Apache-2.0
 *
 * private_file: small files that hold secrets and are no part of a store: a keyring, a passphrase. They are
 * their owner's alone, or are not used.
 */
#ifndef NC_PRIVATE_FILE_H
#define NC_PRIVATE_FILE_H

#include "status.h"

enum { NC_PRIVATE_PATH_BYTES = 4096 };

/* How the errors about one kind of file are called. */
typedef struct nc_private_file_words {
  nc_error_id missing, kind, mode, denied;
} nc_private_file_words;
extern const nc_private_file_words NC_KEYRING_FILE_WORDS, NC_PASSPHRASE_FILE_WORDS;

/* a ‖ b, terminated. */
NC_MUST_CHECK nacre_status nc_private_path_join(char *path, size_t capacity, const char *a, const char *b,
                                                nacre_error *err);
/* Opens a file for reading, and makes sure that it is a plain file of this user that nobody else may touch; a
 * symbolic link is refused. */
NC_MUST_CHECK nacre_status nc_private_file_open(const nc_private_file_words *words, const char *path,
                                                int *ret_fd, nacre_error *err);
void nc_private_file_close(int fd); /* -1 is harmless */
/* Up to `capacity` bytes from the beginning; what lies behind them is not looked at. */
NC_MUST_CHECK nacre_status nc_private_file_read_fd(const nc_private_file_words *words, int fd,
                                                   const char *path, void *bytes, size_t capacity,
                                                   size_t *ret_size, nacre_error *err);
/* The two together. */
NC_MUST_CHECK nacre_status nc_private_file_read(const nc_private_file_words *words, const char *path,
                                                void *bytes, size_t capacity, size_t *ret_size,
                                                nacre_error *err);

/* Writes a whole new file, mode 0600, to stable storage; its name need not be there yet. On failure there is
 * none. */
NC_MUST_CHECK nacre_status nc_private_file_make(const char *path, const void *bytes, size_t size,
                                                nacre_error *err);
/* Gives the file `aside` its real name: `replace` takes the place of what is there, else that stays
 * (`*ret_taken`), and `aside` goes in any case. */
NC_MUST_CHECK nacre_status nc_private_file_name(const char *aside, const char *path, bool replace,
                                                bool *ret_taken, nacre_error *err);
/* Makes a name in a directory durable. */
NC_MUST_CHECK nacre_status nc_private_file_sync_parent(const char *path, nacre_error *err);
/* Makes the directories that lead to a path (mode 0700), each durable before the next. */
NC_MUST_CHECK nacre_status nc_private_file_make_parents(const char *path, nacre_error *err);
/* Takes the file's own lock, without waiting, for one who is to replace it: NC_E_KEYRING_LOCKED when
 * another has it, or had it until now and has replaced the file. Released with the descriptor. */
NC_MUST_CHECK nacre_status nc_private_file_lock(int fd, const char *path, nacre_error *err);

#endif
