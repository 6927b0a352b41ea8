# SPDX-License-Identifier: Apache-2.0
"""Sections Keyring and Key file: root keys, the KEKs that they unwrap, and the proof that they are the
right ones."""

import hashlib
import hmac
import os
from collections import namedtuple

from primitives import Cursor, crc32c, derive, mac_is, open_gcm, unwrap, uuid_text
from refusal import Refused, corrupt, demand

KEYRING_MAGIC = bytes.fromhex('894e41434b520d0a')
KEY_FILE_MAGIC = bytes.fromhex('894e41434b450d0a')
KEY_FILE_MAX = 1 << 20
VERSIONS_MAX, WRAPS_MAX = 64, 256
TEXT_MAX, CIPHERTEXT_MAX = 2048, 4096
ACTIVE, RETIRING = 1, 2

Version = namedtuple('Version', 'id number state created commitment wraps')
Wrap = namedtuple('Wrap', 'provider uri region key_version principal ciphertext')
Pinned = namedtuple('Pinned', 'id number commitment')
Document = namedtuple('Document', 'generation table versions macs covered')


def pin_of(version):
    return Pinned(version.id, version.number, version.commitment)


def check_frame(data, magic, minimum, where):
    """Magic, CRC, version: what key files and keyrings have in common. A cursor behind them."""
    demand(len(data) >= minimum, where, 'the file is too short')
    demand(data[:8] == magic, where, 'wrong magic')
    demand(crc32c(data[:-4]) == int.from_bytes(data[-4:], 'little'), where, 'wrong CRC')
    cursor = Cursor(data, where, 8, len(data) - 4)
    demand(cursor.u16() == 1, where, 'unknown format version', 'unsupported')
    return cursor


def open_protected(data, cursor, passphrase):
    """A cursor over the records of a keyring that lies under a passphrase."""
    n, r, p = 1 << min(cursor.u8(), 23), cursor.u8(), cursor.u8()
    demand(2 <= n <= 1 << 22 and 1 <= r <= 32 and 1 <= p <= 16 and n * r <= 1 << 23 and n * r * p <= 1 << 24
           and n < 1 << 16 * r, 'keyring', 'a cost that is not borne', 'unsupported')
    cursor.zeros(1)
    salt, commitment = cursor.take(32), cursor.take(32)
    demand(passphrase is not None, 'keyring', 'it lies under a passphrase', 'unavailable')
    key = hashlib.scrypt(passphrase, salt=salt, n=n, r=r, p=p, maxmem=(128 * r * (n + p) + 65536), dklen=32)
    demand(hmac.compare_digest(derive(key, b'keyring-commit', data[:52], 32), commitment), 'keyring',
           'wrong passphrase', 'wrong key')
    sealing = derive(key, b'keyring', data[:52], 44)
    plain = open_gcm(sealing[:32], sealing[32:], cursor.take(cursor.left()), data[:84])
    demand(plain is not None, 'keyring', 'its tag is bad', 'tampered')
    return Cursor(plain, 'keyring')


def read_keyring(path, passphrase=None):
    """{root key id: root key}"""
    try:
        with open(path, 'rb') as file:
            data = file.read()
    except OSError as error:
        raise Refused('unavailable', 'keyring', error.strerror) from error
    cursor = check_frame(data, KEYRING_MAGIC, 20, 'keyring')
    protection, count = cursor.u16(), cursor.u32()
    demand(1 <= count <= 64, 'keyring', 'not 1 to 64 keys')
    demand(protection <= 1, 'keyring', 'unknown protection', 'unsupported')
    if protection:
        cursor = open_protected(data, cursor, passphrase)
    roots = {}
    for _ in range(count):
        root_id = cursor.take(16)
        cursor.u64()
        demand(root_id not in roots, 'keyring', 'a root key id stands twice')
        roots[root_id] = cursor.take(32)
    cursor.finish()
    return roots


def text(cursor):
    value = cursor.string()
    demand(len(value) <= TEXT_MAX and b'\0' not in value, cursor.where, 'a text is too long or has a NUL')
    return value


def decode_version(cursor):
    where = cursor.where
    kek_id, number, state, created = cursor.take(16), cursor.u32(), cursor.u8(), cursor.u64()
    demand(state in (ACTIVE, RETIRING), where, 'unknown state of a key version')
    commitment = cursor.take(32)
    count = cursor.varint()
    demand(1 <= count <= WRAPS_MAX, where, 'a key version has no wrap, or more than 256')
    wraps = []
    for _ in range(count):
        wrap = Wrap(*(text(cursor) for _ in range(5)), cursor.string())
        demand(wrap.uri, where, 'an empty URI')
        demand(1 <= len(wrap.ciphertext) <= CIPHERTEXT_MAX, where, 'a wrap is not 1 to 4,096 bytes')
        wraps.append(wrap)
    return Version(kek_id, number, state, created, commitment, wraps)


def decode_key_file(data, where):
    demand(len(data) <= KEY_FILE_MAX, where, 'over 1 MiB')
    cursor = check_frame(data, KEY_FILE_MAGIC, 44, where)
    cursor.zeros(2)
    demand(cursor.u32() == len(data), where, 'the total size is not the length of the file')
    generation, table = cursor.u64(), cursor.take(16)
    count = cursor.varint()
    demand(count <= VERSIONS_MAX, where, 'more than 64 versions')
    versions = [decode_version(cursor) for _ in range(count)]
    demand(sum(len(version.wraps) for version in versions) <= WRAPS_MAX, where, 'more than 256 wraps')
    demand(sum(version.state == ACTIVE for version in versions) == 1, where, 'not exactly one active version')
    demand(len({version.id for version in versions}) == len(versions), where, 'a key id stands twice')
    numbers = [version.number for version in versions]
    demand(all(a < b for a, b in zip(numbers, numbers[1:])), where, 'versions do not ascend')
    covered = data[:cursor.position]
    count = cursor.varint()
    macs = [(cursor.take(16), cursor.take(32)) for _ in range(min(count, VERSIONS_MAX + 1))]
    demand([kek_id for kek_id, _ in macs] == [version.id for version in versions], where,
           'not one MAC for each version, in order')
    cursor.finish()
    return Document(generation, table, versions, macs, covered)


