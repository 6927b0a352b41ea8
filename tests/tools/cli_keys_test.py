#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Keys that change, the user's trust file, and tables under different keys."""

import json
import os
import pty
import shutil
import stat
import subprocess
import sys
import threading
import unittest

sys.dont_write_bytecode = True  # nothing is left beside the sources
from cli_case import DAMAGED, DONE, FRAMES_OFFSET, NO_KEY, NOT_FOUND, USAGE, Case, Filled, main


class Keyrings(Case):
    """Several keyrings, each by its URI."""

    def uri(self, name):
        return "local:" + self.path(name)

    def trust_path(self):
        return self.path("keyring.trust")

    def trust(self):
        with open(self.trust_path(), encoding="utf-8") as file:
            return json.load(file)

    def entry(self):
        stores = list(self.trust()["stores"].values())
        self.assertEqual(len(stores), 1)
        return stores[0]

    def write_trust(self, text, mode=0o600):
        with open(self.trust_path(), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.trust_path(), mode)

    def lines(self, *words, **more):
        return [json.loads(line) for line in self.out(*words, "--json", **more).splitlines()]

    def status_of(self, table):
        """keys status of one table, or None of the catalogue."""
        for found in self.json("keys", "status", self.store)["tables"]:
            if found["table"] == table:
                return found
        self.fail(f"no table {table}")
        return None

    def data_and_headers(self):
        """The bytes behind the headers, and the headers, of every segment and log."""
        found = {os.path.basename(p): open(p, "rb").read() for p in self.files("*.seg") + self.files("*.log")}
        return ({n: b[FRAMES_OFFSET:] for n, b in found.items() if n.endswith(".seg")},
                {n: b[:FRAMES_OFFSET] for n, b in found.items() if n.endswith(".seg")})


