# SPDX-License-Identifier: Apache-2.0
"""Sections CURRENT and Manifest: which files make up a table."""

import os
from collections import namedtuple

import sealed
import value_file
from primitives import KEY_MAX, SEQUENCE_MAX, Cursor, crc32c, derive, mac_is
from refusal import Refused, corrupt, demand

CURRENT_MAGIC = bytes.fromhex('894e414343550d0a')
EDIT = 32
IN_SNAPSHOT, SNAPSHOT_END = 1, 2
LARGEST_EXCLUDED, HOLDS_RANGES, ONE_SEQUENCE, HOLDS_DELETES, MANY_DELETES, EXPIRES, NO_LARGE = 1, 2, 4, 8, 16, 32, 64
STATE, SEGMENT_ADDED, SEGMENT_REMOVED, LOG_ADDED, LOG_DROPPED, VALUE_ADDED, VALUE_REMOVED = 1, 2, 3, 4, 5, 6, 7

Current = namedtuple('Current', 'table manifest number epoch commitment kek_id minimum_version')
State = namedtuple('State', 'next_file last_sequence key_generation')
SegmentNamed = namedtuple('SegmentNamed', 'number uuid origin length tag commitment run level '
                          'smallest_sequence largest_sequence entries smallest_key largest_key flags '
                          'half_expired all_expired',
                          defaults=(0, 0))
LogNamed = namedtuple('LogNamed', 'number uuid commitment commit')


def read_current(directory, table, keys, name):
    where = f'{name}/CURRENT'
    try:
        with open(os.path.join(directory, 'CURRENT'), 'rb') as file:
            data = file.read(161)
    except FileNotFoundError as error:
        raise corrupt(where, 'it is not there') from error
    demand(len(data) == 160, where, 'not 160 bytes')
    demand(data[:8] == CURRENT_MAGIC, where, 'wrong magic')
    demand(crc32c(data[:124]) == int.from_bytes(data[124:128], 'little'), where, 'wrong CRC')
    cursor = Cursor(data, where, 8, 124)
    demand(cursor.u16() == 1, where, 'unknown format version', 'unsupported')
    cursor.zeros(6)
    current = Current(cursor.take(16), cursor.take(16), cursor.u64(), cursor.u64(), cursor.take(32),
                      cursor.take(16), cursor.u32())
    cursor.zeros(8)
    cursor.finish()
    demand(current.table == table, where, 'it names another table', 'tampered')
    kek = keys.find_for_current(current.kek_id, current.minimum_version, where)
    mac_key = derive(kek, b'current-mac', table, 32)
    demand(mac_is(mac_key, data[:128], data[128:]), where, 'the MAC is bad', 'tampered')
    keys.check_minimum(current.minimum_version)
    return current


