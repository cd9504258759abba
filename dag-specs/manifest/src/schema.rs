//! JSON Schema, draft 2020-12, from people we do not trust. The only use of the validator.
//!
//! A schema is walked before the validator sees it: size, depth, references, patterns. `$ref`
//! stays inside the schema and never leads back to itself, so that validation ends; what all
//! references expand to is bounded, so that it ends soon; nothing is ever fetched. `format` is an
//! annotation and not checked, as the draft's default has it (Core, section 7.2.1).

use crate::canonical::canonical_json;
use crate::code::{self, Code};
use crate::diagnostic::{Diagnostic, Target, join_pointer};
use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt;

/// The largest schema, in bytes of its canonical JSON.
pub const MAX_SCHEMA_BYTES: usize = 64 << 10;
const MAX_DEPTH: usize = 32;
const MAX_PATTERNS: usize = 64;
const MAX_PATTERN_BYTES: usize = 256 << 10;
const MAX_REFERENCES: usize = 256;
const MAX_EXPANSION: usize = 100_000;
/// The most problems of one instance that are listed.
pub const MAX_INSTANCE_PROBLEMS: usize = 50;
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

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
    let mut walk = Walk {
        root: schema,
        pointer,
        patterns: 0,
        references: 0,
        problems: Vec::new(),
    };
    walk.run();
    if !walk.problems.is_empty() {
        return Err(walk.problems);
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

/// Keywords whose value is a schema.
const ONE: &[&str] = &[
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords whose value is a list of schemas.
const LIST: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords whose value is a mapping to schemas.
const MAP: &[&str] = &[
    "$defs",
    "definitions",
    "dependentSchemas",
    "patternProperties",
    "properties",
];
/// Keywords that would change what a reference means.
const REFUSED: &[&str] = &[
    "$id",
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveRef",
    "$recursiveAnchor",
];

struct Walk<'a> {
    root: &'a Value,
    pointer: &'a str,
    patterns: usize,
    references: usize,
    problems: Vec<Diagnostic>,
}

impl<'a> Walk<'a> {
    fn push(&mut self, code: &Code, place: &str, message: impl Into<String>) {
        // The same schema may be reached by its place and by a reference.
        let problem = Diagnostic::error(code, format!("{}{place}", self.pointer), message);
        if self.problems.len() < 20 && !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    fn run(&mut self) {
        if depth(self.root) > MAX_DEPTH {
            self.push(
                &code::SCHEMA_TOO_LARGE,
                "",
                "the schema has more than 32 levels",
            );
            return;
        }
        let length = canonical_json(self.root).len();
        if length > MAX_SCHEMA_BYTES {
            let message = format!(
                "the schema has {length} bytes; at most {MAX_SCHEMA_BYTES} (64 KiB) are allowed"
            );
            self.push(&code::SCHEMA_TOO_LARGE, "", message);
            return;
        }
        self.schema(self.root, "");
        if self.patterns > MAX_PATTERNS {
            self.push(
                &code::SCHEMA_TOO_LARGE,
                "",
                "the schema has more than 64 patterns",
            );
        }
        if self.references > MAX_REFERENCES {
            self.push(
                &code::SCHEMA_TOO_LARGE,
                "",
                "the schema has more than 256 references",
            );
        } else if self.problems.is_empty() {
            let mut sizes = HashMap::new();
            match self.expansion(self.root, &mut sizes) {
                Err(place) => {
                    self.push(
                        &code::SCHEMA_REFERENCE,
                        "",
                        format!(
                            "the reference `{}` leads back to itself",
                            place.escape_debug()
                        ),
                    );
                }
                Ok(size) if size > MAX_EXPANSION => {
                    self.push(
                        &code::SCHEMA_TOO_LARGE,
                        "",
                        "the schema's references expand to more than 100,000 schemas",
                    );
                }
                Ok(_) => {}
            }
        }
    }

    /// Checks one schema and those inside it.
    fn schema(&mut self, schema: &'a Value, place: &str) {
        let Some(keywords) = schema.as_object() else {
            if !schema.is_boolean() {
                self.push(
                    &code::INVALID_SCHEMA,
                    place,
                    "a schema is a mapping, `true` or `false`",
                );
            }
            return;
        };
        for keyword in REFUSED
            .iter()
            .filter(|keyword| keywords.contains_key(**keyword))
        {
            let here = join_pointer(place, keyword);
            self.push(
                &code::SCHEMA_REFERENCE,
                &here,
                format!("`{keyword}` is not available"),
            );
        }
        if let Some(draft) = keywords.get("$schema")
            && draft.as_str().map(|draft| draft.trim_end_matches('#')) != Some(DRAFT)
        {
            self.push(
                &code::SCHEMA_DRAFT,
                &join_pointer(place, "$schema"),
                "only draft 2020-12 is read",
            );
        }
        if let Some(reference) = keywords.get("$ref") {
            self.references += 1;
            if self.target(reference).is_none() {
                let message = "this reference does not point to a schema in the same document; write `#/$defs/<name>`";
                self.push(
                    &code::SCHEMA_REFERENCE,
                    &join_pointer(place, "$ref"),
                    message,
                );
            }
        }
        self.patterns += usize::from(keywords.contains_key("pattern"));
        self.patterns += keywords
            .get("patternProperties")
            .and_then(Value::as_object)
            .map_or(0, Map::len);
        for (place, schema) in children(keywords, place) {
            self.schema(schema, &place);
        }
    }

    /// What a reference points to: a part of this schema that is a schema itself.
    fn target(&self, reference: &Value) -> Option<&'a Value> {
        let pointer = reference.as_str()?.strip_prefix('#')?;
        let plain = pointer.is_empty()
            || pointer.starts_with("/$defs/")
            || pointer.starts_with("/properties/")
            || pointer.starts_with("/definitions/");
        let target = self.root.pointer(pointer)?;
        (plain && !pointer.contains('%') && (target.is_object() || target.is_boolean()))
            .then_some(target)
    }

    /// How many schemas a validator visits for one value at most, or the reference that leads
    /// back to itself. `sizes` has each schema by its address; `None` while it is being visited.
    fn expansion(
        &self,
        schema: &'a Value,
        sizes: &mut HashMap<*const Value, Option<usize>>,
    ) -> Result<usize, String> {
        let Some(keywords) = schema.as_object() else {
            return Ok(1);
        };
        let address = std::ptr::from_ref(schema);
        let reference = keywords.get("$ref");
        let shown = || reference.and_then(Value::as_str).unwrap_or("#").to_owned();
        match sizes.get(&address) {
            Some(Some(size)) => return Ok(*size),
            Some(None) => return Err(shown()),
            None => {}
        }
        sizes.insert(address, None);
        let mut size: usize = 1;
        for (_, child) in children(keywords, "") {
            size = size.saturating_add(self.expansion(child, sizes)?);
        }
        if let Some(target) = reference.and_then(|reference| self.target(reference)) {
            size = size.saturating_add(self.expansion(target, sizes).map_err(|_| shown())?);
        }
        sizes.insert(address, Some(size));
        Ok(size)
    }
}

/// The schemas directly inside a schema, with their places.
fn children<'a>(keywords: &'a Map<String, Value>, place: &str) -> Vec<(String, &'a Value)> {
    let mut found = Vec::new();
    for (keyword, value) in keywords {
        let here = join_pointer(place, keyword);
        match value {
            Value::Object(members) if MAP.contains(&keyword.as_str()) => {
                found.extend(
                    members
                        .iter()
                        .map(|(name, schema)| (join_pointer(&here, name), schema)),
                );
            }
            Value::Array(items) if LIST.contains(&keyword.as_str()) => {
                found.extend(
                    items
                        .iter()
                        .enumerate()
                        .map(|(index, schema)| (format!("{here}/{index}"), schema)),
                );
            }
            schema if ONE.contains(&keyword.as_str()) => found.push((here, schema)),
            _ => {}
        }
    }
    found
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// What is wrong with a value against a schema, as diagnostics under `code` at `pointer`.
#[must_use]
pub fn instance_diagnostics(
    problems: &InstanceProblems,
    code: &Code,
    pointer: &str,
) -> Vec<Diagnostic> {
    problems
        .list
        .iter()
        .map(|problem| {
            Diagnostic::error(
                code,
                format!("{pointer}{}", problem.pointer),
                problem.message.clone(),
            )
            .at(Target::Value)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn codes(schema: &Value) -> Vec<String> {
        match compile(schema, "/result") {
            Ok(_) => Vec::new(),
            Err(problems) => problems.into_iter().map(|problem| problem.code).collect(),
        }
    }

    #[test]
    fn hostile_schemas_are_refused() {
        let mut deep = json!({});
        for _ in 0..40 {
            deep = json!({ "items": deep });
        }
        let doubling: Map<_, _> = (0..40)
            .map(|n| {
                let next = json!({ "$ref": format!("#/$defs/d{}", n + 1) });
                (
                    format!("d{n}"),
                    if n == 39 {
                        json!({})
                    } else {
                        json!({ "allOf": [next, next] })
                    },
                )
            })
            .collect();
        let patterns: Map<_, _> = (0..65).map(|n| (format!("p{n}"), json!({}))).collect();
        for (schema, code) in [
            (json!(1), "BJ0030"),
            (json!({ "type": "strin" }), "BJ0030"),
            (json!({ "minimum": "x" }), "BJ0030"),
            (json!({ "properties": { "a": 3 } }), "BJ0030"),
            (deep, "BJ0031"),
            (json!({ "description": "x".repeat(70_000) }), "BJ0031"),
            (json!({ "patternProperties": patterns }), "BJ0031"),
            (json!({ "$defs": doubling, "$ref": "#/$defs/d0" }), "BJ0031"),
            (json!({ "$ref": "http://127.0.0.1:1/x" }), "BJ0032"),
            (json!({ "$ref": "file:///etc/passwd" }), "BJ0032"),
            (json!({ "$ref": "other.json" }), "BJ0032"),
            (json!({ "$ref": "#/$defs/none" }), "BJ0032"),
            (json!({ "$ref": "#" }), "BJ0032"),
            (json!({ "items": { "$ref": "#" } }), "BJ0032"),
            (
                json!({ "$defs": { "a": { "$ref": "#/$defs/b" }, "b": { "$ref": "#/$defs/a" } } }),
                "BJ0032",
            ),
            (json!({ "$id": "http://example.org/" }), "BJ0032"),
            (json!({ "items": { "$dynamicRef": "#x" } }), "BJ0032"),
            (
                json!({ "$schema": "http://json-schema.org/draft-07/schema#" }),
                "BJ0033",
            ),
            (json!({ "pattern": "(a)\\1" }), "BJ0034"),
            (json!({ "pattern": "(?=a)" }), "BJ0034"),
            (json!({ "pattern": "(" }), "BJ0034"),
            (json!({ "pattern": "((a{1000}){1000}){1000}" }), "BJ0034"),
        ] {
            assert_eq!(codes(&schema), [code], "{schema}");
        }
    }

    #[test]
    fn keywords_are_told_from_names_of_properties() {
        let schema = json!({ "properties": { "$id": {}, "pattern": {}, "$ref": {} }, "default": { "$ref": "x" } });
        assert_eq!(codes(&schema), Vec::<String>::new());
        let schema = json!({ "$defs": { "a": { "type": "string" } }, "properties": { "x": { "$ref": "#/$defs/a" }, "y": { "$ref": "#/$defs/a" } } });
        assert_eq!(codes(&schema), Vec::<String>::new());
    }

    #[test]
    fn every_problem_of_a_value_is_listed_without_quoting_it() {
        let schema = json!({ "type": "object", "required": ["a"], "properties": { "b": { "items": { "type": "integer" } } } });
        let compiled = compile(&schema, "").unwrap();
        let problems = compiled
            .validate(&json!({ "b": [1, "secret", 2.5] }))
            .unwrap_err();
        let mut places: Vec<_> = problems.list.iter().map(|p| p.pointer.as_str()).collect();
        places.sort_unstable();
        assert_eq!(places, ["", "/b/1", "/b/2"]);
        assert!(!problems.to_string().contains("secret"), "{problems}");
        let many = compiled
            .validate(&json!({ "a": 1, "b": vec!["x"; 100] }))
            .unwrap_err();
        assert_eq!((many.list.len(), many.more), (50, true));
        compiled
            .validate(&json!({ "a": null, "b": [1.0] }))
            .unwrap();
    }

    #[test]
    fn defaults_fill_what_is_missing() {
        let schema = json!({ "type": "object", "required": ["c"], "properties": { "a": { "default": 1 }, "b": { "default": 2 }, "c": {} } });
        compile_params(&schema, "").unwrap();
        let mut value = json!({ "b": null });
        apply_defaults(&schema, &mut value);
        assert_eq!(value, json!({ "a": 1, "b": null }));
        let wrong =
            json!({ "type": "object", "properties": { "a": { "type": "string", "default": 1 } } });
        assert_eq!(
            compile_params(&wrong, "/params").unwrap_err()[0].pointer,
            "/params/properties/a/default"
        );
        assert_eq!(
            compile_params(&json!({}), "/params").unwrap_err()[0].code,
            "BJ0035"
        );
    }
}
