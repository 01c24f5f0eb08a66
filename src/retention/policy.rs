//! Rules and holds as people set them: what a change comes to is shown first, and what a law keeps is shortened by two persons.

use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Retention, RetentionError,
    look::Trial,
    units::{Unit, What},
};
use crate::{
    model::{
        TenantId,
        retention::{Course, Rule},
    },
    store::{
        As, StoreError,
        ledger::{
            holds::{self, Hold, New, Scope},
            retention::{self as rules, Class, Request, Set},
        },
        platform::audit::{self, Entry},
    },
};

/// What is to be changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Rule(Rule),
    Class { tenant: TenantId, class: String },
}

impl Change {
    /// As it stands in a plan; the database compares it with what is set.
    fn to_json(&self) -> Value {
        match self {
            Self::Rule(rule) => json!({ "tenant": rule.tenant, "class": rule.class, "covers": rule.covers,
                "course": rule.course.as_ref().map(|course| &course.id), "starts": rule.starts,
                "keepDays": rule.keep, "deleteDays": rule.delete }),
            Self::Class { tenant, class } => json!({ "tenant": tenant, "class": class }),
        }
    }

    fn tenant(&self) -> Option<TenantId> {
        match self {
            Self::Rule(rule) => rule.tenant,
            Self::Class { tenant, .. } => Some(*tenant),
        }
    }

    fn trial(&self) -> Trial {
        match self {
            Self::Rule(rule) => Trial::Rule(rule.clone()),
            Self::Class { tenant, class } => Trial::Class(*tenant, class.clone()),
        }
    }
}

/// Something that another decision is taken about.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    pub before: Option<Unit>,
    pub after: Option<Unit>,
}

/// What a change would come to.
#[derive(Clone, Debug)]
pub struct Preview {
    pub change: Change,
    pub effects: Vec<Effect>,
    /// The class that only two persons shorten, where this does.
    pub guarded: Option<String>,
    /// What is signed: the change, and what of the archive would go that stays now.
    pub plan: Value,
}

/// A hold that is to be placed.
#[derive(Clone, Debug)]
pub struct NewHold<'h> {
    pub tenant: TenantId,
    pub scope: Scope,
    pub reason: &'h str,
    pub law: &'h str,
}

impl Retention {
    /// The classes, and the rules that are in force or ever were.
    pub async fn policy(
        &self,
        tenant: Option<TenantId>,
        with_history: bool,
    ) -> Result<(Vec<Class>, Vec<Set>), RetentionError> {
        let read = self.store.run_tx("policy", As::Worker, |tx| {
            Box::pin(async move {
                let classes = rules::classes(tx).await?;
                let found =
                    if with_history { rules::history(tx, tenant).await? } else { rules::in_force(tx, tenant).await? };
                Ok::<_, StoreError>((classes, found))
            })
        });
        Ok(read.await?)
    }

    /// The class of a tenant.
    pub async fn class_of(&self, tenant: TenantId) -> Result<String, RetentionError> {
        Ok(self.store.run_tx("class_of", As::Worker, |tx| Box::pin(rules::class_of(tx, tenant))).await?)
    }

    /// What a change would come to, before anything happens.
    pub async fn preview(&self, change: Change) -> Result<Preview, RetentionError> {
        let (classes, set) = self.policy(change.tenant(), false).await?;
        let named = match &change {
            Change::Rule(rule) => &rule.class,
            Change::Class { class, .. } => class,
        };
        if !classes.iter().any(|class| class.name == *named) {
            return Err(RetentionError::NoClass(named.clone()));
        }
        let guarded = |name: &str| classes.iter().find(|class| class.name == name && class.needs_sign_off);
        let guarded = match &change {
            Change::Rule(rule) => {
                let before = set.iter().find(|one| is_same_kind(&one.rule, rule)).and_then(|one| one.rule.keep);
                guarded(&rule.class).filter(|_| rule.keep.unwrap_or(0) < before.unwrap_or(0))
            }
            Change::Class { tenant, class } => {
                let before = self.class_of(*tenant).await?;
                guarded(&before).filter(|_| before != *class)
            }
        };
        let guarded = guarded.map(|class| class.name.clone());
        let before = self.plan(change.tenant(), None).await?.units;
        let after = self.plan(change.tenant(), Some(&change.trial())).await?.units;
        let effects = effects(&before, &after);
        let plan = json!({ "change": change.to_json(), "removes": removes(&effects) });
        Ok(Preview { change, effects, guarded, plan })
    }

