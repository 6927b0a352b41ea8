# SPDX-License-Identifier: Apache-2.0
"""Section Segment: every frame of a segment, and that footer, properties, index, filter and entries agree."""

from collections import namedtuple

import bloom
from blocks import Entry, decode_block, decode_handle, order
from packing import unpack
from primitives import DELETE, KEY_MAX, RANGE_DELETE, SEQUENCE_MAX, Cursor
from refusal import demand
from sealed import START

DATA, FILTER, INDEX, PROPERTIES, FOOTER, RANGES = 16, 17, 18, 19, 20, 21
# How frames stand in a segment, the footer behind them.
PLACES = (DATA, FILTER, INDEX, RANGES, PROPERTIES)
FOOTER_SIZE = 128

Footer = namedtuple('Footer', 'length frames properties_at properties_size levels root_at root_size '
                    'filter_frames filter_at manifest commit load')
Properties = namedtuple('Properties', 'smallest_key largest_key smallest_sequence largest_sequence entries '
                        'deletes key_bytes value_bytes data_frames lines seed probes created range_deletes ranges')


def decode_footer(file):
    """The footer's frame, and what it says."""
    offset = len(file.data) - FOOTER_SIZE
    where = f'{file.name}, footer'
    demand(offset >= START and offset % 16 == 0, where,
           'the file is too short or its length is no multiple of 16')
    frame = file.frame(offset, (FOOTER,))
    demand(frame.size == FOOTER_SIZE, where, 'the footer frame is not the last 128 bytes')
    cursor = Cursor(frame.plain, where)
    footer = Footer(cursor.u64(), cursor.u64(), cursor.u64(), cursor.u32(), cursor.u32(), cursor.u64(),
                    cursor.u32(), cursor.u32(), cursor.u64(), cursor.take(16), cursor.u64(), cursor.u64())
    cursor.zeros(8)
    cursor.finish()
    demand(footer.length == len(file.data), where, 'the length in the footer is not that of the file')
    demand(footer.levels in (1, 2), where, 'index levels are neither 1 nor 2')
    demand(bool(footer.filter_frames) == bool(footer.filter_at), where, 'filter frames without a place')
    return frame, footer


def decode_properties(plain, where):
    cursor = Cursor(plain, where)
    smallest, largest = cursor.string(), cursor.string()
    numbers = [cursor.varint() for _ in range(8)]
    fixed = cursor.u64(), cursor.u8(), cursor.u64()
    ranges = 0, None
    if cursor.left():
        ranges = cursor.varint(), (cursor.varint() * 16, cursor.varint() * 16)
        demand(ranges[0] > 0, where, 'no range deletes, and a place of them')
    properties = Properties(smallest, largest, *numbers, *fixed, *ranges)
    cursor.finish()
    demand(smallest <= largest, where, 'the key range is out of order')
    demand(properties.smallest_sequence <= properties.largest_sequence <= SEQUENCE_MAX, where,
           'the sequence range is out of order')
    demand(properties.smallest_sequence or properties.deletes == properties.range_deletes == 0, where,
           'a loaded segment with deletes')
    demand(properties.entries + properties.range_deletes >= 1, where, 'a segment without entries')
    demand((properties.lines == 0) == (properties.probes == 0), where,
           'filter lines and probes are not 0 together')
    demand(properties.probes <= 16, where, 'more than 16 probes')
    return properties


def read_segment(file):
    """All of the segment: (footer frame, footer, properties, entries, range deletes)."""
    footer_frame, footer = decode_footer(file)
    frames, offset = [], START
    while offset < footer_frame.offset:
        frame = file.frame(offset, PLACES)
        demand(not frames or PLACES.index(frames[-1].type) <= PLACES.index(frame.type),
               f'{file.name}, offset {offset}',
               'frames are not in the order data, filter, index, ranges, properties, footer')
        frames.append(frame)
        offset += frame.size
    demand(offset == footer_frame.offset, file.name, 'the frames do not end where the footer begins')
    demand(len(frames) + 1 == footer.frames, file.name, 'the number of frames is not that of the footer')
    by_type = {kind: [frame for frame in frames if frame.type == kind] for kind in PLACES}
    properties = find_properties(file, footer, by_type[PROPERTIES])
    demand(properties.data_frames == len(by_type[DATA]), file.name,
           'data frames are not as many as in the properties')
    entries, last_keys = read_data(file, by_type[DATA])
    ranges = read_ranges(file, properties, by_type[RANGES])
    check_totals(file.name, properties, entries, ranges)
    check_index(file, footer, by_type, last_keys)
    check_filter(file, footer, properties, by_type[FILTER], entries)
    return footer_frame, footer, properties, entries, ranges


def find_properties(file, footer, frames):
    where = f'{file.name}, properties'
    demand(len(frames) == 1, where, 'not exactly one properties frame')
    demand((frames[0].offset, frames[0].size) == (footer.properties_at, footer.properties_size), where,
           'the footer points elsewhere')
    return decode_properties(frames[0].plain, where)


