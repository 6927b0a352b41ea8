#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tower holds: every floor is built from, and reaches for, only what lies below it.

    tower.py --root SOURCES [--build BUILD] -- CC...

It compiles every floor by itself, plain (no LTO, no fortification, no sanitizer, whatever the build's options), with the
include directories of that floor and those below, and then checks

  include   no #include goes up the tower, none takes another floor's business (OpenSSL outside crypto, compression outside
            format, system calls outside crypto), and no two floors have a header of the same name
  link      the floor's objects and those below link without an undefined symbol, given the floors' own libraries alone
  symbols   the floor's objects refer to nothing but its own symbols, those below, its own libraries', and, for the two
            floors that must not touch the world, a list of harmless functions of libc: format/ neither allocates nor reads nor
            writes; engine/ cannot open, write, map or rename, so it cannot put a plaintext byte anywhere
  rooms     the folders of a floor stand upon one another in the order of ROOMS: no file includes, or refers to a symbol of,
            a folder above its own; a file that lies in no folder stands beneath them all
  tests     the test programs of a floor link only its library and those below (with --build)

Each check is tried first on a small floor of its own that breaks it, and fails unless the breach is named.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import tempfile

FLOORS = ["format", "crypto", "engine"]

# The folders of a floor that are one, from the ground up. Their headers are included by name alone.
ROOMS = {"engine": ["order", "memtable", "value", "segment", "tree", "log", "table", "store", "verify", "salvage"]}

# The libraries of each floor, by the names that the linker knows.
LIBRARIES = {"format": ["lz4", "zstd"], "crypto": ["crypto"], "engine": []}

PURE_LIBC = """memcpy memmove memset memcmp memchr memrchr memmem strlen strnlen strcmp strncmp strchr strrchr strstr
snprintf vsnprintf abort explicit_bzero __explicit_bzero_chk __assert_fail __stack_chk_fail""".split()

# What the engine may ask of libc: memory for what holds no user data, threads, sorting, text into its own buffers.
# Time, files and private memory come from crypto. A function is added here on purpose or not at all.
ENGINE_LIBC = PURE_LIBC + """malloc calloc realloc free strdup strndup aligned_alloc qsort bsearch __errno_location strerror_r
strtoull strtoul __isoc23_strtou* pthread_* __pthread_* sigfillset sched_yield""".split()

ALLOWED_LIBC = {"format": PURE_LIBC, "crypto": None, "engine": ENGINE_LIBC}

# Named apart from "not on the list", for they are what the floor must never do.
WORLD = re.compile(
    r"^_?_?(open|openat|open64|openat64|creat|fopen|fdopen|freopen|fopencookie|memfd_create|shm_open|mkstemp|mkostemp|tmpfile"
    r"|write|writev|pwrite|pwrite64|pwritev|pwritev2|fwrite|fputs|fputc|putc|puts|putchar|printf|fprintf|vprintf|vfprintf"
    r"|dprintf|vdprintf|perror|syslog|vsyslog|mmap|mmap64|mremap|msync|rename|renameat|renameat2|link|linkat|symlink"
    r"|symlinkat|unlink|unlinkat|remove|truncate|ftruncate|fallocate|posix_fallocate|mkdir|mkdirat|rmdir|mknod|mkfifo"
    r"|sendto|send|sendmsg|sendmmsg|sendfile|splice|vmsplice|copy_file_range|socket|connect|ioctl|io_submit|aio_write"
    r"|syscall|dlopen|dlsym|system|popen|exec[vl]p?e?|posix_spawnp?|fork|vfork|setenv|putenv)(64)?(_chk|_2|_nocancel)?$"
)
# Compression is over a workspace that the caller owns; these make or need one of the library's own.
ALLOCATES = re.compile(r"^(ZSTD_(create|free)\w+|ZSTD_(de)?compress|LZ4_create\w+|LZ4_compress_HC|LZ4F_\w+)$")
# What compilers refer to by themselves: processor features, thread-local variables, position-independent code.
RUNTIME = {"__cpu_model", "__cpu_indicator_init", "__tls_get_addr", "_GLOBAL_OFFSET_TABLE_"}

SYSTEM_HEADERS = re.compile(r"^(fcntl|unistd|dirent|fts|ftw|syslog|spawn|dlfcn)\.h$|^(sys|linux|net|netinet|arpa)/")
HEADER_HOMES = [  # (headers, the only floor that may include them)
    (re.compile(r"^(openssl/|intel-ipsec-mb\.h$)"), "crypto"),
    (re.compile(r"^(lz4|zstd)\w*\.h$"), "format"),
    (SYSTEM_HEADERS, "crypto"),
]
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


