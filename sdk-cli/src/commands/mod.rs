//! What the commands do.
//!
//! Owns: one module for each noun; every command is "ask the client, print". Leaves to others: arguments
//! (`args`), calls (`client`), layout (`table`), failures (`error`).

mod analysis;
mod analysis_local;
mod dag;
mod dataset;
mod documents;
mod fetch;
mod login;
mod logs;
mod misc;
mod request;
mod run;
mod template;
mod watch;

use crate::args::{
    AnalysisCommand, ClientCommand, DagCommand, PoolCommand, RequestCommand, RunCommand,
};
use crate::context::Context;
use crate::error::{CommandError, Result};
use crate::exit_code::ExitCode;
use crate::io::Io;
use crate::port::Binary;
use std::path::Path;

/// Carries out a command that needs neither server nor token; none for any other.
pub fn without_server(
    command: &ClientCommand,
    binary: &Binary<'_>,
    io: &Io,
) -> Option<Result<ExitCode>> {
    match command {
        ClientCommand::Completions(args) => Some(misc::completions(args, binary, io)),
        ClientCommand::ExitCodes => Some(misc::exit_codes(io)),
        ClientCommand::Dag {
            command: DagCommand::Validate { files },
        } => Some(dag::validate(io, files)),
        ClientCommand::Analysis {
            command:
                AnalysisCommand::Init {
                    name,
                    language,
                    folder,
                },
        } => Some(template::init(io, name, *language, folder.as_deref())),
        _ => None,
    }
}

/// Carries out any other command.
pub async fn dispatch(
    context: &Context,
    command: &ClientCommand,
    binary: &Binary<'_>,
) -> Result<ExitCode> {
    match command {
        ClientCommand::Dag { command } => dag(context, command).await,
        ClientCommand::Run { command } => run(context, command).await,
        ClientCommand::Analysis { command } => analysis(context, command, binary).await,
        ClientCommand::Dataset { command } => dataset::dispatch(context, command).await,
        ClientCommand::Request { command } => request(context, command).await,
        ClientCommand::Pool {
            command: PoolCommand::List,
        } => misc::pool_list(context).await,
        ClientCommand::Pool {
            command:
                PoolCommand::Set {
                    name,
                    slots,
                    description,
                },
        } => misc::pool_set(context, name, *slots, description.clone()).await,
        ClientCommand::Executor { .. } => misc::executor_list(context).await,
        ClientCommand::Login(_) => login::login(context).await,
        ClientCommand::Completions(_) | ClientCommand::ExitCodes => Ok(ExitCode::Success),
    }
}

async fn dag(context: &Context, command: &DagCommand) -> Result<ExitCode> {
    match command {
        DagCommand::Validate { files } => dag::validate(&context.io, files),
        DagCommand::Apply {
            file,
            paused,
            dry_run,
        } => dag::apply(context, file, *paused, *dry_run).await,
        DagCommand::List => dag::list(context).await,
        DagCommand::Show { dag, source } => dag::show(context, dag, *source).await,
        DagCommand::Run(args) => dag::run(context, args).await,
        DagCommand::Pause { dag } => dag::pause(context, dag, true).await,
        DagCommand::Unpause { dag } => dag::pause(context, dag, false).await,
    }
}

async fn run(context: &Context, command: &RunCommand) -> Result<ExitCode> {
    match command {
        RunCommand::List { dag, state, limit } => {
            run::list(context, dag.as_ref(), *state, *limit).await
        }
        RunCommand::Show { run, task } => run::show(context, run, task.as_ref()).await,
        RunCommand::Watch { run, timeout } => {
            let run = run::resolve(context, run).await?;
            watch::watch(context, run, *timeout, watch::Place::Stdout).await
        }
        RunCommand::Logs(args) => logs::logs(context, args).await,
        RunCommand::Cancel { run } => run::cancel(context, run).await,
        RunCommand::Result { run, task } => run::result(context, run, task).await,
        RunCommand::Artifact {
            run,
            task,
            name,
            to,
            force,
        } => {
            fetch::check_name(name)?;
            let run = run::resolve(context, run).await?;
            let known = context.client.task(run, task).await?.artifacts;
            let download = context.client.task_artifact(run, task, name).await?;
            fetch::save(
                context,
                download,
                fetch::digest_of(&known, name),
                to,
                *force,
            )
            .await
        }
    }
}