class Manifest:
    """The history of edits, and the files that stand after the last of them."""

    def __init__(self, directory, current, keys, name, notes):
        path = f'{current.number:020}.man'
        self.file = file = sealed.Sealed(os.path.join(directory, path), f'{name}/{path}', notes)
        self.notes = notes
        file.unlock(keys)
        file.expect(type=sealed.MANIFEST, origin=current.table, uuid=current.manifest, number=current.number,
                    epoch=current.epoch, commitment=current.commitment)
        self.state, self.segments, self.logs, self.values = None, {}, {}, {}
        self.commit, self.complete = 0, False
        for frame in self._frames():
            self._apply(frame)
        demand(self.complete, file.name, 'its snapshot has no last part')
        demand(self.state is not None, file.name, 'no state')
        demand(keys.generation >= self.state.key_generation, keys.where,
               'its generation is lower than the one that the manifest knows', 'rolled back')
        self._check_files()

    def _frames(self):
        """Only the last frame may be torn: nothing authentic may stand behind the first that is broken."""
        file, offset = self.file, sealed.START
        while offset < len(file.data):
            try:
                frame = file.frame(offset, (EDIT,))
            except Refused as fault:
                if fault.kind == 'tampered' or offset == sealed.START:
                    raise
                for later in file.search(offset):
                    raise corrupt(fault.where, f'{fault.obligation}, and a good frame follows at '
                                  f'{later.offset}') from fault
                self.notes.add(fault.where, f'torn end of the manifest: {fault.obligation}')
                return
            yield frame
            offset += frame.size

    def _apply(self, frame):
        where = f'{self.file.name}, edit at {frame.offset}'
        cursor = Cursor(frame.plain, where)
        commit, flags = cursor.varint(), cursor.u8()
        demand(flags in (0, IN_SNAPSHOT, IN_SNAPSHOT | SNAPSHOT_END), where, 'unknown flags of an edit')
        demand(commit >= 1, where, 'commit sequence 0')
        if flags & IN_SNAPSHOT:
            demand(not self.complete, where, 'a part of the snapshot behind its last')
            demand(self.commit in (0, commit), where, 'parts of the snapshot differ in their commit sequence')
            self.complete = bool(flags & SNAPSHOT_END)
        else:
            demand(self.complete, where, 'an edit before the last part of the snapshot')
            demand(commit == self.commit + 1, where, 'the commit sequence is not one more than before')
        self.commit = commit
        while cursor.left():
            tag = cursor.u8()
            fields = Cursor(cursor.string(), where)
            self._record(tag, fields)
            fields.finish()

    def _record(self, tag, fields):
        where = fields.where
        if tag == STATE:
            self.state = State(fields.varint(), fields.varint(), fields.varint())
            demand(self.state.last_sequence <= SEQUENCE_MAX, where, 'the last sequence is over 2^56')
        elif tag == SEGMENT_ADDED:
            self._add(self.segments, decode_segment(fields), where)
        elif tag == SEGMENT_REMOVED:
            demand(self.segments.pop(fields.varint(), None), where, 'a segment is removed that is not there')
        elif tag == LOG_ADDED:
            named = LogNamed(fields.varint(), fields.take(16), fields.take(32), self.commit)
            self._add(self.logs, named, where)
        elif tag == LOG_DROPPED:
            demand(self.logs.pop(fields.varint(), None), where, 'a log is dropped that is not there')
        elif tag == VALUE_ADDED:
            self._add(self.values, value_file.decode_name(fields), where)
        elif tag == VALUE_REMOVED:
            demand(self.values.pop(fields.varint(), None), where,
                   'a value file is removed that is not there')
        else:
            raise corrupt(where, f'unknown record tag {tag}')

    def _add(self, table, named, where):
        demand(named.number != 0, where, 'file number 0')
        demand(named.number not in self.segments and named.number not in self.logs
               and named.number not in self.values and named.number != self.file.slot.number, where, 'a file number stands twice')
        table[named.number] = named

    def _check_files(self):
        name = self.file.name
        for number in (self.file.slot.number, *self.segments, *self.logs, *self.values):
            demand(number < self.state.next_file, name, 'a file has the next file number, or a higher one')
        runs = {}
        for named in self.segments.values():
            runs.setdefault(named.run, []).append(named)
        for run in runs.values():
            run.sort(key=lambda named: named.smallest_key)
            for before, after in zip(run, run[1:]):
                demand(before.largest_key < after.smallest_key
                       or (before.flags & LARGEST_EXCLUDED and before.largest_key == after.smallest_key),
                       name, 'segments of one run overlap')

    def check_vouched(self, commit, where):
        """A file that knows of a later commit proves that the manifest was cut, or is an old one."""
        demand(commit <= self.commit, where,
               'it vouches for a later commit than the manifest has', 'rolled back')


def decode_flags(fields):
    """Flags, and the two moments."""
    if not fields.left():
        return 0, 0, 0
    flags = fields.varint()
    deletes, hints = flags & (HOLDS_DELETES | MANY_DELETES), flags & (EXPIRES | NO_LARGE)
    demand(flags != 0 and deletes != MANY_DELETES and
           flags - deletes - hints in (0, HOLDS_RANGES, LARGEST_EXCLUDED | HOLDS_RANGES, ONE_SEQUENCE),
           fields.where, 'unknown flags of a segment')
    if not flags & EXPIRES:
        return flags, 0, 0
    half, all_of_it = fields.varint(), fields.varint()
    demand(half <= all_of_it if all_of_it else half, fields.where, 'impossible moments of expiry')
    return flags, half, all_of_it


def decode_segment(fields):
    named = SegmentNamed(fields.varint(), fields.take(16), fields.take(16), fields.varint(), fields.take(16),
                         fields.take(32), *(fields.varint() for _ in range(5)), fields.string(),
                         fields.string(), *decode_flags(fields))
    where = fields.where
    demand(not named.flags & ONE_SEQUENCE or named.smallest_sequence == named.largest_sequence, where,
           'a loaded segment of several sequences')
    demand(named.length > sealed.START and named.length % 16 == 0, where, 'an impossible length of a segment')
    demand(1 <= named.smallest_sequence <= named.largest_sequence <= SEQUENCE_MAX, where,
           'the sequence range is out of order')
    demand(named.entries >= 1, where, 'a segment without entries')
    demand(named.smallest_key + b'\0' * (named.flags & LARGEST_EXCLUDED) <= named.largest_key and len(named.largest_key) <= KEY_MAX
           and len(named.smallest_key) <= KEY_MAX, where, 'the key range is out of order, or a key too long')
    return named