class Tree:
    """The sources of the floors below one root, and what can be asked about them."""

    def __init__(self, root, cc, scratch):
        self.root, self.cc, self.scratch = root, cc, scratch
        self.objects, self.problems, self.source_of = {}, {}, {}

    def sources(self, floor, kinds="ch"):
        found = glob.glob(f"{self.root}/{floor}/**/*.[{kinds}]", recursive=True)
        return sorted(found)

    def below(self, floor):
        """The floor itself and those that it stands on."""
        return FLOORS[: FLOORS.index(floor) + 1]

    def headers(self, floor):
        names = {}
        for path in self.sources(floor, "h"):
            relative = os.path.relpath(path, os.path.join(self.root, floor))
            bare = self.room(path, floor) > 0
            names[os.path.basename(path) if bare else relative.removeprefix("include/")] = path
        return names

    def room(self, path, floor):
        """On which step of the floor a source lies: 0 is beneath its rooms."""
        folder = os.path.relpath(path, os.path.join(self.root, floor)).split(os.sep)[0]
        rooms = ROOMS.get(floor, [])
        return rooms.index(folder) + 1 if folder in rooms else 0

    def compile(self, floor):
        """Compiles a floor; returns its objects. What does not compile is a problem of the floor."""
        folders = [f"-I{self.root}/{f}{s}" for f in self.below(floor)
                   for s in ("/include", "", *(f"/{room}" for room in ROOMS.get(f, [])))]
        flags = ["-std=c11", "-D_GNU_SOURCE", '-DNACRE_VERSION="0"', "-O0", "-fPIC", "-fno-lto", "-U_FORTIFY_SOURCE",
                 "-fno-sanitize=all", "-w"]

        def one(source):
            name = os.path.relpath(source, self.root).replace("/", "_") + ".o"
            target = os.path.join(self.scratch, name)
            run = subprocess.run([*self.cc, *flags, *folders, "-c", source, "-o", target], capture_output=True, text=True)
            return target if run.returncode == 0 else (source, run.stderr)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = list(pool.map(one, self.sources(floor, "c")))
        self.objects[floor] = [r for r in results if isinstance(r, str)]
        self.source_of.update((r, s) for r, s in zip(results, self.sources(floor, "c")) if isinstance(r, str))
        self.problems[floor] = [f"{r[0]} does not compile: {r[1]}" for r in results if not isinstance(r, str)]
        return self.objects[floor]

    # Each check returns a list of problems; an empty list is a pass.

    def check_compile(self, floor):
        if not self.objects[floor]:
            return [f"{floor}/ has no objects: there is nothing to check"]
        return self.problems[floor]

    def check_include(self, floor):
        problems = []
        homes = {}
        for other in FLOORS:
            for name in self.headers(other):
                if name in homes:
                    problems.append(f"{homes[name]}/ and {other}/ both have a header {name}")
                homes[name] = other
        for path in self.sources(floor):
            problems += self.check_file(path, floor, homes)
        return problems

    def check_file(self, path, floor, homes):
        problems = []
        with open(path, encoding="utf-8") as file:
            for form, name in INCLUDE.findall(file.read()):
                plain = os.path.basename(name) if form == '"' and name.startswith("..") else name
                home = homes.get(name) or homes.get(plain)
                if home and home not in self.below(floor):
                    problems.append(f"{path} includes {name}, of the floor {home}/ above it")
                for pattern, only in HEADER_HOMES:
                    if form == "<" and pattern.match(name) and floor != only:
                        problems.append(f"{path} includes <{name}>, the business of {only}/")
        return problems

    def check_rooms(self, floor):
        """Includes and symbols that go from a folder of the floor to one above it; folders that are not in the list."""
        problems = []
        places = sorted({os.path.dirname(path) for path in self.sources(floor)})
        for place in places:
            folder = os.path.relpath(place, os.path.join(self.root, floor)).split(os.sep)[0]
            if floor in ROOMS and folder not in (".", "include", *ROOMS[floor]):
                problems.append(f"{place} has no place among the rooms of {floor}/")
        steps = {name: self.room(path, floor) for name, path in self.headers(floor).items()}
        for path in self.sources(floor):
            with open(path, encoding="utf-8") as file:
                names = [name for form, name in INCLUDE.findall(file.read()) if form == '"']
            problems += [f"{path} includes {name}, of a room above it" for name in names
                         if steps.get(name, 0) > self.room(path, floor)]
        found = {o: symbols([o]) for o in self.objects[floor]}
        steps = {name: self.room(self.source_of[o], floor) for o in found for name in found[o][0]}
        for o, (_, undefined) in found.items():
            problems += [f"{self.source_of[o]} refers to {name}, of a room above it" for name in sorted(undefined)
                         if steps.get(name, 0) > self.room(self.source_of[o], floor)]
        return problems

    def check_link(self, floor):
        objects = [o for f in self.below(floor) for o in self.objects[f]]
        libraries = [f"-l{name}" for f in self.below(floor) for name in LIBRARIES[f]]
        out = os.path.join(self.scratch, "linked.so")
        run = subprocess.run([*self.cc, "-shared", "-Wl,-z,defs", "-o", out, *objects, *libraries, "-pthread"],
                             capture_output=True, text=True)
        return [] if run.returncode == 0 else [f"{floor}/ does not link on what lies below it: {run.stderr}"]

    def check_symbols(self, floor):
        defined = set()
        for f in self.below(floor):
            defined |= symbols(self.objects[f])[0]
        library = set()
        for name in LIBRARIES[floor]:
            library |= exported(self.cc, f"lib{name}.so")
        libc = exported(self.cc, "libc.so.6")
        allowed = ALLOWED_LIBC[floor]
        problems = []
        for path in self.objects[floor]:
            for name in sorted(symbols([path])[1] - defined - RUNTIME):
                reason = None
                if allowed is not None and WORLD.match(name):
                    reason = "reaches the world"
                elif name in library:
                    if ALLOCATES.match(name):
                        reason = "allocates in a library"
                elif name not in libc:
                    reason = "is of neither this floor, nor one below, nor a library of this floor"
                elif allowed is not None and not listed(name, allowed):
                    reason = "is not on the floor's list of libc functions"
                if reason:
                    problems.append(f"{os.path.basename(path)} refers to {name}, which {reason}")
        return problems


