//! Who may reach whom and what: every rule of access in one place, and `docs/security.md` has them as a table. Pure: a
//! caller and a question come in, a verdict goes out; nothing is read and nothing is kept.

use uuid::Uuid;

use super::{AuthError, Caller};
use crate::{
    cmi5::{LAUNCH_DATA, Launch, Said, rules},
    model::{Pseudonyms, Scope, TenantId},
    xapi::{
        Version, Violation, Violations,
        keys::{self, Ifi},
        prepare::{Author, Prepared},
        query::{DocumentMethod, DocumentQuery, DocumentScope, Resource},
    },
};

/// Which statements a caller sees over xAPI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Every statement of the tenant.
    Everything,
    /// What was stored under the authority with this key.
    Mine(Uuid),
    /// What this person did, whoever stored it.
    About(Ifi),
}

/// What a caller may void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Voiding {
    Nothing,
    /// What carries the caller's own authority.
    Own,
    Everything,
}

/// About whom a caller may read in `/api/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    Everybody,
    /// A person reads about these ids, all of which are their own.
    Own(Vec<String>),
}

/// The learner whom a caller is or speaks for; `None` for keys and for applications, who are trusted with everybody.
fn learner(caller: &Caller) -> Option<Ifi> {
    match &caller.launch {
        Some(launch) => Ifi::of(&launch.actor),
        None => caller.person().and_then(Ifi::of),
    }
}

/// Whether two identifiers are of one person: spelled alike but for what means nothing, or accounts that have the same
/// UUID of the platform for a name, at whichever home page.
pub fn is_same_person(one: &Ifi, other: &Ifi) -> bool {
    let by_id = keys::platform_user(one).is_some_and(|user| keys::platform_user(other) == Some(user));
    by_id || keys::agent(Uuid::nil(), one) == keys::agent(Uuid::nil(), other)
}

/// Which statements the caller may read.
pub fn statements(caller: &Caller) -> Result<Sight, AuthError> {
    caller.require(Scope::StatementsReadMine)?;
    if !caller.scopes.allows(Scope::StatementsRead) {
        return Ok(Sight::Mine(authority(caller)));
    }
    // A launch speaks for its learner whatever its scopes are.
    let is_wide = caller.launch.is_none() && caller.scopes.allows(Scope::AllRead);
    match learner(caller) {
        Some(learner) if !is_wide => Ok(Sight::About(learner)),
        // A learner whom nothing identifies has done nothing that could be shown.
        None if caller.launch.is_some() => Ok(Sight::Mine(authority(caller))),
        _ => Ok(Sight::Everything),
    }
}

/// The key of the authority under which the caller stores.
pub fn authority(caller: &Caller) -> Uuid {
    Author::new(caller.tenant.0, &caller.authority, Version::V1_0_3).key()
}

/// Whether the caller is told the names under which an agent was seen: they come from everybody's statements.
pub fn names(caller: &Caller, sight: &Sight, agent: &Ifi) -> bool {
    *sight == Sight::Everything || learner(caller).is_some_and(|learner| is_same_person(&learner, agent))
}

/// What the caller may void; that it may write statements at all is asked before.
pub fn voiding(caller: &Caller) -> Voiding {
    match &caller.launch {
        Some(_) => Voiding::Nothing,
        None if caller.scopes.allows(Scope::StatementsVoid) => Voiding::Everything,
        None => Voiding::Own,
    }
}

/// Refuses what the caller may not write, and binds what it voids to what it may void. Of a launch `said` has every
/// statement.
pub fn write(caller: &Caller, statements: &mut [Prepared], said: &[Said]) -> Result<(), AuthError> {
    caller.require(Scope::StatementsWrite)?;
    if let Some(launch) = &caller.launch {
        keep_to_launch(caller.tenant, launch, statements, said)?;
    }
    if voiding(caller) == Voiding::Own {
        for statement in statements.iter_mut().filter(|statement| statement.is_voiding) {
            statement.voids_only_of = Some(statement.authority_key);
        }
    }
    Ok(())
}

