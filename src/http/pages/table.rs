//! Rows as a page lists them: each cell a text, a state, or links. Pure.

use super::form::Form;

/// Rows on a page.
pub const SIZE: usize = 50;

/// A link, and what it says to who hears only the link.
pub struct Link {
    pub href: String,
    pub text: String,
    pub label: String,
}

/// One of them, never more than one.
#[derive(Default)]
pub struct Cell {
    pub text: String,
    /// As the text, for its colour.
    pub state: &'static str,
    pub links: Vec<Link>,
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub fn state(state: &'static str) -> Self {
        Self { state, ..Self::default() }
    }

    pub fn link(href: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        Self::links(vec![Link { href: href.into(), label: text.clone(), text }])
    }

    pub fn links(links: Vec<Link>) -> Self {
        Self { links, ..Self::default() }
    }
}

/// A table, or a page of one.
pub struct Table {
    /// What it is, to who hears it; one page has no two of the same.
    pub label: &'static str,
    pub columns: &'static [&'static str],
    pub rows: Vec<Vec<Cell>>,
    /// Where it goes on.
    pub next: Option<String>,
    /// Rows that are not shown, where nothing leads to them.
    pub left_out: usize,
}

impl Table {
    pub fn new(label: &'static str, columns: &'static [&'static str], rows: Vec<Vec<Cell>>) -> Self {
        Self { label, columns, rows, next: None, left_out: 0 }
    }

    /// No more than `most` rows, and how many are left out.
    #[must_use]
    pub fn cut(mut self, most: usize) -> Self {
        self.left_out = self.rows.len().saturating_sub(most);
        self.rows.truncate(most);
        self
    }

    /// The page of them that the field `name` of the address asks for; `place` is the address without it.
    #[must_use]
    pub fn page(mut self, given: &Form, name: &str, place: &str) -> Self {
        let from = given.text(name).parse::<usize>().unwrap_or(0).min(self.rows.len());
        self.rows.drain(..from);
        if self.rows.len() > SIZE {
            self.rows.truncate(SIZE);
            let joint = if place.contains('?') { '&' } else { '?' };
            self.next = Some(format!("{place}{joint}{name}={}", from + SIZE));
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: usize) -> Table {
        Table::new("x", &["n"], (0..rows).map(|n| vec![Cell::text(n.to_string())]).collect())
    }

    fn first(table: &Table) -> &str {
        table.rows.first().map_or("", |row| row[0].text.as_str())
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let given = |text: &str| Form::of(text.as_bytes()).unwrap();
        let one = table(120).page(&given(""), "from", "/a?tenant=x");
        assert_eq!((one.rows.len(), one.next.as_deref()), (50, Some("/a?tenant=x&from=50")));
        let three = table(120).page(&given("from=100"), "from", "/a");
        assert_eq!((three.rows.len(), first(&three), &three.next), (20, "100", &None));
        let beyond = table(3).page(&given("from=99999999999999999999"), "from", "/a");
        assert_eq!(first(&beyond), "0", "what is no number begins at the start");
        assert_eq!(table(3).page(&given("from=7"), "from", "/a").rows.len(), 0);
    }

    #[test]
    fn what_is_cut_is_said() {
        let cut = table(7).cut(5);
        assert_eq!((cut.rows.len(), cut.left_out), (5, 2));
        assert_eq!(table(5).cut(5).left_out, 0);
    }
}
