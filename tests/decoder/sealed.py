# SPDX-License-Identifier: Apache-2.0
"""Sections File header and Frames: opens a sealed file by its keys and yields its frames, checked
and decrypted."""

import hmac
from collections import namedtuple

from primitives import Cursor, crc32c, derive, open_gcm, unwrap, uuid_text
from refusal import Refused, corrupt, demand

MAGIC = bytes.fromhex('894e414352450d0a')
SLOT = 4096
START = 8192
FILE_MAX = 1 << 40
CIPHERTEXT_MAX = 16777184
SEGMENT, LOG, MANIFEST, VALUE = 1, 2, 3, 4
FRAME_TYPES = (1, 2, 3, 4, 16, 17, 18, 19, 20, 21, 32, 48, 49)
CONTINUED = (48,)  # in the next frame
TYPE_NAMES = {SEGMENT: 'segment', LOG: 'log', MANIFEST: 'manifest', VALUE: 'value'}

Slot = namedtuple('Slot', 'type origin uuid number epoch commitment sequence load kek_id kek_version salt wrapped '
                  'aad')
Frame = namedtuple('Frame', 'type offset size plain tag')


def decode_slot(data, index, where):
    where = f'{where}, header slot {index}'
    demand(len(data) == SLOT, where, 'the slot is not complete')
    demand(data[:8] == MAGIC, where, 'wrong magic')
    cursor = Cursor(data, where, 8)
    demand(crc32c(data[:4092]) == int.from_bytes(data[4092:], 'little'), where, 'wrong CRC')
    demand(cursor.u16() == 1, where, 'unknown format version', 'unsupported')
    demand(cursor.u16() == 1, where, 'unknown suite', 'unsupported')
    kind = cursor.u8()
    demand(kind in TYPE_NAMES, where, 'unknown file type')
    cursor.zeros(3)
    origin, uuid = cursor.take(16), cursor.take(16)
    number, epoch = cursor.u64(), cursor.u64()
    commitment, sequence = cursor.take(32), cursor.u64()
    place = cursor.u8()
    load = int.from_bytes(cursor.take(7), 'little')
    demand(load == 0 or kind == SEGMENT, where, 'the sequence of a load in a file that is no segment')
    kek_id, kek_version = cursor.take(16), cursor.u32()
    cursor.zeros(4)
    salt, wrapped = cursor.take(24), cursor.take(48)
    cursor.zeros(3884)
    demand(place == index, where, 'the slot index is not its own place')
    aad = data[:104] + b'\0' + data[105:136]
    return Slot(kind, origin, uuid, number, epoch, commitment, sequence, load, kek_id, kek_version, salt, wrapped,
                aad)


def header_check(head):
    crc = crc32c(head)
    return (crc >> 16) ^ (crc & 0xFFFF)


