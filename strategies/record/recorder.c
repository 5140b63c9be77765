/* Records which pages of this process are written, interval by interval, from a thread within it.
 *
 * Preloaded (LD_PRELOAD) it starts when DIRTYLOG_RECORDING names a folder; loaded otherwise, when
 * dirtylog_start is called. It write-protects the writable private anonymous mappings by
 * userfaultfd in asynchronous mode, and harvests by PAGEMAP_SCAN (Linux 6.7), which gets the
 * written pages and protects them again in one step. A child that is forked begins anew, for a
 * userfaultfd is not inherited; one that is started by exec is preloaded as its parent was. All
 * harvest at multiples of the interval, so that their intervals are the same.
 *
 * Each process writes a file of its own, a sequence of records {u64 kind, u64 n, u64 ns, n pairs of
 * u64}, see raw.py. A record is written by one write(), so that a process that dies leaves whole
 * records. What the recorder itself needs lies in shared mappings, which are not recorded: it
 * allocates nothing.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* include/uapi/linux/userfaultfd.h and fs.h; many systems' headers are older than their kernel. */
#define UFFDIO_API 0xC018AA3F
#define UFFDIO_REGISTER 0xC020AA00
#define PAGEMAP_SCAN 0xC0606610
#define USER_MODE_ONLY 1
#define FEATURES (1 << 0 | 1 << 13 | 1 << 15) /* FLAG_WP, WP_UNPOPULATED, WP_ASYNC */
#define MODE_WP 2
#define WP_MATCHING 1
#define WRITTEN 2
#define PRESENT 8
#define PFNZERO 32

enum kind { BASELINE = 1, EPOCH = 2, STARTED = 3, INHERITED = 4, FAILED = 5, LAST = 6 };

#define MAPS_BYTES (8 << 20)
#define MAX_REGIONS (1 << 18)
#define STACK_BYTES (256 << 10)
#define HIGH_FD 200 /* programs close the low ones */

struct region { uint64_t start, end, categories; };
struct record { uint64_t kind, n, ns; uint64_t pairs[2 * MAX_REGIONS]; };

static struct {
    char *maps;
    struct region *regions;
    struct record *record;
    void *stack;
    int uffd, pagemap, file, thp_was_disabled;
    char folder[PATH_MAX];
    uint64_t interval_ns;
    pid_t pid;
    pthread_t thread;
    atomic_uint running, ended; /* futexes: of the thread's sleep, and of its end */
} self = {.uffd = -1, .pagemap = -1, .file = -1};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static int write_record(uint64_t kind, uint64_t n, uint64_t ns)
{
    self.record->kind = kind;
    self.record->n = n;
    self.record->ns = ns;
    size_t bytes = 24 + 16 * n;
    return write(self.file, self.record, bytes) == (ssize_t)bytes ? 0 : -1;
}

/* Add the written, resident pages of a range to the record, and protect them again. */
static void scan(uint64_t start, uint64_t end, uint64_t *n)
{
    uint64_t reg[4] = {start, end - start, MODE_WP, 0};
    if (ioctl(self.uffd, UFFDIO_REGISTER, reg)) /* already registered is fine */
        return;
    while (start < end && *n < MAX_REGIONS) {
        uint64_t room = MAX_REGIONS - *n;
        uint64_t arg[12] = {96, WP_MATCHING, start, end, 0, (uint64_t)self.regions, room, 0,
                            PFNZERO, WRITTEN | PRESENT | PFNZERO, 0, WRITTEN};
        long found = ioctl(self.pagemap, PAGEMAP_SCAN, arg);
        if (found < 0)
            return; /* unmapped meanwhile */
        for (long i = 0; i < found; i++) {
            self.record->pairs[2 * *n] = self.regions[i].start;
            self.record->pairs[2 * *n + 1] = self.regions[i].end;
            ++*n;
        }
        if ((uint64_t)found < room)
            return; /* walk_end alone does not tell */
        start = arg[4];
    }
}

