//! Typed values out of a tree, with every problem on the way collected.
//!
//! A [`Cursor`] is a value and its pointer; its methods return `None` after they pushed what is
//! wrong, so that a caller goes on with a placeholder and finds the other problems too.

use crate::code::{self, Code};
use crate::diagnostic::{Diagnostic, Problems, Target, join_pointer, nearest};
use crate::source::{Entry, Node, NodeValue};
use serde_json::{Map, Number, Value};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A value in a file, to be read.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    node: &'a Node,
    pointer: String,
}

/// The members of a mapping with a fixed set of fields.
#[derive(Debug)]
pub struct Fields<'a> {
    entries: &'a [Entry],
    pointer: String,
}

/// What a field is called whose feature is not built yet, and the code that says so.
#[derive(Debug, Clone, Copy)]
pub struct Unsupported {
    /// The names.
    pub names: &'static [&'static str],
    /// The code.
    pub code: &'static Code,
}

/// How a plain scalar reads under the core schema of YAML 1.2 (section 10.3.2).
fn resolve(text: &str) -> Result<Value, &'static str> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Ok(Value::Null),
        "true" | "True" | "TRUE" => return Ok(Value::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Value::Bool(false)),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Err("infinities and NaN are no JSON numbers");
    }
    let digits = |rest: &str, radix| {
        let valid = !rest.is_empty() && rest.chars().all(|c| c.is_digit(radix));
        valid.then(|| {
            u64::from_str_radix(rest, radix)
                .map(Value::from)
                .map_err(|_| "the number is too large")
        })
    };
    let radix = [("0x", 16), ("0o", 8)];
    if let Some(number) = radix
        .iter()
        .find_map(|(prefix, radix)| digits(text.strip_prefix(prefix)?, *radix))
    {
        return number;
    }
    if !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit()) {
        let positive = text.strip_prefix('+').unwrap_or(text);
        return positive
            .parse::<i64>()
            .map(Value::from)
            .or_else(|_| positive.parse::<u64>().map(Value::from))
            .map_err(|_| "the number is too large");
    }
    if is_float(unsigned) {
        let number = text.parse::<f64>().ok().and_then(Number::from_f64);
        return number.map(Value::Number).ok_or("the number is too large");
    }
    Ok(Value::String(text.to_owned()))
}

/// Whether `text` is `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`.
fn is_float(text: &str) -> bool {
    let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        None => (text, None),
        Some((mantissa, exponent)) => (
            mantissa,
            Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent)),
        ),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    all_digits(whole)
        && all_digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && all_digits(exponent))
}

impl<'a> Cursor<'a> {
    /// The value of a whole file.
    #[must_use]
    pub const fn root(node: &'a Node) -> Self {
        Self {
            node,
            pointer: String::new(),
        }
    }

    /// Its pointer.
    #[must_use]
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// Whether it is a mapping.
    #[must_use]
    pub const fn is_mapping(&self) -> bool {
        matches!(self.node.value, NodeValue::Map(_))
    }

    fn wrong_type(&self, wanted: &str, problems: &mut Problems) {
        let found = match &self.node.value {
            NodeValue::List(_) => "a list",
            NodeValue::Map(_) => "a mapping",
            NodeValue::Scalar { plain: false, .. } => "a quoted text",
            NodeValue::Scalar { text, .. } => match resolve(text) {
                Ok(Value::Null) => "nothing",
                Ok(Value::Bool(_)) => "a truth value",
                Ok(Value::Number(number)) if number.is_f64() => "a number with a fraction",
                Ok(Value::Number(_)) | Err(_) => "a number",
                Ok(_) => "a text",
            },
        };
        let message = format!("{wanted} is wanted here, not {found}");
        problems.push(Diagnostic::error(&code::WRONG_TYPE, &self.pointer, message));
    }

