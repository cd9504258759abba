//! `belljar analysis test`: what it is to run, and what came of it.

use super::{documents, params};
use crate::args::{LocalInput, ParamArgs};
use crate::context::Context;
use crate::error::{CommandError, Result};
use crate::escape;
use crate::exit_code::ExitCode;
use crate::io::Io;
use crate::port::{ImagePort, TestOrder, TestReport};
use crate::table::{self, Table, duration, number, shown, size, text};
use belljar_ids::InputName;
use belljar_manifest::{Manifest, schema};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Reads the manifest at `path`, which is the folder or the file.
pub fn manifest(path: &Path, io: &Io) -> Result<(PathBuf, documents::Document, Manifest)> {
    let file = if path.is_dir() {
        path.join("analysis.yaml")
    } else {
        path.to_owned()
    };
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let document = documents::read(&file, io)?;
    match belljar_manifest::parse_manifest(&document.text, &document.name) {
        Ok(parsed) => {
            if !parsed.warnings.is_empty() {
                io.err_line(
                    documents::shown(&parsed.warnings, Some(&document.text), io.stderr).trim_end(),
                );
            }
            Ok((folder, document, parsed.manifest))
        }
        Err(diagnostics) => Err(documents::refused(
            &diagnostics,
            Some(&document.text),
            &document.name,
            io,
        )),
    }
}

/// What is to be run: the manifest, an input file for each input, valid parameters.
pub fn order(
    path: &Path,
    inputs: &[LocalInput],
    args: &ParamArgs,
    out: Option<PathBuf>,
    weaker_sandbox: bool,
    io: &Io,
) -> Result<TestOrder> {
    let (folder, _, manifest) = manifest(path, io)?;
    let inputs = find_inputs(&folder, &manifest, inputs)?;
    let params = find_params(&folder, &manifest, args)?;
    Ok(TestOrder {
        folder,
        manifest,
        inputs,
        params,
        out,
        weaker_sandbox,
    })
}

fn invalid(message: String) -> CommandError {
    CommandError::new(ExitCode::SpecInvalid, message)
}

/// The files given, and for the others the samples.
fn find_inputs(
    folder: &Path,
    manifest: &Manifest,
    given: &[LocalInput],
) -> Result<BTreeMap<InputName, PathBuf>> {
    let mut found = BTreeMap::new();
    for input in given {
        if !manifest
            .inputs
            .keys()
            .any(|name| name.as_str() == input.name.as_str())
        {
            let names: Vec<&str> = manifest.inputs.keys().map(|name| name.as_str()).collect();
            let message = format!(
                "the analysis has no input {}; it has {}",
                input.name,
                names.join(", ")
            );
            return Err(CommandError::new(ExitCode::Usage, message));
        }
        if let Err(error) = input.path.metadata() {
            return Err(CommandError::local(
                format!("read {}", input.path.display()),
                error,
            ));
        }
        if found
            .insert(input.name.clone(), input.path.clone())
            .is_some()
        {
            return Err(CommandError::new(
                ExitCode::Usage,
                format!("--input {} is given twice", input.name),
            ));
        }
    }
    for (name, spec) in &manifest.inputs {
        // Both crates' names have the same rules.
        let Ok(name) = name.as_str().parse::<InputName>() else {
            continue;
        };
        if found.contains_key(&name) {
            continue;
        }
        match sample(folder, name.as_str()) {
            Some(path) => {
                found.insert(name, path);
            }
            None if spec.optional => {}
            None => {
                let message = format!(
                    "there is no file for the input {name} ({})",
                    spec.media_type
                );
                return Err(CommandError::new(ExitCode::Usage, message).help(format!(
                    "give one: --input {name}=FILE, or put one at {}",
                    folder.join(format!("sample/{name}.*")).display()
                )));
            }
        }
    }
    Ok(found)
}

/// `sample/<input>`, or the only `sample/<input>.*`.
fn sample(folder: &Path, input: &str) -> Option<PathBuf> {
    let samples = folder.join("sample");
    let exact = samples.join(input);
    if exact.exists() {
        return Some(exact);
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir(samples)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_stem().is_some_and(|stem| stem == input))
        .collect();
    if found.len() == 1 { found.pop() } else { None }
}