def listed(name, allowed):
    return any(name == entry or entry.endswith("*") and name.startswith(entry[:-1]) for entry in allowed)


def symbols(objects):
    """(defined and visible to the linker, undefined) names of some objects."""
    defined, undefined = set(), set()
    if not objects:
        return defined, undefined
    text = subprocess.run(["nm", "-P", *objects], capture_output=True, text=True, check=True).stdout
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 2 or fields[0].endswith(":"):
            continue
        if fields[1] == "U" or fields[1] in "wv" and len(fields) == 2:
            undefined.add(fields[0])
        elif fields[1].isupper() or fields[1] in "wv":
            defined.add(fields[0])
    return defined, undefined


def exported(cc, library):
    path = subprocess.run([*cc, f"-print-file-name={library}"], capture_output=True, text=True, check=True).stdout.strip()
    text = subprocess.run(["nm", "-D", "-P", "--defined-only", path], capture_output=True, text=True, check=True).stdout
    return {line.split()[0].split("@")[0] for line in text.splitlines()}


def check_test_programs(build, floor):
    """The link lines of tests/FLOOR/ in build.ninja name no library of a floor above."""
    above = [f"nc_{f}" for f in FLOORS[FLOORS.index(floor) + 1 :]]
    if floor != FLOORS[-1]:
        above.append("nacre")
    problems = []
    with open(os.path.join(build, "build.ninja"), encoding="utf-8") as file:
        text = file.read().replace("$\n", "")
    programs = re.findall(rf"^build tests/{floor}/(\S+): c_LINKER (.*)$", text, re.M)
    for program, inputs in programs:
        for library in re.findall(r"lib(\w+)\.(?:a|so)", inputs):
            if library in above:
                problems.append(f"the test program {program} of {floor}/ links lib{library}")
    return problems


