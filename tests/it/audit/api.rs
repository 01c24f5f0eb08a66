//! `/api/v1/audit`: who may read what, and that what is read there can be checked.

use progress_service::audit::{Receipt, note::Verifier};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    api::{Api, access::key},
    support::app::send,
};

const ROOT: &str = "/api/v1/audit";

on_each_server! {
    async fn an_auditor_reads_entries_and_receipts_of_their_own_tenant(db: TestDatabase) {
        let api = Api::start(db).await;
        let tenant = api.post("/api/v1/admin/tenants", &json!({"name": "acme"})).await.expect(201).json();
        let of_acme = format!("?tenantId={}", tenant["id"].as_str().unwrap());
        let everybody = key(&api, &["audit:read"], "").await;
        let theirs = key(&api, &["audit:read"], &of_acme).await;
        let nobody = key(&api, &["all"], "").await;
        let entries = api.get_as(&everybody, &format!("{ROOT}/entries")).await.expect(200).json();
        let entries = entries["data"].as_array().unwrap().clone();
        let own = api.get_as(&theirs, &format!("{ROOT}/entries")).await.expect(200).json();
        let own = own["data"].as_array().unwrap();
        assert!(own.len() < entries.len() && own.iter().all(|entry| entry["tenantId"] == tenant["id"]), "{own:?}");
        let foreign = entries.iter().find(|entry| entry["tenantId"] != tenant["id"]).unwrap();
        for what in ["proof", "receipt"] {
            api.get_as(&theirs, &format!("{ROOT}/entries/{}/{what}", foreign["id"])).await.expect(404);
            api.get_as(&theirs, &format!("{ROOT}/entries/{}/{what}", own[0]["id"])).await.expect(200);
            for none in ["0", "-1", "4711", "x", "99999999999999999999"] {
                api.get_as(&everybody, &format!("{ROOT}/entries/{none}/{what}")).await.expect(404);
            }
        }
        for path in ["entries", "entries/1/proof", "entries/1/receipt", "checkpoint", "anchors", "log/checkpoint", "log/tile/0/000.p/1"] {
            let path = format!("{ROOT}/{path}");
            let refused = send(api.app.anonymous(Method::GET, &path).header("Authorization", &nobody)).await.expect(403);
            assert!(refused.text().contains("audit:read"), "{path}: {}", refused.text());
            send(api.app.anonymous(Method::GET, &path)).await.expect(401);
        }
        let one_act = api.all(&format!("{ROOT}/entries?filter[action]=tenant.create&page[size]=1")).await;
        assert_eq!(one_act.len(), 1);
        api.get(&format!("{ROOT}/entries?colour=red")).await.expect(400);
    }

    async fn a_receipt_over_http_holds_under_the_key_of_the_checkpoint(db: TestDatabase) {
        let api = Api::start(db).await;
        api.post("/api/v1/admin/tenants", &json!({"name": "acme"})).await.expect(201);
        let entry = api.all(&format!("{ROOT}/entries?filter[action]=tenant.create")).await[0]["id"].clone();
        let receipt: Receipt = serde_json::from_value(api.get(&format!("{ROOT}/entries/{entry}/receipt")).await.expect(200).json()).unwrap();
        let checkpoint = api.get(&format!("{ROOT}/checkpoint")).await.expect(200).json();
        let trusted = Verifier::read(checkpoint["verifier"].as_str().unwrap()).unwrap();
        assert_eq!(receipt.check(&trusted), Ok(()));
        assert_eq!(receipt.entry()["action"], "tenant.create");
        let pdf = api.get(&format!("{ROOT}/entries/{entry}/receipt?format=pdf")).await.expect(200);
        assert!(pdf.body.starts_with(b"%PDF-") && pdf.header("content-type") == "application/pdf");
        api.get(&format!("{ROOT}/entries/{entry}/receipt?format=xml")).await.expect(400);
        let refused = api.post(&format!("{ROOT}/cosignatures"), &json!({"checkpoint": "x"})).await.expect(409);
        assert!(refused.text().contains("it is no checkpoint"), "{}", refused.text());
        let anchors = api.all(&format!("{ROOT}/anchors?page[size]=1")).await;
        assert!(anchors.iter().any(|anchor: &Value| anchor["place"] == "objects"), "{anchors:?}");
    }

    async fn the_log_lies_there_as_tiles(db: TestDatabase) {
        let api = Api::start(db).await;
        api.app.stop_loops().await;
        crate::audit::act(&api.app.db.store(), 300).await;
        api.app.service().rooms.audit.settle().await.unwrap();
        let read = async |path: &str| send(api.app.request(Method::GET, &format!("{ROOT}/log/{path}"))).await;
        let checkpoint = read("checkpoint").await.expect(200).text();
        let size: usize = checkpoint.lines().nth(1).unwrap().parse().unwrap();
        let (whole, rest) = (read("tile/0/000").await.expect(200).body, size - 256);
        let partial = read(&format!("tile/0/001.p/{rest}")).await.expect(200).body;
        let above = read("tile/1/000.p/1").await.expect(200).body;
        let hashes = |bytes: &[u8]| bytes.chunks(32).map(|hash| hash.try_into().unwrap()).collect::<Vec<[u8; 32]>>();
        use progress_service::audit::merkle::{Edge, folded, leaf};
        assert_eq!(hashes(&above), [folded(hashes(&whole))]);
        let mut edge = Edge::default();
        for hash in hashes(&whole).into_iter().chain(hashes(&partial)) {
            edge.push(hash);
        }
        assert!(checkpoint.contains(&progress_service::audit::base64(&edge.root())), "{checkpoint}");
        let entries = read(&format!("tile/entries/001.p/{rest}")).await.expect(200).body;
        let leaves: Vec<[u8; 32]> = entries.chunks(34).map(|entry| leaf(&entry[2..])).collect();
        assert_eq!(leaves, hashes(&partial));
        for nothing in ["tile/0/001", "tile/1/000.p/2", "tile/0/002.p/1", "tile/9/000", "tile/0/1", "", "x"] {
            read(nothing).await.expect(404);
        }
        send(api.app.request(Method::POST, &format!("{ROOT}/log/checkpoint"))).await.expect(405);
    }
}
