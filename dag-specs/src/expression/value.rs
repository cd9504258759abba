//! JSON to CEL and back.

use super::ExpressionError;
use cel::objects::Key;
use cel::{Context, Program};
use serde_json::{Map, Number, Value};
use std::collections::HashMap;
use std::sync::Arc;

/// The most bytes that a value may have as JSON.
const MAX_RESULT: usize = 256 << 10;

/// Evaluates a program whose cost was checked.
pub(super) fn execute(program: &Program, params: &Value) -> Result<Value, ExpressionError> {
    let mut context = Context::default();
    context.add_variable_from_value("params", to_cel(params));
    let result = program.execute(&context).map_err(|error| {
        let message: String = error.to_string().chars().take(300).collect();
        ExpressionError::Failed(message)
    })?;
    let mut budget = MAX_RESULT;
    from_cel(&result, &mut budget)
}

fn to_cel(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(boolean) => cel::Value::Bool(*boolean),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(integer), _) => cel::Value::Int(integer),
            (None, Some(integer)) => cel::Value::UInt(integer),
            (None, None) => cel::Value::Float(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(members) => {
            let members: HashMap<_, _> = members
                .iter()
                .map(|(key, value)| (Key::String(Arc::new(key.clone())), to_cel(value)))
                .collect();
            cel::Value::Map(members.into())
        }
    }
}

fn charge(budget: &mut usize, bytes: usize) -> Result<(), ExpressionError> {
    *budget = budget
        .checked_sub(bytes)
        .ok_or(ExpressionError::TooExpensive)?;
    Ok(())
}

fn from_cel(value: &cel::Value, budget: &mut usize) -> Result<Value, ExpressionError> {
    charge(budget, 8)?;
    Ok(match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(boolean) => Value::Bool(*boolean),
        cel::Value::Int(integer) => Value::from(*integer),
        cel::Value::UInt(integer) => Value::from(*integer),
        cel::Value::Float(double) => {
            let number = Number::from_f64(*double);
            let number = number.ok_or_else(|| {
                ExpressionError::NotUsable("the value is not a finite number".to_owned())
            })?;
            Value::Number(number)
        }
        cel::Value::String(text) => {
            charge(budget, text.len())?;
            Value::String(text.to_string())
        }
        cel::Value::List(items) => items
            .iter()
            .map(|item| from_cel(item, budget))
            .collect::<Result<Vec<_>, _>>()?
            .into(),
        cel::Value::Map(members) => {
            let mut object = Map::new();
            for (key, value) in members.map.iter() {
                let Key::String(key) = key else {
                    return Err(ExpressionError::NotUsable(
                        "the keys of a map must be texts".to_owned(),
                    ));
                };
                charge(budget, key.len())?;
                object.insert(key.to_string(), from_cel(value, budget)?);
            }
            Value::Object(object)
        }
        _ => {
            return Err(ExpressionError::NotUsable(
                "the value has no form in JSON".to_owned(),
            ));
        }
    })
}

/// The form of a value inside a text.
pub(super) fn into_text(value: Value) -> Result<String, ExpressionError> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(ExpressionError::NotUsable(
            "only a text, a number or a truth value can stand inside a text; give the expression the whole text to itself"
                .to_owned(),
        )),
    }
}
