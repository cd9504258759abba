//! `heatmap.svg`: the week as 7 × 24 cells.
//!
//! Colour is engagement per post on a logarithmic scale, the number in a cell is
//! how many posts it stands for, so that one lucky post does not pass for a
//! habit. Colours are fixed attributes on an own background: the picture looks
//! the same on a dark page and on paper. What the numbers are is left to
//! [`crate::measure`].

use std::fmt::Write;

use crate::measure::{Cells, Sum};

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
/// Light to dark, each step darker than the one before (after ColorBrewer's GnBu).
const COLOURS: [&str; 7] = [
    "#e4f3ea", "#c5e8d3", "#95d5c0", "#5cb8bf", "#247aa2", "#1d5c94", "#123f78",
];
/// From this step on, white text reads better than dark text.
const FIRST_DARK: usize = 4;
const INK: &str = "#1c2733";
const MUTED: &str = "#56636f";
const EMPTY: &str = "#f3f5f7";

const LEFT: usize = 96;
const TOP: usize = 92;
const CELL_WIDTH: usize = 36;
const CELL_HEIGHT: usize = 34;
const GAP: usize = 3;
const WIDTH: usize = LEFT + 24 * CELL_WIDTH + 24;
const HEIGHT: usize = TOP + 7 * CELL_HEIGHT + 82;

/// The picture as an SVG document. `zone` is the name of the time zone, shown
/// under the title.
pub fn draw(cells: &Cells, zone: &str) -> String {
    let scale = Scale::of(cells);
    let mut svg = String::new();
    head(&mut svg, cells, zone);
    for hour in 0..24 {
        let x = LEFT + hour * CELL_WIDTH + (CELL_WIDTH - GAP) / 2;
        let (fill, weight) = if hour % 6 == 0 {
            (INK, "bold")
        } else {
            (MUTED, "normal")
        };
        text(
            &mut svg,
            x,
            TOP - 10,
            &format!(
                "text-anchor=\"middle\" font-size=\"12\" font-weight=\"{weight}\" fill=\"{fill}\""
            ),
            &format!("{hour:02}"),
        );
    }
    for (day, row) in cells.iter().enumerate() {
        let y = TOP + day * CELL_HEIGHT;
        text(
            &mut svg,
            LEFT - 12,
            y + 20,
            &format!("text-anchor=\"end\" font-size=\"13\" fill=\"{INK}\""),
            DAYS[day],
        );
        for (hour, sum) in row.iter().enumerate() {
            cell(&mut svg, &scale, (day, hour), sum);
        }
    }
    legend(&mut svg, &scale);
    svg.push_str("</svg>\n");
    svg
}

fn head(svg: &mut String, cells: &Cells, zone: &str) {
    let posts: u64 = cells.iter().flatten().map(|sum| sum.posts).sum();
    // Writing to a String cannot fail.
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" role=\"img\" aria-labelledby=\"title desc\" \
         font-family=\"'DejaVu Sans', Verdana, 'Segoe UI', sans-serif\">\n\
         <title id=\"title\">Engagement by weekday and hour</title>\n\
         <desc id=\"desc\">Seven rows, Monday to Sunday, of 24 hours. Colour is the mean engagement \
         per post, the number in a cell how many posts it has.</desc>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"10\" fill=\"#ffffff\"/>\n"
    );
    text(
        svg,
        LEFT,
        34,
        &format!("font-size=\"18\" font-weight=\"bold\" fill=\"{INK}\""),
        "When people engage",
    );
    let zone = escape(zone);
    text(
        svg,
        LEFT,
        56,
        &format!("font-size=\"12\" fill=\"{MUTED}\""),
        &format!(
            "{} posts · hours in {zone} · number: posts in that hour",
            grouped(u128::from(posts))
        ),
    );
}

fn cell(svg: &mut String, scale: &Scale, (day, hour): (usize, usize), sum: &Sum) {
    let (x, y) = (LEFT + hour * CELL_WIDTH, TOP + day * CELL_HEIGHT);
    let (width, height) = (CELL_WIDTH - GAP, CELL_HEIGHT - GAP);
    let step = scale.step(sum);
    let fill = step.map_or(EMPTY, |step| COLOURS[step]);
    let _ = write!(
        svg,
        "<g><title>{}, {hour:02}:00 to {hour:02}:59: {}</title>\
         <rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"4\" fill=\"{fill}\"/>",
        DAYS[day],
        in_words(sum)
    );
    if let Some(step) = step {
        let ink = if step >= FIRST_DARK { "#ffffff" } else { INK };
        let attributes = format!("text-anchor=\"middle\" font-size=\"11\" fill=\"{ink}\"");
        text(
            svg,
            x + width / 2,
            y + 19,
            &attributes,
            &short(u128::from(sum.posts)),
        );
    }
    svg.push_str("</g>\n");
}

fn in_words(sum: &Sum) -> String {
    match sum.posts {
        0 => "no posts".to_owned(),
        1 => format!("1 post, engagement {}", grouped(sum.engagement)),
        posts => format!(
            "{} posts, mean engagement {}",
            grouped(u128::from(posts)),
            grouped(sum.mean().round() as u128)
        ),
    }
}

