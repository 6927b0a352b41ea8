# SPDX-License-Identifier: Apache-2.0
"""Sections Primitives and Derivation: integers, strings, UUIDs, CRC32C, the key schedule, AES-256-GCM."""

import array
import hashlib
import hmac
import struct
import sys

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from refusal import corrupt, demand

KEY_MAX = 65536
SEQUENCE_MAX = 1 << 56
PUT, DELETE, RANGE_DELETE, EXPIRING, LARGE = 1, 2, 3, 4, 5
EXPIRY_BYTES = 8


def _crc_table():
    """The CRC of every two bytes: one look-up for each 16 bits of input."""
    table = array.array('L', bytes(65536 * array.array('L').itemsize))
    for value in range(65536):
        crc = value
        for _ in range(16):
            crc = (crc >> 1) ^ 0x82F63B78 if crc & 1 else crc >> 1
        table[value] = crc
    return table.tolist()


_CRC = _crc_table()
_CRC8 = [0] * 256
for _byte in range(256):
    _value = _byte
    for _ in range(8):
        _value = (_value >> 1) ^ 0x82F63B78 if _value & 1 else _value >> 1
    _CRC8[_byte] = _value


def crc32c(data):
    crc, table = 0xFFFFFFFF, _CRC
    even = len(data) & ~1
    words = array.array('H', bytes(data[:even]))
    if sys.byteorder == 'big':
        words.byteswap()
    for word in words:
        crc = table[(crc ^ word) & 0xFFFF] ^ (crc >> 16)
    for byte in data[even:]:
        crc = _CRC8[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


def derive(key, label, context, size):
    info = bytes([len(label)]) + label + struct.pack('<H', len(context)) + context
    out, block, turn = b'', b'', 1
    while len(out) < size:
        block = hmac.new(key, block + info + bytes([turn]), hashlib.sha256).digest()
        out, turn = out + block, turn + 1
    return out[:size]


def mac_is(key, data, expected):
    return hmac.compare_digest(hmac.new(key, data, hashlib.sha256).digest(), expected)


def open_gcm(key, nonce, sealed, aad):
    """The plaintext, or None when the tag is bad."""
    try:
        return AESGCM(key).decrypt(nonce, bytes(sealed), bytes(aad))
    except InvalidTag:
        return None


def unwrap(key, salt, sealed, aad):
    wrapping = derive(key, b'wrap', salt, 44)
    return open_gcm(wrapping[:32], wrapping[32:], sealed, aad)


def uuid_text(raw):
    text = raw.hex()
    return '-'.join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


class Cursor:
    """Reads a structure of its own, to its last byte; every length is checked against what is left."""

    def __init__(self, data, where, position=0, end=None):
        self.data, self.where = data, where
        self.position = position
        self.end = len(data) if end is None else end

    def left(self):
        return self.end - self.position

    def take(self, size):
        demand(size <= self.left(), self.where, 'a length runs past the end of its structure')
        start = self.position
        self.position += size
        return bytes(self.data[start:self.position])

    def u8(self):
        return self.take(1)[0]

    def u16(self):
        return int.from_bytes(self.take(2), 'little')

    def u32(self):
        return int.from_bytes(self.take(4), 'little')

    def u64(self):
        return int.from_bytes(self.take(8), 'little')

    def varint(self):
        value, shift = 0, 0
        while True:
            byte = self.u8()
            if shift == 63 and byte > 1:
                raise corrupt(self.where, 'a varint has bits beyond the 64th')
            value |= (byte & 0x7F) << shift
            if not byte & 0x80:
                demand(byte or not shift, self.where, 'a varint is longer than its value needs')
                return value
            shift += 7

    def string(self):
        return self.take(self.varint())

    def zeros(self, size):
        demand(not any(self.take(size)), self.where, 'bytes that must be zero are not')

    def flag(self, what):
        value = self.u8()
        demand(value <= 1, self.where, f'{what} is neither 0 nor 1')
        return value == 1

    def finish(self):
        demand(not self.left(), self.where, 'bytes are left over behind a structure')
