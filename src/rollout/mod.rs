//! Rollouts: a plan whose steps are done one after the other, watched while they are baked, and taken back by itself where the new
//! version is worse.

mod desk;
mod error;
pub mod plan;
mod run;
mod samples;
mod tell;
pub mod timed;
mod turn;
pub mod verdict;
mod walked;

pub use self::{
    desk::Desk,
    error::RolloutError,
    plan::Plan,
    run::{Looked, Moment, broken_checks, moment, step},
    samples::Samples,
    tell::{Listener, Teller, client as teller_client},
    turn::{Stepped, plan_of},
};
