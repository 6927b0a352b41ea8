# SPDX-License-Identifier: Apache-2.0
"""Section Filter: the hash, the line and the bits of a key."""

C0, C1, C2 = 0x6A09E667F3BCC909, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B
C3, C4 = 0xA54FF53A5F1D36F1, 0x510E527FADE682D1
MASK = (1 << 64) - 1
LINE = 64
LINES_A_FRAME = 65536


def fold(a, b):
    product = a * b
    return (product >> 64) ^ (product & MASK)


def hash_of(seed, key):
    m = fold(seed ^ C0, C1) | 1
    h = fold(seed ^ C2, C3)
    for at in range(0, len(key), 8):
        h = fold(h ^ int.from_bytes(key[at:at + 8], 'little'), m)
    h = fold(h ^ len(key), m)
    return fold(h ^ C1, C4)


def line_of(hashed, lines):
    return (hashed * lines) >> 64


def bits_of(hashed, probes):
    bits, draw = [], 0
    while True:
        draw = fold(draw ^ hashed, C0)
        for shift in range(0, 63, 9):
            if len(bits) == probes:
                return bits
            bits.append((draw >> shift) & 511)


def may_hold(lines, line_count, probes, seed, key):
    hashed = hash_of(seed, key)
    start = line_of(hashed, line_count) * LINE
    line = int.from_bytes(lines[start:start + LINE], 'little')
    return all(line >> bit & 1 for bit in bits_of(hashed, probes))