static uint64_t hex(const char **p)
{
    uint64_t value = 0;
    for (;; ++*p) {
        char c = **p;
        if (c >= '0' && c <= '9')
            value = value << 4 | (c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (c - 'a' + 10);
        else
            return value;
    }
}

/* Scan a mapping if its line of /proc/self/maps says that it is private, writable, anonymous. */
static void scan_line(const char *line, const char *end_of_line, uint64_t *n)
{
    const char *p = line;
    uint64_t start = hex(&p);
    ++p;
    uint64_t end = hex(&p);
    ++p;
    if (p + 5 > end_of_line || p[0] != 'r' || p[1] != 'w' || p[3] != 'p')
        return;
    for (int field = 0; field < 3; field++) /* perms, offset, device */
        p = (const char *)memchr(p, ' ', end_of_line - p) + 1;
    if (p[0] != '0' || p[1] != ' ') /* inode */
        return;
    for (++p; p < end_of_line && *p == ' ';)
        ++p;
    if (p < end_of_line && *p == '[' && strncmp(p, "[heap]", 6) && strncmp(p, "[anon", 5))
        return; /* the stack, and what the kernel maps */
    scan(start, end, n);
}

static ssize_t read_maps(void)
{
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    ssize_t total = 0, got;
    while (fd >= 0 && total < MAPS_BYTES &&
           (got = read(fd, self.maps + total, MAPS_BYTES - total)) > 0)
        total += got;
    if (fd >= 0)
        close(fd);
    return total;
}

static int harvest(enum kind kind)
{
    uint64_t n = 0, ns = now_ns();
    ssize_t length = read_maps();
    const char *line = self.maps, *end = self.maps + length, *newline;
    while (line < end && (newline = memchr(line, '\n', end - line))) {
        scan_line(line, newline, &n);
        line = newline + 1;
    }
    return write_record(kind, n, ns);
}

static void wait_while(atomic_uint *word, uint32_t value, const struct timespec *until)
{
    syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, value, until, NULL, FUTEX_BITSET_MATCH_ANY);
}

static void wake(atomic_uint *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX);
}

/* Sleep until then; return whether the recording still runs. */
static int sleep_until(uint64_t ns)
{
    struct timespec until = {ns / 1000000000, ns % 1000000000};
    while (atomic_load(&self.running) && now_ns() < ns)
        wait_while(&self.running, 1, &until);
    return atomic_load(&self.running);
}

/* The file is gone when the program that is recorded has ended before this child of it. */
static int is_wanted(void)
{
    struct stat file;
    return !fstat(self.file, &file) && file.st_nlink;
}

static void *run(void *unused)
{
    (void)unused;
    while (sleep_until((now_ns() / self.interval_ns + 1) * self.interval_ns) &&
           is_wanted() && !harvest(EPOCH))
        ;
    atomic_store(&self.ended, 1);
    wake(&self.ended);
    return NULL;
}

static int high(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, HIGH_FD);
    if (fd < 0 || moved < 0)
        return fd;
    close(fd);
    return moved;
}

static void *shared(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static int prepare(void)
{
    if (!self.maps) {
        self.maps = shared(MAPS_BYTES);
        self.regions = shared(MAX_REGIONS * sizeof(struct region));
        self.record = shared(sizeof(struct record));
        self.stack = shared(STACK_BYTES);
    }
    if (!self.maps || !self.regions || !self.record || !self.stack)
        return ENOMEM;
    self.uffd = high(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | USER_MODE_ONLY));
    if (self.uffd < 0)
        return errno;
    uint64_t api[3] = {0xAA, FEATURES, 0};
    if (ioctl(self.uffd, UFFDIO_API, api))
        return errno;
    self.pagemap = high(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    uint64_t arg[12] = {96};
    return self.pagemap < 0 || ioctl(self.pagemap, PAGEMAP_SCAN, arg) < 0 ? errno : 0;
}

static int start_thread(void)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, self.stack, STACK_BYTES);
    sigfillset(&all); /* the program's handlers run on its own threads */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    atomic_store(&self.running, 1);
    atomic_store(&self.ended, 0);
    int code = pthread_create(&self.thread, &attributes, run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return code;
}