/// A launch speaks only for its learner, in its registration, session and unit, and voids nothing.
fn keep_to_launch(tenant: TenantId, launch: &Launch, statements: &[Prepared], said: &[Said]) -> Result<(), AuthError> {
    let learner = Ifi::of(&launch.actor);
    let mut found = Violations::default();
    for (index, statement) in statements.iter().enumerate() {
        let mut refuse = |pointer: &str, rule, message: &str| {
            let (pointer, message) = (pointer.to_owned(), message.to_owned());
            found.0.push(Violation { statement: Some(index), pointer, rule, message });
        };
        if statement.is_voiding {
            refuse("/verb/id", rules::VOIDING, "a launch credential voids nothing");
        }
        let Some(said) = said.iter().find(|said| said.statement == index) else {
            refuse("", rules::LEARNER, "nothing is known of it");
            continue;
        };
        let is_learner =
            said.actor.as_ref().zip(learner.as_ref()).is_some_and(|(one, other)| is_same_person(one, other));
        if !(is_learner && said.is_agent) {
            refuse("/actor", rules::LEARNER, "this credential is for another learner");
        }
        if said.registration != Some(launch.registration) {
            refuse("/context/registration", rules::REGISTRATION, "this credential is for another registration");
        }
        if said.session.as_deref().is_some_and(|session| !launch.is_session(tenant, session)) {
            refuse("/context/extensions", rules::SESSION, "this credential is for another session");
        }
        let is_elsewhere = launch.activity.as_ref().is_some_and(|own| said.object.as_ref() != Some(own));
        if said.is_defined && is_elsewhere {
            refuse("/object/id", rules::ACTIVITY, "this credential is for another unit");
        }
    }
    if found.is_empty() { Ok(()) } else { Err(AuthError::Against(found)) }
}

/// The refusal of a voiding whose target somebody else stored.
pub fn foreign_target(index: usize, target: Uuid) -> AuthError {
    AuthError::Beyond(format!(
        "statement {index} voids {target}, which is under another authority: that needs the scope {} or {}",
        Scope::StatementsVoid,
        Scope::All
    ))
}

/// The scope that reaches everybody's documents.
fn wide(method: DocumentMethod) -> Scope {
    if method == DocumentMethod::Get { Scope::AllRead } else { Scope::All }
}

/// Whether the caller may do this with documents of this resource at all.
pub fn documents(caller: &Caller, resource: Resource, method: DocumentMethod) -> Result<(), AuthError> {
    if caller.scopes.allows(wide(method)) {
        return Ok(());
    }
    caller.require(if resource == Resource::State { Scope::State } else { Scope::Profile })
}

/// Whether the caller may look through the documents of everybody.
pub fn every_document(caller: &Caller) -> Result<(), AuthError> {
    caller.require(wide(DocumentMethod::Get))
}

/// Whether the caller may do this with these documents, if with any.
pub fn document(caller: &Caller, method: DocumentMethod, query: &DocumentQuery) -> Result<(), AuthError> {
    let (DocumentQuery::One { scope, .. } | DocumentQuery::Many { scope, .. }) = query;
    let agent = match scope {
        DocumentScope::State { agent, .. } | DocumentScope::AgentProfile { agent } => Some(agent),
        DocumentScope::ActivityProfile { .. } => None,
    };
    let is_own = agent.is_none_or(|agent| learner(caller).is_some_and(|learner| is_same_person(&learner, agent)));
    let wide = wide(method);
    match &caller.launch {
        Some(launch) => document_of_launch(launch, method, query, is_own),
        None if is_own || caller.person().is_none() || caller.scopes.allows(wide) => Ok(()),
        None => Err(AuthError::Beyond(format!(
            "this token is for its own person's documents; those of others need the scope {wide}"
        ))),
    }
}

