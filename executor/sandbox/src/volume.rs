//! `/out`: an ext4 filesystem of its own for each attempt, in a reserved file behind a loop device.
//!
//! Owns: making it, making it read-only, unmounting and deleting it, and finding what a crash left.
//! It bounds bytes and inodes, and its mount takes away setuid, devices and execution. Leaves to
//! others: what is in it ([`crate::outputs`]).
//!
//! The loop device is attached by mount(8) with the kernel's autoclear flag: it goes away with the
//! mount, whoever unmounts, so that a crash between two steps leaks none.

use crate::error::{Result, SandboxError};
use crate::plan::OutPlan;
use rustix::fs::{FallocateFlags, StatVfs, fallocate, statvfs};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount_remount, unmount};
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes the empty folder for the mount. What a call before left is taken down first, so that
/// nothing of another attempt can be in it.
///
/// # Errors
/// The host's.
pub(crate) fn clear(plan: &OutPlan) -> Result<()> {
    destroy(&plan.mount, &plan.image)?;
    DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(&plan.mount)
        .map_err(SandboxError::host("create", &plan.mount))
}

/// Makes and mounts the filesystem of a plan at the folder that [`clear`] made.
///
/// # Errors
/// `DiskFull` where less than `reserve_bytes` would stay free, and the host's.
pub(crate) fn create(plan: &OutPlan, mkfs: &Path, reserve_bytes: u64) -> Result<()> {
    check_space(plan, reserve_bytes)?;
    reserve(plan)?;
    let made = format(plan, mkfs).and_then(|()| mount_image(plan));
    if made.is_err() {
        // The first error is the one to tell; a rest is found by the sweep.
        let _ = destroy(&plan.mount, &plan.image);
    }
    made
}

fn check_space(plan: &OutPlan, reserve_bytes: u64) -> Result<()> {
    let dir = plan.image.parent().unwrap_or(Path::new("/"));
    let space = statvfs(dir).map_err(|e| SandboxError::host("look at", dir)(e.into()))?;
    let available = (space.f_bavail * space.f_frsize).saturating_sub(reserve_bytes);
    if available < plan.image_bytes {
        return Err(SandboxError::DiskFull {
            path: dir.to_owned(),
            needed: plan.image_bytes,
            available,
        });
    }
    Ok(())
}

fn reserve(plan: &OutPlan) -> Result<()> {
    let image = &plan.image;
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(image)
        .map_err(SandboxError::host("create", image))?;
    // Reserved extents read as zeros: nothing of the host's deleted files shines through.
    match fallocate(&file, FallocateFlags::empty(), 0, plan.image_bytes) {
        Ok(()) => {}
        Err(Errno::NOSPC) => {
            let _ = std::fs::remove_file(image);
            return Err(SandboxError::DiskFull {
                path: image.clone(),
                needed: plan.image_bytes,
                available: 0,
            });
        }
        Err(error) => return Err(SandboxError::host("reserve", image)(error.into())),
    }
    Ok(())
}

fn format(plan: &OutPlan, mkfs: &Path) -> Result<()> {
    let owner = format!("root_owner={0}:{0},nodiscard,lazy_itable_init=1", plan.uid);
    run(
        "mkfs.ext4",
        Command::new(mkfs)
            .args(["-q", "-F", "-b", "4096", "-I", "256", "-m", "0"])
            .args(["-O", "^has_journal,^resize_inode,^metadata_csum,uninit_bg"])
            .args(["-E", &owner, "-N", &plan.inodes.to_string()])
            .arg(&plan.image),
    )
}

fn mount_image(plan: &OutPlan) -> Result<()> {
    run(
        "mount",
        Command::new("mount")
            .args(["-n", "-i", "-t", "ext4", "-o"])
            .arg("loop,nosuid,nodev,noexec,noatime,private")
            .args([plan.image.as_os_str(), plan.mount.as_os_str()]),
    )?;
    // mkfs leaves a folder for its checker; the program must find /out empty.
    let lost = plan.mount.join("lost+found");
    std::fs::remove_dir(&lost).map_err(SandboxError::host("remove", lost))?;
    std::fs::set_permissions(&plan.mount, Permissions::from_mode(0o755))
        .map_err(SandboxError::host("change the mode of", &plan.mount))
}

/// Runs a helper program with nothing on its input and an environment of our own.
fn run(program: &'static str, command: &mut Command) -> Result<()> {
    let output = command
        .stdin(std::process::Stdio::null())
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(SandboxError::Helper {
            program,
            detail: format!(
                "{}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            ),
        }),
        Err(error) => Err(SandboxError::Helper {
            program,
            detail: error.to_string(),
        }),
    }
}

/// Whether something is mounted at the folder.
pub(crate) fn is_mounted(mount: &Path) -> bool {
    let above = mount.parent().and_then(|parent| parent.metadata().ok());
    match (mount.symlink_metadata(), above) {
        (Ok(here), Some(above)) => here.dev() != above.dev(),
        _ => false,
    }
}

/// How much of it is used.
///
/// # Errors
/// The host's.
pub(crate) fn space(mount: &Path) -> Result<StatVfs> {
    statvfs(mount).map_err(|error| SandboxError::host("look at", mount)(error.into()))
}

