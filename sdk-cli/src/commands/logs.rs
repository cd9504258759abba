//! `belljar run logs`.

use super::run::resolve;
use crate::args::LogsArgs;
use crate::client::ClientError;
use crate::context::Context;
use crate::error::{CommandError, Result};
use crate::escape::Decoder;
use crate::exit_code::ExitCode;
use belljar_api::tasks::LogQuery;
use belljar_ids::{RunId, TaskName};
use std::time::{Duration, Instant};

/// How often a task that has not begun is looked at.
const NOT_BEGUN: Duration = Duration::from_millis(500);
/// How long a lost server is looked for.
const LOST_FOR: Duration = Duration::from_secs(120);

/// Prints logs.
pub async fn logs(context: &Context, args: &LogsArgs) -> Result<ExitCode> {
    let run = resolve(context, &args.run).await?;
    if args.follow {
        context.on_interrupt("stopped following; the task goes on");
    }
    let attempt = begun(context, args, run).await?;
    let names = args.stream.names();
    let shows = names
        .iter()
        .map(|name| Show::new(context, args, name, names.len() > 1));
    let mut shows: Vec<Show<'_>> = shows.collect();
    if let (true, [first, second]) = (args.follow, shows.as_mut_slice()) {
        let (first, second) = futures::join!(first.print(run, attempt), second.print(run, attempt));
        first.and(second)?;
    } else {
        for show in &mut shows {
            show.print(run, attempt).await?;
        }
    }
    cut_note(context, run, &args.task, attempt).await;
    Ok(ExitCode::Success)
}

/// The attempt that is meant: the one given, else the newest; where there is none yet, `--follow` waits for it.
async fn begun(context: &Context, args: &LogsArgs, run: RunId) -> Result<i64> {
    if let Some(attempt) = args.attempt {
        return Ok(attempt);
    }
    loop {
        let detail = context.client.task(run, &args.task).await?;
        if let Some(newest) = detail.attempts.first() {
            return Ok(newest.fence.0);
        }
        let message = format!(
            "task {} has no attempt yet: it is {}",
            args.task, detail.task.state
        );
        if detail.task.state.is_terminal() || !args.follow {
            let error = CommandError::new(ExitCode::NotFound, message);
            return Err(if args.follow {
                error
            } else {
                error.help("--follow waits for it")
            });
        }
        tokio::time::sleep(NOT_BEGUN).await;
    }
}

/// Says where a log was cut, as far as that can be found out.
async fn cut_note(context: &Context, run: RunId, task: &TaskName, attempt: i64) {
    let Ok(detail) = context.client.task(run, task).await else {
        return;
    };
    let logs = detail
        .attempts
        .into_iter()
        .find(|a| a.fence.0 == attempt)
        .map(|a| a.logs);
    if logs.is_some_and(|logs| logs.stdout.truncated || logs.stderr.truncated) {
        context
            .io
            .say("the program wrote more than is kept; the log was cut");
    }
}

/// One stream on its way to stdout.
struct Show<'a> {
    context: &'a Context,
    args: &'a LogsArgs,
    stream: &'static str,
    /// None where bytes go out as they are.
    decoder: Option<Decoder>,
    /// Whether only whole lines are printed, because another stream is printed between them.
    whole_lines: bool,
    line: String,
}

impl<'a> Show<'a> {
    fn new(context: &'a Context, args: &'a LogsArgs, stream: &'static str, several: bool) -> Self {
        let safe = context.io.stdout.terminal && !args.raw;
        Self {
            context,
            args,
            stream,
            decoder: safe.then(Decoder::default),
            whole_lines: several && args.follow,
            line: String::new(),
        }
    }

    async fn print(&mut self, run: RunId, attempt: i64) -> Result<()> {
        let mut query = LogQuery {
            attempt: Some(attempt),
            stream: Some(self.stream.to_owned()),
            offset: Some(0),
            ..LogQuery::default()
        };
        loop {
            let Some(piece) = self.piece(run, &query).await? else {
                break;
            };
            let nothing = piece.bytes.is_empty();
            self.show(&piece.bytes)?;
            query.offset = Some(piece.next_offset);
            // Without --follow, an empty piece is the end of what has arrived so far.
            if piece.complete || (nothing && !self.args.follow) {
                break;
            }
        }
        self.finish()
    }

    /// The next piece, over lost connections where that is worth it; none where there is no such log.
    async fn piece(&self, run: RunId, query: &LogQuery) -> Result<Option<crate::client::LogPiece>> {
        let begun = Instant::now();
        loop {
            match self
                .context
                .client
                .task_log(run, &self.args.task, query, self.args.follow)
                .await
            {
                Ok(piece) => return Ok(Some(piece)),
                Err(error)
                    if self.args.follow && error.is_transient() && begun.elapsed() < LOST_FOR =>
                {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                Err(error) => return Err(missing(error, self.args)),
            }
        }
    }

    fn show(&mut self, bytes: &[u8]) -> Result<()> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(self.context.io.bytes(bytes)?);
        };
        let text = decoder.push(bytes);
        if !self.whole_lines {
            return Ok(self.context.io.bytes(text.as_bytes())?);
        }
        self.line.push_str(&text);
        if let Some(end) = self.line.rfind('\n') {
            let rest = self.line.split_off(end + 1);
            let lines = std::mem::replace(&mut self.line, rest);
            self.context.io.bytes(lines.as_bytes())?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        if let Some(decoder) = &mut self.decoder {
            self.line.push_str(&decoder.finish());
            if self.whole_lines && !self.line.is_empty() && !self.line.ends_with('\n') {
                self.line.push('\n');
            }
            self.context
                .io
                .bytes(std::mem::take(&mut self.line).as_bytes())?;
        }
        Ok(())
    }
}

fn missing(error: ClientError, args: &LogsArgs) -> CommandError {
    match (error.is_not_found(), args.attempt) {
        (true, Some(attempt)) => {
            CommandError::new(ExitCode::NotFound, format!("{error} (attempt {attempt})")).help(
                format!(
                    "`belljar run show {} {}` lists the attempts",
                    args.run, args.task
                ),
            )
        }
        _ => error.into(),
    }
}
