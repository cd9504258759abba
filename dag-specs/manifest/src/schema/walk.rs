//! A schema as a tree: its size, its references and its patterns, before the validator sees it.

use super::MAX_SCHEMA_BYTES;
use crate::canonical::canonical_json;
use crate::code::{self, Code};
use crate::diagnostic::{Diagnostic, join_pointer};
use serde_json::{Map, Value};
use std::collections::HashMap;

const MAX_DEPTH: usize = 32;
const MAX_PATTERNS: usize = 64;
const MAX_REFERENCES: usize = 256;
const MAX_EXPANSION: usize = 100_000;
const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

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

pub(super) struct Walk<'a> {
    root: &'a Value,
    pointer: &'a str,
    patterns: usize,
    references: usize,
    problems: Vec<Diagnostic>,
}

impl<'a> Walk<'a> {
    /// What keeps `schema`, which stands at `pointer`, from being compiled.
    pub fn problems(schema: &'a Value, pointer: &'a str) -> Vec<Diagnostic> {
        let mut walk = Walk {
            root: schema,
            pointer,
            patterns: 0,
            references: 0,
            problems: Vec::new(),
        };
        walk.run();
        walk.problems
    }

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
