#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The nacre command, end to end: cli_test.py NACRE [TEST...]. Ends with "N passed, N failed"."""

import base64
import csv
import fcntl
import glob
import io
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

NACRE = ""
TEMPLATES = ""  # stores that several tests begin with
SEED = int(os.environ.get("NACRE_TEST_SEED", "20240611"))

DONE, FAILED, USAGE, NOT_FOUND, DAMAGED, NO_KEY, BUSY, NO_SPACE = range(8)
FRAMES_OFFSET = 8192


class Case(unittest.TestCase):
    """A temporary directory, a keyring in it, and a store with one table where a test wants it."""

    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="nacre-cli-")
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.store = self.path("store")
        self.environment = {"PATH": os.environ["PATH"], "HOME": self.dir,
                            "NACRE_KEYRING": self.path("keyring"), "LC_ALL": "C"}
        for name in os.environ:  # sanitizers are told by these
            if name.endswith("SAN_OPTIONS"):
                self.environment[name] = os.environ[name]

    def path(self, name):
        return os.path.join(self.dir, name)

    def run_nacre(self, *words, stdin=b"", status=DONE, environment=None):
        if isinstance(stdin, str):
            stdin = stdin.encode()
        done = subprocess.run([NACRE, *words], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=environment or self.environment, cwd=self.dir, timeout=120, check=False)
        self.assertEqual(done.returncode, status,
                         f"nacre {words!r}\nstdout: {done.stdout[-2000:]!r}\nstderr: {done.stderr[-2000:]!r}")
        if status == DONE:
            self.assertNotIn(b"Sanitizer", done.stderr)
        return done

    def out(self, *words, **more):
        return self.run_nacre(*words, **more).stdout

    def text(self, *words, **more):
        return self.out(*words, **more).decode()

    def json(self, *words, **more):
        return json.loads(self.out(*words, "--json", **more))

    def error(self, *words, status):
        """The JSON error of a command that fails."""
        done = self.run_nacre(*words, "--json", status=status)
        return json.loads(done.stderr.splitlines()[-1])["error"]

    def make(self):
        """A store with the empty table "t", made once and then copied: a store depends on no path."""
        self.from_template("empty", self.make_empty)

    def make_empty(self):
        self.run_nacre("init", self.store)
        self.run_nacre("table", "create", self.store, "t")

    def from_template(self, name, build):
        template = os.path.join(TEMPLATES, name)
        if not os.path.exists(template):
            build()
            shutil.copytree(self.store, os.path.join(template, "store"))
            shutil.copy2(self.path("keyring"), os.path.join(template, "keyring"))
        else:
            shutil.copytree(os.path.join(template, "store"), self.store)
            shutil.copy2(os.path.join(template, "keyring"), self.path("keyring"))

    def put(self, key, value, *more):
        self.run_nacre("put", self.store, "t", key, value, *more)

    def load(self, records, *more):
        """Imports a dict of bytes."""
        self.out("import", self.store, "t", "-", "--format", "jsonl", *more, stdin=jsonl(records))

    def exported(self, *more):
        """The table as a dict of bytes."""
        return unjsonl(self.out("export", self.store, "t", *more))

    def files(self, pattern="*", table=None):
        directory = table or self.table_uuid()
        return sorted(glob.glob(os.path.join(self.store, directory, pattern)))

    def table_uuid(self, name="t"):
        return self.json("table", "info", self.store, name)["uuid"]


def jsonl(records):
    lines = []
    for key, value in records.items():
        line = {}
        for name, data in (("key", key), ("value", value)):
            try:
                line[name] = data.decode()
            except UnicodeDecodeError:
                line[name + "_base64"] = base64.b64encode(data).decode()
        lines.append(json.dumps(line) + "\n")
    return "".join(lines).encode()


def unjsonl(text):
    records = {}
    for line in text.splitlines():
        object_ = json.loads(line)
        assert set(object_) <= {"key", "value", "key_base64", "value_base64"}, object_
        key, value = (object_[n].encode() if n in object_ else base64.b64decode(object_[n + "_base64"])
                      for n in ("key", "value"))
        records[key] = value
    return records


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


