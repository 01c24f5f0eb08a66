//! A plan: the steps of a rollout as a versioned file, and whether they can be done and taken back. Pure.

use std::{collections::BTreeSet, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{config::receivers::EVENTS, flags::declared};

/// The newest form of a file that is read here.
pub const FORMAT: u32 = 1;
const LONGEST_ABOUT: usize = 2_000;
const LONGEST_SQL: usize = 10_000;
const MOST_WEBHOOKS: usize = 16;

/// A plan as its file says it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    pub format: u32,
    pub name: String,
    pub about: String,
    #[serde(default)]
    pub watch: Watch,
    /// What has to hold before a step switches, while it is baked, and after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// Who is told what it does. A release that does not know the section refuses the plan by its name: nobody is left out silently.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tell: Option<Tell>,
    pub steps: Vec<Step>,
}

/// Who is told what a rollout does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tell {
    /// Names in `rollout.receivers` of the configuration: addresses and secrets stand there alone.
    pub webhooks: Vec<String>,
    /// Whether it goes to the topic of events.
    pub events: bool,
}

impl Tell {
    /// All of them by name.
    pub fn names(&self) -> Vec<&str> {
        let events = self.events.then_some(EVENTS);
        self.webhooks.iter().map(String::as_str).chain(events).collect()
    }

    fn faults(&self, known: &Known) -> Vec<String> {
        let mut found = Vec::new();
        if self.names().is_empty() || self.webhooks.len() > MOST_WEBHOOKS {
            found.push(format!(
                "tell: name 1 to {MOST_WEBHOOKS} webhooks, or set events = true, or leave the section out"
            ));
        }
        for (place, name) in self.webhooks.iter().enumerate() {
            let why = if name.contains([':', '/']) {
                // It is not repeated: some addresses are a secret.
                "an address stands in no plan: give it a name in rollout.receivers of the configuration, and name that"
                    .to_owned()
            } else if self.webhooks[..place].contains(name) {
                format!("{name:.80?} is there twice")
            } else if !known.receivers.contains(name) {
                let there = if known.receivers.is_empty() { "none".to_owned() } else { known.receivers.join(", ") };
                format!("rollout.receivers of the configuration names no {name:.80?}; it has {there}")
            } else {
                continue;
            };
            found.push(format!("tell.webhooks[{place}]: {why}"));
        }
        found
    }
}

/// A question to the database whose every row is something that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub name: String,
    /// One SELECT.
    pub sql: String,
}

/// What is watched while a step is baked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Watch {
    /// Answers that take longer are slow.
    pub slow: String,
    /// A part of bad requests that is larger by this is tolerated.
    pub tolerance: f64,
}

impl Default for Watch {
    fn default() -> Self {
        Self { slow: "1s".to_owned(), tolerance: 0.01 }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub name: String,
    #[serde(flatten)]
    pub what: What,
    /// Steps that have to be done before.
    #[serde(default)]
    pub needs: Vec<String>,
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum What {
    /// Waits until these files are applied; they only add.
    Expand { files: Vec<String> },
    /// Begins a backfill and waits until it is verified.
    Backfill { backfill: String },
    /// Sets a flag under which what is written is written in the old form and in the new.
    #[serde(rename = "dual-write")]
    DualWrite {
        flag: String,
        value: String,
        #[serde(default)]
        pilots: Vec<String>,
        #[serde(default)]
        bake: Option<String>,
    },
    /// Begins a comparison of its own and waits until no row differs.
    Compare { compare: String },
    /// Sets a flag, for pilots or for everybody, and watches for a while.
    Switch {
        flag: String,
        value: String,
        #[serde(default)]
        pilots: Vec<String>,
        #[serde(default)]
        bake: Option<String>,
    },
    /// Waits until these files are applied, which take away what the old version needs. Nothing is taken back from here on.
    Contract { files: Vec<String> },
}

/// A flag that a step sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sets<'a> {
    pub flag: &'a str,
    pub value: &'a str,
    /// Nobody: it is set for everybody.
    pub pilots: &'a [String],
    pub bake: Option<&'a str>,
}

impl Sets<'_> {
    pub fn is_for_everybody(&self) -> bool {
        self.pilots.is_empty()
    }

