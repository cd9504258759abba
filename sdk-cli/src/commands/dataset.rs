//! `belljar dataset …`.

use crate::args::DatasetCommand;
use crate::client::{FileHash, hash_file};
use crate::context::Context;
use crate::error::{CommandError, Result};
use crate::escape;
use crate::exit_code::ExitCode;
use crate::io::Io;
use crate::progress::Bar;
use crate::table::{self, Table, moment, number, shown, size, task_state, text, time};
use belljar_api::datasets::{DatasetDetail, DatasetUse, DatasetVersionCreate};
use belljar_ids::DatasetName;
use serde::Serialize;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often an upload is begun again that broke off.
const UPLOAD_TRIES: u32 = 3;

/// Carries out a command.
pub async fn dispatch(context: &Context, command: &DatasetCommand) -> Result<ExitCode> {
    match command {
        DatasetCommand::Put {
            name,
            file,
            media_type,
            description,
        } => {
            put(
                context,
                name,
                file,
                media_type.as_deref(),
                description.clone(),
            )
            .await
        }
        DatasetCommand::List => list(context).await,
        DatasetCommand::Show { name, version } => show(context, name, *version).await,
    }
}

/// Media types by the endings of file names.
const MEDIA_TYPES: &[(&str, &str)] = &[
    ("csv", "text/csv"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("jsonl", "application/x-ndjson"),
    ("md", "text/markdown"),
    ("ndjson", "application/x-ndjson"),
    ("parquet", "application/vnd.apache.parquet"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("tsv", "text/tab-separated-values"),
    ("txt", "text/plain"),
    ("webp", "image/webp"),
    ("xml", "application/xml"),
    ("yaml", "application/yaml"),
    ("yml", "application/yaml"),
    ("zip", "application/zip"),
    ("zst", "application/zstd"),
];

/// The media type that a file's name speaks of.
fn media_type_of(file: &Path) -> Result<&'static str> {
    let ending = file
        .extension()
        .and_then(|ending| ending.to_str())
        .unwrap_or_default()
        .to_lowercase();
    let found = MEDIA_TYPES.iter().find(|(known, _)| *known == ending);
    found.map(|(_, media_type)| *media_type).ok_or_else(|| {
        CommandError::new(
            ExitCode::Usage,
            format!(
                "the name {} does not say what kind of data it is",
                file.display()
            ),
        )
        .help("say it with --media-type, for example --media-type text/csv")
    })
}

async fn put(
    context: &Context,
    name: &DatasetName,
    file: &Path,
    media_type: Option<&str>,
    description: Option<String>,
) -> Result<ExitCode> {
    let media_type = match media_type {
        Some(given) => {
            let parsed: std::result::Result<belljar_manifest::MediaType, _> = given.parse();
            let wrong =
                |error| CommandError::new(ExitCode::Usage, format!("--media-type: {error}"));
            parsed.map_err(wrong)?.to_string()
        }
        None => media_type_of(file)?.to_owned(),
    };
    let hash = upload(context, file).await?;
    let create = DatasetVersionCreate {
        digest: hash.digest,
        size: hash.size,
        media_type,
        description,
    };
    let (version, created) = context.client.dataset_put(name, &create).await?;
    if context.io.is_json() {
        context.io.json(&version)?;
        return Ok(ExitCode::Success);
    }
    let what = if created {
        "is stored"
    } else {
        "has these bytes already"
    };
    context.io.line(&format!(
        "dataset {name}: version {} {what} ({}, {}, {})",
        version.number,
        size(version.size),
        escape::line(&version.media_type),
        version.digest
    ))?;
    if version.media_type != create.media_type {
        context.io.say(&format!(
            "it stays {}; the same bytes as {} would need a new dataset",
            escape::line(&version.media_type),
            create.media_type
        ));
    }
    Ok(ExitCode::Success)
}

/// Hashes a file and sends it, unless the server has these bytes.
pub async fn upload(context: &Context, file: &Path) -> Result<FileHash> {
    let expected = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    let bar = Bar::bytes(context, "hashing", expected);
    let hash = hash_file(file, |bytes| bar.set(bytes)).await?;
    bar.clear();
    let mut tries = 1;
    loop {
        if context.client.blob_exists(&hash.digest).await? {
            if tries == 1 {
                context
                    .io
                    .say(&format!("the server has these {} already", size(hash.size)));
            }
            return Ok(hash);
        }
        match send(context, file, hash).await {
            Err(error) if tries < UPLOAD_TRIES && error.is_transient() => {
                context.io.say(&format!(
                    "{}; sending it again",
                    escape::line(&error.to_string())
                ));
                tokio::time::sleep(Duration::from_secs(u64::from(tries))).await;
                tries += 1;
            }
            sent => return sent.map(|()| hash).map_err(CommandError::from),
        }
    }
}

async fn send(context: &Context, file: &Path, hash: FileHash) -> crate::client::Result<()> {
    let bar = Bar::bytes(context, "sending", hash.size);
    let begun = Instant::now();
    let told = bar.clone();
    context
        .client
        .blob_put(file, hash, move |bytes| told.set(bytes))
        .await?;
    bar.clear();
    let millis = begun.elapsed().as_millis().max(1);
    let per_second = u64::try_from(u128::from(hash.size) * 1000 / millis).unwrap_or(u64::MAX);
    context.io.say(&format!(
        "sent {} in {} ({}/s)",
        size(hash.size),
        table::duration(begun.elapsed()),
        size(per_second)
    ));
    Ok(())
}

async fn list(context: &Context) -> Result<ExitCode> {
    let datasets = context.client.datasets().await?;
    if context.io.is_json() {
        context.io.json(&datasets)?;
        return Ok(ExitCode::Success);
    }
    let mut table = Table::new(&["DATASET", "VERSIONS", "OWNER", "CREATED", "DESCRIPTION"]);
    for dataset in &datasets.items {
        table.row([
            shown(&dataset.dataset),
            number(dataset.latest),
            shown(&dataset.owner),
            time(dataset.created_at),
            text(&dataset.description),
        ]);
    }
    context.io.line(&table.render(context.io.stdout))?;
    Ok(ExitCode::Success)
}

/// A dataset with all its uses.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    detail: DatasetDetail,
    /// Every use, the newest first.
    uses: Vec<DatasetUse>,
}

