//! One function for each route.

use super::{CALL_TIMEOUT, Client, Result};
use belljar_api::analyses::{Analysis, AnalysisDetail, AnalysisSubmit};
use belljar_api::dags::{Dag, DagApplied, DagApplyQuery, DagDetail, RunStart};
use belljar_api::datasets::{
    Dataset, DatasetDetail, DatasetUse, DatasetUsesQuery, DatasetVersion, DatasetVersionCreate,
};
use belljar_api::executors::Executor;
use belljar_api::page::PageQuery;
use belljar_api::pools::{Pool, PoolSet};
use belljar_api::requests::{Request, RequestCreate};
use belljar_api::runs::{Run, RunCancelled, RunDetail, RunListQuery, WaitQuery};
use belljar_api::session::{Version, WhoAmI};
use belljar_api::tasks::{Artifacts, TaskDetail};
use belljar_api::{IDEMPOTENCY_KEY_HEADER, Page};
use belljar_ids::{DagName, DatasetName, PoolName, RequestId, RunId, TaskName};
use reqwest::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Items on a page where all are wanted.
const PAGE: u32 = 200;
/// The longest that one call is held back while waiting for an end, seconds; the API allows 60.
const WAIT_SECS: u64 = 30;

/// What a call without a body sends.
const NOTHING: Option<&()> = None;

impl Client {
    /// What the server is.
    ///
    /// # Errors
    ///
    /// As every call: no answer, or a problem that the server names.
    pub async fn version(&self) -> Result<Version> {
        self.get(&["version"], &()).await
    }

    /// Who the server takes the caller for.
    ///
    /// # Errors
    ///
    /// As every call; 401 where the token does not count.
    pub async fn whoami(&self) -> Result<WhoAmI> {
        self.get(&["whoami"], &()).await
    }

    /// Stores a DAG's YAML as a version, or only checks it.
    ///
    /// # Errors
    ///
    /// As every call; 422 with all problems in it.
    pub async fn dag_apply(&self, yaml: &str, query: &DagApplyQuery) -> Result<DagApplied> {
        let url = self.url(&["dags"], query);
        let build = || {
            self.request(Method::POST, url.clone())
                .header("content-type", "text/yaml")
                .body(yaml.to_owned())
        };
        // The same content again makes no second version.
        self.document(self.send(CALL_TIMEOUT, build).await?).await
    }

