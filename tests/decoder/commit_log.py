# SPDX-License-Identifier: Apache-2.0
"""Section Commit log: the records, their one history over all live logs, and the tail rule."""

from collections import namedtuple

import sealed
from blocks import Entry, expiry
from primitives import DELETE, EXPIRING, KEY_MAX, LARGE, PUT, RANGE_DELETE, SEQUENCE_MAX, Cursor
from refusal import Refused, corrupt, demand

START, GROUP, MARK, FINAL = 1, 2, 3, 4
TYPES = (START, GROUP, MARK, FINAL)

Record = namedtuple('Record', 'type offset end first count synced manifest commit predecessor entries')
Predecessor = namedtuple('Predecessor', 'uuid number end last_sequence')


def decode_operations(cursor, first, count):
    entries = []
    while cursor.left():
        kind = cursor.u8()
        demand(kind in (PUT, DELETE, RANGE_DELETE, EXPIRING, LARGE), cursor.where, 'unknown kind of operation')
        key_size = cursor.varint()
        demand(key_size <= KEY_MAX, cursor.where, 'a key is too long')
        value_size = cursor.varint() if kind != DELETE else 0
        entry = Entry(cursor.take(key_size), first + len(entries), kind, cursor.take(value_size))
        if kind == RANGE_DELETE:
            demand(entry.key < entry.value, cursor.where, 'a range delete of nothing')
            demand(len(entry.value) <= KEY_MAX, cursor.where, 'a key is too long')
        demand(kind != EXPIRING or expiry(entry), cursor.where, 'an expiring put without its moment')
        entries.append(entry)
    demand(len(entries) == count, cursor.where, 'operations are not as many as the group says')
    return entries


def decode_record(frame, name):
    cursor = Cursor(frame.plain, f'{name}, offset {frame.offset}')
    where = cursor.where
    first, count = cursor.varint(), cursor.varint()
    synced = cursor.varint(), cursor.varint()
    demand(synced[1] % 16 == 0, where, 'a synced offset is no multiple of 16')
    demand(1 <= first <= SEQUENCE_MAX, where, 'the first sequence is out of range')
    demand((count > 0) == (frame.type == GROUP), where, 'the count does not suit the type')
    manifest = commit = predecessor = None
    entries = []
    if frame.type == GROUP:
        demand(first + count - 1 <= SEQUENCE_MAX, where, 'a sequence is over 2^56')
        entries = decode_operations(cursor, first, count)
    else:
        manifest, commit = cursor.take(16), cursor.varint()
        if frame.type == START and cursor.flag('has predecessor'):
            predecessor = Predecessor(cursor.take(16), cursor.varint(), cursor.varint(), cursor.varint())
            demand(predecessor.end % 16 == 0 and predecessor.end >= sealed.START, where,
                   'the end of the predecessor is no place of a frame')
            demand(predecessor.last_sequence < first, where,
                   "the predecessor's last sequence is not below first")
    cursor.finish()
    return Record(frame.type, frame.offset, frame.offset + frame.size, first, count, synced, manifest, commit,
                  predecessor, entries)


class Log:
    """One live log: its records as they stand, whatever the history makes of them."""

    def __init__(self, file, named):
        self.file, self.named, self.number = file, named, file.slot.number
        self.records, self.later, self.fault = [], [], None
        offset = sealed.START
        self.written = file.written()
        while offset < self.written:
            try:
                frame = file.frame(offset)
            except Refused as fault:
                if fault.kind == 'tampered':
                    raise
                self.fault = fault
                break
            demand(frame.type in TYPES and (frame.type == START) == (offset == sealed.START),
                   f'{file.name}, offset {offset}', f'a frame of type {frame.type} where it does not belong')
            self.records.append(decode_record(frame, file.name))
            offset += frame.size
        self.end = offset  # where the frames that decode end
        if self.fault:
            for frame in file.search(offset):
                demand(frame.type in TYPES[1:], f'{file.name}, offset {frame.offset}',
                       f'a frame of type {frame.type} where it does not belong')
                self.later.append(decode_record(frame, file.name))
        self.started = bool(self.records)

    def remainder(self, offset):
        return any(self.file.data[offset:self.written])

    def vouched(self):
        for record in self.records + self.later:
            if record.synced[0]:
                yield record.synced, record
            if record.type == FINAL:
                yield (self.number, record.offset), record