fn legend(svg: &mut String, scale: &Scale) {
    let y = TOP + 7 * CELL_HEIGHT + 26;
    let attributes = format!("font-size=\"12\" fill=\"{MUTED}\"");
    let Some(bounds) = scale.bounds() else {
        text(svg, LEFT, y + 14, &attributes, "No posts.");
        return;
    };
    text(
        svg,
        LEFT,
        y + 13,
        &attributes,
        "Mean engagement per post, from",
    );
    let left = LEFT + 226;
    let width = 64;
    for (step, bound) in bounds.iter().enumerate() {
        let x = left + step * width;
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"16\" rx=\"3\" fill=\"{}\"/>",
            width - GAP,
            COLOURS[step]
        );
        let label = short(*bound);
        text(
            svg,
            x,
            y + 32,
            &format!("font-size=\"11\" fill=\"{MUTED}\""),
            &label,
        );
    }
    let x = left + bounds.len() * width + 20;
    let _ = writeln!(
        svg,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"16\" rx=\"3\" fill=\"{EMPTY}\"/>",
        CELL_WIDTH - GAP
    );
    text(svg, x + CELL_WIDTH + 4, y + 13, &attributes, "no posts");
}

fn text(svg: &mut String, x: usize, y: usize, attributes: &str, content: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{y}\" {attributes}>{content}</text>"
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// `12,345,678`
fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// At most four characters up to 999 T: `7`, `950`, `1.2k`, `34k`, `5.6M`.
fn short(number: u128) -> String {
    let (mut value, mut unit) = (number as f64, "");
    for next in ["k", "M", "B", "T"] {
        if value < 999.5 {
            break;
        }
        (value, unit) = (value / 1000.0, next);
    }
    let whole = unit.is_empty() || value >= 9.95 || value.fract() == 0.0;
    let digits = usize::from(!whole);
    format!("{value:.digits$}{unit}")
}

/// From an engagement to a colour: equal ratios are equal steps.
struct Scale {
    range: Option<(f64, f64)>,
}

impl Scale {
    fn of(cells: &Cells) -> Self {
        let means = || {
            cells
                .iter()
                .flatten()
                .filter(|sum| sum.posts > 0)
                .map(Sum::mean)
        };
        let (low, high) = means().fold((f64::INFINITY, 0.0_f64), |(low, high), mean| {
            (low.min(mean), high.max(mean))
        });
        // One more than the mean, so that nothing has a logarithm too.
        Self {
            range: low
                .is_finite()
                .then(|| ((low + 1.0).ln(), (high + 1.0).ln())),
        }
    }

    fn step(&self, sum: &Sum) -> Option<usize> {
        let (low, high) = self.range.filter(|_| sum.posts > 0)?;
        if high <= low {
            return Some(COLOURS.len() / 2);
        }
        let share = ((sum.mean() + 1.0).ln() - low) / (high - low);
        Some(((share * COLOURS.len() as f64) as usize).min(COLOURS.len() - 1))
    }

    /// The least engagement of each step.
    fn bounds(&self) -> Option<[u128; COLOURS.len()]> {
        let (low, high) = self.range?;
        Some(std::array::from_fn(|step| {
            let share = step as f64 / COLOURS.len() as f64;
            ((low + share * (high - low)).exp() - 1.0).round() as u128
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let shown = [
            0, 7, 999, 1000, 1234, 9949, 9950, 34_567, 999_499, 999_500, 5_600_000,
        ]
        .map(short);
        assert_eq!(
            shown,
            [
                "0", "7", "999", "1k", "1.2k", "9.9k", "10k", "35k", "999k", "1.0M", "5.6M"
            ]
        );
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(123), "123");
    }

    #[test]
    fn every_cell_is_drawn_and_the_zone_is_escaped() {
        let mut cells = Cells::default();
        cells[0][12] = Sum {
            posts: 3,
            engagement: 30,
        };
        cells[6][0] = Sum {
            posts: 1,
            engagement: 0,
        };
        let svg = draw(&cells, "a<b&c");
        assert_eq!(svg.matches("<g><title>").count(), 7 * 24);
        assert!(svg.contains("hours in a&lt;b&amp;c"));
        assert!(svg.contains("Monday, 12:00 to 12:59: 3 posts, mean engagement 10"));
        assert!(svg.contains("Sunday, 00:00 to 00:59: 1 post, engagement 0"));
        assert!(svg.contains(COLOURS[0]) && svg.contains(COLOURS[6]));
    }

    #[test]
    fn nothing_and_one_value_are_drawn_too() {
        assert!(draw(&Cells::default(), "UTC").contains("No posts."));
        let mut cells = Cells::default();
        cells[2][2] = Sum {
            posts: 1,
            engagement: 9,
        };
        assert!(draw(&cells, "UTC").contains("1 post, engagement 9"));
    }

    /// Relative luminance and contrast as WCAG 2.2 defines them.
    #[test]
    fn text_in_cells_can_be_read() {
        let luminance = |colour: &str| {
            let part = |at: usize| {
                let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.04045 {
                    value / 12.92
                } else {
                    ((value + 0.055) / 1.055).powf(2.4)
                }
            };
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
        };
        let contrast = |a: &str, b: &str| {
            let (a, b) = (luminance(a), luminance(b));
            (a.max(b) + 0.05) / (a.min(b) + 0.05)
        };
        for (step, colour) in COLOURS.iter().enumerate() {
            let ink = if step >= FIRST_DARK { "#ffffff" } else { INK };
            assert!(
                contrast(colour, ink) >= 4.5,
                "{colour} {}",
                contrast(colour, ink)
            );
        }
        assert!(contrast(MUTED, "#ffffff") >= 4.5);
    }
}
