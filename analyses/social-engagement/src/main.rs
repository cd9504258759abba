//! The program in the container: reads `/in`, writes `/out`.
//!
//! It owns the arguments and the exit code: 0 with a result, 1 without one, 2
//! for arguments that it does not know. Everything else is the library's.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let (in_dir, out_dir) = match folders(std::env::args().skip(1)) {
        Ok(folders) => folders,
        Err(message) => {
            eprintln!("social-engagement: {message}");
            return ExitCode::from(2);
        }
    };
    match social_engagement::analyse(&in_dir, &out_dir) {
        Ok(result) => {
            eprintln!(
                "social-engagement: {} posts, total engagement {}",
                result.posts, result.total_engagement
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("social-engagement: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `--in DIR` and `--out DIR`, for a try outside a container.
fn folders(mut arguments: impl Iterator<Item = String>) -> Result<(PathBuf, PathBuf), String> {
    let (mut in_dir, mut out_dir) = (PathBuf::from("/in"), PathBuf::from("/out"));
    while let Some(argument) = arguments.next() {
        let folder = match argument.as_str() {
            "--in" => &mut in_dir,
            "--out" => &mut out_dir,
            _ => {
                return Err(format!(
                    "unknown argument `{argument}`; usage: social-engagement [--in DIR] [--out DIR]"
                ));
            }
        };
        *folder = arguments
            .next()
            .ok_or_else(|| format!("`{argument}` needs a folder after it"))?
            .into();
    }
    Ok((in_dir, out_dir))
}
