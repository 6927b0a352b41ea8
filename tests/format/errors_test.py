#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every error id is raised by the library and by a test, and nacre.h lists every status: errors_test.py SOURCES.

A test raises an id when an assertion names it: NC_E_<name>, outside of comments, in a source of tests/. The few that no
test can raise stand below, with the reason.
"""

import os
import re
import sys

EXCUSED = {'FILE_FULL': 'it takes a file of 1 TiB'}
LISTS = {os.path.join('format', 'errors.def')}
NAME = re.compile(r'\bNC_E_([A-Z0-9_]+)\b')
CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:[^"\\\n]|\\.)*"', re.DOTALL)


def names_in(sources, folders):
    """{name: the files whose code names it}"""
    found = {}
    for folder in folders:
        for place, _, files in os.walk(os.path.join(sources, folder)):
            for name in files:
                path = os.path.relpath(os.path.join(place, name), sources)
                if not name.endswith(('.c', '.h')) or path in LISTS:
                    continue
                with open(os.path.join(sources, path), encoding='utf-8') as file:
                    code = CODE.sub(' ', file.read())
                for each in NAME.findall(code):
                    found.setdefault(each, set()).add(path)
    return found


def listed_statuses(sources):
    """What nacre.h's list says of statuses: those that calls return, and those that none does yet."""
    with open(os.path.join(sources, 'engine', 'include', 'nacre', 'nacre.h'), encoding='utf-8') as file:
        text = file.read().split(' * Statuses, and who returns them.')[1].split('*/')[0]
    rows = set(re.findall(r'^ \*   (NACRE_[A-Z_]+) +(?:any|[A-Z]( [A-Z])*) ', text, re.MULTILINE))
    unused = re.search(r'No call returns (.*) yet', text)
    return {name for name, _ in rows}, set(re.findall(r'NACRE_[A-Z_]+', unused.group(1) if unused else ''))


def main():
    sources = sys.argv[1]
    with open(os.path.join(sources, 'format', 'errors.def'), encoding='utf-8') as file:
        text = file.read()
    known = re.findall(r'^NC_ERROR\((\d+), (\w+),', text, re.MULTILINE)
    statuses = set(re.findall(r'^NC_ERROR\(\d+, \w+, (\w+),', text, re.MULTILINE))
    raised = names_in(sources, ('format', 'crypto', 'engine'))
    tested = names_in(sources, ('tests',))
    faults = []
    for number, name in known:
        if name not in raised:
            faults.append(f'{number} {name}: no source raises it')
        if (name in tested) == (name in EXCUSED):
            faults.append(f'{number} {name}: ' + ('excused, and a test raises it' if name in tested
                                                  else 'no test raises it'))
    returned, unused = listed_statuses(sources)
    faults += [f'{name}: not in the list of statuses in nacre.h' for name in sorted(statuses - returned)]
    faults += [f'{name}: in the list of statuses, and no id has it' for name in sorted(returned - statuses)]
    faults += [f'{name}: no call is said to return it, and an id has it' for name in sorted(unused & statuses)]
    for fault in faults:
        print(fault)
    print(f'{len(known) * 2 + len(statuses) - len(faults)} passed, {len(faults)} failed')
    return 1 if faults or not known else 0


if __name__ == '__main__':
    sys.exit(main())
