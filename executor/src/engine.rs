//! The container engine, which may come and go.
//!
//! Owns: the connection, knowing whether it answers and which life of it that is, and which images
//! it has. Leaves to others: everything about containers (the sandbox), and what becomes of
//! attempts when it was away ([`crate::attempt`], [`crate::recover`]).

use crate::host::Host;
use crate::node::Node;
use crate::recover::{self, Leftover};
use belljar_sandbox::{Finding, ImageId, Runtime, SandboxError, Severity};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// How often an engine that answered is asked again when nobody complains about it.
const LOOK: Duration = Duration::from_secs(20);
/// How often one that does not answer, or a host that is not fit, is looked at.
const RETRY: Duration = Duration::from_millis(500);

/// How often leftovers are looked for although nothing happened.
const SWEEP: Duration = Duration::from_secs(600);
/// How long a passed self-test counts while nothing changes.
const SELF_TEST_VALID: Duration = Duration::from_secs(24 * 3600);

/// What was last seen of the engine.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// Which life of the engine; empty before the first answer.
    instance: String,
    gvisor: bool,
    info: Value,
}

/// The container engine.
#[derive(Default)]
pub struct Engine {
    host: OnceLock<Arc<dyn Host>>,
    seen: Mutex<Seen>,
    answers: watch::Sender<bool>,
    suspected: Notify,
    images: Mutex<HashSet<ImageId>>,
    loading: Mutex<HashMap<ImageId, Arc<tokio::sync::Mutex<()>>>>,
}

/// No code that holds one of these locks can panic half-way through a change.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Engine {
    fn host(&self) -> Result<&Arc<dyn Host>, SandboxError> {
        self.host
            .get()
            .ok_or_else(|| SandboxError::EngineUnavailable {
                detail: "it has not answered yet".to_owned(),
            })
    }

    /// What runs containers.
    ///
    /// # Errors
    ///
    /// `EngineUnavailable` where the engine has not answered since the executor started.
    pub fn runtime(&self) -> Result<&dyn Runtime, SandboxError> {
        Ok(self.host()?.runtime())
    }

    /// Which life of the engine was last seen.
    #[must_use]
    pub fn instance(&self) -> String {
        lock(&self.seen).instance.clone()
    }

    /// Which life of the engine answers now; none where none does.
    pub async fn instance_now(&self) -> Option<String> {
        let instance = self.host().ok()?.instance().await.ok()?;
        if instance != self.instance() {
            self.suspect();
        }
        Some(instance)
    }

    /// Whether gVisor is there.
    #[must_use]
    pub fn gvisor(&self) -> bool {
        lock(&self.seen).gvisor
    }

    /// Versions and the like, for people.
    #[must_use]
    pub fn info(&self) -> Value {
        lock(&self.seen).info.clone()
    }

    /// Somebody got no answer: look at once.
    pub fn suspect(&self) {
        self.answers.send_replace(false);
        self.suspected.notify_one();
    }

    /// Waits until the engine answers.
    pub async fn answers(&self) {
        // The sender lives as long as this value.
        let _ = self.answers.subscribe().wait_for(|answers| *answers).await;
    }

    /// Whether the engine is known to have an image.
    #[must_use]
    pub fn knows_image(&self, image: ImageId) -> bool {
        lock(&self.images).contains(&image)
    }

    /// An image that was there is not any more.
    pub fn forget_image(&self, image: ImageId) {
        lock(&self.images).remove(&image);
    }

    /// One load of the same image at a time.
    #[must_use]
    pub fn image_turn(&self, image: ImageId) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(lock(&self.loading).entry(image).or_default())
    }

    /// Asks the engine for an image.
    ///
    /// # Errors
    ///
    /// The engine's.
    pub async fn has_image(&self, image: ImageId) -> Result<bool, SandboxError> {
        let has = self.host()?.has_image(image).await?;
        if has {
            lock(&self.images).insert(image);
        }
        Ok(has)
    }

    /// Gives the engine an image from its archive.
    ///
    /// # Errors
    ///
    /// `Archive` where it is not what it claims to be, and the engine's.
    pub async fn load_image(&self, archive: &Path, image: ImageId) -> Result<(), SandboxError> {
        self.host()?.load_image(archive, image).await?;
        lock(&self.images).insert(image);
        Ok(())
    }

    /// Whether attempts of third parties can run here.
    fn set_fit(&self, fit: bool) {
        let mut seen = lock(&self.seen);
        seen.gvisor = fit;
        seen.info["gvisor"] = fit.into();
    }

    /// Asks the engine and the host what they are; gives why no sandbox can be run here, if so.
    async fn survey(&self) -> Result<Survey, SandboxError> {
        let host = self.host()?;
        let instance = host.instance().await?;
        let (facts, findings) = host.survey().await?;
        let gvisor = facts.gvisor.is_some() && !is_fatal(&findings);
        let info = json!({
            "engine": facts.engine_version,
            "kernel": facts.kernel,
            "platform": facts.platform,
            "cpus": facts.cpus,
            "memory_bytes": facts.memory_bytes,
            "cgroup": facts.cgroup_version,
            "gvisor": gvisor,
            "gvisor_version": facts.gvisor.as_ref().map(|gvisor| gvisor.version.clone()),
            "gvisor_platform": facts.gvisor.as_ref().map(|gvisor| gvisor.platform.clone()),
            "findings": findings,
        });
        let mut seen = lock(&self.seen);
        let survey = Survey {
            restarted: !seen.instance.is_empty() && seen.instance != instance,
            unfit: unfit(&findings),
        };
        *seen = Seen {
            instance,
            gvisor,
            info,
        };
        drop(seen);
        if survey.restarted {
            // Somebody may have changed what it has while it was away.
            lock(&self.images).clear();
        }
        Ok(survey)
    }
}

