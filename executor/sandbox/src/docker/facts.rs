//! Asking engine and host what they are and have.

use super::engine::{CALL, Engine, within};
use crate::error::{Result, SandboxError};
use crate::facts::{CgroupDriver, CgroupVersion, GvisorFacts, HostFacts};
use crate::policy::Policy;
use bollard::models::{
    SystemInfo, SystemInfoCgroupDriverEnum, SystemInfoCgroupVersionEnum, SystemVersion,
};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Everything at once.
pub(super) async fn collect(
    engine: &Engine,
    policy: &Policy,
    state_dir: &Path,
    input_roots: &[PathBuf],
) -> Result<HostFacts> {
    let info = within("describe itself", CALL, engine.docker.info()).await?;
    let version = within("tell its version", CALL, engine.docker.version()).await?;
    let (state_dir, input_roots) = (state_dir.to_owned(), input_roots.to_owned());
    let gvisor_runtime = policy.gvisor_runtime.clone();
    let api = engine.docker.client_version().to_string();
    let task = tokio::task::spawn_blocking(move || {
        facts(
            &info,
            &version,
            api,
            &gvisor_runtime,
            state_dir,
            input_roots,
        )
    });
    task.await
        .map_err(|error| SandboxError::Confused(format!("collecting facts: {error}")))
}

fn facts(
    info: &SystemInfo,
    version: &SystemVersion,
    engine_api: String,
    gvisor_runtime: &str,
    state_dir: PathBuf,
    input_roots: Vec<PathBuf>,
) -> HostFacts {
    let options = info.security_options.as_deref().unwrap_or_default();
    let has = |name: &str| options.iter().any(|option| option.contains(name));
    let runtimes = info.runtimes.clone().unwrap_or_default();
    let gvisor = runtimes.get(gvisor_runtime).and_then(|runtime| {
        let args = runtime.runtime_args.clone().unwrap_or_default();
        gvisor(Path::new(runtime.path.as_deref()?), args)
    });
    let architecture = version.arch.clone().unwrap_or_default();
    HostFacts {
        engine_version: version.version.clone().unwrap_or_default(),
        engine_api,
        engine_root: info.docker_root_dir.clone().unwrap_or_default().into(),
        live_restore: info.live_restore_enabled.unwrap_or(false),
        runtimes: runtimes
            .into_iter()
            .map(|(name, runtime)| (name, runtime.path.unwrap_or_default()))
            .collect(),
        gvisor,
        runc_version: component(version, "runc"),
        containerd_version: component(version, "containerd"),
        cgroup_version: match info.cgroup_version {
            Some(SystemInfoCgroupVersionEnum::_2) => CgroupVersion::V2,
            _ => CgroupVersion::V1,
        },
        cgroup_driver: match info.cgroup_driver {
            Some(SystemInfoCgroupDriverEnum::SYSTEMD) => CgroupDriver::Systemd,
            _ => CgroupDriver::Cgroupfs,
        },
        apparmor: has("apparmor"),
        seccomp: has("seccomp"),
        kernel: info.kernel_version.clone().unwrap_or_default(),
        platform: format!("linux/{architecture}"),
        cpus: u32::try_from(info.ncpu.unwrap_or(0)).unwrap_or(0),
        memory_bytes: u64::try_from(info.mem_total.unwrap_or(0)).unwrap_or(0),
        root: rustix::process::geteuid().is_root(),
        loop_devices: crate::volume::loop_devices_available(),
        mkfs: ["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"]
            .map(PathBuf::from)
            .into_iter()
            .find(|path| path.exists()),
        state_free_bytes: rustix::fs::statvfs(&state_dir)
            .map_or(0, |space| space.f_bavail * space.f_frsize),
        state_dir,
        input_roots,
    }
}

fn component(version: &SystemVersion, name: &str) -> String {
    let components = version.components.as_deref().unwrap_or_default();
    let found = components.iter().find(|component| component.name == name);
    found.map_or_else(String::new, |component| component.version.clone())
}

/// The build behind a runtime entry; `None` where it does not run or is something else.
fn gvisor(path: &Path, args: Vec<String>) -> Option<GvisorFacts> {
    let output = Command::new(path)
        .arg("--version")
        .env_clear()
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = text
        .strip_prefix("runsc version ")?
        .lines()
        .next()?
        .trim()
        .to_owned();
    let platform = args
        .iter()
        .find_map(|arg| arg.trim_start_matches('-').strip_prefix("platform="));
    Some(GvisorFacts {
        path: path.to_owned(),
        build: build_date(&version),
        platform: platform.unwrap_or("default").to_owned(),
        version,
        args,
    })
}

/// The date in a version such as `0.0~20221219.0` or `release-20240729.0`.
fn build_date(version: &str) -> u32 {
    version
        .split(|c: char| !c.is_ascii_digit())
        .find(|part| part.len() == 8)
        .and_then(|part| part.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::build_date;

    #[test]
    fn builds_are_dated() {
        assert_eq!(build_date("0.0~20221219.0"), 20_221_219);
        assert_eq!(build_date("release-20240729.0"), 20_240_729);
        assert_eq!(build_date("VERSION_MISSING"), 0);
    }
}
