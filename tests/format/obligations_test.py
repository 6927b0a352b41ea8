#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The specification's obligations, held against code, tests and errors.def.

obligations_test.py SOURCES. Every id that the page's table lists stands in its text, is cited by a source of
format/, crypto/ or engine/ and by a test, and nobody cites an id that the table lacks. The error ids that the table
names exist and are of the class it says; every refusal that format/ raises while reading is named there. Every
worked example is derived again by tests/format or tests/crypto, and by the decoder.
"""

import os
import re
import sys
import unittest

SOURCES = None
CITATION = re.compile(r'\[((?:[A-Z][0-9]+, )*[A-Z][0-9]+)\]')
STATUSES = {'corrupt': 'NACRE_CORRUPT', 'tampered': 'NACRE_TAMPERED', 'rolled back': 'NACRE_ROLLED_BACK',
            'key missing': 'NACRE_KEY_MISSING', 'key denied': 'NACRE_KEY_DENIED',
            'unsupported': 'NACRE_UNSUPPORTED'}
READING = {'NACRE_CORRUPT', 'NACRE_TAMPERED', 'NACRE_ROLLED_BACK', 'NACRE_UNSUPPORTED'}


def read(*path):
    with open(os.path.join(SOURCES, *path), encoding='utf-8') as file:
        return file.read()


def cited(folders, ends):
    """{id: the files that cite it}"""
    found = {}
    for folder in folders:
        for place, _, names in os.walk(os.path.join(SOURCES, folder)):
            for name in names:
                path = os.path.relpath(os.path.join(place, name), SOURCES)
                if not name.endswith(ends) or path == os.path.join('tests', 'format', 'obligations_test.py'):
                    continue
                for group in CITATION.findall(read(path)):
                    for each in group.split(', '):
                        found.setdefault(each, set()).add(path)
    return found


def rows(table):
    """(id, status, error ids); a row without an id goes on with the one before."""
    last = None
    for line in table.splitlines():
        cells = [cell.strip() for cell in line.strip().strip('|').split('|')]
        if len(cells) != 4 or not re.fullmatch(r'[A-Z][0-9]+|', cells[0]):
            continue
        last = cells[0] or last
        yield last, cells[2], [int(number) for number in cells[3].split() if number.isdigit()]


class Obligations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        page = read('format', 'README.md')
        cls.text, rest = page.split('\n## What a reader owes\n')
        owed, examples = rest.split('\n## Worked examples\n')
        head, _, table = owed.partition('\n| id |')
        cls.text += head
        cls.rows = list(rows(table))
        cls.ids = {row[0] for row in cls.rows}
        cls.examples = {line.split('  ')[0] for fence in examples.split('```')[1::2]
                        for line in fence.strip('\n').split('\n') if line[0] != ' '}
        cls.errors = {int(number): (name, status) for number, name, status in re.findall(
            r'^NC_ERROR\((\d+), (\w+), (\w+),', read('format', 'errors.def'), re.MULTILINE)}

    def test_the_text_and_the_table_name_the_same(self):
        named = {each for group in CITATION.findall(self.text) for each in group.split(', ')}
        self.assertEqual(named ^ self.ids, set())
        self.assertGreater(len(self.ids), 80)

    def test_sources_cite_each(self):
        found = cited(('format', 'crypto', 'engine'), ('.c', '.h'))
        self.assertEqual(self.ids - set(found), set(), 'cited by no source')
        self.assertEqual({each: found[each] for each in set(found) - self.ids}, {}, 'not in the table')

    def test_tests_cite_each(self):
        found = cited(('tests', 'fuzz'), ('.c', '.h', '.py'))
        self.assertEqual(self.ids - set(found), set(), 'cited by no test')
        self.assertEqual({each: found[each] for each in set(found) - self.ids}, {}, 'not in the table')

    def test_the_error_ids_are_of_the_class_told(self):
        for each, status, numbers in self.rows:
            for number in numbers:
                with self.subTest(obligation=each, error=number):
                    self.assertIn(number, self.errors)
                    self.assertEqual(self.errors[number][1], STATUSES[status])

    def test_the_table_names_every_refusal_of_format(self):
        named = {number for _, _, numbers in self.rows for number in numbers}
        missing = {f'{number} {name}' for number, (name, status) in self.errors.items()
                   if number < 2000 and status in READING and number not in named}
        self.assertEqual(missing, set())

    def test_every_example_is_derived(self):
        c = read('tests', 'format', 'worked_examples.c') + read('tests', 'crypto', 'worked_examples.c')
        python = read('tests', 'decoder', 'worked_examples.py')
        self.assertGreater(len(self.examples), 30)
        for example in self.examples:
            with self.subTest(example=example):
                self.assertIn(f'"{example}"', c)
                word = re.sub(r'(start|group) (frame|nonce)', r'{name} \2', example)
                self.assertIn(f"'{re.sub(r'slot [01]', 'slot {index}', word)}'", python)


def main():
    global SOURCES
    if len(sys.argv) < 2:
        sys.exit('usage: obligations_test.py SOURCES')
    SOURCES = sys.argv.pop(1)
    result = unittest.main(exit=False, verbosity=0).result
    failed = len(result.failures) + len(result.errors)
    print(f'{result.testsRun - failed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
