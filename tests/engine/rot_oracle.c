/* SPDX-License-Identifier: Apache-2.0
 *
 * rot_oracle: see rot_oracle.h.
 */
#include "rot_oracle.h"

static const history_frame *written_at(const rot *r, size_t log, uint64_t offset) {
  for (size_t f = 0; f < r->h->frame_count; f++) {
    if (r->h->frames[f].log == log && r->h->frames[f].offset == offset) return &r->h->frames[f];
  }
  return NULL;
}

/* ---- a reader of its own ------------------------------------------------------------------------------- */

static uint32_t u32_at(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t castagnoli(uint32_t crc, const uint8_t *bytes, size_t size) {
  crc = ~crc;
  for (size_t i = 0; i < size; i++) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0x82F63B78U : crc >> 1;
  }
  return ~crc;
}

typedef enum sight { AT_END, RUBBLE, AUTHENTIC, FORGED } sight;

static bool checksum_good(const uint8_t *frame, uint64_t size) {
  uint32_t crc = castagnoli(castagnoli(0, frame, 8), frame + 12, (size_t)size - 12);
  return crc == u32_at(frame + 8);
}

uint64_t rot_written(const rot *r, size_t i) {
  uint64_t end = r->logs[i].size;
  while (end % STEP == 0 && end > HEADER) {
    const uint8_t *p = r->logs[i].bytes + end - STEP;
    uint64_t place = u32_at(p + 8) | (uint64_t)u32_at(p + 12) << 32;
    if (u32_at(p) != 0xFFFFFFFF || memcmp(p + 4, &r->h->names[i].file, 4) != 0 || place != end - STEP) break;
    end -= STEP;
  }
  return end;
}

/* What stands there, and for a frame of good checksum how long it is. */
static sight look(const rot *r, size_t i, uint64_t offset, uint64_t *ret_size) {
  const memory_log *log = &r->logs[i];
  const uint8_t *p = log->bytes + offset;
  if (offset == log->size || offset == rot_written(r, i)) return AT_END;
  if (offset + 16 > log->size) return RUBBLE;
  uint32_t folded = castagnoli(0, p, 6);
  uint64_t size = (u32_at(p) + 32ULL + 15) / 16 * 16;
  if ((uint16_t)(folded >> 16 ^ folded) != (uint16_t)(p[6] | p[7] << 8)) return RUBBLE;
  if (offset + size > log->size) return RUBBLE;
  *ret_size = size;
  const history_frame *f = written_at(r, i, offset);
  bool whole = f != NULL && f->size == size && memcmp(p, log->pristine + offset, size) == 0;
  if (whole) return AUTHENTIC;
  return checksum_good(p, size) ? FORGED : RUBBLE;
}

static bool slot_whole(const rot *r, size_t i, size_t slot) {
  const memory_log *log = &r->logs[i];
  return log->size >= (slot + 1) * SLOT &&
         memcmp(log->bytes + slot * SLOT, log->pristine + slot * SLOT, SLOT) == 0;
}

/* ---- the oracle ---------------------------------------------------------------------------------------- */

typedef struct prefix {
  uint64_t end; /* of the whole frames from the first on, a final one not counted */
  bool started, closed;
  sight behind; /* what ends them */
  uint64_t behind_at;
} prefix;

static prefix prefix_of(const rot *r, size_t i) {
  prefix p = {.end = HEADER};
  uint64_t at = HEADER, size = 0;
  while ((p.behind = look(r, i, at, &size)) == AUTHENTIC) {
    p.started = true;
    p.closed = written_at(r, i, at)->type == NC_FRAME_LOG_FINAL;
    at += size;
    if (!p.closed) p.end = at;
  }
  p.behind_at = at;
  return p;
}

/* Is (log, offset) behind X? Log indices are numbers less one. */
static bool reaches_past(nc_log_position vouched, position x) {
  return vouched.number > x.log + 1 || (vouched.number == x.log + 1 && vouched.offset > x.offset);
}

/* Looks at all that stands from an offset on. */
static void search(const rot *r, verdict *v, size_t i, uint64_t from) {
  uint64_t size = 0;
  for (uint64_t at = from; at < r->logs[i].size;) {
    sight seen = look(r, i, at, &size);
    if (seen == FORGED && !v->tampered) {
      v->tampered = true;
      v->forged = (position){i, at};
    }
    at += seen == AUTHENTIC || seen == FORGED ? size : STEP;
  }
}

static void broken(verdict *v, size_t log, uint64_t offset) {
  v->broken = true;
  v->x = (position){log, offset};
}

/* Finds X; what is forged before it is found on the way. */
static void find_break(const rot *r, verdict *v, const prefix *p, size_t *ret_newest) {
  size_t before = NONE;
  for (size_t i = 0; i < r->h->manifest.log_count && !v->broken; i++) {
    bool torn_before = before != NONE && p[before].behind != AT_END;
    if (!p[i].started && p[i].behind == AT_END) continue;
    if (!p[i].started) {
      if (torn_before) {
        broken(v, before, p[before].end);
      } else {
        broken(v, i, HEADER);
      }
    } else if (r->predecessor[i] != NONE) {
      size_t named = r->predecessor[i];
      if (!p[named].started || p[named].end < r->end_of_log[named]) {
        broken(v, named, p[named].end);
      } else if (torn_before) {
        search(r, v, before, p[before].end);
      }
    }
    if (p[i].started && !v->broken) before = i;
  }
  if (!v->broken && before != NONE && p[before].behind != AT_END) broken(v, before, p[before].end);
  *ret_newest = before;
}

static void count_dropped(const rot *r, verdict *v, const prefix *p) {
  for (size_t i = v->x.log; i < r->h->manifest.log_count; i++) {
    uint64_t from = i == v->x.log ? v->x.offset : HEADER;
    uint64_t end = rot_written(r, i), bytes = end > from ? end - from : 0;
    bool behind_final = i == v->x.log && p[i].closed;
    v->dropped += bytes;
    if (bytes > 0 && !behind_final) v->maybe_synced = true;
    search(r, v, i, from);
  }
}

verdict rot_judge(const rot *r) {
  verdict v = {.lost_log = NONE};
  prefix p[LOGS_MAX];
  size_t newest = NONE;
  for (size_t i = 0; i < r->h->manifest.log_count; i++) {
    if (r->logs[i].size >= HEADER && (slot_whole(r, i, 0) || slot_whole(r, i, 1))) continue;
    v.header_lost = true;
    if (v.lost_log == NONE) v.lost_log = i;
  }
  if (v.header_lost) return v;
  for (size_t i = 0; i < r->h->manifest.log_count; i++) p[i] = prefix_of(r, i);
  find_break(r, &v, p, &newest);
  if (v.broken) count_dropped(r, &v, p);
  v.clean = !v.broken && newest != NONE && p[newest].closed;
  for (size_t f = 0; f < r->h->frame_count; f++) {
    const history_frame *frame = &r->h->frames[f];
    uint64_t size;
    if (look(r, frame->log, frame->offset, &size) != AUTHENTIC) continue;
    bool kept = !v.broken || frame->log < v.x.log || (frame->log == v.x.log && frame->offset < v.x.offset);
    if (kept && frame->last_sequence > v.last) v.last = frame->last_sequence;
    nc_log_position own = {frame->log + 1, frame->offset};
    v.damaged = v.damaged || (v.broken && (reaches_past(frame->synced, v.x) ||
                                           (frame->type == NC_FRAME_LOG_FINAL && reaches_past(own, v.x))));
  }
  return v;
}