class Changes(Keyrings, Filled):
    def test_a_rotation_touches_headers_only(self):
        data, headers = self.data_and_headers()
        told = self.json("keys", "rotate", self.store, "t", "--wait")
        self.assertEqual((told["kek_version"], told["files_left"], told["done"]), (2, 0, True))
        self.assertEqual(told["retired"], [{"kek_version": 1, "key_uri": None}])
        self.assertEqual(told["key_uris_needed"], ["local:"])
        after, headers_after = self.data_and_headers()
        self.assertEqual(data, after)
        for name, header in headers.items():
            self.assertNotEqual(header, headers_after[name], name)
        self.assertEqual(len(self.exported()), 3000)
        self.run_nacre("verify", self.store)

    def test_a_change_of_keys_frees_the_old_one(self):
        data, _ = self.data_and_headers()
        told = self.text("keys", "set", self.store, "t", "--key", self.uri("second"), "--wait")
        self.assertIn("no file is left under version 1: KMS key local: is no longer needed by this table",
                      told)
        self.run_nacre("keys", "set", self.store, "--key", self.uri("second"))
        os.rename(self.path("keyring"), self.path("keyring.away"))
        self.assertEqual(data, self.data_and_headers()[0])
        self.assertEqual(self.exported()[b"in the log"], b"and nowhere else")
        self.run_nacre("verify", self.store)
        told = self.json("keys", "status", self.store)
        self.assertEqual([n["uri"] for n in told["needed"]], [self.uri("second")])
        self.assertTrue(told["complete"])

    def test_waiting_ends_what_a_change_began(self):
        self.run_nacre("keys", "set", self.store, "t", "--key", self.uri("second"))
        told = self.json("keys", "wait", self.store, "t")
        self.assertEqual((told["table"], told["kek_version"], told["done"]), ("t", 2, True))
        self.assertEqual(told["key_uris_needed"], [self.uri("second")])
        again = self.json("keys", "wait", self.store, "t")
        self.assertEqual((again["retired"], again["files"]), ([], again["files"]))
        everything = self.lines("keys", "wait", self.store)
        self.assertEqual([line["table"] for line in everything], [None, "t"])

    def test_several_keys_each_open_the_table(self):
        self.run_nacre("keys", "set", self.store, "t", "--key", self.uri("eu") + ",region=eu,principal=p",
                       "--key", self.uri("us") + ",region=us", "--wait")
        keys = {key["uri"]: key for key in self.status_of("t")["kms_keys"]}
        self.assertEqual(keys[self.uri("eu")]["region"], "eu")
        self.assertEqual(keys[self.uri("eu")]["principal"], "p")
        self.assertEqual(keys[self.uri("us")]["state"], "usable")
        os.remove(self.path("eu"))
        keys = {key["uri"]: key for key in self.status_of("t")["kms_keys"]}
        self.assertEqual(keys[self.uri("eu")]["state"], "missing")
        self.assertIsNotNone(keys[self.uri("eu")]["reason"])
        self.assertEqual(len(self.exported()), 3000)
        text = self.text("keys", "status", self.store, "t")
        for word in ("KMS KEY", "REGION", "LAST CHECKED", "VERSIONS", "FILES", "missing", "usable", "in use"):
            self.assertIn(word, text)
        self.assertIn("Any other KMS key may be disabled as far as this table goes", text)

    def test_a_key_that_cannot_be_used_changes_nothing(self):
        before = self.tree()
        os.mkdir(self.path("no keyring"))
        error = self.error("keys", "set", self.store, "t", "--key", self.uri("no keyring"), status=NO_KEY)
        self.assertIn("table t", error["message"])
        self.assertEqual(self.status_of("t")["versions"][0]["kek_version"], 1)
        self.assertEqual(len(self.status_of("t")["versions"]), 1)
        after = self.tree()
        for path, content in before.items():
            self.assertEqual(content, after.get(path), path)

    def test_the_progress_is_for_terminals(self):
        self.assertEqual(self.run_nacre("keys", "rotate", self.store, "t", "--wait").stderr, b"")
        self.assertEqual(self.run_nacre("keys", "rotate", self.store, "t", "--wait", "--quiet").stdout, b"")

    def test_mistakes_are_told(self):
        for words in (("set", self.store, "t"), ("set", self.store), ("rotate", self.store, "t", "--trust"),
                      ("set", self.store, "t", "--key", "local:relative"),
                      ("set", self.store, "--key", "local:", "--key", self.uri("second")),
                      ("status", self.store, "--wait"), ("wait", self.store, "t", "--wait"),
                      ("set", self.store, "t", "--key", "nobody:x"), ("rotate",)):
            self.run_nacre("keys", *words, status=USAGE)
        for command in ("status", "rotate", "wait"):
            self.run_nacre("keys", command, self.store, "none", status=NOT_FOUND)
        self.run_nacre("keys", "set", self.store, "none", "--key", "local:", status=NOT_FOUND)
        self.run_nacre("init", self.path("other"), "--trust-key", "local:", status=USAGE)


class Page(Keyrings, Filled):
    def test_the_commands_of_the_page_do_what_it_says(self):
        page = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "README.md")
        with open(page, encoding="utf-8") as file:
            commands = file.read().split("\n## Changing keys\n")[1].split("```")[1].strip().splitlines()
        said = b""
        for line in commands:
            words = line.split("#")[0].replace("/srv/records", self.store).replace("people", "t")
            words = words.replace("/mnt/vault/keyring", self.path("vault")).split()
            self.assertEqual(words[0], "nacre")
            said += self.out(*words[1:])
        self.assertEqual(len(commands), 5)
        self.assertIn(b"KMS key local: is no longer needed by this table", said)
        os.remove(self.path("keyring"))
        self.assertEqual(len(self.exported()), 3000)


