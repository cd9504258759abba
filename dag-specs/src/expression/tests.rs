use super::*;
use serde_json::json;

fn context() -> Context {
    Context::new(json!({
        "zone": "Europe/Prague", "n": 3, "big": 9_223_372_036_854_775_807_u64, "half": 0.5, "on": true, "none": null,
        "list": ["a", "b"], "map": { "k": "v" },
    }))
    .unwrap()
}

fn fill_one(text: &str) -> Result<Value, String> {
    evaluate_value(&json!(text), &context(), "/p").map_err(|problems| problems[0].message.clone())
}

#[test]
fn failing_expressions_say_why() {
    for text in [
        "${{ params.absent }}",
        "${{ params.n / 0 }}",
        "${{ params.zone + 1 }}",
        "${{ params.list[7] }}",
        "${{ params.big + 1 }}",
        "${{ 1.0 / 0.0 }}",
        "${{ {1: 2} }}",
        "a ${{ params.list }}",
        "a ${{ params.none }}",
        "${{ int('x') }}",
        "${{ run.id }}",
        "${{ params.zone.matches('a') }}",
        "${{",
        "${{ }}",
        "${{ 1 + }}",
    ] {
        let error = fill_one(text).unwrap_err();
        assert!(!error.is_empty(), "{text}");
    }
}

#[test]
fn a_whole_text_keeps_its_type_and_a_part_becomes_text() {
    for (text, value) in [
        ("plain", json!("plain")),
        ("${{ params.zone }}", json!("Europe/Prague")),
        ("  ${{ params.n }}", json!("  3")),
        ("${{ params.n }}", json!(3)),
        ("${{ params.big }}", json!(9_223_372_036_854_775_807_u64)),
        ("${{ params.half }}", json!(0.5)),
        ("${{ params.none }}", json!(null)),
        ("${{ params.list }}", json!(["a", "b"])),
        ("${{ params.map }}", json!({ "k": "v" })),
        ("${{ {'a': {'b': 1}} }}", json!({ "a": { "b": 1 } })),
        ("${{ '}}' }}", json!("}}")),
        (
            "n=${{ params.n }}, on=${{params.on}}.",
            json!("n=3, on=true."),
        ),
        ("$${{ params.n }}", json!("${{ params.n }}")),
        ("${{ params.n > 2 ? 'many' : 'few' }}", json!("many")),
        ("${{ params.list.map(x, x + '!') }}", json!(["a!", "b!"])),
        ("${{ params.list.exists(x, x == 'b') }}", json!(true)),
        (
            "${{ has(params.absent) ? params.absent : 'd' }}",
            json!("d"),
        ),
        ("${{ size(params.list) }}", json!(2)),
        ("${{ 'é' + params.zone }}", json!("éEurope/Prague")),
    ] {
        assert_eq!(fill_one(text), Ok(value), "{text}");
    }
}

#[test]
fn hostile_expressions_end_soon() {
    let items: Vec<_> = (0..2_000).map(|n| format!("item {n}")).collect();
    let context = Context::new(json!({ "list": items, "text": "x".repeat(20_000) })).unwrap();
    for expression in [
        // Each element becomes a copy of everything.
        "params.list.map(x, params)".to_owned(),
        "params.list.map(x, params.list)".to_owned(),
        "params.list.map(x, [x,x,x,x,x,x,x,x]).map(x, [x,x,x,x,x,x,x,x]).map(x, [x,x,x,x,x,x,x,x])".to_owned(),
        "params.list.map(x, params.list.map(y, y))".to_owned(),
        "[1,2,3,4,5,6,7,8].map(a, [1,2,3,4,5,6,7,8].map(b, [1,2,3,4,5,6,7,8].map(c, [1,2,3,4,5,6,7,8].map(d, [1,2,3,4,5,6,7,8].map(e, [1,2,3,4,5,6,7,8].map(f, [1,2,3,4,5,6,7,8]))))))".to_owned(),
        format!("params.text{}", " + params.text".repeat(120)),
        format!("{}1{}", "(".repeat(2_000), ")".repeat(2_000)),
        format!("{}true", "!".repeat(4_000)),
        format!("{}1", "-".repeat(4_000)),
        format!("params{}", ".a".repeat(2_000)),
        format!("1{}", "+1".repeat(2_000)),
        format!("{}1", "1 in ".repeat(800)),
        format!("true{}", "?true:true".repeat(400)),
        "[".repeat(4_000),
        "'".repeat(4_000),
        "x".repeat(5_000),
    ] {
        assert!(evaluate(&expression, &context).is_err(), "{}", &expression[..expression.len().min(80)]);
    }
    assert!(Context::new(json!("x".repeat(70_000))).is_err());
    let costly = evaluate("params.list.map(x, params)", &context);
    assert_eq!(costly, Err(ExpressionError::TooExpensive));
    // Each alone is let through, a run of them is not.
    let heavy = json!(vec![
        "${{ size(params.list.map(x, x + params.text)) }}";
        200
    ]);
    let small = Context::new(json!({ "list": vec!["a"; 30], "text": "x".repeat(20_000) })).unwrap();
    assert_eq!(
        evaluate("size(params.list.map(x, x + params.text))", &small),
        Ok(json!(30))
    );
    assert!(evaluate_value(&heavy, &small, "").is_err());
    // What people write over as much data is let through.
    let usual = "params.list.filter(x, x != 'item 7').map(x, x + '!').exists(x, x == 'item 8!')";
    assert_eq!(evaluate(usual, &context), Ok(json!(true)));
}

#[test]
fn what_is_within_the_limits_fits_a_small_stack() {
    // Tokio's blocking threads have 2 MiB; the deepest expressions that pass must fit with room.
    let deep = [
        format!("1{}", "+1".repeat(255)),
        format!("{}1{}", "(".repeat(32), ")".repeat(32)),
        format!("{}true", "!".repeat(256)),
        format!("{}{}", "[".repeat(32), "]".repeat(32)),
    ];
    let run = move || {
        deep.iter()
            .map(|text| evaluate(text, &context()))
            .collect::<Vec<_>>()
    };
    let results = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(run)
        .unwrap()
        .join()
        .unwrap();
    assert_eq!(results[0], Ok(json!(256)));
    assert_eq!(results[1], Ok(json!(1)));
}
