//! `belljar request …`.

use super::dag::check_key;
use super::run::{ended, no_match, print_cancelled};
use super::{fetch, new_key, params};
use crate::args::{RequestCreateArgs, RequestRef, only_match};
use crate::context::Context;
use crate::error::{CommandError, Result};
use crate::escape;
use crate::exit_code::ExitCode;
use crate::io::Io;
use crate::progress::Bar;
use crate::table::{self, Table, between, moment, run_state, shown, text, time};
use belljar_api::requests::{Request, RequestCreate};
use belljar_ids::{RequestId, RunState};
use std::time::{Duration, Instant};

/// How many of the newest requests a beginning of an id is looked for in.
const PREFIX_SEARCH: usize = 1000;
/// How long a lost server is looked for while waiting.
const LOST_FOR: Duration = Duration::from_secs(120);

/// Finds the request that is meant.
pub async fn resolve(context: &Context, request: &RequestRef) -> Result<RequestId> {
    match request {
        RequestRef::Id(request) => Ok(*request),
        RequestRef::Latest => {
            let newest = context.client.requests(1).await?.items.into_iter().next();
            let none = || CommandError::new(ExitCode::NotFound, "there is no request yet");
            Ok(newest.ok_or_else(none)?.request)
        }
        RequestRef::Prefix(prefix) => {
            let requests = context.client.requests(PREFIX_SEARCH).await?.items;
            only_match(prefix, requests.into_iter().map(|request| request.request))
                .map_err(|no| no_match("request", prefix, &no))
        }
    }
}

/// Makes a request.
pub async fn create(context: &Context, args: &RequestCreateArgs) -> Result<ExitCode> {
    let key = args.idempotency_key.clone().unwrap_or_else(new_key);
    check_key(&key)?;
    let mut create = RequestCreate {
        analysis: args.analysis.clone(),
        inputs: std::collections::BTreeMap::new(),
        params: params(&args.params)?,
        purpose: args.purpose.clone(),
    };
    for pair in &args.inputs {
        if create
            .inputs
            .insert(pair.name.to_string(), pair.dataset.clone())
            .is_some()
        {
            return Err(CommandError::new(
                ExitCode::Usage,
                format!("--input {} is given twice", pair.name),
            ));
        }
    }
    let request = context.client.request_create(&create, &key).await?;
    if args.wait.wait {
        return wait(context, &request, args.wait.timeout).await;
    }
    if context.io.is_json() {
        context.io.json(&request)?;
    } else {
        context.io.line(&request.request.to_string())?;
        context.io.say(&format!(
            "{}; its result will be at: belljar request result {}",
            request.state, request.request
        ));
    }
    Ok(ExitCode::Success)
}

/// Waits for the end and prints the result.
async fn wait(context: &Context, request: &Request, timeout: Option<Duration>) -> Result<ExitCode> {
    let id = request.request;
    context.on_interrupt(format!(
        "stopped waiting; the request goes on. See it: belljar request show {id}. Cancel it: belljar request cancel {id}"
    ));
    context.io.say(&format!("request {id}"));
    let spinner = Bar::spinner(context, "waiting for the result");
    let until = timeout.map(|timeout| Instant::now() + timeout);
    let Some(request) = ending(context, id, until).await? else {
        drop(spinner);
        context.io.err_line(&format!(
            "{id} has not ended in time; it goes on: belljar request show {id}"
        ));
        return Ok(ExitCode::Timeout);
    };
    drop(spinner);
    if context.io.is_json() {
        context.io.json(&request)?;
    } else if request.state == RunState::Succeeded {
        let download = context.client.request_result(id).await?;
        fetch::print_result(context, download).await?;
    } else {
        context
            .io
            .err_line(&format!("{id} {}{}", request.state, why(&request)));
        context.io.say(&format!(
            "its logs: belljar run logs {} {}",
            request.run, request.task
        ));
    }
    Ok(ended(request.state))
}