# Small floors that break one rule each: (floor, file, source, check, what the problem must mention).
BREACHES = [
    ("engine", "leak.c", "long write(int, const void *, unsigned long);\n"
     "long nc_leak(void);\nlong nc_leak(void) { return write(1, \"x\", 1); }\n", "symbols", "write, which reaches"),
    ("engine", "map.c", "#include <stdio.h>\nint nc_map(void);\nint nc_map(void) { return rename(\"a\", \"b\"); }\n",
     "symbols", "rename, which reaches"),
    ("engine", "clock.c", "#include <time.h>\ntime_t nc_now(void);\ntime_t nc_now(void) { return time(0); }\n",
     "symbols", "time, which is not on"),
    ("format", "grow.c", "#include <stdlib.h>\nvoid *nc_grow(void);\nvoid *nc_grow(void) { return malloc(9); }\n",
     "symbols", "malloc, which is not on"),
    ("format", "up.c", "int nc_above(void);\nint nc_up(void);\nint nc_up(void) { return nc_above(); }\n",
     "link", "undefined reference"),
    ("format", "up.c", "int nc_above(void);\nint nc_up(void);\nint nc_up(void) { return nc_above(); }\n",
     "symbols", "nc_above, which is of neither"),
    ("engine", "cipher.c", "int EVP_EncryptUpdate();\nint nc_cipher(void);\nint nc_cipher(void) { return EVP_EncryptUpdate(); }\n",
     "symbols", "EVP_EncryptUpdate, which is of neither"),
    ("format", "workspace.c", "void *ZSTD_createCCtx(void);\nvoid *nc_cctx(void);\nvoid *nc_cctx(void) { return ZSTD_createCCtx(); }\n",
     "symbols", "ZSTD_createCCtx, which allocates"),
    ("format", "above.h", "#include <nacre/nacre.h>\n", "include", "of the floor engine/"),
    ("engine", "files.c", "#include <fcntl.h>\n", "include", "the business of crypto/"),
    ("crypto", "squeeze.c", "#include <lz4.h>\n", "include", "the business of format/"),
    ("engine", "order/low.c", "int nc_high(void);\nint nc_low(void);\nint nc_low(void) { return nc_high(); }\n",
     "rooms", "low.c refers to nc_high"),
    ("engine", "value/low.h", "#include \"high.h\"\n", "rooms", "low.h includes high.h"),
    ("engine", "plain.c", "#include \"high.h\"\n", "rooms", "plain.c includes high.h"),
    ("engine", "attic/odd.h", "\n", "rooms", "attic has no place"),
]


def write_file(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def breach_is_named(cc, breach):
    floor, name, source, check, expected = breach
    with tempfile.TemporaryDirectory() as root:
        for other in FLOORS:
            os.makedirs(f"{root}/{other}/include/nacre")
            with open(f"{root}/{other}/own.c", "w", encoding="utf-8") as file:
                above = other == "engine" and "int nc_above(void);\nint nc_above(void) { return 0; }\n"
                file.write(f"int nc_own_{other}(void);\nint nc_own_{other}(void) {{ return 0; }}\n{above or ''}")
        with open(f"{root}/engine/include/nacre/nacre.h", "w", encoding="utf-8") as file:
            file.write("int nc_above(void);\n")
        for path, text in (("table/high.h", "int nc_high(void);\n"),
                           ("table/high.c", "#include \"high.h\"\nint nc_high(void) { return 0; }\n")):
            write_file(f"{root}/engine/{path}", text)
        tree = Tree(root, cc, root)
        for other in FLOORS:
            tree.compile(other)
        before = getattr(tree, f"check_{check}")(floor)
        write_file(f"{root}/{floor}/{name}", source)
        tree.compile(floor)
        after = getattr(tree, f"check_{check}")(floor)
    return [] if not before and any(expected in p for p in after) else [f"the {check} check misses a breach: {name}: {after}"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", required=True)
    parser.add_argument("--build")
    parser.add_argument("cc", nargs="+")
    options = parser.parse_args()

    results = []  # (what, problems)
    for breach in BREACHES:
        results.append((f"control: {breach[3]}: {breach[1]} in {breach[0]}/", breach_is_named(options.cc, breach)))
    with tempfile.TemporaryDirectory() as scratch:
        tree = Tree(options.root, options.cc, scratch)
        for floor in FLOORS:
            tree.compile(floor)
        for floor in FLOORS:
            for check in ("compile", "include", "link", "symbols", *(["rooms"] if floor in ROOMS else [])):
                results.append((f"{floor}: {check}", getattr(tree, f"check_{check}")(floor)))
            if options.build:
                results.append((f"{floor}: tests", check_test_programs(options.build, floor)))
        results.append(("tools: include", check_tools(tree)))

    failed = 0
    for what, problems in results:
        print(("ok      " if not problems else "FAILED  ") + what)
        for problem in problems:
            print("        " + problem)
        failed += bool(problems)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


def check_tools(tree):
    """The tools use public headers and format's; no internal header of crypto or engine."""
    private = {name: f for f in ("crypto", "engine") for name in tree.headers(f) if not name.startswith("nacre/")}
    own = {os.path.basename(path) for path in glob.glob(f"{tree.root}/tools/*.h")}
    problems = []
    for path in glob.glob(f"{tree.root}/tools/**/*.[ch]", recursive=True):
        with open(path, encoding="utf-8") as file:
            for _, name in INCLUDE.findall(file.read()):
                if name in private and name not in own:
                    problems.append(f"{path} includes {name}, which is internal to {private[name]}/")
    return problems


sys.exit(main())
