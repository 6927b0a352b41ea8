# SPDX-License-Identifier: Apache-2.0
"""The worked examples, read from the page: {name: bytes}. A line is `name  bytes ; remark`; lines that begin with a
space go on with the bytes of the line before."""

import os
import re

PAGE = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'format', 'README.md')


def read_examples():
    with open(PAGE, encoding='utf-8') as file:
        section = file.read().split('\n## Worked examples\n')[1].split('\n## ')[0]
    examples, name = {}, None
    for fence in section.split('```')[1::2]:
        for line in fence.strip('\n').split('\n'):
            if line[0] != ' ':
                name, line = re.split(r'  +', line, maxsplit=1)
                if name in examples:
                    raise ValueError(f'two examples of the name {name}')
                examples[name] = b''
            examples[name] += bytes.fromhex(re.sub(r';.*|[ |]', '', line))
    return examples