class Basics(Case):
    def test_init_says_where_the_keyring_is(self):
        text = self.text("init", self.store)
        self.assertIn(self.path("keyring"), text)
        self.assertIn("lost", text)
        self.assertEqual(os.stat(self.path("keyring")).st_mode & 0o777, 0o600)

    def test_init_in_json(self):
        answer = self.json("init", self.store)
        self.assertEqual(answer, {"store": self.store, "key": "local:", "keyring": self.path("keyring")})

    def test_init_with_a_key_of_its_own(self):
        other = self.path("other-ring")
        self.assertIn(other, self.text("init", self.store, "--key", "local:" + other))
        self.assertFalse(os.path.exists(self.path("keyring")))
        self.run_nacre("table", "create", self.store, "t", "--store-key", "local:" + other)
        self.run_nacre("put", self.store, "t", "k", "v", "--key", "local:" + other)
        self.assertEqual(self.out("get", self.store, "t", "k", "--key", "local:" + other), b"v")
        self.run_nacre("get", self.store, "t", "k", status=NO_KEY)

    def test_init_twice_fails_and_changes_nothing(self):
        self.make()
        self.put("k", "v")
        self.run_nacre("init", self.store, status=FAILED)
        self.assertEqual(self.out("get", self.store, "t", "k"), b"v")

    def test_put_get_delete(self):
        self.make()
        self.put("k", "v")
        self.assertEqual(self.out("get", self.store, "t", "k"), b"v")
        self.put("k", "w", "--sync")
        self.assertEqual(self.out("get", self.store, "t", "k"), b"w")
        self.run_nacre("delete", self.store, "t", "k", "--sync")
        self.run_nacre("get", self.store, "t", "k", status=NOT_FOUND)
        self.run_nacre("delete", self.store, "t", "k")

    def test_get_of_an_empty_value_is_found(self):
        self.make()
        self.put("k", "")
        self.assertEqual(self.out("get", self.store, "t", "k"), b"")

    def test_put_reads_standard_input_and_files(self):
        self.make()
        data = bytes(range(256)) * 300
        self.run_nacre("put", self.store, "t", "stdin", "-", stdin=data)
        with open(self.path("value"), "wb") as f:
            f.write(data)
        self.run_nacre("put", self.store, "t", "file", "--value-file", self.path("value"))
        self.assertEqual(self.out("get", self.store, "t", "stdin"), data)
        self.assertEqual(self.out("get", self.store, "t", "file"), data)
        self.run_nacre("put", self.store, "t", "x", "--value-file", self.path("missing"), status=NOT_FOUND)
        self.run_nacre("put", self.store, "t", "x", "y", "--value-file", self.path("value"), status=USAGE)
        self.run_nacre("put", self.store, "t", "x", status=USAGE)

    def test_a_key_that_begins_with_a_dash(self):
        self.make()
        self.run_nacre("put", self.store, "t", "--", "-k", "-v")
        self.assertEqual(self.out("get", self.store, "t", "--", "-k"), b"-v")

    def test_bytes_in_hex_and_base64(self):
        self.make()
        self.put("00ff", "0A", "--hex")
        self.assertEqual(self.out("get", self.store, "t", "00ff", "--hex"), b"0a\n")
        self.assertEqual(self.out("get", self.store, "t", "AP8=", "--base64"), b"Cg==\n")
        self.assertEqual(self.json("get", self.store, "t", "00ff", "--hex"),
                         {"key_hex": "00ff", "value_hex": "0a"})
        self.assertEqual(self.text("scan", self.store, "t"), "\\x00\\xff\t\\n\n")
        for bad in ("0", "0g", "zz"):
            self.run_nacre("get", self.store, "t", bad, "--hex", status=USAGE)
        for bad in ("A", "AP8", "AP9=", "====", "AP8=AP8="):
            self.run_nacre("get", self.store, "t", bad, "--base64", status=USAGE)
        self.run_nacre("get", self.store, "t", "00", "--base64", "--hex", status=USAGE)

    def test_json_of_text_and_of_bytes(self):
        self.make()
        self.put("ключ", "значение")
        self.run_nacre("put", self.store, "t", "b", "-", stdin=b"\xff\0")
        self.assertEqual(self.json("get", self.store, "t", "ключ"), {"key": "ключ", "value": "значение"})
        self.assertEqual(self.json("get", self.store, "t", "b"), {"key": "b", "value_base64": "/wA="})

    def test_limits_are_told_and_nothing_is_cut(self):
        self.make()
        self.run_nacre("put", self.store, "t", "k" * 65536, "longest key")
        self.assertEqual(self.error("put", self.store, "t", "k" * 65537, "v", status=FAILED)["status"],
                         "NACRE_TOO_LARGE")
        self.run_nacre("put", self.store, "t", "v", "-", stdin=b"x" * (15 * 1024 * 1024 + 1), status=FAILED)
        large = random.Random(SEED).randbytes(15 * 1024 * 1024 - 100)
        self.run_nacre("put", self.store, "t", "v", "-", stdin=large)
        self.assertEqual(self.out("get", self.store, "t", "v"), large)
        self.assertEqual(self.text("count", self.store, "t"), "2\n")


