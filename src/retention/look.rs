//! The plan for what there is: of each tenant the months of its statements, the segments in the archive, and its other rows, each with
//! what goes, what stays, and the principle that decided. Changes nothing.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{
    Retention, RetentionError,
    plan::{Cut, Law, Principle},
    units::{Plan, Unit, What, blank},
};
use crate::{
    model::{
        TenantId,
        partition::{Month, State},
        retention::{Place, Rule},
    },
    objects::{
        segment::{self, Filter, Key},
        shelf::Wanted,
    },
    store::{
        As, StoreError,
        ledger::{
            aged,
            holds::{self, Hold},
            partitions::{self, Standing},
            removals::{self, Rows},
            retention as rules,
            segments::{self, Segment},
            statements::related_form,
            tables::Tables,
        },
        platform::tenants,
    },
};

/// What is in force for one tenant.
pub(super) struct Ground {
    pub tenant: TenantId,
    pub class: String,
    pub rules: Vec<Rule>,
    pub ends: std::collections::HashMap<Uuid, DateTime<Utc>>,
    pub holds: Vec<Hold>,
    standings: Vec<Standing>,
    segments: Vec<Segment>,
}

impl Ground {
    pub fn law(&self, now: DateTime<Utc>) -> Law<'_> {
        Law { rules: &self.rules, tenant: self.tenant, class: &self.class, ends: &self.ends, now }
    }

    /// What state a month is in.
    pub fn state(&self, month: Month) -> Option<State> {
        let found = self.standings.iter().find(|one| one.partition.bounds.lower == month.begin());
        found.map(|one| one.partition.state)
    }

    pub fn whole_hold(&self) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.is_of_all())
    }

    /// Every key that a narrower hold names, in every form.
    pub fn held_keys(&self) -> Vec<Uuid> {
        self.holds.iter().flat_map(|hold| hold.keys.iter().copied()).collect()
    }

    /// Keys of courses that keep something which is older than their own line but not than that of others.
    pub fn kept_courses(&self, now: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Uuid> {
        let law = self.law(now);
        let keeps = |key: &Uuid| law.cut(Place::Statements, Some(*key)).until.is_none_or(|own| own < until);
        law.courses(Place::Statements).into_iter().filter(keeps).flat_map(|key| [key, related_form(key)]).collect()
    }
}

impl Retention {
    /// The plan for a tenant, or for all; with these rules in the place of those in force where some are given.
    pub async fn plan(&self, tenant: Option<TenantId>, trial: Option<&Trial>) -> Result<Plan, RetentionError> {
        let mut plan = Plan::default();
        for tenant in self.tenants(tenant).await? {
            let ground = self.ground(tenant, trial).await?;
            self.look(&ground, &mut plan).await?;
        }
        Ok(plan)
    }

