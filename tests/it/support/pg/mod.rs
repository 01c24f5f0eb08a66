//! PostgreSQL for tests: the newest and the oldest supported server, and a database per test.
//!
//! `on_each_server!` runs one body on both.

mod database;
mod leftovers;
mod server;
mod template;

pub use database::TestDatabase;
pub use server::{Server, try_connect};

/// Makes two tests, `pg15` and `pg18`, of each body; whatever touches SQL is written with it.
///
/// ```ignore
/// on_each_server! {
///     async fn a_new_database_has_one_tenant(db: TestDatabase) {
///         …
///     }
/// }
/// ```
macro_rules! on_each_server {
    ($($(#[$meta:meta])* async fn $name:ident($db:ident: TestDatabase) $body:block)+) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports)]
            use super::*;
            use $crate::support::pg::{Server, TestDatabase};

            async fn body($db: TestDatabase) $body

            #[tokio::test]
            async fn pg15() {
                body(TestDatabase::new(Server::oldest().await).await).await;
            }

            #[tokio::test]
            async fn pg18() {
                body(TestDatabase::new(Server::newest().await).await).await;
            }
        }
    )+};
}

/// Makes one test, on the newest server, of each body: for long sweeps in which the server's age plays no part.
macro_rules! on_the_newest_server {
    ($($(#[$meta:meta])* async fn $name:ident($db:ident: TestDatabase) $body:block)+) => {$(
        $(#[$meta])*
        #[tokio::test]
        async fn $name() {
            let $db = $crate::support::pg::TestDatabase::new($crate::support::pg::Server::newest().await).await;
            $body
        }
    )+};
}
