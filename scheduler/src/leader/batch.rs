//! One term of office: gathering commands into batches, applying, committing, answering.

use super::clock::Clock;
use super::commit::{Fate, chain, commit};
use super::handle::LeaderError;
use super::queue::{Ask, Queues};
use super::ring::EventRing;
use belljar_engine::command::{Command, Facts, Reply, Wanted};
use belljar_engine::{Config, Engine, Output, Ticket};
use belljar_ids::{DagName, Epoch, RunState, TenantId};
use belljar_store::Store;
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;
use std::collections::{HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// The most commands in one batch.
const COMMANDS_MAX: usize = 1_000;

/// How long a batch may be applied before it is committed.
const APPLY_MAX: Duration = Duration::from_millis(5);

/// How long to wait, where nothing else happens, before queued runs are loaded again.
const OWED_PAUSE: Duration = Duration::from_secs(1);

/// Why a term ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The process stops.
    Stopped,
    /// Another leader is in office, or may be.
    Deposed,
    /// The database does not give what is needed to go on.
    Failed,
}

type Answer = oneshot::Sender<Result<Reply, LeaderError>>;

/// A leader in office.
pub(super) struct Lead<'a> {
    pub store: &'a Store,
    pub config: &'a Config,
    pub queues: &'a mut Queues,
    pub ring: &'a EventRing,
    pub epoch: Epoch,
    /// The last batch committed.
    pub batch: i64,
    pub clock: Clock,
    /// Whether leadership is known to hold at this moment.
    pub valid: Arc<dyn Fn() -> bool + Send + Sync>,
    engine: Engine,
    rng: ChaCha12Rng,
    answers: HashMap<Ticket, Answer>,
    tickets: u64,
    backlog: VecDeque<(Ticket, Command)>,
    /// Room for queued runs that could not be loaded; tried again with the next batch.
    owed: Vec<(TenantId, DagName, u32)>,
}

/// What happened to a batch that was applied and committed.
enum Tried {
    Done,
    /// One of the commands cannot be carried out; the engine is not to be used any more.
    Culprit,
    Unavailable(String),
    Ended(Ended),
}

