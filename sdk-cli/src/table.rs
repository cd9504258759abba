//! Tables for people, readable without colour and without lines.
//!
//! Owns: layout, the words for times, sizes and absent values, and the colours of states. Every cell is
//! made safe for a terminal here.

use crate::escape;
use crate::io::Place;
use belljar_api::Time;
use belljar_ids::{RunState, TaskState};
use comfy_table::{Attribute, Cell, CellAlignment, Color, ContentArrangement};
use std::time::Duration;

/// The narrowest terminal that a table is squeezed into.
const NARROWEST: usize = 40;

/// A table with a header.
#[derive(Debug)]
pub struct Table {
    inner: comfy_table::Table,
}

/// What is in a cell.
#[derive(Debug, Clone)]
pub struct Field {
    text: String,
    colour: Option<Color>,
    right: bool,
}

impl Table {
    /// An empty table with these column names.
    #[must_use]
    pub fn new(columns: &[&str]) -> Self {
        let mut inner = comfy_table::Table::new();
        inner.load_style(comfy_table::presets::NOTHING);
        inner.set_header(
            columns
                .iter()
                .map(|name| Cell::new(name).add_attribute(Attribute::Bold)),
        );
        Self { inner }
    }

    /// Adds a row.
    pub fn row(&mut self, fields: impl IntoIterator<Item = Field>) {
        self.inner.add_row(fields.into_iter().map(|field| {
            let cell = Cell::new(field.text);
            let cell = if field.right {
                cell.set_alignment(CellAlignment::Right)
            } else {
                cell
            };
            match field.colour {
                Some(colour) => cell.fg(colour),
                None => cell,
            }
        }));
    }