/// The parameters given over those of `sample/params.json`, with the schema's defaults, checked.
fn find_params(folder: &Path, manifest: &Manifest, args: &ParamArgs) -> Result<Map<String, Value>> {
    let mut args = args.clone();
    let sample = folder.join("sample/params.json");
    if args.params_file.is_none() && sample.exists() {
        args.params_file = Some(sample);
    }
    let mut value = Value::Object(params(&args)?);
    match &manifest.params {
        Some(declared) => {
            schema::apply_defaults(declared, &mut value);
            let compiled = schema::compile_params(declared, "/params")
                .map_err(|_| invalid("the manifest's params are not a schema".to_owned()))?;
            if let Err(problems) = compiled.validate(&value) {
                return Err(invalid(format!("the parameters are not valid: {problems}")));
            }
        }
        None if value.as_object().is_some_and(|members| !members.is_empty()) => {
            return Err(invalid("the analysis takes no parameters".to_owned()));
        }
        None => {}
    }
    match value {
        Value::Object(members) => Ok(members),
        _ => Ok(Map::new()),
    }
}

/// Runs the test and prints what came of it.
pub async fn test(
    context: &Context,
    order: &TestOrder,
    images: &dyn ImagePort,
) -> Result<ExitCode> {
    let say = |line: &str| context.io.say(line);
    let report = images.test(order, &say).await?;
    if context.io.is_json() {
        context.io.json(&report)?;
    } else {
        print(&context.io, order, &report)?;
    }
    Ok(if report.cause.is_none() {
        ExitCode::Success
    } else {
        ExitCode::RunFailed
    })
}

fn print(io: &Io, order: &TestOrder, report: &TestReport) -> Result<()> {
    if !report.production_sandbox {
        io.err_line("this was NOT the production sandbox: it held the program less tightly");
    }
    for (name, log) in [("stdout", &report.stdout), ("stderr", &report.stderr)] {
        if !log.is_empty() {
            io.say(&format!(
                "--- {name} of the program\n{}",
                escape::lines(log.trim_end())
            ));
        }
    }
    if let Some(result) = &report.result {
        io.json(result)?;
        io.line("")?;
    }
    if !report.artifacts.is_empty() {
        let mut table = Table::new(&["ARTIFACT", "PATH", "SIZE", "KEPT AT"]);
        for artifact in &report.artifacts {
            let kept = artifact
                .kept
                .as_ref()
                .map(|path| path.display().to_string());
            table.row([
                shown(&artifact.name),
                text(&artifact.path),
                number(size(artifact.size)),
                table::maybe(kept),
            ]);
        }
        io.line(&table.render(io.stdout))?;
        io.line("")?;
    }
    let limits = &order.manifest.resources;
    let unknown = || "unknown".to_owned();
    io.line(&format!(
        "memory   {} at most, of {}",
        report.peak_memory_bytes.map_or_else(unknown, size),
        size(limits.memory.get())
    ))?;
    io.line(&format!(
        "CPU      {}",
        report
            .cpu_ms
            .map_or_else(unknown, |ms| duration(Duration::from_millis(ms)))
    ))?;
    io.line(&format!(
        "time     {}, of {}",
        duration(Duration::from_millis(report.time_ms)),
        duration(limits.timeout.to_duration())
    ))?;
    io.line(&format!("sandbox  {}", escape::line(&report.sandbox)))?;
    if report.dropped_files > 0 {
        io.line(&format!(
            "dropped  {} files in /out that the manifest does not declare",
            report.dropped_files
        ))?;
    }
    for refusal in &report.refusals {
        io.line(&format!("refused  {}", escape::line(refusal)))?;
    }
    match &report.cause {
        None => io.line("result   succeeded")?,
        Some(cause) => {
            let code = report
                .exit_code
                .map(|code| format!(", exit code {code}"))
                .unwrap_or_default();
            io.line(&format!("result   failed: {}{code}", escape::line(cause)))?;
            if let Some(message) = &report.message {
                io.line(&format!("         {}", escape::line(message)))?;
            }
        }
    }
    Ok(())
}