struct Survey {
    restarted: bool,
    unfit: Option<String>,
}

fn is_fatal(findings: &[Finding]) -> bool {
    findings
        .iter()
        .any(|finding| finding.severity == Severity::Fatal)
}

/// Why no sandbox can be run here, in one sentence.
fn unfit(findings: &[Finding]) -> Option<String> {
    let fatal: Vec<_> = findings
        .iter()
        .filter(|finding| finding.severity == Severity::Fatal)
        .map(|finding| format!("{} ({})", finding.found, finding.advice))
        .collect();
    (!fatal.is_empty()).then(|| fatal.join("; "))
}

/// Connects, so that the first registration can tell what is here. An engine that does not answer
/// is no error: [`run`] goes on trying.
pub async fn connect(node: &Node) {
    match try_connect(node).await {
        Ok(_) => {}
        Err(error) => node.availability.engine(Some(error.to_string())),
    }
}

async fn try_connect(node: &Node) -> Result<Survey, SandboxError> {
    if node.engine.host.get().is_none() {
        let host = crate::host::connect(&node.config, &node.home).await?;
        // Nobody else sets it.
        let _ = node.engine.host.set(host);
    }
    node.engine.survey().await
}

/// Looks after the engine for ever: says when it is away, and takes up `leftovers` and what else
/// needs it when it answers.
pub async fn run(node: &Arc<Node>, leftovers: Vec<Leftover>) {
    let answered = Notify::new();
    // Apart from each other: telling waits for a scheduler that is away, and whatever runs here
    // needs its engine looked after all the same.
    futures::join!(
        watch(node, leftovers, &answered),
        tell(node, node.engine.info(), &answered)
    );
}

/// Looks at the engine for ever, and says through `answered` when there may be something to tell.
async fn watch(node: &Arc<Node>, mut leftovers: Vec<Leftover>, answered: &Notify) {
    let mut swept: Option<Instant> = None;
    loop {
        let pause = match look(node, &mut leftovers, &mut swept).await {
            Err(error) => {
                node.engine.answers.send_replace(false);
                node.availability.engine(Some(error.to_string()));
                RETRY
            }
            Ok(unfit) => {
                let fit = unfit.is_none();
                node.engine.set_fit(fit);
                node.availability.engine(unfit);
                answered.notify_one();
                if fit { LOOK } else { RETRY * 10 }
            }
        };
        // Either somebody complains or it is time.
        let _ = tokio::time::timeout(pause, node.engine.suspected.notified()).await;
    }
}

/// Asks the engine and does what it makes possible; gives why no sandbox can be run here, if so.
async fn look(
    node: &Arc<Node>,
    leftovers: &mut Vec<Leftover>,
    swept: &mut Option<Instant>,
) -> Result<Option<String>, SandboxError> {
    let survey = try_connect(node).await?;
    if survey.restarted || swept.is_none_or(|last| last.elapsed() > SWEEP) {
        *swept = None;
        recover::recover(node, leftovers).await?;
        *swept = Some(Instant::now());
    }
    node.engine.answers.send_replace(true);
    Ok(match survey.unfit {
        Some(unfit) => Some(unfit),
        None => self_test(node).await,
    })
}

/// Registers again, for ever, whenever this host is not what the scheduler was told.
async fn tell(node: &Node, mut registered_with: Value, answered: &Notify) {
    loop {
        answered.notified().await;
        let info = node.engine.info();
        if same_host(&info, &registered_with) {
            continue;
        }
        registered_with = info;
        let known = node.session.epoch();
        if let Err(error) = node.register(known).await {
            tracing::warn!(%error, "failed to tell the scheduler about this host");
        }
    }
}

/// Whether two surveys say the same of what matters to the scheduler.
fn same_host(a: &Value, b: &Value) -> bool {
    ["engine", "gvisor", "gvisor_version", "gvisor_platform"]
        .iter()
        .all(|field| a.get(field) == b.get(field))
}

/// Makes sure that the self-test has been passed here, and lately; gives why not.
async fn self_test(node: &Node) -> Option<String> {
    let file = node.home.root().join("self-test");
    let here = format!("{:?} {}", node.here(), env!("CARGO_PKG_VERSION"));
    let valid = std::fs::metadata(&file)
        .and_then(|meta| meta.modified())
        .ok()
        .and_then(|passed| passed.elapsed().ok())
        .is_some_and(|age| age < SELF_TEST_VALID);
    if valid && std::fs::read_to_string(&file).is_ok_and(|text| text == here) {
        return None;
    }
    let result = match node.engine.host() {
        Ok(host) => host.self_test().await,
        Err(error) => Err(error),
    };
    match result {
        Err(error) => Some(format!("the self-test could not be made: {error}")),
        Ok(findings) => {
            let unfit = unfit(&findings);
            if unfit.is_none() {
                tracing::info!("passed the self-test");
                if let Err(error) = std::fs::write(&file, here) {
                    tracing::warn!(%error, "the self-test will be made again at the next start");
                }
            }
            unfit
        }
    }
}
