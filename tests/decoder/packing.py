# SPDX-License-Identifier: Apache-2.0
"""Section Packing: how data and index frames hold their blocks."""

from primitives import Cursor
from refusal import Refused, corrupt, demand

RAW_MAX = 17825792
NONE, LZ4, ZSTD = 0, 1, 2


def unpack(data, where):
    cursor = Cursor(data, where)
    method, raw_size = cursor.u8(), cursor.u32()
    demand(method in (NONE, LZ4, ZSTD), where, 'unknown packing method')
    demand(raw_size <= RAW_MAX, where, 'the raw size is over the maximum')
    payload = cursor.take(cursor.left())
    if method == LZ4:
        raw = unpack_lz4(payload, raw_size, where)
    elif method == ZSTD:
        raw = unpack_zstd(payload, raw_size, where)
    else:
        raw = payload
    demand(len(raw) == raw_size, where, 'the payload does not unpack to exactly the raw size')
    return raw


def _lz4_length(cursor, length):
    if length == 15:
        more = 255
        while more == 255:
            more = cursor.u8()
            length += more
    return length


def unpack_lz4(payload, raw_size, where):
    """LZ4's block format: sequences of literals and a match; the last has literals only."""
    cursor, out = Cursor(payload, where), bytearray()
    while True:
        token = cursor.u8()
        out += cursor.take(_lz4_length(cursor, token >> 4))
        if not cursor.left():
            return bytes(out)
        distance = cursor.u16()
        length = _lz4_length(cursor, token & 15) + 4
        demand(0 < distance <= len(out), where, 'an LZ4 match points before the block')
        demand(len(out) + length <= raw_size, where, 'an LZ4 block unpacks to more than its raw size')
        start = len(out) - distance
        if distance >= length:
            out += out[start:start + length]
        else:
            piece = bytes(out[start:])
            out += (piece * (length // distance + 1))[:length]


def unpack_zstd(payload, raw_size, where):
    try:
        import zstandard
    except ImportError:
        return _unpack_zstd_plain(payload, raw_size, where)
    try:
        stream = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
        raw = stream.decompress(payload)
    except zstandard.ZstdError as error:
        raise corrupt(where, f'not a Zstandard frame: {error}') from error
    demand(stream.eof and not stream.unused_data, where, 'the payload is not exactly one Zstandard frame')
    return raw


def _unpack_zstd_plain(payload, raw_size, where):
    try:
        import zstd
    except ImportError as error:
        raise Refused('unavailable', where, 'a block is packed with Zstandard: install python3-zstandard'
                      ' (or python3-zstd)') from error
    try:
        return zstd.decompress(payload)
    except zstd.Error as error:
        raise corrupt(where, f'not a Zstandard frame: {error}') from error