def read_data(file, frames):
    entries, last_keys = [], []
    for frame in frames:
        where = f'{file.name}, data block at {frame.offset}'
        block = decode_block(unpack(frame.plain, where), where, False)
        demand(block, where, 'a data block without entries')
        demand(not entries or order(entries[-1]) < order(block[0]), where,
               'entries do not ascend from block to block')
        entries += block
        last_keys.append(block[-1].key)
    return entries, last_keys


def decode_ranges(plain, where):
    """Range deletes as fragments: entries of kind 3, one for each sequence of a fragment."""
    cursor, ranges, last = Cursor(plain, where), [], b''
    while cursor.left():
        begin, end, count = cursor.string(), cursor.string(), cursor.varint()
        demand(len(begin) <= KEY_MAX and len(end) <= KEY_MAX, where, 'a key is too long')
        demand(last <= begin < end, where, 'fragments overlap, or are out of order')
        demand(count > 0, where, 'a fragment without a sequence')
        sequences = []
        for _ in range(count):
            sequences.append(cursor.varint())
        demand(all(a > b for a, b in zip(sequences, sequences[1:])), where, 'sequences do not fall')
        demand(1 <= sequences[-1] and sequences[0] <= SEQUENCE_MAX, where, 'a sequence is out of range')
        ranges += [Entry(begin, sequence, RANGE_DELETE, end) for sequence in sequences]
        last = end
    return ranges


def read_ranges(file, properties, frames):
    where = f'{file.name}, ranges'
    demand(len(frames) == (properties.range_deletes > 0), where, 'ranges frames are not as the properties say')
    if not frames:
        return []
    demand((frames[0].offset, frames[0].size) == properties.ranges, where, 'the properties point elsewhere')
    ranges = decode_ranges(frames[0].plain, where)
    demand(len(ranges) == properties.range_deletes, where,
           'range deletes are not as many as in the properties')
    return ranges


def check_totals(name, properties, entries, ranges):
    demand(len(entries) == properties.entries, name, 'entries are not as many as in the properties')
    sequences = [entry.sequence for entry in entries + ranges]
    loaded = properties.smallest_sequence == 0  # then the largest is that of the newest write before it
    for what, have, said in (
            ('smallest key', min(entry.key for entry in entries[:1] + ranges[:1]), properties.smallest_key),
            ('largest key', max([entry.key for entry in entries[-1:]] + [entry.value for entry in ranges[-1:]]),
             properties.largest_key),
            ('smallest sequence', min(sequences), properties.smallest_sequence),
            ('largest sequence', max(sequences), 0 if loaded else properties.largest_sequence),
            ('deletes', sum(entry.kind == DELETE for entry in entries), properties.deletes),
            ('key bytes', sum(len(entry.key) for entry in entries), properties.key_bytes),
            ('value bytes', sum(len(entry.value) for entry in entries), properties.value_bytes)):
        demand(have == said, name, f'{what} in the properties is not that of the entries')


def index_entries(file, frame):
    where = f'{file.name}, index block at {frame.offset}'
    entries = decode_block(unpack(frame.plain, where), where, True)
    footer_offset = len(file.data) - FOOTER_SIZE
    return [(entry.key, decode_handle(entry.value, where, footer_offset)) for entry in entries]


def check_index(file, footer, by_type, last_keys):
    """The root leads to every data frame once, in order, under its last key."""
    frames = by_type[INDEX]
    where = f'{file.name}, index'
    roots = [frame for frame in frames if (frame.offset, frame.size) == (footer.root_at, footer.root_size)]
    demand(len(roots) == 1, where, 'the footer names no index frame as the root')
    level = index_entries(file, roots[0])
    demand(level or not last_keys, where, 'an index block without entries')
    below = [frame for frame in frames if frame is not roots[0]]
    if footer.levels == 1:
        demand(not below, where, 'more index frames than the root, with one level')
    else:
        demand([handle for _, handle in level] == [(frame.offset, frame.size) for frame in below], where,
               'the root does not lead to every index frame in order')
        lower = [index_entries(file, frame) for frame in below]
        for (key, _), entries in zip(level, lower):
            demand(entries and entries[-1][0] == key, where, 'a key of the root is not the last of its block')
        level = [entry for entries in lower for entry in entries]
    expected = [(key, (frame.offset, frame.size)) for key, frame in zip(last_keys, by_type[DATA])]
    demand(level == expected, where, 'the index does not lead to every data block by its last key, in order')


def check_filter(file, footer, properties, frames, entries):
    where = f'{file.name}, filter'
    demand(len(frames) == footer.filter_frames == -(-properties.lines // bloom.LINES_A_FRAME), where,
           'filter frames are not as many as footer and properties say')
    if not frames:
        return
    demand(frames[0].offset == footer.filter_at, where, 'the footer points elsewhere')
    for frame in frames[:-1]:
        demand(len(frame.plain) == bloom.LINES_A_FRAME * bloom.LINE, where, 'a filter frame that is not full')
    lines = b''.join(frame.plain for frame in frames)
    demand(len(lines) == properties.lines * bloom.LINE, where,
           'filter lines are not as many as in the properties')
    for key in {entry.key for entry in entries}:
        demand(bloom.may_hold(lines, properties.lines, properties.probes, properties.seed, key), where,
               'the filter denies a key of the segment')
