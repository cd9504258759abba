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
