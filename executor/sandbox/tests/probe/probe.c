/* A static program that tries one hostile or ordinary thing, named by its first argument, and says
 * what came of it in /out/result.json as {"<what>": "<value or errno>"}. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static FILE *out;
static int first = 1;

static void say(const char *key, const char *value) {
    fprintf(out, "%s\"%s\": \"", first ? "{" : ", ", key);
    for (; *value; value++)
        if (*value == '"' || *value == '\\' || (unsigned char)*value < 32) fputc(' ', out);
        else fputc(*value, out);
    fputc('"', out);
    first = 0;
}
static void say_number(const char *key, long value) {
    char text[32];
    snprintf(text, sizeof text, "%ld", value);
    say(key, text);
}
/* "ok" or the name of the error. */
static void say_result(const char *key, long result) {
    say(key, result >= 0 ? "ok" : strerrorname_np(errno));
}
static void begin(void) {
    out = fopen("/out/result.json", "w");
    if (!out) exit(90);
}
static int end(int code) {
    fprintf(out, first ? "{}" : "}");
    fclose(out);
    return code;
}
static void say_file(const char *key, const char *path) {
    char text[4096] = "";
    int fd = open(path, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 0) { say(key, strerrorname_np(errno)); return; }
    text[n] = 0;
    say(key, text);
}
static void say_status(const char *field) {
    char line[512];
    FILE *status = fopen("/proc/self/status", "r");
    size_t n = strlen(field);
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, field, n) && line[n] == ':') { say(field, strtok(line + n + 1, "\t \n") ?: ""); break; }
    if (status) fclose(status);
}
static long try_write(const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT, 0644);
    if (fd < 0) return -1;
    long n = write(fd, "x", 1);
    close(fd);
    return n;
}
static long try_connect(const char *address, int port) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) return -1;
    struct timeval limit = {2, 0};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, address, &to.sin_addr);
    return connect(fd, (struct sockaddr *)&to, sizeof to);
}

static int facts(int argc, char **argv) {
    gid_t groups[64];
    char text[4096] = "";
    begin();
    say_number("uid", getuid());
    say_number("gid", getgid());
    say_number("groups", getgroups(64, groups));
    say_number("pid", getpid());
    say_status("CapEff"); say_status("CapBnd"); say_status("NoNewPrivs"); say_status("Seccomp");
    say("cwd", getcwd(text, sizeof text) ?: "");
    gethostname(text, sizeof text);
    say("hostname", text);
    text[0] = 0;
    for (char **e = environ; *e; e++) { strncat(text, *e, 300); strcat(text, ";"); }
    say("env", text);
    say_number("argc", argc);
    say_file("version", "/proc/version");
    say_file("resolv", "/etc/resolv.conf");
    say_file("params", "/in/params.json");
    say_file("data", "/in/data");
    say_result("write /", try_write("/x"));
    say_result("write /etc", try_write("/etc/x"));
    say_result("write /in", try_write("/in/x"));
    say_result("write /in/data", try_write("/in/data"));
    say_result("chmod /in/data", chmod("/in/data", 0666));
    say_result("unlink /in/data", unlink("/in/data"));
    say_result("write /tmp", try_write("/tmp/x"));
    say_result("write /vol", try_write("/vol/x"));
    say_result("setuid", setuid(0));
    say_result("mount", mount("none", "/tmp", "tmpfs", 0, 0));
    say_result("remount /in/data", mount("none", "/in/data", 0, MS_REMOUNT | MS_BIND, 0));
    say_result("chroot", chroot("/tmp"));
    say_result("sethostname", sethostname("x", 1));
    say_result("mknod", mknod("/tmp/n", S_IFBLK | 0666, makedev(254, 0)));
    say_result("open node", open("/tmp/n", O_RDONLY));
    say_result("docker socket", open("/var/run/docker.sock", O_RDWR));
    say_result("core_pattern", try_write("/proc/sys/kernel/core_pattern"));
    say_result("kallsyms", open("/proc/kcore", O_RDONLY));
    say_result("io_uring", syscall(SYS_io_uring_setup, 1, text));
    say_result("bpf", syscall(SYS_bpf, 0, text, 0));
    say_result("userns", syscall(SYS_unshare, 0x10000000));
    say_result("keyctl", syscall(SYS_keyctl, 0, -3, 0));
    /* fileless execution and execution from a noexec place */
    int self = open("/proc/self/exe", O_RDONLY), copy = open("/tmp/copy", O_WRONLY | O_CREAT, 0755);
    ssize_t n;
    while ((n = read(self, text, sizeof text)) > 0) if (write(copy, text, n) < 0) break;
    close(copy);
    pid_t child = fork();
    if (!child) { execl("/tmp/copy", "copy", "exit", "7", NULL); _exit(errno == EACCES ? 8 : 9); }
    int status = 0;
    waitpid(child, &status, 0);
    say_number("exec /tmp", WEXITSTATUS(status));
    return end(0);
}

