#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Flushing, merging, statistics and verification: cli_care_test.py NACRE [TEST...]."""

import json
import os
import random
import subprocess
import sys

sys.dont_write_bytecode = True  # nothing is left beside the sources
from cli_case import Case, DAMAGED, DONE, FAILED, FRAMES_OFFSET, Filled, SEED, main


class Care(Case):
    def test_flush_and_compact_keep_everything(self):
        self.make()
        records = {f"k{i:04}".encode(): os.urandom(50) for i in range(500)}
        self.load(records)
        stats = self.json("stats", self.store, "t")
        self.assertEqual(stats["memtable_entries"] + stats["segment_entries"], 500)
        self.run_nacre("flush", self.store, "t")
        self.assertTrue(self.files("*.seg"))
        self.run_nacre("delete", self.store, "t", "k0000")
        del records[b"k0000"]
        flushed = self.json("flush", self.store, "t")
        self.assertEqual(flushed["segment_entries"], 501)
        compacted = self.json("compact", self.store, "t")
        self.assertEqual((compacted["runs"], compacted["segment_entries"]), (1, 499))
        self.assertEqual(self.exported(), records)
        self.assertIn("1 run", self.text("compact", self.store, "t"))
        self.run_nacre("verify", self.store)

    def test_stats(self):
        self.make()
        self.run_nacre("table", "create", self.store, "u")
        self.put("k", "v")
        lines = [json.loads(line) for line in self.text("stats", self.store, "--json").splitlines()]
        self.assertEqual([line["table"] for line in lines], ["t", "u"])
        self.assertGreaterEqual(lines[0]["last_sequence"], 1)
        self.assertEqual((lines[0]["levels"], lines[0]["read_amplification"]), ([], 1))
        self.run_nacre("flush", self.store, "t")
        stats = self.json("stats", self.store, "t")
        self.assertEqual([(l["level"], l["runs"], l["segments"], l["entries"]) for l in stats["levels"]], [(0, 1, 1, 1)])
        self.assertEqual(stats["levels"][0]["bytes"], stats["segment_bytes"])
        self.assertEqual((stats["read_amplification"], stats["space_amplification"]), (2, 1))
        text = self.text("stats", self.store)
        self.assertIn("segment entries", text)
        self.assertIn("level 0", text)
        self.assertNotIn("\033", text)


    def test_a_checkpoint_is_a_store_of_its_own(self):
        self.make()
        records = {f"k{i:04}".encode(): os.urandom(50) for i in range(300)}
        self.load(records)
        new = self.path("copy")
        report = self.json("checkpoint", self.store, new)
        self.assertEqual(report["tables"], 1)
        self.assertGreater(report["files"], 8)
        self.run_nacre("delete", self.store, "t", "k0000")
        self.run_nacre("verify", new)
        self.assertEqual(self.text("count", new, "t"), "300\n")
        self.run_nacre("put", new, "t", "own", "1")
        self.run_nacre("verify", new)
        self.assertEqual(self.text("count", self.store, "t"), "299\n")
        self.assertEqual(self.error("checkpoint", self.store, new, status=FAILED)["status"], "NACRE_EXISTS")
        self.assertIn("1 table", self.text("checkpoint", self.store, self.path("second")))


