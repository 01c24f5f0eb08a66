//! Are two databases the same? Compares what the store's catalog listing says about them. Pure.

use std::collections::BTreeSet;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::store::schema::catalog::Listing;

/// A listing with the one number that stands for it.
#[derive(Clone, Debug)]
pub struct Fingerprint {
    listing: Listing,
    pub digest: String,
}

/// One line that only one of two databases has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "side", content = "line", rename_all = "lowercase")]
pub enum Difference {
    Left(String),
    Right(String),
}

/// What tells two databases apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Objects, rights and rows: any line here means that they are not the same.
    pub differences: Vec<Difference>,
    /// Columns that stand in another order: harmless to whoever names them, and so told apart.
    pub order_only: Vec<Difference>,
}

impl Comparison {
    pub fn same(&self) -> bool {
        self.differences.is_empty()
    }
}

impl From<Listing> for Fingerprint {
    fn from(listing: Listing) -> Self {
        let mut hash = Sha256::new();
        for line in listing.objects.iter().chain(&listing.rows) {
            // The length goes first, so that no two lists of lines run into the same bytes.
            hash.update((line.len() as u64).to_be_bytes());
            hash.update(line);
        }
        Self { digest: format!("sha256:{}", hex::encode(hash.finalize())), listing }
    }
}

impl Fingerprint {
    /// The readable form, in an order that does not depend on the database.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let Listing { objects, column_order, rows } = &self.listing;
        objects.iter().chain(column_order).chain(rows).map(String::as_str)
    }

    pub fn compare(&self, right: &Self) -> Comparison {
        let (left, right) = (&self.listing, &right.listing);
        let mut differences = apart(&left.objects, &right.objects);
        differences.extend(apart(&left.rows, &right.rows));
        Comparison { differences, order_only: apart(&left.column_order, &right.column_order) }
    }
}

fn apart(left: &[String], right: &[String]) -> Vec<Difference> {
    let (left, right): (BTreeSet<_>, BTreeSet<_>) = (left.iter().collect(), right.iter().collect());
    let only_left = left.difference(&right).map(|line| Difference::Left((*line).clone()));
    only_left.chain(right.difference(&left).map(|line| Difference::Right((*line).clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(objects: &[&str], order: &str, rows: &[&str]) -> Fingerprint {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
        Listing { objects: owned(objects), column_order: vec![order.to_owned()], rows: owned(rows) }.into()
    }

    #[test]
    fn an_object_or_a_row_makes_a_difference() {
        let one = listing(&["table a.b", "column a.b.c text"], "order a.b c", &["rows a.b 1 sha256 x"]);
        assert!(one.compare(&one.clone()).same());
        let other = listing(&["table a.b", "column a.b.c int"], "order a.b c", &["rows a.b 1 sha256 y"]);
        assert_ne!(one.digest, other.digest);
        assert_eq!(
            one.compare(&other).differences,
            [
                Difference::Left("column a.b.c text".into()),
                Difference::Right("column a.b.c int".into()),
                Difference::Left("rows a.b 1 sha256 x".into()),
                Difference::Right("rows a.b 1 sha256 y".into()),
            ]
        );
    }

    #[test]
    fn column_order_is_told_apart() {
        let (one, other) =
            (listing(&["table a.b"], "order a.b c,d", &[]), listing(&["table a.b"], "order a.b d,c", &[]));
        let found = one.compare(&other);
        assert!(found.same());
        assert_eq!(found.order_only.len(), 2);
        assert_eq!(one.digest, other.digest);
        assert_eq!(one.lines().collect::<Vec<_>>(), ["table a.b", "order a.b c,d"]);
    }

    #[test]
    fn lines_do_not_run_together() {
        assert_ne!(listing(&["ab", "c"], "", &[]).digest, listing(&["a", "bc"], "", &[]).digest);
    }
}
