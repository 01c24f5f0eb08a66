//! Values of query parameters that are JSON.

use serde_json::Value;

use super::actor;
use super::report::{Path, Report};

/// The `agent` parameter: an agent, or a group with an identifier.
pub(crate) fn agent(agent: &Value, report: &mut Report) {
    actor::identified(agent, &Path::Root, report);
}
