//! Bad releases that never come as far as a database, because the linter withholds them.

use progress_service::migrate::{
    Module,
    lint::{self, Severity},
};

#[test]
fn what_would_stop_the_ledger_never_comes_to_a_database() {
    for (name, body) in [
        ("a lock on the ledger", "LOCK TABLE ledger.statements IN ACCESS EXCLUSIVE MODE;"),
        ("a table rewritten under a lock", "ALTER TABLE ledger.documents ALTER COLUMN etag TYPE varchar(10);"),
        ("an index that lets nobody write", "CREATE INDEX slow ON ledger.documents (etag);"),
        ("rows of every tenant at once", "UPDATE ledger.documents SET etag = '';"),
        ("a table that every tenant reads", "CREATE TABLE ledger.leak (tenant_id uuid NOT NULL, a int);"),
        ("rows that are gone", "DELETE FROM ledger.statements;"),
    ] {
        let text = format!("-- Description: d\n-- Breaking: no\n-- Manual: no\n-- Lock: none\n{body}\n");
        let module = Module::new("ledger", [("099_bad.sql", text.as_str())], false).unwrap();
        let errors =
            lint::file(&module, &module.files[0]).into_iter().filter(|finding| finding.severity == Severity::Error);
        assert!(errors.count() > 0, "{name}");
    }
}
