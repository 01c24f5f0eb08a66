//! Queries by allow-list: their clauses, joins, orders and limits. Pure.

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, LimitClause, ObjectName, OrderBy,
    OrderByKind, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, TableAlias, TableFactor,
    TableSample, TableSampleKind, TableWithJoins,
};

use super::{
    ast::{both, is_number, last, sampled, truth},
    rewriter::Rewriter,
    scope::{Outputs, Scope, name},
};
use crate::{
    data::{
        columns::{COLUMNS, Kind},
        table::{SCHEMA, months_of},
    },
    fault::Fault,
};

impl Rewriter<'_> {
    pub fn query(&mut self, query: &mut Query, around: Option<&Scope<'_>>) -> Result<Outputs, Fault> {
        if !query.locks.is_empty() {
            return Err(Fault::read_only("FOR UPDATE or FOR SHARE"));
        }
        let odd = [
            (query.with.is_some(), "WITH"),
            (query.fetch.is_some(), "FETCH FIRST"),
            (query.for_clause.is_some() || query.settings.is_some() || query.format_clause.is_some(), "this clause"),
            (!query.pipe_operators.is_empty(), "pipes"),
        ];
        refuse(&odd)?;
        let mut scope = Scope::inside(around);
        let outputs = match query.body.as_mut() {
            SetExpr::Select(select) => self.select(select, &mut scope)?,
            SetExpr::Query(inner) if query.order_by.is_none() => self.query(inner, around)?,
            SetExpr::SetOperation { op, .. } => return Err(Fault::unsupported(op)),
            _ => return Err(Fault::unsupported("anything but SELECT")),
        };
        if let Some(order) = &mut query.order_by {
            self.order(order, &scope, &outputs)?;
        }
        if let Some(limit) = &mut query.limit_clause {
            self.limit(limit, &scope)?;
        }
        Ok(outputs)
    }

    fn select(&mut self, select: &mut Select, scope: &mut Scope<'_>) -> Result<Outputs, Fault> {
        if select.into.is_some() {
            return Err(Fault::read_only("SELECT INTO"));
        }
        let odd = [
            (select.top.is_some(), "TOP"),
            (select.exclude.is_some(), "EXCLUDE"),
            (!select.lateral_views.is_empty() || select.prewhere.is_some() || select.qualify.is_some(), "this clause"),
            (!select.connect_by.is_empty() || !select.cluster_by.is_empty(), "this clause"),
            (!select.distribute_by.is_empty() || !select.sort_by.is_empty(), "this clause"),
            (!select.named_window.is_empty(), "windows"),
            (select.value_table_mode.is_some(), "this clause"),
            (matches!(select.distinct, Some(Distinct::On(_))), "DISTINCT ON"),
        ];
        refuse(&odd)?;
        let mut samples = Vec::new();
        for table in &mut select.from {
            self.from(table, scope, &mut samples)?;
        }
        if let Some(condition) = select.selection.take() {
            select.selection = Some(self.typed(condition, Kind::Bool, scope)?);
        }
        for sample in samples {
            select.selection = Some(both(select.selection.take(), sample));
        }
        match &mut select.group_by {
            GroupByExpr::Expressions(each, modifiers) if modifiers.is_empty() => {
                for one in each {
                    self.key(one, scope)?;
                }
            }
            _ => return Err(Fault::unsupported("GROUP BY ALL, CUBE, ROLLUP and GROUPING SETS")),
        }
        if let Some(condition) = select.having.take() {
            select.having = Some(self.typed(condition, Kind::Bool, scope)?);
        }
        self.projection(&mut select.projection, scope)
    }

    /// What it gives. Wildcards are written out, and a name that comes twice is made another: the engine tells columns by
    /// their names.
    fn projection(&mut self, items: &mut Vec<SelectItem>, scope: &Scope<'_>) -> Result<Outputs, Fault> {
        let mut asked = Vec::new();
        for item in items.drain(..) {
            match item {
                SelectItem::UnnamedExpr(expr) => asked.push((expr, None)),
                SelectItem::ExprWithAlias { expr, alias } => asked.push((expr, Some(alias))),
                SelectItem::Wildcard(_) => {
                    asked.extend(scope.written_out(None)?.into_iter().map(|column| (column, None)));
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(table), _) => {
                    let columns = scope.written_out(last(&table).as_deref())?;
                    asked.extend(columns.into_iter().map(|column| (column, None)));
                }
                other => return Err(Fault::unsupported(other)),
            }
        }
        let mut outputs = Outputs::new();
        for (expr, alias) in asked {
            let plain = match (&alias, &expr) {
                (Some(alias), _) => Some(name(alias)),
                (None, Expr::Identifier(column)) => Some(name(column)),
                (None, Expr::CompoundIdentifier(parts)) => parts.last().map(name),
                (None, Expr::Function(function)) => last(&function.name),
                _ => None,
            };
            let plain = plain.unwrap_or_else(|| "?column?".to_owned());
            let (expr, kind) = self.any(expr, scope)?;
            let twice = outputs.iter().any(|(name, _)| *name == plain);
            let is_column = matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            items.push(match alias {
                Some(alias) if !twice => SelectItem::ExprWithAlias { expr, alias },
                None if is_column && !twice => SelectItem::UnnamedExpr(expr),
                _ => {
                    let alias = Ident::with_quote('"', format!("{plain} {}", outputs.len() + 1));
                    SelectItem::ExprWithAlias { expr, alias }
                }
            });
            outputs.push((plain, kind));
        }
        Ok(outputs)
    }

    fn from(
        &mut self,
        table: &mut TableWithJoins,
        scope: &mut Scope<'_>,
        samples: &mut Vec<Expr>,
    ) -> Result<(), Fault> {
        self.factor(&mut table.relation, scope, samples)?;
        for Join { relation, join_operator, global } in &mut table.joins {
            refuse(&[(*global, "GLOBAL JOIN")])?;
            self.factor(relation, scope, samples)?;
            match join_operator {
                JoinOperator::CrossJoin(JoinConstraint::None) => {}
                JoinOperator::Join(on)
                | JoinOperator::Inner(on)
                | JoinOperator::Left(on)
                | JoinOperator::LeftOuter(on)
                | JoinOperator::Right(on)
                | JoinOperator::RightOuter(on)
                | JoinOperator::FullOuter(on) => {
                    let JoinConstraint::On(condition) = on else {
                        return Err(Fault::unsupported("JOIN other than ON a condition"));
                    };
                    let asked = std::mem::replace(condition, truth(true));
                    *condition = self.typed(asked, Kind::Bool, scope)?;
                }
                _ => return Err(Fault::unsupported("this kind of JOIN")),
            }
        }
        Ok(())
    }

    fn factor(
        &mut self,
        factor: &mut TableFactor,
        scope: &mut Scope<'_>,
        samples: &mut Vec<Expr>,
    ) -> Result<(), Fault> {
        match factor {
            TableFactor::Table { name: table, alias, args: None, version: None, json_path: None, sample, .. } => {
                let spelt = table_name(table)?;
                let called = alias.as_ref().map_or_else(|| spelt.clone(), |alias| name(&alias.name));
                if let Some(sample) = sample.take() {
                    samples.push(self.sample(&called, &sample)?);
                }
                let columns = COLUMNS.iter().map(|(name, kind, _)| ((*name).to_owned(), *kind)).collect();
                scope.add(&called, renamed(columns, alias.as_ref())?);
            }
            TableFactor::Derived { lateral: false, subquery, alias, sample: None } => {
                let columns = self.query(subquery, None)?;
                let called = alias.as_ref().map(|alias| name(&alias.name)).unwrap_or_default();
                scope.add(&called, renamed(columns, alias.as_ref())?);
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                self.from(table_with_joins, scope, samples)?;
            }
            other => return Err(Fault::unsupported(format!("FROM {other}"))),
        }
        Ok(())
    }

    fn sample(&mut self, table: &str, sample: &TableSampleKind) -> Result<Expr, Fault> {
        let (TableSampleKind::BeforeTableAlias(sample) | TableSampleKind::AfterTableAlias(sample)) = sample;
        let TableSample { quantity: Some(quantity), seed: None, bucket: None, offset: None, .. } = sample.as_ref()
        else {
            return Err(Fault::unsupported("this TABLESAMPLE"));
        };
        let share = quantity.value.to_string().parse::<f64>().map(|percent| percent / 100.0);
        sampled(table, share.map_err(|_| Fault::syntax("TABLESAMPLE wants a percentage"))?)
    }

    fn order(&mut self, order: &mut OrderBy, scope: &Scope<'_>, outputs: &Outputs) -> Result<(), Fault> {
        let OrderBy { kind: OrderByKind::Expressions(each), interpolate: None } = order else {
            return Err(Fault::unsupported("this ORDER BY"));
        };
        for one in each {
            refuse(&[(one.with_fill.is_some(), "WITH FILL")])?;
            let named = matches!(&one.expr, Expr::Identifier(column) if outputs.iter().any(|(output, _)| *output == name(column)));
            if !named {
                self.key(&mut one.expr, scope)?;
            }
        }
        Ok(())
    }

    /// Of an order or a group; a number is a column of the output.
    fn key(&mut self, key: &mut Expr, scope: &Scope<'_>) -> Result<(), Fault> {
        if !is_number(key) {
            let asked = std::mem::replace(key, truth(true));
            *key = self.any(asked, scope)?.0;
        }
        Ok(())
    }

    fn limit(&mut self, limit: &mut LimitClause, scope: &Scope<'_>) -> Result<(), Fault> {
        let LimitClause::LimitOffset { limit, offset, limit_by } = limit else {
            return Err(Fault::unsupported("this LIMIT"));
        };
        refuse(&[(!limit_by.is_empty(), "LIMIT BY")])?;
        let counts = limit.as_mut().into_iter().chain(offset.as_mut().map(|offset| &mut offset.value));
        for count in counts {
            let asked = std::mem::replace(count, truth(true));
            *count = self.typed(asked, Kind::Number, scope)?;
        }
        Ok(())
    }
}

