//! Statements from elsewhere: files of JSON in any of the known forms, each statement brought into today's form, given a microsecond of
//! its own, and taken in by the one way that keeps its past.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Arrival, Brought, Load, PastDocument, Reader, TransferError, fault::Problems, upgrade::upgrade};
use crate::{
    bundle::{BundleError, line_of},
    model::{TenantId, names::derived, partition::Month},
    xapi::{syntax::timestamp, time},
};

/// A file that is one JSON value has to fit into memory; longer ones come as a statement on each line.
const LARGEST_VALUE: u64 = 1 << 30;

/// The statements of a file with their places: the line, or the position in an array.
pub struct Statements {
    path: PathBuf,
    from: From,
    place: u64,
}

enum From {
    Lines(BufReader<File>),
    Array(std::vec::IntoIter<Value>),
}

impl Statements {
    /// Opens a file: a statement on each line, an array of statements, one statement, or a page as a GET answers it.
    pub fn open(path: &Path) -> Result<Self, TransferError> {
        let io = || BundleError::io(path);
        let mut reader = BufReader::new(File::open(path).map_err(io())?);
        let mut first = String::new();
        (&mut reader).take(LARGEST_VALUE).read_line(&mut first).map_err(io())?;
        let is_line = first.trim_start().starts_with('{')
            && serde_json::from_str::<Map<String, Value>>(&first).is_ok_and(|one| !one.contains_key("statements"));
        let is_empty = first.trim().is_empty() && std::fs::metadata(path).map_err(io())?.len() == first.len() as u64;
        if is_line || is_empty {
            let reader = BufReader::new(File::open(path).map_err(io())?);
            return Ok(Self { path: path.to_owned(), from: From::Lines(reader), place: 0 });
        }
        let length = std::fs::metadata(path).map_err(io())?.len();
        if length > LARGEST_VALUE {
            let why = format!(
                "{}: one JSON value of {length} bytes; at most {LARGEST_VALUE}: write a statement on each line",
                path.display()
            );
            return Err(TransferError::Refused(why));
        }
        let text = std::fs::read(path).map_err(io())?;
        let value: Value = serde_json::from_slice(&text)
            .map_err(|error| TransferError::Refused(format!("{}: it is no JSON: {error}", path.display())))?;
        let values = match value {
            Value::Array(values) => values,
            Value::Object(mut object) => match object.remove("statements") {
                Some(Value::Array(values)) => values,
                _ => vec![Value::Object(object)],
            },
            _ => {
                return Err(TransferError::Refused(format!(
                    "{}: it is neither a statement nor a list of them",
                    path.display()
                )));
            }
        };
        Ok(Self { path: path.to_owned(), from: From::Array(values.into_iter()), place: 0 })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The next one with its place; an error of its own where it is no JSON.
    #[expect(clippy::type_complexity, reason = "a place with what stands there, or with what is wrong")]
    pub fn following(&mut self) -> Result<Option<(u64, Result<Value, String>)>, TransferError> {
        loop {
            self.place += 1;
            match &mut self.from {
                From::Array(values) => return Ok(values.next().map(|value| (self.place, Ok(value)))),
                From::Lines(reader) => {
                    let line = line_of(reader, &self.path)?;
                    if line.is_empty() {
                        return Ok(None);
                    }
                    if !line.trim_ascii().is_empty() {
                        let value = serde_json::from_slice(&line).map_err(|error| error.to_string());
                        return Ok(Some((self.place, value)));
                    }
                }
            }
        }
    }
}

/// What became of statements from elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Taken {
    pub new: u64,
    pub same: u64,
    pub erased: u64,
    /// How many statements a step brought into today's form.
    pub upgraded: BTreeMap<&'static str, u64>,
    /// How many got a microsecond later than they said, because another has theirs.
    pub moved: u64,
}

/// Takes statements from elsewhere into a tenant.
pub struct Intake {
    tenant: TenantId,
    load: Load,
    reader: Reader,
    /// Of statements that say none.
    authority: Option<Map<String, Value>>,
    now: DateTime<Utc>,
    /// What each id that was looked at says: the beginning of its digest.
    seen: HashMap<Uuid, [u8; 16]>,
    /// Moments that were given here.
    given: HashSet<DateTime<Utc>>,
    pub taken: Taken,
}

impl Intake {
    pub fn new(tenant: TenantId, load: Load, authority: Option<Map<String, Value>>, now: DateTime<Utc>) -> Self {
        let (seen, given, taken) = (HashMap::new(), HashSet::new(), Taken::default());
        Self { tenant, load, reader: Reader::of(tenant), authority, now, seen, given, taken }
    }

    /// Reads one, whatever form it has; adds what is wrong with it to the problems.
    pub fn read(
        &mut self,
        file: &str,
        place: Option<u64>,
        value: Result<Value, String>,
        problems: &mut Problems,
    ) -> Option<Arrival> {
        let mut doc = match value {
            Ok(Value::Object(doc)) => doc,
            Ok(_) => {
                problems.at(file, place, "shape", "it is no statement: an object was expected");
                return None;
            }
            Err(error) => {
                problems.at(file, place, "json", error);
                return None;
            }
        };
        for step in upgrade(&mut doc) {
            *self.taken.upgraded.entry(step).or_default() += 1;
        }
        self.complete(&mut doc);
        match self.reader.read(Value::Object(doc).to_string().as_bytes()) {
            Ok(arrival) => Some(arrival),
            Err(error) => {
                problems.load(file, place, &error);
                None
            }
        }
    }

