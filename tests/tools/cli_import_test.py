#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Loading records: bad lines, batches, acknowledgements, a kill: cli_import_test.py NACRE [TEST...]."""

import json
import re
import subprocess
import sys

sys.dont_write_bytecode = True  # nothing is left beside the sources
from cli_case import Case, FAILED, NOT_FOUND, USAGE, jsonl, main


class Importing(Case):
    def setUp(self):
        super().setUp()
        self.make()

    def test_the_last_write_of_a_key_holds(self):
        self.run_nacre("import", self.store, "t", "-", "--format", "tsv", stdin="k\t1\nk\t2\n")
        self.assertEqual(self.out("get", self.store, "t", "k"), b"2")

    def test_bad_lines_stop_and_what_came_before_stays(self):
        cases = {
            "tsv": ["no tab", "a\tb\tc", "a\\q\tb", "a\\\tb", "a\tb\\x0", "a\t\\"],
            "csv": ["only one", "a,b,c", 'a,b"c', '"a"x,b'],
            "jsonl": ["{", "[1]", "7", '{"key":"k"}', '{"value":"v"}', '{"key":"k","value":1}',
                      '{"key":"k","value":"v","x":1}',
                      '{"key":"k","key":"k","value":"v"}', '{"key":"k","key_base64":"aw==","value":"v"}',
                      '{"key_base64":"*","value":"v"}', '{"key":"\\ud800","value":"v"}'],
        }
        good = {"tsv": "%s\tv\n", "csv": "%s,v\n", "jsonl": '{"key":"%s","value":"v"}\n'}
        for form, lines in cases.items():
            for bad in lines:
                head = "k,v\n" if form == "csv" else ""
                data = head + good[form] % "before" + bad + "\n" + good[form] % "after"
                number = 3 if head else 2
                self.run_nacre("delete", self.store, "t", "before")
                self.run_nacre("delete", self.store, "t", "after")
                done = self.run_nacre("import", self.store, "t", "-", "--format", form, stdin=data,
                                      status=FAILED)
                self.assertIn(f"line {number}".encode(), done.stderr, bad)
                self.assertIn(f"--from-line {number}".encode(), done.stderr, bad)
                self.assertEqual(self.exported(), {b"before": b"v"}, bad)
                done = self.run_nacre("import", self.store, "t", "-", "--format", form, "--skip-bad",
                                      stdin=data)
                self.assertIn(f"line {number}: ".encode(), done.stderr, bad)
                self.assertIn(b"1 bad line", done.stdout, bad)
                self.assertEqual(sorted(self.exported()), [b"after", b"before"], bad)

    def test_a_quote_that_is_never_closed(self):
        done = self.run_nacre("import", self.store, "t", "-", "--format", "csv",
                              stdin='k,v\na,b\n"c,d\ne,f\n', status=FAILED)
        self.assertIn(b"line 3", done.stderr)
        self.assertEqual(self.exported(), {b"a": b"b"})

    def test_headers_that_cannot_be(self):
        for head in ("a,a\n", 'a,"b\n', "a,b\"\n"):
            self.run_nacre("import", self.store, "t", "-", "--format", "csv", stdin=head + "1,2\n",
                           status=FAILED)
        done = self.run_nacre("import", self.store, "t", "-", "--format", "csv", "--key-field", "x",
                              stdin="a,b\n1,2\n", status=FAILED)
        self.assertIn(b"nothing was imported", done.stderr)
        self.assertEqual(self.json("import", self.store, "t", "-", "--format", "csv")["records"], 0)

    def test_records_beyond_the_limits_are_bad_lines(self):
        large = b"x" * (15 * 1024 * 1024 + 1)  # what fits no log frame is no bad line
        data = b"a\t1\n" + b"k" * 65537 + b"\t2\nb\t" + large + b"\nc\t3\n"
        done = self.run_nacre("import", self.store, "t", "-", "--format", "tsv", "--skip-bad", stdin=data)
        self.assertEqual([int(n) for n in re.findall(rb"line (\d+):", done.stderr)], [2])
        self.assertEqual(self.exported(), {b"a": b"1", b"b": large, b"c": b"3"})

    def test_a_line_beyond_all_limits_is_passed_over_whole(self):
        path = self.path("long.tsv")
        with open(path, "wb") as f:
            f.write(b"a\t1\nb\t")
            f.truncate(6 * 16 * 1024 * 1024)
            f.seek(0, 2)
            f.write(b"\nc\t3\n")
        done = self.run_nacre("import", self.store, "t", path, "--skip-bad")
        self.assertIn(b"line 2: ", done.stderr)
        self.assertEqual(self.exported(), {b"a": b"1", b"c": b"3"})

    def test_from_line_continues(self):
        data = "k,v\n" + "".join(f"key{i},{i}\n" for i in range(2, 11))
        summary = self.json("import", self.store, "t", "-", "--format", "csv", "--from-line", "5", stdin=data)
        self.assertEqual((summary["records"], summary["last_acknowledged_line"]), (6, 10))
        self.assertEqual(self.exported(), {f"key{i}".encode(): str(i).encode() for i in range(5, 11)})
        bad = "nothing\n" * 3 + "a\tb\n"
        self.assertEqual(self.json("import", self.store, "t", "-", "--format", "tsv", "--from-line", "4",
                                   stdin=bad)["records"], 1)
        self.run_nacre("import", self.store, "t", "-", "--format", "tsv", "--from-line", "0", status=USAGE)

    def test_acknowledgements_follow_the_lines(self):
        data = "".join(f"k{i}\t{i}\n" for i in range(1, 26))
        out = self.text("import", self.store, "t", "-", "--format", "tsv", "--acknowledge", "--batch", "10",
                        "--quiet", stdin=data)
        self.assertEqual(out, "ack 10\nack 20\nack 25\n")
        out = self.text("import", self.store, "t", "-", "--format", "tsv", "--acknowledge", "--json",
                        "--sync", stdin=data)
        lines = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(lines[0], {"acknowledged_line": 25})
        self.assertEqual((lines[1]["records"], lines[1]["complete"]), (25, True))

    def test_batches_are_bounded_in_bytes(self):
        data = "".join(f"k{i}\t{'x' * 300000}\n" for i in range(8))
        out = self.text("import", self.store, "t", "-", "--format", "tsv", "--acknowledge", "--quiet",
                        stdin=data)
        self.assertEqual(out, "ack 3\nack 6\nack 8\n")

    def test_the_summary_is_quiet_on_demand_and_there_is_no_bar(self):
        done = self.run_nacre("import", self.store, "t", "-", "--format", "tsv", stdin="a\tb\n")
        self.assertIn(b"last acknowledged line 1", done.stdout)
        self.assertEqual(done.stderr, b"")
        self.assertEqual(self.out("import", self.store, "t", "-", "--format", "tsv", "--quiet",
                                  stdin="a\tb\n"), b"")

    def test_sorted_records_are_loaded_all_or_none(self):
        data = "".join(f"k{i:04}\tv{i}\n" for i in range(2500))
        summary = self.json("import", self.store, "t", "-", "--format", "tsv", "--sorted", stdin=data)
        self.assertEqual((summary["records"], summary["last_acknowledged_line"]), (2500, 2500))
        self.run_nacre("verify", self.store)
        self.assertEqual(self.text("count", self.store, "t"), "2500\n")
        self.assertEqual(self.text("get", self.store, "t", "k0007"), "v7")
        stats = self.json("stats", self.store, "t")
        self.assertEqual(stats["logs"], 0)
        done = self.run_nacre("import", self.store, "t", "-", "--format", "tsv", "--sorted",
                              stdin="k0000\tother\nz\t1\na\t2\n", status=FAILED)
        self.assertIn(b"line 3", done.stderr)
        self.assertIn(b"nothing was imported", done.stderr)
        self.assertEqual(self.text("get", self.store, "t", "k0000"), "v0")
        out = self.text("import", self.store, "t", "-", "--format", "tsv", "--sorted", "--acknowledge", "--quiet",
                        stdin="a\t1\nb\t2\n")
        self.assertEqual(out, "ack 2\n")

    def test_create_makes_the_table_once(self):
        self.run_nacre("import", self.store, "new", "-", "--format", "tsv", stdin="a\tb\n", status=NOT_FOUND)
        for _ in range(2):
            self.run_nacre("import", self.store, "new", "-", "--format", "tsv", "--create", stdin="a\tb\n")
        self.assertEqual(self.text("count", self.store, "new"), "1\n")

    def test_a_kill_loses_nothing_acknowledged(self):
        acknowledged = 0
        for round_ in range(3):
            child = subprocess.Popen([self.nacre, "import", self.store, "t", "-", "--format", "tsv",
                                      "--acknowledge", "--batch", "7"],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     env=self.environment, bufsize=0)
            for i in range(1, 1000):
                child.stdin.write(f"{round_}-{i}\t{i}\n".encode())
            line = b""
            for _ in range(3 + round_):
                line = child.stdout.readline()
            child.kill()
            told = re.findall(rb"ack (\d+)\n", line + child.communicate()[0])
            acknowledged = int(told[-1]) if told else 0
            have = self.exported()
            for i in range(1, acknowledged + 1):
                self.assertEqual(have.get(f"{round_}-{i}".encode()), str(i).encode())
            self.run_nacre("verify", self.store)
        self.assertGreater(acknowledged, 0)


if __name__ == "__main__":
    main(__name__)