static void close_all(void)
{
    close(self.uffd); /* opens all pages */
    close(self.pagemap);
    close(self.file);
    self.uffd = self.pagemap = self.file = -1;
}

/* What the parent recorded with is not of use here; its memory is shared with this process. */
static void forget_parent(void)
{
    close_all();
    munmap(self.maps, MAPS_BYTES);
    munmap(self.regions, MAX_REGIONS * sizeof(struct region));
    munmap(self.record, sizeof(struct record));
    munmap(self.stack, STACK_BYTES);
    self.maps = NULL;
}

/* STARTED has the process's name. */
static void write_started(void)
{
    char name[16] = "";
    prctl(PR_GET_NAME, name, 0, 0, 0);
    memcpy(self.record->pairs, name, sizeof name);
    write_record(STARTED, 1, self.pid);
}

/* Record this process into a file of its own; return 0 or an errno. */
static int begin_file(enum kind first)
{
    char path[PATH_MAX + 64];
    self.pid = getpid();
    snprintf(path, sizeof path, "%s/%d-%llu", self.folder, (int)self.pid,
             (unsigned long long)now_ns());
    self.file = high(open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600));
    if (self.file < 0)
        return errno;
    int code = prepare();
    if (!code) {
        write_started();
        harvest(first);
        code = start_thread();
    }
    if (code) {
        if (self.record)
            write_record(FAILED, 0, code);
        close_all();
    }
    return code;
}

/* In the child: pages that it has from its parent are none that it wrote. */
static void forked(void)
{
    if (self.file < 0)
        return;
    forget_parent();
    begin_file(INHERITED);
}

/* Start recording into a folder, every so many nanoseconds; return 0 or an errno. */
int dirtylog_start(const char *folder, uint64_t interval_ns)
{
    static int is_registered;
    if (self.file >= 0)
        return EALREADY;
    if (!is_registered)
        is_registered = !pthread_atfork(NULL, NULL, forked);
    if (!is_registered || strlen(folder) >= sizeof self.folder)
        return ENOMEM;
    strcpy(self.folder, folder);
    self.interval_ns = interval_ns;
    self.thp_was_disabled = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
    int code = begin_file(BASELINE);
    if (code)
        prctl(PR_SET_THP_DISABLE, self.thp_was_disabled, 0, 0, 0);
    return code;
}

/* Harvest once more; return whether it was recorded until now. Safe in a handler of signals. A child
 * of vfork has its parent's memory, but is not its process. */
static int take_last(void)
{
    if (self.file < 0 || self.pid != getpid() || !atomic_exchange(&self.running, 0))
        return 0;
    wake(&self.running);
    while (!atomic_load(&self.ended))
        wait_while(&self.ended, 0, NULL);
    harvest(LAST);
    return 1;
}

void dirtylog_stop(void)
{
    if (!take_last())
        return;
    pthread_join(self.thread, NULL);
    prctl(PR_SET_THP_DISABLE, self.thp_was_disabled, 0, 0, 0);
    close_all();
}

__attribute__((constructor)) static void begin(void)
{
    const char *folder = getenv("DIRTYLOG_RECORDING"), *interval = getenv("DIRTYLOG_INTERVAL_NS");
    if (folder && interval)
        dirtylog_start(folder, strtoull(interval, NULL, 10));
}

__attribute__((destructor)) static void finish(void)
{
    dirtylog_stop();
}

/* It runs no destructors, and the children of a fork end so. */
void _exit(int status)
{
    take_last();
    for (;;)
        syscall(SYS_exit_group, status);
}

void _Exit(int status)
{
    _exit(status);
}
