//! Ending an attempt in the one safe order.
//!
//! Kill, cgroup verified empty, exit read, container removed, cgroup gone, `/out` sealed, outputs
//! collected, judged. Nobody is left to write while we read. The facts are put on disk before the
//! container goes, so that a crash in the middle loses none of them.

use super::engine::CALL;
use super::prepare::params_bytes;
use super::stop::exit;
use super::{Inner, blocking};
use crate::attempt::{AttemptName, Tier};
use crate::error::{Result, SandboxError};
use crate::finished::{Cause, CauseKind, Finished, StopReason, Usage, Verdict};
use crate::outputs::{self, Dropped, OutputFile, Outputs};
use crate::plan::digest_of;
use crate::receipt::{Check, Receipt, ReceiptRuntime};
use crate::record::{Record, Stopped};
use crate::runtime::Collect;
use crate::verdict::{self, OutSpace};
use crate::volume;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long the processes of a container that ended may take to vanish by themselves. On a busy
/// host taking down gVisor takes seconds; a program that outlives its end has all the time.
const TEARDOWN: Duration = Duration::from_secs(10);

impl Inner {
    pub(super) async fn finish(
        &self,
        name: &AttemptName,
        reason: StopReason,
        collect: &Collect,
    ) -> Result<Finished> {
        let mut record = Record::load(&self.state_dir, name)?;
        if record.stopped.is_none() {
            record.stopped = Some(self.stop(&mut record, reason).await?);
            record.save(&self.state_dir)?;
        }
        self.remove(name).await?;
        let gone = self.check_gone(&record).await?;
        let Some(mut stopped) = record.stopped.clone() else {
            return Err(SandboxError::Confused(format!("{name} lost its end")));
        };
        stopped.checks.push(gone);
        let (policy, collect) = (self.policy.clone(), collect.clone());
        let judged = record.clone();
        let (stopped, verdict, outputs) =
            blocking(move || judge(&judged, stopped, &collect, &policy)).await?;
        let receipt = self.receipt(&record, &stopped, &verdict, outputs.as_ref());
        Ok(Finished {
            verdict,
            exit: stopped.exit,
            ended_by_itself: stopped.ended_by_itself,
            usage: stopped.usage,
            outputs,
            receipt,
        })
    }

    /// Makes sure that nothing of it lives and gathers the facts of its end.
    async fn stop(&self, record: &mut Record, reason: StopReason) -> Result<Stopped> {
        let name = &record.plan.name.clone();
        let container = self.inspect(name).await?;
        let before = container.as_ref().and_then(|found| found.state.clone());
        let started = super::start::started_at(before.as_ref()).is_some();
        let running = before.as_ref().and_then(|state| state.running) == Some(true);
        let survivors = if running {
            0
        } else {
            self.survivors(record).await?
        };
        if running && !record.killed {
            // On disk first: a second try after a crash finds it dead and must know by whom.
            record.killed = true;
            record.save(&self.state_dir)?;
        }
        self.kill_all(name).await?;
        let after = if started {
            self.settled(name).await?
        } else {
            None
        };
        let mut usage = self.cgroup(&record.plan).usage();
        usage.keep_highest(&self.sampled(name));
        let exit = after.as_ref().map(exit);
        usage.wall_micros = exit.as_ref().map_or(0, wall);
        let foreign = container.is_some_and(|found| found.id.as_ref() != Some(&record.container));
        Ok(Stopped {
            reason,
            lost: self.lost(record, exit.is_some(), foreign).await?,
            exit,
            ended_by_itself: started && !record.killed,
            usage,
            checks: vec![
                Check {
                    check: "nothing_survived_the_end".to_owned(),
                    passed: survivors == 0,
                    detail: format!("{survivors} processes after the container ended"),
                },
                Check {
                    check: "cgroup_empty".to_owned(),
                    passed: true,
                    detail: "no process listed by the host after killing".to_owned(),
                },
            ],
        })
    }

