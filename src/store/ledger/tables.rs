//! The two pairs of tables that hold statements: the hot ones, for which every query is written, and the detached ones, which have
//! the same form.

use std::borrow::Cow;

/// The tables of one tier. Queries are written for the hot ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tables {
    Hot,
    Detached,
}

impl Tables {
    /// The same query on the tables of this tier.
    pub(in crate::store) fn sql(self, hot: impl Into<Cow<'static, str>>) -> Cow<'static, str> {
        let hot = hot.into();
        match self {
            Self::Hot => hot,
            Self::Detached => {
                let detached = hot.replace("ledger.statements ", "ledger.detached_statements ");
                detached.replace("ledger.relations ", "ledger.detached_relations ").into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detached_tables_have_names_of_their_own_and_the_rest_stays() {
        let hot = "FROM ledger.statements s JOIN ledger.relations o JOIN ledger.statement_ids i JOIN ledger.refs r";
        assert_eq!(Tables::Hot.sql(hot), hot);
        let detached = "FROM ledger.detached_statements s JOIN ledger.detached_relations o JOIN ledger.statement_ids i \
                        JOIN ledger.refs r";
        assert_eq!(Tables::Detached.sql(hot), detached);
    }
}
