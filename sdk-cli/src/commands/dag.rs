//! `belljar dag …`.

use super::{documents, new_key, params, watch};
use crate::args::DagRun;
use crate::client::ClientError;
use crate::context::Context;
use crate::error::{CommandError, Result};
use crate::escape;
use crate::exit_code::ExitCode;
use crate::io::Io;
use crate::table::{self, Table, moment, number, run_state, shown, text, time};
use belljar_api::dags::{DagApplyQuery, DagDetail, RunStart};
use belljar_api::runs::Run;
use belljar_ids::DagName;
use belljar_manifest::Diagnostic;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What `dag validate` found in one file.
#[derive(Debug, Serialize)]
struct Checked {
    file: String,
    valid: bool,
    dag: Option<String>,
    version: Option<String>,
    diagnostics: Vec<Diagnostic>,
}

/// Checks files; every file is looked at, whatever the others are like.
pub fn validate(io: &Io, files: &[PathBuf]) -> Result<ExitCode> {
    let mut all = Vec::new();
    let mut worst = ExitCode::Success;
    for file in files {
        match check(io, file) {
            Ok(checked) => {
                if !checked.valid {
                    worst = worst.max(ExitCode::SpecInvalid);
                }
                all.push(checked);
            }
            // A file that is not there does not keep the others from being checked.
            Err(error) => {
                error.tell(io, None);
                worst = worst.max(error.exit_code());
            }
        }
    }
    if io.is_json() {
        io.json(&all)?;
    }
    Ok(worst)
}

fn check(io: &Io, path: &Path) -> Result<Checked> {
    let document = documents::read(path, io)?;
    let (parsed, diagnostics) = match belljar_dag_specs::parse(&document.text, &document.name) {
        Ok(parsed) => {
            let warnings = parsed.warnings.clone();
            (Some(parsed.spec), warnings)
        }
        Err(diagnostics) => (None, diagnostics),
    };
    if !diagnostics.is_empty() && !io.is_json() {
        io.err_line(documents::shown(&diagnostics, Some(&document.text), io.stderr).trim_end());
        io.err_line("");
    }
    if let Some(spec) = &parsed
        && !io.is_json()
    {
        let tasks = spec.tasks.len();
        let noun = if tasks == 1 { "task" } else { "tasks" };
        let problems = if diagnostics.is_empty() {
            String::new()
        } else {
            format!(", {}", documents::counted(&diagnostics))
        };
        io.line(&format!(
            "{}: valid, DAG {} with {tasks} {noun}{problems}",
            escape::line(&document.name),
            spec.dag
        ))?;
    } else if !io.is_json() {
        io.err_line(&format!(
            "{}: {}",
            escape::line(&document.name),
            documents::counted(&diagnostics)
        ));
    }
    Ok(Checked {
        file: document.name,
        valid: parsed.is_some(),
        dag: parsed.as_ref().map(|spec| spec.dag.to_string()),
        version: parsed.as_ref().map(|spec| spec.version().to_string()),
        diagnostics,
    })
}

/// Stores a version.
pub async fn apply(
    context: &Context,
    path: &Path,
    paused: bool,
    dry_run: bool,
) -> Result<ExitCode> {
    let io = &context.io;
    let document = documents::read(path, io)?;
    let query = DagApplyQuery {
        paused: paused.then_some(true),
        dry_run,
        file: Some(document.name.clone()),
    };
    let applied = match context.client.dag_apply(&document.text, &query).await {
        Ok(applied) => applied,
        Err(ClientError::Problem(answered)) if !answered.errors.is_empty() => {
            let diagnostics = documents::from_api(&answered.errors);
            return Err(documents::refused(
                &diagnostics,
                Some(&document.text),
                &document.name,
                io,
            ));
        }
        Err(error) => return Err(error.into()),
    };
    let warnings = documents::from_api(&applied.warnings);
    if !warnings.is_empty() {
        io.err_line(documents::shown(&warnings, Some(&document.text), io.stderr).trim_end());
    }
    if io.is_json() {
        io.json(&applied)?;
        return Ok(ExitCode::Success);
    }
    let version = table::short_digest(&applied.version);
    let line = match (&applied.dag, applied.created, dry_run) {
        (Some(dag), true, true) => format!(
            "DAG {}: would become a new version ({version}) after number {}",
            dag.dag, dag.number
        ),
        (Some(dag), true, false) => format!(
            "DAG {}: version {} ({version}) is stored",
            dag.dag, dag.number
        ),
        (Some(dag), false, _) => format!(
            "DAG {}: nothing new, version {} ({version}) is the same",
            dag.dag, dag.number
        ),
        (None, ..) => format!("a new DAG; its version would be {version}"),
    };
    io.line(&line)?;
    if let Some(dag) = applied.dag.filter(|dag| dag.paused) {
        io.say(&format!(
            "it is paused: its runs stay queued until `belljar dag unpause {}`",
            dag.dag
        ));
    }
    Ok(ExitCode::Success)
}

/// Lists all DAGs.
pub async fn list(context: &Context) -> Result<ExitCode> {
    let dags = context.client.dags().await?;
    if context.io.is_json() {
        context.io.json(&dags)?;
        return Ok(ExitCode::Success);
    }
    let mut table = Table::new(&[
        "DAG",
        "VERSION",
        "PAUSED",
        "LAST RUN",
        "STATE",
        "STARTED",
        "DESCRIPTION",
    ]);
    for dag in &dags.items {
        let last = dag.last_run.as_ref();
        table.row([
            shown(&dag.dag),
            number(dag.number),
            text(if dag.paused { "yes" } else { "no" }),
            table::maybe(last.map(|run| run.run)),
            last.map_or_else(|| text(""), |run| run_state(run.state)),
            table::maybe(last.and_then(|run| run.started_at).map(moment)),
            text(dag.description.as_deref().unwrap_or_default()),
        ]);
    }
    context.io.line(&table.render(context.io.stdout))?;
    if dags.items.is_empty() {
        context.io.say("no DAGs yet: belljar dag apply FILE");
    }
    Ok(ExitCode::Success)
}

