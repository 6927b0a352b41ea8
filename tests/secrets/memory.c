/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads /proc/PID/smaps, pagemap and mem. Pages that were never touched are skipped; so are the terabytes of
 * AddressSanitizer's shadow, where a byte tells of eight others, and not what they hold.
 */
#include "memory.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define SHADOW_BYTES ((uint64_t)1 << 38)
enum { WINDOW_BYTES = 1 << 20, OVERLAP_BYTES = 64, PAGE_BYTES = 4096, TOLD_MAX = 6 };

typedef struct mapping {
  uint64_t from, to;
  bool readable, shared, left_out, is_io, anonymous_name;
  uint64_t anonymous_kb; /* pages of its own: what a dump of a private mapping of a file depends on */
  char name[100];
} mapping;

typedef struct search {
  needles *set;
  memory_report *report;
  int memory, pagemap;
  bool in_registers;
  const mapping *at;
  uint64_t window_at;
  uint8_t *window;
} search;

/* ---- mappings ------------------------------------------------------------------------------------------ */

static FILE *open_of(pid_t pid, const char *file) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
  FILE *f = fopen(path, "re");
  if (f == NULL) test_die("cannot read %s: %s", path, strerror(errno));
  return f;
}

static bool parse_head(const char *line, mapping *m) {
  unsigned long long from, to, inode;
  char flags[5];
  int name_at = 0;
  if (sscanf(line, "%llx-%llx %4s %*x %*s %llu %n", &from, &to, flags, &inode, &name_at) < 4) return false;
  *m = (mapping){.from = from, .to = to, .readable = flags[0] == 'r', .shared = flags[3] == 's'};
  m->anonymous_name = inode == 0;
  snprintf(m->name, sizeof m->name, "%s", name_at > 0 ? line + name_at : "");
  m->name[strcspn(m->name, "\n")] = 0;
  return true;
}

/* The next mapping with its flags; false at the end. */
static bool next_mapping(FILE *smaps, mapping *m) {
  char line[512];
  bool begun = false;
  while (fgets(line, sizeof line, smaps) != NULL) {
    if (!begun) begun = parse_head(line, m);
    sscanf(line, "Anonymous: %llu", (unsigned long long *)&m->anonymous_kb);
    if (strncmp(line, "VmFlags:", 8) != 0) continue;
    m->left_out = strstr(line, " dd") != NULL;
    m->is_io = strstr(line, " io") != NULL || strstr(line, " pf") != NULL;
    return begun;
  }
  return false;
}

static unsigned dump_filter(pid_t pid) {
  unsigned filter = 0x33;
  FILE *f = open_of(pid, "coredump_filter");
  if (fscanf(f, "%x", &filter) != 1) test_die("no coredump_filter");
  fclose(f);
  return filter;
}

static bool in_default_dump(const mapping *m, unsigned filter) {
  if (m->left_out || m->is_io) return false;
  if (m->anonymous_kb > 0 && (filter & 1) != 0) return true;
  if (m->anonymous_name) return (filter & (m->shared ? 2u : 1u)) != 0;
  return (filter & (m->shared ? 8u : 4u)) != 0;
}

/* ---- searching ----------------------------------------------------------------------------------------- */

static void note(void *arg, needle *what, size_t at) {
  search *s = arg;
  memory_report *r = s->report;
  bool is_private = s->at != NULL && s->at->left_out;
  if (s->in_registers) {
    r->in_registers[what->kind]++;
    return;
  }
  (*(is_private ? &r->in_private[what->kind] : &r->in_ordinary[what->kind]))++;
  (*(is_private ? &what->in_private : &what->in_ordinary))++;
  if (r->sight_count < MEMORY_SIGHTS_MAX)
    r->sights[r->sight_count++] = (memory_sight){what, s->window_at + at, is_private};
}

/* Pages from `page` on that are all there, or all not. */
static size_t run_of(const search *s, uint64_t page, uint64_t left, bool *ret_there) {
  uint64_t entries[512];
  size_t most = left < 512 ? (size_t)left : 512, same = 1;
  if (pread(s->pagemap, entries, most * 8, (off_t)(page * 8)) != (ssize_t)(most * 8)) {
    *ret_there = false;
    return most;
  }
  *ret_there = entries[0] >> 62 != 0;
  while (same < most && (entries[same] >> 62 != 0) == *ret_there) same++;
  return same;
}

static void search_run(search *s, uint64_t from, uint64_t to) {
  for (uint64_t at = from; at < to;) {
    uint64_t size = to - at < WINDOW_BYTES ? to - at : WINDOW_BYTES;
    ssize_t got = pread(s->memory, s->window, (size_t)size, (off_t)at);
    if (got <= 0) return; /* unmapped meanwhile, or not to be read ([vvar]) */
    bool last = at + (uint64_t)got >= to;
    size_t end = last ? (size_t)got : (size_t)got - OVERLAP_BYTES;
    s->window_at = at;
    needles_search(s->set, s->window, (size_t)got, end, note, s);
    s->report->bytes += end;
    at += end;
  }
}

/* Runs of pages that are there are searched as one, or what lies across a border would not be seen. */
static void search_mapping(search *s, const mapping *m) {
  uint64_t from = 0, to = 0;
  s->at = m;
  for (uint64_t page = m->from / PAGE_BYTES, last = m->to / PAGE_BYTES; page < last;) {
    bool there = false;
    size_t pages = run_of(s, page, last - page, &there);
    if (there && to != page * PAGE_BYTES) {
      search_run(s, from, to);
      from = page * PAGE_BYTES;
    }
    page += pages;
    if (there) to = page * PAGE_BYTES;
  }
  search_run(s, from, to);
}