impl<'a> Lead<'a> {
    pub async fn begin(
        store: &'a Store,
        config: &'a Config,
        queues: &'a mut Queues,
        ring: &'a EventRing,
        term: belljar_store::Term,
        clock: Clock,
        valid: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Result<Self, String> {
        let engine = load(store, config, &clock).await?;
        let mut lead = Self {
            store,
            config,
            queues,
            ring,
            epoch: term.epoch,
            batch: term.batch,
            clock,
            valid,
            engine,
            rng: ChaCha12Rng::from_os_rng(),
            answers: HashMap::new(),
            tickets: 0,
            backlog: VecDeque::new(),
            owed: Vec::new(),
        };
        ring.start(lead.engine.last_seq());
        lead.admit(lead.engine.admissible()).await;
        Ok(lead)
    }

    /// Leads until something ends the term. Everything still unanswered then is answered
    /// [`LeaderError::NotLeader`] by being dropped.
    pub async fn run(mut self, stop: &CancellationToken) -> Ended {
        loop {
            let commands = tokio::select! {
                biased;
                () = stop.cancelled() => return Ended::Stopped,
                commands = self.gather() => commands,
            };
            let Some(commands) = commands else {
                return Ended::Stopped;
            };
            if !(self.valid)() {
                return Ended::Deposed;
            }
            if let Err(ended) = self.process(commands).await {
                return ended;
            }
        }
    }

    /// The next batch: waits for a first command or timer, then takes what else has arrived.
    /// Questions are answered on the way, from an engine that is all committed. None once nobody can ask
    /// any more.
    ///
    /// Cancelling it loses nothing: what it took is in `backlog`.
    async fn gather(&mut self) -> Option<Vec<(Ticket, Command)>> {
        let owed = std::mem::take(&mut self.owed);
        self.admit(owed).await;
        // What is due comes first, however much is asked.
        if self
            .engine
            .next_timer()
            .is_some_and(|due| due <= self.clock.now())
        {
            self.enqueue(Command::Tick);
        }
        while self.backlog.is_empty() {
            let timer = self.engine.next_timer();
            let wait = timer.map_or(Duration::MAX, |due| self.clock.until(due));
            let wait = if self.owed.is_empty() {
                wait
            } else {
                wait.min(OWED_PAUSE)
            };
            tokio::select! {
                biased;
                ask = self.queues.next() => self.take(ask?),
                () = sleep(wait), if timer.is_some() || !self.owed.is_empty() => {
                    self.enqueue(Command::Tick);
                }
            }
        }
        while self.backlog.len() < COMMANDS_MAX {
            let Some(ask) = self.queues.try_next() else {
                break;
            };
            self.take(ask);
        }
        let count = self.backlog.len().min(COMMANDS_MAX);
        Some(self.backlog.drain(..count).collect())
    }

    fn take(&mut self, ask: Ask) {
        match ask {
            Ask::Command(command, answer) => {
                let ticket = self.enqueue(*command);
                self.answers.insert(ticket, answer);
            }
            Ask::Query(query) => query(&self.engine, self.clock.now()),
        }
    }
}

async fn sleep(duration: Duration) {
    tokio::time::sleep(duration.min(Duration::from_secs(3_600))).await;
}

/// The engine as it is stored.
async fn load(store: &Store, config: &Config, clock: &Clock) -> Result<Engine, String> {
    let snapshot = store.snapshot_load().await.map_err(|error| chain(&error))?;
    Engine::load(config.clone(), snapshot, clock.now()).map_err(|error| error.to_string())
}

impl Lead<'_> {
    fn enqueue(&mut self, command: Command) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.backlog.push_back((ticket, command));
        ticket
    }

    /// Applies, commits and answers a batch, by the rules for each failure.
    async fn process(&mut self, commands: Vec<(Ticket, Command)>) -> Result<(), Ended> {
        let tickets: Vec<Ticket> = commands.iter().map(|(ticket, _)| *ticket).collect();
        match self.attempt(commands.clone()).await {
            Tried::Done => Ok(()),
            Tried::Ended(ended) => Err(ended),
            Tried::Unavailable(why) => {
                self.refuse(&tickets, &LeaderError::Unavailable(why));
                self.reload().await
            }
            Tried::Culprit => self.one_by_one(commands).await,
        }
    }

    /// After a batch that cannot be stored as a whole: each command alone, the culprit answered 500.
    async fn one_by_one(&mut self, commands: Vec<(Ticket, Command)>) -> Result<(), Ended> {
        let kept: Vec<Ticket> = commands.iter().map(|(ticket, _)| *ticket).collect();
        self.reload_keeping(&kept).await?;
        for (ticket, command) in commands {
            match self.attempt(vec![(ticket, command)]).await {
                Tried::Done => continue,
                Tried::Ended(ended) => return Err(ended),
                Tried::Unavailable(why) => {
                    self.refuse(&[ticket], &LeaderError::Unavailable(why));
                }
                Tried::Culprit => self.refuse(&[ticket], &LeaderError::Internal),
            }
            self.reload_keeping(&kept).await?;
        }
        Ok(())
    }

    fn refuse(&mut self, tickets: &[Ticket], error: &LeaderError) {
        for ticket in tickets {
            if let Some(answer) = self.answers.remove(ticket) {
                let _ = answer.send(Err(error.clone()));
            }
        }
    }

    async fn reload(&mut self) -> Result<(), Ended> {
        self.reload_keeping(&[]).await
    }

    /// Makes the engine anew from what is stored. Parked claims are lost with the old one: their callers
    /// are told to ask again, all but those in `kept`, which are about to be applied.
    async fn reload_keeping(&mut self, kept: &[Ticket]) -> Result<(), Ended> {
        let waiting: Vec<Ticket> = self.backlog.iter().map(|(ticket, _)| *ticket).collect();
        let lost = self
            .answers
            .keys()
            .filter(|t| !kept.contains(t) && !waiting.contains(t));
        let lost: Vec<Ticket> = lost.copied().collect();
        let why = LeaderError::Unavailable("it had to be read anew".to_owned());
        self.refuse(&lost, &why);
        match load(self.store, self.config, &self.clock).await {
            Ok(engine) => {
                self.engine = engine;
                self.admit(self.engine.admissible()).await;
                Ok(())
            }
            Err(error) => {
                tracing::error!(error, "failed to load the state anew; giving up office");
                Err(Ended::Failed)
            }
        }
    }

    /// Applies as much of a batch as time allows, commits it, and answers.
    async fn attempt(&mut self, commands: Vec<(Ticket, Command)>) -> Tried {
        let facts = match self.facts(&commands).await {
            Ok(facts) => facts,
            Err(error) => {
                tracing::error!(error, "failed to look up what a batch needs");
                return Tried::Unavailable("it does not answer".to_owned());
            }
        };
        let mut out = Output::default();
        let begun = Instant::now();
        let mut commands = commands.into_iter();
        for (ticket, command) in commands.by_ref() {
            let kind = kind(&command);
            let now = self.clock.now();
            // A panicking engine is dropped and loaded anew, so nothing sees it half changed.
            let applied = catch_unwind(AssertUnwindSafe(|| {
                self.engine
                    .apply(ticket, command, now, &facts, &mut self.rng, &mut out);
            }));
            if applied.is_err() {
                tracing::error!(kind, "the engine panicked; its state is loaded anew");
                return Tried::Culprit;
            }
            if begun.elapsed() > APPLY_MAX {
                break;
            }
        }
        match self.commit(&out).await {
            Fate::Committed => {
                // Only now: a batch that fails is dealt with as a whole.
                for rest in commands.rev() {
                    self.backlog.push_front(rest);
                }
                self.finish(out).await;
                Tried::Done
            }
            Fate::Deposed | Fate::Unknown => Tried::Ended(Ended::Deposed),
            Fate::Rejected(why) => {
                tracing::error!(
                    why,
                    "a batch cannot be stored; its commands are tried one by one"
                );
                Tried::Culprit
            }
            Fate::Unavailable(why) => Tried::Unavailable(why),
        }
    }

    /// Commits what came about; nothing is written where nothing did.
    async fn commit(&mut self, out: &Output) -> Fate {
        if out.batch.changes.is_empty() && out.batch.events.is_empty() {
            return Fate::Committed;
        }
        let number = self.batch + 1;
        let fate = commit(self.store, self.epoch, number, &out.batch).await;
        if matches!(fate, Fate::Committed) {
            self.batch = number;
        }
        fate
    }

    /// Tells everybody what is now durable.
    async fn finish(&mut self, out: Output) {
        self.ring.publish(out.batch.events);
        for (ticket, reply) in out.replies {
            if let Some(answer) = self.answers.remove(&ticket) {
                let _ = answer.send(reply.map_err(LeaderError::Refused));
            }
        }
        self.admit(out.admit).await;
    }

    /// Loads queued runs for which there is room; they enter with the next batch.
    async fn admit(&mut self, room: Vec<(TenantId, DagName, u32)>) {
        for (tenant, dag, count) in room {
            match self.store.run_load_queued(&tenant, &dag, count).await {
                Ok(runs) => {
                    for stored in runs {
                        self.enqueue(Command::RunAdmit(Box::new(stored)));
                    }
                }
                Err(error) => {
                    tracing::error!(error = %chain(&error), %dag, "failed to load queued runs; trying again");
                    self.owed.push((tenant, dag, count));
                }
            }
        }
    }

    /// What the batch needs to know of the database. This process is the only writer, so it holds
    /// until the batch is applied.
    async fn facts(&self, commands: &[(Ticket, Command)]) -> Result<Facts, String> {
        let mut wanted = Wanted::default();
        for (_, command) in commands {
            let more = self.engine.wanted(command);
            wanted.idempotency.extend(more.idempotency);
            wanted.runs.extend(more.runs);
            wanted.attempts.extend(more.attempts);
        }
        let mut facts = Facts::default();
        if !wanted.idempotency.is_empty() {
            let found = self.store.idempotency_find(&wanted.idempotency).await;
            for (key, fingerprint, run) in found.map_err(|error| chain(&error))? {
                wanted.runs.push(run);
                facts.idempotency.insert(key, (fingerprint, run));
            }
        }
        if !wanted.runs.is_empty() {
            let rows = self
                .store
                .run_find(&wanted.runs)
                .await
                .map_err(|error| chain(&error))?;
            facts.runs = rows.into_iter().map(|row| (row.run, row)).collect();
            self.queued_facts(commands, &mut facts).await?;
        }
        if !wanted.attempts.is_empty() {
            let rows = self.store.attempt_find(&wanted.attempts).await;
            for row in rows.map_err(|error| chain(&error))? {
                facts.attempts.insert((row.key.clone(), row.fence), row);
            }
        }
        Ok(facts)
    }

    /// The queued runs that are to be cancelled, whole.
    async fn queued_facts(
        &self,
        commands: &[(Ticket, Command)],
        facts: &mut Facts,
    ) -> Result<(), String> {
        for (_, command) in commands {
            if let Command::RunCancel { run, .. } = command
                && facts
                    .runs
                    .get(run)
                    .is_some_and(|row| row.state == RunState::Queued)
                && let Some(stored) = self
                    .store
                    .run_load(*run)
                    .await
                    .map_err(|error| chain(&error))?
            {
                facts.queued.insert(*run, stored);
            }
        }
        Ok(())
    }
}

/// A command's name, for the log.
fn kind(command: &Command) -> &'static str {
    match command {
        Command::DagApply(_) => "dag_apply",
        Command::DagPause { .. } => "dag_pause",
        Command::AnalysisPut(_) => "analysis_put",
        Command::AnalysisTrust { .. } => "analysis_trust",
        Command::DatasetPut { .. } => "dataset_put",
        Command::PoolPut { .. } => "pool_put",
        Command::TokenPut(_) => "token_put",
        Command::TokenRevoke(_) => "token_revoke",
        Command::RunCreate(_) => "run_create",
        Command::RunAdmit(_) => "run_admit",
        Command::RunCancel { .. } => "run_cancel",
        Command::ExecutorRegister(_) => "executor_register",
        Command::Claim(_) => "claim",
        Command::ClaimAbandon { .. } => "claim_abandon",
        Command::Heartbeat(_) => "heartbeat",
        Command::Complete(_) => "complete",
        Command::Release { .. } => "release",
        Command::Tick => "tick",
    }
}
