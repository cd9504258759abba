//! JSON Schema, draft 2020-12, from people we do not trust. The only use of the validator.
//!
//! A schema is walked before the validator sees it: size, depth, references, patterns. `$ref`
//! stays inside the schema and never leads back to itself, so that validation ends; what all
//! references expand to is bounded, so that it ends soon; nothing is ever fetched. `format` is an
//! annotation and not checked, as the draft's default has it (Core, section 7.2.1).

mod walk;

use crate::code;
use crate::diagnostic::{Diagnostic, join_pointer};
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value};
use std::fmt;
use walk::Walk;

/// The largest schema, in bytes of its canonical JSON.
pub const MAX_SCHEMA_BYTES: usize = 64 << 10;
const MAX_PATTERN_BYTES: usize = 256 << 10;
/// The most problems of one instance that are listed.
pub const MAX_INSTANCE_PROBLEMS: usize = 50;

/// A schema that was checked and compiled.
#[derive(Debug, Clone)]
pub struct CompiledSchema {
    validator: Validator,
}

/// Why a value does not satisfy a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceProblem {
    /// JSON Pointer (RFC 6901) into the value.
    pub pointer: String,
    /// The keyword of the schema that is not satisfied, for example `required`.
    pub keyword: String,
    /// What is wrong there, at most 300 characters; never quotes the value itself.
    pub message: String,
}

/// All that keeps a value from satisfying a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct InstanceProblems {
    /// At most 50 of them.
    pub list: Vec<InstanceProblem>,
    /// Whether there are more.
    pub more: bool,
}

impl fmt::Display for InstanceProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            let place = if problem.pointer.is_empty() {
                "at the top"
            } else {
                &problem.pointer
            };
            write!(f, "{separator}{place}: {}", problem.message)?;
        }
        if self.more {
            f.write_str("; and more")
        } else {
            Ok(())
        }
    }
}

/// Checks and compiles `schema`.
///
/// # Errors
///
/// Every problem, with its pointer prefixed by `pointer`, the schema's own place: codes BJ0030 to
/// BJ0034.
pub fn compile(schema: &Value, pointer: &str) -> Result<CompiledSchema, Vec<Diagnostic>> {
    let problems = Walk::problems(schema, pointer);
    if !problems.is_empty() {
        return Err(problems);
    }
    let built = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .offline()
        .should_validate_formats(false)
        .with_pattern_options(
            PatternOptions::regex()
                .size_limit(MAX_PATTERN_BYTES)
                .dfa_size_limit(MAX_PATTERN_BYTES),
        )
        .build(schema);
    match built {
        Ok(validator) => Ok(CompiledSchema { validator }),
        Err(error) => Err(vec![not_a_schema(&error, pointer)]),
    }
}

fn not_a_schema(error: &jsonschema::ValidationError<'_>, pointer: &str) -> Diagnostic {
    let inside = error.instance_path().as_str();
    let place = format!("{pointer}{inside}");
    let text = error.to_string();
    if inside.ends_with("/pattern")
        || inside.contains("/patternProperties")
        || text.contains("regex")
    {
        let message = "this regular expression cannot be used";
        return Diagnostic::error(&code::SCHEMA_PATTERN, place, message).help(
            "it must be small and without back-references (`\\1`) and look-around (`(?=…)`)",
        );
    }
    if inside.ends_with("/type") {
        return Diagnostic::error(
            &code::INVALID_SCHEMA,
            place,
            "this is not a type of JSON Schema",
        )
        .help("the types are string, number, integer, boolean, object, array and null");
    }
    Diagnostic::error(
        &code::INVALID_SCHEMA,
        place,
        format!("this is not a JSON Schema: {text}"),
    )
}

impl CompiledSchema {
    /// Checks a value.
    ///
    /// # Errors
    ///
    /// What is wrong with it, up to 50 problems.
    pub fn validate(&self, instance: &Value) -> Result<(), InstanceProblems> {
        let mut list: Vec<_> = self
            .validator
            .iter_errors(instance)
            .take(MAX_INSTANCE_PROBLEMS + 1)
            .map(|error| InstanceProblem {
                pointer: error.instance_path().as_str().to_owned(),
                keyword: error.kind().keyword().to_owned(),
                message: error.masked().to_string().chars().take(300).collect(),
            })
            .collect();
        if list.is_empty() {
            return Ok(());
        }
        let more = list.len() > MAX_INSTANCE_PROBLEMS;
        list.truncate(MAX_INSTANCE_PROBLEMS);
        Err(InstanceProblems { list, more })
    }
}

/// Checks the schema of parameters: [`compile`], an object at the top, and each top-level default
/// valid against its own schema.
///
/// # Errors
///
/// Every problem, as for [`compile`], and BJ0035, BJ0036.
pub fn compile_params(schema: &Value, pointer: &str) -> Result<CompiledSchema, Vec<Diagnostic>> {
    let compiled = compile(schema, pointer)?;
    let mut problems = Vec::new();
    if schema.get("type") != Some(&Value::from("object")) {
        let problem = Diagnostic::error(
            &code::PARAMS_NOT_OBJECT,
            pointer,
            "the schema of parameters must say `type: object`",
        );
        problems.push(problem);
    }
    for (name, default) in defaults(schema) {
        // Defaults that refer elsewhere need the whole schema: validate an object with this alone
        // and look at the problems inside it.
        let instance = Value::from(Map::from_iter([(name.to_owned(), default.clone())]));
        let inside = join_pointer("", name);
        let wrong = compiled
            .validate(&instance)
            .err()
            .into_iter()
            .flat_map(|found| found.list);
        if let Some(first) = wrong.into_iter().find(|p| p.pointer.starts_with(&inside)) {
            let place = format!(
                "{}/default",
                join_pointer(&format!("{pointer}/properties"), name)
            );
            let message = format!(
                "the default of `{}` is not valid: {}",
                name.escape_debug(),
                first.message
            );
            problems.push(Diagnostic::error(&code::DEFAULT_NOT_VALID, place, message));
        }
    }
    if problems.is_empty() {
        Ok(compiled)
    } else {
        Err(problems)
    }
}

/// The top-level properties that have a default.
fn defaults(schema: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let properties = schema.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .filter_map(|(name, property)| Some((name.as_str(), property.get("default")?)))
}

/// Adds to `value`, an object, each top-level property of `schema` that it lacks and that has a
/// default. Anything else is left as it is.
pub fn apply_defaults(schema: &Value, value: &mut Value) {
    let Some(members) = value.as_object_mut() else {
        return;
    };
    for (name, default) in defaults(schema) {
        if !members.contains_key(name) {
            members.insert(name.to_owned(), default.clone());
        }
    }
}

#[cfg(test)]
mod tests;
