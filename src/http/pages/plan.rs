//! What would be done, before anything is: shown with the digest of what was seen, and done by a form that sends that back.

use askama::Template;

use super::{shell::Shell, table::Table};

/// A plan as a page.
#[derive(Template)]
#[template(path = "plan.html", config = "src/http/pages/askama.toml")]
pub struct Plan {
    pub shell: Shell,
    /// Where the form goes.
    pub action: String,
    pub effect: String,
    pub facts: Vec<(&'static str, String)>,
    /// What it comes to, line by line.
    pub table: Option<Table>,
    /// Fields that come back as they are.
    pub hidden: Vec<(&'static str, String)>,
    pub digest: String,
    /// Whether a reason is asked for, which is kept.
    pub asks_why: bool,
    /// What has to be typed, where something is destroyed or cannot be taken back.
    pub word: String,
    /// What the button says; empty where there is nothing to do.
    pub verb: &'static str,
    pub back: String,
}

impl Plan {
    /// A plan of an act that destroys nothing and asks for no reason.
    pub fn new(shell: Shell, action: impl Into<String>, effect: impl Into<String>, verb: &'static str) -> Self {
        Self {
            shell,
            action: action.into(),
            effect: effect.into(),
            facts: Vec::new(),
            table: None,
            hidden: Vec::new(),
            digest: String::new(),
            asks_why: false,
            word: String::new(),
            verb,
            back: String::new(),
        }
    }
}
