//! The command line in this process, with its outputs caught and an environment of its own.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses a part of it"
)]

pub mod fault_server;
mod server;

pub use server::{DAG, MANIFEST, Server, with_dag};

use belljar_ids::Digest;
use belljar_manifest::Manifest;
use belljar_sdk_cli::config::Environment;
use belljar_sdk_cli::{
    Binary, BuiltImage, ClientArgs, ClientCommand, ExecutorCommand, ImagePort, Io, Place,
    PortError, TestOrder, TestReport, run_with,
};
use clap::Parser as _;
use futures::future::BoxFuture;
use std::collections::HashMap;
use std::ffi::OsString;
use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The binary's command line, as far as it is the client's.
#[derive(Debug, clap::Parser)]
#[command(name = "belljar", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    args: ClientArgs,
    #[command(subcommand)]
    command: Top,
}

#[derive(Debug, clap::Subcommand)]
enum Top {
    /// As the binary hangs it below its role.
    Executor {
        #[command(subcommand)]
        command: ExecutorCommand,
    },
    #[command(flatten)]
    Client(Box<ClientCommand>),
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: u8,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Fails the test where the exit code is not this one.
    #[track_caller]
    pub fn code(self, code: u8) -> Self {
        assert_eq!(
            self.code, code,
            "stdout:\n{}\nstderr:\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Fails the test where stderr does not say this.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "stderr does not say `{text}`:\n{}",
            self.stderr
        );
        self
    }

    /// Fails the test where stdout does not hold this.
    #[track_caller]
    pub fn prints(self, text: &str) -> Self {
        assert!(
            self.stdout.contains(text),
            "stdout does not hold `{text}`:\n{}",
            self.stdout
        );
        self
    }

    /// Stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

/// What was written so far.
#[derive(Debug, Clone, Default)]
pub struct Caught(Arc<Mutex<Vec<u8>>>);

impl Caught {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Caught {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A user with a home folder.
pub struct User {
    pub folder: tempfile::TempDir,
    vars: HashMap<String, OsString>,
    pub terminal: bool,
    pub out: Caught,
}

impl User {
    /// A user of the server at `url`.
    pub fn new(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut vars = HashMap::new();
        vars.insert(
            "HOME".to_owned(),
            folder.path().join("home").into_os_string(),
        );
        vars.insert(
            "BELLJAR_DATA_DIR".to_owned(),
            folder.path().join("data").into_os_string(),
        );
        vars.insert("BELLJAR_SERVER".to_owned(), url.into());
        Self {
            folder,
            vars,
            terminal: false,
            out: Caught::default(),
        }
    }

    pub fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.to_owned(), value.into());
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file and gives back its path as text.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    /// The names in the user's folder.
    pub fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Types `belljar` and these words.
    pub async fn types(&self, words: &[&str]) -> Ended {
        self.types_until(words, std::future::pending()).await
    }

    /// The same, with Ctrl-C when `interrupted` is ready.
    pub async fn types_until(
        &self,
        words: &[&str],
        interrupted: impl Future<Output = ()>,
    ) -> Ended {
        let cli = match Cli::try_parse_from(std::iter::once(&"belljar").chain(words)) {
            Ok(cli) => cli,
            Err(error) => {
                return Ended {
                    code: 2,
                    stdout: String::new(),
                    stderr: error.to_string(),
                };
            }
        };
        let command = match cli.command {
            Top::Executor { command } => ClientCommand::Executor { command },
            Top::Client(command) => *command,
        };
        let (out, err) = (self.out.clone(), Caught::default());
        out.0.lock().unwrap().clear();
        let place = Place {
            terminal: self.terminal,
            colour: false,
            width: None,
        };
        let io = Io::new(
            Box::new(out.clone()),
            Box::new(err.clone()),
            place,
            Place::default(),
            &cli.args,
        );
        let vars = self.vars.clone();
        let environment = Environment::new(move |name| vars.get(name).cloned());
        let binary = Binary {
            command: belljar_sdk_cli::command,
            images: &Archive,
        };
        let code = run_with(cli.args, command, binary, io, environment, interrupted).await;
        Ended {
            code: code.code(),
            stdout: out.text(),
            stderr: err.text(),
        }
    }
}

/// Stands where the binary has the sandbox crate: an "image" is the bytes of the folder's file `image`. The real
/// one is tested end to end.
struct Archive;

impl ImagePort for Archive {
    fn build_and_export<'a>(
        &'a self,
        folder: &'a Path,
        _: &'a Manifest,
        say: &'a (dyn Fn(&str) + Send + Sync),
    ) -> BoxFuture<'a, Result<BuiltImage, PortError>> {
        Box::pin(async move {
            say("building the image");
            let bytes = std::fs::read(folder.join("image")).map_err(|error| PortError {
                code: belljar_sdk_cli::ExitCode::SpecInvalid,
                message: format!("failed to build the image: {error}"),
                help: Some("read the output above".to_owned()),
            })?;
            let mut archive = tempfile::NamedTempFile::new().unwrap();
            archive.write_all(&bytes).unwrap();
            let digest = belljar_manifest::Sha256Digest::of(&bytes);
            let digest: Digest = digest.to_string().parse().unwrap();
            Ok(BuiltImage {
                manifest_digest: digest,
                config_digest: digest,
                archive: archive.into_temp_path(),
            })
        })
    }

    fn test<'a>(
        &'a self,
        order: &'a TestOrder,
        _: &'a (dyn Fn(&str) + Send + Sync),
    ) -> BoxFuture<'a, Result<TestReport, PortError>> {
        Box::pin(async move {
            let failed = order.params.get("fail").is_some();
            Ok(TestReport {
                result: (!failed)
                    .then(|| serde_json::json!({ "params": order.params, "inputs": order.inputs })),
                cause: failed.then(|| "exit_code".to_owned()),
                message: failed.then(|| "the program ended with 3 \x1b[2J".to_owned()),
                exit_code: Some(if failed { 3 } else { 0 }),
                sandbox: "none: a test of the command line".to_owned(),
                production_sandbox: false,
                refusals: vec!["socket(AF_INET) \x1b]0;x\x07".to_owned()],
                stderr: "half \x1b[31mred".to_owned(),
                ..TestReport::default()
            })
        })
    }
}
