//! The conversation with one client: simple queries, the extended protocol, a transaction that changes nothing, and cursors.

use std::{collections::HashMap, io};

use pgwire::messages::{
    PgWireBackendMessage as Answer, PgWireFrontendMessage as Message,
    data::{NoData, ParameterDescription},
    extendedquery::{Bind, BindComplete, CloseComplete, Execute, Parse, ParseComplete, PortalSuspended},
    response::{EmptyQueryResponse, TransactionStatus},
};

use super::{
    cursor::Cursor,
    talk::{Talk, Trouble},
};
use crate::{
    data::table::Tables,
    engine::Engine,
    fault::Fault,
    sql::{
        catalog, rewrite,
        scope::Outputs,
        statement::{self, Statement},
    },
};

const TEXT: u32 = 25;
/// What describes or closes a statement; everything else a portal.
const A_STATEMENT: u8 = b'S';

pub struct Session {
    pub(super) talk: Talk,
    pub(super) engine: Engine,
    pub(super) tables: Tables,
    pub(super) status: TransactionStatus,
    pub(super) statements: HashMap<String, Prepared>,
    portals: HashMap<String, Portal>,
    pub(super) cursors: HashMap<String, Cursor>,
}

#[derive(Clone)]
pub(super) struct Prepared {
    /// `None` of an empty text.
    statement: Option<Statement>,
    types: Vec<u32>,
}

struct Portal {
    statement: Option<Statement>,
    params: Vec<Option<String>>,
    /// Of a query: begun by the first message that executes it.
    cursor: Option<Cursor>,
}

impl Session {
    pub fn new(talk: Talk, engine: Engine, tables: Tables) -> Self {
        let (statements, portals, cursors) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { talk, engine, tables, status: TransactionStatus::Idle, statements, portals, cursors }
    }

    /// Until the client goes.
    pub async fn run(mut self) -> io::Result<()> {
        // After an error in the extended protocol everything is passed over until the client has heard of it.
        let mut passing = false;
        while let Some(message) = self.talk.receive().await? {
            let is_query = matches!(message, Message::Query(_));
            let outcome = match message {
                Message::Terminate(_) => return self.talk.close().await,
                Message::Sync(_) => {
                    passing = false;
                    self.portals.remove("");
                    self.talk.ready(self.status).await?;
                    continue;
                }
                Message::Query(query) => {
                    passing = false;
                    self.simple(&query.query).await
                }
                _ if passing => continue,
                Message::Parse(parse) => self.parse(parse).await,
                Message::Bind(bind) => self.bind(bind).await,
                Message::Describe(describe) => {
                    self.describe(describe.target_type, &describe.name.unwrap_or_default()).await
                }
                Message::Execute(execute) => self.execute(execute).await,
                Message::Close(close) => self.close(close.target_type, &close.name.unwrap_or_default()).await,
                Message::Flush(_) => self.talk.flush().await,
                _ => Err(Fault::new("08P01", "this message is not expected here").into()),
            };
            match outcome {
                Ok(()) => {}
                Err(Trouble::Gone(error)) => return Err(error),
                Err(Trouble::Fault(fault)) => {
                    self.fail(&fault).await?;
                    passing = !is_query;
                }
            }
            if is_query {
                self.talk.ready(self.status).await?;
            }
        }
        Ok(())
    }

    async fn fail(&mut self, fault: &Fault) -> io::Result<()> {
        if self.status == TransactionStatus::Transaction {
            self.status = TransactionStatus::Error;
        }
        self.talk.fail(fault).await
    }

    async fn simple(&mut self, text: &str) -> Result<(), Trouble> {
        let statements = statement::parse(text)?;
        if statements.is_empty() {
            return self.talk.say(Answer::EmptyQueryResponse(EmptyQueryResponse::new())).await;
        }
        for statement in statements {
            match self.begun(&statement, &[])? {
                Some(mut cursor) => {
                    self.talk.describe(cursor.outputs()).await?;
                    let sent = cursor.send(&mut self.talk, &self.engine, &self.tables, None).await?;
                    self.talk.done(&format!("SELECT {sent}")).await?;
                }
                None => self.command(&statement, &[], true).await?,
            }
        }
        Ok(())
    }

    async fn parse(&mut self, parse: Parse) -> Result<(), Trouble> {
        let mut statements = statement::parse(&parse.query)?;
        if statements.len() > 1 {
            return Err(Fault::syntax("a prepared statement is one statement").into());
        }
        let prepared = Prepared { statement: statements.pop(), types: parse.type_oids };
        self.statements.insert(parse.name.unwrap_or_default(), prepared);
        self.talk.say(Answer::ParseComplete(ParseComplete::new())).await
    }

