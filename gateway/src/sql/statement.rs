//! The statements of a session: what PostgreSQL's foreign tables send, and what a person at `psql` begins with. Pure.

use datafusion::sql::sqlparser::{
    ast::Query,
    dialect::PostgreSqlDialect,
    parser::Parser,
    tokenizer::{Token, Tokenizer},
};

use crate::fault::Fault;

#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    Set,
    Show(String),
    Begin,
    Commit,
    Rollback,
    Savepoint,
    RollbackTo,
    Release,
    Declare {
        cursor: String,
        query: Box<Query>,
    },
    Fetch {
        cursor: String,
        rows: Option<u64>,
    },
    /// Back to before its first row.
    Rewind {
        cursor: String,
    },
    Close(Option<String>),
    Deallocate,
    Discard,
    /// With the text it was written as, without blanks: questions to the catalog are known by it.
    Query {
        query: Box<Query>,
        spelt: String,
    },
}

/// Settings that change what is printed or computed; others say nothing to the gateway.
const ZONES: [&str; 5] = ["gmt", "utc", "etc/utc", "default", "+00"];
const WRITES: [&str; 22] = [
    "INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "CREATE", "ALTER", "DROP", "GRANT", "REVOKE", "COPY", "LOCK",
    "VACUUM", "ANALYZE", "CLUSTER", "REINDEX", "REFRESH", "COMMENT", "IMPORT", "CALL", "DO", "NOTIFY",
];

/// The statements of one message.
pub fn parse(text: &str) -> Result<Vec<Statement>, Fault> {
    let tokens = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize().map_err(Fault::syntax)?;
    let tokens: Vec<Token> = tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_))).collect();
    let each = tokens.split(|token| *token == Token::SemiColon).filter(|tokens| !tokens.is_empty());
    each.map(statement).collect()
}

fn statement(tokens: &[Token]) -> Result<Statement, Fault> {
    let words: Vec<String> = tokens.iter().map(|token| token.to_string().to_uppercase()).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = |statement| Ok(statement);
    match words.as_slice() {
        ["SET", rest @ ..] => set(rest),
        ["RESET", ..] => said(Statement::Set),
        ["SHOW", rest @ ..] => said(Statement::Show(rest.join(" ").to_lowercase())),
        ["BEGIN", ..] | ["START", "TRANSACTION", ..] => said(Statement::Begin),
        ["COMMIT" | "END", ..] => said(Statement::Commit),
        ["ROLLBACK", "TO", ..] | ["ROLLBACK", "TRANSACTION" | "WORK", "TO", ..] => said(Statement::RollbackTo),
        ["ROLLBACK" | "ABORT", ..] => said(Statement::Rollback),
        ["SAVEPOINT", _] => said(Statement::Savepoint),
        ["RELEASE", ..] => said(Statement::Release),
        ["DISCARD", ..] => said(Statement::Discard),
        ["DEALLOCATE", ..] => said(Statement::Deallocate),
        ["CLOSE", "ALL"] => said(Statement::Close(None)),
        ["CLOSE", _] => said(Statement::Close(Some(cursor(&tokens[1])))),
        ["DECLARE", _, rest @ ..] => declare(tokens, rest),
        ["FETCH", rest @ ..] => fetch(&tokens[1..], rest),
        ["MOVE", "BACKWARD", "ALL", "IN" | "FROM", _] => said(Statement::Rewind { cursor: cursor(&tokens[4]) }),
        ["SELECT" | "WITH" | "VALUES" | "TABLE" | "(", ..] => query(tokens),
        [word, ..] if WRITES.contains(word) => Err(Fault::read_only(word)),
        ["EXPLAIN", ..] => Err(Fault::unsupported("EXPLAIN")
            .hint("Leave use_remote_estimate off, and look at the plan with EXPLAIN (VERBOSE) in PostgreSQL.")),
        [word, ..] => Err(Fault::unsupported(word)),
        [] => Err(Fault::syntax("there is no statement")),
    }
}

fn set(rest: &[&str]) -> Result<Statement, Fault> {
    let rest = match rest {
        ["SESSION" | "LOCAL", rest @ ..] | rest => rest,
    };
    match rest {
        ["ROLE" | "AUTHORIZATION", ..] => {
            Err(Fault::new("42501", "a login sees what it may see, and cannot become another"))
        }
        ["TIMEZONE", "=" | "TO", zone] | ["TIME", "ZONE", zone] => {
            let zone = zone.trim_matches('\'').to_lowercase();
            if ZONES.contains(&zone.as_str()) {
                return Ok(Statement::Set);
            }
            Err(Fault::new("22023", format!("times are printed in UTC, not in time zone {zone:?}")))
        }
        _ => Ok(Statement::Set),
    }
}

