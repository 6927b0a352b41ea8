# SPDX-License-Identifier: Apache-2.0
"""What the specification prints, by the decoder's own primitives and readers."""

import hashlib
import os
import tempfile
import types
import unittest

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import bloom
import keys
import manifest
import sealed
import segment
import value_file
from blocks import Entry, decode_block, decode_handle
from catalogue import LIVE, decode_described
from commit_log import FINAL, GROUP, MARK, START, Predecessor, decode_record
from examples import read_examples
from packing import unpack, unpack_zstd
from primitives import Cursor, crc32c, derive, mac_is, open_gcm, unwrap
from refusal import Refused


def ascending(first, size):
    return bytes(range(first, first + size))


KEK, DEK, TABLE, FILE, KEK_ID = (ascending(first, size) for first, size in (
    (0x00, 32), (0x20, 32), (0x40, 16), (0x50, 16), (0x60, 16)))
SALT, ROOT_ID, FRAME_SALT = ascending(0x70, 24), ascending(0x90, 16), ascending(0xA0, 4)
MANIFEST, ROOT, COMMITMENT = ascending(0xD0, 16), ascending(0xE0, 32), ascending(0x80, 32)
CREATED = 1700000000000


def u64(value):
    return value.to_bytes(8, 'little')


def seal(key, kind, plain, offset):
    """A frame, as a writer makes it."""
    head = len(plain).to_bytes(4, 'little') + bytes([kind, 0])
    head += sealed.header_check(head).to_bytes(2, 'little')
    rest = FRAME_SALT + AESGCM(key).encrypt(FRAME_SALT + offset.to_bytes(8, 'big'), plain, head)
    rest += bytes(-(len(rest) + 12) % 16)
    return head + crc32c(head + rest).to_bytes(4, 'little') + rest


