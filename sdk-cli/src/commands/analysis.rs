//! `belljar analysis submit|list|show|trust|untrust`.

use super::dag::print_params;
use super::dataset::upload;
use super::{analysis_local, documents};
use crate::args::AnalysisVersionRef;
use crate::client::ClientError;
use crate::context::Context;
use crate::error::{CommandError, Result};
use crate::escape;
use crate::exit_code::ExitCode;
use crate::io::Io;
use crate::port::{BuiltImage, ImagePort, PortError};
use crate::table::{self, Table, moment, shown, size, text, time};
use belljar_api::analyses::{
    Analysis, AnalysisDetail, AnalysisSubmit, BlobRef, Image, ImageSource,
};
use belljar_manifest::Manifest;
use serde::Serialize;
use std::path::Path;

impl From<PortError> for CommandError {
    fn from(error: PortError) -> Self {
        let failed = Self::new(error.code, error.message);
        match error.help {
            Some(help) => failed.help(help),
            None => failed,
        }
    }
}

/// Builds, uploads and publishes.
pub async fn submit(context: &Context, path: &Path, images: &dyn ImagePort) -> Result<ExitCode> {
    let (folder, document, manifest) = analysis_local::manifest(path, &context.io)?;
    // Before minutes of building: is there a server, and does it know the caller?
    context.client.whoami().await?;
    let say = |line: &str| context.io.say(line);
    let built = images.build_and_export(&folder, &manifest, &say).await?;
    let image = match published(context, &manifest).await? {
        Some(known) if known.image.digest == built.manifest_digest => known.image,
        Some(known) => return Err(taken(&known.analysis)),
        None => image(context, &built).await?,
    };
    let submit = AnalysisSubmit {
        manifest: serde_json::to_value(&manifest)
            .map_err(|error| CommandError::new(ExitCode::Internal, error.to_string()))?,
        image,
    };
    let analysis = match context.client.analysis_submit(&submit).await {
        Ok(analysis) => analysis,
        Err(ClientError::Problem(answered)) if !answered.errors.is_empty() => {
            let mut diagnostics = documents::from_api(&answered.errors);
            if let Ok(parsed) = belljar_manifest::parse_manifest(&document.text, &document.name) {
                diagnostics = parsed.source.locate(diagnostics);
            }
            return Err(documents::refused(
                &diagnostics,
                Some(&document.text),
                &document.name,
                &context.io,
            ));
        }
        Err(error) => return Err(error.into()),
    };
    if context.io.is_json() {
        context.io.json(&analysis)?;
    } else {
        let (name, version) = (
            &analysis.analysis,
            escape::line(&analysis.version).into_owned(),
        );
        context.io.line(&format!(
            "analysis {name}@{version} is published ({})",
            analysis.digest
        ))?;
    }
    Ok(ExitCode::Success)
}