/// The request when it has ended; none where the time was over before.
async fn ending(
    context: &Context,
    id: RequestId,
    until: Option<Instant>,
) -> Result<Option<Request>> {
    let mut lost: Option<Instant> = None;
    loop {
        let left = until.map_or(Duration::from_secs(30), |until| {
            until.saturating_duration_since(Instant::now())
        });
        match context
            .client
            .request_show(id, Some(left.max(Duration::from_millis(1))))
            .await
        {
            Ok(request) if request.state.is_terminal() => return Ok(Some(request)),
            Ok(_) if until.is_some_and(|until| Instant::now() >= until) => return Ok(None),
            Ok(_) => lost = None,
            Err(error)
                if error.is_transient()
                    && lost.get_or_insert_with(Instant::now).elapsed() < LOST_FOR =>
            {
                if until.is_some_and(|until| Instant::now() >= until) {
                    return Ok(None);
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn why(request: &Request) -> String {
    let cause = request
        .cause
        .map(|cause| format!(" ({cause})"))
        .unwrap_or_default();
    let message = request
        .message
        .as_deref()
        .map(|message| format!(": {}", escape::line(message)));
    format!("{cause}{}", message.unwrap_or_default())
}

/// Lists requests.
pub async fn list(context: &Context, limit: usize) -> Result<ExitCode> {
    let requests = context.client.requests(limit.max(1)).await?;
    if context.io.is_json() {
        context.io.json(&requests)?;
        return Ok(ExitCode::Success);
    }
    let mut table = Table::new(&[
        "REQUEST", "ANALYSIS", "STATE", "CREATED", "TOOK", "BY", "PURPOSE",
    ]);
    for request in &requests.items {
        table.row([
            shown(request.request),
            shown(&request.analysis),
            run_state(request.state),
            time(request.created_at),
            text(between(request.started_at, request.ended_at)),
            shown(&request.principal),
            text(&request.purpose),
        ]);
    }
    context.io.line(&table.render(context.io.stdout))?;
    Ok(ExitCode::Success)
}

/// Shows a request.
pub async fn show(context: &Context, request: &RequestRef) -> Result<ExitCode> {
    let id = resolve(context, request).await?;
    let request = context.client.request_show(id, None).await?;
    if context.io.is_json() {
        context.io.json(&request)?;
        return Ok(ExitCode::Success);
    }
    print(&context.io, &request)?;
    if request.state == RunState::Succeeded {
        let artifacts = context.client.request_artifacts(id).await?;
        let mut table = Table::new(&["ARTIFACT", "PATH", "SIZE", "TYPE"]);
        for artifact in &artifacts.items {
            table.row([
                text(&artifact.name),
                text(&artifact.path),
                table::number(table::size(artifact.size)),
                text(&artifact.media_type),
            ]);
        }
        context.io.line("")?;
        context.io.line(&table.render(context.io.stdout))?;
    }
    Ok(ExitCode::Success)
}

fn print(io: &Io, request: &Request) -> Result<()> {
    io.line(&format!("request   {}", request.request))?;
    io.line(&format!("state     {}{}", request.state, why(request)))?;
    io.line(&format!("run       {}, task {}", request.run, request.task))?;
    io.line(&format!(
        "analysis  {} ({})",
        request.analysis, request.analysis_digest
    ))?;
    for (input, dataset) in &request.inputs {
        io.line(&escape::line(&format!("input     {input} from {dataset}")))?;
    }
    if request
        .params
        .as_object()
        .is_some_and(|params| !params.is_empty())
    {
        io.line(&escape::line(&format!("params    {}", request.params)))?;
    }
    if !request.purpose.is_empty() {
        io.line(&escape::line(&format!("purpose   {}", request.purpose)))?;
    }
    io.line(&format!(
        "created   {} by {}",
        moment(request.created_at),
        request.principal
    ))?;
    if request.ended_at.is_some() {
        io.line(&format!(
            "took      {}",
            between(request.started_at, request.ended_at)
        ))?;
    }
    Ok(())
}

/// Prints a request's result.
pub async fn result(context: &Context, request: &RequestRef) -> Result<ExitCode> {
    let id = resolve(context, request).await?;
    let download = context.client.request_result(id).await?;
    fetch::print_result(context, download).await
}

/// Cancels a request.
pub async fn cancel(context: &Context, request: &RequestRef) -> Result<ExitCode> {
    let id = resolve(context, request).await?;
    let cancelled = context.client.request_cancel(id).await?;
    print_cancelled(&context.io, &cancelled)
}
