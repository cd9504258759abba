//! The checks of an order and an image that end in a refusal.

use super::settings::{KERNEL_FOLDERS, MAX_STRING, MAX_STRINGS};
use crate::attempt::{AttemptSpec, Tier};
use crate::facts::HostFacts;
use crate::image::ImageFacts;
use crate::policy::{MIB, Policy};
use crate::refusal::Refusal;

/// A text of unknown origin made fit to show.
pub(super) fn shown(text: &str) -> String {
    text.chars()
        .take(120)
        .flat_map(char::escape_default)
        .collect()
}

/// Whether a variable of this name is never passed on: it changes what is loaded, or names a way
/// out, or is ours.
pub(super) fn env_is_refused(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    upper.starts_with("LD_")
        || upper.ends_with("_PROXY")
        || upper.starts_with("DOCKER_")
        || upper.starts_with("BELLJAR_")
}

/// Whether this can be the name of a variable.
pub(super) fn env_name_is_valid(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b'=')
}

/// The same path without `.`, `..` and doubled slashes; `None` where it is not absolute.
pub(super) fn normal(path: &str) -> Option<String> {
    if !path.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    Some(format!("/{}", parts.join("/")))
}

/// Whether a normalised path is this folder or below it.
pub(super) fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Whether a normalised path is where the kernel shows itself.
pub(super) fn is_kernel_path(path: &str) -> bool {
    KERNEL_FOLDERS.iter().any(|folder| is_below(path, folder))
}

/// The tier against policy and host: gVisor fails closed, everything else must be allowed.
pub(super) fn tier(policy: &Policy, host: &HostFacts, spec: &AttemptSpec) -> Result<(), Refusal> {
    let refuse = |why: &str| {
        Err(Refusal::Tier {
            tier: spec.tier,
            why: why.to_owned(),
        })
    };
    match spec.tier {
        Tier::Gvisor => {}
        Tier::TrustedRunc if !policy.allow_trusted_runc => {
            return refuse("this executor does not run trusted analyses under plain runc");
        }
        Tier::TrustedRunc if !spec.trusted => {
            return refuse("plain runc is only for analyses that an operator marked trusted");
        }
        Tier::WeakerSandbox if !policy.allow_weaker_sandbox => {
            return refuse("the weaker sandbox is only for `analysis test --weaker-sandbox`");
        }
        Tier::TrustedRunc | Tier::WeakerSandbox => {}
    }
    let runtime = policy.runtime(spec.tier);
    if !host.runtimes.contains_key(runtime) {
        return Err(Refusal::RuntimeMissing {
            runtime: runtime.to_owned(),
        });
    }
    if spec.tier == Tier::Gvisor {
        gvisor_version(policy, host)?;
    }
    Ok(())
}

fn gvisor_version(policy: &Policy, host: &HostFacts) -> Result<(), Refusal> {
    let found = host.gvisor.as_ref();
    match found {
        Some(gvisor) if gvisor.build >= policy.gvisor_floor => Ok(()),
        _ => Err(Refusal::TooOld {
            what: "gVisor".to_owned(),
            found: found.map_or_else(|| "unknown".to_owned(), |gvisor| gvisor.version.clone()),
            floor: policy.gvisor_floor.to_string(),
        }),
    }
}

/// What the host must have, whatever the attempt.
pub(super) fn host(policy: &Policy, host: &HostFacts) -> Result<(), Refusal> {
    let unfit = |problem: &str| {
        Err(Refusal::HostUnfit {
            problem: problem.to_owned(),
        })
    };
    if !host.root {
        return unfit("the executor is not root");
    }
    if !host.loop_devices {
        return unfit("there are no loop devices for /out");
    }
    if host.mkfs.is_none() {
        return unfit("mkfs.ext4 is not installed");
    }
    if !host.seccomp {
        return unfit("the engine cannot apply seccomp profiles");
    }
    let version = version_pair(&host.engine_version);
    if version < policy.engine_floor {
        return Err(Refusal::TooOld {
            what: "the container engine".to_owned(),
            found: host.engine_version.clone(),
            floor: format!("{}.{}", policy.engine_floor.0, policy.engine_floor.1),
        });
    }
    Ok(())
}

