//! A data set for other people's engines: `tests/clients/run` has it written where they look, and reads it with them.

use std::{collections::BTreeMap, fs, path::PathBuf};

use progress_service::objects::{Objects, segment::Row};
use serde_json::json;

use crate::support::{
    segments::{SMALL, all_of, archive, folder_store, place, rows, writing},
    settings,
};

#[tokio::test]
async fn a_data_set_for_engines() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = settings::optional("TEST_SEGMENTS_TO").map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let objects = Objects::over(folder_store(&folder));
    let mut months = BTreeMap::new();
    for month in ["2026-02", "2026-03"] {
        let place = place(month);
        let rows = rows(place, 1_500);
        let done = archive(&objects, writing(place, 1), &rows, SMALL).await.unwrap();
        assert_eq!(all_of(&objects, &place).await.unwrap(), rows);
        let voided = rows.iter().filter(|row| row.voided_by.is_some()).count();
        let about =
            |row: &Row| json!({"id": row.id, "stored": row.stored, "payload": row.payload, "relations": row.relations});
        months.insert(
            month,
            json!({"rows": rows.len(), "verbs": done.manifest().verbs, "parts": done.manifest().parts.len(),
            "voided": voided, "sample": about(&rows[321])}),
        );
    }
    let expected = json!({"tenant": place("2026-02").tenant, "months": months});
    fs::write(folder.join("_expected.json"), expected.to_string()).unwrap();
}
