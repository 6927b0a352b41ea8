#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Golden stores, read by the decoder that knows the specification only, and looked at without a key.

golden_decoder_test.py DIRECTORY [NACRE]: DIRECTORY/<store>/{store/, keyring, expected.txt}. Nothing is written.
"""

import functools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'decoder'))
sys.dont_write_bytecode = True

try:
    import cryptography  # noqa: F401
except ImportError:
    print('skipped: the decoder needs the Python module cryptography (Debian: python3-cryptography)')
    sys.exit(77)

import manifest  # noqa: E402
import segment  # noqa: E402
from catalogue import LARGE_VALUE_BYTES, LEVEL_RATIO, LIVE, SEGMENT_BYTES, Store  # noqa: E402
from primitives import uuid_text  # noqa: E402

DIRECTORY = NACRE = None
START = 8192
NONE, LZ4, ZSTD = 0, 1, 2


def quoted(raw):
    """Bytes as expected.txt has them."""
    def escaped(match):
        found = match.group()
        return b'\\{%02x*%d}' % (found[0], len(found)) if len(found) > 1 else b'\\x%02x' % found[0]
    return '"' + re.sub(rb'(.)\1{15,}|["\\]|[^ -~]', escaped, raw, flags=re.S).decode() + '"'


class Opened:
    """A golden store by the decoder's account."""

    def __init__(self, name):
        self.directory = os.path.join(DIRECTORY, name)
        self.path = os.path.join(self.directory, 'store')
        with open(os.path.join(self.directory, 'expected.txt'), encoding='ascii') as file:
            self.expected = file.read().splitlines()
        self.methods, self.levels = {}, {}
        with Store(self.path, os.path.join(self.directory, 'keyring')) as store:
            live = [described for described in store.tables if described.life == LIVE]
            self.described = sorted(live, key=lambda each: each.name)
            self.tables = [self.open(store, described) for described in self.described]
            self.catalogue, self.notes = store.catalogue, store.notes.lines

    def open(self, store, described):
        """Watches how the table's segments are packed, and how deep their indexes are."""
        unpack, read_segment = segment.unpack, segment.read_segment
        methods, levels = set(), set()

        def watched_unpack(data, where):
            methods.add(data[0])
            return unpack(data, where)

        def watched_read(file):
            found = read_segment(file)
            levels.add(found[1].levels)
            return found
        segment.unpack, segment.read_segment = watched_unpack, watched_read
        try:
            return store.open_table(described)
        finally:
            segment.unpack, segment.read_segment = unpack, read_segment
            self.methods[described.name], self.levels[described.name] = methods, levels

    def text(self):
        """What expected.txt says of settings and records."""
        for described, table in zip(self.described, self.tables):
            records = list(table.records())
            yield f'table {quoted(described.name)}'
            yield f'uuid {uuid_text(described.uuid)}'
            yield f'created_ms {described.created}'
            yield f'kek_version {described.pinned.number}'
            yield f'compression {described.compression}'
            yield f'block_bytes {described.block_bytes}'
            yield f'filter_bits {described.filter_bits}'
            for field, default in (('large_value_bytes', LARGE_VALUE_BYTES), ('segment_bytes', SEGMENT_BYTES),
                                   ('level_ratio', LEVEL_RATIO)):
                if getattr(described, field) != default:
                    yield f'{field} {getattr(described, field)}'
            yield f'records {len(records)}'
            yield from (f'{quoted(key)} = {quoted(value)}' + (f' until {expires}' if expires else '')
                        for key, value, expires in records)
            yield ''

    def dropped(self):
        """{(file, offset)} where a reader by expected.txt stops believing."""
        places, uuid = set(), None
        for line in self.expected:
            if line.startswith('uuid '):
                uuid = line[5:]
            found = re.match(r'dropped file=(\S+) offset=(\d+) ', line)
            if found:
                places.add((f'{uuid}/{found[1]}', int(found[2])))
        return places

    def files(self):
        found = [os.path.join(place, name) for place, _, names in os.walk(self.path) for name in names]
        return sorted(found) + [os.path.join(self.directory, 'keyring')]


def place_of_note(line):
    """(file, offset) of a torn end in the decoder's words; None: it speaks of something else."""
    for form in (r'(\S+): torn from offset (\d+): ', r'(\S+), offset (\d+): torn end of the manifest'):
        found = re.match(form, line)
        if found:
            return found[1], int(found[2])
    found = re.match(r'(\S+): torn: no start frame', line)
    return (found[1], START) if found else None


