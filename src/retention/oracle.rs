//! What the plan says against a model that knows no lines and no order: it asks of each row, rule by rule, whether it may go.
//! Histories are random: rules are set and taken away, holds come and go, courses are withdrawn, months are archived, time passes.

use super::*;
use crate::model::retention::Course;

/// A generator of its own, so that a history can be told by its number.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn maybe<T>(&mut self, value: T) -> Option<T> {
        (self.roll(2) == 0).then_some(value)
    }
}

const CLASSES: [&str; 2] = ["standard", "regulated"];

#[derive(Clone, Debug, PartialEq)]
struct Item {
    tenant: TenantId,
    stored: DateTime<Utc>,
    course: Option<Uuid>,
    is_archived: bool,
}

#[derive(Default)]
struct World {
    rules: Vec<Rule>,
    ends: HashMap<Uuid, DateTime<Utc>>,
    /// Whole tenants.
    held: Vec<TenantId>,
    classes: HashMap<TenantId, &'static str>,
    items: Vec<Item>,
    now: DateTime<Utc>,
}

fn tenant(n: u64) -> TenantId {
    TenantId(Uuid::from_u128(u128::from(n) + 1))
}

fn course(n: u64) -> Course {
    Course { id: format!("course {n}"), key: Uuid::from_u128(u128::from(n) + 100) }
}

/// The month that an item lies in, as a number.
fn month(item: &Item) -> i64 {
    item.stored.timestamp() / (30 * 86_400)
}

impl World {
    fn happen(&mut self, dice: &mut Dice) {
        match dice.roll(9) {
            0 | 1 => self.set_a_rule(dice),
            2 => drop(self.ends.insert(course(dice.roll(3)).key, self.now)),
            3 => self.held.push(tenant(dice.roll(3))),
            4 => drop(self.held.pop()),
            5 => drop(self.classes.insert(tenant(dice.roll(3)), CLASSES[dice.roll(2) as usize])),
            6 => {
                let cut = month(&Item { tenant: tenant(0), stored: self.now, course: None, is_archived: false });
                for item in self.items.iter_mut().filter(|item| month(item) + 1 < cut) {
                    item.is_archived = true;
                }
            }
            _ => {
                self.now += TimeDelta::days(dice.roll(40) as i64);
                for _ in 0..dice.roll(4) {
                    let (stored, tenant) = (self.now - TimeDelta::seconds(dice.roll(9) as i64), tenant(dice.roll(3)));
                    let course = dice.maybe(()).map(|()| course(dice.roll(3)).key);
                    self.items.push(Item { tenant, stored, course, is_archived: false });
                }
            }
        }
    }

    fn set_a_rule(&mut self, dice: &mut Dice) {
        if dice.roll(5) == 0 && !self.rules.is_empty() {
            let gone = dice.roll(self.rules.len() as u64) as usize;
            self.rules.remove(gone);
            return;
        }
        let course = if dice.roll(3) == 0 { Some(course(dice.roll(3))) } else { None };
        let starts = if course.is_some() && dice.roll(2) == 0 { Starts::Withdrawn } else { Starts::Stored };
        let tenant = if course.is_some() || dice.roll(2) == 0 { Some(tenant(dice.roll(3))) } else { None };
        let (keep, delete) = (1 + dice.roll(200) as u32, 1 + dice.roll(200) as u32);
        self.rules.push(Rule {
            number: self.rules.len() as i64,
            tenant,
            class: CLASSES[dice.roll(2) as usize].to_owned(),
            covers: Place::Statements,
            course,
            starts,
            keep: dice.maybe(keep),
            delete: dice.maybe(delete),
        });
    }

    fn class(&self, tenant: TenantId) -> &'static str {
        self.classes.get(&tenant).copied().unwrap_or("standard")
    }

    /// By the plan: lines for the rows of tables, and archived months whole.
    fn planned(&self) -> Vec<Item> {
        let goes = |item: &Item| {
            let law = Law {
                rules: &self.rules,
                tenant: item.tenant,
                class: self.class(item.tenant),
                ends: &self.ends,
                now: self.now,
            };
            let of_it = item.course.filter(|key| law.courses(Place::Statements).contains(key));
            !self.held.contains(&item.tenant) && law.cut(Place::Statements, of_it).removes(item.stored)
        };
        self.left(&goes)
    }

    /// What is left where `goes` says what may go, and an archived month goes whole or not at all.
    fn left(&self, goes: &dyn Fn(&Item) -> bool) -> Vec<Item> {
        let of_one = |one: &Item, other: &Item| (one.tenant, month(one)) == (other.tenant, month(other));
        let whole = |one: &Item| self.items.iter().filter(|other| other.is_archived && of_one(one, other)).all(goes);
        let stays = |item: &&Item| if item.is_archived { !whole(item) } else { !goes(item) };
        self.items.iter().filter(stays).cloned().collect()
    }

    /// Since when a rule counts for an item; `None`: it has not begun.
    fn begun(&self, rule: &Rule, item: &Item) -> Option<DateTime<Utc>> {
        match rule.starts {
            Starts::Stored => Some(item.stored),
            Starts::Withdrawn => rule.course.as_ref().and_then(|course| self.ends.get(&course.key)).copied(),
        }
    }

    /// By the model: nobody keeps it, and somebody deletes it whom no more explicit one contradicts.
    fn modelled(&self) -> Vec<Item> {
        let goes = |item: &Item| {
            let concerns = |rule: &&Rule| {
                let is_course = match (&rule.course, item.course) {
                    (None, _) => true,
                    (Some(wanted), Some(key)) => wanted.key == key,
                    (Some(_), None) => false,
                };
                let is_tenant = rule.tenant.is_none() || rule.tenant == Some(item.tenant);
                is_course && is_tenant && rule.class == self.class(item.tenant)
            };
            let over = |rule: &Rule, days: u32| {
                self.begun(rule, item).is_some_and(|begun| (self.now - begun) >= TimeDelta::days(i64::from(days)))
            };
            let about: Vec<&Rule> = self.rules.iter().filter(concerns).collect();
            let nobody_keeps = about.iter().all(|rule| rule.keep.is_none_or(|days| over(rule, days)));
            let names = |rule: &Rule| (rule.course.is_some(), rule.tenant.is_some());
            let contradicted = |rule: &Rule| {
                about.iter().any(|other| {
                    other.delete.is_some()
                        && (names(other).0 && !names(rule).0
                            || names(other).0 == names(rule).0 && names(other).1 && !names(rule).1)
                })
            };
            let somebody_deletes =
                about.iter().any(|rule| rule.delete.is_some_and(|days| over(rule, days)) && !contradicted(rule));
            !self.held.contains(&item.tenant) && nobody_keeps && somebody_deletes
        };
        self.left(&goes)
    }
}

