#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command leaves no core dump, for records lie in its memory: cli_core_test.py NACRE [TEST...]."""

import glob
import os
import resource
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True  # nothing is left beside the sources
from cli_case import Case, main


def as_much_core_as_may_be():
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))


class Core(Case):
    def aborted(self, *command):
        """Whether the kernel dumped a core of a command that was aborted while it waits for its input."""
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=self.dir,
                                   env=self.environment, preexec_fn=as_much_core_as_may_be)
        process.stdin.write(b'{"key": "canary", "value": "canary"}\n')
        process.stdin.flush()
        while not self.waits(process.pid):
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGABRT)
        status = os.waitpid(process.pid, 0)[1]
        process.returncode = -signal.SIGABRT
        process.stdin.close()
        self.assertEqual(os.WTERMSIG(status), signal.SIGABRT)
        return os.WCOREDUMP(status)

    @staticmethod
    def waits(pid):
        with open(f"/proc/{pid}/wchan", encoding="ascii") as where:
            return "pipe" in where.read()

    def test_an_aborted_command_leaves_no_core(self):
        self.make()
        if not self.aborted("cat"):
            self.skipTest("nothing leaves a core here")
        for core in glob.glob(self.path("core*")):
            os.unlink(core)
        self.assertFalse(self.aborted(self.nacre, "put", self.store, "t", "key", "-"))
        self.assertFalse(self.aborted(self.nacre, "import", self.store, "t", "-", "--format", "jsonl"))
        self.assertEqual(glob.glob(self.path("core*")), [])


if __name__ == "__main__":
    main(__name__)