static int net(void) {
    begin();
    say_file("interfaces", "/proc/net/dev");
    say_result("vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
    say_result("alg", socket(AF_ALG, SOCK_SEQPACKET, 0));
    say_result("packet", socket(AF_PACKET, SOCK_RAW, 0));
    say_result("raw", socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
    say_result("ping", socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
    say_result("internet", try_connect("1.1.1.1", 53));
    say_result("metadata", try_connect("169.254.169.254", 80));
    say_result("bridge", try_connect("172.17.0.1", 80));
    say_result("host loopback", try_connect("127.0.0.1", 22));
    return end(0);
}

static int forks(long n) {
    long made = 0, refused = 0;
    begin();
    for (long i = 0; i < n; i++) {
        pid_t child = fork();
        if (!child) { pause(); _exit(0); }
        if (child < 0) refused++; else made++;
    }
    say_number("made", made);
    say_number("refused", refused);
    return end(refused ? 1 : 0);
}

static void eat(long mib) {
    for (long i = 0; i < mib; i++) {
        char *p = mmap(0, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) _exit(91);
        memset(p, 1, 1 << 20);
    }
}

static int fill(void) {
    static char block[1 << 16];
    long written = 0;
    int fd = open("/out/full", O_WRONLY | O_CREAT, 0644);
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 3; i++) {
        ssize_t n;
        while ((n = write(fd, block, sizeof block)) > 0) written += n;
        if (errno != EFBIG) break;
        fd = open(i ? "/out/full3" : "/out/full2", O_WRONLY | O_CREAT, 0644);
    }
    fprintf(stderr, "%ld bytes, then %s\n", written, strerrorname_np(errno));
    return 1;
}

static int many(void) {
    char path[64];
    int i;
    for (i = 0; i < 1000000; i++) {
        snprintf(path, sizeof path, "/out/f%d", i);
        int fd = open(path, O_WRONLY | O_CREAT, 0644);
        if (fd < 0) break;
        close(fd);
    }
    fprintf(stderr, "%d files, then %s\n", i, strerrorname_np(errno));
    return 1;
}

/* The first process asks to be traced by its parent outside and stops; its child works on. */
static int ghost(void) {
    long traced = ptrace(PTRACE_TRACEME, 0, 0, 0);
    begin();
    say_result("traceme", traced);
    end(0);
    pid_t child = fork();
    if (!child)
        for (;;) {
            int fd = open("/out/beat", O_WRONLY | O_CREAT | O_APPEND, 0644);
            if (fd >= 0) { if (write(fd, "x", 1)) {} close(fd); }
            usleep(20000);
        }
    if (!traced) raise(SIGSTOP);
    usleep(200000);
    return 0;
}

static int leave_daemon(void) {
    if (!fork()) {
        setsid();
        if (!fork()) for (;;) {
            int fd = open("/out/beat", O_WRONLY | O_CREAT | O_APPEND, 0644);
            if (fd >= 0) { if (write(fd, "x", 1)) {} close(fd); }
            usleep(10000);
        }
        _exit(0);
    }
    begin();
    return end(0);
}

static int special(const char *kind) {
    begin();
    long done = -1;
    const char *at = "/out/special";
    if (!strcmp(kind, "symlink")) done = symlink("/etc/shadow", at);
    if (!strcmp(kind, "fifo")) done = mkfifo(at, 0644);
    if (!strcmp(kind, "device")) done = mknod(at, S_IFCHR | 0666, makedev(1, 3));
    if (!strcmp(kind, "setuid")) { done = try_write(at); if (done > 0) done = chmod(at, 06755); }
    if (!strcmp(kind, "hardlink")) done = link("/out/result.json", at);
    if (!strcmp(kind, "socket")) {
        struct sockaddr_un name = {.sun_family = AF_UNIX};
        strcpy(name.sun_path, at);
        done = bind(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&name, sizeof name);
    }
    if (!strcmp(kind, "sparse")) { int fd = open("/out/art", O_WRONLY | O_CREAT, 0644); done = ftruncate(fd, 4 << 20); }
    if (!strcmp(kind, "undeclared")) { try_write("/out/other"); mkdir("/out/d", 0755); try_write("/out/d/x"); done = try_write("/out/art"); }
    say_result("made", done);
    return end(done < 0 ? 40 : 0);
}

static int flood(long bytes, int lines) {
    static char block[1 << 14];
    memset(block, 'a', sizeof block);
    if (lines) memset(block, '\n', sizeof block);
    else block[sizeof block - 1] = '\n';
    begin();
    end(0);
    while (bytes > 0) {
        ssize_t n = write(bytes & 1 ? 2 : 1, block, bytes < (long)sizeof block ? bytes : (long)sizeof block);
        if (n <= 0) return 92;
        bytes -= n;
    }
    return 0;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "ok";
    long n = argc > 2 ? atol(argv[2]) : 0;
    if (!strcmp(what, "ok")) { begin(); say("ok", "yes"); return end(0); }
    if (!strcmp(what, "facts")) return facts(argc, argv);
    if (!strcmp(what, "net")) return net();
    if (!strcmp(what, "exit")) { begin(); end(0); return (int)n; }
    if (!strcmp(what, "nothing")) return 0;
    if (!strcmp(what, "forks")) return forks(n);
    if (!strcmp(what, "eat")) { eat(n); begin(); return end(0); }
    if (!strcmp(what, "eat-child")) {
        pid_t child = fork();
        if (!child) { eat(n); _exit(0); }
        waitpid(child, 0, 0);
        begin();
        return end(0);
    }
    if (!strcmp(what, "fill")) return fill();
    if (!strcmp(what, "many")) return many();
    if (!strcmp(what, "ghost")) return ghost();
    if (!strcmp(what, "daemon")) return leave_daemon();
    if (!strcmp(what, "special")) return special(argv[2]);
    if (!strcmp(what, "flood")) return flood(n, 0);
    if (!strcmp(what, "newlines")) return flood(n, 1);
    if (!strcmp(what, "sleep")) {
        signal(SIGTERM, SIG_IGN);
        begin();
        end(0);
        struct timespec until = {n, 0};
        while (nanosleep(&until, &until)) {}
        return 0;
    }
    if (!strcmp(what, "lines")) {
        begin();
        end(0);
        for (long i = 0; i < n; i++) {
            dprintf(i % 3 ? 1 : 2, "line %ld\n", i);
            usleep(20000);
        }
        return 0;
    }
    if (!strcmp(what, "health")) { try_write("/out/health"); return 0; }
    return 99;
}
