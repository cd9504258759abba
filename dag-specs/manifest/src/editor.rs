//! JSON Schemas for editors, generated from the types.

use schemars::JsonSchema;
use serde_json::{Map, Value};

/// The JSON Schema (draft 2020-12) of what an author may write for `T`.
///
/// Different from what serde reads: an optional field is left out and never null, and the width of
/// an integer is no business of an author's.
#[must_use]
pub fn editor_schema<T: JsonSchema>() -> Value {
    let mut schema = schemars::SchemaGenerator::default()
        .into_root_schema_for::<T>()
        .to_value();
    simplify(&mut schema);
    schema
}

fn simplify(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(simplify);
            without_null(members);
            let is_width =
                |format: &Value| format.as_str().is_some_and(|format| format.contains("int"));
            if members.get("format").is_some_and(is_width) {
                members.remove("format");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(simplify),
        _ => {}
    }
}

/// Takes null out of a schema's types and alternatives; a single one left takes their place.
fn without_null(members: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = members.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            members.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(alternatives)) = members.get_mut("anyOf") {
        alternatives.retain(|schema| schema.get("type") != Some(&Value::from("null")));
        if let [Value::Object(only)] = alternatives.as_slice() {
            let only = only.clone();
            members.remove("anyOf");
            members.extend(only);
        }
    }
}