    /// All DAGs, by name.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn dags(&self) -> Result<Page<Dag>> {
        self.all(&["dags"], &PageQuery::default(), usize::MAX).await
    }

    /// A DAG.
    ///
    /// # Errors
    ///
    /// As every call; 404.
    pub async fn dag(&self, dag: &DagName) -> Result<DagDetail> {
        self.get(&["dags", dag.as_str()], &()).await
    }

    /// Pauses or unpauses a DAG.
    ///
    /// # Errors
    ///
    /// As every call; 404.
    pub async fn dag_pause(&self, dag: &DagName, paused: bool) -> Result<Dag> {
        let verb = if paused { "pause" } else { "unpause" };
        self.write(Method::POST, &["dags", dag.as_str(), verb], NOTHING)
            .await
    }

    /// Starts a run; `key` makes a repeated call give the same run.
    ///
    /// # Errors
    ///
    /// As every call; 404, or 422 for parameters, analyses or datasets that do not fit.
    pub async fn run_start(&self, dag: &DagName, start: &RunStart, key: &str) -> Result<Run> {
        self.submit(&["dags", dag.as_str(), "runs"], start, key)
            .await
    }

    /// At most `limit` runs, the newest first.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn runs(&self, query: &RunListQuery, limit: usize) -> Result<Page<Run>> {
        self.all(&["runs"], query, limit).await
    }

    /// A run with its tasks; with `wait` the answer is held back until it has ended or the time is over.
    ///
    /// # Errors
    ///
    /// As every call; 404.
    pub async fn run(&self, run: RunId, wait: Option<Duration>) -> Result<RunDetail> {
        self.waiting(&["runs", &run.to_string()], wait).await
    }

    /// Cancels a run.
    ///
    /// # Errors
    ///
    /// As every call; 404.
    pub async fn run_cancel(&self, run: RunId) -> Result<RunCancelled> {
        self.write(Method::POST, &["runs", &run.to_string(), "cancel"], NOTHING)
            .await
    }

    /// A task of a run with its attempts.
    ///
    /// # Errors
    ///
    /// As every call; 404.
    pub async fn task(&self, run: RunId, task: &TaskName) -> Result<TaskDetail> {
        self.get(&["runs", &run.to_string(), "tasks", task.as_str()], &())
            .await
    }

    /// The artifacts of a request.
    ///
    /// # Errors
    ///
    /// As every call; 404.
    pub async fn request_artifacts(&self, request: RequestId) -> Result<Artifacts> {
        self.get(&["requests", &request.to_string(), "artifacts"], &())
            .await
    }

    /// Publishes a version of an analysis, whose image was uploaded before.
    ///
    /// # Errors
    ///
    /// As every call; 409 where the version exists with other content, 422 for a manifest that is not valid.
    pub async fn analysis_submit(&self, submit: &AnalysisSubmit) -> Result<Analysis> {
        self.write(Method::POST, &["analyses"], Some(submit)).await
    }

    /// The newest version of each analysis, by name.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn analyses(&self) -> Result<Page<Analysis>> {
        self.all(&["analyses"], &PageQuery::default(), usize::MAX)
            .await
    }

    /// The versions of an analysis, the newest first.
    ///
    /// # Errors
    ///
    /// As every call; 404.
    pub async fn analysis_versions(&self, name: &str) -> Result<Page<Analysis>> {
        self.all(&["analyses", name], &PageQuery::default(), usize::MAX)
            .await
    }

    /// A version of an analysis with its manifest.
    ///
    /// # Errors
    ///
    /// As every call; 404.
    pub async fn analysis(&self, name: &str, version: &str) -> Result<AnalysisDetail> {
        self.get(&["analyses", name, version], &()).await
    }

    /// Lets a version run under plain `runc`, or takes that back.
    ///
    /// # Errors
    ///
    /// As every call; 404.
    pub async fn analysis_trust(
        &self,
        name: &str,
        version: &str,
        trusted: bool,
    ) -> Result<Analysis> {
        let verb = if trusted { "trust" } else { "untrust" };
        self.write(Method::POST, &["analyses", name, version, verb], NOTHING)
            .await
    }

    /// Makes a dataset version of bytes that were uploaded before, and says whether it is new.
    ///
    /// # Errors
    ///
    /// As every call; 403 where the dataset is somebody else's.
    pub async fn dataset_put(
        &self,
        dataset: &DatasetName,
        version: &DatasetVersionCreate,
    ) -> Result<(DatasetVersion, bool)> {
        let url = self.url(&["datasets", dataset.as_str(), "versions"], &());
        let build = || self.request(Method::POST, url.clone()).json(version);
        // The same bytes again make no second version.
        let response = self.send(CALL_TIMEOUT, build).await?;
        let created = response.status() == reqwest::StatusCode::CREATED;
        Ok((self.document(response).await?, created))
    }

    /// All datasets, by name.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn datasets(&self) -> Result<Page<Dataset>> {
        self.all(&["datasets"], &PageQuery::default(), usize::MAX)
            .await
    }

    /// A dataset with its versions.
    ///
    /// # Errors
    ///
    /// As every call; 404.
    pub async fn dataset(&self, dataset: &DatasetName) -> Result<DatasetDetail> {
        self.get(&["datasets", dataset.as_str()], &()).await
    }

    /// Every use of a dataset, or of one version of it, the newest first.
    ///
    /// # Errors
    ///
    /// As every call; 403 for anybody but the owner.
    pub async fn dataset_uses(
        &self,
        dataset: &DatasetName,
        version: Option<u32>,
    ) -> Result<Page<DatasetUse>> {
        let query = DatasetUsesQuery {
            version,
            ..DatasetUsesQuery::default()
        };
        self.all(&["datasets", dataset.as_str(), "uses"], &query, usize::MAX)
            .await
    }

    /// Makes a request; `key` makes a repeated call give the same request.
    ///
    /// # Errors
    ///
    /// As every call; 422 where the analysis, its inputs or parameters do not fit.
    pub async fn request_create(&self, create: &RequestCreate, key: &str) -> Result<Request> {
        self.submit(&["requests"], create, key).await
    }

    /// At most `limit` requests, the newest first.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn requests(&self, limit: usize) -> Result<Page<Request>> {
        self.all(&["requests"], &PageQuery::default(), limit).await
    }

    /// A request; with `wait` as [`Client::run`].
    ///
    /// # Errors
    ///
    /// As every call; 404.
    pub async fn request_show(
        &self,
        request: RequestId,
        wait: Option<Duration>,
    ) -> Result<Request> {
        self.waiting(&["requests", &request.to_string()], wait)
            .await
    }

    /// Cancels a request.
    ///
    /// # Errors
    ///
    /// As every call; 404.
    pub async fn request_cancel(&self, request: RequestId) -> Result<RunCancelled> {
        self.write(
            Method::POST,
            &["requests", &request.to_string(), "cancel"],
            NOTHING,
        )
        .await
    }

    /// All pools, by name.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn pools(&self) -> Result<Page<Pool>> {
        self.all(&["pools"], &PageQuery::default(), usize::MAX)
            .await
    }

    /// Makes a pool, or changes it.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn pool_set(&self, pool: &PoolName, set: &PoolSet) -> Result<Pool> {
        self.write(Method::PUT, &["pools", pool.as_str()], Some(set))
            .await
    }

    /// All executors, by id.
    ///
    /// # Errors
    ///
    /// As every call.
    pub async fn executors(&self) -> Result<Page<Executor>> {
        self.all(&["executors"], &PageQuery::default(), usize::MAX)
            .await
    }

    /// A submission under an idempotency key, which makes repeating it harmless.
    async fn submit<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        body: &(impl Serialize + Sync),
        key: &str,
    ) -> Result<T> {
        let url = self.url(segments, &());
        let build = || {
            let request = self.request(Method::POST, url.clone());
            request.header(IDEMPOTENCY_KEY_HEADER, key).json(body)
        };
        self.document(self.send(CALL_TIMEOUT, build).await?).await
    }

    /// A read that the server may hold back.
    async fn waiting<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        wait: Option<Duration>,
    ) -> Result<T> {
        let wait = wait.map(|wait| wait.min(Duration::from_secs(WAIT_SECS)));
        let query = WaitQuery {
            wait: wait.map(|wait| format!("{}ms", wait.as_millis())),
        };
        let url = self.url(segments, &query);
        let timeout = CALL_TIMEOUT + wait.unwrap_or_default();
        let build = || self.request(Method::GET, url.clone());
        self.document(self.send(timeout, build).await?).await
    }

    /// The first `limit` items of a list, over as many pages as it takes. `next_cursor` is kept where there
    /// are more.
    async fn all<T: DeserializeOwned>(
        &self,
        segments: &[&str],
        query: &(impl Serialize + Sync),
        limit: usize,
    ) -> Result<Page<T>> {
        let mut query = serde_json::to_value(query).unwrap_or_default();
        let mut whole = Page {
            items: Vec::new(),
            next_cursor: None,
        };
        loop {
            let missing = u32::try_from(limit - whole.items.len())
                .unwrap_or(PAGE)
                .min(PAGE);
            query["limit"] = missing.into();
            let page: Page<T> = self.get(segments, &query).await?;
            whole.items.extend(page.items);
            whole.next_cursor = page.next_cursor;
            match &whole.next_cursor {
                Some(cursor) if whole.items.len() < limit => {
                    query["cursor"] = cursor.as_str().into()
                }
                _ => return Ok(whole),
            }
        }
    }
}
