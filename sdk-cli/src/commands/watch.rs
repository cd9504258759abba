//! Following a run until it ends.

use super::run::{ended, instance, summary};
use crate::client::StreamItem;
use crate::context::Context;
use crate::error::Result;
use crate::escape;
use crate::exit_code::ExitCode;
use crate::table;
use belljar_api::Time;
use belljar_api::events::Event;
use belljar_api::runs::RunDetail;
use belljar_ids::{RunId, RunState, TaskState};
use std::collections::BTreeMap;
use std::time::Duration;

/// After this long without an event the run is looked at, in case one was missed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Where changes of state are printed; the summary goes to stdout in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// They are what was asked for.
    Stdout,
    /// They are talk beside what was asked for.
    Stderr,
}

/// Follows a run: its changes as they happen, a summary at the end.
pub async fn watch(
    context: &Context,
    run: RunId,
    timeout: Option<Duration>,
    place: Place,
) -> Result<ExitCode> {
    context.on_interrupt(format!(
        "stopped watching; the run goes on. Watch it again: belljar run watch {run}. Cancel it: belljar run cancel {run}"
    ));
    let following = follow(context, run, place);
    let detail = match timeout {
        None => following.await?,
        Some(limit) => match tokio::time::timeout(limit, following).await {
            Ok(detail) => detail?,
            Err(_) => {
                context.io.err_line(&format!(
                    "{run} has not ended within {}; it goes on: belljar run watch {run}",
                    table::duration(limit)
                ));
                return Ok(ExitCode::Timeout);
            }
        },
    };
    if !context.io.is_json() {
        if place == Place::Stdout {
            context.io.line("")?;
        }
        context.io.line(&end_line(&detail))?;
        context.io.line("")?;
        summary(&context.io, &detail)?;
    } else if place == Place::Stderr {
        context.io.json(&detail)?;
    }
    Ok(ended(detail.run.state))
}

fn end_line(detail: &RunDetail) -> String {
    let run = &detail.run;
    let took = table::between(run.started_at.or(Some(run.created_at)), run.ended_at);
    format!("{} {} after {took}", run.run, run.state)
}

async fn follow(context: &Context, run: RunId, place: Place) -> Result<RunDetail> {
    // The stream first: whatever happens after the look is in it.
    let mut stream = context.client.events(Some(run), None).await?;
    let mut view = View {
        context,
        place,
        states: BTreeMap::new(),
        run: None,
    };
    let mut detail = view.look(run).await?;
    while !detail.run.state.is_terminal() {
        match tokio::time::timeout(LOOK_AGAIN, stream.next()).await {
            Err(_) => detail = view.look(run).await?,
            Ok(item) => match item? {
                StreamItem::Event(event) => {
                    view.event(&event)?;
                    if event.subject == run.to_string() {
                        detail = view.look_quietly(run).await?;
                    }
                }
                StreamItem::Reset => detail = view.look(run).await?,
                StreamItem::Lost(reason) => {
                    context.io.say(&format!(
                        "lost the server ({}); trying again",
                        escape::line(&reason)
                    ));
                }
                StreamItem::Back => {
                    context.io.say("the server is back");
                    detail = view.look_quietly(run).await?;
                }
            },
        }
    }
    // What is not printed yet: the last changes may still be on their way in the stream.
    view.changes(&detail)?;
    Ok(detail)
}

/// What has been printed so far.
struct View<'a> {
    context: &'a Context,
    place: Place,
    /// The last printed state of each task instance, by `task` or `task[3]`.
    states: BTreeMap<String, TaskState>,
    run: Option<RunState>,
}

impl View<'_> {
    /// Reads the run and prints what is new in it.
    async fn look(&mut self, run: RunId) -> Result<RunDetail> {
        let detail = self.look_quietly(run).await?;
        self.changes(&detail)?;
        Ok(detail)
    }

    /// Reads the run; a server that restarts meanwhile is waited for by the stream, so once more is enough.
    async fn look_quietly(&self, run: RunId) -> Result<RunDetail> {
        match self.context.client.run(run, None).await {
            Err(error) if error.is_transient() => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(self.context.client.run(run, None).await?)
            }
            other => Ok(other?),
        }
    }

    /// Prints what a reading of the run has that was not printed yet.
    fn changes(&mut self, detail: &RunDetail) -> Result<()> {
        if self.context.io.is_json() {
            return Ok(());
        }
        for task in &detail.tasks {
            let name = instance(&task.task, task.map_index);
            let at = task
                .ended_at
                .or(task.started_at)
                .or(task.ready_at)
                .unwrap_or(detail.as_of);
            self.task(&name, task.state, at, task.message.as_deref())?;
        }
        self.run_state(
            detail.run.state,
            detail.run.ended_at.unwrap_or(detail.as_of),
        )
    }

    /// Prints an event.
    fn event(&mut self, event: &Event) -> Result<()> {
        if self.context.io.is_json() {
            if self.place == Place::Stdout {
                self.context.io.json_line(event)?;
            }
            return Ok(());
        }
        let message = event
            .data
            .get("message")
            .and_then(|message| message.as_str());
        let task = event.subject.split_once('/').map(|(_, task)| task);
        let state = event.kind.split_once('.').map_or("", |(_, state)| state);
        if let (Some(task), Ok(state)) = (task, state.parse()) {
            self.task(task, state, event.time, message)
        } else if let (None, Ok(state)) = (task, state.parse()) {
            self.run_state(state, event.time)
        } else {
            Ok(())
        }
    }

    fn task(
        &mut self,
        name: &str,
        state: TaskState,
        at: Time,
        message: Option<&str>,
    ) -> Result<()> {
        if self.states.insert(name.to_owned(), state) == Some(state) {
            return Ok(());
        }
        // What has not begun is not worth a line.
        if state == TaskState::Pending {
            return Ok(());
        }
        let message = message
            .map(|message| format!("  {}", escape::line(message)))
            .unwrap_or_default();
        self.print(at, name, state.as_str(), &message)
    }

    fn run_state(&mut self, state: RunState, at: Time) -> Result<()> {
        if self.run.replace(state) == Some(state) || state.is_terminal() {
            return Ok(());
        }
        self.print(at, "run", state.as_str(), "")
    }

    fn print(&self, at: Time, name: &str, state: &str, rest: &str) -> Result<()> {
        let clock = at.0.strftime("%H:%M:%SZ");
        let line = format!("{clock}  {:<20}  {state}{rest}", escape::line(name));
        match self.place {
            Place::Stdout => self.context.io.line(&line)?,
            Place::Stderr => self.context.io.say(&line),
        }
        Ok(())
    }
}
