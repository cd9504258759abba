//! `belljar run …`, except `watch` and `logs`.

use super::dag::runs_table;
use super::fetch;
use crate::args::{NoMatch, RunRef, only_match};
use crate::context::Context;
use crate::error::{CommandError, Result};
use crate::escape;
use crate::exit_code::ExitCode;
use crate::io::Io;
use crate::table::{self, Table, between, moment, number, size, task_state, text};
use belljar_api::runs::{RunDetail, RunListQuery, RunTask};
use belljar_api::tasks::{Attempt, TaskDetail};
use belljar_ids::{DagName, MapIndex, RunId, RunState, TaskName};

/// How many of the newest runs a beginning of an id is looked for in.
const PREFIX_SEARCH: usize = 1000;

/// Finds the run that is meant.
pub async fn resolve(context: &Context, run: &RunRef) -> Result<RunId> {
    match run {
        RunRef::Id(run) => Ok(*run),
        RunRef::Latest(dag) => {
            let query = RunListQuery {
                dag: dag.as_ref().map(ToString::to_string),
                ..RunListQuery::default()
            };
            let newest = context
                .client
                .runs(&query, 1)
                .await?
                .items
                .into_iter()
                .next();
            let of = dag
                .as_ref()
                .map(|dag| format!(" of {dag}"))
                .unwrap_or_default();
            let none = || CommandError::new(ExitCode::NotFound, format!("there is no run{of} yet"));
            Ok(newest.ok_or_else(none)?.run)
        }
        RunRef::Prefix(prefix) => {
            let runs = context
                .client
                .runs(&RunListQuery::default(), PREFIX_SEARCH)
                .await?
                .items;
            only_match(prefix, runs.into_iter().map(|run| run.run))
                .map_err(|no| no_match("run", prefix, &no))
        }
    }
}

/// The error of a beginning that names nothing.
pub fn no_match(noun: &str, prefix: &str, no: &NoMatch) -> CommandError {
    match no {
        NoMatch::None => CommandError::new(
            ExitCode::NotFound,
            format!("no id of the newest {PREFIX_SEARCH} {noun}s begins with `{prefix}`"),
        ),
        NoMatch::Several(first, second) => CommandError::new(
            ExitCode::Usage,
            format!("several {noun}s begin with `{prefix}`, for example {first} and {second}"),
        )
        .help("write more of the id"),
    }
}

/// Lists runs.
pub async fn list(
    context: &Context,
    dag: Option<&DagName>,
    state: Option<RunState>,
    limit: usize,
) -> Result<ExitCode> {
    let query = RunListQuery {
        dag: dag.map(ToString::to_string),
        state,
        ..RunListQuery::default()
    };
    let runs = context.client.runs(&query, limit.max(1)).await?;
    if context.io.is_json() {
        context.io.json(&runs)?;
        return Ok(ExitCode::Success);
    }
    context
        .io
        .line(&runs_table(&runs.items).render(context.io.stdout))?;
    if runs.next_cursor.is_some() {
        context.io.say(&format!(
            "there are more; see them with --limit {}",
            limit.saturating_mul(10)
        ));
    }
    Ok(ExitCode::Success)
}

/// Shows a run, or one task of it.
pub async fn show(context: &Context, run: &RunRef, task: Option<&TaskName>) -> Result<ExitCode> {
    let run = resolve(context, run).await?;
    let io = &context.io;
    if let Some(task) = task {
        let detail = context.client.task(run, task).await?;
        if io.is_json() {
            io.json(&detail)?;
        } else {
            print_task(io, &detail)?;
        }
        return Ok(ExitCode::Success);
    }
    let detail = context.client.run(run, None).await?;
    if io.is_json() {
        io.json(&detail)?;
    } else {
        print_run(io, &detail)?;
    }
    Ok(ExitCode::Success)
}

fn print_run(io: &Io, detail: &RunDetail) -> Result<()> {
    let run = &detail.run;
    io.line(&format!("run      {}", run.run))?;
    io.line(&format!(
        "DAG      {} ({})",
        run.dag,
        table::short_digest(&run.dag_version)
    ))?;
    io.line(&format!("state    {}", run.state))?;
    if let Some(wait) = &detail.wait {
        io.line(&format!("waits    {}", escape::line(&wait.message)))?;
    }
    if let Some(request) = run.request {
        io.line(&format!("request  {request}"))?;
    }
    io.line(&format!(
        "created  {} by {}",
        moment(run.created_at),
        run.principal
    ))?;
    if run.ended_at.is_some() {
        io.line(&format!(
            "took     {}",
            between(run.started_at, run.ended_at)
        ))?;
    }
    if detail
        .params
        .as_object()
        .is_some_and(|params| !params.is_empty())
    {
        io.line(&format!(
            "params   {}",
            escape::line(&detail.params.to_string())
        ))?;
    }
    io.line("")?;
    summary(io, detail)
}

/// A task instance's name.
pub fn instance(task: &TaskName, index: MapIndex) -> String {
    if index == MapIndex::NONE {
        task.to_string()
    } else {
        format!("{task}[{index}]")
    }
}

/// The tasks of a run as a table, and a line for each that did not succeed or waits.
pub fn summary(io: &Io, detail: &RunDetail) -> Result<()> {
    let mut tasks = Table::new(&["TASK", "STATE", "TRIES", "TIME", "CAUSE", "ANALYSIS"]);
    for task in &detail.tasks {
        tasks.row([
            text(instance(&task.task, task.map_index)),
            task_state(task.state),
            text(format!(
                "{} of {}{}",
                task.tries,
                task.max_attempts,
                losses(task)
            )),
            text(between(task.started_at, task.ended_at)),
            table::maybe(task.cause),
            text(format!("{}@{}", task.analysis, task.analysis_version)),
        ]);
    }
    io.line(&tasks.render(io.stdout))?;
    for task in &detail.tasks {
        let name = instance(&task.task, task.map_index);
        let why = match (&task.wait, &task.message) {
            (Some(wait), _) => format!("waits: {}", wait.message),
            (None, Some(message)) => message.clone(),
            (None, None) => continue,
        };
        io.line(&format!("{name}: {}", escape::line(&why)))?;
    }
    Ok(())
}

