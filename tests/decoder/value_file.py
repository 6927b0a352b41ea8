# SPDX-License-Identifier: Apache-2.0
"""Section Value files: large values in files of their own, and the references to them."""

from collections import namedtuple

from packing import unpack
from primitives import Cursor
from refusal import demand
from sealed import FILE_MAX, START

PART, END = 48, 49
END_SIZE = 96
VALUE_MAX = 1 << 30
LENGTH_MIN = START + 48 + END_SIZE  # a part of a byte, the end

ValueNamed = namedtuple('ValueNamed', 'number uuid origin length tag commitment value_length')
ValueEnd = namedtuple('ValueEnd', 'length value_length frames part_bytes manifest commit')


def decode_name(cursor):
    named = ValueNamed(cursor.varint(), cursor.take(16), cursor.take(16), cursor.varint(), cursor.take(16),
                       cursor.take(32), cursor.varint())
    demand(named.number != 0, cursor.where, 'file number 0')
    demand(named.length % 16 == 0 and LENGTH_MIN <= named.length <= FILE_MAX, cursor.where,
           'an impossible length of a value file')
    demand(1 <= named.value_length <= VALUE_MAX, cursor.where, 'an impossible length of a value')
    return named


def decode_reference(data, where):
    """(expiry in ms or 0, the file's name)"""
    cursor = Cursor(data, where)
    expiry, named = cursor.u64(), decode_name(cursor)
    cursor.finish()
    return expiry, named


def decode_end(plain, length, where):
    cursor = Cursor(plain, where)
    values = [cursor.u64(), cursor.u64(), cursor.u64(), cursor.u32()]
    cursor.zeros(4)
    end = ValueEnd(*values, cursor.take(16), cursor.u64())
    cursor.zeros(8)
    cursor.finish()
    demand(end.length == length, where, 'the length in the end frame is not that of the file')
    demand(1 <= end.value_length <= VALUE_MAX, where, 'an impossible length of a value')
    demand(4096 <= end.part_bytes <= 4194304, where, 'part bytes out of range')
    demand(end.frames == -(-end.value_length // end.part_bytes) + 1, where,
           'the number of frames does not fit the value')
    return end


def read_end(file):
    """The end frame, and what it says."""
    offset = len(file.data) - END_SIZE
    where = f'{file.name}, end'
    demand(len(file.data) >= LENGTH_MIN and offset % 16 == 0, where,
           'the file is too short or its length is no multiple of 16')
    frame = file.frame(offset, (END,))
    demand(frame.size == END_SIZE, where, 'the end frame is not the last 96 bytes')
    return frame, decode_end(frame.plain, len(file.data), where)


def decode_part(plain, end, number, where):
    cursor = Cursor(plain, where)
    demand(cursor.u32() == number, where, 'a part says another number than belongs here')
    piece = unpack(cursor.take(cursor.left()), where)
    demand(len(piece) == min(end.part_bytes, end.value_length - number * end.part_bytes), where,
           'a part does not hold as much as belongs to it')
    return piece


def read_value(file):
    """(end frame, end, value)"""
    frame, end = read_end(file)
    pieces, offset = [], START
    for number in range(end.frames - 1):
        part = file.frame(offset, (PART,))
        pieces.append(decode_part(part.plain, end, number, f'{file.name}, part at {offset}'))
        offset += part.size
    demand(offset == frame.offset, file.name, 'the parts do not end where the end frame begins')
    return frame, end, b''.join(pieces)