fn refuse(odd: &[(bool, &str)]) -> Result<(), Fault> {
    match odd.iter().find(|(is_there, _)| *is_there) {
        Some((_, what)) => Err(Fault::unsupported(what)),
        None => Ok(()),
    }
}

fn table_name(table: &ObjectName) -> Result<String, Fault> {
    let parts: Vec<String> = table.0.iter().filter_map(|part| part.as_ident()).map(name).collect();
    let known = match parts.as_slice() {
        [table] => Some(table),
        [schema, table] if schema == SCHEMA => Some(table),
        _ => None,
    };
    let known = known.filter(|table| months_of(table).is_some());
    known.cloned().ok_or_else(|| match parts.first().map(String::as_str) {
        Some("pg_catalog" | "information_schema") => Fault::unsupported("questions to a catalog")
            .hint("Tables are archive.statements, and archive.statements_2026_03 for each month that is published."),
        _ => Fault::no_table(&table.to_string()),
    })
}

fn renamed(columns: Outputs, alias: Option<&TableAlias>) -> Result<Outputs, Fault> {
    let Some(alias) = alias.filter(|alias| !alias.columns.is_empty()) else { return Ok(columns) };
    if alias.columns.len() > columns.len() {
        return Err(Fault::new(
            "42P10",
            format!("table {:?} has fewer columns than it is given names for", alias.name.value),
        ));
    }
    let names = alias.columns.iter().map(|column| Some(name(&column.name))).chain(std::iter::repeat(None));
    Ok(columns.into_iter().zip(names).map(|((old, kind), new)| (new.unwrap_or(old), kind)).collect())
}
