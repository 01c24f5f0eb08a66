//! A statement as a segment holds it: the ledger's columns with the keys it is found by, free of any database's types.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::model::TenantId;

/// One statement. Times are whole microseconds, as the ledger's are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub tenant: TenantId,
    pub id: Uuid,
    pub stored: DateTime<Utc>,
    /// The sender's own timestamp, where it gave one.
    pub occurred: Option<DateTime<Utc>>,
    pub verb_key: Uuid,
    pub agent_key: Option<Uuid>,
    pub activity_key: Option<Uuid>,
    pub registration_key: Option<Uuid>,
    /// The statement that its object refers to.
    pub refers_to: Option<Uuid>,
    pub voiding: bool,
    /// If it voids only what is under one authority: that authority's key, in the form that `relations` has.
    pub voids_only_of: Option<Uuid>,
    /// A statement that had voided it when it was written. Later ones stand only in the ledger's references.
    pub voided_by: Option<Uuid>,
    pub converts: bool,
    /// The keys under which `ledger.relations` has it, in ascending order: equal statements are equal rows.
    pub relations: Vec<Uuid>,
    /// The statement's JSON, byte for byte.
    pub payload: String,
}