/// `DECLARE c CURSOR FOR …`, and the words that may stand between.
fn declare(tokens: &[Token], rest: &[&str]) -> Result<Statement, Fault> {
    let at = rest.iter().position(|word| *word == "FOR");
    let at = at.filter(|at| rest[..*at].contains(&"CURSOR"));
    let at = at.ok_or_else(|| Fault::syntax("DECLARE name CURSOR FOR query was expected"))?;
    if rest[..at].contains(&"HOLD") && !rest[..at].contains(&"WITHOUT") {
        return Err(Fault::unsupported("cursors that outlive their transaction"));
    }
    match query(&tokens[at + 3..])? {
        Statement::Query { query, .. } => Ok(Statement::Declare { cursor: cursor(&tokens[1]), query }),
        _ => Err(Fault::syntax("a cursor is declared for a query")),
    }
}

fn fetch(tokens: &[Token], words: &[&str]) -> Result<Statement, Fault> {
    let words = match words {
        ["FORWARD", rest @ ..] | rest => rest,
    };
    let (rows, words) = match words {
        ["ALL", rest @ ..] => (None, rest),
        ["NEXT", rest @ ..] => (Some(1), rest),
        [number, rest @ ..] if number.parse::<u64>().is_ok() => (number.parse().ok(), rest),
        rest => (Some(1), rest),
    };
    match (words, tokens.last()) {
        (["FROM" | "IN", _] | [_], Some(name)) => Ok(Statement::Fetch { cursor: cursor(name), rows }),
        _ => Err(Fault::unsupported("FETCH other than forward")),
    }
}

fn query(tokens: &[Token]) -> Result<Statement, Fault> {
    let spelt = tokens.iter().map(ToString::to_string).collect();
    let dialect = PostgreSqlDialect {};
    let mut parser = Parser::new(&dialect).with_tokens(tokens.to_vec());
    let query = parser.parse_query().map_err(Fault::syntax)?;
    match parser.peek_token().token {
        Token::EOF => Ok(Statement::Query { query, spelt }),
        token => Err(Fault::syntax(format!("syntax error at or near \"{token}\""))),
    }
}

fn cursor(token: &Token) -> String {
    match token {
        Token::Word(word) if word.quote_style.is_some() => word.value.clone(),
        token => token.to_string().to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Statement {
        parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}")).remove(0)
    }

    #[test]
    fn everything_that_foreign_tables_send_is_understood() {
        for text in [
            "SET search_path = pg_catalog",
            "SET timezone = 'GMT'",
            "SET datestyle = ISO",
            "SET intervalstyle = postgres",
            "SET extra_float_digits = 3",
        ] {
            assert_eq!(one(text), Statement::Set);
        }
        assert_eq!(one("START TRANSACTION ISOLATION LEVEL REPEATABLE READ"), Statement::Begin);
        assert_eq!(one("START TRANSACTION READ ONLY ISOLATION LEVEL SERIALIZABLE"), Statement::Begin);
        assert_eq!(one("ABORT TRANSACTION"), Statement::Rollback);
        assert_eq!(
            parse("ROLLBACK TO SAVEPOINT s2; RELEASE SAVEPOINT s2").unwrap(),
            [Statement::RollbackTo, Statement::Release]
        );
        let Statement::Declare { cursor, query } =
            one("DECLARE c1 CURSOR FOR\nSELECT id FROM archive.statements WHERE ((id = $1::uuid))")
        else {
            panic!("no cursor")
        };
        assert_eq!((cursor.as_str(), query.to_string().contains("$1::")), ("c1", true));
        assert_eq!(one("FETCH 10000 FROM c1"), Statement::Fetch { cursor: "c1".to_owned(), rows: Some(10_000) });
        assert_eq!(one("FETCH FORWARD ALL IN c1"), Statement::Fetch { cursor: "c1".to_owned(), rows: None });
        assert_eq!(one("MOVE BACKWARD ALL IN c1"), Statement::Rewind { cursor: "c1".to_owned() });
        assert_eq!(one("CLOSE c1"), Statement::Close(Some("c1".to_owned())));
        assert_eq!(one("DEALLOCATE ALL"), Statement::Deallocate);
        assert_eq!(one("DECLARE c NO SCROLL CURSOR WITHOUT HOLD FOR SELECT 1"), one("DECLARE C CURSOR FOR SELECT 1"));
        assert_eq!(parse(" ; ; ").unwrap(), []);
        assert!(matches!(one("SELECT ';' -- ; nothing\n"), Statement::Query { .. }));
    }

    #[test]
    fn everything_else_is_refused_with_the_code_it_has() {
        for (text, code) in [
            ("INSERT INTO archive.statements VALUES (1)", "25006"),
            ("LOCK TABLE archive.statements", "25006"),
            ("TRUNCATE archive.statements", "25006"),
            ("EXPLAIN SELECT 1", "0A000"),
            ("LISTEN x", "0A000"),
            ("SET ROLE other", "42501"),
            ("SET SESSION AUTHORIZATION other", "42501"),
            ("SET timezone = 'Europe/Berlin'", "22023"),
            ("SELECT 1 2", "42601"),
            ("SELECT 'open", "42601"),
            ("DECLARE c FOR SELECT 1", "42601"),
            ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "0A000"),
            ("FETCH BACKWARD 1 FROM c", "0A000"),
        ] {
            assert_eq!(parse(text).map_err(|fault| fault.code), Err(code), "{text}");
        }
    }
}
