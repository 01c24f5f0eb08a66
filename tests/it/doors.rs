//! The doors to object storage and Kafka, against real servers.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use progress_service::{
    bus::connection::{self, BusError},
    config::{Config, Environment, read},
    objects::{Objects, ObjectsError},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{kafka, patience::PATIENCE, pgproc::free_port, s3::Bucket};

fn config(variables: &[(&str, &str)]) -> Config {
    read(&Environment::of(variables.iter().copied()), Path::new("/nowhere")).unwrap().config
}

fn open(bucket: &Bucket, secret: &str) -> Objects {
    let url = format!("{}/some/prefix", bucket.url());
    let config = config(&[
        ("PROGRESS_ARCHIVE_URL", url.as_str()),
        ("PROGRESS_ARCHIVE_S3_ENDPOINT", &bucket.access.endpoint),
        ("PROGRESS_ARCHIVE_S3_REGION", &bucket.access.region),
        ("PROGRESS_ARCHIVE_S3_ACCESS_KEY", &bucket.access.key),
        ("PROGRESS_ARCHIVE_S3_SECRET_KEY", secret),
        ("PROGRESS_ARCHIVE_S3_ALLOW_HTTP", "true"),
    ]);
    Objects::open(&config.archive, Path::new("/nowhere")).unwrap()
}

#[tokio::test]
async fn a_bucket_puts_gets_lists_and_deletes_under_its_prefix() {
    let bucket = Bucket::new().await;
    let objects = open(&bucket, &bucket.access.secret);
    objects.ping().await.unwrap();
    objects.put("tenant=1/b", Bytes::from_static(b"0123456789")).await.unwrap();
    objects.put("tenant=1/a", Bytes::from_static(b"a")).await.unwrap();
    assert_eq!(bucket.keys().await, ["some/prefix/tenant=1/a", "some/prefix/tenant=1/b"]);
    assert_eq!(objects.get("tenant=1/b").await.unwrap(), "0123456789");
    assert_eq!(objects.get_range("tenant=1/b", 8..20).await.unwrap(), "89");
    assert_eq!(objects.list("tenant=1").await.unwrap().len(), 2);
    for key in ["tenant=1/a", "tenant=1/b", "tenant=1/b"] {
        objects.delete(key).await.unwrap();
    }
    assert!(matches!(objects.get("tenant=1/b").await, Err(ObjectsError::NotFound(_))));
    assert!(bucket.keys().await.is_empty());
}

#[tokio::test]
async fn a_wrong_secret_is_no_missing_object() {
    let bucket = Bucket::new().await;
    let objects = open(&bucket, "wrong");
    assert!(matches!(objects.ping().await, Err(ObjectsError::Store(_))));
    let error = objects.get("x").await.unwrap_err();
    assert!(matches!(error, ObjectsError::Store(_)), "{error}");
    assert!(!error.to_string().contains(&bucket.access.secret));
}

#[tokio::test]
async fn nothing_is_put_or_copied_over_what_is_there() {
    let bucket = Bucket::new().await;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}", folder.path().display());
    let in_folder = Objects::open(&config(&[("PROGRESS_ARCHIVE_URL", &url)]).archive, Path::new("/nowhere")).unwrap();
    for objects in [open(&bucket, &bucket.access.secret), in_folder] {
        objects.put_new("t=1/a", Bytes::from_static(b"first")).await.unwrap();
        assert!(matches!(objects.put_new("t=1/a", Bytes::from_static(b"2")).await, Err(ObjectsError::Exists(_))));
        objects.copy_new("t=1/a", "t=2/b").await.unwrap();
        objects.put("t=1/a", Bytes::from_static(b"later")).await.unwrap();
        assert!(matches!(objects.copy_new("t=1/a", "t=2/b").await, Err(ObjectsError::Exists(_))));
        assert_eq!(objects.get("t=2/b").await.unwrap(), "first");
        assert!(matches!(objects.copy_new("t=1/none", "t=2/c").await, Err(ObjectsError::NotFound(_))));
        assert_eq!(objects.size("t=2/b").await.unwrap(), 5);
        // Of many at once, one.
        let puts = (0..8).map(|_| objects.put_new("t=3/race", Bytes::from_static(b"x")));
        let won = futures_util::future::join_all(puts).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(won, 1);
        let copies = (0..8).map(|_| objects.copy_new("t=1/a", "t=4/race"));
        let won = futures_util::future::join_all(copies).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn a_large_object_comes_in_pieces_and_is_there_at_its_end() {
    let bucket = Bucket::new().await;
    let objects = open(&bucket, &bucket.access.secret);
    let piece = vec![7_u8; 3 << 20];
    let mut upload = objects.upload("t=1/large").await.unwrap();
    for _ in 0..7 {
        upload.write(&piece).await.unwrap();
        assert!(matches!(objects.size("t=1/large").await, Err(ObjectsError::NotFound(_))));
    }
    upload.finish().await.unwrap();
    assert_eq!(objects.size("t=1/large").await.unwrap(), 21 << 20);
    let mut given_up = objects.upload("t=1/given-up").await.unwrap();
    given_up.write(&[1; 9 << 20]).await.unwrap();
    given_up.abort().await;
    assert_eq!(bucket.keys().await, ["some/prefix/t=1/large"]);
}

/// A server that says yes to one request, and tells what it was.
async fn heard(listener: TcpListener) -> String {
    let (mut connection, _) = listener.accept().await.unwrap();
    let (mut request, mut buffer) = (Vec::new(), [0; 4_096]);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let count = connection.read(&mut buffer).await.unwrap();
        request.extend_from_slice(&buffer[..count]);
    }
    let answer = b"HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    connection.write_all(answer).await.unwrap();
    String::from_utf8_lossy(&request).to_lowercase()
}

#[tokio::test]
async fn the_bucket_is_told_how_to_encrypt() {
    for (wanted, headers) in [
        ("AES256", vec!["x-amz-server-side-encryption: aes256"]),
        ("key-7", vec!["x-amz-server-side-encryption: aws:kms", "x-amz-server-side-encryption-aws-kms-key-id: key-7"]),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let config = config(&[
            ("PROGRESS_ARCHIVE_URL", "s3://bucket"),
            ("PROGRESS_ARCHIVE_S3_ENDPOINT", &endpoint),
            ("PROGRESS_ARCHIVE_S3_ACCESS_KEY", "k"),
            ("PROGRESS_ARCHIVE_S3_SECRET_KEY", "s"),
            ("PROGRESS_ARCHIVE_S3_ALLOW_HTTP", "true"),
            ("PROGRESS_ARCHIVE_S3_ENCRYPTION", wanted),
        ]);
        let objects = Objects::open(&config.archive, Path::new("/nowhere")).unwrap();
        let (put, request) = tokio::join!(objects.put("a", Bytes::from_static(b"x")), heard(listener));
        put.unwrap();
        for header in headers {
            assert!(request.contains(header), "{request}");
        }
    }
}

#[tokio::test]
async fn the_broker_answers_a_ping() {
    let config = config(&[("PROGRESS_KAFKA_BROKERS", &kafka::brokers())]);
    assert_eq!(connection::ping(&config.kafka, PATIENCE).await.unwrap(), 1);
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_unreachable() {
    let free = format!("127.0.0.1:{}", free_port());
    let config = config(&[("PROGRESS_KAFKA_BROKERS", &free)]);
    let error = connection::ping(&config.kafka, Duration::from_millis(500)).await.unwrap_err();
    assert!(matches!(error, BusError::Unreachable(_) | BusError::Refused { .. }), "{error}");
}
