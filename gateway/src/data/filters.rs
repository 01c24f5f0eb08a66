//! What of a query's conditions a segment can be passed over by: times, keys, tenants. What is left out here the engine
//! still looks at, so it may say less than the conditions do, and never more.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use datafusion::{
    common::ScalarValue,
    logical_expr::{BinaryExpr, Expr, Operator, expr::InList},
};
use progress_service::objects::segment::{Filter, Key, Span};
use uuid::Uuid;

/// The part of a query that reading selectively knows.
#[derive(Clone, Debug)]
pub struct Narrow {
    pub filter: Filter,
    pub span: Span,
    /// Where given, only of these.
    pub tenants: Option<HashSet<Uuid>>,
}

impl Narrow {
    pub fn by(conditions: &[Expr]) -> Self {
        let span = Span { ascending: true, since: None, until: None, limit: usize::MAX, bytes: usize::MAX };
        let mut narrow = Self { filter: Filter::default(), span, tenants: None };
        for condition in conditions {
            narrow.add(condition);
        }
        narrow
    }

    /// One of conditions that all have to hold.
    fn add(&mut self, condition: &Expr) {
        match condition {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
                self.add(left);
                self.add(right);
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, .. }) => {
                // Lists of a few elements come as a chain of comparisons.
                let mut keys = Vec::new();
                if let Some(column) = column_of_first(left)
                    && alternatives(condition, column, &mut keys)
                {
                    self.one_of(column, &keys);
                }
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
                if let (Expr::Column(column), Some(value)) = (bare(left), literal(right)) {
                    self.compare(&column.name, *op, value);
                } else if let (Some(value), Expr::Column(column), Some(op)) = (literal(left), bare(right), op.swap()) {
                    self.compare(&column.name, op, value);
                }
            }
            Expr::Between(between) if !between.negated => {
                if let Expr::Column(column) = bare(&between.expr) {
                    for (op, bound) in [(Operator::GtEq, &between.low), (Operator::LtEq, &between.high)] {
                        if let Some(value) = literal(bound) {
                            self.compare(&column.name, op, value);
                        }
                    }
                }
            }
            Expr::InList(InList { expr, list, negated: false }) => {
                let keys: Option<Vec<Uuid>> = list.iter().map(|value| key(literal(value)?)).collect();
                if let (Expr::Column(column), Some(keys)) = (bare(expr), keys) {
                    self.one_of(&column.name, &keys);
                }
            }
            _ => {}
        }
    }

    fn compare(&mut self, column: &str, op: Operator, value: &ScalarValue) {
        match (column, value) {
            ("stored", ScalarValue::TimestampMicrosecond(Some(micros), _)) => self.bound(op, *micros),
            (_, value) if op == Operator::Eq => {
                if let Some(key) = key(value) {
                    self.one_of(column, &[key]);
                }
            }
            _ => {}
        }
    }

    fn bound(&mut self, op: Operator, micros: i64) {
        // Beyond what is a time here nothing is stored.
        let Some(at) = DateTime::from_timestamp_micros(micros) else { return };
        let before = at.checked_sub_signed(TimeDelta::microseconds(1)).unwrap_or(at);
        match op {
            Operator::Gt => self.since(at),
            Operator::GtEq => self.since(before),
            Operator::Lt => self.until(before),
            Operator::LtEq => self.until(at),
            Operator::Eq => {
                self.since(before);
                self.until(at);
            }
            _ => {}
        }
    }

    fn since(&mut self, at: DateTime<Utc>) {
        self.span.since = Some(self.span.since.map_or(at, |since| since.max(at)));
    }

    fn until(&mut self, at: DateTime<Utc>) {
        self.span.until = Some(self.span.until.map_or(at, |until| until.min(at)));
    }

    fn one_of(&mut self, column: &str, keys: &[Uuid]) {
        if column == "tenant_id" {
            let keys: HashSet<Uuid> = keys.iter().copied().collect();
            self.tenants = Some(match self.tenants.take() {
                Some(before) => before.intersection(&keys).copied().collect(),
                None => keys,
            });
        } else if let Some(column) = key_column(column) {
            self.filter = std::mem::take(&mut self.filter).and_one_of(column, keys);
        }
    }
}