    fn faults(&self, known: &Known) -> Vec<String> {
        let mut found = Vec::new();
        match declared::known(self.flag) {
            None => found.push(format!("there is no flag {:?}", self.flag)),
            Some(flag) => found.extend(declared::read(flag, self.value).err()),
        }
        let unknown = self.pilots.iter().filter(|pilot| !known.tenants.contains(pilot));
        found.extend(unknown.map(|pilot| format!("there is no tenant {pilot:?} to be a pilot")));
        if self.bake.is_some_and(|bake| span(bake).is_none()) {
            found.push("bake is no span such as 30m".to_owned());
        }
        found
    }
}

impl What {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Expand { .. } => "expand",
            Self::Backfill { .. } => "backfill",
            Self::DualWrite { .. } => "dual-write",
            Self::Compare { .. } => "compare",
            Self::Switch { .. } => "switch",
            Self::Contract { .. } => "contract",
        }
    }

    /// The flag that it sets; other steps set none.
    pub fn sets(&self) -> Option<Sets<'_>> {
        match self {
            Self::Switch { flag, value, pilots, bake } | Self::DualWrite { flag, value, pilots, bake } => {
                Some(Sets { flag, value, pilots, bake: bake.as_deref() })
            }
            Self::Expand { .. } | Self::Backfill { .. } | Self::Compare { .. } | Self::Contract { .. } => None,
        }
    }
}

/// A file of this binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownFile {
    /// `module/file`.
    pub name: String,
    pub only_adds: bool,
    pub reversible: bool,
}

/// What a plan may name.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub files: Vec<KnownFile>,
    pub backfills: Vec<String>,
    pub comparisons: Vec<String>,
    pub tenants: Vec<String>,
    /// Names of those who may be told over HTTP.
    pub receivers: Vec<String>,
}

/// Reads the text of a file.
pub fn read(text: &str) -> Result<Plan, String> {
    // A newer form may hold what this one does not know: its number is what matters then.
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| format!("the plan is no TOML: {error}"))?;
    match table.get("format").and_then(toml::Value::as_integer) {
        Some(format) if format > i64::from(FORMAT) => {
            return Err(format!("the plan has format {format}; this release reads up to {FORMAT}"));
        }
        Some(_) => {}
        None => return Err("the plan says no `format`".to_owned()),
    }
    table.try_into().map_err(|error| format!("the plan does not fit: {error}"))
}

/// What rollouts and steps may be called: 1 to 63 of a-z, 0-9 and -.
pub fn is_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// It is asked in a transaction that writes nothing; here it is only kept from being two.
fn is_one_select(sql: &str) -> bool {
    let begins = sql.trim_start().get(..7).is_some_and(|word| word.to_ascii_lowercase().trim_end() == "select");
    begins && !sql.contains([';', '\0']) && sql.len() <= LONGEST_SQL
}

/// A span such as `250ms`, `30s`, `15m`, `2h` or `1d`.
pub fn span(text: &str) -> Option<Duration> {
    if let Some(number) = text.strip_suffix("ms") {
        return number.parse().ok().filter(|all| *all > 0).map(Duration::from_millis);
    }
    let (number, unit) = text.split_at(text.len().checked_sub(1)?);
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds).filter(|all| *all > 0).map(Duration::from_secs)
}

impl Plan {
    /// The steps in the order in which they are done: as they stand, but after what they need. `Err`: a circle.
    pub fn order(&self) -> Result<Vec<&Step>, String> {
        let (mut done, mut order) = (BTreeSet::new(), Vec::new());
        while order.len() < self.steps.len() {
            let is_next =
                |step: &&Step| !done.contains(&step.name) && step.needs.iter().all(|need| done.contains(need));
            let Some(next) = self.steps.iter().find(is_next) else {
                let left = self.steps.iter().filter(|step| !done.contains(&step.name)).map(|step| step.name.as_str());
                return Err(format!("{} need each other", left.collect::<Vec<_>>().join(", ")));
            };
            done.insert(next.name.clone());
            order.push(next);
        }
        Ok(order)
    }

