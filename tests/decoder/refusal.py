# SPDX-License-Identifier: Apache-2.0
"""How the decoder says no: one exception, with the kinds of "What a reader owes", 5, and the notes of what it
tolerated."""


class Refused(Exception):
    """An obligation of the format that the bytes break. `kind` is corrupt, tampered, rolled back, wrong key,
    unsupported or unavailable (a key, a provider or a module that is not at hand)."""

    def __init__(self, kind, where, obligation):
        super().__init__(kind, where, obligation)
        self.kind, self.where, self.obligation = kind, where, obligation

    def __str__(self):
        return f'{self.kind}: {self.where}: {self.obligation}'


def corrupt(where, obligation):
    return Refused('corrupt', where, obligation)


def demand(condition, where, obligation, kind='corrupt'):
    if not condition:
        raise Refused(kind, where, obligation)


class Notes:
    """What was tolerated while a store was read: half of a pair damaged, a torn tail dropped."""

    def __init__(self):
        self.lines = []

    def add(self, where, text):
        self.lines.append(f'{where}: {text}')