fn column_of_first(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, .. }) => column_of_first(left),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (bare(left), bare(right)) {
            (Expr::Column(column), _) | (_, Expr::Column(column)) => Some(&column.name),
            _ => None,
        },
        _ => None,
    }
}

/// Whether it says nothing but that the column is one of some keys.
fn alternatives(expr: &Expr, column: &str, keys: &mut Vec<Uuid>) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return false };
    match op {
        Operator::Or => alternatives(left, column, keys) && alternatives(right, column, keys),
        Operator::Eq => {
            let found = match (bare(left), bare(right)) {
                (Expr::Column(found), value) | (value, Expr::Column(found)) if found.name == column => literal(value),
                _ => None,
            };
            keys.extend(found.and_then(key));
            found.and_then(key).is_some()
        }
        _ => false,
    }
}

fn key_column(name: &str) -> Option<Key> {
    match name {
        "id" => Some(Key::Id),
        "verb_key" => Some(Key::Verb),
        "agent_key" => Some(Key::Agent),
        "activity_key" => Some(Key::Activity),
        "registration_key" => Some(Key::Registration),
        "refers_to" => Some(Key::RefersTo),
        _ => None,
    }
}

fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => bare(&alias.expr),
        expr => expr,
    }
}

fn literal(expr: &Expr) -> Option<&ScalarValue> {
    match bare(expr) {
        Expr::Literal(value, _) => Some(value),
        _ => None,
    }
}

fn key(value: &ScalarValue) -> Option<Uuid> {
    Uuid::try_parse(value.try_as_str()??).ok()
}

#[cfg(test)]
mod tests {
    use datafusion::prelude::{col, lit};

    use super::*;

    fn moment(text: &str) -> Expr {
        let at: DateTime<Utc> = text.parse().unwrap();
        lit(ScalarValue::TimestampMicrosecond(Some(at.timestamp_micros()), Some("UTC".into())))
    }

    #[test]
    fn times_and_keys_are_read_out_of_conditions() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let narrow = Narrow::by(&[
            col("stored").gt_eq(moment("2026-03-02T00:00:00Z")).and(moment("2026-03-05T00:00:00Z").gt(col("stored"))),
            col("verb_key").in_list(vec![lit(a.to_string()), lit(b.to_string())], false),
            col("tenant_id").eq(lit(a.to_string())),
            col("agent_key").eq(lit(a.to_string())).or(col("agent_key").eq(lit(b.to_string()))),
        ]);
        assert_eq!(narrow.span.since, "2026-03-01T23:59:59.999999Z".parse().ok());
        assert_eq!(narrow.span.until, "2026-03-04T23:59:59.999999Z".parse().ok());
        assert_eq!(narrow.tenants, Some(HashSet::from([a])));
        let asked: Vec<_> = narrow.filter.conditions.iter().map(|one| (one.column, one.keys.len())).collect();
        assert_eq!(asked, [(Key::Verb, 2), (Key::Agent, 2)]);
    }

    #[test]
    fn what_is_not_understood_narrows_nothing() {
        let a = Uuid::from_u128(1).to_string();
        let narrow = Narrow::by(&[
            col("id").eq(lit(a.clone())).or(col("verb_key").eq(lit(a.clone()))),
            col("id").not_eq(lit(a.clone())),
            col("id").in_list(vec![lit(a)], true),
            col("voiding").is_true(),
            col("stored").not_eq(moment("2026-03-02T00:00:00Z")),
        ]);
        assert!(narrow.filter.conditions.is_empty() && narrow.tenants.is_none());
        assert!(narrow.span.since.is_none() && narrow.span.until.is_none());
    }
}
