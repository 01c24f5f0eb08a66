//! Readers of both cells' topics: who goes on from one to the other has every event of a moving tenant once, in the order of its key.

use std::{collections::HashMap, time::Duration};

use progress_service::relay::STATEMENT_STORED;
use serde_json::{Value, json};

use super::cells::{Cells, Client, statement};
use crate::support::{
    kafka::{Received, Topic, brokers, unique},
    patience, schemas,
};

const COMPLETIONS: &str = "progress.completion.recorded.v1";

/// The events of the cells one after the other, each partition's in its order.
async fn read(topics: &[Topic]) -> Vec<Received> {
    let mut all = Vec::new();
    for topic in topics {
        let mut here = topic.read_all().await;
        here.sort_by_key(|message| (message.partition, message.offset));
        all.extend(here);
    }
    all
}

async fn both(prefixes: [&str; 2], event: &str) -> [Topic; 2] {
    let named = |prefix: &str| Topic::named(format!("{prefix}{event}"), 3);
    [named(prefixes[0]).await, named(prefixes[1]).await]
}

/// Every event came once, and each key's in the order of `stored`.
fn once_and_in_order(all: &[Received], stored: impl Fn(&Value) -> &Value) {
    let mut ids: Vec<String> = all.iter().map(|message| message.json()["id"].to_string()).collect();
    ids.sort();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "an event came twice");
    let mut last: HashMap<String, String> = HashMap::new();
    for message in all {
        let (key, event) = (message.key.clone().unwrap(), message.json());
        let stored = stored(&event).as_str().unwrap().to_owned();
        let before = last.insert(key, stored.clone());
        assert!(before.as_ref().is_none_or(|before| *before < stored), "{before:?} came before {stored}");
    }
}

on_each_server! {
    async fn readers_of_both_topics_have_every_event_once_in_the_order_of_its_key(db: TestDatabase) {
        let prefixes = [unique("cell-one"), unique("cell-two")];
        let prefixes = [prefixes[0].as_str(), prefixes[1].as_str()];
        let (statements, completions) = (both(prefixes, STATEMENT_STORED).await, both(prefixes, COMPLETIONS).await);
        let cells = Cells::told(db, prefixes, &brokers()).await;
        let first: Vec<Value> = (0..100).map(statement).collect();
        cells.post(&cells.one, &json!(first)).await.expect(200);
        let id = cells.noted();
        let client = Client::start(&cells, 1_000);
        cells.act("start", &id);
        cells.act("switch", &id);
        tokio::time::sleep(Duration::from_millis(300)).await;
        let written = client.end().await - 1_000;
        let expected = 100 + written as usize;
        patience::until("every statement is told of", async || {
            let told = statements[0].count().await + statements[1].count().await;
            if told >= expected { Ok(()) } else { Err(format!("{told} of {expected}")) }
        })
        .await;
        let all = read(&statements).await;
        assert_eq!(all.len(), expected);
        assert!(statements[1].count().await > 0, "the other cell tells what it takes");
        once_and_in_order(&all, |event| &event["data"]["stored"]);
        schemas::check(&all);
        cells.settled(&cells.two).await;
        let recorded = cells.rows(&cells.two, "progress.completion_records").await.len();
        assert!(recorded > 0, "something was completed");
        patience::until("every completion is told of", async || {
            let told = completions[0].count().await + completions[1].count().await;
            if told >= recorded { Ok(()) } else { Err(format!("{told} of {recorded}")) }
        })
        .await;
        let mut told: Vec<String> = read(&completions).await.iter().map(|message| message.json()["id"].to_string()).collect();
        told.sort();
        told.dedup();
        assert_eq!(told.len(), recorded, "each completion is told of, and no other");
    }
}