/// The first two numbers of a version.
pub(crate) fn version_pair(text: &str) -> (u32, u32) {
    let mut numbers = text
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Every limit between its least useful value and the policy's ceiling.
pub(super) fn limits(policy: &Policy, spec: &AttemptSpec) -> Result<(), Refusal> {
    let limits = &spec.limits;
    let most = &policy.ceilings;
    let seconds = limits
        .timeout
        .as_secs()
        .max(u64::from(!limits.timeout.is_zero()));
    for (limit, asked, least, most) in [
        (
            "cpu",
            u64::from(limits.cpu_millis),
            10,
            u64::from(most.cpu_millis),
        ),
        ("memory", limits.memory_bytes, 6 * MIB, most.memory_bytes),
        ("disk", limits.disk_bytes, 64 << 10, most.disk_bytes),
        ("tmp", limits.tmp_bytes, 0, most.tmp_bytes),
        ("pids", u64::from(limits.pids), 1, u64::from(most.pids)),
        ("timeout", seconds, 1, most.timeout_secs),
        ("log", limits.log_bytes, 1 << 10, most.log_bytes),
    ] {
        if !(least..=most).contains(&asked) {
            return Err(Refusal::Limit {
                limit,
                asked,
                least,
                most,
            });
        }
    }
    if spec.slot >= policy.slots {
        return Err(Refusal::Slot {
            slot: spec.slot,
            slots: policy.slots,
        });
    }
    Ok(())
}

/// What an image may not be or carry.
pub(super) fn image(
    host: &HostFacts,
    image: &ImageFacts,
    spec: &AttemptSpec,
) -> Result<(), Refusal> {
    if image.id != spec.image {
        return Err(Refusal::Readback {
            field: "image".to_owned(),
            wanted: spec.image.to_string(),
            found: image.id.to_string(),
            from: "engine".to_owned(),
        });
    }
    if image.platform != host.platform {
        return Err(Refusal::Platform {
            wanted: host.platform.clone(),
            found: shown(&image.platform),
        });
    }
    let reserved = |label: &&String| label.to_ascii_lowercase().starts_with(super::LABEL_PREFIX);
    match image.config.labels.keys().find(reserved) {
        Some(label) => Err(Refusal::ImageLabel {
            label: shown(label),
        }),
        None => Ok(()),
    }
}

/// The working directory: the image's where it is harmless.
pub(super) fn working_dir(image: &ImageFacts) -> Result<String, Refusal> {
    let asked = image.config.working_dir.as_str();
    if asked.is_empty() {
        return Ok("/".to_owned());
    }
    match normal(asked) {
        Some(path) if !is_kernel_path(&path) && asked.len() <= 1024 && !asked.contains('\0') => {
            Ok(path)
        }
        _ => Err(Refusal::WorkingDir { path: shown(asked) }),
    }
}

/// The argument vector: the order's, else the image's, frozen.
pub(super) fn argv(
    image: &ImageFacts,
    spec: &AttemptSpec,
    working_dir: &str,
) -> Result<Vec<String>, Refusal> {
    let argv = match &spec.argv {
        Some(argv) => argv.clone(),
        None => [&image.config.entrypoint[..], &image.config.cmd[..]].concat(),
    };
    let program = argv.first().filter(|program| !program.is_empty());
    let program = program.ok_or(Refusal::NoProgram)?;
    // A name without a slash is looked up in PATH; anything else is a path, maybe relative.
    let place = if program.starts_with('/') || !program.contains('/') {
        normal(program)
    } else {
        normal(&format!("{working_dir}/{program}"))
    };
    if place.is_some_and(|path| is_kernel_path(&path)) {
        return Err(Refusal::Program {
            path: shown(program),
        });
    }
    passable("the argument vector", argv.iter().map(String::as_str))?;
    Ok(argv)
}

/// Strings that the kernel can hand to a program.
pub(super) fn passable<'a>(
    what: &str,
    strings: impl Iterator<Item = &'a str>,
) -> Result<(), Refusal> {
    let mut total = 0;
    for string in strings {
        total += string.len() + 1;
        if string.contains('\0') || string.len() >= MAX_STRING || total > MAX_STRINGS {
            return Err(Refusal::Unpassable {
                what: what.to_owned(),
                max_bytes: MAX_STRING,
            });
        }
    }
    Ok(())
}