    /// The text of a scalar as written: a plain number or truth value counts as its text, nothing
    /// (`~`, or no value) does not.
    pub fn text(&self, problems: &mut Problems) -> Option<&'a str> {
        match &self.node.value {
            NodeValue::Scalar { text, plain } if !plain || resolve(text) != Ok(Value::Null) => {
                Some(text)
            }
            _ => {
                self.wrong_type("a text", problems);
                None
            }
        }
    }

    /// A text of at most `max` characters.
    pub fn text_up_to(&self, max: usize, problems: &mut Problems) -> Option<String> {
        let text = self.text(problems)?;
        let length = text.chars().count();
        if length > max {
            let message = format!("the text has {length} characters; at most {max} are allowed");
            problems.push(Diagnostic::error(&code::TOO_LONG, &self.pointer, message));
            return None;
        }
        Some(text.to_owned())
    }

    /// A value that is written as a text; its error becomes the message under `code`.
    pub fn parse<T: FromStr<Err: Display>>(
        &self,
        code: &Code,
        problems: &mut Problems,
    ) -> Option<T> {
        let parsed = self.text(problems)?.parse();
        parsed
            .map_err(|error: T::Err| {
                problems.push(Diagnostic::error(code, &self.pointer, error.to_string()))
            })
            .ok()
    }

    /// A whole number in `range`.
    pub fn integer(&self, range: RangeInclusive<i64>, problems: &mut Problems) -> Option<i64> {
        let Some(Value::Number(number)) = self.scalar(problems)? else {
            self.wrong_type("a whole number", problems);
            return None;
        };
        match number.as_i64() {
            Some(integer) if range.contains(&integer) => Some(integer),
            None if number.is_f64() => {
                self.wrong_type("a whole number", problems);
                None
            }
            _ => {
                let message = format!(
                    "{number} is not between {} and {}",
                    range.start(),
                    range.end()
                );
                problems.push(Diagnostic::error(
                    &code::OUT_OF_RANGE,
                    &self.pointer,
                    message,
                ));
                None
            }
        }
    }

    /// A number.
    pub fn number(&self, problems: &mut Problems) -> Option<f64> {
        match self.scalar(problems)? {
            Some(Value::Number(number)) => number.as_f64(),
            _ => {
                self.wrong_type("a number", problems);
                None
            }
        }
    }

    /// A truth value.
    pub fn boolean(&self, problems: &mut Problems) -> Option<bool> {
        match self.scalar(problems)? {
            Some(Value::Bool(boolean)) => Some(boolean),
            _ => {
                self.wrong_type("`true` or `false`", problems);
                None
            }
        }
    }

    /// The value of a scalar under the core schema; inside `None` for a collection.
    fn scalar(&self, problems: &mut Problems) -> Option<Option<Value>> {
        let NodeValue::Scalar { text, plain } = &self.node.value else {
            return Some(None);
        };
        if !plain {
            return Some(Some(Value::String(text.clone())));
        }
        match resolve(text) {
            Ok(value) => Some(Some(value)),
            Err(problem) => {
                let problem = Diagnostic::error(&code::NUMBER_NOT_EXACT, &self.pointer, problem);
                problems.push(problem.help("write it as a text in quotes"));
                None
            }
        }
    }

    /// Any value, as JSON. Problems do not stop it: what cannot be kept becomes null.
    pub fn json(&self, problems: &mut Problems) -> Value {
        match &self.node.value {
            NodeValue::Scalar { .. } => self.scalar(problems).flatten().unwrap_or_default(),
            NodeValue::List(_) => self.items().map(|item| item.json(problems)).collect(),
            NodeValue::Map(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), self.member(entry).json(problems)))
                .collect::<Map<_, _>>()
                .into(),
        }
    }

    fn member(&self, entry: &'a Entry) -> Self {
        Self {
            node: &entry.value,
            pointer: join_pointer(&self.pointer, &entry.key),
        }
    }

    fn items(&self) -> impl Iterator<Item = Self> + use<'a> {
        let items: &'a [Node] = match &self.node.value {
            NodeValue::List(items) => items,
            _ => &[],
        };
        let pointer = self.pointer.clone();
        items.iter().enumerate().map(move |(index, node)| Self {
            node,
            pointer: format!("{pointer}/{index}"),
        })
    }

    /// The items of a list of at most `max`.
    pub fn list(&self, max: usize, problems: &mut Problems) -> Option<Vec<Self>> {
        let NodeValue::List(items) = &self.node.value else {
            self.wrong_type("a list", problems);
            return None;
        };
        self.check_length(items.len(), max, problems)?;
        Some(self.items().collect())
    }

    /// The members of a mapping of at most `max` with free keys, in the order of the file.
    pub fn members(&self, max: usize, problems: &mut Problems) -> Option<Vec<(&'a str, Self)>> {
        let NodeValue::Map(entries) = &self.node.value else {
            self.wrong_type("a mapping", problems);
            return None;
        };
        self.check_length(entries.len(), max, problems)?;
        Some(
            entries
                .iter()
                .map(|entry| (entry.key.as_str(), self.member(entry)))
                .collect(),
        )
    }

    fn check_length(&self, length: usize, max: usize, problems: &mut Problems) -> Option<()> {
        if length <= max {
            return Some(());
        }
        let message = format!("there are {length} members; at most {max} are allowed");
        problems.push(Diagnostic::error(&code::TOO_LONG, &self.pointer, message));
        None
    }

    /// The members of a mapping whose keys are names of type `K`; a key that is none is refused.
    pub fn named<K: FromStr<Err: Display>>(
        &self,
        max: usize,
        problems: &mut Problems,
    ) -> Vec<(K, Self)> {
        let mut named = Vec::new();
        for (key, value) in self.members(max, problems).unwrap_or_default() {
            match key.parse::<K>() {
                Ok(name) => named.push((name, value)),
                Err(error) => {
                    let problem =
                        Diagnostic::error(&code::INVALID_NAME, value.pointer(), error.to_string());
                    problems.push(problem.at(Target::Key));
                }
            }
        }
        named
    }

    /// The fields of a mapping; refuses those that are neither `known` nor `unsupported`, the
    /// latter with their own code.
    pub fn fields(
        &self,
        known: &[&str],
        unsupported: Unsupported,
        problems: &mut Problems,
    ) -> Option<Fields<'a>> {
        let NodeValue::Map(entries) = &self.node.value else {
            self.wrong_type("a mapping", problems);
            return None;
        };
        for entry in entries
            .iter()
            .filter(|entry| !known.contains(&entry.key.as_str()))
        {
            if problems.is_full() {
                problems.count_error();
                continue;
            }
            let pointer = join_pointer(&self.pointer, &entry.key);
            let shown: String = entry.key.chars().take(80).collect();
            let shown = shown.escape_debug();
            if unsupported.names.contains(&entry.key.as_str()) {
                let message = format!("`{shown}` is not supported yet");
                let problem = Diagnostic::error(unsupported.code, pointer, message).at(Target::Key);
                problems.push(problem.help("remove it: nothing is accepted and then not obeyed"));
                continue;
            }
            let help = match nearest(&entry.key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the fields here are {}", known.join(", ")),
            };
            let problem = Diagnostic::error(
                &code::UNKNOWN_FIELD,
                pointer,
                format!("there is no field `{shown}` here"),
            );
            problems.push(problem.at(Target::Key).help(help));
        }
        Some(Fields {
            entries,
            pointer: self.pointer.clone(),
        })
    }
}

