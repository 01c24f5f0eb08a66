//! An export whose statements are Parquet: the same export in another form.

use std::{fs, path::PathBuf};

use serde_json::json;

use super::{Desk, count, files, nothing_came, seeded};
use crate::support::{process::Process, settings};

const EXPORT: &str = "data export --tenant demo-1 --output @/sheets --format parquet";
const MARCH: &str = "statements/2026-03.parquet";

on_each_server! {
    async fn what_is_exported_as_parquet_comes_back_equal(db: TestDatabase) {
        let desk = Desk::new();
        seeded(&desk, &db);
        desk.done(&db, "data export --tenant demo-1 --output @/out");
        let said = desk.done(&db, EXPORT);
        assert_eq!((&said["statements"], &said["format"]), (&json!(1500), &json!(2)), "{said}");
        assert_eq!(files(&desk.path("sheets/statements")), ["2026-01.parquet", "2026-02.parquet", "2026-03.parquet"]);
        assert_eq!((desk.manifest("out")["format"].clone(), desk.manifest("out")["months"].clone()),
            (json!(1), desk.manifest("sheets")["months"].clone()), "counts and digests are of the lines, whatever holds them");
        assert_eq!(desk.done(&db, "data compare @/out @/sheets")["equal"], true);
        assert_eq!(desk.done(&db, "data compare @/sheets --to current")["equal"], true);
        desk.done(&db, "data export --tenant demo-1 --output @/sheets.zip --zip --format parquet");
        assert_eq!(desk.done(&db, "data compare @/sheets.zip --to current")["equal"], true);
        // For engines that know nothing of us.
        if let Some(folder) = settings::optional("TEST_EXPORT_TO").map(PathBuf::from).filter(|folder| !folder.exists()) {
            fs::rename(desk.path("sheets"), &folder).unwrap();
            desk.done(&db, EXPORT);
        }

        let other = TestDatabase::new(db.server()).await;
        let import = format!("data import --file @/sheets --from {} --apply", desk.installation("sheets"));
        let done = desk.done(&other, &import);
        assert_eq!((&done["done"]["new"], &done["done"]["same"]), (&json!(1500), &json!(0)), "{done}");
        assert_eq!(desk.done(&other, "data compare @/out --to current")["equal"], true);
    }

    async fn a_sheet_that_was_changed_or_cut_off_is_named_and_nothing_comes(db: TestDatabase) {
        let desk = Desk::new();
        seeded(&desk, &db);
        desk.done(&db, EXPORT);
        let other = TestDatabase::new(db.server()).await;
        let import = format!("data import --file @/sheets --from {} --apply", desk.installation("sheets"));
        let whole = fs::read(desk.path("sheets").join(MARCH)).unwrap();
        let refused = |bytes: &[u8], word: &str| {
            fs::write(desk.path("sheets").join(MARCH), bytes).unwrap();
            let why = desk.refused(&other, &import);
            assert!(why.contains(MARCH) && why.contains(word), "{word}: {why}");
        };
        refused(&whole[..whole.len() / 2], "[truncated]");
        for at in [0, whole.len() / 3, whole.len() - 5] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            refused(&bytes, "[digest]");
        }
        fs::remove_file(desk.path("sheets").join(MARCH)).unwrap();
        assert!(desk.refused(&other, &import).contains("ends after 0 bytes"));
        nothing_came(&other).await;
    }

    async fn who_is_killed_goes_on_with_sheets(db: TestDatabase) {
        let desk = Desk::new();
        seeded(&desk, &db);
        let learner: String = db.superuser().await
            .query_one("SELECT user_id FROM progress.attempts WHERE length(user_id) = 36 GROUP BY 1 ORDER BY count(*) DESC LIMIT 1", &[]).await.unwrap().get(0);
        // Of one learner the attachments are told from the statements that are written already.
        let export = format!("{EXPORT} --learner {learner}");
        for millis in [150, 250, 350, 450] {
            let mut process = Process::start(desk.command(&db, &export));
            tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
            process.kill();
            if desk.path("sheets/manifest.json").exists() {
                fs::remove_dir_all(desk.path("sheets")).unwrap();
            }
        }
        desk.done(&db, &export);
        assert_eq!(desk.done(&db, "data compare @/sheets --to current")["equal"], true);
        assert!(desk.manifest("sheets")["counts"]["statements"].as_u64() > Some(0));
        assert!(count(&db.superuser().await, "platform.audit WHERE action = 'data.export'").await > 0);
    }
}