class Tables(Case):
    def test_create_list_info_rename_drop(self):
        self.run_nacre("init", self.store)
        self.run_nacre("table", "create", self.store, "one")
        self.run_nacre("table", "create", self.store, "two", "--compression", "none", "--block-bytes", "8192",
                       "--filter-bits", "0")
        listed = self.json("table", "list", self.store)["tables"]
        self.assertEqual([t["name"] for t in listed], ["one", "two"])
        two = self.json("table", "info", self.store, "two")
        self.assertEqual((two["compression"], two["block_bytes"], two["filter_bits_per_key"]),
                         ("none", 8192, 0))
        self.assertEqual(two, listed[1])
        self.assertEqual(len(two["keys"]), 1)
        text = self.text("table", "list", self.store)
        self.assertIn(two["uuid"], text)
        self.assertNotIn("\033", text)
        self.assertIn("8.0 KiB", self.text("table", "info", self.store, "two"))
        self.run_nacre("put", self.store, "two", "k", "v")
        self.run_nacre("table", "rename", self.store, "two", "three")
        self.assertEqual(self.out("get", self.store, "three", "k"), b"v")
        self.run_nacre("get", self.store, "two", "k", status=NOT_FOUND)
        self.run_nacre("table", "rename", self.store, "three", "one", status=FAILED)
        self.run_nacre("table", "drop", self.store, "three")
        self.run_nacre("table", "drop", self.store, "three", status=NOT_FOUND)
        self.run_nacre("table", "info", self.store, "three", status=NOT_FOUND)
        self.assertFalse(os.path.exists(os.path.join(self.store, two["uuid"])))
        self.assertEqual([t["name"] for t in self.json("table", "list", self.store)["tables"]], ["one"])

    def test_create_refuses(self):
        self.make()
        self.run_nacre("table", "create", self.store, "t", status=FAILED)
        self.run_nacre("table", "create", self.store, "uuid:x", status=USAGE)
        self.run_nacre("table", "create", self.store, "", status=USAGE)
        self.run_nacre("table", "create", self.store, "n" * 256, status=USAGE)
        for option in (("--block-bytes", "1000"), ("--filter-bits", "33"), ("--compression", "gzip"),
                       ("--block-bytes", "x")):
            self.run_nacre("table", "create", self.store, "u", *option, status=USAGE)

    def test_several_keys_any_of_which_opens(self):
        self.run_nacre("init", self.store)
        a, b = "local:" + self.path("ring-a"), "local:" + self.path("ring-b")
        self.run_nacre("table", "create", self.store, "t", "--key", a + ",region=north", "--key",
                       b + ",principal=me,region=south")
        keys = self.json("table", "info", self.store, "t")["keys"]
        self.assertEqual([(k["uri"], k["region"], k["principal"]) for k in keys],
                         [(a, "north", None),
                                                                                 (b, "south", "me")])
        self.put("k", "v")
        os.rename(self.path("ring-a"), self.path("away"))
        self.assertEqual(self.out("get", self.store, "t", "k"), b"v")
        os.remove(self.path("ring-b"))
        self.run_nacre("get", self.store, "t", "k", status=NO_KEY)
        os.rename(self.path("away"), self.path("ring-a"))
        self.assertEqual(self.out("get", self.store, "t", "k"), b"v")

    def test_names_may_be_anything(self):
        self.run_nacre("init", self.store)
        for name in ("ünïcode ☃", "a/b/../c", "new\nline", "-x", "with\ttab"):
            self.run_nacre("table", "create", self.store, "--", name)
            self.run_nacre("put", self.store, "--", name, "k", name)
            self.assertEqual(self.out("get", self.store, "--", name, "k"), name.encode())
        self.assertIn("new\\nline", self.text("table", "list", self.store))


