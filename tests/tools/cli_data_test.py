#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys, values, tables and ranges: cli_data_test.py NACRE [TEST...]."""

import base64
import json
import os
import random
import sys

sys.dont_write_bytecode = True  # nothing is left beside the sources
from cli_case import Case, DAMAGED, FAILED, NOT_FOUND, NO_KEY, SEED, USAGE, main, unjsonl


class Basics(Case):
    def test_init_says_where_the_keyring_is(self):
        text = self.text("init", self.store)
        self.assertIn(self.path("keyring"), text)
        self.assertIn("lost", text)
        self.assertEqual(os.stat(self.path("keyring")).st_mode & 0o777, 0o600)

    def test_init_in_json(self):
        answer = self.json("init", self.store)
        self.assertEqual(answer, {"store": self.store, "key": "local:", "keyring": self.path("keyring"),
                                  "passphrase": False})

    def test_init_with_a_key_of_its_own(self):
        other = self.path("other-ring")
        self.assertIn(other, self.text("init", self.store, "--key", "local:" + other))
        self.assertFalse(os.path.exists(self.path("keyring")))
        self.run_nacre("table", "create", self.store, "t", "--store-key", "local:" + other)
        self.run_nacre("put", self.store, "t", "k", "v", "--key", "local:" + other)
        self.assertEqual(self.out("get", self.store, "t", "k", "--key", "local:" + other), b"v")
        self.assertEqual(self.out("get", self.store, "t", "k"), b"v")
        os.remove(self.path("keyring.trust"))  # for one who has not opened it before
        self.run_nacre("get", self.store, "t", "k", status=NO_KEY)

    def test_init_twice_fails_and_changes_nothing(self):
        self.make()
        self.put("k", "v")
        self.run_nacre("init", self.store, status=FAILED)
        self.assertEqual(self.out("get", self.store, "t", "k"), b"v")

    def test_init_says_what_to_do_on_the_command_line(self):
        self.make()
        self.assertNotIn(b"must_not_exist", self.run_nacre("init", self.store, status=FAILED).stderr)
        self.run_nacre("init", "", status=USAGE)
        self.run_nacre("get", "", "t", "k", status=USAGE)

    def test_a_keyring_path_means_the_same_everywhere(self):
        """A relative one was kept in the store, which then opened from one working directory only."""
        other = self.path("other")
        self.run_nacre("init", other, "--key", "local:ring", status=USAGE)
        self.assertFalse(os.path.exists(other))
        self.make()
        self.run_nacre("table", "create", self.store, "u", "--key", "local:ring", status=USAGE)
        self.environment["NACRE_KEYRING"] = "ring"
        self.assertEqual(self.json("init", other)["keyring"], os.path.realpath(self.path("ring")))

    def test_delete_of_a_range(self):
        self.make()
        for key in "abcde":
            self.run_nacre("put", self.store, "t", key, key * 2)
        self.run_nacre("delete", self.store, "t", "b", "--to", "d", "--sync")
        self.assertEqual(self.run_nacre("scan", self.store, "t", "--keys-only").stdout, b"a\nd\ne\n")
        self.run_nacre("delete", self.store, "t", "e", "--to", "a")
        self.run_nacre("flush", self.store, "t")
        self.assertEqual(self.run_nacre("scan", self.store, "t", "--keys-only").stdout, b"a\nd\ne\n")
        self.run_nacre("delete", self.store, "t", "", "--to", "z")
        self.assertEqual(self.run_nacre("count", self.store, "t").stdout.strip(), b"0")
        self.run_nacre("delete", self.store, "t", "a", "--to", "zz", "--hex", status=2)

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
        large = random.Random(SEED).randbytes(15 * 1024 * 1024 - 100)
        self.run_nacre("put", self.store, "t", "v", "-", stdin=large)
        self.assertEqual(self.out("get", self.store, "t", "v"), large)
        self.assertEqual(self.text("count", self.store, "t"), "2\n")

    def test_large_values_go_in_and_out_as_they_are(self):
        self.run_nacre("init", self.store)
        self.run_nacre("table", "create", self.store, "t", "--large-value-bytes", "4096")
        large, larger = (random.Random(SEED + n).randbytes(n * 1024 * 1024 + 5) for n in (5, 20))
        path = self.path("value")
        with open(path, "wb") as f:
            f.write(large)
        self.run_nacre("put", self.store, "t", "a", "--value-file", path)
        self.run_nacre("put", self.store, "t", "b", "-", stdin=larger)
        self.put("c", "small")
        info = self.json("table", "info", self.store, "t")
        self.assertEqual(info["large_value_bytes"], 4096)
        files = [name for name in os.listdir(os.path.join(self.store, info["uuid"])) if name.endswith(".val")]
        self.assertEqual(len(files), 2)
        self.assertEqual(self.out("get", self.store, "t", "a"), large)
        self.assertEqual(self.out("get", self.store, "t", "b"), larger)
        self.assertEqual(base64.b64decode(self.out("get", self.store, "t", "YQ==", "--base64")), large)
        self.assertEqual(self.text("scan", self.store, "t", "--keys-only"), "a\nb\nc\n")
        self.run_nacre("verify", self.store)
        for name in files:
            file = os.path.join(self.store, info["uuid"], name)
            self.assertIn("value, sealed", self.text("inspect", file))
            self.assertIn("value end", self.text("dump", file))
        exported = self.out("export", self.store, "t", "--format", "jsonl")
        self.run_nacre("table", "create", self.store, "u", "--large-value-bytes", "0")
        self.run_nacre("import", self.store, "u", "-", "--format", "jsonl", stdin=exported)
        self.assertEqual(self.out("get", self.store, "u", "b"), larger)
        self.run_nacre("table", "create", self.store, "v", "--large-value-bytes", "100", status=USAGE)

    def test_a_get_in_json_looks_at_no_other_key(self):
        self.run_nacre("init", self.store)
        self.run_nacre("table", "create", self.store, "t", "--large-value-bytes", "4096")
        self.put("a", "first")
        self.put("b", "v" * 100000)
        uuid = self.json("table", "info", self.store, "t")["uuid"]
        file, = self.files("*.val", uuid)
        os.truncate(file, os.path.getsize(file) // 2)
        self.run_nacre("get", self.store, "t", "b", "--json", status=DAMAGED)
        self.assertEqual(self.json("get", self.store, "t", "a"), {"key": "a", "value": "first"})
        for key in ("", "aa", "a\x01"):
            self.run_nacre("get", self.store, "t", key, "--json", status=NOT_FOUND)


class Tables(Case):
    def test_create_list_info_rename_drop(self):
        self.run_nacre("init", self.store)
        self.run_nacre("table", "create", self.store, "one")
        self.run_nacre("table", "create", self.store, "two", "--compression", "none", "--block-bytes", "8192",
                       "--filter-bits", "0", "--segment-bytes", "1048576", "--level-ratio", "4")
        listed = self.json("table", "list", self.store)["tables"]
        self.assertEqual([t["name"] for t in listed], ["one", "two"])
        two = self.json("table", "info", self.store, "two")
        self.assertEqual((two["compression"], two["block_bytes"], two["filter_bits_per_key"]),
                         ("none", 8192, 0))
        self.assertEqual((two["segment_bytes"], two["level_ratio"]), (1048576, 4))
        self.assertEqual((listed[0]["segment_bytes"], listed[0]["level_ratio"]), (67108864, 10))
        self.run_nacre("table", "create", self.store, "z", "--segment-bytes", "16383", status=USAGE)
        self.run_nacre("table", "create", self.store, "z", "--level-ratio", "1", status=USAGE)
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
                         [(a, "north", None), (b, "south", "me")])
        self.put("k", "v")
        os.rename(self.path("ring-a"), self.path("away"))
        self.assertEqual(self.out("get", self.store, "t", "k"), b"v")
        os.remove(self.path("ring-b"))
        self.run_nacre("get", self.store, "t", "k", status=NO_KEY)
        os.rename(self.path("away"), self.path("ring-a"))
        self.assertEqual(self.out("get", self.store, "t", "k"), b"v")

    def test_a_mistyped_attribute_of_a_key_is_no_part_of_its_uri(self):
        self.make()
        uri = "local:" + self.path("ring")
        for wrong in (",regio=north", ",region=a,region=b", ",regio=x,region=north"):
            self.run_nacre("table", "create", self.store, "u", "--key", uri + wrong, status=USAGE)
        self.run_nacre("table", "create", self.store, "u", "--key", uri + ",x")

    def test_names_that_are_not_utf_8_stay_apart_in_json(self):
        """Both were once written "x\\\\xff"."""
        self.run_nacre("init", self.store)
        for name in (b"x\xff", b"x\\xff"):
            self.run_nacre("table", "create", self.store, name)
        names = [{k: v for k, v in t.items() if k.startswith("name")}
                 for t in self.json("table", "list", self.store)["tables"]]
        self.assertCountEqual(names, [{"name_base64": "eP8="}, {"name": "x\\xff"}])
        self.assertIn('"table_base64":"eP8="', self.text("stats", self.store, "--json"))

    def test_names_do_not_command_the_terminal(self):
        name = "red\033[31m"
        self.run_nacre("init", self.store)
        self.run_nacre("table", "create", self.store, name)
        self.assertIn("red\\x1b[31m", self.text("stats", self.store))
        for words in (("get", self.store, name, "k"), ("get", self.store, name + "?", "k")):
            done = self.run_nacre(*words, status=NOT_FOUND)
            self.assertIn(b"red\\x1b[31m", done.stderr)
            self.assertNotIn(b"\033", done.stderr)

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


if __name__ == "__main__":
    main(__name__)
