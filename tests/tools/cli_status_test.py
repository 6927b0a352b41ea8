#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How a command ends, and what it tells: statuses, help, terminals: cli_status_test.py NACRE [TEST...]."""

import fcntl
import glob
import json
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True  # nothing is left beside the sources
from cli_case import BUSY, Case, DONE, FAILED, NOT_FOUND, NO_KEY, NO_SPACE, USAGE, main


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
        writer = subprocess.Popen([self.nacre, "import", self.store, "t", "-", "--format", "tsv",
                                   "--acknowledge", "--batch", "1"],
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
            done = subprocess.run([self.nacre, "scan", self.store, "t"], stdout=full, stderr=subprocess.PIPE,
                                  env=self.environment, check=False)
        self.assertEqual(done.returncode, NO_SPACE)
        self.assertIn(b"standard output", done.stderr)

    def test_no_space_for_more_than_a_buffer(self):
        """Told as "Input/output error" once: what failed first was no longer known at the end."""
        self.make()
        self.load({f"{i:06}".encode(): b"x" * 100 for i in range(2000)})
        for words in (("export", self.store, "t"), ("export", self.store, "t", "--format", "csv"),
                      ("scan", self.store, "t"), ("scan", self.store, "t", "--json")):
            with open("/dev/full", "wb") as full:
                done = subprocess.run([self.nacre, *words], stdout=full, stderr=subprocess.PIPE,
                                      env=self.environment, check=False)
            self.assertEqual(done.returncode, NO_SPACE, words)
            self.assertEqual(done.stderr.count(b"standard output"), 1, words)

    def test_closed_pipe_is_quiet(self):
        self.make()
        self.load({f"key {i:06}".encode(): b"x" * 100 for i in range(20000)})
        for words in (("scan", self.store, "t"), ("export", self.store, "t"),
                      ("export", self.store, "t", "--format", "csv"), ("help",)):
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run([self.nacre, *words], stdout=writer, stderr=subprocess.PIPE,
                                  env=self.environment, check=False)
            os.close(writer)
            self.assertEqual((done.returncode, done.stderr), (DONE, b""), words)
        child = subprocess.Popen([self.nacre, "scan", self.store, "t"], stdout=subprocess.PIPE,
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
        done = subprocess.run([self.nacre, "import", self.store, "t", "-", "--format", "tsv",
                               "--acknowledge"], input=b"a\tb\n", stdout=writer,
                              stderr=subprocess.PIPE, env=self.environment, check=False)
        os.close(writer)
        self.assertEqual(done.returncode, FAILED)

    def test_closed_standard_descriptors(self):
        self.make()
        for closed in ("<&-", ">&-", "2>&-", "<&- >&- 2>&-"):
            subprocess.run(["/bin/sh", "-c", f'"$0" put "$1" t k v {closed}', self.nacre, self.store],
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
                                 "table rename", "put", "get", "delete", "scan", "count", "import", "export",
                                 "inspect", "dump", "verify", "flush", "compact", "stats", "help", "version"})
        for name in names:
            page = self.text("help", *name.split())
            self.assertIn("example:\n  nacre " + name, page)
            self.assertIn(f"usage: nacre {name}", page)
            self.assertEqual(page, self.text(*name.split(), "--help"))
            for option in re.findall(r"^  --([a-z0-9-]+)", page, re.M):
                self.assertNotIn("nothing", option)
        self.assertEqual(self.text("help", "table").count("usage:"), 5)
        self.assertEqual(self.text("table", "--help"), self.text("help", "table"))

    def test_every_error_has_a_meaning_and_a_remedy(self):
        errors = [json.loads(line) for line in self.out("help", "errors", "--json").splitlines()]
        self.assertGreater(len(errors), 150)
        told = self.text("help", "errors")
        for error in errors:
            entry = f"{error['id']}  {error['status']}: {error['message']}\n      {error['remedy']}\n"
            self.assertIn(entry, told)
        self.assertEqual(self.text("help", "1206"), next(
            f"1206  {error['status']}: {error['message']}\n      {error['remedy']}\n"
            for error in errors if error["id"] == 1206))
        for words in (("help", "1"), ("help", "99999999999999999999"), ("help", "1206", "1207")):
            self.run_nacre(*words, status=USAGE)
        # The number that a message bears is one that help knows.
        failed = self.error("get", self.path("nowhere"), "t", "k", status=NOT_FOUND)
        self.assertIn(str(failed["id"]), self.text("help", str(failed["id"])))

    def test_every_option_of_every_page_is_known_to_the_parser(self):
        for name in re.findall(r"^  ((?:table )?[a-z]+)  ", self.text("help"), re.M):
            for option, value in re.findall(r"^  --([a-z0-9-]+)( \S+)?", self.text("help", *name.split()),
                                            re.M):
                # Too many arguments come after the options: an option that is not known would be told first.
                words = [*name.split(),
                         "--" + option] + (["1" if value.strip() == "N" else "x"] if value else [])
                done = subprocess.run([self.nacre, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      env=self.environment,
                                      stdin=subprocess.DEVNULL, cwd=self.dir, check=False)
                self.assertNotIn(b"has no option", done.stderr, words)

    def test_version(self):
        self.assertRegex(self.text("version"), r"\Anacre \d+\.\d+\.\d+\n\Z")
        self.assertEqual("nacre " + self.json("version")["version"] + "\n", self.text("--version"))

    def test_a_mistyped_command_gets_a_hint(self):
        self.assertIn(b'"scan"', self.run_nacre("scna", status=USAGE).stderr)


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
        subprocess.run([self.nacre, *words], stdout=follower, stderr=follower, env=environment, check=True)
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


if __name__ == "__main__":
    main(__name__)