#[test]
fn the_plan_and_the_model_agree_on_ten_thousand_histories() {
    let (mut removed, mut kept) = (0, 0);
    for history in 0..10_000 {
        let mut dice = Dice(history);
        let mut world = World { now: DateTime::UNIX_EPOCH + TimeDelta::days(20_000), ..World::default() };
        for step in 0..40 {
            world.happen(&mut dice);
            if dice.roll(4) == 0 {
                let (planned, modelled) = (world.planned(), world.modelled());
                assert_eq!(planned, modelled, "history {history}, step {step}, rules {:?}", world.rules);
                removed += world.items.len() - planned.len();
                kept += planned.len();
                world.items = planned;
            }
        }
    }
    assert!(removed > 10_000 && kept > 10_000, "{removed} went, {kept} stayed: the histories say too little");
}

fn rule(number: i64, keep: Option<u32>, delete: Option<u32>) -> Rule {
    let (class, covers, starts) = ("standard".to_owned(), Place::Statements, Starts::Stored);
    Rule { number, tenant: None, class, covers, course: None, starts, keep, delete }
}

fn cut(rules: &[Rule], of: Option<Uuid>) -> Cut {
    let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    Law { rules, tenant: tenant(0), class: "standard", ends: &HashMap::new(), now }.cut(Place::Statements, of)
}

#[test]
fn each_principle_says_that_it_decided() {
    let own = |rule: Rule| Rule { tenant: Some(tenant(0)), ..rule };
    let of_course = |rule: Rule| Rule { tenant: Some(tenant(0)), course: Some(course(0)), ..rule };
    let reasons = |rules: &[Rule], of| {
        let cut = cut(rules, of);
        (cut.goes.0, cut.stays)
    };
    use Principle as P;
    assert_eq!(cut(&[], None), Cut { until: None, goes: (P::NoRule, None), stays: (P::NoRule, None) });
    assert_eq!(reasons(&[rule(1, Some(9), None)], None).1, (P::Kept, Some(1)));
    assert_eq!(reasons(&[rule(1, Some(9), None), own(rule(2, Some(30), None))], None).1, (P::LongestKeep, Some(2)));
    assert_eq!(reasons(&[rule(1, Some(9), None), rule(2, None, Some(3))], None).1, (P::KeepBeatsDelete, Some(1)));
    assert_eq!(reasons(&[rule(1, None, Some(9))], None), (P::Deleted, (P::NotYet, Some(1))));
    let two = [rule(1, None, Some(9)), rule(2, None, Some(3))];
    assert_eq!(reasons(&two, None), (P::ShortestDelete, (P::NotYet, Some(2))));
    let explicit = [rule(1, None, Some(3)), own(rule(2, None, Some(9)))];
    assert_eq!(reasons(&explicit, None), (P::Explicit, (P::NotYet, Some(2))), "though it is the longer one");
    let both = [explicit[0].clone(), explicit[1].clone(), of_course(rule(3, None, Some(90)))];
    assert_eq!(reasons(&both, Some(course(0).key)).1, (P::NotYet, Some(3)));
    assert_eq!(reasons(&both, None).1, (P::NotYet, Some(2)), "what is of no course knows nothing of it");
}

#[test]
fn a_course_that_was_not_withdrawn_keeps_what_waits_for_that() {
    let withdrawn = Rule {
        tenant: Some(tenant(0)),
        course: Some(course(0)),
        starts: Starts::Withdrawn,
        ..rule(1, Some(5), Some(5))
    };
    let rules = [withdrawn, rule(2, None, Some(1))];
    let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
    let of = |ends: HashMap<Uuid, DateTime<Utc>>| {
        Law { rules: &rules, tenant: tenant(0), class: "standard", ends: &ends, now }
            .cut(Place::Statements, Some(course(0).key))
    };
    assert_eq!(of(HashMap::new()).until, None);
    assert_eq!(of(HashMap::from([(course(0).key, now - TimeDelta::days(4))])).until, None);
    assert_eq!(of(HashMap::from([(course(0).key, now - TimeDelta::days(5))])).until, Some(now));
}
