//! Which language of a language map a reader wants: `Accept-Language` applied to each map by itself.

use serde_json::{Map, Value};

/// The reader's languages, as sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Languages {
    /// Range in lower case, quality in thousandths; in the reader's order.
    ranges: Vec<(String, u16)>,
}

/// How well a tag serves a reader; greater is better. Fields in order of weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Fit {
    /// Thousandths; refused languages have less than those that are not mentioned.
    quality: Option<u16>,
    nearness: Nearness,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Nearness {
    Refused,
    None,
    /// The same language of another region: `en-US` for a reader of `en-GB`.
    Related,
    /// Only `*` names it.
    Any,
    /// The range is the beginning of the tag: `en` names `en-GB`.
    Prefix,
    Exact,
}

impl Languages {
    /// Reads an `Accept-Language` header. Parts that are no language range are passed over: a preference is never an error.
    pub fn parse(header: &str) -> Self {
        // A header is short; more ranges than this serve nobody.
        let ranges = header.split(',').take(64).filter_map(|part| {
            let mut parameters = part.split(';').map(str::trim);
            let range = parameters.next().filter(|range| !range.is_empty())?;
            let quality = parameters.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
            Some((range.to_ascii_lowercase(), quality.map_or(Some(1_000), thousandths)?))
        });
        Self { ranges: ranges.collect() }
    }

    /// Leaves the one entry of a language map that serves best: higher quality first, then exact before prefix before the
    /// map's own order.
    pub fn choose(&self, map: &mut Map<String, Value>) {
        if map.len() < 2 {
            return;
        }
        let mut best: Option<(Fit, &String)> = None;
        for tag in map.keys() {
            let fit = self.fit(tag);
            if best.is_none_or(|(known, _)| fit > known) {
                best = Some((fit, tag));
            }
        }
        if let Some(tag) = best.map(|(_, tag)| tag.clone()) {
            map.retain(|other, _| *other == tag);
        }
    }

    fn fit(&self, tag: &str) -> Fit {
        let tag = tag.to_ascii_lowercase();
        let mut named: Option<(Nearness, usize, u16)> = None;
        let mut related = false;
        for (range, quality) in &self.ranges {
            match nearness(range, &tag) {
                Nearness::None => {}
                Nearness::Related => related |= *quality > 0,
                // The most specific range that names the tag says its quality.
                near if named.is_none_or(|(known, length, _)| (near, range.len()) > (known, length)) => {
                    named = Some((near, range.len(), *quality));
                }
                _ => {}
            }
        }
        match named {
            Some((_, _, 0)) => Fit { quality: None, nearness: Nearness::Refused },
            Some((nearness, _, quality)) => Fit { quality: Some(quality), nearness },
            None if related => Fit { quality: None, nearness: Nearness::Related },
            None => Fit { quality: None, nearness: Nearness::None },
        }
    }
}

fn nearness(range: &str, tag: &str) -> Nearness {
    let language = |text: &str| text.split('-').next().unwrap_or_default().to_owned();
    match tag.strip_prefix(range) {
        Some("") => Nearness::Exact,
        Some(rest) if rest.starts_with('-') => Nearness::Prefix,
        _ if range == "*" => Nearness::Any,
        _ if language(range) == language(tag) => Nearness::Related,
        _ => Nearness::None,
    }
}

/// `1`, `0.5`, `0.125` in thousandths.
fn thousandths(text: &str) -> Option<u16> {
    let quality: f64 = text.trim().parse().ok()?;
    // In range, so the cast is exact enough.
    (0.0..=1.0).contains(&quality).then(|| (quality * 1_000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn chosen(header: &str, tags: &[&str]) -> String {
        let mut map: Map<_, _> = tags.iter().map(|tag| ((*tag).to_owned(), json!("text"))).collect();
        Languages::parse(header).choose(&mut map);
        let left: Vec<_> = map.keys().cloned().collect();
        left.join(" ")
    }

    #[test]
    fn exact_beats_prefix_beats_map_order() {
        assert_eq!(chosen("en-GB", &["en", "en-GB"]), "en-GB");
        assert_eq!(chosen("en-GB", &["en-US", "en-GB"]), "en-GB");
        assert_eq!(chosen("en", &["de", "en-AU", "en"]), "en");
        assert_eq!(chosen("en", &["de", "en-AU", "en-GB"]), "en-AU");
        assert_eq!(chosen("EN-gb", &["de", "en-GB"]), "en-GB");
        assert_eq!(chosen("en-GB", &["de", "en-US"]), "en-US", "a relative beats a stranger");
        assert_eq!(chosen("fr", &["de", "en"]), "de");
        assert_eq!(chosen("", &["de", "en"]), "de");
        assert_eq!(chosen("en", &["de"]), "de");
    }

    #[test]
    fn quality_counts_first() {
        assert_eq!(chosen("de;q=0.5, fr", &["de", "fr"]), "fr");
        assert_eq!(chosen("de;q=0.5, fr;q=0.8, en;q=0.3", &["en", "de", "fr"]), "fr");
        assert_eq!(chosen("en-GB, fr;q=0.5", &["en-US", "fr"]), "fr", "RFC 2616: en-GB does not name en-US");
        assert_eq!(
            chosen("en;q=0.9, en-GB;q=0.2, fr;q=0.5", &["en-GB", "fr"]),
            "fr",
            "the most specific range decides"
        );
        assert_eq!(chosen("*;q=0.1, fr;q=0.5", &["de", "fr"]), "fr");
        assert_eq!(chosen("de;q=0, *", &["de", "fr"]), "fr");
        assert_eq!(chosen("de;q=0", &["de", "fr"]), "fr");
        assert_eq!(chosen("de;q=0", &["de"]), "de", "something is better than nothing");
        assert_eq!(chosen("fr;q=2, ;;, de;q=x", &["en", "de", "fr"]), "en", "nonsense is passed over");
    }
}