fn losses(task: &RunTask) -> String {
    if task.losses == 0 {
        String::new()
    } else {
        format!(" (+{} lost)", task.losses)
    }
}

fn print_task(io: &Io, detail: &TaskDetail) -> Result<()> {
    let task = &detail.task;
    io.line(&format!(
        "task      {} of {}",
        instance(&task.task, task.map_index),
        detail.run
    ))?;
    io.line(&format!("state     {}", task.state))?;
    if let Some(wait) = &task.wait {
        io.line(&format!("waits     {}", escape::line(&wait.message)))?;
    }
    if let Some(message) = &task.message {
        io.line(&format!("message   {}", escape::line(message)))?;
    }
    io.line(&escape::line(&format!(
        "analysis  {}@{} ({})",
        task.analysis, task.analysis_version, detail.analysis_digest
    )))?;
    for (input, source) in &detail.inputs {
        io.line(&escape::line(&format!("input     {input} from {source}")))?;
    }
    let limits = &detail.resources;
    io.line(&format!(
        "limits    {} CPU, memory {}, /out {}, /tmp {}, {} threads, {}",
        f64::from(limits.cpu_millis) / 1000.0,
        size(limits.memory_bytes),
        size(limits.disk_bytes),
        size(limits.tmp_bytes),
        limits.pids,
        table::duration(std::time::Duration::from_millis(limits.timeout_ms)),
    ))?;
    io.line("")?;
    io.line(&attempts_table(&detail.attempts).render(io.stdout))?;
    if let Some(result) = &detail.result {
        io.line("")?;
        let mut outputs = Table::new(&["OUTPUT", "PATH", "SIZE", "TYPE"]);
        outputs.row([
            text("result"),
            text("result.json"),
            number(size(result.size)),
            text("application/json"),
        ]);
        for artifact in &detail.artifacts {
            outputs.row([
                text(&artifact.name),
                text(&artifact.path),
                number(size(artifact.size)),
                text(&artifact.media_type),
            ]);
        }
        io.line(&outputs.render(io.stdout))?;
    }
    Ok(())
}

fn attempts_table(attempts: &[Attempt]) -> Table {
    let mut table = Table::new(&[
        "ATTEMPT", "TRY", "STATE", "CAUSE", "EXIT", "TIME", "MEMORY", "CPU", "EXECUTOR", "RECEIPT",
    ]);
    for attempt in attempts {
        let state = match attempt.outcome {
            Some(outcome) => task_state(outcome),
            None => text(if attempt.started_at.is_some() {
                "running"
            } else {
                "leased"
            }),
        };
        let executor = attempt
            .executor
            .name
            .clone()
            .unwrap_or_else(|| attempt.executor.executor.to_string());
        table.row([
            number(attempt.fence),
            number(attempt.try_number),
            state,
            table::maybe(attempt.cause),
            table::maybe(attempt.exit_code),
            text(between(attempt.started_at, attempt.ended_at)),
            table::maybe(attempt.peaks.memory_bytes.map(size)),
            table::maybe(
                attempt
                    .peaks
                    .cpu_ms
                    .map(|ms| table::duration(std::time::Duration::from_millis(ms))),
            ),
            text(executor),
            table::maybe(
                attempt
                    .receipt
                    .as_ref()
                    .map(|receipt| table::short_digest(&receipt.digest)),
            ),
        ]);
    }
    table
}

/// Cancels a run.
pub async fn cancel(context: &Context, run: &RunRef) -> Result<ExitCode> {
    let run = resolve(context, run).await?;
    let cancelled = context.client.run_cancel(run).await?;
    print_cancelled(&context.io, &cancelled)
}

/// Says what a cancel did.
pub fn print_cancelled(io: &Io, cancelled: &belljar_api::runs::RunCancelled) -> Result<ExitCode> {
    let (run, state) = (cancelled.run.run, cancelled.run.state);
    if io.is_json() {
        io.json(cancelled)?;
    } else if cancelled.ended_before {
        io.line(&format!("{run} had ended before: {state}"))?;
    } else {
        io.line(&format!("{run} is {state}"))?;
    }
    Ok(ExitCode::Success)
}

/// Prints a task's result.
pub async fn result(context: &Context, run: &RunRef, task: &TaskName) -> Result<ExitCode> {
    let run = resolve(context, run).await?;
    let download = context.client.task_result(run, task).await?;
    fetch::print_result(context, download).await
}

/// The exit code of a run that has ended.
pub const fn ended(state: RunState) -> ExitCode {
    match state {
        RunState::Succeeded => ExitCode::Success,
        RunState::Cancelled => ExitCode::Cancelled,
        _ => ExitCode::RunFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_that_fits_nothing_or_much() {
        let error = no_match("run", "run_01", &NoMatch::None);
        assert_eq!(error.exit_code(), ExitCode::NotFound);
        let several = NoMatch::Several("run_01a".into(), "run_01b".into());
        let error = no_match("run", "run_01", &several);
        assert_eq!(error.exit_code(), ExitCode::Usage);
        assert_eq!(
            error.to_string(),
            "several runs begin with `run_01`, for example run_01a and run_01b"
        );
    }
}
