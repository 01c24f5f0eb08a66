//! The conversation: transactions, cursors, savepoints and refusals, over the protocol itself.

use tokio_postgres::SimpleQueryMessage;

use crate::support::{Gateway, ask, refusal, texts};

#[tokio::test]
async fn a_cursor_is_declared_fetched_rewound_and_closed() {
    let (gateway, rows) = Gateway::filled().await;
    let client = gateway.login("one").await.unwrap();
    let outside = refusal(ask(&client, "DECLARE c CURSOR FOR SELECT id FROM archive.statements").await);
    assert_eq!(outside.0, "25P01");
    client.simple_query("START TRANSACTION ISOLATION LEVEL REPEATABLE READ").await.unwrap();
    client
        .simple_query("DECLARE c1 CURSOR FOR SELECT id FROM archive.statements_2026_03 ORDER BY stored")
        .await
        .unwrap();
    let first = ask(&client, "FETCH 1000 FROM c1").await.unwrap();
    let second = ask(&client, "FETCH 1000 FROM c1").await.unwrap();
    assert_eq!((first.len(), second.len(), ask(&client, "FETCH 1000 FROM c1").await.unwrap().len()), (1_000, 500, 0));
    let wanted: Vec<String> = rows.iter().take(1_500).map(|row| format!("={}", row.id)).collect();
    assert_eq!([first.concat(), second.concat()].concat(), wanted);
    client.simple_query("MOVE BACKWARD ALL IN c1").await.unwrap();
    assert_eq!(ask(&client, "FETCH NEXT FROM c1").await.unwrap(), [[wanted[0].clone()]]);
    client.simple_query("CLOSE c1").await.unwrap();
    assert_eq!(refusal(ask(&client, "FETCH 1 FROM c1").await).0, "34000");
    assert_eq!(refusal(ask(&client, "SELECT 1").await).0, "25P02", "the transaction has failed");
    client.simple_query("ABORT TRANSACTION").await.unwrap();
    assert_eq!(ask(&client, "SELECT 1").await.unwrap(), [["=1"]]);
}

#[tokio::test]
async fn a_savepoint_takes_an_error_back() {
    let (gateway, _) = Gateway::filled().await;
    let client = gateway.login("one").await.unwrap();
    client.simple_query("BEGIN; SAVEPOINT s2").await.unwrap();
    assert_eq!(refusal(ask(&client, "SELECT nothing FROM archive.statements").await).0, "42703");
    client.simple_query("ROLLBACK TO SAVEPOINT s2; RELEASE SAVEPOINT s2").await.unwrap();
    assert_eq!(ask(&client, "SELECT count(*) FROM archive.statements").await.unwrap(), [["=1500"]]);
    let ended = client.simple_query("COMMIT TRANSACTION").await.unwrap();
    assert!(matches!(ended.as_slice(), [SimpleQueryMessage::CommandComplete(0)]));
}