/// A launch reaches its learner's documents, state in its registration only; it writes for its own unit, and leaves to the
/// LMS what the LMS says of the launch.
fn document_of_launch(
    launch: &Launch,
    method: DocumentMethod,
    query: &DocumentQuery,
    is_own: bool,
) -> Result<(), AuthError> {
    let (DocumentQuery::One { scope, .. } | DocumentQuery::Many { scope, .. }) = query;
    let refuse = |rule, message| Err(AuthError::Against(Violations::whole(rule, message)));
    if !is_own {
        return refuse(rules::LEARNER, "this credential is for another learner");
    }
    let writes = method != DocumentMethod::Get;
    let activity = match scope {
        DocumentScope::State { activity, registration, .. } => {
            if *registration != Some(launch.registration) {
                return refuse(rules::REGISTRATION, "this credential is for another registration");
            }
            let is_launch_data = match query {
                DocumentQuery::One { id, .. } => id == LAUNCH_DATA,
                DocumentQuery::Many { .. } => true,
            };
            if writes && is_launch_data {
                return refuse(
                    rules::LAUNCH_DATA,
                    "a unit leaves LMS.LaunchData as it is: it deletes its states one by one",
                );
            }
            activity
        }
        DocumentScope::ActivityProfile { activity } => activity,
        DocumentScope::AgentProfile { .. } => return Ok(()),
    };
    if writes && launch.activity.as_ref().is_some_and(|own| own != activity) {
        return refuse(rules::ACTIVITY, "this credential is for another unit");
    }
    Ok(())
}

/// The registries are open to everybody who may read anything.
pub fn registries(caller: &Caller) -> Result<(), AuthError> {
    if caller.scopes.allows(Scope::StatementsReadMine) { Ok(()) } else { caller.require(Scope::ApiStatementRead) }
}

/// Long work is the whole installation's, whichever tenant it is about: only its administrators see and steer it.
pub fn jobs(caller: &Caller) -> Result<(), AuthError> {
    caller.require_operator()
}

/// Months are the whole installation's, with every tenant's statements in them.
pub fn months(caller: &Caller) -> Result<(), AuthError> {
    caller.require_operator()
}

/// What belongs to a tenant is taken out by its administrators, and by operators; to read all of it is not enough.
pub fn exports(caller: &Caller, tenant: TenantId) -> Result<(), AuthError> {
    caller.require(Scope::Admin)?;
    if tenant == caller.tenant { Ok(()) } else { caller.require_operator() }
}

/// Whose entries of the audit trail an auditor sees: their tenant's, and in the default tenant those of the whole installation.
pub fn audit(caller: &Caller) -> Result<Option<TenantId>, AuthError> {
    caller.require(Scope::AuditRead)?;
    Ok(Some(caller.tenant).filter(|tenant| *tenant != TenantId::DEFAULT))
}

/// What somebody is in front of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An administrator of the default tenant: the whole installation.
    Operator,
    /// An administrator of one tenant.
    Administrator,
    /// Reads the audit trail.
    Auditor,
    /// Reads statements, attempts or transcripts.
    Reader,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Administrator => "administrator",
            Self::Auditor => "auditor",
            Self::Reader => "read only",
        }
    }
}

/// Who may sit down in front of the pages, and as what. What each page shows is asked again, as for the API.
pub fn pages(caller: &Caller) -> Result<Role, AuthError> {
    if caller.launch.is_some() {
        return Err(AuthError::Beyond("a launch credential is for its unit and opens no page".to_owned()));
    }
    let reads = [Scope::StatementsRead, Scope::ApiStatementRead, Scope::ApiTranscriptRead];
    match caller.scopes.allows(Scope::Admin) {
        true if caller.tenant == TenantId::DEFAULT => Ok(Role::Operator),
        true => Ok(Role::Administrator),
        false if caller.scopes.allows(Scope::AuditRead) => Ok(Role::Auditor),
        false if reads.iter().any(|scope| caller.scopes.allows(*scope)) => Ok(Role::Reader),
        false => Err(AuthError::Scope(Scope::Admin)),
    }
}