class Sealed:
    """An open sealed file: `slot` is the header that counts, `data` its bytes."""

    def __init__(self, path, name, notes):
        self.name = name
        try:
            with open(path, 'rb') as file:
                self.data = file.read()
        except FileNotFoundError as error:
            raise corrupt(name, 'a file that is named is not there') from error
        demand(len(self.data) <= FILE_MAX, name, 'the file is over 2^40 bytes')
        self.notes = notes
        self.slot, *self.other_slots = self._read_slots()
        self.key = None

    def _read_slots(self):
        """The slots that decode, the one to take first."""
        slots, faults = [], []
        for index in (0, 1):
            try:
                slots.append(decode_slot(self.data[index * SLOT:(index + 1) * SLOT], index, self.name))
            except Refused as fault:
                faults.append(fault)
        if not slots:
            raise faults[0]
        for fault in faults:
            self.notes.add(fault.where, f'the other slot serves: {fault.obligation}')
        if len(slots) == 2 and slots[0] != slots[1]:
            self.notes.add(self.name, 'the header slots differ')
        return sorted(slots, key=lambda slot: -slot.sequence)  # of equals slot 0

    def unlock(self, keys):
        """Opens the file by the slot that was taken or, when that does not serve, by the other."""
        try:
            self._unwrap(self.slot, keys)
        except Refused as fault:
            if not self._unwrap_other(keys):
                raise
            self.notes.add(fault.where, f'the other slot serves: {fault.obligation}')

    def _unwrap_other(self, keys):
        for slot in self.other_slots:
            try:
                self._unwrap(slot, keys)
                return True
            except Refused:
                pass
        return False

    def _unwrap(self, slot, keys):
        """Unwraps the DEK and proves it; `keys` finds a KEK by its exact id."""
        kek = keys.find(slot.kek_id, slot.kek_version, self.name)
        dek = unwrap(kek, slot.salt, slot.wrapped, slot.aad)
        demand(dek is not None, self.name, 'the tag of the wrapped DEK is bad', 'tampered')
        identity = slot.aad[:64]
        demand(hmac.compare_digest(derive(dek, b'dek-commit', identity, 32), slot.commitment), self.name,
               'the DEK is not the one that the header commits to', 'wrong key')
        self.slot = slot
        self.key = derive(dek, b'data', identity, 32)

    def expect(self, **fields):
        """Compares the identity with whatever named the file."""
        for field, value in fields.items():
            have = getattr(self.slot, field)
            demand(have == value, self.name, f'{field} in the header is not the one that names this file: '
                   f'{_show(have)}, not {_show(value)}', 'rolled back' if field == 'epoch' else 'corrupt')

    def size_at(self, offset):
        """The size of the frame whose header stands at offset; refuses what is no frame."""
        where = f'{self.name}, offset {offset}'
        demand(offset + 32 <= len(self.data), where, 'the file ends within a frame')
        head = self.data[offset:offset + 8]
        demand(header_check(head[:6]) == int.from_bytes(head[6:], 'little'), where, 'wrong header check')
        size = int.from_bytes(head[:4], 'little')
        demand(size <= CIPHERTEXT_MAX, where, 'the ciphertext is over its maximum')
        demand(head[5] == (1 if head[4] in CONTINUED else 0), where, 'frame flags that do not belong to the type')
        demand(head[4] in FRAME_TYPES, where, 'unknown frame type')
        size = (32 + size + 15) & ~15
        demand(offset + size <= len(self.data), where, 'the file ends within a frame')
        return size

    def frame(self, offset, types=None):
        """The frame at offset: header, type, CRC, padding, tag, in this order."""
        where = f'{self.name}, offset {offset}'
        size = self.size_at(offset)
        raw = self.data[offset:offset + size]
        demand(types is None or raw[4] in types, where, f'a frame of type {raw[4]} where it does not belong')
        crc = int.from_bytes(raw[8:12], 'little')
        demand(crc32c(raw[:8] + raw[12:]) == crc, where, 'wrong CRC of a frame')
        length = int.from_bytes(raw[:4], 'little')
        demand(not any(raw[32 + length:]), where, 'the padding of a frame is not zero')
        nonce = raw[12:16] + offset.to_bytes(8, 'big')
        plain = open_gcm(self.key, nonce, raw[16:32 + length], raw[:8])
        demand(plain is not None, where, 'the CRC of a frame is good and its tag is bad', 'tampered')
        return Frame(raw[4], offset, size, plain, raw[16 + length:32 + length])

    def written(self):
        """Where the filler at the end of a log begins; the length of the file when there is none."""
        end = len(self.data)
        while end % 16 == 0 and end > START and self.data[end - 16:end] == \
                b'\xff' * 4 + self.slot.uuid[:4] + (end - 16).to_bytes(8, 'little'):
            end -= 16
        return end

    def search(self, offset):
        """Frames anywhere from offset on: 16-byte steps, header checks, then CRCs; bounded work."""
        budget = 16 * len(self.data)
        while offset + 32 <= len(self.data):
            try:
                budget -= self.size_at(offset)
                demand(budget >= 0, self.name, 'the search for later frames takes over 16 times the file')
                frame = self.frame(offset)
                yield frame
                offset += frame.size
            except Refused as fault:
                if fault.kind == 'tampered' or budget < 0:
                    raise
                offset += 16


def _show(value):
    return uuid_text(value) if isinstance(value, bytes) and len(value) == 16 else \
        value.hex() if isinstance(value, bytes) else value