class Trust(Keyrings):
    def test_init_and_a_named_key_are_remembered(self):
        self.run_nacre("init", self.store)
        self.assertEqual(self.entry()["key"], {"uri": "local:"})
        self.assertEqual(stat.S_IMODE(os.stat(self.trust_path()).st_mode), 0o600)
        other = self.path("other")
        self.run_nacre("init", other, "--key", self.uri("second") + ",region=eu")
        self.run_nacre("table", "create", other, "t")
        self.assertEqual(len(self.trust()["stores"]), 2)
        os.remove(self.trust_path())
        self.run_nacre("table", "list", other, status=NO_KEY)
        self.run_nacre("table", "list", other, "--key", self.uri("second") + ",region=eu")
        self.assertEqual(self.entry()["key"], {"uri": self.uri("second"), "region": "eu"})
        self.run_nacre("table", "list", other)
        for words in (("verify", other), ("stats", other), ("keys", "status", other)):
            self.run_nacre(*words)

    def test_a_further_key_may_be_allowed_and_is_not_remembered(self):
        self.run_nacre("init", self.store, "--key", self.uri("second"))
        os.remove(self.trust_path())
        self.run_nacre("table", "list", self.store, "--trust-key", self.uri("third"), status=NO_KEY)
        self.run_nacre("table", "list", self.store, "--trust-key", self.uri("third"), "--trust-key",
                       self.uri("second"))
        self.run_nacre("--trust-key", self.uri("second"), "table", "list", self.store)
        self.assertFalse(os.path.exists(self.trust_path()))
        self.run_nacre("table", "list", self.store, status=NO_KEY)

    def test_the_entry_follows_a_change(self):
        self.run_nacre("init", self.store)
        first = self.entry()
        self.run_nacre("keys", "rotate", self.store)
        second = self.entry()
        self.assertEqual(second["key"], {"uri": "local:"})
        self.assertNotEqual(first["commitment"], second["commitment"])
        self.run_nacre("keys", "set", self.store, "--key", self.uri("second"))
        self.assertEqual(self.entry()["key"], {"uri": self.uri("second")})
        status = self.json("keys", "status", self.store)["tables"][0]
        self.assertEqual(self.entry()["commitment"], status["versions"][0]["commitment"])
        os.remove(self.path("keyring"))
        self.run_nacre("table", "list", self.store)

    def test_a_store_that_was_put_back_is_not_trusted(self):
        self.run_nacre("init", self.store)
        shutil.copytree(self.store, self.path("older"))
        self.run_nacre("keys", "rotate", self.store)
        shutil.rmtree(self.store)
        shutil.copytree(self.path("older"), self.store)
        error = self.error("table", "list", self.store, status=DAMAGED)
        self.assertEqual((error["status"], error["id"]), ("NACRE_TAMPERED", 2322))
        self.assertIn("--key", error["message"])
        self.run_nacre("verify", self.store, status=DAMAGED)
        before = self.entry()
        done = self.run_nacre("table", "list", self.store, "--key", "local:")
        self.assertIn(b"not the one that was trusted", done.stderr)
        self.assertNotEqual(before["commitment"], self.entry()["commitment"])
        self.assertEqual(self.run_nacre("table", "list", self.store).stderr, b"")

    def test_a_named_key_that_does_not_open_is_not_remembered(self):
        self.run_nacre("init", self.store)
        before = self.trust()
        self.run_nacre("init", self.path("other"), "--key", self.uri("second"))
        os.remove(self.trust_path())
        self.write_trust(json.dumps(before))
        self.run_nacre("table", "list", self.store, "--key", self.uri("second"), status=NO_KEY)
        self.assertEqual(self.trust(), before)

    def test_damage_is_told_and_left_alone(self):
        self.run_nacre("init", self.store)
        good = open(self.trust_path(), encoding="utf-8").read()
        entry = self.entry()
        uuid = next(iter(self.trust()["stores"]))
        spoilt = [
            "", "{", "[]", good[:-4], good + "x", good.replace('"key"', '"kye"'),
            good.replace('"uri"', '"url"'), good.replace('"uri"', '"regoin": "eu", "uri"'),
            good.replace(entry["commitment"], entry["commitment"][:-1]),
            good.replace(entry["commitment"], entry["commitment"].upper()),
            good.replace(uuid, uuid[:-1] + "x"),
            good.replace('"local:"', '""'), good.replace('"local:"', '7'),
            good.replace('"local:"', '"a\\u0000b"'),
            good.replace("stores", "stroes"), json.dumps({"nacre_trust": 1}),
            json.dumps({"nacre_trust": 1, "stores": {}, "more": 1}),
        ]
        for text in spoilt:
            self.assertNotEqual(text, good)
            self.write_trust(text)
            for words in (("table", "list", self.store), ("table", "list", self.store, "--key", "local:"),
                          ("verify", self.store), ("init", self.path("new"))):
                error = self.error(*words, status=DAMAGED)
                self.assertIn("trust file", error["message"])
                self.assertEqual(error["file"], self.trust_path())
            self.assertEqual(open(self.trust_path(), encoding="utf-8").read(), text)
            self.assertFalse(os.path.exists(self.path("new")))
        self.write_trust(good.replace('"nacre_trust": 1', '"nacre_trust": 2'))
        self.assertEqual(self.error("table", "list", self.store, status=1)["status"], "NACRE_UNSUPPORTED")
        self.run_nacre("verify", self.store, "--keyless")
        self.write_trust(good)
        self.run_nacre("table", "list", self.store)

    def test_only_the_user_may_write_it(self):
        self.run_nacre("init", self.store)
        os.chmod(self.trust_path(), 0o644)
        error = self.error("table", "list", self.store, status=NO_KEY)
        self.assertEqual(error["status"], "NACRE_KEY_DENIED")
        os.chmod(self.trust_path(), 0o600)
        os.rename(self.trust_path(), self.path("elsewhere"))
        os.symlink(self.path("elsewhere"), self.trust_path())
        self.assertEqual(self.error("table", "list", self.store, status=NO_KEY)["status"], "NACRE_KEY_DENIED")
        os.remove(self.trust_path())
        os.mkdir(self.trust_path())
        self.assertEqual(self.error("table", "list", self.store, status=NO_KEY)["status"], "NACRE_KEY_DENIED")

    def test_what_a_crash_left_is_no_hindrance(self):
        self.write_trust("{}")
        os.rename(self.trust_path(), self.trust_path() + ".new")
        self.run_nacre("init", self.store)
        self.assertFalse(os.path.exists(self.trust_path() + ".new"))
        self.assertEqual(self.entry()["key"], {"uri": "local:"})

    def test_what_cannot_be_remembered_is_only_a_warning(self):
        self.run_nacre("init", self.store, "--key", self.uri("second"))
        os.remove(self.trust_path())
        os.remove(self.trust_path() + ".lock")
        os.mkdir(self.trust_path() + ".lock")
        done = self.run_nacre("table", "list", self.store, "--key", self.uri("second"))
        self.assertIn(b"not remembered", done.stderr)
        nowhere = {**self.environment}
        del nowhere["NACRE_KEYRING"], nowhere["HOME"]
        self.run_nacre("table", "list", self.store, "--key", self.uri("second"), environment=nowhere)

    def test_many_at_once_lose_no_entry(self):
        stores = [self.path(f"store {i}") for i in range(12)]
        threads = [threading.Thread(target=self.run_nacre, args=("init", store)) for store in stores]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(self.trust()["stores"]), len(stores))

    def test_a_salvaged_store_under_another_key_is_remembered(self):
        self.run_nacre("init", self.store)
        self.run_nacre("table", "create", self.store, "t")
        self.put("k", "v")
        new = self.path("new")
        self.run_nacre("salvage", self.store, "t", "--to", new, "--to-key", self.uri("second"))
        self.assertEqual(self.out("get", new, "t", "k"), b"v")
        self.assertEqual(len(self.trust()["stores"]), 2)

    def test_a_store_looked_into_by_its_files(self):
        self.run_nacre("init", self.store, "--key", self.uri("second"))
        self.run_nacre("table", "create", self.store, "t")
        self.put("k", "v")
        log = self.files("*.log")[0]
        self.run_nacre("dump", log)
        os.remove(self.trust_path())
        self.run_nacre("dump", log, status=NO_KEY)
        self.run_nacre("dump", log, "--trust-key", self.uri("second"))

    def test_another_stores_uuid_opens_nothing(self):
        """The UUID is read without a key: a store that borrows another's is opened as that one, and fails."""
        self.run_nacre("init", self.store)
        self.run_nacre("init", self.path("other"), "--key", self.uri("second"))
        for copy in ("KEYS.a", "KEYS.b"):
            shutil.copy(os.path.join(self.path("other"), "catalogue", copy),
                        os.path.join(self.store, "catalogue", copy))
        self.run_nacre("table", "list", self.store, status=DAMAGED)