class Ranges(Case):
    def setUp(self):
        super().setUp()
        self.make()
        self.records = {k: b"v" + k for k in (b"a", b"a\0", b"aa", b"ab", b"b", b"b\xff", b"b\xff\xff", b"c",
                                              b"\xff", b"\xff\xff")}
        self.load(self.records)

    def scan(self, *more):
        lines = self.out("scan", self.store, "t", "--hex", "--keys-only", *more).split()
        return [bytes.fromhex(line.decode()) for line in lines]

    def test_all_in_order(self):
        self.assertEqual(self.scan(), sorted(self.records))
        self.assertEqual(self.scan("--reverse"), sorted(self.records, reverse=True))
        self.assertEqual(self.text("count", self.store, "t"), f"{len(self.records)}\n")
        self.assertEqual(self.json("count", self.store, "t"), {"count": len(self.records)})

    def test_prefixes(self):
        for prefix in (b"", b"a", b"b", b"b\xff", b"b\xff\xff", b"\xff", b"\xff\xff", b"z"):
            want = sorted(k for k in self.records if k.startswith(prefix))
            self.assertEqual(self.scan("--prefix", prefix.hex()), want, prefix)
            self.assertEqual(int(self.out("count", self.store, "t", "--hex", "--prefix", prefix.hex())),
                             len(want))

    def test_bounds(self):
        for low in (None, b"", b"a", b"aa", b"b\xff", b"z"):
            for high in (None, b"", b"aa", b"b\xff\xff", b"\xff\xff\xff"):
                for prefix in (None, b"b"):
                    words = []
                    for name, value in (("--from", low), ("--to", high), ("--prefix", prefix)):
                        if value is not None:
                            words += [name, value.hex()]
                    want = [k for k in sorted(self.records)
                            if (low is None or k >= low) and (high is None or k < high)
                            and (prefix is None or k.startswith(prefix))]
                    self.assertEqual(self.scan(*words), want, words)
                    self.assertEqual(self.scan(*words, "--reverse", "--limit", "2"), want[::-1][:2], words)

    def test_limits(self):
        self.assertEqual(self.scan("--limit", "0"), [])
        self.assertEqual(self.scan("--limit", "3"), sorted(self.records)[:3])
        self.run_nacre("scan", self.store, "t", "--limit", "-1", status=USAGE)

    def test_text_and_json(self):
        self.assertEqual(self.text("scan", self.store, "t", "--prefix", "a", "--limit", "2"),
                         "a\tva\na\\x00\tva\\x00\n")
        lines = self.text("scan", self.store, "t", "--json").splitlines()
        self.assertEqual(json.loads(lines[0]), {"key": "a", "value": "va"})
        self.assertEqual(unjsonl(self.out("scan", self.store, "t", "--json")), self.records)
        self.assertEqual(json.loads(self.out("scan", self.store, "t", "--json", "--keys-only", "--limit",
                                             "1")), {"key": "a"})


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
        self.run_nacre("import", self.store, "t", "-", "--format", "csv", "--key-field", "x",
                       stdin="a,b\n1,2\n", status=FAILED)
        self.assertEqual(self.json("import", self.store, "t", "-", "--format", "csv")["records"], 0)

    def test_records_beyond_the_limits_are_bad_lines(self):
        data = b"a\t1\n" + b"k" * 65537 + b"\t2\nb\t" + b"x" * (15 * 1024 * 1024 + 1) + b"\nc\t3\n"
        done = self.run_nacre("import", self.store, "t", "-", "--format", "tsv", "--skip-bad", stdin=data)
        self.assertEqual([int(n) for n in re.findall(rb"line (\d+):", done.stderr)], [2, 3])
        self.assertEqual(self.exported(), {b"a": b"1", b"c": b"3"})

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

    def test_create_makes_the_table_once(self):
        self.run_nacre("import", self.store, "new", "-", "--format", "tsv", stdin="a\tb\n", status=NOT_FOUND)
        for _ in range(2):
            self.run_nacre("import", self.store, "new", "-", "--format", "tsv", "--create", stdin="a\tb\n")
        self.assertEqual(self.text("count", self.store, "new"), "1\n")

    def test_a_kill_loses_nothing_acknowledged(self):
        acknowledged = 0
        for round_ in range(3):
            child = subprocess.Popen([NACRE, "import", self.store, "t", "-", "--format", "tsv",
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


class Statuses(Case):
    def test_usage(self):
        for words in ((), ("nonsense",), ("table",), ("table", "nonsense"), ("get",), ("get", "s", "t"),
                      ("get", "s", "t", "k", "x"),
                      ("get", "s", "t", "k", "--nonsense"), ("get", "s", "t", "k", "--sync"),
                      ("count", "s", "t", "--limit", "1"),
                      ("init", "s", "--key"), ("--json",), ("help", "nonsense"), ("version", "x"),
                      ("import", "s", "t", "f", "--format", "xml"), ("verify", "s", "t", "--keyless")):
            done = self.run_nacre(*words, status=USAGE)
            self.assertEqual(done.stdout, b"", words)
            if "--json" not in words:
                self.assertRegex(done.stderr, rb"\Anacre: .*\n\Z", words)

    def test_not_found(self):
        self.run_nacre("get", self.path("nowhere"), "t", "k", status=NOT_FOUND)
        self.make()
        self.run_nacre("get", self.store, "nope", "k", status=NOT_FOUND)
        self.run_nacre("get", self.store, "t", "k", status=NOT_FOUND)
        self.run_nacre("inspect", self.path("nothing"), status=NOT_FOUND)
        self.run_nacre("verify", self.path("nowhere"), status=NOT_FOUND)
        self.run_nacre("verify", self.path("nowhere"), "--keyless", status=NOT_FOUND)
        self.run_nacre("verify", self.store, "nope", status=NOT_FOUND)

    def test_key_missing(self):
        self.make()
        self.put("k", "v")
        os.rename(self.path("keyring"), self.path("away"))
        self.run_nacre("get", self.store, "t", "k", status=NO_KEY)
        self.assertFalse(os.path.exists(self.path("keyring")), "reading makes no keyring")
        self.assertTrue(self.error("get", self.store, "t", "k",
                                   status=NO_KEY)["status"].startswith("NACRE_KEY_"))
        self.run_nacre("verify", self.store, status=NO_KEY)
        self.run_nacre("dump", self.files_without_keys()[0], status=NO_KEY)
        self.run_nacre("inspect", *self.files_without_keys())
        self.run_nacre("verify", self.store, "--keyless")
        self.run_nacre("init", self.path("other"))  # a keyring, but not the one
        self.run_nacre("get", self.store, "t", "k", status=NO_KEY)

    def files_without_keys(self):
        return sorted(glob.glob(os.path.join(self.store, "*", "*.man")))

    def test_locked(self):
        self.make()
        writer = subprocess.Popen([NACRE, "import", self.store, "t", "-", "--format", "tsv", "--acknowledge",
                                   "--batch", "1"],
                                  stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.environment,
                                  bufsize=0)
        writer.stdin.write(b"a\tb\nc\td\n")
        self.assertEqual(writer.stdout.readline(), b"ack 1\n")
        self.assertEqual(self.error("get", self.store, "t", "a", status=BUSY)["status"], "NACRE_LOCKED")
        self.run_nacre("put", self.store, "t", "a", "b", status=BUSY)
        self.run_nacre("verify", self.store, status=BUSY)
        files = glob.glob(os.path.join(self.store, "*", "*"))
        self.run_nacre("inspect", *files)  # beside a writer
        self.run_nacre("dump", *[f for f in files if f.endswith(".man")])
        writer.stdin.close()
        self.assertEqual(writer.wait(), 0)
        writer.stdout.close()
        self.assertEqual(self.exported(), {b"a": b"b", b"c": b"d"})

    def test_no_space(self):
        self.make()
        self.load({b"k": b"v" * 100})
        with open("/dev/full", "wb") as full:
            done = subprocess.run([NACRE, "scan", self.store, "t"], stdout=full, stderr=subprocess.PIPE,
                                  env=self.environment, check=False)
        self.assertEqual(done.returncode, NO_SPACE)
        self.assertIn(b"standard output", done.stderr)

    def test_closed_pipe_is_quiet(self):
        self.make()
        self.load({f"key {i:06}".encode(): b"x" * 100 for i in range(20000)})
        for words in (("scan", self.store, "t"), ("export", self.store, "t"),
                      ("export", self.store, "t", "--format", "csv"), ("help",)):
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run([NACRE, *words], stdout=writer, stderr=subprocess.PIPE,
                                  env=self.environment, check=False)
            os.close(writer)
            self.assertEqual((done.returncode, done.stderr), (DONE, b""), words)
        child = subprocess.Popen([NACRE, "scan", self.store, "t"], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, env=self.environment)
        child.stdout.read(10)
        child.stdout.close()
        self.assertEqual(child.stderr.read(), b"")
        child.stderr.close()
        self.assertEqual(child.wait(), 0)

    def test_an_import_that_cannot_acknowledge_stops(self):
        self.make()
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([NACRE, "import", self.store, "t", "-", "--format", "tsv", "--acknowledge"],
                              input=b"a\tb\n",
                              stdout=writer, stderr=subprocess.PIPE, env=self.environment, check=False)
        os.close(writer)
        self.assertEqual(done.returncode, FAILED)

    def test_closed_standard_descriptors(self):
        self.make()
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            subprocess.run(["/bin/sh", "-c", f'"$0" put "$1" t k v {closed}', NACRE, self.store],
                           env=self.environment, check=True)
        self.assertEqual(self.out("get", self.store, "t", "k"), b"v")
        self.run_nacre("verify", self.store)

    def test_errors_in_json(self):
        self.make()
        error = self.error("table", "create", self.store, "t", status=FAILED)
        self.assertEqual(error["status"], "NACRE_EXISTS")
        self.assertEqual(set(error), {"status", "id", "message", "file", "offset"})
        self.assertGreater(error["id"], 0)
        self.assertEqual(self.error("get", self.store, "t", "k", "--bad", status=USAGE)["status"],
                         "NACRE_INVALID")
        done = self.run_nacre("import", self.store, "t", "-", "--format", "tsv", "--json", "--skip-bad",
                              stdin="bad\n")
        self.assertEqual(json.loads(done.stderr)["bad_line"]["line"], 1)
        done = self.run_nacre("import", self.store, "t", "-", "--format", "tsv", "--json",
                              stdin="a\tb\nbad\n", status=FAILED)
        summary = json.loads(done.stdout)
        self.assertEqual((summary["complete"], summary["last_acknowledged_line"]), (False, 1))

    def test_options_may_stand_anywhere(self):
        self.make()
        self.put("k", "v")
        for words in (("--json", "get", self.store, "t", "k"), ("get", "--json", self.store, "t", "k"),
                      ("--key", "local:", "--json", "get", self.store, "t", "k")):
            self.assertEqual(json.loads(self.out(*words)), {"key": "k", "value": "v"})


class Help(Case):
    def test_every_command_has_a_page_with_an_example(self):
        overview = self.text("help")
        self.assertEqual(overview, self.text("--help"))
        names = re.findall(r"^  ((?:table )?[a-z]+)  ", overview, re.M)
        self.assertGreaterEqual(set(names),
                                {"init", "table create", "table list", "table info", "table drop",
                                 "table rename", "put",
                                             "get", "delete", "scan", "count", "import", "export", "inspect",
                                 "dump", "verify",
                                             "flush", "compact", "stats", "help", "version"})
        for name in names:
            page = self.text("help", *name.split())
            self.assertIn("example:\n  nacre " + name, page)
            self.assertIn(f"usage: nacre {name}", page)
            self.assertEqual(page, self.text(*name.split(), "--help"))
            for option in re.findall(r"^  --([a-z0-9-]+)", page, re.M):
                self.assertNotIn("nothing", option)
        self.assertEqual(self.text("help", "table").count("usage:"), 5)

    def test_every_option_of_every_page_is_known_to_the_parser(self):
        for name in re.findall(r"^  ((?:table )?[a-z]+)  ", self.text("help"), re.M):
            for option, value in re.findall(r"^  --([a-z0-9-]+)( \S+)?", self.text("help", *name.split()),
                                            re.M):
                # Too many arguments come after the options: an option that is not known would be told first.
                words = [*name.split(),
                         "--" + option] + (["1" if value.strip() == "N" else "x"] if value else [])
                done = subprocess.run([NACRE, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      env=self.environment,
                                      stdin=subprocess.DEVNULL, cwd=self.dir, check=False)
                self.assertNotIn(b"has no option", done.stderr, words)

    def test_version(self):
        self.assertRegex(self.text("version"), r"\Anacre \d+\.\d+\.\d+\n\Z")
        self.assertEqual("nacre " + self.json("version")["version"] + "\n", self.text("--version"))

    def test_a_mistyped_command_gets_a_hint(self):
        self.assertIn(b'"scan"', self.run_nacre("scna", status=USAGE).stderr)


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
        text = self.text("stats", self.store)
        self.assertIn("segment entries", text)
        self.assertNotIn("\033", text)


class Inside(Case):
    """inspect, dump and verify, on whole and on damaged files."""

    def setUp(self):
        super().setUp()
        self.records = {f"key {i:05}".encode(): f"value {i} ".encode() * 20 for i in range(3000)}
        self.from_template("filled", self.make_filled)
        self.uuid = self.table_uuid()

    def make_filled(self):
        self.make()
        self.load(self.records)
        self.run_nacre("flush", self.store, "t")
        self.put("in the log", "and nowhere else")
        self.run_nacre("delete", self.store, "t", "key 00007")

    def inspect(self, path, status=DONE, *more):
        return self.json("inspect", path, *more, status=status)

    def segment(self):
        return self.files("*.seg", self.uuid)[0]

    def flip(self, path, offset, mask=0x10):
        with open(path, "r+b") as f:
            f.seek(offset)
            byte = f.read(1)[0]
            f.seek(offset)
            f.write(bytes([byte ^ mask]))

    def tree(self):
        return {p: open(p, "rb").read() for p in glob.glob(os.path.join(self.store, "**"),
                                                           recursive=True) if os.path.isfile(p)}

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
                self.assertGreaterEqual(report["good_frames"], whole["good_frames"] - 1)
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

    def dumped(self, *words, **more):
        return [json.loads(line) for line in self.out("dump", "--json", *words, **more).splitlines()]

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
        self.assertNotEqual(subprocess.run([NACRE, "dump", copy], env=self.environment,
                                           stdout=subprocess.DEVNULL,
                                           stderr=subprocess.DEVNULL, check=False).returncode, 0)
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

    def test_verify_names_each_flipped_byte(self):
        rng = random.Random(SEED + 2)
        for path in sorted(self.tree()):
            size = os.path.getsize(path)
            if size == 0:
                continue
            name = os.path.relpath(path, self.store)
            for offset in {0, size - 1} | {rng.randrange(size) for _ in range(4)}:
                self.flip(path, offset)
                report = self.verify(DAMAGED)
                named = [f for f in report["faults"] if f["file"] == name]
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


class Terminal(Case):
    def test_colour_and_newline_on_a_terminal_only(self):
        self.make()
        self.put("k", "v")
        self.assertEqual(self.on_terminal("get", self.store, "t", "k"), b"v\r\n")
        self.assertIn(b"\033[1m", self.on_terminal("table", "list", self.store))
        self.environment["NO_COLOR"] = "1"
        self.assertNotIn(b"\033[", self.on_terminal("table", "list", self.store))

    def on_terminal(self, *words):
        leader, follower = os.openpty()
        environment = dict(self.environment, TERM="xterm")
        subprocess.run([NACRE, *words], stdout=follower, stderr=follower, env=environment, check=True)
        os.close(follower)
        fcntl.fcntl(leader, fcntl.F_SETFL, os.O_NONBLOCK)
        out = b""
        try:
            while piece := os.read(leader, 65536):
                out += piece
        except OSError:  # the end of what a closed terminal said
            pass
        os.close(leader)
        return out


def main():
    global NACRE, TEMPLATES
    if len(sys.argv) < 2:
        sys.exit("usage: cli_test.py NACRE [TEST...]")
    NACRE = os.path.abspath(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    print(f"seed {SEED} (NACRE_TEST_SEED replays it)")
    loader = unittest.TestLoader()
    module = sys.modules[__name__]
    names = sys.argv[2:]
    suite = loader.loadTestsFromNames(names, module) if names else loader.loadTestsFromModule(module)
    with tempfile.TemporaryDirectory(prefix="nacre-cli-templates-") as TEMPLATES:
        result = unittest.TextTestRunner(verbosity=1, stream=sys.stdout).run(suite)
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    print(f"{result.testsRun - failed - len(result.skipped)} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
