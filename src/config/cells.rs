//! The cells that there are beside this one, as the configuration names them. Pure.

use crate::model::Secret;

/// Another cell.
#[derive(Clone, Debug)]
pub struct Cell {
    pub name: String,
    /// Where it answers clients.
    pub endpoint: String,
    /// Its database.
    pub database: Secret,
}

/// Reads `NAME ENDPOINT DATABASE-URL`, one cell after the other, with a semicolon or a new line between them.
pub fn read(text: &str) -> Result<Vec<Cell>, String> {
    let mut cells: Vec<Cell> = Vec::new();
    for entry in text.split([';', '\n']).map(str::trim).filter(|entry| !entry.is_empty()) {
        let words: Vec<&str> = entry.split_whitespace().collect();
        let [name, endpoint, database] = words[..] else {
            return Err(format!(
                "cell {}: expected its name, its endpoint and the URL of its database",
                cells.len() + 1
            ));
        };
        if !is_name(name) {
            return Err(format!("cell {}: a name has 1 to 63 of a-z, 0-9 and '-'", cells.len() + 1));
        }
        if !(endpoint.starts_with("https://") || endpoint.starts_with("http://")) {
            return Err(format!("cell {name}: its endpoint is no http(s) address"));
        }
        if !(database.starts_with("postgres://") || database.starts_with("postgresql://")) {
            return Err(format!("cell {name}: its database is no postgres:// URL"));
        }
        if cells.iter().any(|cell| cell.name == name) {
            return Err(format!("cell {name} is named twice"));
        }
        let (name, endpoint) = (name.to_owned(), endpoint.trim_end_matches('/').to_owned());
        cells.push(Cell { name, endpoint, database: Secret::new(database) });
    }
    Ok(cells)
}

/// Whether a cell may be called so.
pub fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&name.len()) && name.chars().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_read_by_line_and_by_semicolon() {
        let text =
            "eu https://eu.lrs.example/ postgres://u:hunter2@eu/p ; us https://us.lrs.example postgresql://u@us/p\n";
        let cells = read(text).unwrap();
        let names: Vec<_> = cells.iter().map(|cell| (cell.name.as_str(), cell.endpoint.as_str())).collect();
        assert_eq!(names, [("eu", "https://eu.lrs.example"), ("us", "https://us.lrs.example")]);
        assert!(!format!("{cells:?}").contains("hunter2"));
        assert!(read(" \n;").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_cell_is_refused_without_its_password() {
        for (wrong, words) in [
            ("eu https://eu.example", "expected its name"),
            ("EU https://eu.example postgres://h/d", "a name has"),
            ("eu eu.example postgres://u:hunter2@h/d", "no http"),
            ("eu https://eu.example mysql://u:hunter2@h/d", "no postgres://"),
            ("eu https://a.example postgres://h/d; eu https://b.example postgres://h/d", "twice"),
        ] {
            let why = read(wrong).unwrap_err();
            assert!(why.contains(words) && !why.contains("hunter2"), "{why}");
        }
    }
}
