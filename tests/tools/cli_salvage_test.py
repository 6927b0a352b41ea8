#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Salvaging damaged stores: cli_salvage_test.py NACRE [TEST...]."""

import json
import os
import shutil
import sys

sys.dont_write_bytecode = True  # nothing is left beside the sources
from cli_case import BUSY, Case, DAMAGED, DONE, FAILED, Filled, NO_KEY, NOT_FOUND, USAGE, main, unjsonl


class Salvage(Filled):
    def setUp(self):
        super().setUp()
        self.new = self.path("new")
        self.expected = dict(self.records)
        self.expected[b"in the log"] = b"and nowhere else"
        del self.expected[b"key 00007"]

    def salvage(self, *more, status=DONE, table="t"):
        shutil.rmtree(self.new, ignore_errors=True)
        before = self.tree()
        done = self.run_nacre("salvage", self.store, *([table] if table else []), "--to", self.new, *more,
                              status=status)
        self.assertEqual(self.tree(), before)
        return done

    def report(self, *more, status=DONE, table="t"):
        return json.loads(self.salvage("--json", *more, status=status, table=table).stdout)

    def rescued(self, table="t"):
        self.run_nacre("verify", self.new)
        return unjsonl(self.out("export", self.new, table))

    def test_a_whole_store(self):
        report = self.report()
        self.assertTrue(report["copied"] and report["whole"])
        self.assertEqual((report["faults"], report["table"], report["keys"]), ([], "t", 3000))
        self.assertEqual(self.rescued(), self.expected)
        self.assertEqual(self.report(table=None)["keys"], 3000)
        self.assertIn("nothing is lost", self.salvage().stdout.decode())
        self.assertEqual(self.salvage("--quiet").stdout, b"")

    def test_a_damaged_frame(self):
        path = self.segment()
        frames = self.inspect(path)["frame_map"]
        data = next(row for row in frames if row["type"] == "data")
        with open(path, "rb") as f:  # the second data frame: behind the first one, header to padding
            f.seek(data["first_offset"])
            size = int.from_bytes(f.read(4), "little")
        offset = data["first_offset"] + (16 + size + 16 + 15) // 16 * 16
        self.flip(path, offset + 30)
        report = self.report(status=DAMAGED)
        self.assertTrue(report["copied"] and not report["whole"])
        fault, = report["faults"]
        self.assertEqual((fault["file"], fault["offset"]), (os.path.relpath(path, self.store), offset))
        self.assertGreater(fault["bytes"], 0)
        got = self.rescued()
        lost = set(self.expected) - set(got)
        self.assertTrue(lost)
        for key in lost:
            self.assertTrue(fault["first_key"].encode() < key < fault["last_key"].encode())
        self.assertEqual({k: v for k, v in self.expected.items() if k not in lost}, got)
        text = self.salvage(status=DAMAGED).stdout.decode()
        self.assertIn(f"LOST {fault['file']} at {offset}, ", text)
        self.assertIn(f"keys from {fault['first_key']} to {fault['last_key']}\n", text)
        self.assertIn("1 loss,", text)
        hexed = self.salvage("--hex", status=DAMAGED).stdout.decode()
        self.assertIn(f"keys from {fault['first_key'].encode().hex()} to", hexed)

    def test_without_a_manifest(self):
        os.unlink(os.path.join(self.store, self.uuid, "CURRENT"))
        refused = self.error("get", self.store, "t", "key 00001", status=DAMAGED)
        self.assertIn("nacre salvage", refused["message"])
        self.assertTrue(self.report(status=DAMAGED)["without_manifest"])
        self.assertEqual(self.rescued(), self.expected)
        self.assertIn("without a manifest", self.salvage(status=DAMAGED).stdout.decode())

    def test_without_a_catalogue(self):
        shutil.rmtree(os.path.join(self.store, "catalogue"))
        self.assertEqual(self.salvage_error(DAMAGED)["id"], 3403)
        self.report(table="uuid:" + self.uuid, status=DAMAGED)
        self.assertEqual(self.rescued(self.uuid), self.expected)

    def salvage_error(self, status, *more, to=None, table="t"):
        shutil.rmtree(self.new, ignore_errors=True)
        return self.error("salvage", self.store, table, "--to", to or self.new, *more, status=status)

    def test_refusals(self):
        self.run_nacre("salvage", self.store, "t", status=USAGE)
        self.run_nacre("salvage", self.store, "t", "--to", "", status=USAGE)
        self.run_nacre("salvage", status=USAGE)
        self.assertEqual(self.salvage_error(NOT_FOUND, table="u")["id"], 3010)
        self.assertEqual(self.salvage_error(FAILED, to=self.store)["status"], "NACRE_EXISTS")
        self.assertEqual(self.salvage_error(USAGE, to=os.path.join(self.store, self.uuid, "x"))["id"], 3401)
        self.assertEqual(self.salvage_error(NO_KEY, "--key", "local:" + self.path("none"))["status"],
                         "NACRE_KEY_MISSING")
        self.salvage()
        self.run_nacre("salvage", self.store, "t", "--to", self.new, status=FAILED)
        self.run_nacre("salvage", self.path("nowhere"), "t", "--to", self.path("x"), status=NOT_FOUND)

    def test_nothing_left(self):
        for path in self.files("*.seg", self.uuid) + self.files("*.log", self.uuid):
            with open(path, "r+b") as f:
                f.write(bytes(8192))
        done = self.salvage("--json", status=DAMAGED)
        self.assertIn(b'"copied":false', done.stdout.replace(b" ", b""))
        self.assertIn(b"3404", done.stderr)
        self.assertFalse(os.path.exists(self.new))

    def test_another_key(self):
        uri = "local:" + self.path("keyring.new")
        self.salvage("--to-key", uri)
        self.run_nacre("get", self.new, "t", "key 00001")
        os.remove(self.path("keyring.trust"))  # for one who has not opened it before
        self.run_nacre("get", self.new, "t", "key 00001", status=NO_KEY)
        got = self.out("get", self.new, "t", "key 00001", "--key", uri)
        self.assertEqual(got, self.records[b"key 00001"])
        self.run_nacre("salvage", self.store, "t", "--to", self.path("x"), "--to-key", "local:relative",
                       status=USAGE)


if __name__ == "__main__":
    main(__name__)
