#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Records that expire, on the command line and in every format: cli_expiry_test.py NACRE [TEST...]."""

import calendar
import json
import sys
import time

sys.dont_write_bytecode = True  # nothing is left beside the sources
from cli_case import Case, FAILED, NOT_FOUND, USAGE, main

FAR = 4102444800000  # 2100-01-01
LAST = 2**64 - 1


def ms(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S")) * 1000


class Expiry(Case):
    def expiries(self, table="t"):
        """When each record expires; None: it stays."""
        lines = self.out("scan", self.store, table, "--json").splitlines()
        return {line["key"]: line.get("expires_unix_ms") for line in map(json.loads, lines)}

    def take(self, form, text, *more, **how):
        return self.run_nacre("import", self.store, "t", "-", "--format", form, *more, stdin=text, **how)

    def test_a_put_expires_when_it_is_told_to(self):
        self.make()
        for when, moment in (("2099-01-31", ms("2099-01-31T00:00:00")),
                             ("2099-01-31T12:30:59Z", ms("2099-01-31T12:30:59")),
                             ("2099-01-31T12:30:59.1239+02:30", ms("2099-01-31T10:00:59") + 123),
                             ("2096-02-29T00:00:00-00:30", ms("2096-02-29T00:30:00"))):
            self.put("k", "v", "--expire", when)
            self.assertEqual(self.expiries(), {"k": moment}, when)
        for when, seconds in (("+30s", 30), ("+2m", 120), ("+5h", 18000), ("+90d", 7776000), ("+1w", 604800)):
            before = int(time.time() * 1000)
            self.put("k", "v", "--expire", when)
            moment = self.expiries()["k"] - 1000 * seconds
            self.assertTrue(before <= moment <= time.time() * 1000, when)
        self.put("k", "v")
        self.assertEqual(self.expiries(), {"k": None})

    def test_a_get_tells_when_a_key_expires(self):
        self.make()
        self.put("k", "v", "--expire", "2100-01-01")
        self.put("k2", "stays")
        self.put("", "under the empty key", "--expire", "2100-01-01")
        self.assertEqual(self.json("get", self.store, "t", "k"), {"key": "k", "value": "v", "expires_unix_ms": FAR})
        self.assertEqual(self.json("get", self.store, "t", "k2"), {"key": "k2", "value": "stays"})
        self.assertEqual(self.json("get", self.store, "t", ""),
                         {"key": "", "value": "under the empty key", "expires_unix_ms": FAR})
        self.run_nacre("get", self.store, "t", "k1", "--json", status=NOT_FOUND)
        self.run_nacre("get", self.store, "t", "k3", "--json", status=NOT_FOUND)

    def test_a_put_is_gone_afterwards(self):
        self.make()
        self.put("k", "old")
        self.take("jsonl", json.dumps({"key": "k", "value": "v", "expires_unix_ms": int(time.time() * 1000)}))
        self.run_nacre("get", self.store, "t", "k", status=NOT_FOUND)
        self.assertEqual(self.out("export", self.store, "t"), b"")

    def test_bad_times_are_told(self):
        self.make()
        for when in ("", "tomorrow", "2099-02-29", "2099-13-01", "2099-01-31 12:00:00Z", "2099-01-31T12:00:00",
                     "2099-01-31T24:00:00Z", "2099-01-31T12:00:00.Z", "2099-01-31T12:00:00+2:00", "2099-1-31",
                     "2099-01-31T12:00:00+25:00", "1969-12-31", "+", "+d", "+5", "+5y", "+-5d", "+1.5d",
                     "+99999999999999999999d", "+18446744073709551615w", "12345678", "2099-01-31Z",
                     "2099-01-31T12:00:60Z", " 2099-01-31", "2099-01-31x"):
            error = self.error("put", self.store, "t", "k", "v", "--expire", when, status=USAGE)
            self.assertIn("2027-01-31T12:00:00Z", error["message"], when)
        error = self.error("put", self.store, "t", "k", "v", "--expire", "2020-01-01", status=USAGE)
        self.assertIn("has passed", error["message"])
        self.assertEqual(self.expiries(), {})

    def test_every_format_keeps_it(self):
        self.make()
        wanted = {"stays": None, "far": FAR, "further": 2**63 - 1, "text": 2**63, "last": LAST, "": FAR + 1}
        self.take("jsonl", "".join(json.dumps({"key": key, "value": f"of\t{key},"} | (
            {} if moment is None else {"expires_unix_ms": moment if moment < 2**63 else str(moment)})) + "\n"
            for key, moment in wanted.items()))
        shown = {key: moment if moment is None or moment < 2**63 else str(moment) for key, moment in wanted.items()}
        self.assertEqual(self.expiries(), shown)
        for form, more in (("tsv", ()), ("csv", ("--expire",)), ("jsonl", ())):
            for how in ((), ("--sorted",)):
                table = form + "".join(how)
                data = self.out("export", self.store, "t", "--format", form, *more)
                self.run_nacre("import", self.store, table, "-", "--format", form, "--create", *how, stdin=data)
                self.assertEqual(self.expiries(table), shown, table)
                self.assertEqual(self.out("export", self.store, table, "--format", form, *more), data, table)
        lines = [json.loads(line) for line in self.out("export", self.store).splitlines()]
        self.assertEqual({line["key"]: line.get("expires_unix_ms") for line in lines if line["table"] == "csv"}, shown)

    def test_csv_has_no_place_unless_it_is_asked_for(self):
        self.make()
        self.put("a", "1")
        self.assertEqual(self.out("export", self.store, "t", "--format", "csv"), b"key,value\r\na,1\r\n")
        self.assertEqual(self.out("export", self.store, "t", "--format", "csv", "--expire"),
                         b"key,value,expires_unix_ms\r\na,1,\r\n")
        self.put("b", "2", "--expire", "2100-01-01")
        error = self.error("export", self.store, "t", "--format", "csv", status=FAILED)
        self.assertIn("--expire", error["message"])
        self.assertEqual(self.out("export", self.store, "t", "--format", "csv", "--expire"),
                         b"key,value,expires_unix_ms\r\na,1,\r\nb,2,%d\r\n" % FAR)
        self.run_nacre("export", self.store, "t", "--format", "tsv", "--expire", status=USAGE)
        self.run_nacre("export", self.store, "t", "--expire", status=USAGE)

    def test_columns_and_fields_of_other_files_say_it_too(self):
        self.make()
        self.take("csv", f"expires_unix_ms,v,id\n{FAR},x,1\n,y,2\n", "--key-field", "id")
        self.take("csv", f"id,a,expires_unix_ms,b\n3,x,{FAR},y\n")
        line = f'{{"id": 4, "expires_unix_ms": {FAR}}}'
        self.take("jsonl", line + '\n{"id": 5, "expires_unix_ms": null}\n', "--key-field", "id")
        self.assertEqual(self.expiries(), {"1": FAR, "2": None, "3": FAR, "4": FAR, "5": None})
        self.assertEqual(self.out("get", self.store, "t", "1"), b"x")
        self.assertEqual(self.out("get", self.store, "t", "3"), b'{"a":"x","b":"y"}')
        self.assertEqual(self.out("get", self.store, "t", "4"), line.encode())

    def test_import_says_it_for_the_others(self):
        self.make()
        for how in ((), ("--sorted",)):
            self.take("tsv", f"a\t1\nb\t2\texpires_unix_ms={FAR}\n", "--expire", "2101-01-01", *how)
            self.assertEqual(self.expiries(), {"a": ms("2101-01-01T00:00:00"), "b": FAR})
        self.take("tsv", "a\t1\n", "--expire", "2001-01-01", status=USAGE)

    def test_bad_records_are_told_and_passed_over(self):
        self.make()
        for form, lines in (
                ("tsv", ["a\t1\t2", "a\t1\texpires_unix_ms=", "a\t1\texpires_unix_ms=0", "a\t1\texpires_unix_ms=1x",
                         f"a\t1\texpires_unix_ms={FAR}\t", f"a\t1\texpires_unix_ms={2**64}",
                         f"a\t1\texpires_unix_ms=+{FAR}"]),
                ("jsonl", ['{"key":"a","value":"1","expires_unix_ms":%s}' % word for word in (
                    "0", "-5", "1.5", '"x"', '""', "true", "[1]", '"12\\u0000"')]),
                ("csv", ["key,value,expires_unix_ms"] + [f"a,1,{word}" for word in ("0", "x", "1.5", "-1", '" 1"')])):
            good = {"tsv": "b\t2", "csv": "b,2,", "jsonl": '{"key":"b","value":"2"}'}[form]
            head = lines[:form == "csv"]
            done = self.take(form, "\n".join([*head, lines[-1], good]), "--json", status=FAILED)
            self.assertIn(b"expires_unix_ms", done.stderr)
            self.assertEqual(self.expiries(), {}, form)
            summary = json.loads(self.take(form, "\n".join([*lines, good]), "--skip-bad", "--json").stdout)
            self.assertEqual((summary["records"], summary["skipped_lines"]), (1, len(lines) - len(head)), form)
            self.assertEqual(self.expiries(), {"b": None}, form)
            self.run_nacre("delete", self.store, "t", "b")


if __name__ == "__main__":
    main(__name__)
