//! What can be said about an expression without evaluating it.

use super::MAX_EXPRESSION;
use crate::code;
use belljar_manifest::code::Code;
use belljar_manifest::diagnostic::nearest;
use cel::common::ast::{EntryExpr, Expr};
use cel::{IdedExpr, Program};
use serde_json::Value;
use std::ops::Range;

/// What is wrong with an expression.
pub(super) struct Problem {
    pub code: &'static Code,
    pub message: String,
    pub help: Option<String>,
    /// Which bytes of the expression.
    pub at: Range<usize>,
}

const MAX_OPERATORS: usize = 256;
const MAX_BRACKETS: usize = 32;

/// Functions that may be called; the operators have names of signs.
const FUNCTIONS: &[&str] = &[
    "contains",
    "double",
    "endsWith",
    "int",
    "size",
    "startsWith",
    "string",
    "uint",
];
/// What operators are called in the tree.
const OPERATORS: &[&str] = &[
    "_?_:_",
    "_&&_",
    "_||_",
    "!_",
    "_-_",
    "_+_",
    "_*_",
    "_/_",
    "_%_",
    "_==_",
    "_!=_",
    "_>=_",
    "_<=_",
    "_>_",
    "_<_",
    "-_",
    "_[_]",
    "@in",
    "@not_strictly_false",
];
/// The roots that exist.
const VARIABLES: &[&str] = &["params"];

/// Reads an expression and checks all that holds for any parameters. `params` is the DAG's
/// parameter schema, where it is known: inside `None` where the DAG declares no parameters.
pub(super) fn compile(text: &str, params: Option<Option<&Value>>) -> Result<Program, Problem> {
    check_size(text)?;
    let program = Program::compile(text).map_err(|errors| syntax_problem(text, &errors))?;
    let walk = Walk {
        text,
        program: &program,
        params,
    };
    walk.expression(program.expression(), &mut Vec::new(), false)?;
    Ok(program)
}

fn too_large(text: &str, message: String) -> Problem {
    Problem {
        code: &code::EXPRESSION_TOO_LARGE,
        message,
        help: None,
        at: 0..text.len(),
    }
}

/// Bounds the expression before the parser, which recurses, sees it.
fn check_size(text: &str) -> Result<(), Problem> {
    if text.len() > MAX_EXPRESSION {
        let message = format!(
            "the expression has {} bytes; at most {MAX_EXPRESSION} are allowed",
            text.len()
        );
        return Err(too_large(text, message));
    }
    let (mut depth, mut operators) = (0_usize, 0_usize);
    // Quotes are not looked at: a text full of operators is refused too, which errs on the safe side.
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        operators += usize::from(b"([{.?:+-*/%!<>=&|,".contains(&byte));
        if depth > MAX_BRACKETS {
            return Err(too_large(
                text,
                format!("the expression has more than {MAX_BRACKETS} levels of brackets"),
            ));
        }
    }
    // `a in b in c …` has no sign.
    operators += text
        .split_ascii_whitespace()
        .filter(|word| *word == "in")
        .count();
    if operators > MAX_OPERATORS {
        let message = format!(
            "the expression has {operators} operators and separators; at most {MAX_OPERATORS} are allowed"
        );
        return Err(too_large(text, message));
    }
    Ok(())
}

fn syntax_problem(text: &str, errors: &cel::ParseErrors) -> Problem {
    let (message, position) = match errors.errors.first() {
        Some(error) => (error.msg.clone(), error.pos),
        None => ("it cannot be parsed".to_owned(), (1, 1)),
    };
    let line = usize::try_from(position.0).unwrap_or(1).max(1);
    let column = usize::try_from(position.1).unwrap_or(1).max(1);
    let line_start: usize = text
        .split_inclusive('\n')
        .take(line - 1)
        .map(str::len)
        .sum();
    let rest = text.get(line_start..).unwrap_or_default();
    let start = line_start
        + rest
            .char_indices()
            .nth(column - 1)
            .map_or(rest.len(), |(at, _)| at);
    let length = text
        .get(start..)
        .and_then(|rest| rest.chars().next())
        .map_or(0, char::len_utf8);
    let at = if length == 0 {
        0..text.len()
    } else {
        start..start + length
    };
    let message = plain_syntax_message(&message);
    Problem {
        code: &code::EXPRESSION_SYNTAX,
        message,
        help: None,
        at,
    }
}

/// The parser's message without its list of all tokens that could have stood there.
fn plain_syntax_message(message: &str) -> String {
    let message = message.split('\n').next().unwrap_or_default();
    let quoted = message
        .split_once(" '")
        .and_then(|(_, rest)| rest.split_once('\''));
    match quoted {
        Some(("<EOF>", _)) => "the expression ends too early".to_owned(),
        Some((token, _)) if message.contains(" input '") => {
            format!("`{token}` is not expected here")
        }
        _ if message.len() > 200 => "this is not CEL".to_owned(),
        _ => format!("this is not CEL: {message}"),
    }
}

struct Walk<'a> {
    text: &'a str,
    program: &'a Program,
    params: Option<Option<&'a Value>>,
}

