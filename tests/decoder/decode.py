#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Decodes a store from the specification alone (format/README.md): prints its tables or its records, or names
the obligation that its bytes break."""

import argparse
import base64
import json
import sys

from catalogue import LIFE_NAMES, LIVE, Store
from primitives import uuid_text
from refusal import Refused


def text(raw):
    return raw.decode('utf-8', 'surrogateescape')


def list_tables(store, out):
    for described in store.tables:
        line = {'table': text(described.name), 'uuid': uuid_text(described.uuid),
                'life': LIFE_NAMES[described.life], 'created_ms': described.created,
                'compression': described.compression, 'block_bytes': described.block_bytes,
                'filter_bits': described.filter_bits, 'key_generation': described.key_generation}
        out.write(json.dumps(line) + '\n')


def dump_records(store, out):
    """Every table is read to its end before any of its records is printed."""
    for described in store.tables:
        if described.life != LIVE:
            continue
        name = text(described.name)
        for key, value in store.open_table(described).visible():
            line = {'table': name, 'key': base64.b64encode(key).decode(),
                    'value': base64.b64encode(value).decode()}
            out.write(json.dumps(line) + '\n')


def main():
    parser = argparse.ArgumentParser(description='Decode a Nacre store, independently of Nacre.')
    parser.add_argument('store', metavar='STORE')
    parser.add_argument('--keyring', metavar='FILE', required=True)
    what = parser.add_mutually_exclusive_group()
    what.add_argument('--list', action='store_true', help='the tables, one a line')
    what.add_argument('--dump', action='store_true', help='the records, one a line (the default)')
    arguments = parser.parse_args()
    try:
        with Store(arguments.store, arguments.keyring) as store:
            (list_tables if arguments.list else dump_records)(store, sys.stdout)
            for line in store.notes.lines:
                print(f'note: {line}', file=sys.stderr)
    except Refused as refused:
        print(f'refused: {refused}', file=sys.stderr)
        return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
