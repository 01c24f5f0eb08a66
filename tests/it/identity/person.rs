//! What a person's token sees over xAPI: what that person did, on every surface, unless its scopes reach further.

use reqwest::Method;
use serde_json::{Value, json};

use super::documents::Tokens;
use crate::{
    support::app::{Answer, send},
    xapi::{
        about,
        attachments::{multipart, occurrences, with_attachment},
        id, identified, ids, voiding,
    },
};

const COMMENTED: &str = "http://adlnet.gov/expapi/verbs/commented";
const USER: &str = "00000000-0000-4000-8000-0000000000aa";

async fn get(tokens: &Tokens, token: &str, path: &str, query: &[(&str, &str)]) -> Answer {
    let request = tokens.app.anonymous(Method::GET, path).query(query).header("Authorization", token);
    send(request.header("X-Experience-API-Version", "1.0.3")).await
}

fn by(agent: &str, mut statement: Value) -> Value {
    statement["actor"] = serde_json::from_str(agent).unwrap();
    statement["actor"]["name"] = json!("a name");
    statement
}

/// Statements 1 and 3 are Ada's, 2 is Bob's; 11 is Bob's about 1, 12 is Ada's about 2; 4 was Ada's and 5 Bob's before
/// 14 and 15, of neither, voided them.
async fn fill(tokens: &Tokens, ada: &str, bob: &str) {
    let with = |agent: &str, n: u128, content: &[u8]| by(agent, with_attachment(n, content));
    let body = multipart(&json!([with(ada, 1, b"of ada"), with(bob, 2, b"of bob")]), &[b"of ada", b"of bob"]);
    let request = tokens.app.xapi(Method::POST, "/statements");
    send(request.header("Content-Type", "multipart/mixed; boundary=limit").body(body)).await.expect(200);
    let mut team = by(ada, identified(&id(3), "unused", "b"));
    team["context"] = json!({"instructor": serde_json::from_str::<Value>(bob).unwrap()});
    tokens
        .app
        .post_statements(&json!([
            team,
            by(ada, identified(&id(4), "unused", "a")),
            by(bob, identified(&id(5), "unused", "a"))
        ]))
        .await
        .expect(200);
    let chain = json!([
        by(bob, about(&id(11), COMMENTED, &id(1))),
        by(ada, about(&id(12), COMMENTED, &id(2))),
        voiding(&id(14), &id(4)),
        voiding(&id(15), &id(5))
    ]);
    tokens.app.post_statements(&chain).await.expect(200);
}