class WorkedExamples(unittest.TestCase):
    def setUp(self):
        self.page = read_examples()

    def is_example(self, name, value):
        self.assertEqual(self.page[name].hex(), value.hex(), name)

    def test_crc_of_the_check_string(self):
        self.assertEqual(crc32c(b'123456789'), 0xE3069283)
        self.assertEqual(sealed.header_check(bytes(6)), 0x2BA0)

    def test_varints_have_one_form(self):
        self.assertEqual(Cursor(b'\xff' * 9 + b'\x01', 'here').varint(), (1 << 64) - 1)
        for bad in (b'\x80\x00', b'\xff' * 9 + b'\x02', b'\x80'):
            with self.assertRaises(Refused):
                Cursor(bad, 'here').varint()

    def test_filter_table(self):
        for seed, key, hashed, line, bits in (
                (0, b'', 0x16D1177607A4DE65, 89, '119 423 106 487 102 181 104 69 477'),
                (1, b'nacre', 0x839061274E649D1B, 513, '405 173 371 290 247 64 505 114 407'),
                (0x0123456789ABCDEF, b'mother of pearl', 0x6CD5B004AD5ABB5A, 425,
                 '500 67 307 418 378 297 262 153 112')):
            self.assertEqual(bloom.hash_of(seed, key), hashed)
            self.assertEqual(bloom.line_of(hashed, 1000), line)
            self.assertEqual(bloom.bits_of(hashed, 9), [int(bit) for bit in bits.split()])

    def read_keyring(self, name, passphrase=None):
        with tempfile.TemporaryDirectory() as scratch:
            path = os.path.join(scratch, 'keyring')
            with open(path, 'wb') as file:
                file.write(self.page[name])
            return keys.read_keyring(path, passphrase)

    def test_protected_keyring(self):
        key = hashlib.scrypt(b'nacre', salt=ascending(0xC0, 32), n=1024, r=8, p=1, dklen=32)
        self.is_example('K of the passphrase', key)
        self.assertEqual(self.read_keyring('protected keyring', b'nacre'), {ROOT_ID: ROOT})
        for passphrase, kind in ((b'naker', 'wrong key'), (None, 'unavailable')):
            with self.assertRaises(Refused) as raised:
                self.read_keyring('protected keyring', passphrase)
            self.assertEqual(raised.exception.kind, kind)

    def test_keyring_and_key_file(self):
        page = self.page
        roots = self.read_keyring('keyring')
        self.assertEqual(roots, {ROOT_ID: ROOT})
        context = TABLE + KEK_ID + b'\1\0\0\0'
        self.is_example('encryption context', context)
        self.assertEqual(keys.unwrap_local(page['local wrap'], roots, context, 'here'), (KEK, None))
        document = keys.decode_key_file(page['key file'], 'here')
        version = document.versions[0]
        wrap = keys.Wrap(b'local', b'local:/k', b'', b'', b'', page['local wrap'])
        self.assertEqual(version, keys.Version(KEK_ID, 1, keys.ACTIVE, CREATED, page['KEK commitment'], [wrap]))
        self.is_example('KEK commitment', derive(KEK, b'kek-commit', context, 32))
        self.is_example('key file MAC key', derive(KEK, b'keyfile-mac', TABLE, 32))
        self.assertTrue(mac_is(page['key file MAC key'], document.covered, dict(document.macs)[KEK_ID]))

    def test_log_file(self):
        page = self.page
        identity = bytes.fromhex('894e414352450d0a0100010002000000') + TABLE + FILE + u64(7) + u64(3)
        self.is_example('identity', identity)
        self.is_example('WK', derive(KEK, b'wrap', SALT, 44)[:32])
        self.is_example('N', derive(KEK, b'wrap', SALT, 44)[32:])
        aad = identity + page['DEK commitment'] + u64(1) + bytes(8) + KEK_ID + b'\1\0\0\0' + bytes(4)
        self.assertEqual(unwrap(KEK, SALT, page['wrapped DEK'] + page['wrap tag'], aad), DEK)
        self.is_example('DEK commitment', derive(DEK, b'dek-commit', identity, 32))
        self.is_example('data key', derive(DEK, b'data', identity, 32))
        for index in (0, 1):
            slot = aad[:104] + bytes([index]) + aad[105:] + SALT + page['wrapped DEK'] + page['wrap tag']
            slot += bytes(3884) + page[f'CRC of slot {index}']
            self.assertEqual(sealed.decode_slot(slot, index, 'here').number, 7)
        offset = sealed.START
        for name, kind in (('start', START), ('group', GROUP)):
            frame, nonce = page[f'{name} frame'], page[f'{name} nonce']
            self.assertEqual(nonce, FRAME_SALT + offset.to_bytes(8, 'big'))
            self.assertEqual(frame, seal(page['data key'], kind, page[name], offset))
            end = 16 + len(page[name]) + 16
            self.assertEqual(open_gcm(page['data key'], nonce, frame[16:end], frame[:8]), page[name])
            offset += len(frame)
        log = sealed.Sealed.__new__(sealed.Sealed)
        log.slot = types.SimpleNamespace(uuid=FILE)
        log.data = bytes(sealed.START) + page['start frame'] + page['group frame'] + page['filler']
        self.assertEqual(log.written(), offset)

    def test_log_records(self):
        def record(name, kind):
            return decode_record(sealed.Frame(kind, 0, 0, self.page[name], None), name)
        start, group, mark = record('start', START), record('group', GROUP), record('mark', MARK)
        final, following = record('final', FINAL), record('next start', START)
        self.assertEqual((start.first, start.synced, start.commit, start.predecessor), (1, (0, 0), 2, None))
        self.assertEqual(group.entries, [Entry(b'pearl', 1, 1, b'white')])
        self.assertEqual((mark.first, mark.synced, mark.manifest), (2, (7, 8320), MANIFEST))
        self.assertEqual((final.synced, following.synced), ((7, 8384), (7, 8384)))
        self.assertEqual(following.predecessor, Predecessor(FILE, 7, 8384, 1))

    def test_segment(self):
        """Sealed frame behind frame, the parts are a segment that the decoder reads."""
        page, key = self.page, self.page['data key']
        entries = [Entry(b'pear', 9, 1, b'x'), Entry(b'pear', 4, 2, b''), Entry(b'pearl', 20, 1, b'yz')]
        self.assertEqual(decode_block(page['block'], 'here', False), entries)
        self.assertEqual(unpack(page['packed block'], 'here'), page['block'])
        self.assertEqual(decode_handle(page['handle'], 'here', 1 << 20), (8192, 80))
        data = bytes(sealed.START)
        for kind, plain in ((segment.DATA, page['packed block']), (segment.FILTER, page['filter line']),
                            (segment.INDEX, b'\0' + len(page['index block']).to_bytes(4, 'little')
                             + page['index block']),
                            (segment.PROPERTIES, page['properties']), (segment.FOOTER, page['footer'])):
            data += seal(key, kind, plain, len(data))
        file = sealed.Sealed.__new__(sealed.Sealed)
        file.data, file.key, file.name = data, key, 'the example'
        _, footer, properties, found, _ = segment.read_segment(file)
        self.assertEqual((found, footer.manifest, footer.commit), (entries, MANIFEST, 2))
        self.assertEqual((properties.seed, properties.probes, properties.created), (1, 6, CREATED))

    def test_packing(self):
        self.assertEqual(unpack(self.page['packed by LZ4'], 'here'), b'a' * 32)
        try:
            self.assertEqual(unpack_zstd(self.page['packed by Zstandard'][5:], 32, 'here'), b'a' * 32)
        except Refused as refused:  # without a module for Zstandard
            self.assertEqual(refused.kind, 'unavailable')

    def test_manifest(self):
        state = manifest.Manifest.__new__(manifest.Manifest)
        state.file = types.SimpleNamespace(name='the example', slot=types.SimpleNamespace(number=2))
        state.state, state.segments, state.logs, state.values = None, {}, {}, {}
        state.commit, state.complete = 0, False
        state._apply(sealed.Frame(manifest.EDIT, 0, 0, self.page['snapshot'], None))
        self.assertEqual((state.complete, state.commit, state.state), (True, 1, manifest.State(6, 0, 1)))
        self.assertEqual(state.logs, {5: manifest.LogNamed(5, FILE, COMMITMENT, 1)})
        state.segments[3] = 'removed by the edit'
        state._apply(sealed.Frame(manifest.EDIT, 0, 0, self.page['edit'], None))
        self.assertEqual((state.commit, state.state), (2, manifest.State(11, 20, 1)))
        self.assertEqual(state.logs, {10: manifest.LogNamed(10, FILE, COMMITMENT, 2)})
        self.assertEqual(state.segments, {9: manifest.SegmentNamed(
            9, FILE, TABLE, 8640, ascending(0xE0, 16), COMMITMENT, 4, 0, 4, 20, 3, b'pear', b'pearl', 0)})

    def test_large_value(self):
        page = self.page
        part, end = page['last part'], value_file.decode_end(page['value end'], 12480, 'the example')
        self.assertEqual((end.value_length, end.manifest, end.commit), (4100, MANIFEST, 2))
        self.assertEqual(value_file.decode_part(part, end, 1, 'the example'), b'pear')
        head = bytes([len(part), 0, 0, 0, value_file.PART, 1])
        self.is_example('AAD of the part frame', head + sealed.header_check(head).to_bytes(2, 'little'))
        group = decode_record(sealed.Frame(GROUP, 0, 0, page['large group'], None), 'the example')
        (entry,) = group.entries
        self.assertEqual((entry.key, entry.sequence, entry.kind), (b'pear', 21, 5))
        named = value_file.ValueNamed(12, FILE, TABLE, 12480, ascending(0xE0, 16), COMMITMENT, 4100)
        self.assertEqual(value_file.decode_reference(entry.value, 'the example'), (0, named))
        state = manifest.Manifest.__new__(manifest.Manifest)
        state.file = types.SimpleNamespace(name='the example', slot=types.SimpleNamespace(number=2))
        state.segments, state.logs, state.values = {}, {}, {8: 'removed by the edit'}
        state.commit, state.complete = 2, True
        state._apply(sealed.Frame(manifest.EDIT, 0, 0, page['value edit'], None))
        self.assertEqual((state.commit, state.values), (3, {12: named}))

    def test_kinds(self):
        """A log's group, the segment that it is flushed to, frame behind frame, and what a manifest says of both."""
        page, key, far = self.page, self.page['data key'], 4102444800000
        group = decode_record(sealed.Frame(GROUP, 0, 0, page['kinds group'], None), 'the example')
        plum = Entry(b'plum', 23, 4, u64(far) + b'v')
        self.assertEqual(group.entries, [Entry(b'pea', 22, 3, b'pear'), plum, Entry(b'peach', 24, 3, b'pear'),
                                         Entry(b'q', 25, 3, b'r')])
        (large,) = decode_record(sealed.Frame(GROUP, 0, 0, page['large group'], None), 'the example').entries
        data = bytes(sealed.START)
        for kind, plain in ((segment.DATA, b'\0' + len(page['kinds block']).to_bytes(4, 'little') + page['kinds block']),
                            (segment.INDEX, b'\0' + len(page['kinds index block']).to_bytes(4, 'little')
                             + page['kinds index block']), (segment.RANGES, page['ranges']),
                            (segment.PROPERTIES, page['kinds properties']), (segment.FOOTER, page['kinds footer'])):
            data += seal(key, kind, plain, len(data))
        file = sealed.Sealed.__new__(sealed.Sealed)
        file.data, file.key, file.name = data, key, 'the example'
        _, footer, properties, found, ranges = segment.read_segment(file)
        self.assertEqual((found, footer.commit), ([large, plum], 3))
        self.assertEqual(ranges, [Entry(b'pea', 22, 3, b'peach'), Entry(b'peach', 24, 3, b'pear'),
                                  Entry(b'peach', 22, 3, b'pear'), Entry(b'q', 25, 3, b'r')])
        state = manifest.Manifest.__new__(manifest.Manifest)
        state.file = types.SimpleNamespace(name='the example', slot=types.SimpleNamespace(number=2))
        state.segments, state.logs, state.values, state.commit, state.complete = {}, {}, {}, 3, True
        for name in ('kinds edit', 'load edit'):
            state._apply(sealed.Frame(manifest.EDIT, 0, 0, page[name], None))
        common = ascending(0xE0, 16), COMMITMENT
        self.assertEqual(state.segments, {
            14: manifest.SegmentNamed(14, FILE, TABLE, len(data), *common, 6, 0, 21, 25, 6, b'pea', b'r', 35,
                                      far, 0),
            15: manifest.SegmentNamed(15, FILE, TABLE, 8640, *common, 3, 6, 26, 26, 3, b'sa', b'sz', 68)})
        self.assertEqual((properties.range_deletes, state.state), (4, manifest.State(16, 26, 1)))

    def test_current(self):
        self.is_example('CURRENT MAC key', derive(KEK, b'current-mac', TABLE, 32))
        holder = types.SimpleNamespace(find_for_current=lambda kek_id, minimum, where: {KEK_ID: KEK}[kek_id],
                                       check_minimum=lambda minimum: None)
        with tempfile.TemporaryDirectory() as scratch:
            with open(os.path.join(scratch, 'CURRENT'), 'wb') as file:
                file.write(self.page['CURRENT'])
            current = manifest.read_current(scratch, TABLE, holder, 'the example')
        self.assertEqual(current, manifest.Current(TABLE, MANIFEST, 2, 3, COMMITMENT, KEK_ID, 1))

    def test_catalogue_entry(self):
        described = decode_described(self.page['catalogue key'], self.page['catalogue record'])
        self.assertEqual((described.uuid, described.name, described.life), (TABLE, b'pearls', LIVE))
        self.assertEqual((described.block_bytes, described.filter_bits, described.key_generation), (4096, 10, 1))
        self.assertEqual(described.pinned, (KEK_ID, 1, self.page['KEK commitment']))
        self.assertEqual(described.specs, [(b'local:/k', b'', b'')])