async fn show(context: &Context, name: &DatasetName, version: Option<u32>) -> Result<ExitCode> {
    let detail = context.client.dataset(name).await?;
    let uses = context.client.dataset_uses(name, version).await?.items;
    if context.io.is_json() {
        context.io.json(&Shown { detail, uses })?;
    } else {
        print(&context.io, &detail, &uses, version)?;
    }
    Ok(ExitCode::Success)
}

fn print(io: &Io, detail: &DatasetDetail, uses: &[DatasetUse], version: Option<u32>) -> Result<()> {
    let dataset = &detail.dataset;
    io.line(&format!("dataset      {}", dataset.dataset))?;
    io.line(&format!(
        "description  {}",
        escape::line(&dataset.description)
    ))?;
    io.line(&format!(
        "owner        {}, since {}",
        dataset.owner,
        moment(dataset.created_at)
    ))?;
    io.line("")?;
    let mut versions = Table::new(&["VERSION", "SIZE", "TYPE", "PUT IN", "BY", "DIGEST"]);
    for one in detail
        .versions
        .iter()
        .filter(|one| version.is_none_or(|wanted| one.number == wanted))
    {
        versions.row([
            number(one.number),
            number(size(one.size)),
            text(&one.media_type),
            time(one.created_at),
            shown(&one.created_by),
            shown(one.digest),
        ]);
    }
    io.line(&versions.render(io.stdout))?;
    io.line("")?;
    if uses.is_empty() {
        return Ok(io.line("nothing has read it yet")?);
    }
    let mut table = Table::new(&[
        "VERSION", "READ", "BY", "PURPOSE", "ANALYSIS", "STATE", "RUN", "TASK", "REQUEST",
        "RECEIPTS",
    ]);
    for one in uses {
        let receipts = one
            .attempts
            .iter()
            .filter_map(|attempt| attempt.receipt.as_ref());
        let receipts: Vec<String> = receipts.map(table::short_digest).collect();
        table.row([
            number(one.version),
            time(one.at),
            shown(&one.principal),
            text(&one.purpose),
            text(format!("{}@{}", one.analysis, one.analysis_version)),
            task_state(one.state),
            shown(one.run),
            shown(&one.task),
            table::maybe(one.request),
            text(receipts.join(", ")),
        ]);
    }
    io.line(&table.render(io.stdout))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_come_from_endings() {
        assert_eq!(
            media_type_of(Path::new("a/Export.CSV")).unwrap(),
            "text/csv"
        );
        assert_eq!(
            media_type_of(Path::new("posts.jsonl")).unwrap(),
            "application/x-ndjson"
        );
        for unknown in ["data", "data.", ".csv", "a.xyz"] {
            let error = media_type_of(Path::new(unknown)).unwrap_err();
            assert_eq!(error.exit_code(), ExitCode::Usage, "{unknown}");
        }
        for (_, media_type) in MEDIA_TYPES {
            assert!(
                media_type.parse::<belljar_manifest::MediaType>().is_ok(),
                "{media_type}"
            );
        }
    }
}
