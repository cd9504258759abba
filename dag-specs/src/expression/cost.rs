//! An upper bound of the work that an expression does with given parameters.
//!
//! The interpreter copies lists and maps deeply and has no limit of its own, so the bound is
//! computed over the tree before it runs, in the manner of cel-go's cost estimation: every value
//! that a node can give is charged with its weight (32 for the node and the bytes of its text), a
//! macro charges its body once for each element.

use super::ExpressionError;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, LiteralValue};
use serde_json::Value;

/// The most that may be charged: some tens of milliseconds of work and as much memory as this
/// many bytes a few times over.
const LIMIT: u64 = 8 << 20;
/// The most that all expressions of a run may be charged together.
pub(super) const RUN_LIMIT: u64 = 128 << 20;
const NODE: u64 = 32;

/// What an expression is charged; refuses one that may do more work than the limit.
pub(super) fn check(expr: &IdedExpr, params: &Value) -> Result<u64, ExpressionError> {
    let mut cost = Cost {
        scope: vec![("params".to_owned(), Bound::known(params))],
        spent: 0,
    };
    cost.expression(expr);
    if cost.spent > LIMIT {
        Err(ExpressionError::TooExpensive)
    } else {
        Ok(cost.spent)
    }
}

fn weight(value: &Value) -> u64 {
    match value {
        Value::String(text) => NODE + text.len() as u64,
        Value::Array(items) => NODE + items.iter().map(weight).sum::<u64>(),
        Value::Object(members) => {
            NODE + members
                .iter()
                .map(|(key, value)| NODE + key.len() as u64 + weight(value))
                .sum::<u64>()
        }
        _ => NODE,
    }
}

/// What is known about the value of a node.
#[derive(Clone, Copy)]
struct Bound<'a> {
    /// It weighs no more.
    weight: u64,
    /// It has no more elements.
    items: u64,
    /// No element weighs more.
    heaviest: u64,
    /// The value itself, where it is a part of the parameters.
    value: Option<&'a Value>,
}

impl<'a> Bound<'a> {
    /// Nothing but the weight is known.
    const fn weighing(weight: u64) -> Self {
        Self {
            weight,
            items: weight / NODE,
            heaviest: weight,
            value: None,
        }
    }

    fn known(value: &'a Value) -> Self {
        let (items, heaviest) = match value {
            Value::Array(items) => (items.len(), items.iter().map(weight).max()),
            // A macro runs over the keys of a map, an index takes a value.
            Value::Object(members) => (
                members.len(),
                members
                    .iter()
                    .map(|(key, value)| weight(value).max(NODE + key.len() as u64))
                    .max(),
            ),
            _ => (0, None),
        };
        Self {
            weight: weight(value),
            items: items as u64,
            heaviest: heaviest.unwrap_or(NODE),
            value: Some(value),
        }
    }
}

struct Cost<'a> {
    scope: Vec<(String, Bound<'a>)>,
    spent: u64,
}

impl<'a> Cost<'a> {
    fn expression(&mut self, expr: &IdedExpr) -> Bound<'a> {
        let bound = match &expr.expr {
            Expr::Ident(name) => {
                let variable = self.scope.iter().rev().find(|(own, _)| own == name);
                variable.map_or(Bound::weighing(NODE), |(_, bound)| *bound)
            }
            Expr::Select(select) => {
                let operand = self.expression(&select.operand);
                match operand.value.and_then(|value| value.get(&select.field)) {
                    _ if select.test => Bound::weighing(NODE),
                    Some(member) => Bound::known(member),
                    None if operand.value.is_some() => Bound::weighing(NODE),
                    None => Bound::weighing(operand.heaviest),
                }
            }
            Expr::Call(call) => self.call(call),
            Expr::List(list) => self.collection(list.elements.iter(), 1),
            Expr::Map(map) => {
                let parts = map.entries.iter().flat_map(|entry| match &entry.expr {
                    EntryExpr::MapEntry(entry) => [&entry.key, &entry.value],
                    EntryExpr::StructField(field) => [&field.value, &field.value],
                });
                self.collection(parts, 2)
            }
            Expr::Literal(LiteralValue::String(text)) => {
                Bound::weighing(NODE + text.inner().len() as u64)
            }
            Expr::Comprehension(inner) => self.comprehension(inner),
            Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => Bound::weighing(NODE),
        };
        self.spent = self.spent.saturating_add(bound.weight);
        bound
    }

    fn collection<'e>(
        &mut self,
        parts: impl Iterator<Item = &'e IdedExpr>,
        parts_per_item: u64,
    ) -> Bound<'a> {
        let mut bound = Bound {
            weight: NODE,
            items: 0,
            heaviest: NODE,
            value: None,
        };
        for part in parts {
            let part = self.expression(part);
            bound.weight = bound.weight.saturating_add(part.weight);
            bound.heaviest = bound.heaviest.max(part.weight);
            bound.items += 1;
        }
        bound.items /= parts_per_item;
        bound
    }

    fn call(&mut self, call: &CallExpr) -> Bound<'a> {
        let target = call.target.iter().map(Box::as_ref);
        let args: Vec<_> = target
            .chain(&call.args)
            .map(|arg| self.expression(arg))
            .collect();
        let sum = |of: fn(&Bound<'a>) -> u64| args.iter().map(of).fold(0, u64::saturating_add);
        let heaviest = args.iter().map(|arg| arg.heaviest).max().unwrap_or(NODE);
        match call.func_name.as_str() {
            // Addition joins texts and lists; a condition gives one of its branches.
            "_+_" | "_?_:_" => Bound {
                weight: sum(|arg| arg.weight),
                items: sum(|arg| arg.items),
                heaviest,
                value: None,
            },
            "_[_]" => Bound::weighing(args.first().map_or(NODE, |list| list.heaviest)),
            "_&&_" | "_||_" => Bound {
                weight: sum(|arg| arg.weight),
                items: 0,
                heaviest: NODE,
                value: None,
            },
            // A double has at most 330 characters in decimal.
            "string" => Bound::weighing(sum(|arg| arg.weight).saturating_add(330)),
            _ => Bound::weighing(NODE),
        }
    }

    fn comprehension(&mut self, inner: &ComprehensionExpr) -> Bound<'a> {
        let range = self.expression(&inner.iter_range);
        let init = self.expression(&inner.accu_init);
        let outside = self.scope.len();
        let before = self.spent;
        self.scope
            .push((inner.iter_var.clone(), Bound::weighing(range.heaviest)));
        if let Some(second) = &inner.iter_var2 {
            self.scope
                .push((second.clone(), Bound::weighing(range.heaviest)));
        }
        // The accumulator is moved, not copied, in what the standard macros expand to.
        self.scope
            .push((inner.accu_var.clone(), Bound::weighing(NODE)));
        self.expression(&inner.loop_cond);
        let step = self.expression(&inner.loop_step);
        let body = self.spent - before;
        self.spent = before.saturating_add(body.saturating_mul(range.items));
        let weight = init
            .weight
            .saturating_add(step.weight.saturating_mul(range.items));
        let collected = Bound {
            weight,
            items: range.items,
            heaviest: step.weight,
            value: None,
        };
        self.scope.truncate(outside);
        self.scope.push((inner.accu_var.clone(), collected));
        self.expression(&inner.result);
        self.scope.truncate(outside);
        collected
    }
}
