#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Published test vectors against Nacre's AEAD, HKDF-Expand and HMAC: vectors.py PROGRAM SOURCE_ROOT.

Reads the vectors where they are, writes them as lines (vectors.c has the grammar) to PROGRAM, which checks them, and ends as
PROGRAM does. A source that is missing is said to be; one that is there but holds no vector that Nacre can express is an error.

  RFC 5869     appendix A.1 to A.3, the expand steps; below
  NIST CAVP    AES-GCM, from the Debian package python3-cryptography-vectors
  Wycheproof   AES-GCM, HKDF-SHA256, HMAC-SHA256, from NACRE_WYCHEPROOF (../shared/vectors/wycheproof beside the sources)

Nacre has AES-GCM with 256-bit keys, 96-bit nonces and 128-bit tags only, and HMAC and Expand with 32-byte keys. Vectors of
other sizes are counted as not applicable. A vector of all of HKDF enters with its PRK extracted here (RFC 5869, section 2.2).
"""
import hashlib
import hmac
import json
import os
import re
import subprocess
import sys

PACKAGE = "python3-cryptography-vectors"
GCM_BITS = {"Keylen": "256", "IVlen": "96", "Taglen": "128"}

# PRK, info, OKM
RFC_5869 = {
    "A.1": ("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "f0f1f2f3f4f5f6f7f8f9",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"),
    "A.2": ("06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            bytes(range(0xb0, 0x100)).hex(),
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
            "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"),
    "A.3": ("19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"),
}


def line(kind, name, valid, *fields):
    return " ".join([kind, name, "valid" if valid else "invalid", *(str(field) or "-" for field in fields)])


def source(name, lines, total):
    """The lines of one source, of whose `total` vectors these are the applicable ones."""
    if not lines:
        sys.exit(f"{name}: none of its {total} vectors is one for Nacre; has its format changed?")
    return [f"source {total - len(lines)} {name}", *lines]


def rfc_5869():
    lines = [line("hkdf", name, True, prk, info, len(okm) // 2, okm) for name, (prk, info, okm) in RFC_5869.items()]
    return source("RFC 5869, HKDF-Expand", lines, len(lines))


def response_vectors(path):
    """The vectors of a CAVP response file, each with the sizes that its section opens with."""
    sizes, vector = {}, {}
    with open(path, encoding="ascii") as file:
        for text in file:
            key, equals, value = (part.strip() for part in text.strip("[] \r\n").partition("="))
            if text.startswith("["):
                sizes[key] = value
            elif key == "Count":
                vector = dict(sizes, Count=value)
            elif equals or key == "FAIL":
                vector[key] = value
            elif not key and vector:
                yield vector
                vector = {}
    if vector:
        yield vector


def nist_gcm():
    try:
        listing = subprocess.run(["dpkg", "-L", PACKAGE], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        print(f"NIST CAVP, AES-GCM: skipped, because the Debian package {PACKAGE} is not installed")
        return []
    lines = []
    for family in ["gcmEncryptExtIV", "gcmDecrypt"]:
        paths = re.findall(rf"^.*/{family}\d+\.rsp$", listing, re.M)
        applicable, total = [], 0
        for path in paths:
            for v in response_vectors(path):
                total += 1
                if all(v[name] == bits for name, bits in GCM_BITS.items()):
                    name = f"PT{v['PTlen']}/AAD{v['AADlen']}/{v['Count']}"
                    applicable.append(line("gcm", name, "FAIL" not in v, v["Key"], v["IV"], v["AAD"],
                                           v.get("PT", ""), v["CT"], v["Tag"]))
        lines += source(f"NIST CAVP, {family}", applicable, total)
    return lines


def wycheproof_gcm(t):
    if (len(t["key"]), len(t["iv"]), len(t["tag"])) != (64, 24, 32):
        return None
    return line("gcm", f"tc{t['tcId']}", t["valid"], t["key"], t["iv"], t["aad"], t["msg"], t["ct"], t["tag"])


def wycheproof_hkdf(t):
    prk = hmac.new(bytes.fromhex(t["salt"]), bytes.fromhex(t["ikm"]), hashlib.sha256).hexdigest()
    return line("hkdf", f"tc{t['tcId']}", t["valid"], prk, t["info"], t["size"], t["okm"])


def wycheproof_hmac(t):
    if len(t["key"]) != 64:
        return None
    return line("hmac", f"tc{t['tcId']}", t["valid"], t["key"], t["msg"], t["tag"])


def wycheproof(directory, file_name, name, convert):
    path = os.path.join(directory, file_name)
    if not os.path.exists(path):
        print(f"Wycheproof, {name}: skipped, because there is no {file_name} in {directory}")
        return []
    with open(path, encoding="utf-8") as file:
        tests = [test for group in json.load(file)["testGroups"] for test in group["tests"]]
    lines = []
    for test in tests:
        test["valid"] = {"valid": True, "invalid": False}[test["result"]]
        converted = convert(test)
        if converted:
            lines.append(converted)
    return source(f"Wycheproof, {name}", lines, len(tests))


def main():
    program, root = sys.argv[1:]
    directory = os.environ.get("NACRE_WYCHEPROOF") or os.path.join(root, "..", "shared", "vectors", "wycheproof")
    directory = os.path.normpath(directory)
    lines = rfc_5869() + nist_gcm()
    lines += wycheproof(directory, "aes_gcm_test.json", "AES-GCM", wycheproof_gcm)
    lines += wycheproof(directory, "hkdf_sha256_test.json", "HKDF-SHA256", wycheproof_hkdf)
    lines += wycheproof(directory, "hmac_sha256_test.json", "HMAC-SHA256", wycheproof_hmac)
    sys.stdout.flush()
    return subprocess.run([program], input="\n".join(lines) + "\n", text=True, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