async fn analysis(
    context: &Context,
    command: &AnalysisCommand,
    binary: &Binary<'_>,
) -> Result<ExitCode> {
    match command {
        AnalysisCommand::Init {
            name,
            language,
            folder,
        } => template::init(&context.io, name, *language, folder.as_deref()),
        AnalysisCommand::Test {
            path,
            inputs,
            params,
            out,
            weaker_sandbox,
        } => {
            let order = analysis_local::order(
                path,
                inputs,
                params,
                out.clone(),
                *weaker_sandbox,
                &context.io,
            )?;
            analysis_local::test(context, &order, binary.images).await
        }
        AnalysisCommand::Submit { path } => analysis::submit(context, path, binary.images).await,
        AnalysisCommand::List => analysis::list(context).await,
        AnalysisCommand::Show { analysis } => analysis::show(context, analysis).await,
        AnalysisCommand::Trust { analysis } => analysis::trust(context, analysis, true).await,
        AnalysisCommand::Untrust { analysis } => analysis::trust(context, analysis, false).await,
    }
}

async fn request(context: &Context, command: &RequestCommand) -> Result<ExitCode> {
    match command {
        RequestCommand::Create(args) => request::create(context, args).await,
        RequestCommand::List { limit } => request::list(context, *limit).await,
        RequestCommand::Show { request } => request::show(context, request).await,
        RequestCommand::Result { request } => request::result(context, request).await,
        RequestCommand::Artifact {
            request,
            name,
            to,
            force,
        } => {
            fetch::check_name(name)?;
            let request = request::resolve(context, request).await?;
            let download = context.client.request_artifact(request, name).await?;
            let known = context.client.request_artifacts(request).await?.items;
            fetch::save(
                context,
                download,
                fetch::digest_of(&known, name),
                to,
                *force,
            )
            .await
        }
        RequestCommand::Cancel { request } => request::cancel(context, request).await,
    }
}

/// Reads a file that was named on the command line, at most `limit` bytes of it and one more; `-` is stdin.
fn read_file(path: &Path, limit: usize) -> Result<Vec<u8>> {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let limit = limit as u64 + 1;
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(limit).read_to_end(&mut bytes))
    };
    match read {
        Ok(_) => Ok(bytes),
        Err(error) => Err(CommandError::local(
            format!("read {}", path.display()),
            error,
        )),
    }
}

/// Reads the parameters of a command.
fn params(args: &crate::args::ParamArgs) -> Result<serde_json::Map<String, serde_json::Value>> {
    const LIMIT: usize = 1 << 20;
    let wrong = |message: String| CommandError::new(ExitCode::Usage, message);
    let text = match &args.params_file {
        None => None,
        Some(path) => {
            let bytes = read_file(path, LIMIT)?;
            if bytes.len() > LIMIT {
                return Err(wrong(format!(
                    "{} is larger than {LIMIT} bytes",
                    path.display()
                )));
            }
            let text = String::from_utf8(bytes);
            Some(text.map_err(|_| wrong(format!("{} is not UTF-8 text", path.display())))?)
        }
    };
    args.collect(text.as_deref())
        .map_err(|problem| match &args.params_file {
            Some(path) if !problem.starts_with("--param") => {
                wrong(format!("failed to read {}: {problem}", path.display()))
            }
            _ => wrong(problem),
        })
}

/// A new idempotency key, so that a submission can be repeated when its answer is lost.
fn new_key() -> String {
    format!("cli-{}", uuid::Uuid::new_v4().simple())
}
