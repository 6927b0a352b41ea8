/* SPDX-License-Identifier: Apache-2.0
 *
 * text_key: escapes, hexadecimal, base64; see text_key.h.
 */
#include "text_key.h"

#include <stdio.h>
#include <string.h>

/* The length of the printable UTF-8 character at `p`, 0 when there is none. Overlong forms, surrogates and
 * C1 controls are not printable; bidirectional overrides are not either, for they let a key look like
 * another. */
static size_t printable_size(const uint8_t *p, size_t left) {
  static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (p[0] < 0x80) return p[0] >= 0x20 && p[0] != 0x7f ? 1 : 0;
  size_t size = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
  if (p[0] < 0xc2 || p[0] > 0xf4 || left < size) return 0;
  uint32_t code = p[0] & (0x7fu >> size);
  for (size_t i = 1; i < size; i++) {
    if ((p[i] & 0xc0) != 0x80) return 0;
    code = code << 6 | (p[i] & 0x3fu);
  }
  if (code < smallest[size] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return 0;
  if (code < 0xa0 || (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069)) return 0;
  return size;
}

static void escape_byte(bytes *to, uint8_t byte) {
  char text[8];
  switch (byte) {
    case '\\':
      tool_bytes_add_text(to, "\\\\");
      return;
    case '\t':
      tool_bytes_add_text(to, "\\t");
      return;
    case '\n':
      tool_bytes_add_text(to, "\\n");
      return;
    case '\r':
      tool_bytes_add_text(to, "\\r");
      return;
    default:
      (void)snprintf(text, sizeof text, "\\x%02x", byte);
      tool_bytes_add_text(to, text);
  }
}

/* How many of the first bytes are ASCII that stands for itself: most of most text, copied at once. */
static size_t plain_run(const uint8_t *p, size_t left) {
  size_t size = 0;
  while (size < left && p[size] >= 0x20 && p[size] < 0x7f && p[size] != '\\') size++;
  return size;
}

void tool_text_escape(bytes *to, nacre_slice from) {
  const uint8_t *p = from.data;
  for (size_t i = 0; i < from.size;) {
    size_t size = plain_run(p + i, from.size - i);
    if (size == 0 && p[i] != '\\') size = printable_size(p + i, from.size - i);
    if (size > 0) {
      tool_bytes_add(to, p + i, size);
      i += size;
    } else {
      escape_byte(to, p[i++]);
    }
  }
}

static int hex_digit(uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

const char *tool_text_unescape(bytes *to, nacre_slice from) {
  const uint8_t *p = from.data;
  for (size_t i = 0; i < from.size; i++) {
    const uint8_t *escape = memchr(p + i, '\\', from.size - i);
    size_t plain = escape == NULL ? from.size - i : (size_t)(escape - (p + i));
    tool_bytes_add(to, p + i, plain);
    i += plain;
    if (escape == NULL) break;
    if (++i == from.size) return "it ends in a lone backslash (\\\\ stands for one)";
    if (p[i] == 't') {
      tool_bytes_add_byte(to, '\t');
    } else if (p[i] == 'n') {
      tool_bytes_add_byte(to, '\n');
    } else if (p[i] == 'r') {
      tool_bytes_add_byte(to, '\r');
    } else if (p[i] == '\\') {
      tool_bytes_add_byte(to, '\\');
    } else if (p[i] == 'x' && from.size - i > 2 && hex_digit(p[i + 1]) >= 0 && hex_digit(p[i + 2]) >= 0) {
      tool_bytes_add_byte(to, (uint8_t)(hex_digit(p[i + 1]) * 16 + hex_digit(p[i + 2])));
      i += 2;
    } else {
      return "it has an unknown escape (there are \\t \\n \\r \\\\ and \\xNN)";
    }
  }
  return NULL;
}

void tool_hex_encode(bytes *to, nacre_slice from) {
  static const char digits[] = "0123456789abcdef";
  const uint8_t *p = from.data;
  for (size_t i = 0; i < from.size; i++) {
    tool_bytes_add_byte(to, (uint8_t)digits[p[i] >> 4]);
    tool_bytes_add_byte(to, (uint8_t)digits[p[i] & 15]);
  }
}

static bool hex_decode(bytes *to, nacre_slice from) {
  const uint8_t *p = from.data;
  if (from.size % 2 != 0) return false;
  for (size_t i = 0; i < from.size; i += 2) {
    int high = hex_digit(p[i]), low = hex_digit(p[i + 1]);
    if (high < 0 || low < 0) return false;
    tool_bytes_add_byte(to, (uint8_t)(high * 16 + low));
  }
  return true;
}

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void tool_base64_encode(bytes *to, nacre_slice from) {
  const uint8_t *p = from.data;
  for (size_t i = 0; i < from.size; i += 3) {
    size_t left = from.size - i;
    uint32_t group =
        (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0u);
    tool_bytes_add_byte(to, (uint8_t)base64_digits[group >> 18]);
    tool_bytes_add_byte(to, (uint8_t)base64_digits[group >> 12 & 63]);
    tool_bytes_add_byte(to, left > 1 ? (uint8_t)base64_digits[group >> 6 & 63] : '=');
    tool_bytes_add_byte(to, left > 2 ? (uint8_t)base64_digits[group & 63] : '=');
  }
}

static int base64_value(uint8_t c) {
  const char *at = c == 0 ? NULL : strchr(base64_digits, c);
  return at == NULL ? -1 : (int)(at - base64_digits);
}

/* The last group: 1 or 2 signs of padding, and no bits below them. */
static bool base64_decode_last(bytes *to, const uint8_t *p) {
  int a = base64_value(p[0]), b = base64_value(p[1]), c = base64_value(p[2]);
  if (a < 0 || b < 0 || p[3] != '=') return false;
  if (p[2] == '=') {
    tool_bytes_add_byte(to, (uint8_t)(a << 2 | b >> 4));
    return (b & 15) == 0;
  }
  if (c < 0) return false;
  tool_bytes_add_byte(to, (uint8_t)(a << 2 | b >> 4));
  tool_bytes_add_byte(to, (uint8_t)((b & 15) << 4 | c >> 2));
  return (c & 3) == 0;
}

bool tool_base64_decode(bytes *to, nacre_slice from) {
  const uint8_t *p = from.data;
  if (from.size % 4 != 0) return false;
  for (size_t i = 0; i < from.size; i += 4) {
    if (i + 4 == from.size && p[i + 3] == '=') return base64_decode_last(to, p + i);
    uint32_t group = 0;
    for (size_t j = 0; j < 4; j++) {
      int value = base64_value(p[i + j]);
      if (value < 0) return false;
      group = group << 6 | (uint32_t)value;
    }
    tool_bytes_add_byte(to, (uint8_t)(group >> 16));
    tool_bytes_add_byte(to, (uint8_t)(group >> 8));
    tool_bytes_add_byte(to, (uint8_t)group);
  }
  return true;
}

void tool_bytes_write(bytes *to, nacre_slice from, bytes_form form) {
  if (form == BYTES_HEX) {
    tool_hex_encode(to, from);
  } else if (form == BYTES_BASE64) {
    tool_base64_encode(to, from);
  } else {
    tool_text_escape(to, from);
  }
}

const char *tool_bytes_read(bytes *to, const char *text, bytes_form form) {
  nacre_slice from = tool_slice(text, strlen(text));
  if (form == BYTES_HEX) return hex_decode(to, from) ? NULL : "is not an even number of hexadecimal digits";
  if (form == BYTES_BASE64) return tool_base64_decode(to, from) ? NULL : "is not base64 (with its padding)";
  tool_bytes_add(to, from.data, from.size);
  return NULL;
}
