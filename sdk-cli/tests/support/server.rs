//! A real server in this process, without an executor.

use super::User;
use belljar_scheduler::EngineConfig;
use belljar_scheduler::server::{ServerConfig, serve};
use belljar_scheduler::service::tokens::Token;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// An analysis's manifest.
pub const MANIFEST: &str = "\
analysis: count
version: 1.0.0
summary: Counts lines
image: .
inputs: { text: { media_type: text/plain } }
params:
  type: object
  additionalProperties: false
  properties: { top: { type: integer, default: 10, description: how many } }
result: { type: object }
artifacts: { table: { path: table.csv, media_type: text/csv } }
";

/// A DAG of it.
pub const DAG: &str = "\
dag: daily
description: Counts every day
params: { type: object, properties: { top: { type: integer, default: 3 } }, additionalProperties: false }
tasks:
  count:
    analysis: count@1
    inputs: { text: dataset:text }
    params: { top: \"${{ params.top }}\" }
";

/// A server with a database of its own, until it is dropped.
pub struct Server {
    pub url: String,
    pub token: String,
    stop: CancellationToken,
    _data: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Server {
    pub async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let token = Token::mint();
        // A free port; where somebody takes it first, `serve` fails and the test says so.
        let listen = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let stop = CancellationToken::new();
        let config = ServerConfig {
            store: None,
            data_dir: data.path().to_owned(),
            listen,
            allowed_hosts: Vec::new(),
            executor_credentials: Vec::new(),
            admin_token: Some(token.clone()),
            engine: EngineConfig::default(),
        };
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        // The receiver waits until the sender is used or gone.
        let ready = move || {
            // The test may have given up.
            let _ = ready.send(());
        };
        tokio::spawn(serve(config, stop.clone(), ready));
        is_ready.await.expect("the server did not start");
        Self {
            url: format!("http://{listen}"),
            token: token.expose(),
            stop,
            _data: data,
        }
    }

    pub fn user(&self) -> User {
        User::new(&self.url).var("BELLJAR_TOKEN", &self.token)
    }
}

/// An analysis's folder, a dataset and a DAG on the server; the path of the DAG's file.
pub async fn with_dag(user: &User) -> String {
    user.file("count/analysis.yaml", MANIFEST);
    user.file("count/image", "an image");
    let folder = user.path("count").display().to_string();
    user.types(&["analysis", "submit", &folder])
        .await
        .code(0)
        .prints("analysis count@1.0.0 is published");
    let text = user.file("text.txt", "a\nb\n");
    user.types(&["dataset", "put", "text", &text]).await.code(0);
    let dag = user.file("daily.yaml", DAG);
    user.types(&["dag", "apply", &dag])
        .await
        .code(0)
        .prints("DAG daily: version 1");
    dag
}
