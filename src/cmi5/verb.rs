//! The verbs of cmi5.

/// The verbs that cmi5 has rules for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Launched,
    Initialized,
    Completed,
    Passed,
    Failed,
    Abandoned,
    Waived,
    Terminated,
    Satisfied,
    Other,
}

impl Verb {
    const ALL: [(Self, &str); 9] = [
        (Self::Launched, "http://adlnet.gov/expapi/verbs/launched"),
        (Self::Initialized, "http://adlnet.gov/expapi/verbs/initialized"),
        (Self::Completed, "http://adlnet.gov/expapi/verbs/completed"),
        (Self::Passed, "http://adlnet.gov/expapi/verbs/passed"),
        (Self::Failed, "http://adlnet.gov/expapi/verbs/failed"),
        (Self::Abandoned, "https://w3id.org/xapi/adl/verbs/abandoned"),
        (Self::Waived, "https://w3id.org/xapi/adl/verbs/waived"),
        (Self::Terminated, "http://adlnet.gov/expapi/verbs/terminated"),
        (Self::Satisfied, "https://w3id.org/xapi/adl/verbs/satisfied"),
    ];

    pub(super) fn of(iri: &str) -> Self {
        Self::ALL.into_iter().find(|(_, other)| *other == iri).map_or(Self::Other, |(verb, _)| verb)
    }

    /// The last word of its IRI.
    pub fn name(self) -> &'static str {
        let iri = Self::ALL.into_iter().find(|(verb, _)| *verb == self).map_or("", |(_, iri)| iri);
        iri.rsplit('/').next().unwrap_or_default()
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().map(|(verb, _)| verb).find(|verb| verb.name() == name)
    }

    /// Whether it is the LMS that says it.
    pub fn is_of_lms(self) -> bool {
        matches!(self, Self::Launched | Self::Abandoned | Self::Waived | Self::Satisfied)
    }
}