class Verify(Filled):
    def verify(self, status=DONE, *more):
        return self.json("verify", self.store, *more, status=status)

    def test_verify_of_a_whole_store(self):
        before = self.tree()
        report = self.verify()
        self.assertTrue(report["good"])
        self.assertEqual(report["faults"], [])
        self.assertGreaterEqual(report["entries"], 3000)
        self.assertEqual(self.verify(DONE, "t")["faults"], [])
        self.assertIn("no fault", self.text("verify", self.store))
        self.assertIn("no fault", self.text("verify", self.store, "--keyless"))
        self.assertEqual(self.tree(), before)

    def verify_damaged(self, name):
        """What was never synced may be torn: recovery drops it, and a note says so in place of a fault."""
        done = subprocess.run([self.nacre, "verify", self.store, "--json"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=self.environment, timeout=60, check=False)
        self.assertIn(done.returncode, (DONE, DAMAGED) if name.endswith(".log") else (DAMAGED,), done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["good"], done.returncode == DONE)
        return report

    def test_verify_names_each_flipped_byte(self):
        rng = random.Random(SEED + 2)
        for path in sorted(self.tree()):
            size = os.path.getsize(path)
            if size == 0:
                continue
            name = os.path.relpath(path, self.store)
            for offset in {0, size - 1} | {rng.randrange(size) for _ in range(4)}:
                self.flip(path, offset)
                report = self.verify_damaged(name)
                named = [f for f in report["faults"] if f["file"] == name]
                named += [n for n in report["notes"] if name in n]
                self.assertTrue(named, f"seed {SEED}: byte {offset} of {name}: {report['faults']}")
                for fault in report["faults"]:
                    self.assertTrue(fault["message"] and fault["status"].startswith("NACRE_"))
                if name.endswith("CURRENT") and offset >= 128:  # the MAC: only a key tells
                    keyless = self.verify(DONE, "--keyless")
                else:
                    keyless = self.verify(DAMAGED, "--keyless")
                    self.assertTrue([f for f in keyless["faults"] if f["file"] == name],
                                    f"keyless, seed {SEED}: byte {offset} of {name}")
                self.flip(path, offset)
        self.verify()

    def test_verify_does_not_let_file_names_command_the_terminal(self):
        with open(os.path.join(self.store, "x\033[31m"), "wb"):
            pass
        self.assertIn("note: x\\x1b[31m is no part", self.text("verify", self.store))

    def test_verify_says_where(self):
        path, name = self.segment(), os.path.relpath(self.segment(), self.store)
        data = next(row for row in self.inspect(path)["frame_map"] if row["type"] == "data")
        self.flip(path, data["first_offset"] + 30)
        out = self.text("verify", self.store, status=DAMAGED)
        self.assertIn(f"FAULT {name} at {data['first_offset']}: [", out)
        there = [f for f in self.verify(DAMAGED)["faults"] if f["offset"] == data["first_offset"]]
        self.assertEqual(len(there), 1, "told once")

    def test_verify_goes_on_past_a_table_that_does_not_open(self):
        self.run_nacre("table", "create", self.store, "u")
        self.run_nacre("put", self.store, "u", "k", "v")
        self.run_nacre("flush", self.store, "u")
        other = self.table_uuid("u")
        self.flip(os.path.join(self.store, self.uuid, "CURRENT"), 70)
        segment = self.files("*.seg", other)[0]
        self.flip(segment, FRAMES_OFFSET + 20)
        files = {f["file"] for f in self.verify(DAMAGED)["faults"]}
        self.assertIn(f"{self.uuid}/CURRENT", files)
        self.assertIn(os.path.relpath(segment, self.store), files)

    def test_verify_names_what_is_missing(self):
        for path in [p for p in sorted(self.tree()) if os.path.basename(p) != "LOCK"]:
            if path.endswith(".log") and os.path.getsize(path) <= FRAMES_OFFSET:
                continue
            os.rename(path, self.path("away"))
            report = self.verify(DAMAGED)
            self.assertTrue(report["faults"], path)
            os.rename(self.path("away"), path)
        self.verify()

    def test_verify_refuses_what_is_no_plain_file(self):
        os.rename(self.segment(), self.path("away"))
        link = os.path.join(self.store, self.uuid, "00000000000000000777.seg")
        os.rename(self.path("away"), self.segment_path(link))
        os.symlink(self.path("nothing"), link)
        report = self.verify(DAMAGED)
        self.assertIn(os.path.relpath(link, self.store), [f["file"] for f in report["faults"]])

    def segment_path(self, beside):
        """Where the segment stood: the one free number that the manifest names."""
        for line in self.dumped(*self.files("*.man", self.uuid)):
            for edit in line.get("edits", []):
                if edit["edit"] == "add segment":
                    return os.path.join(os.path.dirname(beside), f"{edit['number']:020}.seg")
        raise AssertionError("no segment in the manifest")

    def test_verify_finds_swapped_files(self):
        self.put("another", "segment")
        self.run_nacre("flush", self.store, "t")
        segments = self.files("*.seg", self.uuid)
        self.assertGreaterEqual(len(segments), 2)
        os.rename(segments[0], self.path("away"))
        os.rename(segments[1], segments[0])
        os.rename(self.path("away"), segments[1])
        self.verify(DAMAGED)
        self.verify(DAMAGED, "--keyless")


if __name__ == "__main__":
    main(__name__)
