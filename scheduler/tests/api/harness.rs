//! A server of one's own, and somebody to call it.

use belljar_api::executor::LEASE_TOKEN_HEADER;
use belljar_engine::command::Command;
use belljar_ids::TenantId;
use belljar_scheduler::blobs::BlobStore;
use belljar_scheduler::http::{self, App, HttpConfig, Parts, SigningKey, auth};
use belljar_scheduler::leader::{self, LeaderConfig, LeaderHandle, State};
use belljar_scheduler::service::logs::LogStore;
use belljar_scheduler::service::tokens::Token;
use belljar_store::{Store, StoreUrl};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The executors' secret.
pub const CREDENTIAL: &str = "executor-secret";

/// A running server.
pub struct Server {
    /// `http://127.0.0.1:<port>`.
    pub base: String,
    /// An administrator's token.
    pub token: String,
    pub client: reqwest::Client,
    pub app: App,
    pub leader: LeaderHandle,
    pub stop: CancellationToken,
    pub folder: tempfile::TempDir,
    _stop: DropGuard,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub async fn of(response: Response) -> Self {
        Self {
            status: response.status(),
            headers: response.headers().clone(),
            bytes: response.bytes().await.unwrap().to_vec(),
        }
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|_| panic!("not JSON: {} {}", self.status, self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The body, once the status is right.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        if self.bytes.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }

    /// Checks that it is a problem of this code in the right form.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("urn:belljar:problem:{code}"));
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        assert!(problem["title"].is_string() && problem["detail"].is_string());
        assert!(problem["instance"].as_str().unwrap().starts_with('/'));
        problem
    }
}

impl Server {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut HttpConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = StoreUrl::sqlite(folder.path().join("belljar.db"));
        let store = Store::open(&url).await.unwrap();
        let stop = CancellationToken::new();
        let config = LeaderConfig {
            holder: "test".into(),
            address: "none".into(),
            engine: belljar_scheduler::EngineConfig::default(),
            office: None,
        };
        let (leader, leading) = leader::leader(store.clone(), config, stop.clone());
        tokio::spawn(leading);
        let mut state = leader.leading();
        state.wait_for(|s| *s == State::Leading).await.unwrap();
        let token = Token::mint();
        let principal = "admin".parse().unwrap();
        let row = token.row(
            TenantId::default_tenant(),
            principal,
            belljar_ids::Micros(1),
        );
        leader.send(Command::TokenPut(row)).await.unwrap();
        let key = SigningKey::load_or_make(&folder.path().join("key")).unwrap();
        let mut config = HttpConfig::new(key);
        config.executor_credentials = vec![auth::credential_hash(CREDENTIAL)];
        change(&mut config);
        let app = App::new(Parts {
            config,
            store,
            leader: leader.clone(),
            blobs: BlobStore::open(folder.path().join("blobs")).unwrap(),
            logs: LogStore::open(folder.path().join("logs"), 1 << 20).unwrap(),
            stop: stop.clone(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = http::router(app.clone());
        let ended = stop.clone();
        tokio::spawn(async move {
            axum::serve(listener, router)
                .with_graceful_shutdown(async move { ended.cancelled().await })
                .await
                .unwrap();
        });
        Self {
            base,
            token: token.expose(),
            client: reqwest::Client::new(),
            app,
            leader,
            _stop: stop.clone().drop_guard(),
            stop,
            folder,
        }
    }

    /// A call as nobody.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// A call of the public API as the administrator.
    pub fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, &format!("/api/v1{path}"))
            .bearer_auth(&self.token)
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.call(Method::GET, path).send().await.unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        let call = self.call(Method::POST, path).json(body);
        Answer::of(call.send().await.unwrap()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        let call = self.call(Method::PUT, path).json(body);
        Answer::of(call.send().await.unwrap()).await
    }

    pub async fn apply(&self, yaml: &str) -> Answer {
        let call = self.call(Method::POST, "/dags");
        let call = call
            .header("content-type", "text/yaml")
            .body(yaml.to_owned());
        Answer::of(call.send().await.unwrap()).await
    }

    /// Puts bytes into the blob store.
    pub async fn blob(&self, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        let call = self.call(Method::PUT, &format!("/blobs/{digest}"));
        let answer = Answer::of(call.body(bytes.to_vec()).send().await.unwrap()).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        answer.json()
    }

    /// Publishes an analysis that reads `posts` (where `reads`) and writes a result and two artifacts.
    pub async fn analysis(&self, name: &str, version: &str, reads: bool) -> Value {
        let image = self
            .blob(format!("image of {name} {version}").as_bytes())
            .await;
        let body = json!({
            "manifest": manifest(name, version, reads),
            "image": {
                "digest": image["digest"],
                "config": image["digest"],
                "from": [{ "blob": image }],
            },
        });
        self.post("/analyses", &body).await.expect(201)
    }

    /// Puts in a version of a dataset.
    pub async fn dataset(&self, name: &str, bytes: &[u8]) -> Value {
        let blob = self.blob(bytes).await;
        let body = json!({
            "digest": blob["digest"],
            "size": blob["size"],
            "media_type": "application/x-ndjson",
            "description": "some posts",
        });
        let answer = self
            .post(&format!("/datasets/{name}/versions"), &body)
            .await;
        assert!(answer.status.is_success(), "{}", answer.text());
        answer.json()
    }

    /// Two analyses, a dataset and a DAG of two tasks on them.
    pub async fn demo(&self) {
        self.analysis("clean", "1.0.0", true).await;
        self.analysis("count", "1.2.0", true).await;
        self.dataset("posts", b"{}\n").await;
        self.apply(DEMO).await.expect(201);
    }

    /// A call of the executor protocol.
    pub async fn executor(&self, call: &str, body: &Value) -> Answer {
        let call = self.bare(Method::POST, &format!("/executor/v1/{call}"));
        Answer::of(
            call.bearer_auth(CREDENTIAL)
                .json(body)
                .send()
                .await
                .unwrap(),
        )
        .await
    }

    /// Bytes under a lease.
    pub fn under(&self, method: Method, path: &str, lease: &Value) -> RequestBuilder {
        let join = if path.contains('?') { '&' } else { '?' };
        let path = format!(
            "/executor/v1/{path}{join}run={}&task={}&map_index={}&fence={}",
            lease["run"].as_str().unwrap(),
            lease["task"].as_str().unwrap(),
            lease["map_index"],
            lease["fence"],
        );
        self.bare(method, &path)
            .bearer_auth(CREDENTIAL)
            .header(LEASE_TOKEN_HEADER, lease["token"].as_str().unwrap())
    }

    pub fn data(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }
}

/// An executor that speaks the protocol and runs nothing.
pub struct Node<'a> {
    pub server: &'a Server,
    pub id: String,
    pub epoch: Value,
}