/// The same version on the server, if there is one.
async fn published(context: &Context, manifest: &Manifest) -> Result<Option<AnalysisDetail>> {
    let (name, version) = (manifest.analysis.as_str(), manifest.version.to_string());
    match context.client.analysis(name, &version).await {
        Ok(detail) => Ok(Some(detail)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn taken(known: &Analysis) -> CommandError {
    CommandError::new(
        ExitCode::Conflict,
        format!(
            "analysis {}@{} is published already, with another image; a published version never changes",
            known.analysis, known.version
        ),
    )
    .help("raise `version` in analysis.yaml")
}

/// Uploads the archive unless the server has it.
async fn image(context: &Context, built: &BuiltImage) -> Result<Image> {
    let hash = upload(context, &built.archive).await?;
    Ok(Image {
        digest: built.manifest_digest,
        config: built.config_digest,
        from: vec![ImageSource::Blob(BlobRef {
            digest: hash.digest,
            size: hash.size,
        })],
    })
}

/// Lists the analyses.
pub async fn list(context: &Context) -> Result<ExitCode> {
    let analyses = context.client.analyses().await?;
    if context.io.is_json() {
        context.io.json(&analyses)?;
        return Ok(ExitCode::Success);
    }
    context
        .io
        .line(&versions_table(&analyses.items).render(context.io.stdout))?;
    if analyses.items.is_empty() {
        context
            .io
            .say("no analyses yet: belljar analysis init NAME, then belljar analysis submit NAME");
    }
    Ok(ExitCode::Success)
}

fn versions_table(analyses: &[Analysis]) -> Table {
    let mut table = Table::new(&["ANALYSIS", "VERSION", "PUBLISHED", "BY", "NOTES", "SUMMARY"]);
    for analysis in analyses {
        table.row([
            shown(&analysis.analysis),
            text(&analysis.version),
            time(analysis.created_at),
            shown(&analysis.publisher),
            text(notes(analysis)),
            text(&analysis.summary),
        ]);
    }
    table
}

fn notes(analysis: &Analysis) -> String {
    let notes = [
        (analysis.trusted, "trusted: runs without gVisor"),
        (analysis.withdrawn, "withdrawn"),
    ];
    let notes: Vec<&str> = notes
        .into_iter()
        .filter(|(is, _)| *is)
        .map(|(_, note)| note)
        .collect();
    notes.join(", ")
}

/// An analysis's newest version and all its versions.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    detail: AnalysisDetail,
    versions: Vec<Analysis>,
}

/// Shows a version, or the newest one beside all versions.
pub async fn show(context: &Context, analysis: &AnalysisVersionRef) -> Result<ExitCode> {
    let name = analysis.name.as_str();
    let versions = context.client.analysis_versions(name).await?.items;
    let version = match (&analysis.version, versions.first()) {
        (Some(version), _) => version.clone(),
        (None, Some(newest)) => newest.version.clone(),
        (None, None) => {
            return Err(CommandError::new(
                ExitCode::NotFound,
                format!("there is no analysis {name}"),
            ));
        }
    };
    let detail = context.client.analysis(name, &version).await?;
    if context.io.is_json() {
        context.io.json(&Shown { detail, versions })?;
        return Ok(ExitCode::Success);
    }
    print(&context.io, &detail)?;
    context.io.line("")?;
    context
        .io
        .line(&versions_table(&versions).render(context.io.stdout))?;
    Ok(ExitCode::Success)
}

fn print(io: &Io, detail: &AnalysisDetail) -> Result<()> {
    let analysis = &detail.analysis;
    let line = |text: String| io.line(&escape::line(&text));
    line(format!(
        "analysis     {}@{}",
        analysis.analysis, analysis.version
    ))?;
    line(format!("summary      {}", analysis.summary))?;
    line(format!("digest       {}", analysis.digest))?;
    line(format!("image        {}", detail.image.digest))?;
    line(format!(
        "published    {} by {}",
        moment(analysis.created_at),
        analysis.publisher
    ))?;
    let notes = notes(analysis);
    if !notes.is_empty() {
        line(format!("note         {notes}"))?;
    }
    // A manifest of a newer server may have fields that are not known here.
    let Ok(manifest) = serde_json::from_value::<Manifest>(detail.manifest.clone()) else {
        return Ok(io.json(&detail.manifest)?);
    };
    for (name, input) in &manifest.inputs {
        let optional = if input.optional { ", optional" } else { "" };
        line(format!(
            "input        {name} ({}{optional}): {}",
            input.media_type, input.description
        ))?;
    }
    if let Some(schema) = &manifest.params {
        print_params(io, schema)?;
    }
    for (name, artifact) in &manifest.artifacts {
        let limit = size(artifact.size_limit(&manifest.resources).get());
        line(format!(
            "artifact     {name}: {} ({}, at most {limit})",
            artifact.path.as_str(),
            artifact.media_type
        ))?;
    }
    let limits = &manifest.resources;
    line(format!(
        "limits       {} CPU, memory {}, /out {}, /tmp {}, {} threads, {}",
        f64::from(limits.cpu.get()) / 1000.0,
        size(limits.memory.get()),
        size(limits.disk.get()),
        size(limits.tmp.get()),
        limits.pids,
        table::duration(limits.timeout.to_duration()),
    ))?;
    Ok(())
}

/// Lets a version run without gVisor, or takes that back.
pub async fn trust(
    context: &Context,
    analysis: &AnalysisVersionRef,
    trusted: bool,
) -> Result<ExitCode> {
    let Some(version) = &analysis.version else {
        return Err(CommandError::new(
            ExitCode::Usage,
            "trust is given to one version: write NAME@VERSION",
        ));
    };
    let analysis = context
        .client
        .analysis_trust(analysis.name.as_str(), version, trusted)
        .await?;
    if context.io.is_json() {
        context.io.json(&analysis)?;
    } else {
        let how = if analysis.trusted {
            "may run under plain runc, without gVisor"
        } else {
            "runs under gVisor only"
        };
        context.io.line(&escape::line(&format!(
            "{}@{} {how}",
            analysis.analysis, analysis.version
        )))?;
    }
    Ok(ExitCode::Success)
}