impl<'a> Fields<'a> {
    /// The value of a field, where it is given. A field with no value (`~`) counts as given.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<Cursor<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == name)?;
        Some(Cursor {
            node: &entry.value,
            pointer: join_pointer(&self.pointer, name),
        })
    }

    /// The value of a field that must be given.
    pub fn required(&self, name: &str, problems: &mut Problems) -> Option<Cursor<'a>> {
        let field = self.optional(name);
        if field.is_none() {
            let message = format!("the field `{name}` is missing");
            problems.push(Diagnostic::error(
                &code::MISSING_FIELD,
                &self.pointer,
                message,
            ));
        }
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn scalars_follow_the_core_schema() {
        for (text, value) in [
            ("yes", json!("yes")),
            ("no", json!("no")),
            ("on", json!("on")),
            ("12:30", json!("12:30")),
            ("1_000", json!("1_000")),
            ("0b1", json!("0b1")),
            ("1e", json!("1e")),
            (".", json!(".")),
            ("-", json!("-")),
            ("1.2.3", json!("1.2.3")),
            ("0x1F", json!(31)),
            ("0o17", json!(15)),
            ("017", json!(17)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("18446744073709551615", json!(u64::MAX)),
            ("+1", json!(1)),
            ("1.", json!(1.0)),
            (".5", json!(0.5)),
            ("-1e3", json!(-1000.0)),
            ("True", json!(true)),
            ("~", json!(null)),
        ] {
            assert_eq!(resolve(text), Ok(value), "{text}");
        }
        for text in [
            "18446744073709551616",
            "-9223372036854775809",
            "1e999",
            ".inf",
            "-.Inf",
            ".nan",
            "0xfffffffffffffffff",
        ] {
            assert!(resolve(text).is_err(), "{text}");
        }
    }
}
