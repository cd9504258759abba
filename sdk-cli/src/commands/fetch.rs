//! Bytes from the server to a file or to stdout.

use crate::client::{ClientError, Download};
use crate::context::Context;
use crate::error::{CommandError, Result};
use crate::escape::{self, Decoder};
use crate::exit_code::ExitCode;
use crate::progress::Bar;
use crate::table::size;
use belljar_api::tasks::Artifact;
use belljar_ids::Digest;
use sha2::{Digest as _, Sha256};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Prints a result: exactly its bytes, except that a terminal gets invisible characters as JSON escapes.
pub async fn print_result(context: &Context, download: Download) -> Result<ExitCode> {
    let bytes = download.bytes().await?;
    let io = &context.io;
    if !io.stdout.terminal {
        io.bytes(&bytes)?;
        return Ok(ExitCode::Success);
    }
    let text = String::from_utf8_lossy(&bytes);
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    io.bytes(format!("{}{newline}", escape::json(&text)).as_bytes())?;
    Ok(ExitCode::Success)
}

/// Refuses what cannot be the name of an artifact, because it would name another route.
pub fn check_name(name: &str) -> Result<()> {
    if matches!(name, "" | "." | "..") {
        return Err(CommandError::new(
            ExitCode::Usage,
            format!("`{name}` is no artifact's name"),
        ));
    }
    Ok(())
}

/// The digest of the artifact that is meant by its key or its path.
pub fn digest_of(artifacts: &[Artifact], name: &str) -> Option<Digest> {
    let wanted = |artifact: &&Artifact| artifact.name == name || artifact.path == name;
    artifacts
        .iter()
        .find(wanted)
        .map(|artifact| artifact.digest)
}

/// Writes a file that is there whole and with the right digest, or not at all; `-` is stdout.
pub async fn save(
    context: &Context,
    download: Download,
    digest: Option<Digest>,
    to: &Path,
    force: bool,
) -> Result<ExitCode> {
    if to == Path::new("-") {
        return print(context, download).await;
    }
    if to.is_dir() {
        return Err(CommandError::new(
            ExitCode::Usage,
            format!("{} is a folder; name the file in it", to.display()),
        ));
    }
    if !force && to.symlink_metadata().is_ok() {
        return Err(exists(to));
    }
    let bytes = write(context, download, digest, to, force).await?;
    context.io.say(&format!(
        "{}: {}",
        escape::line(&to.display().to_string()),
        size(bytes)
    ));
    Ok(ExitCode::Success)
}

fn exists(to: &Path) -> CommandError {
    CommandError::new(
        ExitCode::Conflict,
        format!("{} is there already", to.display()),
    )
    .help("--force replaces it")
}

async fn write(
    context: &Context,
    mut download: Download,
    digest: Option<Digest>,
    to: &Path,
    force: bool,
) -> Result<u64> {
    let failed = |error| CommandError::local(format!("write {}", to.display()), error);
    let folder = match to.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Beside its goal, so that it appears there in one step; as readable as any new file (less the umask).
    let mut file = tempfile::Builder::new()
        .prefix(".belljar-")
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(failed)?;
    let bar = Bar::bytes(context, "fetching", download.size.unwrap_or(0));
    let mut written = 0;
    let mut hash = Sha256::new();
    while let Some(chunk) = download.chunk().await? {
        hash.update(&chunk);
        file.write_all(&chunk).map_err(failed)?;
        written += chunk.len() as u64;
        bar.set(written);
    }
    bar.clear();
    let found = Digest::from_bytes(hash.finalize().into());
    if let Some(wanted) = digest.filter(|wanted| *wanted != found) {
        let reason = format!("its digest is {found}, not {wanted}");
        return Err(ClientError::Broken {
            call: to.display().to_string(),
            reason,
        }
        .into());
    }
    file.as_file().sync_all().map_err(failed)?;
    let kept = if force {
        file.persist(to)
    } else {
        file.persist_noclobber(to)
    };
    match kept {
        Ok(_) => Ok(written),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(exists(to)),
        Err(error) => Err(failed(error.error)),
    }
}

async fn print(context: &Context, mut download: Download) -> Result<ExitCode> {
    let mut decoder = context.io.stdout.terminal.then(Decoder::default);
    while let Some(chunk) = download.chunk().await? {
        match &mut decoder {
            Some(decoder) => context.io.bytes(decoder.push(&chunk).as_bytes())?,
            None => context.io.bytes(&chunk)?,
        }
    }
    if let Some(mut decoder) = decoder {
        context.io.bytes(decoder.finish().as_bytes())?;
    }
    Ok(ExitCode::Success)
}
