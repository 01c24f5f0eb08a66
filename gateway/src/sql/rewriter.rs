//! What passes through a query with its rewriting: the parameters it came with, and the values that its placeholders stand for.

use datafusion::{
    common::ScalarValue,
    sql::sqlparser::ast::{Expr, Value, ValueWithSpan},
};

use super::{
    ast::{is_number, string, truth, unknown},
    literal,
};
use crate::{data::columns::Kind, fault::Fault};

pub struct Rewriter<'p> {
    /// Texts, as foreign tables send them.
    pub params: &'p [Option<String>],
    pub values: Vec<ScalarValue>,
}

/// An expression, or a text that becomes of the kind it is compared with.
pub enum Side {
    Typed(Expr, Kind),
    Said(Option<String>),
}

impl Rewriter<'_> {
    pub fn literal(&mut self, value: ValueWithSpan) -> Result<Side, Fault> {
        Ok(match value.value {
            Value::SingleQuotedString(text)
            | Value::EscapedStringLiteral(text)
            | Value::UnicodeStringLiteral(text)
            | Value::NationalStringLiteral(text) => Side::Said(Some(text)),
            Value::DollarQuotedString(text) => Side::Said(Some(text.value)),
            Value::Null => Side::Said(None),
            Value::Placeholder(number) => {
                let at = number.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
                let param = at.and_then(|at| self.params.get(at.checked_sub(1)?));
                let param = param.ok_or_else(|| Fault::new("42P02", format!("there is no parameter {number}")))?;
                Side::Said(param.clone())
            }
            Value::Boolean(holds) => Side::Typed(truth(holds), Kind::Bool),
            value @ Value::Number(..) => {
                let number = Expr::Value(value.into());
                if !is_number(&number) {
                    return Err(unknown(&number));
                }
                Side::Typed(number, Kind::Number)
            }
            value => return Err(unknown(&Expr::Value(value.into()))),
        })
    }

    /// A literal as a value of its kind.
    pub fn value(&mut self, kind: Kind, text: Option<String>) -> Result<Expr, Fault> {
        let Some(text) = text else {
            let null = ScalarValue::try_from(&kind.arrow())?;
            return Ok(self.bind(null));
        };
        Ok(match kind {
            Kind::Uuid | Kind::Text => string(literal::text_of(kind, &text)?),
            Kind::Bool => truth(literal::truth(&text)?),
            Kind::Moment => {
                let micros = literal::moment(&text)?;
                self.bind(ScalarValue::TimestampMicrosecond(Some(micros), Some("UTC".into())))
            }
            Kind::Number => {
                let number = text.trim().parse::<i64>();
                let number =
                    number.map_err(|_| Fault::new("22P02", format!("invalid input syntax for type bigint: {text:?}")));
                self.bind(ScalarValue::Int64(Some(number?)))
            }
        })
    }

    /// One placeholder for equal values: a group and what is selected of it stay the same expression.
    pub fn bind(&mut self, value: ScalarValue) -> Expr {
        let known = self.values.iter().position(|known| *known == value);
        let at = known.unwrap_or_else(|| {
            self.values.push(value);
            self.values.len() - 1
        });
        Expr::Value(Value::Placeholder(format!("${}", at + 1)).into())
    }
}
