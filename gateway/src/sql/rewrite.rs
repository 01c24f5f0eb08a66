//! Queries by allow-list: what is known to come out as PostgreSQL computes it passes, with its literals as typed values;
//! everything else is refused. Pure.

use datafusion::{common::ScalarValue, sql::sqlparser::ast::Query};

use super::{rewriter::Rewriter, scope::Outputs};
use crate::fault::Fault;

/// A query that the engine may run.
#[derive(Clone, Debug)]
pub struct Ready {
    pub query: Query,
    /// What its placeholders stand for.
    pub values: Vec<ScalarValue>,
    pub outputs: Outputs,
}

/// Parameters are texts, as foreign tables send them.
pub fn ready(query: &Query, params: &[Option<String>]) -> Result<Ready, Fault> {
    let mut query = query.clone();
    let mut rewriter = Rewriter { params, values: Vec::new() };
    let outputs = rewriter.query(&mut query, None)?;
    Ok(Ready { query, values: rewriter.values, outputs })
}