/// Shows a DAG.
pub async fn show(context: &Context, dag: &DagName, source: bool) -> Result<ExitCode> {
    let detail = context.client.dag(dag).await?;
    let io = &context.io;
    if io.is_json() {
        io.json(&detail)?;
    } else if source {
        if io.stdout.terminal {
            io.bytes(escape::lines(&detail.source).as_bytes())?;
        } else {
            io.bytes(detail.source.as_bytes())?;
        }
    } else {
        print_detail(io, &detail)?;
    }
    Ok(ExitCode::Success)
}

fn print_detail(io: &Io, detail: &DagDetail) -> Result<()> {
    let dag = &detail.dag;
    io.line(&format!("DAG          {}", dag.dag))?;
    if let Some(description) = &dag.description {
        io.line(&format!("description  {}", escape::line(description)))?;
    }
    io.line(&format!(
        "version      {} ({})",
        dag.number,
        table::short_digest(&dag.version)
    ))?;
    io.line(&format!(
        "paused       {}",
        if dag.paused {
            "yes: runs stay queued"
        } else {
            "no"
        }
    ))?;
    io.line(&format!(
        "owner        {}, since {}",
        dag.owner,
        moment(dag.created_at)
    ))?;
    if let Some(schema) = &detail.params_schema {
        print_params(io, schema)?;
    }
    let mut tasks = Table::new(&["TASK", "ANALYSIS", "AFTER", "TRIES", "PRIORITY", "POOLS"]);
    for task in &detail.tasks {
        let after: Vec<&str> = detail
            .edges
            .iter()
            .filter(|edge| edge.to == task.task)
            .map(|edge| edge.from.as_str())
            .collect();
        let pools: Vec<String> = task
            .pools
            .iter()
            .map(|need| format!("{}:{}", need.pool, need.slots))
            .collect();
        tasks.row([
            shown(&task.task),
            text(&task.analysis),
            text(after.join(", ")),
            number(task.max_attempts),
            number(task.priority),
            text(pools.join(", ")),
        ]);
    }
    io.line("")?;
    io.line(&tasks.render(io.stdout))?;
    if !detail.recent_runs.is_empty() {
        io.line("")?;
        io.line(&runs_table(&detail.recent_runs).render(io.stdout))?;
    }
    Ok(())
}

/// The parameters that a schema describes, a line each.
pub fn print_params(io: &Io, schema: &serde_json::Value) -> Result<()> {
    let properties = schema
        .get("properties")
        .and_then(|properties| properties.as_object());
    for (name, property) in properties.into_iter().flatten() {
        let kind = property.get("type").map_or_else(
            || "any".to_owned(),
            |kind| {
                kind.as_str()
                    .map_or_else(|| kind.to_string(), str::to_owned)
            },
        );
        let default = property
            .get("default")
            .map_or_else(String::new, |default| format!(", default {default}"));
        let about = property
            .get("description")
            .and_then(|about| about.as_str())
            .map_or_else(String::new, |about| format!(": {about}"));
        io.line(&escape::line(&format!(
            "param        {name} ({kind}{default}){about}"
        )))?;
    }
    Ok(())
}

/// Runs as a table.
pub fn runs_table(runs: &[Run]) -> Table {
    let mut table = Table::new(&["RUN", "DAG", "STATE", "CREATED", "TOOK", "BY"]);
    for run in runs {
        table.row([
            shown(run.run),
            shown(&run.dag),
            run_state(run.state),
            time(run.created_at),
            text(table::between(run.started_at, run.ended_at)),
            shown(&run.principal),
        ]);
    }
    table
}

/// Starts a run.
pub async fn run(context: &Context, args: &DagRun) -> Result<ExitCode> {
    let start = RunStart {
        params: params(&args.params)?,
    };
    let key = args.idempotency_key.clone().unwrap_or_else(new_key);
    check_key(&key)?;
    let run = context.client.run_start(&args.dag, &start, &key).await?;
    if args.wait.wait {
        context.io.say(&format!("run {}", run.run));
        return watch::watch(context, run.run, args.wait.timeout, watch::Place::Stderr).await;
    }
    if context.io.is_json() {
        context.io.json(&run)?;
    } else {
        context.io.line(&run.run.to_string())?;
        context.io.say(&format!(
            "{}; follow it with: belljar run watch {}",
            run.state, run.run
        ));
    }
    Ok(ExitCode::Success)
}

/// Refuses an idempotency key that cannot be sent.
pub fn check_key(key: &str) -> Result<()> {
    if (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(CommandError::new(
        ExitCode::Usage,
        "an idempotency key is 1 to 255 visible ASCII characters",
    ))
}

/// Pauses or unpauses.
pub async fn pause(context: &Context, dag: &DagName, paused: bool) -> Result<ExitCode> {
    let dag = context.client.dag_pause(dag, paused).await?;
    if context.io.is_json() {
        context.io.json(&dag)?;
    } else if dag.paused {
        context
            .io
            .line(&format!("DAG {} is paused: new runs stay queued", dag.dag))?;
    } else {
        context.io.line(&format!("DAG {} is not paused", dag.dag))?;
    }
    Ok(ExitCode::Success)
}
