#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""TSV, CSV and JSON Lines, in both directions: cli_formats_test.py NACRE [TEST...]."""

import csv
import io
import json
import random
import sys

sys.dont_write_bytecode = True  # nothing is left beside the sources
from cli_case import Case, NOT_FOUND, SEED, USAGE, jsonl, main, unjsonl


def awkward_records(seed):
    """Keys and values that text formats stumble over, and random bytes."""
    rng = random.Random(seed)
    records = {
        b"plain": b"value",
        b"empty value": b"",
        b"": b"the empty key",
        b"tab\tin key": b"tab\tin value",
        b"newline\nin key": b"a\nb\n\n",
        b"crlf\r\n": b"\r\n\r",
        b'quote"': b'"quoted", with a comma',
        b"comma,": b",,",
        b"back\\slash": b"\\t is no tab \\",
        b"nul\0": b"\0\0",
        "unicode ☃ é 𝄞".encode(): "größer ≥ 日本".encode(),
        "bidi \u202e\u2066".encode(): "\u0085\u200b".encode(),
        b"not utf-8 \xff\xfe": b"\xc3\x28\xed\xa0\x80\xf8",
        b"\xff" * 3: b"\xff" * 300,
        b" leading and trailing ": b"  ",
        b"'": b"#",
        b"=1+1": b"{}",
        b"long": b"x" * 100000,
    }
    for _ in range(200):
        records[rng.randbytes(rng.randrange(1, 40))] = rng.randbytes(rng.randrange(0, 200))
    return records


class Formats(Case):
    def test_round_trip_of_awkward_bytes(self):
        self.make()
        records = awkward_records(SEED)
        self.load(records)
        self.assertEqual(self.exported(), records)
        for form in ("tsv", "csv", "jsonl"):
            data = self.out("export", self.store, "t", "--format", form)
            self.run_nacre("table", "create", self.store, form)
            summary = self.json("import", self.store, form, "-", "--format", form, stdin=data)
            self.assertEqual((summary["records"], summary["skipped_lines"]), (len(records), 0), form)
            self.assertEqual(self.out("export", self.store, form, "--format", form), data, form)
            self.assertEqual(unjsonl(self.out("export", self.store, form)), records, form)

    def test_tsv_is_text_also_for_bytes(self):
        self.make()
        self.load(awkward_records(SEED))
        data = self.out("export", self.store, "t", "--format", "tsv")
        data.decode()
        self.assertNotRegex(data, rb"[\x00-\x08\x0b-\x1f\x7f]")
        self.assertTrue(all(line.count(b"\t") == 1 for line in data.splitlines()))

    def test_csv_reads_as_others_write_it_and_the_other_way_round(self):
        self.make()
        out = io.StringIO(newline="")
        rows = [["id", "name", "note"], ["1", 'O"Brien, Pat', "two\nlines"], ["2", "", "☃"],
                ["3", "x\r\ny", '""']]
        csv.writer(out).writerows(rows)
        with open(self.path("people.csv"), "w", newline="", encoding="utf-8") as f:
            f.write(out.getvalue())
        self.run_nacre("import", self.store, "t", self.path("people.csv"))
        for row in rows[1:]:
            self.assertEqual(self.json_value(row[0]), {"name": row[1], "note": row[2]})
        self.run_nacre("import", self.store, "names", self.path("people.csv"), "--key-field", "name",
                       "--create")
        self.assertEqual(json.loads(self.out("get", self.store, "names", "x\r\ny")),
                         {"id": "3", "note": '""'})
        back = list(csv.reader(io.StringIO(self.out("export", self.store, "t", "--format", "csv").decode(),
                                           newline="")))
        self.assertEqual(back[0], ["key", "value"])
        self.assertEqual([json.loads(row[1])["name"] for row in back[1:]], [row[1] for row in rows[1:]])

    def json_value(self, key):
        return json.loads(self.out("get", self.store, "t", key))

    def test_csv_of_two_columns_keeps_the_text(self):
        self.make()
        self.run_nacre("import", self.store, "t", "-", "--format", "csv", "--key-field", "k",
                       stdin=b"\xef\xbb\xbfv,k\n\" spaced \",1\n\n\xff,2\r\n\"\",3\nlast,4")
        self.assertEqual(self.exported(), {b"1": b" spaced ", b"2": b"\xff", b"3": b"", b"4": b"last"})

    def test_jsonl_keeps_whole_lines_by_key_field(self):
        self.make()
        lines = ['{"id": "a",  "n": 1.10}', '{"n": 123456789012345678901234567890, "id": "b"}', '{"id": 7}',
                 '{"id": "\\u0000"}']
        self.run_nacre("import", self.store, "t", "-", "--format", "jsonl", "--key-field", "id",
                       stdin="\r\n".join(lines) + "\n\n")
        self.assertEqual(self.exported(),
                         {b"a": lines[0].encode(), b"b": lines[1].encode(), b"7": lines[2].encode(),
                          b"\0": lines[3].encode()})

    def test_export_takes_ranges(self):
        self.make()
        self.load({b"a": b"1", b"b": b"2", b"c": b"3"})
        self.assertEqual(self.exported("--from", "b", "--to", "c"), {b"b": b"2"})
        self.assertEqual(self.exported("--prefix", "c"), {b"c": b"3"})
        self.assertEqual(self.out("export", self.store, "t", "--format", "csv", "--prefix", "x"),
                         b"key,value\r\n")

    def test_the_name_of_a_file_says_its_format(self):
        self.make()
        for name, data in (("x.tsv", b"t\t1\n"), ("x.CSV", b"k,v\nc,1\n"),
                           ("x.ndjson", b'{"key":"j","value":"1"}\n')):
            with open(self.path(name), "wb") as f:
                f.write(data)
            self.run_nacre("import", self.store, "t", self.path(name))
        self.assertEqual(sorted(self.exported()), [b"c", b"j", b"t"])
        self.run_nacre("import", self.store, "t", "-", status=USAGE)
        self.run_nacre("import", self.store, "t", self.path("x"), status=USAGE)
        self.run_nacre("import", self.store, "t", self.path("missing.csv"), status=NOT_FOUND)
        self.run_nacre("import", self.store, "t", "-", "--format", "tsv", "--key-field", "k", status=USAGE)


if __name__ == "__main__":
    main(__name__)
