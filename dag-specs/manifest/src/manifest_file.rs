//! `analysis.yaml` to a [`Manifest`].

use crate::check;
use crate::code::{self, Code};
use crate::diagnostic::{Diagnostic, Problems};
use crate::model::{ArtifactSpec, InputKind, InputSpec, Manifest, Resources};
use crate::read::{Cursor, Fields, Unsupported};
use crate::source::Source;
use serde_json::Value;
use std::fmt::Display;
use std::str::FromStr;

/// The fields of a manifest.
const FIELDS: &[&str] = &[
    "analysis",
    "version",
    "summary",
    "image",
    "command",
    "inputs",
    "params",
    "result",
    "artifacts",
    "resources",
];
/// No field is known to come later.
const NONE: Unsupported = Unsupported {
    names: &[],
    code: &code::UNKNOWN_FIELD,
};

/// A manifest that was read, with its source for later diagnostics.
#[derive(Debug, Clone)]
pub struct ParsedManifest {
    /// The manifest, which keeps every rule.
    pub manifest: Manifest,
    /// The text it was read from.
    pub source: Source,
    /// What somebody should look at.
    pub warnings: Vec<Diagnostic>,
}

/// Reads `analysis.yaml`; `file` is its name in diagnostics.
///
/// # Errors
///
/// Every problem of the file at once, sorted by place.
pub fn parse_manifest(text: &str, file: &str) -> Result<ParsedManifest, Vec<Diagnostic>> {
    let source = Source::parse(text, file)?;
    let mut problems = Problems::default();
    let manifest = manifest(&Cursor::root(source.root()), &mut problems);
    if let Some(manifest) = &manifest {
        problems.extend(check::check(manifest));
    }
    let failed = problems.has_errors();
    let diagnostics = source.locate(problems.into_vec());
    match manifest {
        Some(manifest) if !failed => Ok(ParsedManifest {
            manifest,
            source,
            warnings: diagnostics,
        }),
        _ => Err(diagnostics),
    }
}

/// A value that stands for one that could not be read; the file is refused anyway.
fn placeholder<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn manifest(cursor: &Cursor<'_>, problems: &mut Problems) -> Option<Manifest> {
    let fields = cursor.fields(FIELDS, NONE, problems)?;
    let analysis = parsed(&fields, "analysis", &code::INVALID_NAME, problems);
    let version = fields
        .required("version", problems)
        .and_then(|c| version(&c, problems));
    let summary = fields
        .required("summary", problems)
        .and_then(|c| c.text_up_to(200, problems));
    let image = fields
        .required("image", problems)
        .and_then(|c| c.text_up_to(1_024, problems));
    let result = fields
        .required("result", problems)
        .map(|c| c.json(problems));
    Some(Manifest {
        analysis: analysis.or_else(|| placeholder("unreadable"))?,
        version: version.unwrap_or(semver::Version::new(0, 0, 0)),
        summary: summary.unwrap_or_default(),
        image: image.unwrap_or_default(),
        command: fields
            .optional("command")
            .and_then(|c| command(&c, problems)),
        inputs: named(&fields, "inputs", problems, input),
        params: fields.optional("params").map(|c| c.json(problems)),
        result: result.unwrap_or(Value::Bool(true)),
        artifacts: named(&fields, "artifacts", problems, artifact),
        resources: fields
            .optional("resources")
            .and_then(|c| resources(&c, problems))
            .unwrap_or_default(),
    })
}

fn parsed<T: FromStr<Err: Display>>(
    fields: &Fields<'_>,
    name: &str,
    code: &Code,
    problems: &mut Problems,
) -> Option<T> {
    fields.required(name, problems)?.parse(code, problems)
}

fn version(cursor: &Cursor<'_>, problems: &mut Problems) -> Option<semver::Version> {
    let text = cursor.text(problems)?;
    let version = semver::Version::parse(text);
    version
        .map_err(|_| {
            let shown: String = text.chars().take(80).collect();
            let message = format!("`{}` is not a version", shown.escape_debug());
            let problem = Diagnostic::error(&code::INVALID_VERSION, cursor.pointer(), message);
            problems.push(problem.help("write three numbers, for example 1.0.0"));
        })
        .ok()
}