#[tokio::test]
async fn people_ask_plain_questions() {
    let (gateway, rows) = Gateway::filled().await;
    let client = gateway.login("one").await.unwrap();
    let messages = client.simple_query("SELECT verb, count(*) AS many FROM archive.statements WHERE NOT voiding GROUP BY verb ORDER BY many DESC, verb LIMIT 1").await.unwrap();
    let names = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::RowDescription(columns) => {
            Some(columns.iter().map(|one| one.name().to_owned()).collect::<Vec<_>>())
        }
        _ => None,
    });
    assert_eq!(names.unwrap(), ["verb", "many"]);
    assert_eq!(texts(messages)[0][0], "=http://v.example/failed");
    let row = &rows[1];
    let asked = format!(
        "SELECT stored, occurred, voiding, actor, payload FROM archive.statements WHERE id = '{}'",
        row.id.to_string().to_uppercase()
    );
    let found = ask(&client, &asked).await.unwrap().remove(0);
    assert_eq!(
        found[0],
        format!("={}", row.stored.format("%Y-%m-%d %H:%M:%S%.6f+00"))
            .trim_end_matches('0')
            .replace("+", "+00")
            .replace("+000", "+00")
    );
    assert_eq!((found[2].as_str(), found[3].as_str()), ("=f", r#"={"mbox":"mailto:learner1@x.example"}"#));
    assert_eq!(found[4], format!("={}", row.payload));
    assert_eq!(ask(&client, "SHOW timezone").await.unwrap(), [["=GMT"]]);
    assert_eq!(ask(&client, "").await.unwrap(), Vec::<Vec<String>>::new());
    for twice in [
        "SELECT id, id FROM archive.statements LIMIT 1",
        "SELECT a.id, b.id, a.* FROM archive.statements a JOIN archive.statements b ON a.id = b.id LIMIT 1",
    ] {
        assert_eq!(ask(&client, twice).await.unwrap().len(), 1, "{twice}");
    }
}

#[tokio::test]
async fn what_would_come_out_otherwise_is_refused_with_its_code_and_a_way_out() {
    let (gateway, _) = Gateway::filled().await;
    let client = gateway.login("one").await.unwrap();
    let of = |what: &str| format!("SELECT {what} FROM archive.statements");
    let refused = [
        "avg(1)",
        "variance(1)",
        "lower(payload)",
        "payload || 'x'",
        "payload::jsonb",
        "stored - occurred",
        "stored::text",
        "extract(year FROM stored)",
        "now()",
        "random()",
        "id = id COLLATE \"C\"",
        "row_number() OVER ()",
        "array_agg(id)",
        "string_agg(verb, ',')",
        "max(voiding)",
        "(SELECT 1)",
        "1.5",
        "ARRAY[1]",
        "payload ~ 'x'",
        "payload ILIKE 'x'",
        "verb SIMILAR TO 'x'",
        "verb LIKE verb",
        "verb LIKE 'a\\b'",
        "pg_sleep(1)",
        "version()",
        "voiding AND sum(1) > 0 OR substr(verb, 1) = 'x'",
    ];
    for what in refused {
        let (code, said) = refusal(ask(&client, &of(what)).await);
        assert!(code == "0A000" && said.contains("AS MATERIALIZED"), "{what}: {code} {said}");
    }
    let shapes = [
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "SELECT 1 UNION SELECT 2",
        "VALUES (1)",
        "TABLE archive.statements",
        "SELECT DISTINCT ON (id) id FROM archive.statements",
        "SELECT id FROM archive.statements GROUP BY CUBE (id)",
        "SELECT id FROM archive.statements FETCH FIRST 3 ROWS WITH TIES",
        "SELECT * FROM generate_series(1, 3)",
        "SELECT * FROM archive.statements NATURAL JOIN archive.statements b",
        "SELECT relname FROM pg_catalog.pg_class",
    ];
    for shape in shapes {
        assert_eq!(refusal(ask(&client, shape).await).0, "0A000", "{shape}");
    }
    for (query, code) in [
        ("SELECT id FROM archive.statements FOR UPDATE", "25006"),
        ("SELECT id INTO x FROM archive.statements", "25006"),
        ("DELETE FROM archive.statements", "25006"),
        ("SELECT id FROM archive.statements_2020_01", "42P01"),
        ("SELECT id FROM archive.relations", "42P01"),
        ("SELECT id FROM other.statements", "42P01"),
        ("SELECT x.id FROM archive.statements", "42703"),
        ("SELECT extra FROM archive.statements", "42703"),
        ("SELECT id FROM archive.statements a, archive.statements b", "42702"),
        ("SELECT id FROM archive.statements WHERE id = stored", "42883"),
        ("SELECT id FROM archive.statements WHERE id", "42804"),
        ("SELECT id FROM archive.statements WHERE id = 'x'", "22P02"),
        ("SELECT id FROM archive.statements WHERE stored > 'yesterday'", "22007"),
        ("SELECT id FROM archive.statements WHERE id = $1", "42P02"),
        ("SELECT id, count(*) FROM archive.statements", "42601"),
        ("SELEC 1", "0A000"),
    ] {
        assert_eq!(refusal(ask(&client, query).await).0, code, "{query}");
    }
    assert_eq!(ask(&client, "SELECT count(*) FROM archive.statements").await.unwrap(), [["=1500"]]);
}
