//! Every statement but a query: a transaction that changes nothing, cursors, settings, and what ANALYZE asks.

use pgwire::messages::response::TransactionStatus;

use super::{cursor::Cursor, rows, session::Session, talk::Trouble};
use crate::{
    data::columns::Kind,
    fault::Fault,
    sql::{
        catalog::{self, Question},
        rewrite,
        statement::Statement,
    },
};

impl Session {
    /// Everything but a query. `describe` says that rows are described with them.
    pub(super) async fn command(
        &mut self,
        statement: &Statement,
        params: &[Option<String>],
        describe: bool,
    ) -> Result<(), Trouble> {
        match statement {
            Statement::Commit | Statement::Rollback => return self.end(*statement == Statement::Commit).await,
            Statement::RollbackTo => {
                if self.status == TransactionStatus::Error {
                    self.status = TransactionStatus::Transaction;
                }
                return self.talk.done("ROLLBACK").await;
            }
            _ => self.must_not_have_failed()?,
        }
        match statement {
            Statement::Begin => {
                self.status = TransactionStatus::Transaction;
                self.talk.done("BEGIN").await
            }
            Statement::Set => self.talk.done("SET").await,
            Statement::Savepoint => self.talk.done("SAVEPOINT").await,
            Statement::Release => self.talk.done("RELEASE").await,
            Statement::Discard => self.talk.done("DISCARD ALL").await,
            Statement::Deallocate => {
                self.statements.clear();
                self.talk.done("DEALLOCATE").await
            }
            Statement::Show(name) => self.show(name, describe).await,
            Statement::Declare { cursor, query } => {
                if self.status == TransactionStatus::Idle {
                    return Err(Fault::new("25P01", "a cursor is declared inside a transaction").into());
                }
                let ready = rewrite::ready(query, params)?;
                self.cursors.insert(cursor.clone(), Cursor::new(ready));
                self.talk.done("DECLARE CURSOR").await
            }
            Statement::Fetch { cursor, rows } => self.fetch(cursor, *rows, describe).await,
            Statement::Rewind { cursor } => {
                self.cursors.get_mut(cursor).ok_or_else(|| no_cursor(cursor))?.rewind();
                self.talk.done("MOVE 0").await
            }
            Statement::Close(Some(cursor)) => {
                self.cursors.remove(cursor).ok_or_else(|| no_cursor(cursor))?;
                self.talk.done("CLOSE CURSOR").await
            }
            Statement::Close(None) => {
                self.cursors.clear();
                self.talk.done("CLOSE CURSOR").await
            }
            Statement::Query { spelt, .. } => match catalog::question(spelt) {
                Some(question) => self.answer(&question, describe).await,
                None => Err(Fault::unsupported("this query here").into()),
            },
            Statement::Commit | Statement::Rollback | Statement::RollbackTo => Ok(()),
        }
    }

    async fn end(&mut self, commit: bool) -> Result<(), Trouble> {
        let tag = if commit && self.status != TransactionStatus::Error { "COMMIT" } else { "ROLLBACK" };
        self.status = TransactionStatus::Idle;
        self.cursors.clear();
        self.talk.done(tag).await
    }

    async fn fetch(&mut self, name: &str, most: Option<u64>, describe: bool) -> Result<(), Trouble> {
        let mut cursor = self.cursors.remove(name).ok_or_else(|| no_cursor(name))?;
        if describe {
            self.talk.describe(cursor.outputs()).await?;
        }
        // A cursor that fails is gone, as its transaction is.
        let sent = cursor.send(&mut self.talk, &self.engine, &self.tables, most).await?;
        self.cursors.insert(name.to_owned(), cursor);
        self.talk.done(&format!("FETCH {sent}")).await
    }

    async fn show(&mut self, name: &str, describe: bool) -> Result<(), Trouble> {
        let value = match name {
            "server_version" => "16.0",
            "timezone" | "time zone" => "GMT",
            "transaction_read_only" | "default_transaction_read_only" | "standard_conforming_strings" => "on",
            "transaction isolation level" | "transaction_isolation" => "repeatable read",
            "server_encoding" | "client_encoding" => "UTF8",
            _ => return Err(Fault::new("42704", format!("unrecognized configuration parameter {name:?}")).into()),
        };
        self.table(&[name], &[value], describe, "SHOW").await
    }

    async fn answer(&mut self, question: &Question, describe: bool) -> Result<(), Trouble> {
        let (Question::Pages { table, .. } | Question::Rows { table, .. }) = question;
        let segments = self.tables.segments(table).await?;
        let manifests = segments.iter().map(|segment| segment.manifest());
        match question {
            Question::Pages { page, .. } => {
                let bytes: u64 = manifests.flat_map(|manifest| &manifest.parts).map(|part| part.bytes).sum();
                let pages = bytes.div_ceil(*page).to_string();
                self.table(&["?column?"], &[&pages], describe, "SELECT 1").await
            }
            Question::Rows { kind, .. } => {
                let rows = manifests.map(|manifest| manifest.summary.rows).sum::<u64>().to_string();
                let (names, values): (&[&str], &[&str]) =
                    if *kind { (&["reltuples", "relkind"], &[&rows, "r"]) } else { (&["reltuples"], &[&rows]) };
                self.table(names, values, describe, "SELECT 1").await
            }
        }
    }

    /// A table of one row.
    async fn table(&mut self, names: &[&str], values: &[&str], describe: bool, tag: &str) -> Result<(), Trouble> {
        if describe {
            let outputs = names.iter().map(|name| ((*name).to_owned(), Kind::Text)).collect();
            self.talk.describe(&outputs).await?;
        }
        self.talk.row(rows::texts(values)).await?;
        self.talk.done(tag).await
    }
}

fn no_cursor(name: &str) -> Fault {
    Fault::new("34000", format!("cursor {name:?} does not exist"))
}