/// A mapping with names for keys.
fn named<K: FromStr<Err: Display> + Ord, V>(
    fields: &Fields<'_>,
    name: &str,
    problems: &mut Problems,
    read: impl Fn(&Cursor<'_>, &mut Problems) -> Option<V>,
) -> std::collections::BTreeMap<K, V> {
    let Some(cursor) = fields.optional(name) else {
        return Default::default();
    };
    let members = cursor.named(64, problems);
    members
        .into_iter()
        .filter_map(|(key, value)| Some((key, read(&value, problems)?)))
        .collect()
}

fn command(cursor: &Cursor<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let items = cursor.list(64, problems)?;
    Some(
        items
            .iter()
            .filter_map(|item| item.text(problems).map(str::to_owned))
            .collect(),
    )
}

fn description(fields: &Fields<'_>, problems: &mut Problems) -> String {
    let text = fields
        .optional("description")
        .and_then(|c| c.text_up_to(2_000, problems));
    text.unwrap_or_default()
}

fn flag(fields: &Fields<'_>, name: &str, problems: &mut Problems) -> bool {
    fields
        .optional(name)
        .and_then(|c| c.boolean(problems))
        .unwrap_or_default()
}

fn input(cursor: &Cursor<'_>, problems: &mut Problems) -> Option<InputSpec> {
    let fields = cursor.fields(
        &["media_type", "description", "kind", "optional"],
        NONE,
        problems,
    )?;
    let media_type = parsed(&fields, "media_type", &code::INVALID_MEDIA_TYPE, problems);
    let kind = fields.optional("kind").and_then(|c| {
        let kind = c.text(problems)?;
        match kind {
            "file" => Some(InputKind::File),
            "folder" => Some(InputKind::Folder),
            _ => {
                let problem = Diagnostic::error(
                    &code::OUT_OF_RANGE,
                    c.pointer(),
                    "`kind` is `file` or `folder`",
                );
                problems.push(problem);
                None
            }
        }
    });
    Some(InputSpec {
        description: description(&fields, problems),
        optional: flag(&fields, "optional", problems),
        kind: kind.unwrap_or_default(),
        media_type: media_type?,
    })
}

fn artifact(cursor: &Cursor<'_>, problems: &mut Problems) -> Option<ArtifactSpec> {
    let known = ["path", "media_type", "max_bytes", "description", "optional"];
    let fields = cursor.fields(&known, NONE, problems)?;
    let path = parsed(&fields, "path", &code::INVALID_PATH, problems);
    let media_type = parsed(&fields, "media_type", &code::INVALID_MEDIA_TYPE, problems);
    let max_bytes = fields
        .optional("max_bytes")
        .and_then(|c| c.parse(&code::INVALID_AMOUNT, problems));
    Some(ArtifactSpec {
        description: description(&fields, problems),
        optional: flag(&fields, "optional", problems),
        max_bytes,
        path: path?,
        media_type: media_type?,
    })
}

fn resources(cursor: &Cursor<'_>, problems: &mut Problems) -> Option<Resources> {
    let known = ["cpu", "memory", "disk", "tmp", "pids", "timeout"];
    let fields = cursor.fields(&known, NONE, problems)?;
    let default = Resources::default();
    let pids = fields
        .optional("pids")
        .and_then(|c| c.integer(0..=i64::from(u32::MAX), problems));
    Some(Resources {
        cpu: amount(&fields, "cpu", problems).unwrap_or(default.cpu),
        memory: amount(&fields, "memory", problems).unwrap_or(default.memory),
        disk: amount(&fields, "disk", problems).unwrap_or(default.disk),
        tmp: amount(&fields, "tmp", problems).unwrap_or(default.tmp),
        pids: pids
            .and_then(|pids| u32::try_from(pids).ok())
            .unwrap_or(default.pids),
        timeout: amount(&fields, "timeout", problems).unwrap_or(default.timeout),
    })
}

fn amount<T: FromStr<Err: Display>>(
    fields: &Fields<'_>,
    name: &str,
    problems: &mut Problems,
) -> Option<T> {
    fields
        .optional(name)?
        .parse(&code::INVALID_AMOUNT, problems)
}