    /// Makes a change as it was shown. Where another person's word is needed and `signed` names no plan that has it, the plan is
    /// kept for them and the answer says so.
    pub async fn change(
        &self,
        preview: &Preview,
        (reason, by): (&str, &str),
        signed: Option<&str>,
    ) -> Result<(), RetentionError> {
        let tenant = preview.change.tenant();
        let role = As::Retention(tenant.unwrap_or(TenantId::DEFAULT));
        if let Some(class) = &preview.guarded {
            self.must_be_signed(preview, class, by, signed).await?;
        }
        let signed = signed.filter(|_| preview.guarded.is_some());
        self.store
            .run_once("change_retention", role, |tx| {
                Box::pin(async move {
                    match &preview.change {
                        Change::Rule(rule) => drop(rules::add(tx, rule, (reason, by), signed).await?),
                        Change::Class { tenant, class } => {
                            rules::assign(tx, (*tenant, class), (reason, by), signed).await?;
                        }
                    }
                    let detail =
                        json!({ "change": preview.change.to_json(), "plan": signed, "effects": preview.effects.len() });
                    let subject = tenant.map_or_else(|| "everybody".to_owned(), |tenant| tenant.to_string());
                    self.say(tx, role, "retention.policy", by, subject, detail).await
                })
            })
            .await
            .map_err(refused)
    }

    async fn must_be_signed(
        &self,
        preview: &Preview,
        class: &str,
        by: &str,
        signed: Option<&str>,
    ) -> Result<(), RetentionError> {
        let tenant = preview.change.tenant();
        if let Some(digest) = signed {
            let found = self.request(digest).await?;
            let signed_by_another = found.signed_by.is_some() && found.plan["change"] == preview.plan["change"];
            let of = |plan: &Value| plan["removes"].as_array().cloned().unwrap_or_default();
            let shown = of(&found.plan);
            if signed_by_another && of(&preview.plan).iter().all(|one| shown.contains(one)) {
                return Ok(());
            }
        }
        let role = As::Retention(tenant.unwrap_or(TenantId::DEFAULT));
        let kept = self.store.run_once("request_retention", role, |tx| {
            Box::pin(async move {
                let digest = rules::request(tx, tenant, &preview.plan, by).await?;
                self.say(
                    tx,
                    role,
                    "retention.request",
                    by,
                    digest.clone(),
                    json!({ "change": preview.plan["change"] }),
                )
                .await?;
                Ok::<_, StoreError>(digest)
            })
        });
        Err(RetentionError::NeedsSignOff { class: class.to_owned(), digest: kept.await? })
    }

    async fn request(&self, digest: &str) -> Result<Request, RetentionError> {
        let found = self.store.run_tx("requests", As::Worker, |tx| Box::pin(rules::requests(tx, Some(digest)))).await?;
        found.into_iter().next().ok_or_else(|| RetentionError::NoRequest(digest.to_owned()))
    }

    /// The plans that wait for a sign-off, or have one.
    pub async fn requests(&self) -> Result<Vec<Request>, RetentionError> {
        Ok(self.store.run_tx("requests", As::Worker, |tx| Box::pin(rules::requests(tx, None))).await?)
    }

    /// Another person's word for the plan of this digest.
    pub async fn sign_off(&self, digest: &str, by: &str, reason: &str) -> Result<Request, RetentionError> {
        let request = self.request(digest).await?;
        if request.requested_by.trim().eq_ignore_ascii_case(by.trim()) {
            return Err(RetentionError::SamePerson(by.to_owned()));
        }
        let (asked, role) = (&request, As::Retention(request.tenant.unwrap_or(TenantId::DEFAULT)));
        self.store
            .run_once("sign_off", role, |tx| {
                Box::pin(async move {
                    rules::sign_off(tx, asked, by, reason).await?;
                    let detail = json!({ "change": asked.plan["change"] });
                    self.say(tx, role, "retention.sign-off", by, asked.digest.clone(), detail).await
                })
            })
            .await
            .map_err(refused)?;
        Ok(Request { signed_by: Some(by.to_owned()), ..request })
    }

    /// Adds a class.
    pub async fn add_class(&self, class: &Class, by: &str) -> Result<(), RetentionError> {
        let role = As::Retention(TenantId::DEFAULT);
        self.store
            .run_once("add_class", role, |tx| {
                Box::pin(async move {
                    rules::add_class(tx, class, by).await?;
                    let detail = json!({ "needsSignOff": class.needs_sign_off });
                    self.say(tx, role, "retention.class", by, class.name.clone(), detail).await
                })
            })
            .await
            .map_err(refused)
    }