    /// Everything that is wrong with it; nothing: it can be begun.
    pub fn faults(&self, known: &Known) -> Vec<String> {
        let mut found = Vec::new();
        if !is_name(&self.name) {
            found.push(format!("the name {:.80?} is not 1 to 63 of a-z, 0-9 and -", self.name));
        }
        if self.about.contains('\0') || self.about.chars().count() > LONGEST_ABOUT {
            found.push(format!("about is longer than {LONGEST_ABOUT} characters, or holds U+0000"));
        }
        if span(&self.watch.slow).is_none() {
            found.push(format!("watch.slow: {:?} is no span such as 1s", self.watch.slow));
        }
        if !(0.0001..=0.5).contains(&self.watch.tolerance) {
            found.push(format!("watch.tolerance: {} is not from 0.0001 to 0.5", self.watch.tolerance));
        }
        for check in &self.checks {
            if !is_name(&check.name) || !is_one_select(&check.sql) {
                found.push(format!(
                    "check {:.80?}: its name is 1 to 63 of a-z, 0-9 and -, its sql one SELECT",
                    check.name
                ));
            }
        }
        found.extend(self.tell.iter().flat_map(|tell| tell.faults(known)));
        if self.steps.is_empty() {
            found.push("there is no step".to_owned());
        }
        let names: Vec<&str> = self.steps.iter().map(|step| step.name.as_str()).collect();
        for (place, step) in self.steps.iter().enumerate() {
            let at = |why: String| format!("step {}: {why}", step.name);
            if !is_name(&step.name) || names[..place].contains(&step.name.as_str()) {
                found.push(at("its name is there twice, or is not 1 to 63 of a-z, 0-9 and -".to_owned()));
            }
            let unknown = step.needs.iter().filter(|need| !names.contains(&need.as_str()));
            found.extend(unknown.map(|need| at(format!("it needs {need:?}, which is no step"))));
            found.extend(faults_of(&step.what, known).into_iter().map(at));
        }
        if !found.is_empty() {
            return found;
        }
        match self.order() {
            Err(circle) => found.push(circle),
            Ok(order) => found.extend(faults_of_order(&order)),
        }
        found
    }
}

fn faults_of(what: &What, known: &Known) -> Vec<String> {
    match what {
        What::Expand { files } => files_of(files, known, |file| match (file.only_adds, file.reversible) {
            (false, _) => Some("takes something away: that is a contract"),
            (true, false) => Some("cannot be taken back: it has no rollback script"),
            (true, true) => None,
        }),
        What::Contract { files } => files_of(files, known, |_| None),
        What::Backfill { backfill } => unknown("backfill", backfill, &known.backfills),
        What::Compare { compare } => unknown("comparison", compare, &known.comparisons),
        What::Switch { .. } | What::DualWrite { .. } => what.sets().map(|sets| sets.faults(known)).unwrap_or_default(),
    }
}

fn unknown(what: &str, wanted: &str, known: &[String]) -> Vec<String> {
    let is_there = known.iter().any(|name| name == wanted || name.trim_end_matches(".sql") == wanted);
    if is_there { Vec::new() } else { vec![format!("there is no {what} {wanted:?}")] }
}

fn files_of(files: &[String], known: &Known, why: impl Fn(&KnownFile) -> Option<&'static str>) -> Vec<String> {
    let fault = |name: &String| match known.files.iter().find(|file| file.name == *name) {
        None => Some(format!("there is no file {name:?}")),
        Some(file) => why(file).map(|why| format!("{name} {why}")),
    };
    let none = files.is_empty().then(|| "it names no file".to_owned());
    none.into_iter().chain(files.iter().filter_map(fault)).collect()
}

fn faults_of_order(order: &[&Step]) -> Vec<String> {
    let mut found = Vec::new();
    let mut piloted: Vec<&str> = Vec::new();
    let last = order.len().saturating_sub(1);
    for (place, step) in order.iter().enumerate() {
        let (before, mut fault) = (&order[..place], |why: String| found.push(format!("step {}: {why}", step.name)));
        if let What::Switch { .. } | What::Contract { .. } = step.what
            && let Some(written) = uncompared(before)
        {
            fault(format!("what {} writes in both forms is not compared before it", written.name));
        }
        if let What::Contract { .. } = step.what {
            if place != last {
                fault("a contract cannot be taken back, so nothing comes after it".to_owned());
            }
            for one in before.iter().filter(|one| one.what.sets().is_some_and(|sets| sets.bake.is_none())) {
                fault(format!("{} is not baked before it cannot be taken back any more", one.name));
            }
        }
        let Some(sets) = step.what.sets() else { continue };
        if !sets.is_for_everybody() {
            piloted.push(sets.flag);
        } else if sets.bake.is_some() && !piloted.contains(&sets.flag) {
            fault("there are no pilots of the flag before it to compare with".to_owned());
        }
    }
    found
}