    /// How many processes are left in the cgroup of a container that the engine calls ended,
    /// after the time that taking down a sandbox needs. An honest container has none.
    async fn survivors(&self, record: &Record) -> Result<usize> {
        let until = tokio::time::Instant::now() + TEARDOWN;
        loop {
            let cgroup = self.cgroup(&record.plan);
            let left = blocking(move || cgroup.processes()).await?.len();
            if left == 0 || tokio::time::Instant::now() > until {
                return Ok(left);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The state after the engine noticed the end.
    async fn settled(&self, name: &AttemptName) -> Result<Option<bollard::models::ContainerState>> {
        match tokio::time::timeout(CALL, self.until_not_running(name)).await {
            Ok(Ok(())) => Ok(self.known(name).await?.state),
            Ok(Err(SandboxError::NotFound(_))) => Ok(None),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(SandboxError::EngineSlow {
                call: "notice the end of the container",
                after: CALL,
            }),
        }
    }

    /// Why nothing can be said about the program; empty where something can.
    async fn lost(&self, record: &Record, known: bool, foreign: bool) -> Result<String> {
        let engine = self.engine.incarnation().await?;
        let restarted = engine != record.engine && !self.facts().live_restore;
        let verified = record
            .settings
            .iter()
            .any(|setting| setting.source == "spec");
        Ok(if foreign {
            "the container was replaced by another one of its name".to_owned()
        } else if !known {
            "the container vanished".to_owned()
        } else if !verified && record.unverified.is_none() {
            "it ended before its sandbox could be verified".to_owned()
        } else if restarted {
            "the container engine was restarted meanwhile".to_owned()
        } else {
            String::new()
        })
    }

    async fn check_gone(&self, record: &Record) -> Result<Check> {
        let container = self.inspect(&record.plan.name).await?.is_some();
        let cgroup = self.cgroup(&record.plan);
        let left = blocking(move || cgroup.exists()).await?;
        if container || left {
            return Err(SandboxError::Confused(format!(
                "{} is removed, but there is still a {}",
                record.plan.name,
                if container { "container" } else { "cgroup" }
            )));
        }
        Ok(Check {
            check: "container_and_cgroup_gone".to_owned(),
            passed: true,
            detail: "before anything was collected".to_owned(),
        })
    }

    fn receipt(
        &self,
        record: &Record,
        stopped: &Stopped,
        verdict: &Verdict,
        outputs: Option<&Outputs>,
    ) -> Receipt {
        let facts = self.facts();
        let gvisor = (record.plan.tier == Tier::Gvisor)
            .then_some(facts.gvisor)
            .flatten();
        let mut files: BTreeMap<String, OutputFile> = BTreeMap::new();
        if let Some(outputs) = outputs {
            files.insert("result".to_owned(), outputs.result.clone());
            for (name, file) in &outputs.artifacts {
                files.insert(format!("artifact:{name}"), file.clone());
            }
        }
        Receipt {
            receipt: "belljar-receipt/1".to_owned(),
            attempt: record.plan.name.clone(),
            identity: record.spec.identity.clone(),
            tier: record.plan.tier,
            warning: warning(record.plan.tier).to_owned(),
            image: record.plan.process.image,
            plan_digest: record.plan.digest(),
            params_digest: digest_of(&params_bytes(&record.spec)),
            inputs: record.inputs.clone(),
            outputs: files,
            dropped: outputs.map_or_else(Dropped::default, |outputs| outputs.dropped.clone()),
            runtime: ReceiptRuntime {
                name: record.plan.confinement.runtime.clone(),
                version: gvisor
                    .as_ref()
                    .map_or(facts.runc_version, |g| g.version.clone()),
                platform: gvisor.map_or_else(String::new, |gvisor| gvisor.platform),
                engine: facts.engine_version,
                kernel: facts.kernel,
            },
            settings: record.settings.clone(),
            limits: record.spec.limits.clone(),
            usage: stopped.usage.clone(),
            checks: stopped.checks.clone(),
            exit: stopped.exit.clone(),
            verdict: verdict.clone(),
        }
    }
}

fn warning(tier: Tier) -> &'static str {
    match tier {
        Tier::Gvisor => "",
        Tier::TrustedRunc => "ran without gVisor: an operator marked the analysis trusted",
        Tier::WeakerSandbox => "not the production sandbox: ran without gVisor, for trying only",
    }
}

fn wall(exit: &crate::finished::Exit) -> u64 {
    match (exit.started_at, exit.finished_at) {
        (Some(start), Some(end)) => u64::try_from(end.since(start).as_micros()).unwrap_or(u64::MAX),
        _ => 0,
    }
}

type Judged = (Stopped, Verdict, Option<Outputs>);

/// Seals `/out`, collects where the end allows it, and judges.
fn judge(
    record: &Record,
    mut stopped: Stopped,
    collect: &Collect,
    policy: &crate::policy::Policy,
) -> Result<Judged> {
    let out = &record.plan.mounts.out;
    if !volume::is_mounted(&out.mount) {
        let detail = "/out is no longer mounted".to_owned();
        return Ok((stopped, Verdict::Lost { detail }, None));
    }
    let space = out_space(record, &mut stopped.usage)?;
    volume::seal(&out.mount)?;
    if let Some(verdict) = verdict::before_collecting(record, &stopped, space) {
        return Ok((stopped, verdict, None));
    }
    let collected = outputs::collect(&out.mount, collect, policy)?;
    let collected = collected.map_err(|cause| explained(cause, space));
    let verdict = verdict::after_collecting(&collected);
    Ok((stopped, verdict, collected.ok()))
}

fn out_space(record: &Record, usage: &mut Usage) -> Result<OutSpace> {
    let space = volume::space(&record.plan.mounts.out.mount)?;
    usage.out_bytes = (space.f_blocks - space.f_bfree) * space.f_frsize;
    // The first ten of ext4 are its own.
    usage.out_inodes = (space.f_files - space.f_ffree).saturating_sub(10);
    Ok(OutSpace {
        free_bytes: space.f_bavail * space.f_frsize,
        free_inodes: space.f_ffree,
    })
}

/// A broken result on a full `/out` is most likely broken by that.
fn explained(mut cause: Cause, space: OutSpace) -> Cause {
    let broken = matches!(
        cause.kind,
        CauseKind::ResultInvalid | CauseKind::ResultMissing | CauseKind::ArtifactMissing
    );
    if broken && (space.free_bytes == 0 || space.free_inodes == 0) {
        cause.message = format!("/out is full, and {}", cause.message);
        cause.kind = CauseKind::OutputLimit;
        "write less to /out, or raise `resources.disk`".clone_into(&mut cause.hint);
    }
    cause
}