on_each_server! {
    async fn a_person_sees_what_they_did_and_nothing_else(db: TestDatabase) {
        let tokens = Tokens::start(db).await;
        let (ada, bob) = (tokens.agent("ada"), tokens.agent("bob"));
        fill(&tokens, &ada, &bob).await;
        let activity = ("activity", "http://example.com/activities/a");
        for application in [false, true] {
            let token = tokens.token("ada", application, "statements/read");
            let page = async |query: &[(&str, &str)]| {
                ids(&get(&tokens, &token, "/xapi/statements", query).await.expect(200).json())
            };
            assert_eq!(page(&[]).await, [id(12), id(3), id(1)]);
            assert_eq!(page(&[("ascending", "true")]).await, [id(1), id(3), id(12)]);
            assert_eq!(page(&[activity]).await, [id(1)], "12 refers to what is not hers");
            assert_eq!(page(&[activity, ("related_activities", "true")]).await, [id(1)]);
            assert_eq!(page(&[("verb", COMMENTED)]).await, [id(12)]);
            assert_eq!(page(&[("agent", &ada)]).await, [id(12), id(3), id(1)]);
            assert!(page(&[("agent", &bob)]).await.is_empty(), "12 reaches a statement of his, and does not say so");
            assert_eq!(page(&[("agent", &bob), ("related_agents", "true")]).await, [id(3)]);
            for (n, status) in [(1, 200), (2, 404), (3, 200), (11, 404), (12, 200), (14, 404)] {
                for format in ["exact", "ids", "canonical"] {
                    get(&tokens, &token, "/xapi/statements", &[("statementId", &id(n)), ("format", format)]).await.expect(status);
                }
            }
            for (n, status) in [(4, 200), (5, 404)] {
                get(&tokens, &token, "/xapi/statements", &[("voidedStatementId", &id(n))]).await.expect(status);
            }
            let answer = get(&tokens, &token, "/xapi/statements", &[("attachments", "true")]).await.expect(200);
            assert_eq!((occurrences(&answer.body, b"of ada"), occurrences(&answer.body, b"of bob")), (1, 0));
            let person = get(&tokens, &token, "/xapi/agents", &[("agent", &ada)]).await.expect(200).json();
            assert_eq!(person["name"], json!(["a name"]));
            let person = get(&tokens, &token, "/xapi/agents", &[("agent", &bob)]).await.expect(200).json();
            assert_eq!((person.get("name"), &person["objectType"]), (None, &json!("Person")));
            // What it wrote itself is another question.
            let mine = tokens.token("ada", application, "statements/read/mine");
            assert!(ids(&get(&tokens, &mine, "/xapi/statements", &[]).await.expect(200).json()).is_empty());
        }
        // A `more` link leads to what its reader sees, whoever was given it.
        let first = tokens.app.get_statements(&[("limit", "1")]).await.expect(200).json();
        let token = tokens.token("ada", true, "statements/read");
        let next = get(&tokens, &token, first["more"].as_str().unwrap(), &[]).await.expect(200).json();
        assert_eq!(ids(&next), [id(12)]);
        let next = get(&tokens, &token, next["more"].as_str().unwrap(), &[]).await.expect(200).json();
        assert_eq!(ids(&next), [id(3)]);
    }

    async fn wider_scopes_and_applications_see_everybody(db: TestDatabase) {
        let tokens = Tokens::start(db).await;
        let (ada, bob) = (tokens.agent("ada"), tokens.agent("bob"));
        fill(&tokens, &ada, &bob).await;
        for (subject, scopes) in
            [("ada", "all/read"), ("ada", "all"), ("ada", "statements/read all/read"), ("lms", "statements/read")]
        {
            let token = tokens.token(subject, true, scopes);
            let seen = ids(&get(&tokens, &token, "/xapi/statements", &[]).await.expect(200).json());
            assert_eq!(seen.len(), 7, "{subject} {scopes}");
            get(&tokens, &token, "/xapi/statements", &[("statementId", &id(2))]).await.expect(200);
            let person = get(&tokens, &token, "/xapi/agents", &[("agent", &bob)]).await.expect(200).json();
            assert_eq!(person["name"], json!(["a name"]), "{subject} {scopes}");
        }
    }

    async fn a_person_of_the_platform_is_known_at_every_home_page(db: TestDatabase) {
        let tokens = Tokens::start(db).await;
        let at = |home: &str, name: &str| json!({"account": {"homePage": home, "name": name}}).to_string();
        let accounts = [at("http://lms.example", USER), at("http://other.example", &USER.to_uppercase()), tokens.agent(USER)];
        let stranger = at("http://lms.example", "00000000-0000-4000-8000-0000000000ab");
        for (n, agent) in (1..).zip(accounts.iter().chain([&stranger])) {
            tokens.app.post_statements(&by(agent, identified(&id(n), "unused", "a"))).await.expect(200);
        }
        let token = tokens.token(USER, true, "statements/read state");
        let seen = ids(&get(&tokens, &token, "/xapi/statements", &[("activity", "http://example.com/activities/a")])
            .await
            .expect(200)
            .json());
        assert_eq!(seen, [id(3), id(2), id(1)]);
        get(&tokens, &token, "/xapi/statements", &[("statementId", &id(2))]).await.expect(200);
        get(&tokens, &token, "/xapi/statements", &[("statementId", &id(4))]).await.expect(404);
        // And so for their documents.
        let states = |agent| [("activityId", "http://example.com/a"), ("agent", agent)];
        get(&tokens, &token, "/xapi/activities/state", &states(&accounts[0])).await.expect(200);
        get(&tokens, &token, "/xapi/activities/state", &states(&stranger)).await.expect(403);
    }

    async fn a_person_voids_what_carries_their_own_authority(db: TestDatabase) {
        let tokens = Tokens::start(db).await;
        let write = async |token: &str, statement: &Value| {
            let request = tokens.app.anonymous(Method::POST, "/xapi/statements").header("Authorization", token).json(statement);
            send(request.header("X-Experience-API-Version", "1.0.3")).await
        };
        let (ada, bob) = (tokens.token("ada", true, "statements/write"), tokens.token("bob", true, "statements/write"));
        write(&ada, &identified(&id(1), "ann", "a")).await.expect(200);
        let stored = tokens.app.get_statements(&[("statementId", &id(1))]).await.expect(200).json();
        assert_eq!(stored["authority"]["member"][1]["account"]["name"], "ada", "whoever it is about, she said it");
        write(&bob, &voiding(&id(11), &id(1))).await.expect(403);
        // Through another application it is another authority.
        write(&tokens.token("ada", false, "statements/write"), &voiding(&id(12), &id(1))).await.expect(403);
        write(&ada, &voiding(&id(13), &id(1))).await.expect(200);
        tokens.app.get_statements(&[("statementId", &id(1))]).await.expect(404);
    }
}
