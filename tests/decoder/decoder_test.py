#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stores that the command writes, read by a decoder that knows the specification only.

decoder_test.py NACRE. NACRE_TEST_SEED replays a run. What the two make of the same bytes must be equal: on
whole stores, on stores whose writer was killed, and on stores with a bit flipped or a log cut.
"""

import base64
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

try:
    import cryptography  # noqa: F401
except ImportError:
    print('skipped: the decoder needs the Python module cryptography (Debian: python3-cryptography)')
    sys.exit(77)

import segment  # noqa: E402
from catalogue import LIVE, Store  # noqa: E402
from refusal import Refused  # noqa: E402
from worked_examples import WorkedExamples  # noqa: E402, F401

SEED = int(os.environ.get('NACRE_TEST_SEED', random.SystemRandom().randrange(1 << 32)))
NACRE = None


def has_zstd():
    for name in ('zstandard', 'zstd'):
        try:
            __import__(name)
            return True
        except ImportError:
            pass
    return False


class Stores(unittest.TestCase):
    """Stores made by the command in a directory of their own."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory(prefix='nacre-decoder-')
        self.addCleanup(scratch.cleanup)
        self.keyring = os.path.join(scratch.name, 'keyring')
        self.store = os.path.join(scratch.name, 'store')
        self.copy = os.path.join(scratch.name, 'copy')
        self.environment = dict(os.environ, NACRE_KEYRING=self.keyring)
        self.random = random.Random(SEED)
        self.nacre('init', self.store)

    def run_nacre(self, *words, given=None):
        return subprocess.run([NACRE, *words], env=self.environment, input=given, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)

    def nacre(self, *words, given=None):
        done = self.run_nacre(*words, given=given)
        self.assertEqual(done.returncode, 0, (words, done.stderr))
        return done.stdout

    def load(self, table, pairs):
        def escaped(raw):
            return ''.join(f'\\x{byte:02x}' for byte in raw)
        lines = ''.join(f'{escaped(key)}\t{escaped(value)}\n' for key, value in pairs)
        self.nacre('import', self.store, table, '-', '--format', 'tsv', given=lines.encode())

    def exported(self, store, table):
        """The records by the command's account, or None when it refuses."""
        done = self.run_nacre('export', store, table, '--format', 'jsonl')
        if done.returncode:
            self.assertEqual(done.returncode, 4, done.stderr)
            return None
        records = [json.loads(line) for line in done.stdout.decode().splitlines()]
        return [tuple(record[name].encode() if name in record else base64.b64decode(record[f'{name}_base64'])
                      for name in ('key', 'value')) for record in records]

    def decoded(self, store):
        with Store(store, self.keyring) as opened:
            records = {described.name.decode(): list(opened.open_table(described).visible())
                       for described in opened.tables if described.life == LIVE}
            return records, opened.notes.lines

    def compare(self, store, notes=True):
        records, lines = self.decoded(store)
        self.assertEqual(records, {table: self.exported(store, table) for table in records})
        if not notes:
            self.assertEqual(lines, [])
        return records

    def fill(self, table):
        """Several runs, many versions and deletes, and the last writes in the log only."""
        for turn in range(3):
            value = b'value %d ' % turn
            self.load(table, [(b'key%04d' % self.random.randrange(400), value * self.random.randrange(9))
                              for _ in range(500)])
            self.load(table, [(self.random.randbytes(self.random.randrange(1, 20)), self.random.randbytes(99))
                              for _ in range(50)])
            for _ in range(3):
                self.nacre('delete', self.store, table, f'key{self.random.randrange(400):04}')
            if turn < 2:
                self.nacre('flush', self.store, table)

    def test_every_compression_and_many_versions(self):
        kinds = ['none', 'lz4'] + (['zstd', 'auto'] if has_zstd() else [])
        for kind in kinds:
            self.nacre('table', 'create', self.store, kind, '--compression', kind)
            self.fill(kind)
        self.compare(self.store, notes=False)
        for kind in kinds:
            self.nacre('compact', self.store, kind)
        self.nacre('table', 'drop', self.store, 'none')
        records = self.compare(self.store, notes=False)
        self.assertEqual(sorted(records), sorted(kinds[1:]))
        self.assertTrue(all(len(found) > 100 for found in records.values()))

    def test_range_deletes(self):
        """In the log, in a segment beside entries, in one of their own, and cut where they overlap."""
        self.nacre('table', 'create', self.store, 't')
        self.load('t', [(b'k%03d' % at, b'%d' % at) for at in range(200)])
        self.nacre('delete', self.store, 't', 'k020', '--to', 'k040')
        self.nacre('put', self.store, 't', 'k030', 'again')
        self.nacre('flush', self.store, 't')
        self.assertEqual(len(self.compare(self.store, notes=False)['t']), 181)
        self.nacre('delete', self.store, 't', 'k100', '--to', 'k110')
        self.nacre('delete', self.store, 't', 'k105', '--to', 'k120')
        self.nacre('flush', self.store, 't')
        self.assertEqual(len(self.compare(self.store, notes=False)['t']), 161)
        self.nacre('delete', self.store, 't', 'k000', '--to', 'k010')
        self.assertEqual(len(self.compare(self.store, notes=False)['t']), 151)

    def test_big_values_long_keys_and_two_index_levels(self):
        self.nacre('table', 'create', self.store, 't', '--compression', 'lz4')
        self.nacre('put', self.store, 't', '', 'the empty key')
        self.nacre('put', self.store, 't', 'the empty value', '')
        self.nacre('put', self.store, 't', 'big', '-',
                   given=self.random.randbytes(400000) + b'a' * (3 << 20))
        self.load('t', [(b'k%04d' % at + b'x' * 60000, b'%d' % at) for at in range(120)])
        self.nacre('flush', self.store, 't')
        levels, read_segment = [], segment.read_segment

        def spy(file):
            found = read_segment(file)
            levels.append(found[1].levels)
            return found
        segment.read_segment = spy
        self.addCleanup(setattr, segment, 'read_segment', read_segment)
        self.assertEqual(len(self.compare(self.store, notes=False)['t']), 123)
        self.assertIn(2, levels)

    def test_large_values(self):
        self.nacre('table', 'create', self.store, 't', '--large-value-bytes', '4096', '--compression', 'lz4')
        for turn in range(3):
            for key, size in (('a', 4096), ('b', 4097), ('c', 300000), ('d', 262144), ('e', 1000000)):
                given = self.random.randbytes(size // 2) + b'n' * (size - size // 2)
                self.nacre('put', self.store, 't', key if key != 'e' else 'e%d' % turn, '-', given=given)
            self.nacre('delete', self.store, 't', 'd')
            self.assertEqual(len(self.compare(self.store, notes=False)['t']), 4 + turn)
            if turn < 2:
                self.nacre('flush', self.store, 't')
        self.nacre('delete', self.store, 't', 'e0', '--to', 'e2')
        self.nacre('compact', self.store, 't')
        self.assertEqual(len(self.compare(self.store, notes=False)['t']), 4)

    def test_killed_writers(self):
        self.nacre('table', 'create', self.store, 'a')
        self.nacre('table', 'create', self.store, 'b', '--filter-bits', '0')
        for turn in range(8):
            words = ['import', self.store, 'ab'[turn % 2], '-', '--format', 'tsv', '--batch', '7']
            words += ['--acknowledge'] + (['--sync'] if turn % 3 == 0 else [])
            with subprocess.Popen([NACRE, *words], env=self.environment, stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as writer:
                for at in range(self.random.randrange(50, 400)):
                    writer.stdin.write(b'%d\t%d\n' % (self.random.randrange(500), at))
                writer.stdin.flush()
                writer.stdout.readline()
                writer.kill()
                writer.communicate()
            self.compare(self.store)

    def files(self, store, ends=('',)):
        found = [os.path.join(place, name) for place, _, names in os.walk(store) for name in names]
        return sorted(path for path in found if os.path.getsize(path) and path.endswith(tuple(ends)))

    def damaged(self, path, data):
        """What the decoder says once a file holds data: (records, notes), or the refusal."""
        with open(path, 'wb') as file:
            file.write(data)
        try:
            return self.decoded(self.store), None
        except Refused as refused:
            return None, refused

    def small_store(self):
        for table in 'ab':
            self.nacre('table', 'create', self.store, table, '--compression', 'lz4')
            self.load(table, [(b'key%03d' % at, b'value' * 9) for at in range(100)])
            self.nacre('flush', self.store, table)
            self.nacre('delete', self.store, table, 'key007')
            self.nacre('put', self.store, table, 'last', 'one')
        return self.decoded(self.store)

    def test_a_flipped_bit_is_refused_or_told(self):
        """A table is never other than it was, unless the newest log lost its end; and that is said."""
        whole, notes = self.small_store()
        self.assertEqual(notes, [])
        refusals = 0
        for path in self.files(self.store):
            with open(path, 'rb') as file:
                data = file.read()
            places = self.random.sample(range(min(208, len(data))), 8)
            places += [self.random.randrange(8192, len(data)) for _ in range(25)] if len(data) > 8192 else []
            for at in places:
                bit = 1 << self.random.randrange(8)
                flipped = data[:at] + bytes([data[at] ^ bit]) + data[at + 1:]
                found, refused = self.damaged(path, flipped)
                with self.subTest(file=os.path.relpath(path, self.store), offset=at, bit=bit):
                    if refused:
                        refusals += 1
                    else:
                        self.assertEqual(found[0], whole)
                        self.assertTrue(found[1])
                    # The command sees the same fault; a torn end is none to who has the key.
                    if self.random.random() < 0.3:
                        torn = path.endswith('.log') and not refused
                        told = (0, 4) if torn else (4,)
                        self.assertIn(self.run_nacre('verify', self.store).returncode, told)
                with open(path, 'wb') as file:
                    file.write(data)
        self.assertGreater(refusals, 100)

    def test_changed_keys(self):
        """Old files and old key files do not pass for new ones."""
        whole, _ = self.small_store()
        shutil.copytree(self.store, self.copy)
        self.nacre('keys', 'rotate', self.store, 'a', '--wait')
        self.nacre('keys', 'rotate', self.store, 'b')
        self.nacre('keys', 'rotate', self.store)
        self.assertEqual(self.decoded(self.store), (whole, []))
        for name in ('a', 'b'):
            self.nacre('keys', 'wait', self.store, name)
        self.assertEqual(self.decoded(self.store), (whole, []))
        for path in self.files(self.copy):
            new = os.path.join(self.store, os.path.relpath(path, self.copy))
            if not path.endswith(('.seg', 'CURRENT', 'KEYS.a')) or 'catalogue' in path:
                continue
            both = ('KEYS.a', 'KEYS.b') if path.endswith('KEYS.a') else (os.path.basename(path),)
            kept = {}
            for name in both:
                with open(os.path.join(os.path.dirname(new), name), 'rb') as file:
                    kept[name] = file.read()
                shutil.copy(os.path.join(os.path.dirname(path), name), os.path.dirname(new))
            with self.subTest(put_back=both):
                with self.assertRaises(Refused) as refused:
                    self.decoded(self.store)
                self.assertEqual(refused.exception.kind, 'rolled back', refused.exception)
                self.assertEqual(self.run_nacre('verify', self.store).returncode, 4)
            for name, data in kept.items():
                with open(os.path.join(os.path.dirname(new), name), 'wb') as file:
                    file.write(data)

    def test_cut_logs_are_read_as_the_command_reads_them(self):
        self.small_store()
        for turn in range(40):
            shutil.rmtree(self.copy, ignore_errors=True)
            shutil.copytree(self.store, self.copy)
            path = self.random.choice(self.files(self.copy, ('.log',)))
            size = os.path.getsize(path)
            at = self.random.randrange(8192, size + 1)
            with open(path, 'r+b') as file:
                if turn % 3 == 0:
                    file.truncate(at)
                else:
                    file.seek(at)
                    rot = self.random.randbytes(min(16, size - at))
                    file.write(bytes(size - at) if turn % 3 == 1 else rot)
            with self.subTest(file=os.path.relpath(path, self.copy), offset=at, way=turn % 3):
                try:
                    records, _ = self.decoded(self.copy)
                except Refused:
                    self.assertIn(None, [self.exported(self.copy, table) for table in 'ab'])
                else:
                    self.assertEqual(records, {table: self.exported(self.copy, table) for table in records})

    def test_command_line(self):
        self.nacre('table', 'create', self.store, 'people', '--compression', 'none')
        self.nacre('put', self.store, 'people', 'ada', 'Lovelace')
        decode = [sys.executable, '-B', os.path.join(HERE, 'decode.py'), self.store]
        decode += ['--keyring', self.keyring]
        dump = subprocess.run(decode, stdout=subprocess.PIPE, check=True).stdout
        self.assertEqual(json.loads(dump), {'table': 'people', 'key': 'YWRh', 'value': 'TG92ZWxhY2U='})
        listed = json.loads(subprocess.run([*decode, '--list'], stdout=subprocess.PIPE, check=True).stdout)
        self.assertEqual((listed['table'], listed['life']), ('people', 'live'))
        with open(os.path.join(self.store, 'catalogue', 'CURRENT'), 'r+b') as file:
            file.seek(130)
            file.write(b'broken')
        refused = subprocess.run(decode, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertEqual((refused.returncode, refused.stdout), (1, b''))
        self.assertIn(b'tampered: catalogue/CURRENT: the MAC is bad', refused.stderr)


class Tally(unittest.TextTestResult):
    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def main():
    global NACRE
    if len(sys.argv) < 2:
        sys.exit('usage: decoder_test.py NACRE [TEST...]')
    NACRE = os.path.abspath(sys.argv.pop(1))
    print(f'seed {SEED}', flush=True)
    program = unittest.main(exit=False, testRunner=unittest.TextTestRunner(resultclass=Tally))
    failed = program.result.testsRun - program.result.passed
    sys.stderr.flush()
    print(f'{program.result.passed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