impl Reach {
    /// The reach of a caller who holds one of `scopes`. A token that names a person reads their own, and an
    /// administrator's everybody's.
    pub fn of(caller: &Caller, scopes: &[Scope], pseudonyms: &Pseudonyms) -> Result<Self, AuthError> {
        if let [first, ..] = scopes
            && !scopes.iter().any(|scope| caller.scopes.allows(*scope))
        {
            return Err(AuthError::Scope(*first));
        }
        let is_person = caller.user.is_some() || caller.launch.is_some();
        if !is_person || caller.scopes.allows(Scope::Admin) {
            return Ok(Self::Everybody);
        }
        let id = |actor: Ifi| keys::user(caller.tenant.0, &actor, |key| pseudonyms.of(key));
        Ok(Self::Own(learner(caller).map(id).into_iter().collect()))
    }

    pub fn covers(&self, user: &str) -> bool {
        match self {
            Self::Everybody => true,
            Self::Own(ids) => ids.iter().any(|id| id == user),
        }
    }

    /// Refuses a caller who names somebody else.
    pub fn require(&self, user: &str) -> Result<(), AuthError> {
        if self.covers(user) {
            return Ok(());
        }
        Err(AuthError::Beyond("this token is a learner's and reads only that learner's own".to_owned()))
    }

    /// Whether the read is of other people, and so leaves a trail.
    pub fn is_of_others(&self) -> bool {
        matches!(self, Self::Everybody)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::DateTime;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::{
        cmi5::{self, CATEGORY, SESSION},
        identity::CredentialRef,
        model::{Scopes, TenantId},
        xapi::{
            Limits,
            prepare::{VOIDED, prepare},
            read,
        },
    };

    const USER: &str = "00000000-0000-4000-8000-0000000000aa";
    const REGISTRATION: Uuid = Uuid::from_u128(0x0000_0000_0000_4000_8000_0000_0000_0007);

    fn map(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("an object") };
        map
    }

    fn account(home_page: &str, name: &str) -> Value {
        json!({ "account": { "homePage": home_page, "name": name } })
    }

    fn ifi(value: Value) -> Ifi {
        Ifi::of(&map(value)).unwrap()
    }

    /// A key, or with `user` the token of that person at the issuer.
    fn caller(user: Option<&str>, scopes: &str) -> Caller {
        Caller {
            tenant: TenantId::DEFAULT,
            tenant_name: "t".into(),
            authority: Arc::new(map(account("https://issuer", user.unwrap_or("service")))),
            scopes: Scopes::parse(scopes).unwrap(),
            credential: CredentialRef::Key { id: Uuid::nil(), api_key: "k".into() },
            user: user.map(Into::into),
            launch: None,
        }
    }

    /// A credential of a launch of Ada.
    fn launched(scopes: &str) -> Caller {
        let launch = Launch::of(REGISTRATION, map(account("https://lms", "ada")));
        Caller { launch: Some(Arc::new(launch)), ..caller(None, scopes) }
    }

    #[test]
    fn who_sees_which_statements() {
        let mine = Sight::Mine(authority(&caller(None, "all")));
        let mine_of_ada = Sight::Mine(authority(&caller(Some("ada"), "all")));
        let (about_ada, about_learner) =
            (Sight::About(ifi(account("https://issuer", "ada"))), Sight::About(ifi(account("https://lms", "ada"))));
        for (who, caller, seen) in [
            ("key", caller(None, "statements/read/mine"), Some(mine.clone())),
            ("key", caller(None, "statements/read"), Some(Sight::Everything)),
            ("key", caller(None, "all/read"), Some(Sight::Everything)),
            ("key", caller(None, "all"), Some(Sight::Everything)),
            ("key", caller(None, "statements/write statements/void state define profile admin:*"), None),
            ("person", caller(Some("ada"), "statements/read/mine"), Some(mine_of_ada)),
            ("person", caller(Some("ada"), "statements/read"), Some(about_ada.clone())),
            ("person", caller(Some("ada"), "statements/read statements/read/mine"), Some(about_ada)),
            ("person", caller(Some("ada"), "all/read"), Some(Sight::Everything)),
            ("person", caller(Some("ada"), "all"), Some(Sight::Everything)),
            ("person", caller(Some("ada"), "admin:*"), None),
            ("launch", launched("statements/read/mine"), Some(mine)),
            ("launch", launched("statements/read"), Some(about_learner.clone())),
            ("launch", launched("all"), Some(about_learner)),
            ("launch", launched("state"), None),
        ] {
            assert_eq!(statements(&caller).ok(), seen, "{who} with {:?}", caller.scopes.names());
        }
    }