/// The last step that has both forms written, where no comparison comes after it.
fn uncompared<'a>(before: &[&'a Step]) -> Option<&'a Step> {
    let telling = |step: &&&Step| matches!(step.what, What::DualWrite { .. } | What::Compare { .. });
    before.iter().rev().find(telling).copied().filter(|step| matches!(step.what, What::DualWrite { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
format = 1
name = "small-pages"
about = "pages of fifty"
[[steps]]
name = "expand"
kind = "expand"
files = ["shop/101_more.sql"]
[[steps]]
name = "fill"
kind = "backfill"
backfill = "shop/DM001_colour"
needs = ["expand"]
[[steps]]
name = "pilots"
kind = "switch"
flag = "xapi.page_default"
value = "50"
pilots = ["acme"]
bake = "30m"
needs = ["fill"]
[[steps]]
name = "everybody"
kind = "switch"
flag = "xapi.page_default"
value = "50"
bake = "1h"
needs = ["pilots"]
[[steps]]
name = "contract"
kind = "contract"
files = ["shop/102_less.sql"]
needs = ["everybody"]
"#;

    fn known() -> Known {
        let file = |name: &str, only_adds| KnownFile {
            name: name.to_owned(),
            only_adds,
            reversible: name != "shop/103_once.sql",
        };
        Known {
            files: vec![
                file("shop/101_more.sql", true),
                file("shop/102_less.sql", false),
                file("shop/103_once.sql", true),
            ],
            backfills: vec!["shop/DM001_colour.sql".to_owned()],
            comparisons: vec!["shop/DM002_same.sql".to_owned()],
            tenants: vec!["acme".to_owned()],
            receivers: vec!["ops".to_owned(), "chat".to_owned()],
        }
    }

    #[test]
    fn a_good_plan_is_read_kept_and_done_in_its_order() {
        let plan = read(GOOD).unwrap();
        assert_eq!(plan.faults(&known()), Vec::<String>::new());
        let order: Vec<_> = plan.order().unwrap().iter().map(|step| step.what.name()).collect();
        assert_eq!(order, ["expand", "backfill", "switch", "switch", "contract"]);
        let kept: Plan = serde_json::from_value(serde_json::to_value(&plan).unwrap()).unwrap();
        assert_eq!(kept, plan);
        let mut turned = plan;
        turned.steps.reverse();
        assert_eq!(turned.order().unwrap()[0].name, "expand", "what is needed comes first however it stands");
    }

    #[test]
    fn what_cannot_be_done_or_taken_back_is_named() {
        for (from, to, word) in [
            ("bake = \"30m\"\n", "", "is not baked before it cannot be taken back"),
            ("needs = [\"expand\"]", "needs = [\"everybody\"]", "need each other"),
            ("flag = \"xapi.page_default\"", "flag = \"xapi.colour\"", "no flag \"xapi.colour\""),
            ("value = \"50\"", "value = \"0\"", "from 1 to 10000"),
            ("pilots = [\"acme\"]", "pilots = [\"nobody\"]", "no tenant \"nobody\""),
            ("pilots = [\"acme\"]\n", "", "no pilots of the flag before it"),
            ("shop/101_more.sql", "shop/102_less.sql", "that is a contract"),
            ("shop/101_more.sql", "shop/103_once.sql", "no rollback script"),
            ("shop/101_more.sql", "shop/109_none.sql", "no file \"shop/109_none.sql\""),
            ("needs = [\"expand\"]", "needs = [\"expnd\"]", "which is no step"),
            ("needs = [\"everybody\"]", "", ""),
            ("name = \"fill\"", "name = \"expand\"", "there twice"),
            ("bake = \"30m\"", "bake = \"soon\"", "no span"),
            ("DM001_colour", "DM002_colour", "no backfill"),
            ("pages of fifty", "pages\\u0000", "U+0000"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD, "{from}");
            let faults = read(&text).unwrap().faults(&known()).join("; ");
            assert!(faults.contains(word), "{to}: {faults}");
        }
        for (sql, is_fit) in [
            ("SELECT 1 WHERE false", true),
            ("select\n1", true),
            ("SELECT 1; DROP TABLE x", false),
            ("DELETE FROM x", false),
            ("selecting", false),
            ("", false),
        ] {
            let check = Check { name: "rows".to_owned(), sql: sql.to_owned() };
            let plan = Plan { checks: vec![check], ..read(GOOD).unwrap() };
            assert_eq!(plan.faults(&known()).is_empty(), is_fit, "{sql}");
        }
        let early =
            GOOD.replace("needs = [\"expand\"]", "needs = [\"contract\"]").replace("needs = [\"everybody\"]", "");
        assert!(read(&early).unwrap().faults(&known()).join("; ").contains("nothing comes after it"));
    }

    #[test]
    fn what_is_written_in_both_forms_is_compared_before_anybody_reads_the_new_one() {
        let both = r#"
[[steps]]
name = "both"
kind = "dual-write"
flag = "xapi.writes"
value = "on"
pilots = ["acme"]
bake = "1m"
needs = ["fill"]
[[steps]]
name = "same"
kind = "compare"
compare = "shop/DM002_same"
needs = ["both"]
"#;
        let text = GOOD.replace("needs = [\"fill\"]", "needs = [\"same\"]") + both;
        let plan = read(&text).unwrap();
        assert_eq!(plan.faults(&known()), Vec::<String>::new());
        let order: Vec<_> = plan.order().unwrap().iter().map(|step| step.what.name()).collect();
        assert_eq!(order, ["expand", "backfill", "dual-write", "compare", "switch", "switch", "contract"]);
        let kept: Plan = serde_json::from_value(serde_json::to_value(&plan).unwrap()).unwrap();
        assert_eq!(kept, plan);
        for (from, to, word) in [
            (
                "needs = [\"same\"]",
                "needs = [\"both\"]",
                "step pilots: what both writes in both forms is not compared before it",
            ),
            ("DM002_same", "DM001_colour", "step same: there is no comparison \"shop/DM001_colour\""),
            ("bake = \"1m\"\n", "", "both is not baked before it"),
            ("flag = \"xapi.writes\"", "flag = \"xapi.both\"", "step both: there is no flag"),
        ] {
            let faults = read(&text.replacen(from, to, 1)).unwrap().faults(&known()).join("; ");
            assert!(faults.contains(word), "{to}: {faults}");
        }
    }

    #[test]
    fn who_is_told_is_named_and_known() {
        let with = |section: &str| read(&GOOD.replacen("[[steps]]", &format!("[tell]\n{section}\n[[steps]]"), 1));
        let faults = |section: &str| with(section).unwrap().faults(&known()).join("; ");
        for fit in ["events = true", "webhooks = [\"ops\", \"chat\"]\nevents = true", "webhooks = [\"ops\"]"] {
            assert_eq!(faults(fit), "", "{fit}");
        }
        let both = with("webhooks = [\"ops\"]\nevents = true").unwrap();
        assert_eq!(both.tell.unwrap().names(), ["ops", "events"]);
        for (section, why) in [
            ("", "tell: name 1 to 16 webhooks"),
            ("events = false", "tell: name 1 to 16 webhooks"),
            ("webhooks = [\"ops\", \"https://hunter2.example/x\"]", "tell.webhooks[1]: an address stands in no plan"),
            ("webhooks = [\"ops\", \"ops\"]", "tell.webhooks[1]: \"ops\" is there twice"),
            (
                "webhooks = [\"events\"]",
                "tell.webhooks[0]: rollout.receivers of the configuration names no \"events\"; it has ops, chat",
            ),
        ] {
            let said = faults(section);
            assert!(said.starts_with(why) && !said.contains("hunter2"), "{section}: {said}");
        }
        assert!(with("webhook = []").unwrap_err().contains("webhook"));
        assert!(with("webhooks = \"ops\"").unwrap_err().contains("does not fit"));
        // A plan without the section is kept, and digested, as it always was.
        assert!(!serde_json::to_string(&read(GOOD).unwrap()).unwrap().contains("tell"));
    }

    #[test]
    fn a_member_that_nobody_knows_is_refused() {
        assert!(read(&GOOD.replace("bake = \"30m\"", "bakee = \"30m\"")).unwrap_err().contains("bakee"));
        assert!(read(&GOOD.replace("about =", "abut =")).unwrap_err().contains("abut"));
    }

    #[test]
    fn a_newer_form_and_what_is_no_plan_are_refused_before_anything_else() {
        let newer = GOOD.replace("format = 1", "format = 2\nnobody_knows = true");
        assert_eq!(read(&newer).unwrap_err(), "the plan has format 2; this release reads up to 1");
        for (text, word) in
            [("name = 1 2", "no TOML"), ("name = \"x\"", "no `format`"), ("format = 1\nname = \"x\"", "does not fit")]
        {
            assert!(read(text).unwrap_err().contains(word), "{text}");
        }
        assert_eq!((span("90s"), span("0s"), span("h"), span("")), (Some(Duration::from_secs(90)), None, None, None));
        assert_eq!((span("250ms"), span("0ms"), span("ms")), (Some(Duration::from_millis(250)), None, None));
    }
}