impl<'a> Node<'a> {
    pub async fn register(server: &'a Server) -> Self {
        let id = format!("exe_{}", uuid::Uuid::now_v7().simple());
        let answer = server
            .executor("register", &register(&id))
            .await
            .expect(200);
        Self {
            server,
            id,
            epoch: answer["epoch"].clone(),
        }
    }

    pub async fn claim(&self, slots: u32) -> Vec<Value> {
        let body = json!({
            "claim": format!("clm_{}", uuid::Uuid::now_v7().simple()),
            "executor": self.id, "epoch": self.epoch, "free_slots": slots, "wait_ms": 10_000,
        });
        let answer = self.server.executor("claim", &body).await.expect(200);
        answer["leases"].as_array().unwrap().clone()
    }

    /// Says that the lease's program runs.
    pub async fn start(&self, lease: &Value) {
        let body = json!({
            "executor": self.id, "epoch": self.epoch, "unavailable": null,
            "leases": [{
                "run": lease["run"], "task": lease["task"], "map_index": lease["map_index"],
                "fence": lease["fence"], "token": lease["token"], "phase": "running",
            }],
        });
        self.server.executor("heartbeat", &body).await.expect(200);
    }

    pub async fn put(&self, lease: &Value, bytes: &[u8]) -> Value {
        let digest = digest(bytes);
        let call = self
            .server
            .under(Method::PUT, &format!("blobs/{digest}"), lease);
        let answer = Answer::of(call.body(bytes.to_vec()).send().await.unwrap()).await;
        assert!(answer.status.is_success(), "{}", answer.text());
        json!({ "digest": digest, "size": bytes.len() })
    }

    pub async fn log(&self, lease: &Value, offset: usize, bytes: &str) -> Answer {
        let path = format!("logs?stream=stdout&offset={offset}");
        let call = self.server.under(Method::PUT, &path, lease);
        Answer::of(call.body(bytes.to_owned()).send().await.unwrap()).await
    }