    /// The table as text without a line break at its end, as wide as it needs or as `place` is.
    #[must_use]
    pub fn render(mut self, place: Place) -> String {
        match place.width {
            Some(width) => {
                self.inner
                    .set_content_arrangement(ContentArrangement::Dynamic);
                self.inner
                    .set_width(u16::try_from(width.max(NARROWEST)).unwrap_or(u16::MAX));
            }
            None => {
                self.inner
                    .set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        if place.colour {
            self.inner.enforce_styling();
        } else {
            self.inner.force_no_tty();
        }
        // Two blanks between columns, none before the first.
        for column in self.inner.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let lines = self.inner.lines();
        lines
            .map(|line| line.trim_end().to_owned())
            .collect::<Vec<_>>()
            .join("\n")
    }
}

/// A text.
#[must_use]
pub fn text(text: impl AsRef<str>) -> Field {
    let text = escape::line(text.as_ref());
    let text = if text.is_empty() {
        "-".to_owned()
    } else {
        text.into_owned()
    };
    Field {
        text,
        colour: None,
        right: false,
    }
}

/// A value by its text form.
#[must_use]
pub fn shown(value: impl std::fmt::Display) -> Field {
    text(value.to_string())
}

/// A value that may be absent.
#[must_use]
pub fn maybe(value: Option<impl std::fmt::Display>) -> Field {
    text(value.map(|value| value.to_string()).unwrap_or_default())
}

/// A number.
#[must_use]
pub fn number(value: impl std::fmt::Display) -> Field {
    Field {
        right: true,
        ..shown(value)
    }
}

/// A moment: to the second, in UTC.
#[must_use]
pub fn time(time: Time) -> Field {
    text(moment(time))
}

/// A run's state.
#[must_use]
pub fn run_state(state: RunState) -> Field {
    let colour = match state {
        RunState::Succeeded => Some(Color::Green),
        RunState::Failed => Some(Color::Red),
        RunState::Running => Some(Color::Blue),
        RunState::Cancelling | RunState::Cancelled => Some(Color::Yellow),
        RunState::Queued => None,
    };
    Field {
        colour,
        ..shown(state)
    }
}

/// A task instance's state.
#[must_use]
pub fn task_state(state: TaskState) -> Field {
    let colour = match state {
        TaskState::Succeeded => Some(Color::Green),
        TaskState::Failed | TaskState::TimedOut | TaskState::Crashed => Some(Color::Red),
        TaskState::Leased | TaskState::Running => Some(Color::Blue),
        TaskState::RetryWait
        | TaskState::Cancelling
        | TaskState::Cancelled
        | TaskState::UpstreamFailed => Some(Color::Yellow),
        _ => None,
    };
    Field {
        colour,
        ..shown(state)
    }
}

/// A moment as text: `2026-11-20 13:41:38Z`.
#[must_use]
pub fn moment(time: Time) -> String {
    time.0.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A duration as text, three digits or so: `312ms`, `4.2s`, `3m07s`, `2h05m`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{secs}.{}s", duration.subsec_millis() / 100),
        60..3600 => format!("{}m{:02}s", secs / 60, secs % 60),
        _ => format!("{}h{:02}m", secs / 3600, secs / 60 % 60),
    }
}

/// The time between two moments as text; empty where one is missing.
#[must_use]
pub fn between(from: Option<Time>, to: Option<Time>) -> String {
    match (from, to) {
        (Some(from), Some(to)) => {
            let millis = to.0.as_millisecond() - from.0.as_millisecond();
            duration(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
        }
        _ => String::new(),
    }
}

/// A size as text, in powers of 1,024: `512 B`, `1.4 MiB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut rest = bytes;
    let mut unit = UNITS[0];
    for next in UNITS {
        unit = next;
        if rest < 1 << 20 {
            break;
        }
        rest >>= 10;
    }
    // `rest` is in 1/1,024 of the unit.
    format!("{}.{} {unit}", rest >> 10, ((rest & 1023) * 10) >> 10)
}

/// The first twelve digits of a digest: enough to tell versions apart by eye.
#[must_use]
pub fn short_digest(digest: &belljar_ids::Digest) -> String {
    digest.hex()[..12].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations() {
        for (bytes, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1_048_575, "1023.9 KiB"),
            (1 << 20, "1.0 MiB"),
            (5_368_709_120, "5.0 GiB"),
            (u64::MAX, "15.9 EiB"),
        ] {
            assert_eq!(size(bytes), shown);
        }
        for (millis, shown) in [
            (0, "0ms"),
            (999, "999ms"),
            (1_000, "1.0s"),
            (59_999, "59.9s"),
            (187_000, "3m07s"),
            (7_500_000, "2h05m"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), shown);
        }
    }

    fn sample() -> Table {
        let mut table = Table::new(&["NAME", "SLOTS", "STATE", "DESCRIPTION"]);
        table.row([
            text("heavy"),
            number(12),
            run_state(RunState::Failed),
            text("evil \x1b]0;x\x07 \u{202e}\nline"),
        ]);
        table.row([
            text("a-long-name"),
            number(3),
            run_state(RunState::Succeeded),
            text(""),
        ]);
        table
    }

    #[test]
    fn a_plain_table_is_lines_of_columns_without_control_characters() {
        insta::assert_snapshot!(sample().render(Place::default()), @r"
        NAME         SLOTS  STATE      DESCRIPTION
        heavy           12  failed     evil ␛]0;x␇ \u{202e}␊line
        a-long-name      3  succeeded  -
        ");
    }

    #[test]
    fn a_narrow_terminal_wraps_instead_of_cutting() {
        let place = Place {
            terminal: true,
            colour: false,
            width: Some(44),
        };
        let text = sample().render(place);
        assert!(
            text.lines().all(|line| line.chars().count() <= 44),
            "{text}"
        );
        assert!(text.contains("a-long-name"), "{text}");
    }

    #[test]
    fn colour_marks_states_and_nothing_else_is_needed_to_read_them() {
        let coloured = sample().render(Place {
            terminal: true,
            colour: true,
            width: None,
        });
        assert!(coloured.contains("\x1b["));
        assert!(coloured.contains("failed"));
    }
}
