//! `belljar doctor`: what the executor would find on this machine, explained.

use crate::args::DoctorArgs;
use belljar_ids::ExecutorId;
use belljar_sandbox::{DockerConfig, DockerRuntime};
use belljar_sandbox::{Finding, Severity, Tier, host_findings};
use belljar_sdk_cli::{ClientArgs, ExitCode, Format};
use std::io::Write as _;
use std::path::Path;
use uuid::Uuid;

/// Looks at everything and gives back the exit code: 0 where tasks can run here, else 1.
pub fn run(args: &DoctorArgs, client: &ClientArgs) -> u8 {
    let findings = match crate::roles::runtime() {
        Ok(runtime) => runtime.block_on(look(args)),
        Err(error) => vec![fatal("process", format!("{error:#}"), "")],
    };
    let fatal = findings
        .iter()
        .any(|finding| finding.severity == Severity::Fatal);
    let printed = match client.output {
        Format::Json => json(&findings),
        Format::Table => table(&findings),
    };
    match (printed, fatal) {
        (Err(_), _) => ExitCode::Internal as u8,
        (Ok(()), true) => ExitCode::RunFailed as u8,
        (Ok(()), false) => ExitCode::Success as u8,
    }
}

fn finding(check: &str, severity: Severity, found: String, advice: &str) -> Finding {
    Finding {
        check: check.to_owned(),
        severity,
        found,
        advice: advice.to_owned(),
    }
}

fn fatal(check: &str, found: String, advice: &str) -> Finding {
    finding(check, Severity::Fatal, found, advice)
}

async fn look(args: &DoctorArgs) -> Vec<Finding> {
    if !rustix::process::geteuid().is_root() {
        return vec![fatal(
            "root",
            "not running as root, so most of what matters cannot be looked at".to_owned(),
            "run it as `sudo belljar doctor`",
        )];
    }
    let executor = ExecutorId::from_uuid(Uuid::now_v7());
    let Ok(scratch) = tempfile::tempdir() else {
        return vec![fatal(
            "disk",
            "no temporary folder can be made".to_owned(),
            "free some space",
        )];
    };
    let mut config = DockerConfig::new(executor, scratch.path().join("state"), Vec::new());
    config.socket.clone_from(&args.docker_socket);
    let runtime = match DockerRuntime::connect(config).await {
        Ok(runtime) => runtime,
        Err(error) => {
            return vec![fatal(
                "engine",
                error.to_string(),
                "install and start the Docker engine: `make setup` does it on Debian and Ubuntu",
            )];
        }
    };
    let mut findings = host_findings(&runtime.facts(), runtime.policy());
    findings.push(space(&args.data_dir));
    if !findings
        .iter()
        .any(|finding| finding.severity == Severity::Fatal)
    {
        match runtime.self_test(executor, Tier::Gvisor).await {
            Ok(seen) => findings.extend(seen),
            Err(error) => findings.push(fatal(
                "canary",
                format!("the self-test could not be run: {error}"),
                "look at the Docker engine's log",
            )),
        }
    }
    findings
}

/// Room for data: warned of below 5 GiB, where a few images and inputs fill it up.
fn space(data_dir: &Path) -> Finding {
    let there = data_dir
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"));
    let free = rustix::fs::statvfs(there).map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    match free {
        Ok(free) if free >= 5 << 30 => finding(
            "space",
            Severity::Good,
            format!("{} GiB free in {}", free >> 30, there.display()),
            "",
        ),
        Ok(free) => finding(
            "space",
            Severity::Warning,
            format!("{} MiB free in {}", free >> 20, there.display()),
            "executors take no work below 1 GiB; free some space",
        ),
        Err(error) => finding("space", Severity::Warning, error.to_string(), ""),
    }
}

fn json(findings: &[Finding]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, findings)?;
    writeln!(out)
}

fn table(findings: &[Finding]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let width = findings
        .iter()
        .map(|finding| finding.check.len())
        .max()
        .unwrap_or(0);
    for finding in findings {
        let mark = match finding.severity {
            Severity::Good => "ok     ",
            Severity::Warning => "warning",
            Severity::Fatal => "FATAL  ",
        };
        writeln!(out, "{mark}  {:width$}  {}", finding.check, finding.found)?;
        if !finding.advice.is_empty() {
            writeln!(out, "{:9}{:width$}  → {}", "", "", finding.advice)?;
        }
    }
    let bad = |severity| findings.iter().filter(|f| f.severity == severity).count();
    let (fatal, warnings) = (bad(Severity::Fatal), bad(Severity::Warning));
    writeln!(
        out,
        "\n{}",
        match (fatal, warnings) {
            (0, 0) => "This machine can run tasks.".to_owned(),
            (0, n) => format!("This machine can run tasks; {n} warning(s)."),
            (n, _) => format!("This machine cannot run tasks: {n} thing(s) to mend first."),
        }
    )
}
