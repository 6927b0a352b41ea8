# SPDX-License-Identifier: Apache-2.0
"""One table directory: CURRENT, manifest, the files that it names, what no manifest names, the entries."""

import os
import re
import time

import sealed
import segment
import value_file
from blocks import expiry, order
from commit_log import History, Log
from manifest import (EXPIRES, HOLDS_DELETES, HOLDS_RANGES, LARGEST_EXCLUDED, MANY_DELETES, NO_LARGE, ONE_SEQUENCE,
                      Manifest, read_current)
from primitives import EXPIRING, EXPIRY_BYTES, LARGE, PUT, RANGE_DELETE
from refusal import Refused, corrupt, demand

UNNAMED = re.compile(r'([0-9]{20})\.(man|log|seg|val)$')
SUFFIX = {sealed.SEGMENT: 'seg', sealed.LOG: 'log', sealed.MANIFEST: 'man', sealed.VALUE: 'val'}


class Table:
    """Reads everything at once. `entries` holds all versions of all keys, newest first within a key; `ranges`
    the range deletes."""

    def __init__(self, directory, name, uuid, keys, notes):
        self.directory, self.name, self.keys, self.notes = directory, name, keys, notes
        self.current = read_current(directory, uuid, keys, name)
        self.manifest = Manifest(directory, self.current, keys, name, notes)
        self.runs, self.ranges = {}, []
        for named in self.manifest.segments.values():
            self._read_segment(named)
        logs = [Log(self._open(sealed.LOG, named, origin=uuid), named)
                for named in self.manifest.logs.values()]
        self.loose = []  # value files that no manifest names: a log may refer to them
        self._check_unnamed()
        self.history = History(logs, self.manifest, notes)
        self._check_sequences()
        self.entries = self._merge()
        self._read_values()

    def _open(self, kind, named, **more):
        path = f'{named.number:020}.{SUFFIX[kind]}'
        file = sealed.Sealed(os.path.join(self.directory, path), f'{self.name}/{path}', self.notes)
        file.unlock(self.keys)
        file.expect(type=kind, uuid=named.uuid, number=named.number, commitment=named.commitment, **more)
        self._check_epoch(file)
        return file

    def _check_epoch(self, file):
        demand(file.slot.epoch <= self.current.epoch, file.name, 'its epoch is beyond that of CURRENT',
               'rolled back')

    def _read_segment(self, named):
        file = self._open(sealed.SEGMENT, named, origin=named.origin)
        demand(len(file.data) == named.length, file.name, 'its length is not the one that the manifest names')
        frame, footer, properties, entries, ranges = segment.read_segment(file)
        demand(frame.tag == named.tag, file.name, 'its footer tag is not the one that the manifest names',
               'tampered')
        loaded = named.flags & ONE_SEQUENCE
        demand(bool(loaded) == (properties.smallest_sequence == 0), file.name,
               'whether its entries bear sequences is not as the manifest tells')
        demand(file.slot.load in (0, named.largest_sequence if loaded else 0), file.name,
               'the sequence of its load is not the one that the manifest names')
        demand(loaded or footer.load == 0, file.name, 'it is of a load, and was not loaded')
        if loaded:
            demand(properties.largest_sequence < named.largest_sequence, file.name,
                   'it was begun after its own commit')
            entries = [entry._replace(sequence=named.largest_sequence) for entry in entries]
        for field in ('smallest_key', 'largest_key') + (() if loaded else ('smallest_sequence', 'largest_sequence')):
            demand(getattr(properties, field) == getattr(named, field), file.name,
                   f'{field} is not the one that the manifest names')
        demand(named.entries == len(entries) + len(ranges), file.name,
               'its entries are not as many as the manifest names')
        excluded = not entries or entries[-1].key != properties.largest_key
        demand(not named.flags & HOLDS_DELETES or properties.deletes, file.name, 'it has no deletes')
        demand(not named.flags & MANY_DELETES or 4 * properties.deletes >= properties.entries, file.name,
               'it has few deletes')
        self._check_hints(named, entries, file.name)
        demand(named.flags & ~(HOLDS_DELETES | MANY_DELETES | EXPIRES | NO_LARGE) ==
               (HOLDS_RANGES if ranges else 0) + (LARGEST_EXCLUDED if excluded else 0) + loaded, file.name,
               'its range deletes are not as the manifest tells')
        self.ranges += ranges
        self.manifest.check_vouched(footer.commit, file.name)
        self.runs.setdefault(named.run, []).extend(entries)

    def _check_hints(self, named, entries, name):
        """What the record tells of large puts and expiry; when half has expired is a guess."""
        puts = [entry for entry in entries if entry.kind in (PUT, EXPIRING, LARGE)]
        demand(not named.flags & NO_LARGE or all(entry.kind != LARGE for entry in puts), name, 'it has large puts')
        moments = [0 if entry.kind == PUT else int.from_bytes(entry.value[:EXPIRY_BYTES], 'little') for entry in puts]
        if named.flags & EXPIRES:
            demand(named.all_expired == (max(moments) if all(moments) else 0) and named.half_expired <= max(moments),
                   name, 'its entries expire otherwise')

    def _check_unnamed(self):
        """What no manifest names is believed in nothing, but may prove CURRENT or the manifest old."""
        named = {f'{self.current.number:020}.man'}
        named |= {f'{number:020}.seg' for number in self.manifest.segments}
        named |= {f'{number:020}.log' for number in self.manifest.logs}
        named |= {f'{number:020}.val' for number in self.manifest.values}
        for path in sorted(set(os.listdir(self.directory)) - named):
            if not UNNAMED.match(path):
                continue
            try:
                file = sealed.Sealed(os.path.join(self.directory, path), f'{self.name}/{path}', self.notes)
                file.unlock(self.keys)
            except Refused as fault:
                self.notes.add(f'{self.name}/{path}', f'unnamed, passed over: {fault.obligation}')
                continue
            self._check_leftover(file)

    def _check_leftover(self, file):
        slot = file.slot
        if slot.type == sealed.VALUE:
            self.loose.append(file)
        else:
            self.notes.add(file.name, 'unnamed')
        if slot.type == sealed.MANIFEST and slot.epoch == self.current.epoch + 1:
            return
        self._check_epoch(file)
        vouched = []
        try:
            if slot.type == sealed.LOG:
                vouched = [record.commit for record in Log(file, None).records if record.manifest]
            elif slot.type == sealed.SEGMENT:
                _, footer = segment.decode_footer(file)
                vouched = [footer.commit]
            elif slot.type == sealed.VALUE:
                _, end = value_file.read_end(file)
                vouched = [end.commit]
        except Refused as fault:
            self.notes.add(file.name, f'passed over: {fault.obligation}')
        for commit in vouched:
            self.manifest.check_vouched(commit, file.name)

    def _check_sequences(self):
        last = max(self.manifest.state.last_sequence, self.history.last)
        for named in self.manifest.segments.values():
            demand(named.largest_sequence <= last, self.name,
                   'a segment holds a sequence above the last one of manifest and logs')

    def _merge(self):
        """All entries in order. Versions of higher runs are newer; what stands twice is equal."""
        sources = [(run, entry) for run, entries in self.runs.items() for entry in entries]
        newest = max(self.runs, default=0) + 1
        sources += [(newest, entry) for entry in self.history.entries if entry.kind != RANGE_DELETE]
        self.ranges += [entry for entry in self.history.entries if entry.kind == RANGE_DELETE]
        sources.sort(key=lambda source: (*order(source[1]), -source[0]))
        merged = []
        for run, entry in sources:
            if merged and order(merged[-1][1]) == order(entry):
                demand(merged[-1][1] == entry, self.name, 'one sequence has two contents for a key')
                continue
            if merged and merged[-1][1].key == entry.key and run > merged[-1][0]:
                raise corrupt(self.name, 'an older version of a key stands in a newer run')
            merged.append((run, entry))
        return [entry for _, entry in merged]

    def _covered(self, entry):
        return any(delete.sequence > entry.sequence and delete.key <= entry.key < delete.value
                   for delete in self.ranges)

    def _read_value(self, named):
        file = self._open(sealed.VALUE, named, origin=named.origin)
        demand(len(file.data) == named.length, file.name, 'its length is not the one that names it')
        frame, end, content = value_file.read_value(file)
        demand(frame.tag == named.tag, file.name, 'its end tag is not the one that names it', 'tampered')
        demand(end.value_length == named.value_length, file.name,
               'the length of its value is not the one that names it', 'tampered')
        self.manifest.check_vouched(end.commit, file.name)
        return content

    def _read_values(self):
        """The values of all large puts, by file number: the manifest names those that segments refer to."""
        self.values, flushed = {}, set()
        for run, entries in self.runs.items():
            for entry in entries:
                if entry.kind == LARGE:
                    _, named = value_file.decode_reference(entry.value, f'{self.name}, run {run}')
                    demand(self.manifest.values.get(named.number) == named, self.name,
                           'a segment refers to a value file that the manifest does not name')
                    flushed.add(named.number)
        demand(flushed == set(self.manifest.values), self.name, 'a value file is named that no segment refers to')
        seen = {}
        for entry in self.entries:
            if entry.kind == LARGE:
                _, named = value_file.decode_reference(entry.value, self.name)
                demand(seen.setdefault(named.number, named) is named, self.name, 'two entries refer to one file')
                self.values[named.number] = self._read_value(named)
        for file in self.loose:
            if file.slot.number not in self.values:
                self.notes.add(file.name, 'unnamed')

    def records(self):
        """(key, value, when it expires or 0) of each key whose newest version is a put that has not expired, and
        that no newer range delete covers."""
        last, now = None, time.time() * 1000
        for entry in self.entries:
            if entry.key != last and entry.kind == PUT and not self._covered(entry):
                yield entry.key, entry.value, 0
            elif entry.key != last and entry.kind == LARGE and not self._covered(entry):
                expires, named = value_file.decode_reference(entry.value, self.name)
                if not 0 < expires <= now:
                    yield entry.key, self.values[named.number], expires
            elif entry.key != last and entry.kind == EXPIRING and not self._covered(entry):
                if expiry(entry) > now:
                    yield entry.key, entry.value[EXPIRY_BYTES:], expiry(entry)
            last = entry.key

    def visible(self):
        """(key, value) of the same."""
        return ((key, value) for key, value, _ in self.records())
