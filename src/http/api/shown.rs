//! What lists have in common: their data, and the link to the next page.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

/// Where to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Links {
    /// The next page, as a path on this server; null on the last one.
    #[schema(required)]
    pub next: Option<String>,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Page<T> {
    pub data: Vec<T>,
    pub links: Links,
}

impl<T> Page<T> {
    /// From one thing more than a page holds, if there is one; `link` makes the link that goes on after the last.
    pub fn cut(mut data: Vec<T>, size: usize, link: impl Fn(&T) -> String) -> Self {
        let is_cut = data.len() > size;
        data.truncate(size);
        let next = data.last().filter(|_| is_cut).map(link);
        Self { data, links: Links { next } }
    }
}

impl<T: Serialize> Page<T> {
    pub fn answer(&self) -> HttpResponse {
        HttpResponse::Ok().json(self)
    }
}

/// As many as a page holds, and one to see whether there is another page.
pub fn one_more(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX - 1) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_page_links_on_only_when_something_follows() {
        let page = |data: Vec<u8>| Page::cut(data, 2, u8::to_string);
        assert_eq!(page(vec![1, 2]).links.next, None);
        let cut = page(vec![1, 2, 3]);
        assert_eq!((cut.data, cut.links.next.as_deref()), (vec![1, 2], Some("2")));
    }
}
