//! Who is let in, and what it sees.

use std::process::Command;

use tokio_postgres::{Client, NoTls};

use crate::support::{Gateway, ONE, OTHER, PASSWORD, ask, refusal};

async fn count(client: &Client, from: &str) -> String {
    ask(client, &format!("SELECT count(*) FROM archive.{from}")).await.unwrap()[0][0].clone()
}

#[tokio::test]
async fn a_login_sees_its_own_tenant_and_no_other() {
    let (gateway, _) = Gateway::filled().await;
    let one = gateway.login("one").await.unwrap();
    let other = gateway.login("other").await.unwrap();
    let all = gateway.login("archive").await.unwrap();
    let elsewhere = gateway.login("elsewhere").await.unwrap();
    for table in ["statements", "statements_2026_03"] {
        assert_eq!(count(&one, table).await, "=1500");
        assert_eq!(count(&other, table).await, "=500");
        assert_eq!(count(&all, table).await, "=2000");
        assert_eq!(count(&elsewhere, table).await, "=0", "segments of another installation");
        for (client, tenant) in [(&one, OTHER), (&other, ONE)] {
            let seen = ask(client, &format!("SELECT count(*) FROM archive.{table} WHERE tenant_id = '{tenant}'"))
                .await
                .unwrap();
            assert_eq!(seen, [["=0"]], "{table}");
        }
    }
}

#[tokio::test]
async fn a_wrong_password_an_unknown_name_and_a_changed_file_are_told_alike() {
    let gateway = Gateway::start().await;
    let wrong = refusal(gateway.login_with("one", "guess").await.map(drop));
    let nobody = refusal(gateway.login_with("nobody", PASSWORD).await.map(drop));
    assert_eq!((wrong.0.as_str(), wrong.1.as_str()), ("28P01", "password authentication failed for user \"one\" "));
    assert_eq!(nobody.1, wrong.1.replace("\"one\"", "\"nobody\""));
    gateway.login("one").await.unwrap();
    let file = gateway.dir.path().join("logins.toml");
    let less = std::fs::read_to_string(&file).unwrap().replace("name = \"one\"", "name = \"gone\"");
    std::fs::write(&file, less).unwrap();
    assert_eq!(refusal(gateway.login("one").await.map(drop)).0, "28P01");
    gateway.login("gone").await.unwrap();
    std::fs::write(&file, "login = 7").unwrap();
    let broken = refusal(gateway.login("gone").await.map(drop));
    assert_eq!(broken, ("58030".to_owned(), "the gateway cannot read its logins; its log says why ".to_owned()));
}

#[tokio::test]
async fn the_command_prints_what_the_gateway_takes() {
    let gateway = Gateway::start().await;
    let login = |more: &[&str]| {
        let program = env!("CARGO_BIN_EXE_progress-gateway");
        Command::new(program).args(["login", "--name", "made"]).args(more).output().unwrap()
    };
    let made = login(&["--tenant", &ONE.to_string()]);
    let (entry, said) = (String::from_utf8(made.stdout).unwrap(), String::from_utf8(made.stderr).unwrap());
    let password = said.trim().strip_prefix("password of made: ").unwrap();
    assert!(made.status.success() && !entry.contains(password), "{entry}");
    std::fs::write(gateway.dir.path().join("logins.toml"), &entry).unwrap();
    gateway.login_with("made", password).await.unwrap();
    assert_eq!(refusal(gateway.login_with("made", &password[1..]).await.map(drop)).0, "28P01");
    assert!(!login(&[]).status.success() && !login(&["--tenant", "x"]).status.success());
}

#[tokio::test]
async fn a_connection_is_encrypted_where_there_is_a_certificate_and_refused_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let files = [
        ("PROGRESS_GATEWAY_TLS_CERT_FILE", cert.to_str().unwrap()),
        ("PROGRESS_GATEWAY_TLS_KEY_FILE", key.to_str().unwrap()),
    ];
    let gateway = Gateway::with(&files).await;
    let plain = refusal(gateway.login("one").await.map(drop));
    assert!(plain.0 == "28000" && plain.1.contains("encrypted connections only"), "{plain:?}");

    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let tls = tokio_postgres_rustls::MakeRustlsConnect::new(client.with_root_certificates(roots).with_no_client_auth());
    let mut config = tokio_postgres::Config::new();
    config
        .host("localhost")
        .hostaddr([127, 0, 0, 1].into())
        .port(gateway.address.port())
        .user("one")
        .password(PASSWORD);
    config.ssl_mode(tokio_postgres::config::SslMode::Require);
    let (client, connection) = config.connect(tls).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(ask(&client, "SELECT 1").await.unwrap(), [["=1"]]);
    let trusting_nobody = config.connect(NoTls).await;
    assert!(trusting_nobody.is_err());
}

on_each_server! {
    async fn a_foreign_table_needs_the_right_password(db: TestDatabase) {
        let (gateway, rows) = Gateway::filled().await;
        let client = crate::support::both_sides(&db, &gateway, &rows[..10]).await;
        client.batch_execute("ALTER USER MAPPING FOR PUBLIC SERVER archive OPTIONS (SET password 'guess')").await.unwrap();
        let (code, said) = refusal(ask(&client, "SELECT count(*) FROM far.month").await);
        assert!(code == "08001" && said.contains("could not connect to server"), "{code} {said}");
        client.batch_execute("ALTER USER MAPPING FOR PUBLIC SERVER archive OPTIONS (SET user 'one', SET password 'correct horse, battery')").await.unwrap();
        assert_eq!(ask(&client, "SELECT count(*) FROM far.month").await.unwrap(), [["=1500"]]);
        client.batch_execute("ALTER USER MAPPING FOR PUBLIC SERVER archive OPTIONS (SET user 'other')").await.unwrap();
        assert_eq!(ask(&client, "SELECT count(*) FROM far.month").await.unwrap(), [["=500"]]);
    }
}