def choose_copy(directory, name, notes):
    """Of the copies with a good CRC the one with the higher generation."""
    documents, faults, raw = [], [], []
    for copy in ('KEYS.a', 'KEYS.b'):
        where = f'{name}/{copy}'
        try:
            with open(os.path.join(directory, copy), 'rb') as file:
                data = file.read(KEY_FILE_MAX + 1)
            documents.append(decode_key_file(data, where))
            raw.append(data)
        except FileNotFoundError:
            faults.append(corrupt(where, 'the copy is not there'))
        except Refused as fault:
            faults.append(fault)
    if not documents:
        raise faults[0]
    for fault in faults:
        notes.add(fault.where, f'the other copy serves: {fault.obligation}')
    if len(set(raw)) == 2:
        notes.add(name, 'the copies of the key file differ')
    return max(documents, key=lambda document: document.generation)


class Keys:
    """The KEKs of one table, unwrapped and proven. `trust` is what the catalogue says of the table; None: this
    is the catalogue's own key file, trusted because the caller's key opens it."""

    def __init__(self, directory, name, roots, trust, notes):
        self.where = f'{name}/KEYS'
        self.document = choose_copy(directory, name, notes)
        self.table, self.generation = self.document.table, self.document.generation
        self.active = next(version for version in self.document.versions if version.state == ACTIVE)
        self.pending = None
        if trust is not None:
            self._check_trust(trust)
        self.keks = {}
        for version in self.document.versions:
            self._unwrap(version, roots, notes)
        self._check_macs()

    def _check_trust(self, trust):
        demand(self.table == trust.uuid, self.where, 'it is that of another table', 'tampered')
        demand(self.generation >= trust.key_generation, self.where,
               'its generation is lower than the one that the catalogue knows', 'rolled back')
        if pin_of(self.active) == trust.pinned:
            return
        demand(pin_of(self.active) == trust.pending and self.active is self.document.versions[-1], self.where,
               'its active KEK is not the one that the catalogue pins', 'tampered')
        current = [version for version in self.document.versions if pin_of(version) == trust.pinned]
        demand(current, self.where, 'the current KEK is not in it', 'tampered')
        self.pending, self.active = self.active, current[0]

    def _unwrap(self, version, roots, notes):
        """By any wrap that the caller's keyring opens, also under another URI of the same provider."""
        context = self.table + version.id + version.number.to_bytes(4, 'little')
        tried = 'no wrap of the provider local'
        for wrap in version.wraps:
            if wrap.provider != b'local':
                continue
            kek, tried = unwrap_local(wrap.ciphertext, roots, context, self.where)
            if kek is None:
                continue
            own = derive(kek, b'kek-commit', context, 32)
            demand(hmac.compare_digest(own, version.commitment), self.where,
                   'the KEK is not the one that its commitment names', 'wrong key')
            self.keks[version.id] = kek
            return
        if version is not self.pending:
            raise Refused('unavailable', self.where,
                          f'KEK version {version.number} cannot be unwrapped: {tried}')
        notes.add(self.where, f'the pending KEK cannot be unwrapped: {tried}')

    def _check_macs(self):
        macs = dict(self.document.macs)
        for kek_id, kek in self.keks.items():
            key = derive(kek, b'keyfile-mac', self.table, 32)
            demand(mac_is(key, self.document.covered, macs[kek_id]), self.where,
                   'a MAC of the key file is bad', 'tampered')

    def find(self, kek_id, number, where):
        kek = self.keks.get(kek_id)
        if kek is None:
            demand(number >= self.active.number, where, f'its KEK, version {number}, has been retired',
                   'rolled back')
            raise Refused('unavailable', where, f'its KEK {uuid_text(kek_id)} is not in the key file')
        return kek

    def find_for_current(self, kek_id, minimum, where):
        kek = self.keks.get(kek_id)
        if kek is None:
            self.check_minimum(minimum)
            oldest = self.document.versions[0].number
            demand(minimum >= oldest, where, 'the KEK of its MAC has been retired', 'rolled back')
            raise Refused('unavailable', where, f'its KEK {uuid_text(kek_id)} is not in the key file')
        return kek

    def check_minimum(self, minimum):
        demand(minimum <= self.active.number, self.where, 'it is older than CURRENT knows', 'rolled back')


def unwrap_local(ciphertext, roots, context, where):
    """(KEK or None, why not)"""
    demand(len(ciphertext) == 89, where, 'a wrap of the provider local is not 89 bytes')
    demand(ciphertext[0] == 1, where, 'unknown form of a wrap of the provider local', 'unsupported')
    root = roots.get(ciphertext[1:17])
    if root is None:
        return None, f'root key {uuid_text(ciphertext[1:17])} is not in the keyring'
    kek = unwrap(root, ciphertext[17:41], ciphertext[41:], context)
    demand(kek is not None, where, 'the tag of a wrapped KEK is bad', 'tampered')
    return kek, None
