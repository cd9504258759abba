//! The constants of the plan, each with its reason.

/// Hidden from the program: the engine's own list, then what it leaves readable. Kernel symbols and
/// build options help exploits; interrupts, buses and block devices tell about the host and its
/// other users. `/sys/devices/system` stays: numerical libraries count processors there.
pub(super) const MASKED_PATHS: &[&str] = &[
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/proc/buddyinfo",
    "/proc/bus",
    "/proc/config.gz",
    "/proc/diskstats",
    "/proc/interrupts",
    "/proc/iomem",
    "/proc/ioports",
    "/proc/kallsyms",
    "/proc/key-users",
    "/proc/kmsg",
    "/proc/kpagecount",
    "/proc/kpageflags",
    "/proc/modules",
    "/proc/mtrr",
    "/proc/pagetypeinfo",
    "/proc/partitions",
    "/proc/slabinfo",
    "/proc/softirqs",
    "/proc/swaps",
    "/proc/tty",
    "/proc/vmallocinfo",
    "/proc/zoneinfo",
    "/sys/block",
    "/sys/bus",
    "/sys/class",
    "/sys/dev",
    "/sys/devices/virtual",
    "/sys/fs",
    "/sys/hypervisor",
    "/sys/kernel",
    "/sys/module",
    "/sys/power",
];

/// Read-only although `/proc` is not: the engine's own list.
pub(super) const READONLY_PATHS: &[&str] =
    &["/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Folders in which no program, working directory or volume may be (CVE-2019-5736,
/// CVE-2024-21626: paths there name things outside of the container).
pub(super) const KERNEL_FOLDERS: &[&str] = &["/proc", "/sys", "/dev"];

/// Set where neither image nor order say otherwise: caches of common runtimes go where there is
/// room, since the root is read-only.
pub(super) const ENV_DEFAULTS: &[(&str, &str)] = &[
    (
        "PATH",
        "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ),
    ("MPLCONFIGDIR", "/tmp"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("R_USER_CACHE_DIR", "/tmp"),
    ("TMPDIR", "/tmp"),
    ("XDG_CACHE_HOME", "/tmp"),
];

/// Set whatever image and order say: part of the contract, or it would tell where this runs.
pub(super) const ENV_FIXED: &[(&str, &str)] = &[("HOME", "/tmp"), ("HOSTNAME", HOSTNAME)];

/// The hostname of every container.
pub(super) const HOSTNAME: &str = "belljar";

/// The longest argument or variable, in bytes: the kernel's limit for one string (execve(2)).
pub(super) const MAX_STRING: usize = 128 * 1024;

/// All arguments and variables together, in bytes; the kernel allows a quarter of the stack.
pub(super) const MAX_STRINGS: usize = 1 << 20;

/// Under plain `runc` the init process counts; under gVisor the overhead of the policy covers it.
pub(super) const INIT_PIDS: u32 = 1;

/// Pieces of log per byte of its cap: the engine keeps about 40 bytes beside each piece, and a
/// program that writes empty lines must not overrun the engine's files before the cap is reached.
pub(super) const LOG_BYTES_PER_FRAME: u64 = 32;

/// Volumes of an image over which a memory filesystem is put at most.
pub(super) const MAX_VOLUMES: usize = 16;
