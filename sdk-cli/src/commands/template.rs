//! `belljar analysis init`: a new analysis that works.
//!
//! Owns: the files of the templates (`templates/`) and where they go. `NAME` in them is the analysis's name.

use crate::args::Language;
use crate::error::{CommandError, Result};
use crate::escape;
use crate::exit_code::ExitCode;
use crate::io::Io;
use belljar_ids::AnalysisName;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A file of a template: its path in the new folder and its content.
type File = (&'static str, &'static str);

macro_rules! files {
    ($folder:literal: $($path:literal from $source:literal,)+) => {
        &[$(($path, include_str!(concat!("../../templates/", $folder, "/", $source)))),+]
    };
}

const PYTHON: &[File] = files! { "python":
    "analysis.yaml" from "analysis.yaml",
    "Dockerfile" from "Dockerfile",
    ".dockerignore" from ".dockerignore",
    "README.md" from "README.md",
    "app/main.py" from "app/main.py",
    "sample/text.txt" from "sample/text.txt",
};

const RUST: &[File] = files! { "rust":
    "analysis.yaml" from "analysis.yaml",
    "Dockerfile" from "Dockerfile",
    ".dockerignore" from ".dockerignore",
    ".gitignore" from "gitignore",
    "README.md" from "README.md",
    "Cargo.toml" from "Cargo.toml.in",
    "build.sh" from "build.sh",
    "src/main.rs" from "src/main.rs",
    "sample/text.txt" from "sample/text.txt",
};

/// Makes the folder, which must not be there yet. It appears whole or not at all.
pub fn init(
    io: &Io,
    name: &AnalysisName,
    language: Language,
    folder: Option<&Path>,
) -> Result<ExitCode> {
    let folder = folder.map_or_else(|| PathBuf::from(name.as_str()), Path::to_owned);
    let files = match language {
        Language::Python => PYTHON,
        Language::Rust => RUST,
    };
    if folder.symlink_metadata().is_ok() {
        let message = format!("{} is there already", folder.display());
        return Err(
            CommandError::new(ExitCode::Conflict, message).help("--folder names another place")
        );
    }
    write(&folder, files, name)
        .map_err(|error| CommandError::local(format!("make {}", folder.display()), error))?;
    let shown = folder.display().to_string();
    let shown = escape::line(&shown);
    io.line(&format!("analysis {name} is in {shown}"))?;
    io.say("next:");
    if language == Language::Rust {
        io.say(&format!("  {shown}/build.sh"));
    }
    io.say(&format!("  sudo belljar analysis test {shown}"));
    io.say(&format!("  belljar analysis submit {shown}"));
    Ok(ExitCode::Success)
}

fn write(folder: &Path, files: &[File], name: &AnalysisName) -> std::io::Result<()> {
    let parent = match folder.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // Deleted again where anything below fails.
    let made = tempfile::Builder::new()
        .prefix(".belljar-")
        .tempdir_in(parent)?;
    for (path, content) in files {
        let path = made.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
        std::fs::write(&path, content.replace("NAME", name.as_str()))?;
        if path.extension().is_some_and(|ending| ending == "sh") {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755))?;
        }
    }
    std::fs::set_permissions(made.path(), std::fs::Permissions::from_mode(0o755))?;
    // Fails where something else was put there meanwhile and is not an empty folder.
    std::fs::rename(made.path(), folder)?;
    // It is not there under its temporary name any more.
    let _ = made.keep();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_manifests_are_valid_and_have_their_samples() {
        for files in [PYTHON, RUST] {
            let content = |wanted: &str| files.iter().find(|(path, _)| *path == wanted).unwrap().1;
            let parsed = belljar_manifest::parse_manifest(
                &content("analysis.yaml").replace("NAME", "word-count"),
                "analysis.yaml",
            );
            let parsed = parsed.unwrap_or_else(|problems| panic!("{problems:#?}"));
            assert!(parsed.warnings.is_empty());
            assert_eq!(parsed.manifest.analysis.as_str(), "word-count");
            assert!(!content("sample/text.txt").is_empty());
        }
    }

    #[test]
    fn the_dag_in_the_readme_is_valid() {
        for files in [PYTHON, RUST] {
            let readme = files
                .iter()
                .find(|(path, _)| *path == "README.md")
                .unwrap()
                .1
                .replace("NAME", "word-count");
            let yaml = readme
                .split("```yaml\n")
                .nth(1)
                .unwrap()
                .split("```")
                .next()
                .unwrap();
            belljar_dag_specs::parse(yaml, "README.md")
                .unwrap_or_else(|problems| panic!("{problems:#?}"));
        }
    }
}