    /// What a ledger gives a statement that comes without: the same each time it comes.
    fn complete(&self, doc: &mut Map<String, Value>) {
        if !doc.contains_key("id") {
            let mut said = doc.clone();
            said.shift_remove("stored");
            said.sort_keys();
            let id = derived(self.tenant, "statement without id", &[&Value::Object(said).to_string()]);
            doc.insert("id".to_owned(), id.to_string().into());
        }
        if !doc.contains_key("stored") {
            let said = doc
                .get("timestamp")
                .and_then(Value::as_str)
                .and_then(timestamp::parse)
                .filter(|said| *said <= self.now);
            let at = said.unwrap_or(self.now).duration_trunc(TimeDelta::microseconds(1)).unwrap_or(self.now);
            doc.insert("stored".to_owned(), time::text(at).into());
        }
        if let (None, Some(authority)) = (doc.get("authority"), &self.authority) {
            doc.insert("authority".to_owned(), Value::Object(authority.clone()));
        }
    }

    /// Looks what is in the way of a batch; the same id with another content is, within the batch and in the ledger.
    pub async fn look(
        &mut self,
        file: &str,
        batch: &[(u64, Arrival)],
        problems: &mut Problems,
    ) -> Result<(), TransferError> {
        for (place, Arrival { statement, .. }) in batch {
            let mut digest = [0; 16];
            digest.copy_from_slice(&statement.digest[..16]);
            if self.seen.insert(statement.id, digest).is_some_and(|before| before != digest) {
                problems.at(
                    file,
                    Some(*place),
                    "id",
                    format!("another statement before it has the id {}", statement.id),
                );
            }
        }
        let arrivals: Vec<Arrival> = batch.iter().map(|(_, arrival)| arrival.clone()).collect();
        let outlook = self.load.look(self.tenant, &arrivals).await?;
        for (id, error) in &outlook.refused {
            // Another moment is found for it.
            if !matches!(error, super::LoadError::SameMoment { .. }) {
                let place =
                    batch.iter().find(|(_, arrival)| arrival.statement.id == *id).map_or(0, |(place, _)| *place);
                problems.load(file, Some(place), error);
            }
        }
        Ok(())
    }

    /// Takes a batch, each of the ids once in it.
    pub async fn take(&mut self, batch: Vec<Arrival>) -> Result<(), TransferError> {
        let outlook = self.load.look(self.tenant, &batch).await?;
        self.given.extend(&outlook.moments);
        let months = outlook.moments.iter().map(|moment| Month::of(*moment)).collect();
        self.load.go_on(&months).await?;
        self.taken.erased += outlook.erased.len() as u64;
        self.taken.same += outlook.same.len() as u64;
        let is_new =
            |one: &Arrival| !outlook.erased.contains(&one.statement.id) && !outlook.same.contains(&one.statement.id);
        let mut new: Vec<Arrival> = batch.into_iter().filter(is_new).collect();
        self.place(&mut new).await?;
        let loaded = self.load.take(self.tenant, &new).await?;
        self.taken.new += loaded.new;
        self.taken.same += loaded.same;
        Ok(())
    }

    /// Gives each a microsecond of its own: the one it says, or the next that nobody has.
    async fn place(&mut self, new: &mut [Arrival]) -> Result<(), TransferError> {
        let wanted: Vec<DateTime<Utc>> = new.iter().map(|one| one.stored).collect();
        let mut taken = self.load.taken(self.tenant, &wanted).await?;
        for one in new {
            let said = one.stored;
            while self.given.contains(&one.stored) || taken.contains(&one.stored) {
                one.stored += TimeDelta::microseconds(1);
                if !taken.contains(&one.stored) && !self.given.contains(&one.stored) {
                    taken.extend(self.load.taken(self.tenant, &[one.stored]).await?);
                }
            }
            self.taken.moved += u64::from(said != one.stored);
            self.given.insert(one.stored);
        }
        Ok(())
    }

    /// Those of the statements that are of people who were erased: they do not come, nor what they bring.
    pub async fn erased(&mut self, batch: &[Arrival]) -> Result<HashSet<Uuid>, TransferError> {
        Ok(self.load.look(self.tenant, batch).await?.erased)
    }

    /// Puts documents as they were; answers how many were put.
    pub async fn documents(&mut self, past: &[PastDocument]) -> Result<u64, TransferError> {
        Ok(self.load.documents(self.tenant, past).await?)
    }

    /// Keeps contents that statements bring.
    pub async fn attachments(&self, brought: &[Brought]) -> Result<(), TransferError> {
        Ok(self.load.attachments(self.tenant, brought).await?)
    }

    /// Lets the months appear that were filled.
    pub async fn finish(&mut self) -> Result<(), TransferError> {
        self.load.finish(None).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<(u64, bool)> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut statements = Statements::open(file.path()).unwrap();
        std::iter::from_fn(|| statements.following().unwrap()).map(|(place, value)| (place, value.is_ok())).collect()
    }

    #[test]
    fn each_form_of_a_file_is_read() {
        assert_eq!(places("{\"a\":1}\n\n{\"a\":2}\n{\n"), [(1, true), (3, true), (4, false)]);
        assert_eq!(places("[{\"a\":1},\n {\"a\":2}]"), [(1, true), (2, true)]);
        assert_eq!(places("{\"statements\":[{\"a\":1}],\"more\":\"\"}"), [(1, true)]);
        assert_eq!(places("{\n \"a\": 1\n}"), [(1, true)]);
        assert_eq!(places(""), []);
    }

    #[test]
    fn what_is_no_list_of_statements_is_told() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, why) in [("\"x\"", "neither a statement"), ("id,verb\n1,2\n", "no JSON")] {
            std::fs::write(file.path(), text).unwrap();
            assert!(Statements::open(file.path()).err().unwrap().to_string().contains(why), "{text}");
        }
    }
}
