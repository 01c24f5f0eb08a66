//! The gateway between a real PostgreSQL and real segments.

#[macro_use]
mod support;

mod answers;
mod attach;
mod broken;
mod house;
mod limits;
mod logins;
mod matrix;
mod session;
