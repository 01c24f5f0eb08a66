//! Facts about a server and a schema, read before and after a migration. Reading only; judging is `migrate::checks`.

mod after;
mod before;
mod functions;
mod isolation;
mod rights;

pub use after::{AfterFacts, InvalidIndex, Months, TenantTable, after};
pub use before::{BeforeFacts, GroupRole, OldTransaction, Replica, SchemaOwner, before};
pub use functions::Function;
pub use isolation::{Isolation, isolation};
pub use rights::{ServiceRights, service};