static int open_raw(pid_t pid, const char *file) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) test_die("cannot open %s: %s", path, strerror(errno));
  return fd;
}

static void search_process(pid_t pid, bool dumpable_only, needles *set, memory_report *ret_report) {
  search s = {.set = set, .report = ret_report, .window = test_alloc(WINDOW_BYTES)};
  mapping m;
  unsigned filter = dump_filter(pid);
  memset(ret_report, 0, sizeof *ret_report);
  needles_forget(set);
  s.memory = open_raw(pid, "mem");
  s.pagemap = open_raw(pid, "pagemap");
  FILE *smaps = open_of(pid, "smaps");
  while (next_mapping(smaps, &m))
    if (m.readable && m.to - m.from < SHADOW_BYTES && (!dumpable_only || in_default_dump(&m, filter)))
      search_mapping(&s, &m);
  fclose(smaps);
  close(s.memory);
  close(s.pagemap);
  free(s.window);
}

void memory_search_live(pid_t pid, needles *set, memory_report *ret_report) {
  search_process(pid, false, set, ret_report);
}

void memory_search_dumpable(pid_t pid, needles *set, memory_report *ret_report) {
  search_process(pid, true, set, ret_report);
}

/* ---- core files ---------------------------------------------------------------------------------------- */

static bool cores_go_to_the_directory(void) {
  char pattern[200] = "|";
  FILE *f = fopen("/proc/sys/kernel/core_pattern", "re");
  if (f == NULL) return false;
  if (fgets(pattern, sizeof pattern, f) == NULL) pattern[0] = '|';
  fclose(f);
  return pattern[0] != '|' && strchr(pattern, '/') == NULL;
}

static bool find_core(const char *directory, char *path, size_t capacity) {
  DIR *dir = opendir(directory);
  bool found = false;
  for (struct dirent *e; dir != NULL && !found && (e = readdir(dir)) != NULL;) {
    if (strstr(e->d_name, "core") == NULL) continue;
    test_path(path, capacity, directory, e->d_name);
    found = true;
  }
  if (dir != NULL) closedir(dir);
  return found;
}

/* Memory, and what else the kernel says of each thread. */
static void search_segments(search *s) {
  Elf64_Ehdr head;
  Elf64_Phdr segment;
  if (pread(s->memory, &head, sizeof head, 0) != (ssize_t)sizeof head ||
      memcmp(head.e_ident, ELFMAG, SELFMAG) != 0)
    test_die("a core file is none");
  for (unsigned i = 0; i < head.e_phnum; i++) {
    off_t at = (off_t)(head.e_phoff + (uint64_t)i * sizeof segment);
    if (pread(s->memory, &segment, sizeof segment, at) != (ssize_t)sizeof segment)
      test_die("a core file is cut");
    s->in_registers = segment.p_type == PT_NOTE;
    search_run(s, segment.p_offset, segment.p_offset + segment.p_filesz);
  }
}

static void search_file(const char *path, needles *set, memory_report *ret_report) {
  search s = {.set = set, .report = ret_report, .window = test_alloc(WINDOW_BYTES)};
  memset(ret_report, 0, sizeof *ret_report);
  needles_forget(set);
  s.memory = open(path, O_RDONLY | O_CLOEXEC);
  if (s.memory < 0) test_die("cannot open %s: %s", path, strerror(errno));
  search_segments(&s);
  close(s.memory);
  free(s.window);
}

bool memory_search_core(pid_t pid, const char *directory, needles *set, memory_report *ret_report) {
  char path[400];
  int state = 0;
  kill(pid, SIGABRT);
  if (waitpid(pid, &state, 0) != pid) test_die("waitpid: %s", strerror(errno));
  if (!WIFSIGNALED(state) || !WCOREDUMP(state)) return false;
  if (!cores_go_to_the_directory() || !find_core(directory, path, sizeof path)) return false;
  search_file(path, set, ret_report);
  unlink(path);
  return true;
}

/* ---- telling ------------------------------------------------------------------------------------------- */

static void name_of(pid_t pid, uint64_t address, char *name, size_t capacity) {
  mapping m;
  FILE *smaps = open_of(pid, "smaps");
  snprintf(name, capacity, "?");
  while (next_mapping(smaps, &m)) {
    if (address < m.from || address >= m.to) continue;
    snprintf(name, capacity, "%s + %#llx of %#llx", m.name[0] != 0 ? m.name : "a mapping without a name",
             (unsigned long long)(address - m.from), (unsigned long long)(m.to - m.from));
  }
  fclose(smaps);
}

void memory_tell(const memory_report *report, pid_t pid, int kind, bool is_private) {
  unsigned told = 0;
  char name[200] = "the core file";
  for (size_t i = 0; i < report->sight_count && told < TOLD_MAX; i++) {
    const memory_sight *sight = &report->sights[i];
    if ((int)sight->what->kind != kind || sight->is_private != is_private) continue;
    if (pid > 0) name_of(pid, sight->address, name, sizeof name);
    fprintf(stderr, "FOUND a %s of %u bytes (of %08x) at %#llx, in %s\n", needle_kind_name(sight->what->kind),
            sight->what->size, sight->what->owner, (unsigned long long)sight->address, name);
    told++;
  }
}
