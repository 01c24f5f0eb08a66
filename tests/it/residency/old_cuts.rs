//! Whoever moves old months or purges them is cut off or killed anywhere: the same act ends it.

use std::{process::Stdio, time::Duration};

use progress_service::residency::Act;
use serde_json::json;

use super::{
    cuts::Mover,
    old_months::{EACH, FEBRUARY, JANUARY, Shelved, the_rest_is_the_same},
    trouble::state,
};
use crate::support::process::command;

on_the_newest_server! {
    async fn wherever_a_move_of_old_months_is_cut_off_the_same_act_ends_it(db: TestDatabase) {
        let shelved = Shelved::start(db).await;
        let cells = &shelved.cells;
        shelved.said().await;
        shelved.archived().await;
        let before = shelved.answers(0).await;
        cells.one.stop_loops().await;
        cells.two.stop_loops().await;
        let mover = Mover::over(cells, &shelved.objects(0));
        let (mut in_the_middle, mut waits) = (0, 0);
        loop {
            let noted = mover.noted().await;
            let ended = mover.cut(Act::Start, noted, waits).await;
            let proven = cells.one.db.superuser().await
                .query_one("SELECT coalesce(jsonb_array_length(proof -> 'absent'), 0) FROM platform.moves ORDER BY created_at DESC LIMIT 1", &[])
                .await.unwrap().get::<_, i32>(0);
            let there = [shelved.in_month(1, JANUARY).await, shelved.in_month(1, FEBRUARY).await];
            in_the_middle += u32::from(there.get(usize::try_from(proven).unwrap()).is_some_and(|rows| *rows > 0));
            mover.done(Act::Start, noted).await;
            assert_eq!([shelved.in_month(1, JANUARY).await, shelved.in_month(1, FEBRUARY).await], [i64::from(EACH) + 1; 2], "after {waits} waits");
            if ended {
                mover.done(Act::Switch, noted).await;
                break;
            }
            mover.done(Act::Cancel, noted).await;
            assert_eq!(cells.rows(&cells.two, "ledger.statements").await.len(), 0);
            waits += 23;
        }
        assert!(in_the_middle > 0, "no cut in the middle of an old month");
        the_rest_is_the_same(cells).await;
        assert_eq!(shelved.answers(1).await, before);
    }

    async fn whoever_moves_old_months_or_purges_them_is_killed(db: TestDatabase) {
        let shelved = Shelved::start(db).await;
        let cells = &shelved.cells;
        shelved.said().await;
        shelved.archived().await;
        let (before, neighbour) = (shelved.answers(0).await, shelved.neighbour().await);
        cells.one.stop_loops().await;
        let noted = cells.noted();
        let killed = async |line: String| {
            for after in [150, 300, 450, 600, 800] {
                let words: Vec<&str> = line.split(' ').collect();
                let mut child = command(&words, &cells.variables).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                tokio::time::sleep(Duration::from_millis(after)).await;
                child.kill().unwrap();
                child.wait().unwrap();
                let forget = "UPDATE platform.leases SET expires_at = '-infinity'";
                cells.one.db.superuser().await.batch_execute(forget).await.unwrap();
            }
        };
        killed(format!("residency start {noted} --apply")).await;
        cells.act("start", &noted);
        cells.act("switch", &noted);
        the_rest_is_the_same(cells).await;
        assert_eq!(shelved.answers(1).await, before);
        cells.done(&format!("residency purge {noted} --apply --by ann"));
        killed(format!("residency purge {noted} --apply --by bob")).await;
        if state(cells).await != "purged" {
            cells.done(&format!("residency purge {noted} --apply --by bob"));
        }
        assert_eq!(cells.done(&format!("residency status {noted}"))["rowsHere"], json!(0));
        assert_eq!(shelved.keys(0, true).await, Vec::<String>::new());
        assert_eq!(shelved.neighbour().await, neighbour);
    }
}