    /// Reports an end.
    pub async fn complete(&self, lease: &Value, outcome: &Value) -> Value {
        let outcome: belljar_api::executor::Outcome =
            serde_json::from_value(outcome.clone()).unwrap();
        let lease: belljar_api::executor::LeaseRef = serde_json::from_value(json!({
            "run": lease["run"], "task": lease["task"], "map_index": lease["map_index"],
            "fence": lease["fence"], "token": lease["token"],
        }))
        .unwrap();
        let report = belljar_api::executor::Report::new(lease, outcome, |bytes| {
            belljar_ids::Digest::from_bytes(Sha256::digest(bytes).into())
        });
        let body = json!({
            "executor": self.id, "epoch": self.epoch, "reports": [report.unwrap()], "claim": null,
        });
        let answer = self.server.executor("complete", &body).await.expect(200);
        answer["verdicts"][0].clone()
    }

    /// Runs the lease's work to a good end: an input read, a log line, a result, two artifacts, a receipt.
    pub async fn succeed(&self, lease: &Value, result: &Value) -> Value {
        self.start(lease).await;
        let line = format!("hello from {}\n", lease["task"].as_str().unwrap());
        self.log(lease, 0, &line).await.expect(200);
        let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
        let outcome = json!({
            "cause": null, "message": null, "ended_by_itself": true, "exit_code": 0,
            "started_ms_ago": 20,
            "outputs": {
                "result": small(&result.to_string()),
                "artifacts": {
                    "plot": { "path": "plots/a b.svg", "media_type": "image/svg+xml", "blob": self.put(lease, svg).await },
                    "posts": { "path": "posts.jsonl", "media_type": "application/x-ndjson", "blob": self.put(lease, b"{}\n{}\n").await },
                },
            },
            "logs": {
                "stdout": { "size": line.len(), "digest": digest(line.as_bytes()), "truncated": false },
                "stderr": { "size": 0, "digest": null, "truncated": false },
            },
            "peaks": { "memory_bytes": 1_000_000, "cpu_ms": 12, "pids": 3 },
            "timings_ms": { "run": 20 },
            "dropped_files": 1,
            "receipt": self.put(lease, b"{\"receipt\":1}").await,
        });
        self.complete(lease, &outcome).await
    }
}

/// What an executor says when it begins.
pub fn register(id: &str) -> Value {
    json!({
        "protocol": 1, "executor": id, "name": "node-1", "boot_id": "boot", "slots": 4,
        "gvisor": true, "info": { "runsc": "test" }, "held": [],
    })
}

/// A result in place.
pub fn small(text: &str) -> Value {
    json!({
        "blob": { "digest": digest(text.as_bytes()), "size": text.len() },
        "inline": text,
    })
}

pub fn digest(bytes: &[u8]) -> String {
    belljar_ids::Digest::from_bytes(Sha256::digest(bytes).into()).to_string()
}

pub fn manifest(name: &str, version: &str, reads: bool) -> Value {
    let inputs = if reads {
        json!({ "posts": { "media_type": "application/x-ndjson" } })
    } else {
        json!({})
    };
    json!({
        "analysis": name,
        "version": version,
        "summary": "Counts what there is",
        "image": ".",
        "command": ["/app"],
        "inputs": inputs,
        "params": {
            "type": "object",
            "additionalProperties": false,
            "properties": { "timezone": { "type": "string", "default": "UTC" } },
        },
        "result": { "type": "object" },
        "artifacts": {
            "plot": { "path": "plots/a b.svg", "media_type": "image/svg+xml" },
            "posts": { "path": "posts.jsonl", "media_type": "application/x-ndjson" },
        },
    })
}

/// A DAG of two tasks.
pub const DEMO: &str = "\
dag: demo
description: Counts posts
params:
  type: object
  additionalProperties: false
  properties: { timezone: { type: string, default: Europe/Prague } }
tasks:
  clean:
    analysis: clean@1
    inputs: { posts: dataset:posts }
    params: { timezone: \"${{ params.timezone }}\" }
  count:
    analysis: count@1
    inputs: { posts: task:clean/posts.jsonl }
";

/// The query of a lease that there is not.
pub const LEASE_LESS: &str = "run=run_0000000000000000000000000192f00d&task=x&fence=1";
