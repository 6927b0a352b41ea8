# SPDX-License-Identifier: Apache-2.0
"""Sections Blocks and Index: sorted entries with shared prefixes, and handles."""

from collections import namedtuple

from primitives import DELETE, EXPIRING, EXPIRY_BYTES, KEY_MAX, LARGE, PUT, SEQUENCE_MAX, Cursor
from refusal import demand
from sealed import START

Entry = namedtuple('Entry', 'key sequence kind value')
FRAME_MAX = 16777216


def order(entry):
    return entry.key, -entry.sequence


def decode_block(data, where, is_index):
    demand(len(data) >= 8, where, 'a block is shorter than its trailer')
    restart_count = int.from_bytes(data[-8:-4], 'little')
    longest = int.from_bytes(data[-4:], 'little')
    end = len(data) - 8 - 4 * restart_count
    demand(end >= 0, where, 'more restarts than the block can hold')
    demand(longest <= KEY_MAX and longest <= end, where, 'the longest key is over its limits')
    cursor = Cursor(data, where, 0, end)
    entries, unshared_at = [], set()
    key = b''
    while cursor.left():
        offset = cursor.position
        shared, unshared, value_size, packed = (cursor.varint() for _ in range(4))
        demand(shared <= len(key), where, 'an entry shares more than the key before it has')
        if shared == 0:
            unshared_at.add(offset)
        key = key[:shared] + cursor.take(unshared)
        demand(len(key) <= longest, where, 'a key is longer than the longest key')
        entry = Entry(key, packed >> 3, packed & 7, cursor.take(value_size))
        check_entry(entry, where, is_index)
        if entries:
            last, now = order(entries[-1]), order(entry)
            demand(last < now or (is_index and last == now), where, 'entries do not ascend')
        entries.append(entry)
    check_restarts(data[end:-8], unshared_at, bool(entries), where)
    demand(entries or data == bytes(8), where, 'a block without entries is not 8 zeros')
    return entries


def expiry(entry):
    """The moment of an expiring put; 0 when it has none."""
    return int.from_bytes(entry.value[:EXPIRY_BYTES], 'little') if len(entry.value) >= EXPIRY_BYTES else 0


def check_entry(entry, where, is_index):
    demand(entry.kind in (PUT, DELETE, EXPIRING, LARGE), where, 'unknown kind of entry')
    demand(entry.kind != EXPIRING or expiry(entry), where, 'an expiring put without its moment')
    demand(entry.sequence <= SEQUENCE_MAX, where, 'a sequence is over 2^56')
    demand(entry.kind != DELETE or not entry.value, where, 'a delete has a value')
    demand(entry.kind != DELETE or entry.sequence != 0, where, 'a delete of sequence 0')
    demand(not is_index or entry.sequence == 0 and entry.kind == PUT, where,
           'an index entry is not a put of sequence 0')


def check_restarts(data, allowed, has_entries, where):
    restarts = [int.from_bytes(data[at:at + 4], 'little') for at in range(0, len(data), 4)]
    demand(bool(restarts) == has_entries, where, 'restarts without entries, or entries without a restart')
    demand(not restarts or restarts[0] == 0, where, 'the first restart is not 0')
    demand(all(a < b for a, b in zip(restarts, restarts[1:])), where, 'restarts do not ascend')
    demand(all(at in allowed for at in restarts), where, 'a restart names no entry whose shared is 0')


def decode_handle(value, where, footer_offset):
    cursor = Cursor(value, where)
    offset, size = cursor.varint() * 16, cursor.varint() * 16
    cursor.finish()
    demand(32 <= size <= FRAME_MAX, where, 'a handle has an impossible size')
    demand(START <= offset and offset + size <= footer_offset, where, 'a handle points out of the file')
    return offset, size
