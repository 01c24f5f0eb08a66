//! Query parameters: every one is known or refused by its name, and each value is read or refused by its name.

use url::form_urlencoded;
use utoipa::IntoParams;

use crate::{http::HttpError, xapi::Violations};

pub const PAGE_SIZE: &str = "page[size]";
pub const PAGE_CURSOR: &str = "page[cursor]";
const DEFAULT_SIZE: usize = 100;
const LARGEST_SIZE: usize = 500;

/// How lists are asked for their pages.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes what `Parameters` reads")]
pub struct PageParameters {
    /// How many on a page.
    #[param(rename = "page[size]", required = false, minimum = 1, maximum = 500, default = 100)]
    size: u32,
    /// Where the page begins: from `links.next` of the page before.
    #[param(rename = "page[cursor]", required = false, pattern = "^[A-Za-z0-9_-]{22,}$")]
    cursor: String,
}

/// The parameters of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads a query string in which only these names may stand, each of them once.
    pub fn read(query: &str, known: &[&str]) -> Result<Self, HttpError> {
        let mut given: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()).into_owned() {
            if !known.contains(&name.as_str()) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(refuse(&name, &format!("it is not known here; known are {known}")));
            }
            if given.iter().any(|(other, _)| *other == name) {
                return Err(refuse(&name, "it stands there twice"));
            }
            if value.contains('\0') {
                return Err(refuse(&name, "it holds a NUL character"));
            }
            given.push((name, value));
        }
        Ok(Self(given))
    }

    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// A value among a few.
    pub fn one_of(&self, name: &str, values: &[&str]) -> Result<Option<String>, HttpError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        if values.contains(&value) {
            return Ok(Some(value.to_owned()));
        }
        Err(refuse(name, &format!("expected one of {}", values.join(", "))))
    }

    /// A value that `parse` understands.
    pub fn parsed<T>(
        &self,
        name: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, HttpError> {
        let Some(value) = self.text(name) else { return Ok(None) };
        parse(value).map(Some).ok_or_else(|| refuse(name, expected))
    }

    /// `page[size]`, or the usual one.
    pub fn page_size(&self) -> Result<usize, HttpError> {
        let expected = format!("expected a whole number from 1 to {LARGEST_SIZE}");
        let in_bounds = |text: &str| text.parse().ok().filter(|size| (1..=LARGEST_SIZE).contains(size));
        Ok(self.parsed(PAGE_SIZE, &expected, in_bounds)?.unwrap_or(DEFAULT_SIZE))
    }

    /// What is asked for, whichever page of it: this must stay the same from page to page.
    pub fn filters(&self) -> Vec<(&str, &str)> {
        let mut kept = self.without_cursor();
        kept.retain(|(name, _)| *name != PAGE_SIZE);
        kept
    }

    /// Everything but the place where the page begins.
    pub fn without_cursor(&self) -> Vec<(&str, &str)> {
        let mut kept: Vec<(&str, &str)> = self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        kept.retain(|(name, _)| *name != PAGE_CURSOR);
        kept.sort_unstable();
        kept
    }
}

/// A 400 that names the parameter.
pub fn refuse(name: &str, why: &str) -> HttpError {
    Violations::whole("api.parameter", format!("the parameter {name:.80}: {why}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(result: Result<impl std::fmt::Debug, HttpError>) -> String {
        match result {
            Err(HttpError::Invalid(violations)) => violations.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn whatever_is_wrong_is_named() {
        let known = ["page[size]", "filter[state]"];
        assert!(why(Parameters::read("page%5Bsize%5D=1&colour=red", &known)).contains("colour"));
        assert!(why(Parameters::read("filter[state]=a&filter[state]=b", &known)).contains("filter[state]"));
        assert!(why(Parameters::read("filter[state]=%00", &known)).contains("NUL"));
        for size in ["0", "501", "-1", "x", ""] {
            let parameters = Parameters::read(&format!("page[size]={size}"), &known).unwrap();
            assert!(why(parameters.page_size()).contains("page[size]"), "{size}");
        }
        let parameters = Parameters::read("filter[state]=ajar", &known).unwrap();
        assert!(why(parameters.one_of("filter[state]", &["open", "closed"])).contains("open, closed"));
    }

    #[test]
    fn what_is_right_is_read() {
        let parameters = Parameters::read("page[cursor]=x&page%5Bsize%5D=7", &[PAGE_SIZE, PAGE_CURSOR]).unwrap();
        assert_eq!(parameters.page_size().unwrap(), 7);
        assert_eq!(parameters.without_cursor(), [("page[size]", "7")]);
        assert_eq!(Parameters::read("", &[]).unwrap().page_size().unwrap(), DEFAULT_SIZE);
    }
}