impl Walk<'_> {
    /// The bytes of `expr` in the text. The parser gives calls and selections the place of their
    /// bracket or dot; here they start at their function's name and end after their field.
    fn place(&self, expr: &IdedExpr) -> Range<usize> {
        let Some((start, stop)) = self.program.source_info().offset_for(expr.id) else {
            return 0..self.text.len();
        };
        // Offsets count characters; the end is inclusive.
        let byte = |at: u32| self.text.char_indices().nth(at as usize);
        let (Some((start, first)), last) = (byte(start), byte(stop)) else {
            return 0..self.text.len();
        };
        let end = last
            .map_or(start, |(at, c)| at + c.len_utf8())
            .max(start + first.len_utf8());
        match &expr.expr {
            Expr::Select(select)
                if self.text[start..]
                    .strip_prefix('.')
                    .is_some_and(|rest| rest.starts_with(&select.field)) =>
            {
                self.place(&select.operand).start.min(start)..start + 1 + select.field.len()
            }
            Expr::Call(call) if self.text[..start].ends_with(&call.func_name) => {
                start - call.func_name.len()..start
            }
            _ => start..end,
        }
    }

    fn refuse<T>(
        &self,
        expr: &IdedExpr,
        code: &'static Code,
        message: String,
    ) -> Result<T, Problem> {
        Err(Problem {
            code,
            message,
            help: None,
            at: self.place(expr),
        })
    }

    /// Checks `expr`; `scope` has the variables of macros, `in_macro` whether it is in the body
    /// of one.
    fn expression(
        &self,
        expr: &IdedExpr,
        scope: &mut Vec<String>,
        in_macro: bool,
    ) -> Result<(), Problem> {
        match &expr.expr {
            Expr::Ident(name) => self.variable(expr, name, scope),
            Expr::Select(select) => {
                if let Expr::Ident(root) = &select.operand.expr
                    && root == "params"
                    && !scope.contains(root)
                {
                    return self.parameter(expr, &select.field);
                }
                self.expression(&select.operand, scope, in_macro)
            }
            Expr::Call(call) => {
                let name = call.func_name.as_str();
                if !FUNCTIONS.contains(&name) && !OPERATORS.contains(&name) {
                    return self.refuse(
                        expr,
                        &code::EXPRESSION_NOT_ALLOWED,
                        format!("there is no function `{name}` here"),
                    );
                }
                let target = call.target.iter().map(Box::as_ref);
                target
                    .chain(&call.args)
                    .try_for_each(|arg| self.expression(arg, scope, in_macro))
            }
            Expr::List(list) => list
                .elements
                .iter()
                .try_for_each(|item| self.expression(item, scope, in_macro)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| match &entry.expr {
                EntryExpr::MapEntry(entry) => {
                    self.expression(&entry.key, scope, in_macro)?;
                    self.expression(&entry.value, scope, in_macro)
                }
                EntryExpr::StructField(_) => self.refuse(
                    expr,
                    &code::EXPRESSION_NOT_ALLOWED,
                    "messages are not available".to_owned(),
                ),
            }),
            Expr::Comprehension(inner) => {
                if in_macro && !matches!(inner.iter_range.expr, Expr::List(_)) {
                    let message =
                        "a macro inside another may only run over a list that is written out"
                            .to_owned();
                    return self.refuse(&inner.iter_range, &code::EXPRESSION_NOT_ALLOWED, message);
                }
                self.expression(&inner.iter_range, scope, in_macro)?;
                self.expression(&inner.accu_init, scope, in_macro)?;
                let outside = scope.len();
                scope.extend([inner.iter_var.clone(), inner.accu_var.clone()]);
                scope.extend(inner.iter_var2.clone());
                let inside = [&inner.loop_cond, &inner.loop_step, &inner.result];
                let checked = inside
                    .into_iter()
                    .try_for_each(|part| self.expression(part, scope, true));
                scope.truncate(outside);
                checked
            }
            Expr::Literal(cel::common::ast::LiteralValue::Bytes(_)) => self.refuse(
                expr,
                &code::EXPRESSION_NOT_ALLOWED,
                "bytes are not available".to_owned(),
            ),
            Expr::Literal(_) => Ok(()),
            Expr::Struct(_) | Expr::Unspecified => self.refuse(
                expr,
                &code::EXPRESSION_NOT_ALLOWED,
                "messages are not available".to_owned(),
            ),
        }
    }

    fn variable(&self, expr: &IdedExpr, name: &str, scope: &[String]) -> Result<(), Problem> {
        if scope.iter().any(|own| own == name) || VARIABLES.contains(&name) {
            return Ok(());
        }
        let message = format!("there is no variable `{}`", name.escape_debug());
        let help = match nearest(name, VARIABLES.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "the parameters of the run are `params.<name>`".to_owned(),
        };
        Err(Problem {
            code: &code::UNKNOWN_VARIABLE,
            message,
            help: Some(help),
            at: self.place(expr),
        })
    }

    /// Checks that the DAG declares a parameter.
    fn parameter(&self, expr: &IdedExpr, name: &str) -> Result<(), Problem> {
        let Some(schema) = self.params else {
            return Ok(());
        };
        let properties = schema
            .and_then(|schema| schema.get("properties"))
            .and_then(Value::as_object);
        if properties.is_some_and(|properties| properties.contains_key(name)) {
            return Ok(());
        }
        let known: Vec<_> = properties
            .into_iter()
            .flatten()
            .map(|(name, _)| name.as_str())
            .collect();
        let help = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `params.{near}`?"),
            None => "declare it under `params`, `properties` at the top of the DAG".to_owned(),
        };
        let message = format!("the DAG declares no parameter `{}`", name.escape_debug());
        Err(Problem {
            code: &code::UNKNOWN_PARAMETER,
            message,
            help: Some(help),
            at: self.place(expr),
        })
    }
}