def with_each_store(test):
    """A test that takes a store's name and what was opened, once for each store."""
    @functools.wraps(test)
    def run(self):
        for name, opened in self.stores.items():
            with self.subTest(store=name):
                test(self, name, opened)
    return run


class Golden(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.stores = {name: Opened(name) for name in sorted(os.listdir(DIRECTORY))}

    def nacre(self, *words, status, keyring='/nonexistent'):
        done = subprocess.run([NACRE, *words, '--json'], stdout=subprocess.PIPE, check=False,
                              env=dict(os.environ, NACRE_KEYRING=keyring))
        self.assertEqual(done.returncode, status, words)
        return json.loads(done.stdout)

    @with_each_store
    def test_settings_and_records(self, _, opened):
        ours = re.compile(r'recovery |dropped |verify ')
        self.assertEqual(list(opened.text()), [line for line in opened.expected if not ours.match(line)])

    @with_each_store
    def test_history_of_the_logs(self, _, opened):
        """As many logs and entries as the library recovers, and the same end."""
        told = [re.search(r'logs=(\d+) groups=\d+ entries=(\d+)', line).groups()
                for line in opened.expected if line.startswith('recovery ')]
        self.assertEqual([(len(table.manifest.logs), len(table.history.entries))
                          for table in opened.tables], [(int(logs), int(many)) for logs, many in told])
        places = {place_of_note(line) for line in opened.notes} - {None}
        self.assertLessEqual(places, opened.dropped())
        for file, offset in opened.dropped() - places:  # zeros at the end of the newest log
            with open(os.path.join(opened.path, file), 'rb') as log:
                self.assertFalse(any(log.read()[offset:]), file)

    @with_each_store
    def test_only_torn_stores_have_torn_ends(self, name, opened):
        self.assertEqual(len(opened.dropped()), 5 if name == 'torn' else 0)
        if name != 'torn':
            self.assertEqual(opened.notes, [])

    def test_every_packing_and_both_kinds_of_index(self):
        packed = self.stores['compression'].methods
        self.assertEqual(packed, {b'automatic': {NONE, LZ4, ZSTD}, b'none': {NONE}, b'lz4': {NONE, LZ4},
                                  b'zstd': {NONE, ZSTD}})
        levels = self.stores['tables'].levels
        self.assertEqual(levels[b'two index levels'], {2})
        self.assertEqual(levels[b'runs'], {1})
        self.assertTrue(self.stores['tables'].catalogue.manifest.segments)

    def test_every_kind_of_entry_and_of_segment(self):
        """In a log and in segments; what had expired when it was flushed is a delete, and what was loaded so stays;
        loaded segments at the bottom and above; a range delete of two sequences; values that a log alone refers to."""
        opened = self.stores['kinds']
        table = dict(zip((described.name for described in opened.described), opened.tables))[b'kinds']
        in_log = {entry.kind for entry in table.history.entries}
        loaded = {named.level for named in table.manifest.segments.values() if named.flags & manifest.ONE_SEQUENCE}
        plain = [named for named in table.manifest.segments.values() if not named.flags & manifest.ONE_SEQUENCE]
        kinds = {entry.kind for run in table.runs.values() for entry in run}
        self.assertEqual((in_log, kinds), ({1, 3, 4, 5}, {1, 2, 4, 5}))
        self.assertEqual((loaded, {named.level for named in plain}), ({0, 6}, {0}))
        starts = [entry.key for entry in table.ranges]
        self.assertGreater(len(starts), len(set(starts)))
        self.assertGreaterEqual(len(table.manifest.values), 4)
        self.assertGreater(len(table.values), len(table.manifest.values))

    def test_what_records_of_segments_tell_of_expiry(self):
        opened = self.stores['kinds']
        segments = [named for table in opened.tables for named in table.manifest.segments.values()]
        self.assertTrue(any(named.flags & manifest.EXPIRES and named.half_expired for named in segments))
        self.assertEqual({bool(named.flags & manifest.NO_LARGE) for named in segments}, {False, True})

    def test_filler_behind_what_a_killed_process_logged(self):
        opened = self.stores['kinds']
        table = dict(zip((described.name for described in opened.described), opened.tables))[b'killed']
        log = table.history.used[-1]
        self.assertGreater(len(log.file.data), log.written)
        self.assertEqual(len(table.history.entries), 2)

    def test_a_tree_of_three_levels(self):
        opened = self.stores['kinds']
        table = dict(zip((described.name for described in opened.described), opened.tables))[b'tree']
        levels = [named.level for named in table.manifest.segments.values()]
        self.assertEqual({level: levels.count(level) for level in levels}, {0: 1, 5: 1, 6: 2})

    def test_changes_of_keys_at_rest_on_their_way_and_pending(self):
        """Of each table: versions in the key file, those that its files are under, which is pending."""
        opened, found = self.stores['rotated'], {}
        for described, table in zip(opened.described, opened.tables):
            under = set()
            for path in opened.files():
                if uuid_text(described.uuid) in path and path.endswith(('.seg', '.log', '.man')):
                    with open(path, 'rb') as file:
                        under.add(int.from_bytes(file.read(132)[128:], 'little'))
            keys = table.keys
            found[described.name] = ([version.number for version in keys.document.versions], under,
                                     keys.pending and keys.pending.number)
        self.assertEqual(found, {b'once': ([2], {2}, None), b'twice': ([3], {3}, None),
                                 b'on its way': ([1, 2], {1, 2}, None), b'pending': ([1, 2], {1}, 2)})
        catalogue = opened.catalogue.keys.document.versions
        self.assertEqual([version.number for version in catalogue], [2])

    @with_each_store
    def test_no_store_names_a_path_of_the_machine_that_made_it(self, _, opened):
        for described in opened.described:
            self.assertLessEqual(set(described.specs), {(b'local:', b'', b'')})
        for table in [opened.catalogue, *opened.tables]:
            for version in table.keys.document.versions:
                for wrap in version.wraps:
                    self.assertEqual(wrap[:5], (b'local', b'local:', b'', b'', b''))

    def test_they_are_small(self):
        sizes = [os.path.getsize(path) for opened in self.stores.values() for path in opened.files()]
        self.assertLess(sum(sizes), 5 << 18)

    @with_each_store
    def test_verified_without_a_key(self, name, opened):
        """A torn end is told; a hole before good frames looks like damage to whoever cannot open frames."""
        if not NACRE:
            self.skipTest('the command is not built')
        torn = name == 'torn'
        said = self.nacre('verify', '--keyless', opened.path, status=4 if torn else 0)
        faults = {(fault['file'], fault['offset']) for fault in said['faults']}
        notes = {re.match(r'(\S+) ends in a write that was cut off, at offset (\d+)$', line).groups()
                 for line in said['notes']}
        self.assertEqual(len(faults), 1 if torn else 0)
        self.assertEqual(faults | {(file, int(at)) for file, at in notes}, opened.dropped())
        self.assertEqual(said['checksummed_files'], len(opened.files()) - 2)  # but LOCK and keyring

    @with_each_store
    def test_verified_with_the_key(self, _, opened):
        """With it a hole that recovery drops is no fault."""
        if not NACRE:
            self.skipTest('the command is not built')
        with tempfile.TemporaryDirectory() as scratch:
            keyring = os.path.join(scratch, 'keyring')  # a checkout may have made it readable to others
            shutil.copyfile(os.path.join(opened.directory, 'keyring'), keyring)
            os.chmod(keyring, 0o600)
            said = self.nacre('verify', opened.path, status=0, keyring=keyring)
        self.assertEqual(said['faults'], [])

    @with_each_store
    def test_inspected_without_a_key(self, _, opened):
        if not NACRE:
            self.skipTest('the command is not built')
        kinds = {'LOCK': 'lock', 'CURRENT': 'CURRENT', 'KEYS.a': 'key file', 'KEYS.b': 'key file',
                 'keyring': 'keyring'}
        holes = self.holes(opened)
        for path in opened.files():
            bad = os.path.relpath(path, opened.path) in holes
            said = self.nacre('inspect', path, status=4 if bad else 0)
            self.assertEqual(said['kind'], kinds.get(os.path.basename(path), 'sealed file'))
            self.assertEqual(said.get('damage_count', 0), int(bad))

    @staticmethod
    def holes(opened):
        """Files with a good frame behind a dropped place."""
        return {file for file, offset in opened.dropped() for table in opened.tables
                for log in table.history.used
                if log.file.name == file and any(record.offset > offset for record in log.later)}


def main():
    global DIRECTORY, NACRE
    if len(sys.argv) < 2:
        sys.exit('usage: golden_decoder_test.py DIRECTORY [NACRE]')
    DIRECTORY = os.path.abspath(sys.argv[1])
    NACRE = os.path.abspath(sys.argv[2]) if len(sys.argv) > 2 else None
    program = unittest.main(argv=sys.argv[:1], exit=False)
    return 0 if program.result.wasSuccessful() else 1


if __name__ == '__main__':
    sys.exit(main())
