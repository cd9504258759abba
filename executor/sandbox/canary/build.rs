//! Compiles the canary, the one program that the sandbox runs of its own: static, without any
//! library, so that it fits on an empty image. It needs nothing but the compiler and linker that
//! build this crate.

use std::path::PathBuf;
use std::process::Command;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=canary/canary.rs");
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    let out = PathBuf::from(out).join("canary");
    let target = std::env::var("TARGET")?;
    if !target.starts_with("x86_64-") || !target.contains("linux") {
        // The self-test then says that it has no canary for this platform.
        std::fs::write(&out, b"")?;
        return Ok(());
    }
    let rustc = std::env::var_os("RUSTC").ok_or("cargo sets RUSTC")?;
    let status = Command::new(rustc)
        .args(["canary/canary.rs", "--edition=2024", "--crate-name=canary"])
        .args(["--crate-type=bin", "--target", &target])
        .args([
            "-Cpanic=abort",
            "-Copt-level=s",
            "-Crelocation-model=static",
        ])
        .args(["-Clink-arg=-nostdlib", "-Clink-arg=-nostartfiles"])
        .args(["-Clink-arg=-static", "-Cstrip=symbols", "-o"])
        .arg(&out)
        .status()?;
    if status.success() {
        Ok(())
    } else {
        Err("the canary does not compile".into())
    }
}