class History:
    """The history of a table's live logs up to X, with everything that vouches for it checked."""

    def __init__(self, logs, manifest, notes):
        self.entries, self.last = [], manifest.state.last_sequence
        self.notes, self.why = notes, 'the end'
        logs = sorted(logs, key=lambda log: log.number)
        links = [log.records[0].predecessor for log in logs if log.started]
        followed = {link.number for link in links if link}
        self.used = [log for log in logs if log.started or log.fault or log.number in followed]
        for log in logs:
            for record in log.records + log.later:
                self._check_commit(log, record, manifest)
        x = self._walk()
        self._check_vouched(logs, x)
        self._tell_dropped(logs, x)

    def _check_commit(self, log, record, manifest):
        if record.manifest is None:
            return
        where = f'{log.file.name}, offset {record.offset}'
        manifest.check_vouched(record.commit, where)
        if record.type == START and record.manifest == manifest.file.slot.uuid:
            demand(record.commit >= log.named.commit, where,
                   'a log was started before the commit that names it')

    def _walk(self):
        """X: the first position where the history breaks."""
        x = None
        for place, log in enumerate(self.used):
            if not log.started:
                self.why = f'no start frame: {log.fault.obligation if log.fault else "the log is empty"}'
                return log.number, sealed.START
            if place:
                self._check_link(self.used[place - 1], log)
            else:
                demand(log.records[0].first <= self.last + 1, log.file.name,
                       'the oldest log begins behind the last sequence of the manifest')
                self.last = log.records[0].first - 1
            follower = self.used[place + 1] if place + 1 < len(self.used) else None
            end = None
            if follower and follower.started:
                link = follower.records[0].predecessor
                end = link.end if link else 1 << 64
            x, broke = self._walk_log(log, end)
            if broke or (follower and log.fault and not follower.started):
                break
        return x

    def _check_link(self, before, log):
        link = log.records[0].predecessor
        where = f'{log.file.name}, offset {log.records[0].offset}'
        demand(link is not None, where, 'a log that is not the oldest names no predecessor')
        demand((link.uuid, link.number) == (before.file.slot.uuid, before.number), where,
               'its predecessor is not the live log before it')
        demand(link.last_sequence == self.last, where, 'its predecessor ends with another last sequence')

    def _walk_log(self, log, recorded_end):
        for record in log.records:
            here = (log.number, record.offset)
            if record.offset == recorded_end:
                return here, False
            if record.type == FINAL:
                demand(record.first == self.last + 1, f'{log.file.name}, offset {record.offset}',
                       'a final frame does not follow the last sequence')
                if recorded_end is not None:
                    self.why = 'it was closed before the end that its successor records'
                return (log.number, record.end), recorded_end is not None
            if record.first != self.last + 1:
                self.why = 'a gap in the sequences'
                return here, True
            self.last += record.count
            self.entries += record.entries
        if log.end == recorded_end:
            return (log.number, log.end), False
        self.why = log.fault.obligation if log.fault else 'the log ends'
        return (log.number, log.end), recorded_end is not None

    def _check_vouched(self, logs, x):
        for log in logs:
            for position, record in log.vouched():
                if x is None or position > x:
                    raise corrupt(log.file.name, f'the history breaks at {_text(x)}, and the frame at '
                                  f'{record.offset} vouches for all before {_text(position)}: {self.why}')

    def _tell_dropped(self, logs, x):
        for log in logs:
            if x is None or log.number > x[0]:
                if log in self.used:
                    self.notes.add(log.file.name, f'dropped: the history broke at {_text(x)}: {self.why}')
                elif log.remainder(sealed.START):
                    self.notes.add(log.file.name, 'torn: no start frame')
            elif log.number == x[0] and log.remainder(x[1]):
                self.notes.add(log.file.name, f'torn from offset {x[1]}: {self.why}')
            elif log not in self.used and log.remainder(sealed.START):
                self.notes.add(log.file.name, 'torn: no start frame')
            elif log.fault and log.number < x[0]:
                self.notes.add(log.file.name,
                               f'behind the end that its successor records: {log.fault.obligation}')


def _text(position):
    return f'log {position[0]}, offset {position[1]}' if position else 'the beginning'