class DifferentKeys(Keyrings):
    """Three tables, each under a keyring of its own; the second one's is gone."""

    def setUp(self):
        super().setUp()
        self.run_nacre("init", self.store)
        for name in ("a", "b", "c"):
            self.run_nacre("table", "create", self.store, name, "--key", self.uri("ring " + name))
            self.run_nacre("put", self.store, name, "key", "of " + name)
        self.run_nacre("put", self.store, "b", "in the log", "only")
        os.rename(self.path("ring b"), self.path("ring b.away"))

    def check_named(self, stderr):
        errors = [json.loads(line)["error"] for line in stderr.splitlines()]
        self.assertEqual(len(errors), 1)
        self.assertIn("table b: ", errors[0]["message"])
        self.assertIn("ring b", errors[0]["message"])

    def test_export_goes_on(self):
        done = self.run_nacre("export", self.store, "--json", status=NO_KEY)
        self.check_named(done.stderr)
        self.assertEqual([json.loads(line) for line in done.stdout.splitlines()],
                         [{"table": name, "key": "key", "value": "of " + name} for name in ("a", "c")])
        self.run_nacre("export", self.store, "--format", "csv", status=USAGE)
        self.assertEqual(self.text("export", self.store, "a", "--format", "tsv"), "key\tof a\n")

    def test_stats_goes_on(self):
        done = self.run_nacre("stats", self.store, "--json", status=NO_KEY)
        self.check_named(done.stderr)
        self.assertEqual([json.loads(line)["table"] for line in done.stdout.splitlines()], ["a", "c"])

    def test_verify_goes_on(self):
        report = self.json("verify", self.store, status=NO_KEY)
        self.assertEqual(len(report["faults"]), 1)
        self.assertIn("table b: ", report["faults"][0]["message"])
        self.assertEqual((report["tables"], report["entries"]), (3, 2))

    def test_keys_status_goes_on(self):
        done = self.run_nacre("keys", "status", self.store, "--json", status=NO_KEY)
        self.check_named(done.stderr)
        told = json.loads(done.stdout)
        self.assertFalse(told["complete"])
        self.assertEqual([t["table"] for t in told["tables"]], [None, "a", "b", "c"])
        self.assertEqual(["error" in t for t in told["tables"]], [False, False, True, False])
        self.assertIn({"uri": self.uri("ring b"), "tables": ["b"]}, told["needed"])
        text = self.run_nacre("keys", "status", self.store, status=NO_KEY).stdout.decode()
        self.assertIn("cannot be opened", text)
        self.assertIn("disable none", text)

    def test_keys_wait_goes_on(self):
        done = self.run_nacre("keys", "wait", self.store, "--json", status=NO_KEY)
        self.check_named(done.stderr)
        self.assertEqual([json.loads(line)["table"] for line in done.stdout.splitlines()], [None, "a", "c"])

    def test_the_others_change_keys_and_the_lost_one_comes_back(self):
        self.run_nacre("keys", "set", self.store, "--key", self.uri("new"))
        self.run_nacre("keys", "rotate", self.store, "a", "--wait")
        self.run_nacre("keys", "rotate", self.store, "b", status=NO_KEY)
        os.rename(self.path("ring b.away"), self.path("ring b"))
        self.assertEqual(self.text("get", self.store, "b", "in the log"), "only")
        self.run_nacre("verify", self.store)


class Terminal(Keyrings, Filled):
    def test_a_line_stands_only_while_it_works(self):
        master, slave = pty.openpty()
        words = [self.nacre, "keys", "rotate", self.store, "t", "--wait"]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=slave,
                              env=self.environment, timeout=60, check=False)
        os.close(slave)
        self.assertEqual(done.returncode, DONE)
        shown = b""
        try:
            while part := os.read(master, 4096):
                shown += part
        except OSError:
            pass
        os.close(master)
        self.assertTrue(shown == b"" or shown.endswith(b"\r\x1b[K"), shown)


if __name__ == "__main__":
    unittest.TestCase.maxDiff = None
    main(__name__)
