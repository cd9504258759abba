//! The canary: looks at its sandbox from inside and prints one line for each thing tried,
//! `name=errno` with 0 for success. Writes `{}` to `/out/result.json` as the contract wants.
//!
//! `unsafe` is system calls and nothing else: there is no library below.

#![no_std]
#![no_main]
#![no_builtins]

use core::arch::{asm, global_asm};

global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "and rsp, -16",
    "call canary_main",
    "ud2"
);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    exit(101)
}

/// The compiler calls it to clear memory; there is no library that has it.
///
/// # Safety
/// As in C: `to` must be writable for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    for at in 0..count {
        // SAFETY: `at` is below `count`, for which the caller answers.
        unsafe { to.add(at).write_volatile(byte as u8) };
    }
    to
}

/// Named by unwinding tables of the core library; nothing unwinds here.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

/// A system call (System V ABI for x86-64, section A.2.1).
fn call(number: usize, a: usize, b: usize, c: usize, d: usize, e: usize) -> isize {
    let result: isize;
    // SAFETY: every caller passes pointers into live local or static memory with its real length,
    // or no pointer at all.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            out("rcx") _, out("r11") _,
        );
    }
    result
}

const READ: usize = 0;
const WRITE: usize = 1;
const OPEN: usize = 2;
const SOCKET: usize = 41;
const CONNECT: usize = 42;
const EXIT: usize = 60;
const PTRACE: usize = 101;
const GETUID: usize = 102;
const SYSLOG: usize = 103;
const SETUID: usize = 105;
const MOUNT: usize = 165;

fn exit(code: usize) -> ! {
    loop {
        call(EXIT, code, 0, 0, 0, 0);
    }
}

fn print(text: &[u8]) {
    call(WRITE, 1, text.as_ptr() as usize, text.len(), 0, 0);
}

/// Prints `name=value` with a value that is a result of a system call: 0 or more, or minus errno.
fn say(name: &[u8], value: isize) {
    let mut digits = [0_u8; 24];
    let mut at = digits.len() - 1;
    digits[at] = b'\n';
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    print(name);
    print(if value < 0 { b"=-" } else { b"=" });
    print(&digits[at..]);
}

/// 0 for anything that worked.
fn worked(result: isize) -> isize {
    if result > 0 { 0 } else { result }
}

/// Opens a path that ends with NUL.
fn open(path: &[u8], flags: usize) -> isize {
    call(OPEN, path.as_ptr() as usize, flags, 0o644, 0, 0)
}

const WRONLY_CREAT: usize = 0o101;
const RDWR: usize = 2;

#[unsafe(no_mangle)]
extern "C" fn canary_main() -> ! {
    let mut buffer = [0_u8; 4096];
    let version = open(b"/proc/version\0", 0);
    if version >= 0 {
        let read = call(READ, version as usize, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0);
        print(b"version=");
        print(&buffer[..read.max(0) as usize]);
    }
    say(b"uid", call(GETUID, 0, 0, 0, 0, 0));
    say(b"write_root", worked(open(b"/canary-was-here\0", WRONLY_CREAT)));
    say(b"write_input", worked(open(b"/in/params.json\0", RDWR)));
    say(b"vsock", worked(call(SOCKET, 40, 1, 0, 0, 0)));
    // 198.51.100.1, port 9: an address for documentation (RFC 5737), routed nowhere.
    let address: [u8; 16] = [2, 0, 0, 9, 198, 51, 100, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let socket = call(SOCKET, 2, 1, 0, 0, 0);
    let connected = call(CONNECT, socket as usize, address.as_ptr() as usize, 16, 0, 0);
    say(b"connect", worked(connected));
    say(b"setuid", worked(call(SETUID, 0, 0, 0, 0, 0)));
    let none = b"none\0".as_ptr() as usize;
    let place = b"/tmp\0".as_ptr() as usize;
    let kind = b"tmpfs\0".as_ptr() as usize;
    say(b"mount", worked(call(MOUNT, none, place, kind, 0, 0)));
    say(b"ptrace", worked(call(PTRACE, 0, 0, 0, 0, 0)));
    // The kernel's log: gVisor answers with its own.
    let read = call(SYSLOG, 3, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0);
    say(b"syslog", read);
    print(&buffer[..read.max(0) as usize]);
    print(b"\n");
    let result = open(b"/out/result.json\0", WRONLY_CREAT);
    say(b"result", worked(result));
    call(WRITE, result as usize, b"{}".as_ptr() as usize, 2, 0, 0);
    exit(0)
}