    #[test]
    fn a_tenant_is_taken_out_by_its_administrators_and_by_operators() {
        let acme = TenantId(Uuid::from_u128(7));
        let theirs = Caller { tenant: acme, ..caller(None, "admin:*") };
        assert!(exports(&theirs, acme).is_ok() && exports(&theirs, TenantId::DEFAULT).is_err());
        let operator = caller(None, "admin:*");
        assert!(exports(&operator, acme).is_ok() && exports(&operator, TenantId::DEFAULT).is_ok());
        for scopes in ["all", "audit:read statement:read transcript:read", "all/read statements/read"] {
            assert!(exports(&caller(None, scopes), TenantId::DEFAULT).is_err(), "{scopes}");
        }
    }

    #[test]
    fn only_administrators_of_the_default_tenant_see_jobs() {
        let elsewhere = Caller { tenant: TenantId(Uuid::nil()), ..caller(None, "admin:*") };
        assert!(jobs(&caller(None, "admin:*")).is_ok() && jobs(&caller(Some("ada"), "admin:*")).is_ok());
        assert!(jobs(&elsewhere).is_err() && jobs(&caller(None, "all")).is_err() && jobs(&launched("all")).is_err());
    }

    #[test]
    fn who_may_void_what() {
        for (caller, expected) in [
            (caller(None, "statements/write"), Voiding::Own),
            (caller(None, "statements/write statements/void"), Voiding::Everything),
            (caller(None, "all"), Voiding::Everything),
            (caller(Some("ada"), "statements/write all/read"), Voiding::Own),
            (caller(Some("ada"), "all"), Voiding::Everything),
            (launched("statements/write"), Voiding::Nothing),
            (launched("all"), Voiding::Nothing),
        ] {
            assert_eq!(voiding(&caller), expected, "{:?}", caller.scopes.names());
        }
    }

    /// What the caller's write of this statement makes of it.
    fn written(caller: &Caller, statement: &Value) -> Result<Prepared, AuthError> {
        let batch = read::statements(statement.to_string().as_bytes(), Version::V1_0_3, &Limits::default());
        let author = Author::new(caller.tenant.0, &caller.authority, Version::V1_0_3);
        let statement = batch.unwrap().statements.remove(0);
        let said = cmi5::read(caller.tenant, caller.launch.as_deref(), 0, statement.doc());
        let mut all = [prepare(statement, &author, Uuid::nil, DateTime::UNIX_EPOCH)];
        write(caller, &mut all, said.as_slice()).map(|()| all[0].clone())
    }