    async fn bind(&mut self, bind: Bind) -> Result<(), Trouble> {
        let name = bind.statement_name.unwrap_or_default();
        let prepared = self.statements.get(&name).cloned();
        let prepared =
            prepared.ok_or_else(|| Fault::new("26000", format!("prepared statement {name:?} does not exist")))?;
        let binary = |codes: &[i16]| codes.iter().any(|code| *code != 0);
        let gives_rows = matches!(prepared.statement, Some(Statement::Query { .. } | Statement::Fetch { .. }));
        if binary(&bind.parameter_format_codes) || gives_rows && binary(&bind.result_column_format_codes) {
            return Err(Fault::unsupported("values in binary form").hint("Ask for text.").into());
        }
        let text = |param: Option<bytes::Bytes>| param.map(|param| String::from_utf8(param.into())).transpose();
        let params = bind.parameters.into_iter().map(text).collect::<Result<Vec<_>, _>>();
        let params = params.map_err(|_| Fault::new("22021", "a parameter is not in UTF8"))?;
        let cursor = match &prepared.statement {
            Some(statement) => self.begun(statement, &params)?,
            None => None,
        };
        let portal = Portal { statement: prepared.statement, params, cursor };
        self.portals.insert(bind.portal_name.unwrap_or_default(), portal);
        self.talk.say(Answer::BindComplete(BindComplete::new())).await
    }

    async fn describe(&mut self, target: u8, name: &str) -> Result<(), Trouble> {
        let outputs = if target == A_STATEMENT {
            let prepared = self.statements.get(name).cloned();
            let prepared =
                prepared.ok_or_else(|| Fault::new("26000", format!("prepared statement {name:?} does not exist")))?;
            let (types, outputs) = described(&prepared)?;
            self.talk.say(Answer::ParameterDescription(ParameterDescription::new(types))).await?;
            outputs
        } else {
            let portal = self.portals.get(name).ok_or_else(|| no_portal(name))?;
            portal.cursor.as_ref().map(|cursor| cursor.outputs().clone())
        };
        match outputs {
            Some(outputs) => self.talk.describe(&outputs).await,
            None => self.talk.say(Answer::NoData(NoData::new())).await,
        }
    }

    async fn execute(&mut self, execute: Execute) -> Result<(), Trouble> {
        let name = execute.name.unwrap_or_default();
        let mut portal = self.portals.remove(&name).ok_or_else(|| no_portal(&name))?;
        let outcome = match (&portal.statement, &mut portal.cursor) {
            (_, Some(cursor)) => {
                let most = u64::try_from(execute.max_rows).ok().filter(|most| *most > 0);
                let sent = cursor.send(&mut self.talk, &self.engine, &self.tables, most).await?;
                if cursor.has_ended() {
                    self.talk.done(&format!("SELECT {sent}")).await
                } else {
                    self.talk.say(Answer::PortalSuspended(PortalSuspended::new())).await
                }
            }
            (Some(statement), None) => self.command(&statement.clone(), &portal.params, false).await,
            (None, None) => self.talk.say(Answer::EmptyQueryResponse(EmptyQueryResponse::new())).await,
        };
        self.portals.insert(name, portal);
        outcome
    }

    async fn close(&mut self, target: u8, name: &str) -> Result<(), Trouble> {
        if target == A_STATEMENT {
            self.statements.remove(name);
        } else {
            self.portals.remove(name);
        }
        self.talk.say(Answer::CloseComplete(CloseComplete::new())).await
    }

    /// A query's cursor, before its first row; `None` for everything else.
    fn begun(&self, statement: &Statement, params: &[Option<String>]) -> Result<Option<Cursor>, Fault> {
        let Statement::Query { query, spelt } = statement else { return Ok(None) };
        self.must_not_have_failed()?;
        if catalog::question(spelt).is_some() {
            return Ok(None);
        }
        Ok(Some(Cursor::new(rewrite::ready(query, params)?)))
    }

    pub(super) fn must_not_have_failed(&self) -> Result<(), Fault> {
        if self.status == TransactionStatus::Error {
            return Err(Fault::new("25P02", "the transaction has failed: nothing is done before it ends"));
        }
        Ok(())
    }
}

/// The types of a statement's parameters, and what it gives, whatever they are.
fn described(prepared: &Prepared) -> Result<(Vec<u32>, Option<Outputs>), Fault> {
    let types = prepared.types.iter().map(|oid| if *oid == 0 { TEXT } else { *oid }).collect();
    let Some(Statement::Query { query, .. }) = &prepared.statement else { return Ok((types, None)) };
    let params = vec![None; usize::from(u8::MAX)];
    Ok((types, Some(rewrite::ready(query, &params)?.outputs)))
}

fn no_portal(name: &str) -> Fault {
    Fault::new("34000", format!("portal {name:?} does not exist"))
}
