//! What every command has at hand.

use crate::client::Client;
use crate::config::{Environment, Settings};
use crate::io::Io;
use std::sync::{Mutex, PoisonError};

/// Server, outputs and environment of one command.
#[derive(Debug)]
pub struct Context {
    /// The client.
    pub client: Client,
    /// Where the client's server and token came from.
    pub settings: Settings,
    /// The outputs.
    pub io: Io,
    /// The environment.
    pub environment: Environment,
    /// What to say when Ctrl-C ends the command now.
    interrupted: Mutex<Option<String>>,
}

impl Context {
    /// A context for one command.
    #[must_use]
    pub fn new(client: Client, settings: Settings, io: Io, environment: Environment) -> Self {
        Self {
            client,
            settings,
            io,
            environment,
            interrupted: Mutex::new(None),
        }
    }

    /// From now on Ctrl-C says this.
    pub fn on_interrupt(&self, text: impl Into<String>) {
        *self
            .interrupted
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(text.into());
    }

    /// What Ctrl-C says now.
    #[must_use]
    pub fn interrupt_text(&self) -> Option<String> {
        self.interrupted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
