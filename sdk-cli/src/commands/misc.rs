//! `belljar pool …`, `executor …`, `completions`, `exit-codes`.

use crate::args::CompletionsArgs;
use crate::context::Context;
use crate::error::Result;
use crate::exit_code::ExitCode;
use crate::io::Io;
use crate::port::Binary;
use crate::table::{self, Table, number, shown, text, time};
use belljar_api::executors::{Executor, ExecutorState};
use belljar_api::pools::PoolSet;
use belljar_ids::PoolName;
use std::time::Duration;

/// Prints a shell's completions for the whole program.
pub fn completions(args: &CompletionsArgs, binary: &Binary<'_>, io: &Io) -> Result<ExitCode> {
    let mut command = (binary.command)();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, name, &mut script);
    io.bytes(&script)?;
    Ok(ExitCode::Success)
}

/// Prints what the exit codes mean.
pub fn exit_codes(io: &Io) -> Result<ExitCode> {
    io.bytes(ExitCode::help().as_bytes())?;
    Ok(ExitCode::Success)
}

/// Lists the pools.
pub async fn pool_list(context: &Context) -> Result<ExitCode> {
    let pools = context.client.pools().await?;
    if context.io.is_json() {
        context.io.json(&pools)?;
        return Ok(ExitCode::Success);
    }
    let mut table = Table::new(&["POOL", "SLOTS", "USED", "DESCRIPTION"]);
    for pool in &pools.items {
        table.row([
            shown(&pool.pool),
            number(pool.slots),
            number(pool.used),
            text(&pool.description),
        ]);
    }
    context.io.line(&table.render(context.io.stdout))?;
    Ok(ExitCode::Success)
}

/// Makes or changes a pool.
pub async fn pool_set(
    context: &Context,
    name: &PoolName,
    slots: u32,
    description: Option<String>,
) -> Result<ExitCode> {
    let pool = context
        .client
        .pool_set(name, &PoolSet { slots, description })
        .await?;
    if context.io.is_json() {
        context.io.json(&pool)?;
    } else {
        context.io.line(&format!(
            "pool {} has {} slots, {} used",
            pool.pool, pool.slots, pool.used
        ))?;
    }
    Ok(ExitCode::Success)
}

/// Lists the executors.
pub async fn executor_list(context: &Context) -> Result<ExitCode> {
    let executors = context.client.executors().await?;
    if context.io.is_json() {
        context.io.json(&executors)?;
        return Ok(ExitCode::Success);
    }
    let mut table = Table::new(&[
        "EXECUTOR",
        "NAME",
        "STATE",
        "SLOTS",
        "USED",
        "GVISOR",
        "HEARD",
        "REGISTERED",
        "WHY NOT",
    ]);
    for executor in &executors.items {
        table.row([
            shown(executor.executor),
            text(&executor.name),
            text(state(executor)),
            number(executor.slots),
            number(executor.slots_used),
            text(if executor.gvisor { "yes" } else { "no" }),
            table::maybe(
                executor
                    .last_heard_ms
                    .map(|ms| format!("{} ago", table::duration(Duration::from_millis(ms)))),
            ),
            time(executor.registered_at),
            text(executor.unavailable.as_deref().unwrap_or_default()),
        ]);
    }
    context.io.line(&table.render(context.io.stdout))?;
    if executors.items.is_empty() {
        context
            .io
            .say("no executor has registered: nothing can run");
    }
    Ok(ExitCode::Success)
}

const fn state(executor: &Executor) -> &'static str {
    match executor.state {
        ExecutorState::Online => "online",
        ExecutorState::Unavailable => "unavailable",
        ExecutorState::Offline => "offline",
    }
}
