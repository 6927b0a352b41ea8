#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""nacre keyring, and keyrings under a passphrase: from a file, and typed on a terminal.

A terminal is a pty of which the command is the session's leader, as under a shell."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
import unittest

from cli_case import BUSY, DONE, FAILED, NO_KEY, NOT_FOUND, USAGE, Case, main  # noqa: F401

PROMPT = b": "


class Terminal:
    """A command on a terminal of its own; what is typed, and what is seen."""

    def __init__(self, case, *words):
        self.near, far = pty.openpty()

        def lead():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)  # under nohup one is ignored, and stays so
            os.setsid()
            fcntl.ioctl(far, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen([case.nacre, *words], stdin=far, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=case.environment, cwd=case.dir,
                                        preexec_fn=lead, close_fds=True)
        os.close(far)
        self.seen = b""

    def echoes(self):
        return bool(termios.tcgetattr(self.near)[3] & termios.ECHO)

    def wait_for(self, text):
        """Reads until `text` stands at the end, and the terminal no longer echoes."""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if self.seen.endswith(text) and not self.echoes():
                return
            if select.select([self.near], [], [], 0.05)[0]:
                self.seen += os.read(self.near, 4096)
        raise AssertionError(f"{text!r} is not seen: {self.seen!r}")

    def type(self, text):
        self.wait_for(PROMPT)
        self.seen += b"|"
        os.write(self.near, text)

    def end(self):
        """(exit status, standard output, standard error)"""
        out, err = self.process.communicate(timeout=60)
        while select.select([self.near], [], [], 0)[0]:
            try:
                self.seen += os.read(self.near, 4096)
            except OSError:  # nobody has the other end any more
                break
        os.close(self.near)
        return self.process.returncode, out.decode(), err.decode()


class Keyring(Case):
    def passphrase_file(self, text, name="pass"):
        with open(self.path(name), "w", encoding="utf-8") as file:
            os.chmod(self.path(name), 0o600)
            file.write(text)
        return self.path(name)

    def use_passphrase(self, text):
        self.environment["NACRE_PASSPHRASE_FILE"] = self.passphrase_file(text)

    def on_terminal(self, *words, typed=(), status=DONE):
        terminal = Terminal(self, *words)
        for each in typed:
            terminal.type(each)
        ended, out, err = terminal.end()
        self.assertEqual(ended, status, f"{out}\n{err}\n{terminal.seen!r}")
        for each in filter(None, (word.strip(b"\n\x04") for word in typed)):
            self.assertNotIn(each, terminal.seen)
            self.assertNotIn(each.decode(), out + err)
        return terminal.seen, out, err

    def test_keys_are_listed_added_and_removed(self):
        self.make()
        self.put("k", "v")
        listed = self.json("keyring", "list")
        self.assertEqual((listed["keyring"], listed["passphrase"]), (self.path("keyring"), False))
        first = listed["keys"][0]
        self.assertTrue(first["wraps"])
        self.assertEqual(self.error("keyring", "remove", first["id"], status=USAGE)["id"], 2406)
        second = self.json("keyring", "add")["id"]
        keys = self.json("keyring", "list")["keys"]
        self.assertEqual([(key["id"], key["wraps"]) for key in keys], [(first["id"], False), (second, True)])
        self.assertEqual(self.out("get", self.store, "t", "k"), b"v")
        self.run_nacre("table", "create", self.store, "younger")
        self.assertIn("opens what it wrapped", self.text("keyring", "list"))
        self.assertIn("has no passphrase", self.text("keyring", "list"))
        with open(self.path("keyring"), "rb") as file:
            whole = file.read()
        self.assertIn("can be opened only with a copy", self.text("keyring", "remove", first["id"]))
        self.error("get", self.store, "t", "k", status=NO_KEY)
        with open(self.path("copy"), "wb") as file:  # the copy that is spoken of
            os.fchmod(file.fileno(), 0o600)
            file.write(whole)
        os.rename(self.path("copy"), self.path("keyring"))
        self.assertEqual(self.out("get", self.store, "t", "k"), b"v")

    def test_mistakes_are_told(self):
        self.assertEqual(self.error("keyring", "list", status=NO_KEY)["id"], 2313)
        self.run_nacre("init", self.store)
        self.assertEqual(self.error("keyring", "remove", "x", status=USAGE)["id"], 2013)
        nobody = "00000000-0000-0000-0000-000000000000"
        self.assertEqual(self.error("keyring", "remove", nobody, status=NOT_FOUND)["id"], 2407)
        self.error("keyring", "list", "--keyring", "", status=USAGE)
        self.error("keyring", "list", "--keyring", self.path("none"), status=NO_KEY)
        self.error("keyring", "passphrase", "--remove", "--new-passphrase-file", "x", status=USAGE)
        self.error("keyring", "passphrase", "--remove", status=NOT_FOUND)
        self.error("keyring", "passphrase", "secret", status=USAGE)
        os.chmod(self.path("keyring"), 0o640)
        self.assertEqual(self.error("keyring", "list", status=NO_KEY)["id"], 2314)

    def test_another_keyring_may_be_named(self):
        self.run_nacre("init", self.store, "--key", "local:" + self.path("other"))
        self.json("keyring", "add", "--keyring", "other")
        self.assertEqual(len(self.json("keyring", "list", "--keyring", self.path("other"))["keys"]), 2)

    def test_a_passphrase_from_files(self):
        self.use_passphrase("from a file\nnot this\n")
        made = self.json("init", self.store)
        self.assertTrue(made["passphrase"])
        self.run_nacre("table", "create", self.store, "t")
        with open(self.path("keyring"), "rb") as file:
            self.assertEqual(file.read(20)[10:], bytes([1, 0, 1, 0, 0, 0, 17, 8, 1, 0]))
        self.use_passphrase("wrong")
        self.assertEqual(self.error("table", "list", self.store, status=NO_KEY)["id"], 2402)
        del self.environment["NACRE_PASSPHRASE_FILE"]
        self.assertEqual(self.error("table", "list", self.store, status=NO_KEY)["id"], 2401)
        self.use_passphrase("from a file")
        os.chmod(self.path("pass"), 0o644)
        self.assertEqual(self.error("table", "list", self.store, status=NO_KEY)["id"], 2403)
        new = self.passphrase_file("new one", "new")
        self.use_passphrase("from a file")
        self.assertTrue(self.json("keyring", "passphrase", "--new-passphrase-file", new)["passphrase"])
        self.use_passphrase("new one")
        self.assertFalse(self.json("keyring", "passphrase", "--remove")["passphrase"])
        del self.environment["NACRE_PASSPHRASE_FILE"]
        self.assertEqual(len(self.json("table", "list", self.store)), 1)

    def test_a_passphrase_typed(self):
        seen, out, _ = self.on_terminal("init", self.store, "--passphrase",
                                        typed=[b"first word\n", b"second word\n", b"\n", b"\n", b"typed\n", b"typed\n"])
        self.assertIn(b"These are not the same.", seen)
        self.assertIn(b"An empty passphrase is none.", seen)
        self.assertIn("under a passphrase", out)
        self.on_terminal("table", "create", self.store, "t", typed=[b"typed\n"])
        _, _, err = self.on_terminal("table", "list", self.store, typed=[b"wrong\n"], status=NO_KEY)
        self.assertIn("does not open the keyring", err)
        seen, _, _ = self.on_terminal("verify", self.store, typed=[b"typed\n"])  # several opens, one question
        self.assertEqual(seen.count(PROMPT), 1)

    def test_a_first_use_is_not_asked_about(self):
        seen, out, _ = self.on_terminal("init", self.store)
        self.assertNotIn(PROMPT, seen)
        self.assertNotIn("under a passphrase", out)
        self.assertEqual(self.error("init", self.path("second"), "--passphrase", status=FAILED)["status"],
                         "NACRE_EXISTS")
        self.assertFalse(os.path.exists(self.path("second")))

    def test_signals_leave_the_terminal_as_it_was(self):
        self.use_passphrase("x")
        self.run_nacre("init", self.store)
        del self.environment["NACRE_PASSPHRASE_FILE"]
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            terminal = Terminal(self, "keyring", "list")
            terminal.wait_for(PROMPT)
            self.assertFalse(terminal.echoes())
            if number == signal.SIGINT:
                os.write(terminal.near, b"\x03")  # typed
            else:
                terminal.process.send_signal(number)
            self.assertEqual(terminal.process.wait(60), -number)
            self.assertTrue(terminal.echoes())
            terminal.end()

    def test_a_stopped_question_is_asked_again(self):
        """Nobody could let a session's leader go on, so it is not stopped; but it takes the same way."""
        self.use_passphrase("x")
        self.run_nacre("init", self.store)
        del self.environment["NACRE_PASSPHRASE_FILE"]
        terminal = Terminal(self, "keyring", "list")
        terminal.wait_for(PROMPT)
        terminal.seen += b"|"
        terminal.process.send_signal(signal.SIGTSTP)
        terminal.type(b"x\n")
        status, out, err = terminal.end()
        self.assertEqual(status, DONE, err)
        self.assertEqual(terminal.seen.count(PROMPT), 2)
        self.assertIn("lies under a passphrase", out)

    def test_the_end_of_input_is_no_passphrase(self):
        self.use_passphrase("x")
        self.run_nacre("init", self.store)
        del self.environment["NACRE_PASSPHRASE_FILE"]
        self.on_terminal("keyring", "list", typed=[b"\x04"], status=NO_KEY)

    def test_a_change_waits_for_nobody(self):
        self.run_nacre("init", self.store)
        with open(self.path("keyring"), "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self.assertEqual(self.error("keyring", "add", status=BUSY)["id"], 2408)
        self.run_nacre("keyring", "add")


if __name__ == "__main__":
    main(__name__)