    /// The rules that a refusal names.
    fn broken<T: std::fmt::Debug>(verdict: Result<T, AuthError>) -> Vec<&'static str> {
        match verdict {
            Err(AuthError::Against(violations)) => violations.0.iter().map(|violation| violation.rule).collect(),
            other => panic!("{other:?}"),
        }
    }

    fn statement(actor: Value, registration: Uuid, voids: bool) -> Value {
        let (verb, object) = match voids {
            true => (VOIDED, json!({ "objectType": "StatementRef", "id": USER })),
            false => ("http://example.com/did", json!({ "id": "http://example.com/a" })),
        };
        json!({ "actor": actor, "verb": { "id": verb }, "object": object, "context": { "registration": registration } })
    }

    #[test]
    fn what_may_be_written_and_how_far_it_voids() {
        let (ada, eve) = (account("https://lms", "ada"), account("https://lms", "eve"));
        let other = Uuid::from_u128(REGISTRATION.as_u128() + 1);
        let own = |caller: &Caller| Some(authority(caller));
        for (caller, statement, bound) in [
            (caller(None, "statements/write"), statement(eve.clone(), other, false), Some(None)),
            (caller(None, "statements/write"), statement(eve.clone(), other, true), Some(own(&caller(None, "all")))),
            (caller(None, "all"), statement(eve.clone(), other, true), Some(None)),
            (caller(None, "statements/void"), statement(eve.clone(), other, true), None),
            (caller(Some("ada"), "statements/write"), statement(eve.clone(), other, false), Some(None)),
            (
                caller(Some("ada"), "statements/write"),
                statement(eve.clone(), other, true),
                Some(own(&caller(Some("ada"), "all"))),
            ),
            (launched("statements/write"), statement(ada.clone(), REGISTRATION, false), Some(None)),
            (launched("all"), statement(ada.clone(), REGISTRATION, true), None),
            (launched("all"), statement(ada, other, false), None),
            (launched("all"), statement(eve, REGISTRATION, false), None),
        ] {
            let verdict = written(&caller, &statement).ok().map(|statement| statement.voids_only_of);
            assert_eq!(verdict, bound, "{:?} {statement}", caller.scopes.names());
        }
    }

    /// A launch of Ada that is bound to all that a launch can be bound to.
    fn bound(actor: Value) -> Caller {
        let launch = Launch {
            session: Some("00000000-0000-4000-8000-0000000000BB".to_owned()),
            activity: Some("http://example.com/a".to_owned()),
            ..Launch::of(REGISTRATION, map(actor))
        };
        Caller { launch: Some(Arc::new(launch)), ..caller(None, "all") }
    }

    #[test]
    fn a_refused_write_of_a_launch_names_the_rule() {
        let ada = account("https://lms", "ada");
        let other = Uuid::from_u128(REGISTRATION.as_u128() + 1);
        let good = statement(ada.clone(), REGISTRATION, false);
        let with = |pointer: &str, value: Value| {
            let mut changed = good.clone();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            changed.pointer_mut(parent).unwrap()[name] = value;
            changed
        };
        let session = |id: &str| json!({ SESSION: id });
        let caller = bound(ada.clone());
        for fits in [good.clone(), with("/context/extensions", session(&USER.replace("aa", "bb")))] {
            assert!(written(&caller, &fits).is_ok(), "{fits}");
        }
        let mut elsewhere = with("/object/id", json!("http://example.com/b"));
        assert!(written(&caller, &elsewhere).is_ok(), "only what is defined is about the unit");
        elsewhere["context"]["contextActivities"] = json!({ "category": [{ "id": CATEGORY }] });
        for (statement, rule) in [
            (with("/context/registration", json!(other)), rules::REGISTRATION),
            (with("/context/extensions", session("another")), rules::SESSION),
            (with("/actor", account("https://lms", "eve")), rules::LEARNER),
            (with("/actor/objectType", json!("Group")), rules::LEARNER),
            (elsewhere, rules::ACTIVITY),
            (statement(ada, REGISTRATION, true), rules::VOIDING),
        ] {
            assert_eq!(broken(written(&caller, &statement)), [rule], "{statement}");
        }
    }

    #[test]
    fn a_learner_is_one_on_every_resource_however_the_address_is_written() {
        let mailbox = |address: &str| json!({ "mbox": format!("mailto:{address}") });
        for (bound_to, said, same) in [
            (mailbox("ada@LMS.example"), mailbox("ada@lms.EXAMPLE"), true),
            (account("https://lms", USER), account("https://lms", &USER.to_uppercase()), true),
            (account("https://lms", USER), account("https://elsewhere", USER), true),
            (mailbox("ada@lms.example"), mailbox("eve@lms.example"), false),
            (account("https://lms", "ada"), account("https://elsewhere", "ada"), false),
        ] {
            let caller = bound(bound_to.clone());
            let state = DocumentScope::State {
                activity: "http://example.com/a".to_owned(),
                agent: ifi(said.clone()),
                registration: Some(REGISTRATION),
            };
            for scope in [state, DocumentScope::AgentProfile { agent: ifi(said.clone()) }] {
                let query = DocumentQuery::One { scope, id: "x".to_owned() };
                assert_eq!(document(&caller, DocumentMethod::Put, &query).is_ok(), same, "{bound_to} {said} {query:?}");
            }
            let verdict = written(&caller, &statement(said.clone(), REGISTRATION, false));
            assert_eq!(verdict.is_ok(), same, "{bound_to} {said}");
        }
    }

    #[test]
    fn a_launch_leaves_to_the_lms_what_is_the_lms_s_and_writes_for_its_unit() {
        use DocumentMethod::{Delete, Get, Post, Put};
        let caller = bound(account("https://lms", "ada"));
        let agent = || ifi(account("https://lms", "ada"));
        let state = |activity: &str| DocumentScope::State {
            activity: activity.to_owned(),
            agent: agent(),
            registration: Some(REGISTRATION),
        };
        let one = |scope, id: &str| DocumentQuery::One { scope, id: id.to_owned() };
        let (own, other) = ("http://example.com/a", "http://example.com/b");
        let profile = |activity: &str| DocumentScope::ActivityProfile { activity: activity.to_owned() };
        let many = DocumentQuery::Many { scope: state(own), since: None };
        for method in [Put, Post, Delete] {
            let refused = |query: &DocumentQuery| broken(document(&caller, method, query));
            assert_eq!(refused(&one(state(own), LAUNCH_DATA)), [rules::LAUNCH_DATA], "{method:?}");
            assert_eq!(refused(&one(state(other), "bookmark")), [rules::ACTIVITY], "{method:?}");
            assert_eq!(refused(&one(profile(other), "p")), [rules::ACTIVITY], "{method:?}");
            for fits in [
                one(state(own), "bookmark"),
                one(profile(own), "p"),
                one(DocumentScope::AgentProfile { agent: agent() }, "p"),
            ] {
                assert!(document(&caller, method, &fits).is_ok(), "{method:?} {fits:?}");
            }
        }
        assert_eq!(broken(document(&caller, Delete, &many)), [rules::LAUNCH_DATA]);
        for readable in [one(state(own), LAUNCH_DATA), one(state(other), "x"), one(profile(other), "p"), many] {
            assert!(document(&caller, Get, &readable).is_ok(), "{readable:?}");
        }
    }

    #[test]
    fn whose_documents_are_reached() {
        let agent = |name: &str| ifi(account("https://issuer", name));
        let state = |agent, registration| DocumentScope::State { activity: "http://a".to_owned(), agent, registration };
        let (own, other) = (state(agent("ada"), None), state(agent("eve"), None));
        let shared = DocumentScope::ActivityProfile { activity: "http://a".to_owned() };
        let learner = |registration| state(ifi(account("https://lms", "ada")), registration);
        let (get, put) = (DocumentMethod::Get, DocumentMethod::Put);
        for (caller, scope, may_read, may_write) in [
            (caller(None, "state"), &other, true, true),
            (caller(None, "profile"), &other, false, false),
            (caller(None, "all/read"), &other, true, false),
            (caller(Some("ada"), "state"), &own, true, true),
            (caller(Some("ada"), "state"), &other, false, false),
            (caller(Some("ada"), "state all/read"), &other, true, false),
            (caller(Some("ada"), "all"), &other, true, true),
            (caller(Some("ada"), "profile"), &shared, true, true),
            (launched("state"), &learner(Some(REGISTRATION)), true, true),
            (launched("all"), &learner(None), false, false),
            (launched("all"), &learner(Some(Uuid::nil())), false, false),
            (launched("all"), &other, false, false),
            (launched("profile"), &shared, true, true),
        ] {
            let query = DocumentQuery::One { scope: scope.clone(), id: "x".to_owned() };
            let may = |method| {
                documents(&caller, scope.resource(), method).and_then(|()| document(&caller, method, &query)).is_ok()
            };
            assert_eq!((may(get), may(put)), (may_read, may_write), "{:?} {scope:?}", caller.scopes.names());
        }
    }

    #[test]
    fn who_sits_down_in_front_of_the_pages_and_as_what() {
        let role = |scopes: &str| pages(&caller(None, scopes)).ok();
        assert_eq!(role("admin:* all"), Some(Role::Operator));
        assert_eq!(role("audit:read statements/read"), Some(Role::Auditor));
        assert_eq!(role("all"), Some(Role::Reader));
        assert_eq!(role("statements/write"), None);
        let elsewhere = Caller { tenant: TenantId(Uuid::nil()), ..caller(None, "admin:*") };
        assert_eq!(pages(&elsewhere).ok(), Some(Role::Administrator));
        assert!(pages(&launched("all")).is_err());
    }

    #[test]
    fn a_person_is_known_by_account_or_by_the_id_of_the_platform() {
        let one = |value| ifi(value);
        for (left, right, same) in [
            (account("https://a", USER), account("https://b", &USER.to_uppercase()), true),
            (account("https://a", "ada"), account("https://a", "ada"), true),
            (account("https://a", "ada"), account("https://b", "ada"), false),
            (json!({ "mbox": "mailto:ada@Example.org" }), json!({ "mbox": "mailto:ada@example.org" }), true),
            (json!({ "mbox": "mailto:ada@example.org" }), account("https://a", "ada"), false),
        ] {
            assert_eq!(is_same_person(&one(left.clone()), &one(right.clone())), same, "{left} {right}");
        }
    }

    #[test]
    fn names_are_told_of_oneself_and_to_who_sees_everything() {
        let (ada, eve) = (ifi(account("https://issuer", "ada")), ifi(account("https://issuer", "eve")));
        let told = |caller: &Caller, agent| names(caller, &statements(caller).unwrap(), agent);
        assert!(told(&caller(None, "statements/read"), &eve) && !told(&caller(None, "statements/read/mine"), &eve));
        let person = caller(Some("ada"), "statements/read");
        assert!(told(&person, &ada) && !told(&person, &eve) && told(&caller(Some("ada"), "all/read"), &eve));
    }

    fn reach(user: Option<&str>, scopes: &str) -> Result<Reach, AuthError> {
        Reach::of(&caller(user, scopes), &[Scope::ApiTranscriptRead], &Pseudonyms::with_key(b"key"))
    }

    #[test]
    fn services_and_administrators_read_everybody_and_learners_themselves() {
        assert!(reach(None, "all").unwrap_err().to_string().contains("transcript:read"));
        assert!(reach(Some(USER), "statement:read").is_err());
        assert_eq!(reach(None, "transcript:read").unwrap(), Reach::Everybody);
        assert_eq!(reach(Some(USER), "admin:*").unwrap(), Reach::Everybody);
        let own = reach(Some(&USER.to_uppercase()), "transcript:read").unwrap();
        assert!(own.covers(USER) && !own.covers("somebody else"));
        assert!(own.require("somebody else").is_err() && !own.is_of_others());
    }

    #[test]
    fn a_person_without_a_uuid_is_known_by_the_account_at_the_issuer() {
        let account = ifi(account("https://issuer", "ada"));
        let id = keys::user(TenantId::DEFAULT.0, &account, |key| Pseudonyms::with_key(b"key").of(key));
        assert!(reach(Some("ada"), "transcript:read").unwrap().covers(&id));
        assert!(!reach(Some("eve"), "transcript:read").unwrap().covers(&id));
    }
}
