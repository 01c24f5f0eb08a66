//! Months that leave the tables and come back: no query can tell, whatever refers to what across the border.

mod border;
pub mod history;
mod questions;
mod troubles;
mod year;

use std::collections::BTreeSet;

use progress_service::objects::Objects;

use self::{
    history::{History, MONTHS},
    questions::{Answered, Questions},
};
use crate::support::{app::TestApp, months, segments::folder_store};

/// Where a test's service keeps archived months.
pub fn objects(app: &TestApp) -> Objects {
    let folder = app.data().join("archive");
    std::fs::create_dir_all(&folder).unwrap();
    Objects::over(folder_store(&folder))
}

/// Every question again: the same answers, byte for byte. Answers how many statements of them came out of archived months.
async fn the_same(what: &str, history: &History, questions: &Questions, before: &[Vec<Answered>]) -> usize {
    let now = questions.ask_all(history).await;
    for ((question, before), now) in questions.all.iter().zip(before).zip(&now) {
        assert_eq!(before.len(), now.len(), "{what}: {question:?}: as many pages");
        for (page, (before, now)) in before.iter().zip(now).enumerate() {
            assert_eq!(before.status, now.status, "{what}: page {page} of {question:?}: {}", now.text());
            assert!(before.body == now.body, "{what}: page {page} of {question:?}\n{}\n{}", before.text(), now.text());
        }
    }
    now.iter().flatten().map(|answer| answer.archived).sum()
}

on_each_server! {
    async fn no_query_can_tell_where_a_month_is(db: TestDatabase) {
        let history = History::write(db).await;
        let (app, db) = (&history.api.app, &history.api.app.db);
        let objects = objects(app);
        let questions = Questions::about(&history).await;
        assert!(questions.all.len() >= 500, "{}", questions.all.len());
        let before = questions.ask_all(&history).await;
        let statuses: BTreeSet<u16> = before.iter().flatten().map(|answer| answer.status).collect();
        assert_eq!(statuses, BTreeSet::from([200, 404]));
        assert!(before.iter().flatten().count() > questions.all.len() * 3 / 2, "few have more pages than one");
        let step = async |what: &str| the_same(what, &history, &questions, &before).await;
        for month in MONTHS {
            months::seal(db, history::month(month)).await;
        }
        assert_eq!(step("sealed").await, 0);
        // In the middle of hot ones, and all but the newest.
        months::detach(db, history::month(MONTHS[1])).await;
        assert_eq!(step("one is detached").await, 0);
        for month in [MONTHS[0], MONTHS[2], MONTHS[3]] {
            months::detach(db, history::month(month)).await;
        }
        assert_eq!(step("detached").await, 0);
        for month in &MONTHS[..4] {
            months::publish(db, &objects, history::month(month), 0).await;
            months::archived(db, history::month(month)).await;
        }
        assert_eq!(step("archived, with their tables").await, 0);
        months::drop_table(db, history::month(MONTHS[1])).await;
        let of_one = step("one table is dropped").await;
        assert!(of_one > 500, "{of_one}");
        for month in [MONTHS[0], MONTHS[3]] {
            months::drop_table(db, history::month(month)).await;
        }
        let of_three = step("between dropped ones one is detached, and one is hot").await;
        assert!(of_three > of_one, "{of_three}");
        months::drop_table(db, history::month(MONTHS[2])).await;
        for n in 0..2 {
            assert!(step(["dropped", "out of the cache"][n]).await > of_three);
        }
        // Back, out of their order.
        for month in [MONTHS[2], MONTHS[0]] {
            months::restore(db, &objects, history::month(month), 0).await;
        }
        assert!(step("two are restored").await > of_one / 2);
        months::attach(db, history::month(MONTHS[0])).await;
        assert!(step("one is hot again").await > of_one / 2);
        for month in [MONTHS[1], MONTHS[3]] {
            months::restore(db, &objects, history::month(month), 0).await;
        }
        for month in &MONTHS[1..4] {
            months::attach(db, history::month(month)).await;
        }
        assert_eq!(step("all are back").await, 0);
    }
}