    async fn tenants(&self, only: Option<TenantId>) -> Result<Vec<TenantId>, RetentionError> {
        if let Some(only) = only {
            let found = self.store.run_tx("tenant", As::Worker, |tx| Box::pin(tenants::get(tx, only))).await?;
            return if found.is_some() { Ok(vec![only]) } else { Err(RetentionError::NoTenant(only)) };
        }
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self
                .store
                .run_tx("tenants", As::Worker, |tx| {
                    let after = after.clone();
                    Box::pin(async move { tenants::list(tx, after.as_deref(), PAGE).await })
                })
                .await?;
            all.extend(page.iter().map(|tenant| tenant.id));
            match page.last() {
                Some(last) if page.len() as i64 >= PAGE => after = Some(last.name.clone()),
                _ => return Ok(all),
            }
        }
    }

    pub(super) async fn ground(&self, tenant: TenantId, trial: Option<&Trial>) -> Result<Ground, RetentionError> {
        let mut ground = self
            .store
            .run_tx("retention_ground", As::Worker, |tx| {
                Box::pin(async move {
                    Ok::<_, StoreError>(Ground {
                        tenant,
                        class: rules::class_of(tx, tenant).await?,
                        rules: rules::in_force(tx, Some(tenant)).await?.into_iter().map(|set| set.rule).collect(),
                        ends: rules::ends(tx, tenant).await?,
                        holds: holds::list(tx, Some(tenant), false).await?,
                        standings: partitions::standings(tx).await?,
                        segments: segments::published(tx, Some(tenant), None).await?,
                    })
                })
            })
            .await?;
        if let Some(trial) = trial {
            trial.on(&mut ground);
        }
        Ok(ground)
    }

    async fn look(&self, ground: &Ground, plan: &mut Plan) -> Result<(), RetentionError> {
        let now = self.clock.now();
        let general = ground.law(now).cut(Place::Statements, None);
        for standing in &ground.standings {
            let month = Month::of(standing.partition.bounds.lower);
            let segment = ground.segments.iter().find(|one| one.name.month == month);
            let tables = match (standing.partition.state, segment) {
                (_, Some(segment)) if !standing.partition.state.is_hot() => {
                    plan.units.push(self.segment(ground, segment, &general, now).await?);
                    continue;
                }
                (State::Open | State::Sealed, _) => Tables::Hot,
                (State::Detached | State::Archived, _) => Tables::Detached,
                _ => continue,
            };
            self.rows(ground, (month, tables), &general, now, plan).await?;
        }
        for place in [Place::Documents, Place::Attachments, Place::Attempts, Place::Events] {
            plan.units.extend(self.aged(ground, place, now).await?);
        }
        Ok(())
    }

    /// What goes of a month's rows: by the line for everything, and by those of courses.
    async fn rows(
        &self,
        ground: &Ground,
        (month, tables): (Month, Tables),
        general: &Cut,
        now: DateTime<Utc>,
        plan: &mut Plan,
    ) -> Result<(), RetentionError> {
        let law = ground.law(now);
        let courses =
            law.courses(Place::Statements).into_iter().map(|key| (Some(key), law.cut(Place::Statements, Some(key))));
        let before = plan.units.len();
        for (course, cut) in [(None, general.clone())].into_iter().chain(courses) {
            let Some(until) = cut.until.filter(|until| *until >= month.begin()) else { continue };
            let until = until.min(last_of(month));
            let (only, but) = sieve(ground, course, now, until);
            let rows = self.count(ground.tenant, tables, (month.begin(), until), &only, &but).await?;
            let held = ground.whole_hold();
            if rows > 0 {
                let (principle, rule) = if held.is_some() { (Principle::Hold, None) } else { cut.goes };
                plan.units.push(Unit {
                    until: Some(until).filter(|_| held.is_none()),
                    course,
                    rows,
                    principle,
                    rule,
                    hold: held.map(|hold| hold.id),
                    ..blank(ground.tenant, Place::Statements, What::Rows, Some(month))
                });
            }
        }
        let all = self.count(ground.tenant, tables, (month.begin(), last_of(month)), &[], &[]).await?;
        let going: i64 = plan.units[before..].iter().map(|unit| unit.rows).sum();
        if all > going {
            let stays = match general.until {
                Some(until) if until >= month.end() => (Principle::Hold, None),
                _ => general.stays,
            };
            let narrow = ground.holds.iter().find(|hold| !hold.is_of_all()).map(|hold| hold.id);
            let stays =
                if stays.0 == Principle::Hold && narrow.is_none() { (Principle::Explicit, None) } else { stays };
            plan.units.push(Unit {
                rows: all - going,
                principle: stays.0,
                rule: stays.1,
                hold: narrow.filter(|_| stays.0 == Principle::Hold),
                ..blank(ground.tenant, Place::Statements, What::Rows, Some(month))
            });
        }
        Ok(())
    }

    async fn count(
        &self,
        tenant: TenantId,
        tables: Tables,
        (from, until): (DateTime<Utc>, DateTime<Utc>),
        only: &[Uuid],
        but: &[Uuid],
    ) -> Result<i64, RetentionError> {
        let rows = &Rows { tenant, tables, from, until, only, but };
        Ok(self.store.run_tx("count_rows", As::Retention(tenant), |tx| Box::pin(removals::count(tx, rows))).await?)
    }

    /// An archived month goes whole or not at all.
    async fn segment(
        &self,
        ground: &Ground,
        segment: &Segment,
        general: &Cut,
        now: DateTime<Utc>,
    ) -> Result<Unit, RetentionError> {
        let contents = segment.contents.as_ref();
        let last = contents.map_or(segment.name.month.end(), |contents| contents.last_stored);
        let unit = Unit {
            revision: Some(segment.name.revision),
            rows: contents.map_or(0, |contents| contents.rows),
            bytes: contents.map_or(0, |contents| contents.bytes),
            ..blank(ground.tenant, Place::Statements, What::Segment, Some(segment.name.month))
        };
        let stays = |(principle, rule), hold| Unit { principle, rule, hold, ..unit.clone() };
        if let Some(hold) = ground.whole_hold() {
            return Ok(stays((Principle::Hold, None), Some(hold.id)));
        }
        if !general.removes(last) {
            return Ok(stays(general.stays, None));
        }
        for hold in &ground.holds {
            if self.names(segment, &hold.keys).await? {
                return Ok(stays((Principle::Hold, None), Some(hold.id)));
            }
        }
        if self.names(segment, &ground.kept_courses(now, last)).await? {
            return Ok(stays((Principle::Whole, None), None));
        }
        Ok(Unit { until: Some(last), principle: general.goes.0, rule: general.goes.1, ..unit })
    }

    /// Whether a statement of the segment is about one of these keys, or has one as a relation.
    async fn names(&self, segment: &Segment, keys: &[Uuid]) -> Result<bool, RetentionError> {
        let Some(contents) = segment.contents.as_ref().filter(|_| !keys.is_empty()) else { return Ok(false) };
        let name = segment.name;
        let place = segment::Place { tenant: name.tenant, month: name.month, revision: name.revision };
        let wanted = Wanted { place, digest: contents.digest.clone() };
        let visit = self.shelf.visit().await?;
        let span = segment::Span { ascending: true, since: None, until: None, limit: 1, bytes: 1 << 20 };
        for key in keys {
            for column in [Key::Agent, Key::Activity, Key::Registration] {
                if !visit.select(&wanted, &Filter::default().and(column, *key, &[*key]), &span).await?.is_empty() {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Rows that are not kept by months.
    async fn aged(&self, ground: &Ground, place: Place, now: DateTime<Utc>) -> Result<Option<Unit>, RetentionError> {
        let cut = ground.law(now).cut(place, None);
        let Some(until) = cut.until else { return Ok(None) };
        let tenant = ground.tenant;
        let count = self
            .store
            .run_tx("count_aged", As::Retention(tenant), |tx| Box::pin(aged::count(tx, tenant, place, until)));
        let rows = count.await?;
        if rows == 0 {
            return Ok(None);
        }
        // Whose such a row is cannot be told by a key, so any hold keeps all of them.
        let held = ground.holds.first().map(|hold| hold.id);
        let (principle, rule) = if held.is_some() { (Principle::Hold, None) } else { cut.goes };
        let unit = blank(tenant, place, What::Rows, None);
        Ok(Some(Unit { until: Some(until).filter(|_| held.is_none()), rows, principle, rule, hold: held, ..unit }))
    }
}

/// Which keys rows must have, and must not have, to go by the line of a course or by that for everything.
pub(super) fn sieve(
    ground: &Ground,
    course: Option<Uuid>,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> (Vec<Uuid>, Vec<Uuid>) {
    let only: Vec<Uuid> = course.into_iter().flat_map(|key| [key, related_form(key)]).collect();
    let mut but = ground.held_keys();
    but.extend(ground.kept_courses(now, until).into_iter().filter(|key| !only.contains(key)));
    (only, but)
}

/// Tenants that are asked for at once.
const PAGE: i64 = 500;

/// What would be, if.
#[derive(Clone, Debug)]
pub enum Trial {
    /// This rule in the place of the one of its kind.
    Rule(Rule),
    /// A tenant of another class.
    Class(TenantId, String),
    /// What is older than so many days goes, whatever the rules delete; what they keep, and holds, stay.
    OlderThan(u32),
}

impl Trial {
    fn on(&self, ground: &mut Ground) {
        match self {
            Self::Rule(rule) => {
                ground.rules.retain(|one| {
                    (&one.tenant, &one.class, one.covers, one.starts)
                        != (&rule.tenant, &rule.class, rule.covers, rule.starts)
                        || one.course.as_ref().map(|course| course.key) != rule.course.as_ref().map(|course| course.key)
                });
                if rule.tenant.is_none_or(|tenant| tenant == ground.tenant) {
                    ground.rules.push(rule.clone());
                }
            }
            Self::Class(tenant, class) if *tenant == ground.tenant => ground.class.clone_from(class),
            Self::Class(..) => {}
            // What keeps goes on keeping; the rules that delete are left out for this one.
            Self::OlderThan(days) => {
                ground.rules.iter_mut().for_each(|rule| rule.delete = None);
                let class = ground.class.clone();
                ground.rules.extend(Place::ALL.map(|covers| Rule {
                    number: 0,
                    tenant: None,
                    class: class.clone(),
                    covers,
                    course: None,
                    starts: crate::model::retention::Starts::Stored,
                    keep: None,
                    delete: Some(*days),
                }));
            }
        }
    }
}

/// The last moment of a month.
pub(super) fn last_of(month: Month) -> DateTime<Utc> {
    month.end() - chrono::TimeDelta::microseconds(1)
}
