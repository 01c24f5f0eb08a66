//! Statements as CSV: chosen paths, page by page, never all in memory.

use actix_web::web::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{Stream, stream};
use serde_json::{Map, Value};

use crate::{
    http::{
        HttpError,
        csv::{cell, row},
    },
    model::TenantId,
    query::{Reader, Sight},
    xapi::{Violations, format::Stored, query::StatementsQuery},
};

/// Statements of one piece.
pub const PIECE: usize = 500;
/// The paths unless somebody names others.
pub const COLUMNS: &str = "id, stored, timestamp, actor.name, actor.mbox, actor.account.name, verb.id, object.id, \
                           result.score.scaled, result.success, result.completion, context.registration";
const MOST: usize = 50;

/// The paths that a text names, separated by commas or lines; a dot inside of a name is written `\.`.
pub fn columns(text: &str) -> Result<Vec<String>, Violations> {
    let text = if text.is_empty() { COLUMNS } else { text };
    let columns: Vec<String> =
        text.split([',', '\n']).map(str::trim).filter(|path| !path.is_empty()).map(str::to_owned).collect();
    if columns.len() > MOST {
        return Err(Violations::whole("page.columns", format!("at most {MOST} columns, not {}", columns.len())));
    }
    Ok(columns)
}

/// What stands at a path.
pub fn at<'v>(document: &'v Map<String, Value>, path: &str) -> Option<&'v Value> {
    let mut names = parts(path).into_iter();
    let first = document.get(&names.next()?)?;
    names.try_fold(first, |value, name| match value {
        Value::Array(values) => values.get(name.parse::<usize>().ok()?),
        value => value.get(&name),
    })
}

fn parts(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = path.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('\\', Some('.')) => {
                characters.next();
                if let Some(last) = parts.last_mut() {
                    last.push('.');
                }
            }
            ('.', _) => parts.push(String::new()),
            (other, _) => {
                if let Some(last) = parts.last_mut() {
                    last.push(other);
                }
            }
        }
    }
    parts
}

struct Export {
    reader: Reader,
    tenant: TenantId,
    query: StatementsQuery,
    sight: Sight,
    columns: Vec<String>,
    place: Place,
}

enum Place {
    Begin,
    After(DateTime<Utc>),
    End,
}

/// The head, then piece after piece until there are no more.
pub fn lines(
    reader: Reader,
    tenant: TenantId,
    query: StatementsQuery,
    sight: Sight,
    columns: Vec<String>,
) -> impl Stream<Item = Result<Bytes, HttpError>> {
    let export = Export { reader, tenant, query, sight, columns, place: Place::Begin };
    stream::try_unfold(export, |mut export| async move {
        Ok::<_, HttpError>(export.next().await?.map(|text| (Bytes::from(text), export)))
    })
}

impl Export {
    async fn next(&mut self) -> Result<Option<String>, HttpError> {
        let mut text = String::new();
        let after = match self.place {
            Place::Begin => {
                let head = |name: &String| cell(Some(&Value::String(name.clone())));
                text.push_str(&row(self.columns.iter().map(head)));
                None
            }
            Place::After(place) => Some(place),
            Place::End => return Ok(None),
        };
        let page = self.reader.page(self.tenant, &self.query, self.sight.clone(), after).await?.value;
        for found in &page.found {
            let stored = Stored { payload: &found.payload, stored: found.stored, has_timestamp: found.has_timestamp };
            let document = stored.doc().map_err(HttpError::internal)?;
            text.push_str(&row(self.columns.iter().map(|path| cell(at(&document, path)))));
        }
        self.place = page.next.map_or(Place::End, Place::After);
        Ok(Some(text))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_path_leads_through_objects_and_lists_and_names_with_dots() {
        let value = json!({ "a": { "b": [1, { "c": 2 }] }, "x": { "http://e.org/y": 3 } });
        let document = value.as_object().unwrap();
        for (path, found) in [("a.b.0", 1), ("a.b.1.c", 2), (r"x.http://e\.org/y", 3)] {
            assert_eq!(at(document, path), Some(&json!(found)), "{path}");
        }
        for path in ["a.b.7", "a.c", "", "x.http://e.org/y"] {
            assert_eq!(at(document, path), None, "{path}");
        }
    }

    #[test]
    fn columns_are_named_or_the_usual_ones_and_have_a_bound() {
        assert_eq!(columns("").unwrap().len(), 12);
        assert_eq!(columns("id,\n verb.id ,").unwrap(), ["id", "verb.id"]);
        assert!(columns(&"a,".repeat(51)).is_err());
    }
}
