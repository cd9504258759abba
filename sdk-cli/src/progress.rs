//! Progress bars for long transfers, on stderr, only where it is a terminal.

use crate::context::Context;
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// Files smaller than this get no bar, bytes.
const WORTH_A_BAR: u64 = 1 << 20;

/// A bar that counts bytes; nothing is drawn where it would not be seen or not be worth it.
#[derive(Debug, Clone)]
pub struct Bar(ProgressBar);

impl Bar {
    /// A bar for `size` bytes.
    #[must_use]
    pub fn bytes(context: &Context, what: &str, size: u64) -> Self {
        if size < WORTH_A_BAR || !context.io.draws_progress(&context.environment) {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new(size);
        let template =
            "{msg:>10} {bar:30} {bytes:>10} of {total_bytes}  {bytes_per_sec}, {eta} left";
        // The template is a constant; were it wrong, the default style does.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(what.to_owned());
        Self(bar)
    }

    /// A sign of life for work of unknown size.
    #[must_use]
    pub fn spinner(context: &Context, what: &str) -> Self {
        if !context.io.draws_progress(&context.environment) {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner();
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// Sets the bytes done so far.
    pub fn set(&self, bytes: u64) {
        self.0.set_position(bytes);
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if !self.0.is_finished() {
            self.0.finish_and_clear();
        }
    }
}
