/* SPDX-License-Identifier: Apache-2.0
 *
 * inspect_head: what a walked file says of itself: header slots, CURRENT, key file. For `inspect` and `dump`.
 */
#ifndef TOOL_INSPECT_HEAD_H
#define TOOL_INSPECT_HEAD_H

#include <jansson.h>

#include "walk.h"

void tool_inspect_head_text(const walk *w, const char *path);
json_t *tool_inspect_head_json(const walk *w, const char *path);

#endif
