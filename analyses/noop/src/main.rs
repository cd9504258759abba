//! noop: writes an empty result and exits. For benchmarks and tests of
//! everything around an analysis.

use std::process::ExitCode;

fn main() -> ExitCode {
    let out_dir = match out_dir(std::env::args().skip(1)) {
        Ok(folder) => folder,
        Err(message) => {
            eprintln!("noop: {message}");
            return ExitCode::from(2);
        }
    };
    let path = std::path::Path::new(&out_dir).join("result.json");
    match std::fs::write(&path, "{}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("noop: cannot write {}: {error}", path.display());
            ExitCode::FAILURE
        }
    }
}

/// `--out DIR`, for a try outside a container; `--in DIR` is taken and not read.
fn out_dir(mut arguments: impl Iterator<Item = String>) -> Result<String, String> {
    let mut out_dir = "/out".to_owned();
    while let Some(argument) = arguments.next() {
        let value = arguments
            .next()
            .ok_or_else(|| format!("`{argument}` needs a folder after it"))?;
        match argument.as_str() {
            "--out" => out_dir = value,
            "--in" => {}
            _ => {
                return Err(format!(
                    "unknown argument `{argument}`; usage: noop [--in DIR] [--out DIR]"
                ));
            }
        }
    }
    Ok(out_dir)
}

#[cfg(test)]
mod tests {
    use super::out_dir;

    fn check(arguments: &[&str]) -> Result<String, String> {
        out_dir(arguments.iter().map(|&argument| argument.to_owned()))
    }

    #[test]
    fn arguments() {
        assert_eq!(check(&[]), Ok("/out".to_owned()));
        assert_eq!(check(&["--in", "a", "--out", "b"]), Ok("b".to_owned()));
        assert!(check(&["--out"]).unwrap_err().contains("needs a folder"));
        assert!(
            check(&["--verbose", "x"])
                .unwrap_err()
                .contains("unknown argument")
        );
    }
}
