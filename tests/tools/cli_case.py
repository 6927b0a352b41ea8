# SPDX-License-Identifier: Apache-2.0
"""What the tests of the command share: cases, with a store to begin with, and how they are run."""

import base64
import glob
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import unittest

SEED = int(os.environ.get("NACRE_TEST_SEED", "20240611"))

DONE, FAILED, USAGE, NOT_FOUND, DAMAGED, NO_KEY, BUSY, NO_SPACE = range(8)
FRAMES_OFFSET = 8192


class Case(unittest.TestCase):
    """A temporary directory, a keyring in it, and a store with one table where a test wants it."""

    nacre = ""  # the command
    templates = ""  # stores that several tests begin with

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
        done = subprocess.run([self.nacre, *words], input=stdin, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=environment or self.environment,
                              cwd=self.dir, timeout=120, check=False)
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
        template = os.path.join(self.templates, name)
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


class Filled(Case):
    """A store whose table has a segment of 3,000 records and a log with one more and a delete."""

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

    def dumped(self, *words, **more):
        return [json.loads(line) for line in self.out("dump", "--json", *words, **more).splitlines()]


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


def main(module):
    """Runs the tests of a module, all or those named, and ends with "N passed, N failed"."""
    if len(sys.argv) < 2:
        sys.exit(f"usage: {os.path.basename(sys.argv[0])} NACRE [TEST...]")
    Case.nacre = os.path.abspath(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    print(f"seed {SEED} (NACRE_TEST_SEED replays it)")
    loader = unittest.TestLoader()
    module = sys.modules[module]
    names = sys.argv[2:]
    suite = loader.loadTestsFromNames(names, module) if names else loader.loadTestsFromModule(module)
    result = unittest.TestResult()
    with tempfile.TemporaryDirectory(prefix="nacre-cli-templates-") as Case.templates:
        suite.run(result)
    for test, trace in result.failures + result.errors:
        print(f"FAILED: {test.id()}\n{trace}")
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    print(f"{result.testsRun - failed - len(result.skipped)} passed, {failed} failed")
    sys.exit(1 if failed else 0)
