#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Looking into files without a key, whole and damaged: cli_inspect_test.py NACRE [TEST...]."""

import json
import os
import random
import shutil
import sys

sys.dont_write_bytecode = True  # nothing is left beside the sources
from cli_case import DAMAGED, DONE, FAILED, FRAMES_OFFSET, Filled, NOT_FOUND, SEED, main


class Inspect(Filled):
    def test_every_file_is_known_and_whole_without_a_key(self):
        os.rename(self.path("keyring"), self.path("away"))
        before = self.tree()
        kinds = set()
        for path in before:
            report = self.inspect(path)
            kinds.add(report.get("type") or report["kind"])
            self.assertEqual(report["damage"], [])
            self.assertEqual(report["file_bytes"], len(before[path]))
            if report["kind"] == "sealed file":
                self.assertTrue(report["header_slots_equal"])
                frames = sum(row["frame_bytes"] for row in report["frame_map"])
                self.assertEqual(FRAMES_OFFSET + frames, report["file_bytes"], path)
                self.assertEqual(report["header_slots"][0]["file_number"], int(os.path.basename(path)[:20]))
                if self.uuid in path:
                    self.assertEqual(report["header_slots"][0]["origin_table"], self.uuid)
            elif report["kind"] != "lock":
                self.assertIs(report["authenticated"], False)
        self.assertEqual(kinds, {"segment", "log", "manifest", "CURRENT", "key file", "lock"})
        self.run_nacre("inspect", *before)
        self.run_nacre("inspect", "--frames", *before)
        self.run_nacre("verify", self.store, "--keyless")
        self.assertEqual(self.tree(), before)

    def test_inspect_shows_no_data(self):
        out = self.out("inspect", "--frames", *self.tree())
        for word in (b"key 0", b"value ", b"in the log", b"nowhere"):
            self.assertNotIn(word, out)

    def test_frames_one_by_one(self):
        lines = [json.loads(line) for line in self.text("inspect", "--json", "--frames",
                                                        self.segment()).splitlines()]
        frames = [line["frame"] for line in lines[:-1]]
        self.assertEqual(frames[0]["offset"], FRAMES_OFFSET)
        for one, next_ in zip(frames, frames[1:]):
            self.assertEqual(one["offset"] + one["frame_bytes"], next_["offset"])
        self.assertEqual(frames[-1]["type"], "footer")
        self.assertEqual(len(frames), lines[-1]["good_frames"])

    def test_the_keyring_is_recognised_and_not_shown(self):
        report = self.inspect(self.path("keyring"))
        self.assertEqual(set(report), {"file", "kind", "file_bytes", "damage", "damage_count"})
        self.assertIn("root keys", self.text("inspect", self.path("keyring")))

    def test_what_is_no_file_of_a_store(self):
        with open(self.path("junk"), "wb") as f:
            f.write(os.urandom(5000))
        self.run_nacre("inspect", self.path("junk"), status=FAILED)
        self.run_nacre("inspect", self.dir, status=FAILED)
        os.mkfifo(self.path("fifo"))
        self.run_nacre("inspect", self.path("fifo"), status=FAILED)
        self.run_nacre("inspect", "/dev/null", status=FAILED)
        done = self.run_nacre("inspect", self.path("missing"), "/dev/null", self.segment(), status=NOT_FOUND)
        self.assertTrue(done.stdout.startswith(self.segment().encode()), done.stdout[:200])
        os.symlink(self.segment(), self.path("link"))
        self.run_nacre("inspect", self.path("link"))

    def test_damage_is_named_and_the_rest_still_read(self):
        copy = self.path("00000000000000000009.seg")
        whole = self.inspect(self.segment())
        for row in whole["frame_map"]:
            for delta in (0, 5, 9, 16, 20):  # header, checksum, ciphertext
                shutil.copy(self.segment(), copy)
                self.flip(copy, row["first_offset"] + delta)
                report = self.inspect(copy, DAMAGED)
                self.assertEqual(report["damage"][0]["offset"], row["first_offset"], (row, delta))
                self.assertGreaterEqual(report["good_frames"], whole["good_frames"] - 1,
                                        (row, delta, report["damage"], os.path.getsize(copy)))
                self.assertIn(f"DAMAGED at {row['first_offset']}".encode(),
                              self.out("inspect", copy, status=DAMAGED))

    def test_damaged_header_slots(self):
        copy = self.path("00000000000000000009.seg")
        for slots in ((0,), (1,), (0, 1)):
            for where in (0, 9, 60, 120, 300, 4095):
                shutil.copy(self.segment(), copy)
                for slot in slots:
                    self.flip(copy, slot * 4096 + where)
                report = self.inspect(copy, DAMAGED)
                self.assertEqual([s["good"] for s in report["header_slots"]],
                                 [i not in slots for i in (0, 1)], (slots, where))
                self.assertEqual(report["type"], "segment")
                self.assertEqual(report["bad_frames"], 0)

    def test_cut_off_segments(self):
        size = os.path.getsize(self.segment())
        copy = self.path("00000000000000000009.seg")
        rng = random.Random(SEED)
        for length in {0, 1, 4095, 4096, 8191, 8192, 8193, size - 1, size - 16,
                       size - 128} | {rng.randrange(size) for _ in range(10)}:
            shutil.copy(self.segment(), copy)
            os.truncate(copy, length)
            self.assertGreater(len(self.inspect(copy, DAMAGED)["damage"]), 0, length)

    def test_zeroed_and_foreign_pieces(self):
        copy = self.path("00000000000000000009.seg")
        rng = random.Random(SEED + 1)
        size = os.path.getsize(self.segment())
        for _ in range(10):
            shutil.copy(self.segment(), copy)
            begin = rng.randrange(FRAMES_OFFSET, size - 512)
            with open(copy, "r+b") as f:
                f.seek(begin)
                f.write(bytes(512) if rng.random() < 0.5 else rng.randbytes(512))
            report = self.inspect(copy, DAMAGED)
            self.assertGreater(report["good_frames"], 0)

    def test_a_torn_log_tail_is_told_from_damage(self):
        log = max(self.files("*.log", self.uuid), key=os.path.getsize)
        size, copy = os.path.getsize(log), self.path("00000000000000000009.log")
        if size <= FRAMES_OFFSET:
            self.skipTest("the log holds no frame")
        shutil.copy(log, copy)
        os.truncate(copy, size - 3)
        report = self.inspect(copy)
        self.assertEqual(report["tail"], "torn")
        shutil.copy(log, copy)
        self.flip(copy, size - 3)
        self.inspect(copy, DAMAGED)

    def test_filler_is_the_end_of_a_log(self):
        copy = self.path("00000000000000000009.log")
        with open(max(self.files("*.log", self.uuid), key=os.path.getsize), "rb") as f:
            frames = f.read()
        uuid, starts = frames[32:36], [FRAMES_OFFSET]
        while starts[-1] < len(frames):
            starts.append(starts[-1] + (int.from_bytes(frames[starts[-1]:starts[-1] + 4], "little") + 47 & ~15))
        size = starts[-2]  # where the final frame stood
        filler = b"".join(b"\xff" * 4 + uuid + at.to_bytes(8, "little") for at in range(size, size + 4096, 16))

        def end_in(tail, status=DONE):
            with open(copy, "wb") as f:
                f.write(frames[:size] + tail)
            return self.inspect(copy, status)

        report = end_in(filler)
        self.assertEqual((report["tail"], report["tail_offset"]), ("filler", size))
        self.assertEqual(end_in(filler[:8] + b"what is stored before its first bytes" + filler[48:])["tail"], "torn")
        self.assertEqual(end_in(filler[:64] + bytes(512) + filler[576:])["tail"], "torn")
        self.assertEqual(end_in(filler[:4000 + 8])["tail"], "torn")
        end_in(b"junk" + filler[4:], DAMAGED)


if __name__ == "__main__":
    main(__name__)