    /// Notes that a course was withdrawn.
    pub async fn withdraw(
        &self,
        tenant: TenantId,
        course: &Course,
        at: chrono::DateTime<chrono::Utc>,
        by: &str,
    ) -> Result<(), RetentionError> {
        let role = As::Retention(tenant);
        self.store
            .run_once("withdraw_course", role, |tx| {
                Box::pin(async move {
                    rules::withdraw(tx, tenant, course, at, by).await?;
                    self.say(tx, role, "retention.withdraw", by, course.id.clone(), json!({ "at": at })).await
                })
            })
            .await
            .map_err(refused)
    }

    /// Places a hold. From then on nothing under it goes.
    pub async fn hold(&self, new: &NewHold<'_>, by: &str) -> Result<Hold, RetentionError> {
        let NewHold { tenant, scope, reason, law } = new;
        let (role, id) = (As::Retention(*tenant), self.ids.uuid());
        let hold = &New { id, scope, reason, law, by };
        self.store
            .run_once("place_hold", role, |tx| {
                Box::pin(async move {
                    let placed = holds::add(tx, *tenant, hold).await?;
                    let detail = json!({ "scope": placed.scope, "law": placed.law });
                    self.say(tx, role, "retention.hold", by, id.to_string(), detail).await?;
                    Ok(placed)
                })
            })
            .await
            .map_err(refused)
    }

    /// Ends a hold.
    pub async fn release(&self, tenant: TenantId, id: Uuid, by: &str, reason: &str) -> Result<Hold, RetentionError> {
        let role = As::Retention(tenant);
        let ended = self.store.run_once("release_hold", role, |tx| {
            Box::pin(async move {
                let ended = holds::release(tx, tenant, id, by, reason).await?;
                if ended.is_some() {
                    self.say(tx, role, "retention.release", by, id.to_string(), json!({})).await?;
                }
                Ok::<_, StoreError>(ended)
            })
        });
        ended.await.map_err(refused)?.ok_or(RetentionError::NoHold(id))
    }

    /// The holds of a tenant or of all.
    pub async fn holds(&self, tenant: Option<TenantId>, with_ended: bool) -> Result<Vec<Hold>, RetentionError> {
        Ok(self.store.run_tx("holds", As::Worker, |tx| Box::pin(holds::list(tx, tenant, with_ended))).await?)
    }

    async fn say(
        &self,
        tx: &crate::store::Tx<'_>,
        role: As,
        action: &'static str,
        actor: &str,
        subject: String,
        detail: Value,
    ) -> Result<(), StoreError> {
        let tenant = match role {
            As::Retention(tenant) => Some(tenant),
            _ => None,
        };
        audit::append(tx, &Entry { tenant, actor, action, subject, detail }).await.map(drop)
    }
}

fn is_same_kind(one: &Rule, other: &Rule) -> bool {
    let key = |rule: &Rule| rule.course.as_ref().map(|course| course.key);
    (one.tenant, &one.class, one.covers, one.starts, key(one))
        == (other.tenant, &other.class, other.covers, other.starts, key(other))
}

/// What the two plans decide differently.
fn effects(before: &[Unit], after: &[Unit]) -> Vec<Effect> {
    let same = |one: &&Unit, other: &Unit| {
        (one.tenant, one.place, one.what, one.month, one.revision, one.course, one.goes())
            == (other.tenant, other.place, other.what, other.month, other.revision, other.course, other.goes())
    };
    let differs =
        |one: &Unit, other: &Unit| (one.principle, one.rule, one.rows) != (other.principle, other.rule, other.rows);
    let mut effects = Vec::new();
    for now in after {
        let then = before.iter().find(|one| same(one, now));
        if then.is_none_or(|then| differs(then, now)) {
            effects.push(Effect { before: then.cloned(), after: Some(now.clone()) });
        }
    }
    let gone = before.iter().filter(|then| !after.iter().any(|one| same(&one, then)));
    effects.extend(gone.map(|then| Effect { before: Some(then.clone()), after: None }));
    effects
}

/// What of the archive goes by the change that stays without it.
fn removes(effects: &[Effect]) -> Vec<Value> {
    let newly = |effect: &Effect| {
        let after = effect.after.as_ref().filter(|unit| unit.goes() && unit.what == What::Segment)?;
        Some(json!({ "tenant": after.tenant, "month": after.month, "revision": after.revision }))
    };
    effects.iter().filter_map(newly).collect()
}

/// What the database refuses, in its own words.
fn refused(error: StoreError) -> RetentionError {
    match &error {
        StoreError::Database { code, message, .. } if code == "42501" || code.starts_with("23") || code == "55006" => {
            RetentionError::Refused(message.clone())
        }
        _ => RetentionError::Store(error),
    }
}
