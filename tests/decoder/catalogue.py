# SPDX-License-Identifier: Apache-2.0
"""Sections Store and Catalogue: from the caller's keyring to every table of a store."""

import fcntl
import os
import struct
from collections import namedtuple

from keys import Keys, Pinned, read_keyring
from primitives import Cursor, uuid_text
from refusal import Notes, Refused, demand
from table import Table

CREATING, LIVE, DROPPED = 1, 2, 3
LIFE_NAMES = {CREATING: 'creating', LIVE: 'live', DROPPED: 'dropped'}
COMPRESSION_NAMES = ('auto', 'none', 'lz4', 'zstd')
NO_FILTER = 4294967295
LARGE_VALUE_BYTES, SEGMENT_BYTES, LEVEL_RATIO = 1 << 20, 64 << 20, 10  # where a table says nothing

Described = namedtuple('Described', 'uuid life name created compression block_bytes filter_bits pinned '
                       'pending key_generation specs large_value_bytes segment_bytes '
                       'level_ratio')


def take_specs(cursor, where):
    count = cursor.varint()
    demand(count <= 16, where, 'more than 16 key specs')
    specs = [(cursor.string(), cursor.string(), cursor.string()) for _ in range(count)]
    for spec in specs:
        demand(spec[0] and all(len(text) <= 2048 and b'\0' not in text for text in spec), where,
               'a text of a key spec is too long or has a NUL')
    return specs


def decode_described(key, value):
    where = 'catalogue entry'
    demand(len(key) == 17 and key[:1] == b'T', where, 'a key that names no table')
    where = f'catalogue entry of {uuid_text(key[1:])}'
    cursor = Cursor(value, where)
    life, name, created, compression = cursor.u8(), cursor.string(), cursor.u64(), cursor.u8()
    block_bytes, filter_bits = cursor.varint(), cursor.varint()
    pinned = Pinned(cursor.take(16), cursor.u32(), cursor.take(32))
    pending = None
    if cursor.flag('has pending'):
        pending = Pinned(cursor.take(16), cursor.u32(), cursor.take(32))
        take_specs(cursor, where)
    generation = cursor.varint()
    specs = take_specs(cursor, where)
    large, tree = None, None
    if cursor.left():
        large = cursor.varint()
        if cursor.left():
            tree = cursor.varint(), cursor.varint()
        demand(large >= 4096 or (tree and large == 0), where, 'large value bytes are below 4,096')
        demand(tree is None or (any(tree) and (tree[0] == 0 or 16384 <= tree[0] <= 1073741824) and
                                (tree[1] == 0 or 2 <= tree[1] <= 100)), where, 'an impossible tree')
    cursor.finish()
    demand(life in LIFE_NAMES, where, 'unknown life of a table')
    demand(1 <= len(name) <= 255 and b'\0' not in name, where, 'a name is not 1 to 255 bytes without NUL')
    demand(compression < len(COMPRESSION_NAMES), where, 'unknown compression')
    demand(block_bytes <= 1048576, where, 'block bytes are over 1,048,576')
    demand(filter_bits <= 32 or filter_bits == NO_FILTER, where, 'impossible filter bits')
    return Described(key[1:], life, name, created, COMPRESSION_NAMES[compression], block_bytes, filter_bits,
                     pinned, pending, generation, specs, large or LARGE_VALUE_BYTES, (tree and tree[0]) or SEGMENT_BYTES,
                     (tree and tree[1]) or LEVEL_RATIO)


class Store:
    """A store, opened to be read. Holds LOCK shared until closed."""

    def __init__(self, directory, keyring):
        self.directory, self.notes = directory, Notes()
        self.lock = self._take_lock()
        try:
            self.roots = read_keyring(keyring)
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self):
        name = 'catalogue'
        directory = os.path.join(self.directory, name)
        keys = Keys(directory, name, self.roots, None, self.notes)
        self.uuid = keys.table
        self.catalogue = Table(directory, name, self.uuid, keys, self.notes)
        self.tables = [decode_described(key, value) for key, value in self.catalogue.visible()]

    def _take_lock(self):
        try:
            lock = open(os.path.join(self.directory, 'LOCK'), 'rb')
        except OSError as error:
            raise Refused('corrupt', 'LOCK', f'no store: {error.strerror}') from error
        try:
            fcntl.fcntl(lock, fcntl.F_OFD_SETLK, struct.pack('hhqqi4x', fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0))
        except OSError as error:
            lock.close()
            raise Refused('unavailable', 'LOCK', 'a writer has the store open') from error
        return lock

    def close(self):
        self.lock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def open_table(self, described):
        """A live table, by the key that the catalogue pins."""
        name = uuid_text(described.uuid)
        directory = os.path.join(self.directory, name)
        keys = Keys(directory, name, self.roots, described, self.notes)
        return Table(directory, name, described.uuid, keys, self.notes)