/// Makes the mount read-only and deaf to symbolic links, for the collector. Flags of this mount
/// alone: a remount of the filesystem would flush it and take ten times as long.
///
/// # Errors
/// The host's.
pub(crate) fn seal(mount: &Path) -> Result<()> {
    let flags = MountFlags::BIND
        | MountFlags::RDONLY
        | MountFlags::NOSYMFOLLOW
        | MountFlags::NOSUID
        | MountFlags::NODEV
        | MountFlags::NOEXEC
        | MountFlags::NOATIME;
    mount_remount(mount, flags, c"")
        .map_err(|error| SandboxError::host("make read-only", mount)(error.into()))
}

/// Unmounts and deletes; nothing where nothing is.
///
/// # Errors
/// The host's.
pub(crate) fn destroy(mount: &Path, image: &Path) -> Result<()> {
    // Several mounts can lie on each other if a call was interrupted.
    for _ in 0..8 {
        match unmount(mount, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOENT) => break,
            Err(error) => return Err(SandboxError::host("unmount", mount)(error.into())),
        }
    }
    free_loop_devices(image)?;
    for (path, result) in [
        (image, std::fs::remove_file(image)),
        (mount, std::fs::remove_dir(mount)),
    ] {
        match result {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(SandboxError::host("remove", path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Detaches loop devices on the image: one is left where mount(8) died between its two steps.
/// A device still in use is only marked, and goes with its mount.
fn free_loop_devices(image: &Path) -> Result<()> {
    for device in loop_devices_on(image) {
        run("losetup", Command::new("losetup").arg("-d").arg(device))?;
    }
    Ok(())
}

/// The loop devices whose file is this one.
pub(crate) fn loop_devices_on(image: &Path) -> Vec<PathBuf> {
    let Ok(devices) = std::fs::read_dir("/sys/block") else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for device in devices.flatten() {
        let backing = device.path().join("loop/backing_file");
        let Ok(file) = std::fs::read_to_string(backing) else {
            continue;
        };
        // The kernel adds this where the file is unlinked already.
        let file = file.trim_end_matches('\n');
        let file = file.strip_suffix(" (deleted)").unwrap_or(file);
        if OsStr::new(file) == image.as_os_str() {
            found.push(Path::new("/dev").join(device.file_name()));
        }
    }
    found
}

/// Whether this host can attach loop devices.
pub(crate) fn loop_devices_available() -> bool {
    File::open("/dev/loop-control").is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn plan(dir: &Path) -> OutPlan {
        OutPlan {
            image: dir.join("out.img"),
            mount: dir.join("out"),
            image_bytes: 4 << 20,
            inodes: 64,
            uid: 60_007,
        }
    }

    #[test]
    fn is_limited_owned_by_the_slot_sealed_and_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(dir.path());
        clear(&plan).unwrap();
        create(&plan, Path::new("/usr/sbin/mkfs.ext4"), 0).expect("needs root and loop devices");
        let root = plan.mount.metadata().unwrap();
        assert_eq!(
            (root.uid(), root.gid(), root.mode() & 0o7777),
            (60_007, 60_007, 0o755)
        );
        assert_eq!(plan.mount.read_dir().unwrap().count(), 0);
        let mut full = File::create(plan.mount.join("full")).unwrap();
        let chunk = vec![1; 1 << 20];
        let error = (0..8)
            .find_map(|_| full.write_all(&chunk).err())
            .expect("4 MiB must not fit");
        assert_eq!(error.raw_os_error(), Some(libc::ENOSPC));
        drop(full);
        std::fs::remove_file(plan.mount.join("full")).unwrap();
        let files = (0..200)
            .take_while(|n| File::create(plan.mount.join(n.to_string())).is_ok())
            .count();
        assert!((32..=64).contains(&files), "{files} files for 64 inodes");
        std::os::unix::fs::symlink("/etc/passwd", plan.mount.join("0l")).unwrap_err();
        std::fs::remove_file(plan.mount.join("1")).unwrap();
        std::os::unix::fs::symlink("0", plan.mount.join("link")).unwrap();
        seal(&plan.mount).unwrap();
        let error = File::create(plan.mount.join("0")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EROFS));
        let error = File::open(plan.mount.join("link")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
        assert_eq!(loop_devices_on(&plan.image).len(), 1);
        destroy(&plan.mount, &plan.image).unwrap();
        assert!(!plan.mount.exists() && !plan.image.exists());
        assert!(loop_devices_on(&plan.image).is_empty());
        destroy(&plan.mount, &plan.image).unwrap();
    }

    #[test]
    fn a_full_disk_is_said_before_anything_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let mut plan = plan(dir.path());
        plan.image_bytes = 1 << 60;
        let error = create(&plan, Path::new("/usr/sbin/mkfs.ext4"), 0).unwrap_err();
        assert!(matches!(error, SandboxError::DiskFull { .. }) && error.is_transient());
        plan.image_bytes = 4 << 20;
        let error = create(&plan, Path::new("/usr/sbin/mkfs.ext4"), 1 << 60).unwrap_err();
        assert!(matches!(error, SandboxError::DiskFull { .. }));
        assert_eq!(dir.path().read_dir().unwrap().count(), 0);
    }
}
