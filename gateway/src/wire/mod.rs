//! PostgreSQL's protocol: who listens, who may log in, and the conversation with one client.

pub mod cancel;
mod command;
mod cursor;
pub mod listen;
pub mod login;
pub mod logins;
pub mod rows;
pub mod scram;
pub mod session;
pub mod socket;
pub mod talk;
