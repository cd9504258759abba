//! The result: parsed as hostile JSON, then validated.

use crate::finished::{Cause, CauseKind};
use belljar_manifest::schema;
use serde_json::Value;

fn invalid(message: impl Into<String>) -> Cause {
    Cause::new(
        CauseKind::ResultInvalid,
        message,
        "make /out/result.json one JSON document that is valid against `result` in analysis.yaml",
    )
}

/// Checks that `bytes` are one JSON document (RFC 8259), no deeper than `max_depth`, and valid
/// against the schema. Messages name places in the document, never its values.
///
/// # Errors
/// The cause for which the attempt fails.
pub(super) fn check(bytes: &[u8], schema: &Value, max_depth: usize) -> Result<(), Cause> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        invalid(format!(
            "the result is not UTF-8 at byte {}",
            error.valid_up_to()
        ))
    })?;
    if deeper_than(text, max_depth) {
        return Err(invalid(format!(
            "the result is nested deeper than {max_depth}"
        )));
    }
    let value: Value = serde_json::from_str(text).map_err(|error| {
        invalid(format!(
            "the result is not JSON: line {}, column {}",
            error.line(),
            error.column()
        ))
    })?;
    let compiled = schema::compile(schema, "/result").map_err(|problems| {
        let first = problems.first().map(ToString::to_string);
        invalid(format!(
            "the manifest's result schema cannot be used: {}",
            first.unwrap_or_default()
        ))
    })?;
    compiled
        .validate(&value)
        .map_err(|problems| invalid(format!("the result does not match its schema: {problems}")))
}

/// Whether brackets nest deeper than allowed, without recursion and before anything is parsed.
fn deeper_than(text: &str, max_depth: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        match (in_string, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (true, b'"') => in_string = false,
            (true, _) => {}
            (false, b'"') => in_string = true,
            (false, b'{' | b'[') => depth += 1,
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            (false, _) => {}
        }
        if depth > max_depth {
            return true;
        }
    }
    false
}
