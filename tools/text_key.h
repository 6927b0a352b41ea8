/* SPDX-License-Identifier: Apache-2.0
 *
 * text_key: keys and values as text.
 *
 * Text form is UTF-8 as it is, with \t \n \r \\ for those four characters and \xNN for every byte that is not
 * part of a printable character: control characters and what is not UTF-8. It is reversible, and it is what
 * TSV files hold. On the command line text is taken as it stands; --hex and --base64 name any bytes.
 */
#ifndef TOOL_TEXT_KEY_H
#define TOOL_TEXT_KEY_H

#include "bytes.h"
#include "options.h"

/* Appends the escaped text of some bytes. */
void tool_text_escape(bytes *to, nacre_slice from);
/* Appends the bytes of an escaped text. NULL when all is well, else what is wrong with it. */
const char *tool_text_unescape(bytes *to, nacre_slice from);

/* Appends bytes in the form that the user asked for. */
void tool_bytes_write(bytes *to, nacre_slice from, bytes_form form);
/* Appends the bytes that an argument names. NULL when all is well, else what is wrong with it. */
const char *tool_bytes_read(bytes *to, const char *text, bytes_form form);

void tool_hex_encode(bytes *to, nacre_slice from);
void tool_base64_encode(bytes *to, nacre_slice from); /* RFC 4648, section 4, with padding */
bool tool_base64_decode(bytes *to, nacre_slice from); /* the same form only */

#endif
