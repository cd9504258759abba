//! The rules of a manifest that go beyond one field.

use crate::code;
use crate::diagnostic::{Diagnostic, join_pointer};
use crate::model::{Manifest, Resources};
use crate::schema;
use std::collections::HashMap;
use std::fmt::Display;

impl Manifest {
    /// Checks every rule of the format that the types alone do not keep; for a manifest that came
    /// as JSON.
    ///
    /// # Errors
    ///
    /// Every rule that it breaks, each with the JSON Pointer of its place and no span.
    pub fn check(&self) -> Result<(), Vec<Diagnostic>> {
        let problems = check(self);
        if problems.is_empty() {
            Ok(())
        } else {
            Err(problems)
        }
    }
}

pub(crate) fn check(manifest: &Manifest) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    texts(manifest, &mut problems);
    command(manifest, &mut problems);
    resources(&manifest.resources, &mut problems);
    artifacts(manifest, &mut problems);
    if let Some(params) = &manifest.params {
        problems.extend(
            schema::compile_params(params, "/params")
                .err()
                .into_iter()
                .flatten(),
        );
    }
    problems.extend(
        schema::compile(&manifest.result, "/result")
            .err()
            .into_iter()
            .flatten(),
    );
    problems
}

fn texts(manifest: &Manifest, problems: &mut Vec<Diagnostic>) {
    if !manifest.version.build.is_empty() {
        let message = format!("the version {} has build metadata", manifest.version);
        problems.push(
            Diagnostic::error(&code::INVALID_VERSION, "/version", message)
                .help("leave out what follows `+`"),
        );
    }
    for (pointer, text, max) in [
        ("/summary", &manifest.summary, 200),
        ("/image", &manifest.image, 1_024),
    ] {
        if text.chars().count() > max || text.contains(['\n', '\r']) {
            let message = format!("the text must be one line of at most {max} characters");
            problems.push(Diagnostic::error(&code::TOO_LONG, pointer, message));
        }
    }
    for (pointer, count) in [
        ("/inputs", manifest.inputs.len()),
        ("/artifacts", manifest.artifacts.len()),
    ] {
        if count > 64 {
            let message = format!("there are {count} members; at most 64 are allowed");
            problems.push(Diagnostic::error(&code::TOO_LONG, pointer, message));
        }
    }
}

fn command(manifest: &Manifest, problems: &mut Vec<Diagnostic>) {
    let Some(command) = &manifest.command else {
        return;
    };
    let mut wrong = |message: &str| {
        problems.push(Diagnostic::error(
            &code::INVALID_COMMAND,
            "/command",
            message,
        ));
    };
    match command.first() {
        None => wrong("the command is empty; leave it out to use the image's own"),
        Some(program) if program.is_empty() => wrong("the program's name is empty"),
        Some(_) => {}
    }
    if command.len() > 64 || command.iter().any(|argument| argument.len() > 4_096) {
        wrong("a command has at most 64 texts of at most 4096 bytes");
    }
    if command.iter().any(|argument| argument.contains('\0')) {
        wrong("a command may not contain NUL");
    }
}

fn within<T: Ord + Display>(
    problems: &mut Vec<Diagnostic>,
    name: &str,
    value: &T,
    floor: &T,
    ceiling: &T,
) {
    if value < floor || value > ceiling {
        let message = format!("`{name}` is {value}; it must be between {floor} and {ceiling}");
        problems.push(Diagnostic::error(
            &code::OUT_OF_RANGE,
            format!("/resources/{name}"),
            message,
        ));
    }
}

fn resources(own: &Resources, problems: &mut Vec<Diagnostic>) {
    let (floor, ceiling) = (Resources::FLOOR, Resources::CEILING);
    within(problems, "cpu", &own.cpu, &floor.cpu, &ceiling.cpu);
    within(
        problems,
        "memory",
        &own.memory,
        &floor.memory,
        &ceiling.memory,
    );
    within(problems, "disk", &own.disk, &floor.disk, &ceiling.disk);
    within(problems, "tmp", &own.tmp, &floor.tmp, &ceiling.tmp);
    within(problems, "pids", &own.pids, &floor.pids, &ceiling.pids);
    within(
        problems,
        "timeout",
        &own.timeout,
        &floor.timeout,
        &ceiling.timeout,
    );
    if own.tmp > own.memory {
        let message = format!(
            "`tmp` is {}, more than `memory`, {}, of which it is a part",
            own.tmp, own.memory
        );
        problems.push(Diagnostic::error(
            &code::RESOURCES_CONTRADICT,
            "/resources/tmp",
            message,
        ));
    }
}

fn artifacts(manifest: &Manifest, problems: &mut Vec<Diagnostic>) {
    let mut taken = HashMap::from([(crate::path::RESULT_PATH.to_owned(), "the result".to_owned())]);
    for (name, artifact) in &manifest.artifacts {
        let pointer = join_pointer("/artifacts", name.as_str());
        let key = artifact.path.case_key();
        if let Some(other) = taken.get(&key) {
            let message = format!("the path `{}` is that of {other}", artifact.path);
            problems.push(Diagnostic::error(
                &code::PATHS_COLLIDE,
                format!("{pointer}/path"),
                message,
            ));
        }
        let inside = taken
            .iter()
            .find(|(path, _)| is_inside(path, &key) || is_inside(&key, path));
        if let Some((_, other)) = inside {
            let message = format!(
                "the path `{}` and that of {other} lie inside each other",
                artifact.path
            );
            problems.push(Diagnostic::error(
                &code::PATHS_COLLIDE,
                format!("{pointer}/path"),
                message,
            ));
        }
        taken
            .entry(key)
            .or_insert_with(|| format!("the artifact `{name}`"));
        if let Some(max) = artifact
            .max_bytes
            .filter(|max| *max > manifest.resources.disk)
        {
            let message = format!(
                "`max_bytes` is {max}, but `/out` has only {}",
                manifest.resources.disk
            );
            problems.push(
                Diagnostic::error(
                    &code::RESOURCES_CONTRADICT,
                    format!("{pointer}/max_bytes"),
                    message,
                )
                .help("lower it, or raise `disk` under `resources`"),
            );
        }
    }
}

/// Whether the path `inner` lies below the path `outer`.
fn is_inside(inner: &str, outer: &str) -> bool {
    inner
        .strip_prefix(outer)
        .is_some_and(|rest| rest.starts_with('/'))
}
