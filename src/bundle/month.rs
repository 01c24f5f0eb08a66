//! A month of statements as a file of an export: a line each, or as Parquet.

use chrono::{DateTime, Utc};

use super::{BundleError, Making, Tally, line::Seen, tally};
use crate::{
    model::partition::Month,
    objects::sheet::{self, Sheet},
};

const FOLDER: &str = "statements/";
const LINES: &str = ".ndjson";

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    #[default]
    Lines,
    Parquet,
}

/// The month whose statements a file has; none of another file.
pub fn month_of(path: &str) -> Option<Month> {
    let name = path.strip_prefix(FOLDER)?;
    name.strip_suffix(LINES).or_else(|| name.strip_suffix(sheet::END))?.parse().ok()
}

/// One that is being written.
pub struct MonthFile {
    pub month: Month,
    tally: Tally,
    sheet: Option<Sheet>,
}

impl MonthFile {
    pub fn begin(making: &mut dyn Making, form: Form, month: Month) -> Result<Self, BundleError> {
        let (end, is_sheet) = if form == Form::Parquet { (sheet::END, true) } else { (LINES, false) };
        let path = format!("{FOLDER}{month}{end}");
        making.begin(&path)?;
        let sheet = is_sheet.then(|| Sheet::begin(&path)).transpose()?;
        Ok(Self { month, tally: Tally::default(), sheet })
    }

    pub fn line(
        &mut self,
        making: &mut dyn Making,
        (text, seen): (&str, &Seen<'_>),
        stored: DateTime<Utc>,
    ) -> Result<(), BundleError> {
        self.tally.add(self.month, &seen.verb.id, &tally::line(text));
        match &mut self.sheet {
            None => making.line(text),
            Some(sheet) => making.add(&sheet.line(text, &seen.id.to_string(), stored)?),
        }
    }

    pub fn end(self, making: &mut dyn Making) -> Result<(), BundleError> {
        let is_sheet = self.sheet.is_some();
        if let Some(sheet) = self.sheet {
            making.add(&sheet.finish()?)?;
        }
        let mut file = making.end()?;
        let Some(month) = self.tally.months().pop() else { return Ok(()) };
        if is_sheet {
            file.lines = month.statements;
        }
        making.finish_month(month, file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_told_from_the_name_of_its_file() {
        let month = |path| month_of(path).map(|month| month.to_string());
        for path in ["statements/2026-05.ndjson", "statements/2026-05.parquet"] {
            assert_eq!(month(path).as_deref(), Some("2026-05"));
        }
        for path in
            ["documents.ndjson", "statements/2026-05.csv", "statements/may.ndjson", "attachments/2026-05.ndjson"]
        {
            assert_eq!(month(path), None, "{path}");
        }
    }
}
