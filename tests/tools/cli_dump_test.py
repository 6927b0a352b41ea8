#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Decrypted files, whole and damaged: cli_dump_test.py NACRE [TEST...]."""

import os
import shutil
import sys

sys.dont_write_bytecode = True  # nothing is left beside the sources
from cli_case import DAMAGED, Filled, NOT_FOUND, main


class Dump(Filled):
    def test_dump_of_a_segment(self):
        lines = self.dumped(self.segment(), "--entries")
        entries = [e for line in lines for e in line.get("entries", [])]
        self.assertEqual({e["key"].encode(): e["value"].encode() for e in entries}, self.records)
        self.assertEqual([e["key"] for e in entries], sorted(e["key"] for e in entries))
        self.assertTrue(all(e["kind"] == "put" and e["sequence"] >= 1 for e in entries))
        properties = next(line for line in lines if line.get("type") == "properties")
        self.assertEqual((properties["entry_count"], properties["delete_count"]), (3000, 0))
        self.assertEqual((properties["smallest_key"], properties["largest_key"]), ("key 00000", "key 02999"))
        footer = next(line for line in lines if line.get("type") == "footer")
        self.assertEqual(footer["file_bytes"], os.path.getsize(self.segment()))
        text = self.text("dump", self.segment())
        self.assertIn("key 02999", text)
        self.assertNotIn("value 1 ", text)

    def test_dump_of_blocks_and_raw(self):
        lines = self.dumped(self.segment(), "--blocks")
        blocks = [line for line in lines if line.get("type") == "data"]
        self.assertEqual(sum(b["entry_count"] for b in blocks), 3000)
        handles = [h for line in lines if line.get("type") == "index" for h in line.get("handles", [])]
        self.assertEqual({h["offset"] for h in handles} & {b["offset"] for b in blocks},
                         {b["offset"] for b in blocks})
        raw = self.dumped(self.segment(), "--raw")
        frames = [line for line in raw if "plaintext_bytes" in line]
        self.assertTrue(all(len(line["plaintext_hex"]) == 2 * line["plaintext_bytes"] for line in frames))
        self.assertIn("first key", self.text("dump", self.segment(), "--blocks"))

    def test_dump_of_logs_manifests_and_the_catalogue(self):
        entries = []
        for path in self.files("*.log", self.uuid) + self.files("*.seg", self.uuid)[1:]:
            entries += [e for line in self.dumped(path, "--entries") for e in line.get("entries", [])]
        self.assertIn(("put", "in the log", "and nowhere else"),
                      [(e["kind"], e["key"], e.get("value")) for e in entries])
        self.assertIn(("delete", "key 00007"), [(e["kind"], e["key"]) for e in entries])
        lines = [line for path in self.files("*.man", self.uuid) for line in self.dumped(path)]
        edits = [e for line in lines for e in line.get("edits", [])]
        self.assertTrue({"state", "add segment"} <= {e["edit"] for e in edits}, edits)
        catalogue = self.files("*", "catalogue")
        out = self.out("dump", "--entries", *catalogue)
        self.assertIn(self.uuid.encode(), out)
        self.assertTrue(self.out("dump", "--entries", *self.files("*", self.uuid)))

    def test_dump_of_a_copy_names_its_store(self):
        copy = self.path("00000000000000000009.seg")
        shutil.copy(self.segment(), copy)
        self.assertIn(b"--keys STORE", self.run_nacre("dump", copy, status=NOT_FOUND).stderr)
        self.assertIn("key 02999", self.text("dump", copy, "--keys", self.store))

    def test_dump_of_damage_shows_what_authenticates(self):
        copy = self.path("00000000000000000009.seg")
        blocks = [line["offset"] for line in self.dumped(self.segment(),
                                                         "--blocks") if line.get("type") == "data"]
        shutil.copy(self.segment(), copy)
        self.flip(copy, blocks[1] + 40)
        lines = self.dumped(copy, "--entries", "--keys", self.store, status=DAMAGED)
        self.assertEqual([line["damage"]["offset"] for line in lines if "damage" in line], [blocks[1]])
        self.assertEqual(sorted(line["offset"] for line in lines if line.get("type") == "data"),
                         blocks[:1] + blocks[2:])


if __name__ == "__main__":
    main(__name__)
