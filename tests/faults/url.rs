//! What the URL in front of the function lets through, changes and refuses.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{push, stored, tap_with};
use crate::support::{
    Bed, Fate, Fleet, FleetOptions, Outcome, Tap, basic, http_client, new_name, url_event,
};

#[tokio::test]
async fn r7_what_comes_in_above_the_ceiling_is_throttled_with_429_and_never_reaches_the_function()
-> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    // Held until the SDK tries for the third time: as long as that the only place is taken.
    let tap = tap_with(&bed, "PutItem", &[Fate::Hang; 2]).await?;
    let options = FleetOptions {
        endpoint: Some(tap.url()),
        concurrency_ceiling: Some(1),
        ..FleetOptions::default()
    };
    let fleet = Fleet::start(&bed, options).await?;
    let endpoint = fleet.endpoint(linked.name.as_str());
    let (first, second) = (push(), push());
    let deliver = |body: &str| {
        bed.stack
            .deliver(&endpoint, &linked.password, body.to_owned())
    };
    let meanwhile = async {
        tap.held(1).await;
        let answer = deliver(&second).await?;
        anyhow::Ok(answer.status)
    };
    let (answer, throttled) = tokio::try_join!(deliver(&first), meanwhile)?;
    assert_eq!((answer.status, throttled), (200, 429));
    assert_eq!(stored(&bed, &linked).await?, 1);
    assert_eq!(deliver(&second).await?.status, 200);
    assert_eq!(fleet.instances_started(), 1);
    assert_eq!(fleet.end().await?.len(), 2);
    Ok(())
}

#[tokio::test]
async fn p9_what_is_larger_than_6_mb_is_413_and_never_reaches_the_function() -> Result<()> {
    const MB: usize = 1_024 * 1_024;
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
    let send = |kind: &'static str, size: usize| {
        let request = http_client()
            .post(fleet.endpoint(linked.name.as_str()))
            .basic_auth("", Some(&linked.password))
            .header("content-type", kind)
            .body(vec![b'x'; size]);
        async move { anyhow::Ok(request.send().await?.status().as_u16()) }
    };
    assert_eq!(send("application/json", 6 * MB).await?, 413);
    assert_eq!(send("application/json", 20 * MB).await?, 413);
    // As base64 it is a third larger.
    assert_eq!(send("application/octet-stream", 5 * MB).await?, 413);
    assert_eq!(fleet.instances_started(), 0);
    assert_eq!(send("application/json", 5 * MB).await?, 200);
    assert_eq!(send("application/octet-stream", 4 * MB).await?, 200);
    let log = bed.log_of(linked.name.as_str()).await?;
    assert_eq!(log.len(), 2);
    assert!(log.iter().all(|row| row["outcome"] == "oversize"));
    Ok(())
}

#[tokio::test]
async fn a5_two_authorization_headers_are_joined_by_the_url_and_refused() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
    let good = basic(&linked.password);
    for (first, second) in [(&good, &good), (&good, &basic("x")), (&basic("x"), &good)] {
        let request = http_client()
            .post(fleet.endpoint(linked.name.as_str()))
            .header("authorization", first)
            .header("authorization", second)
            .body("{}");
        assert_eq!(request.send().await?.status(), 401);
    }
    assert_eq!(stored(&bed, &linked).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a10_a_header_bomb_is_refused_by_the_url_or_answered_like_any_other() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
    // 200 KB in few headers pass; that many headers do not.
    for (headers, length, password, status) in [
        (80, 2_500, linked.password.as_str(), 200),
        (80, 2_500, "wrong", 401),
        (2_000, 100, linked.password.as_str(), 431),
    ] {
        let mut request = http_client()
            .post(fleet.endpoint(linked.name.as_str()))
            .basic_auth("", Some(password))
            .body(push());
        for number in 0..headers {
            request = request.header(format!("x-bomb-{number}"), "x".repeat(length));
        }
        assert_eq!(request.send().await?.status(), status, "{headers} headers");
    }
    // Where a URL let them through.
    let mut event = url_event(&linked, &push());
    for number in 0..10_000 {
        event["headers"][format!("x-bomb-{number}")] = json!("x".repeat(20));
    }
    assert_eq!(status(&fleet, &event).await?, 200);
    assert_eq!(fleet.instances_started(), 1);
    Ok(())
}

#[tokio::test]
async fn a11_cookies_and_forwarded_addresses_authenticate_nobody() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
    let request = || {
        http_client()
            .post(fleet.endpoint(linked.name.as_str()))
            .header(
                "cookie",
                format!("authorization={}; a=b", basic(&linked.password)),
            )
            .header("cookie", "c=\u{e9}")
            .header("x-forwarded-for", "127.0.0.1")
            .header("x-forwarded-proto", "ftp")
            .header("x-authorization", basic(&linked.password))
            .body(push())
    };
    assert_eq!(request().send().await?.status(), 401);
    let authentic = request().basic_auth("", Some(&linked.password));
    assert_eq!(authentic.send().await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a12_other_methods_are_405_and_other_paths_404_without_a_word_about_who_exists()
-> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let tap = Tap::counting(&bed.stack.description.endpoint_url).await?;
    let fleet = Fleet::on(&bed, &tap).await?;
    let (name, authorization) = (linked.name.as_str(), basic(&linked.password));
    let long = "a".repeat(8_192);
    for method in [
        "GET", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH", "PROPFIND",
    ] {
        for path in [
            format!("/{name}"),
            format!("/{}", new_name("nobody")),
            "/".to_owned(),
        ] {
            let head = raw(&fleet, method, &path, &authorization).await?;
            assert!(head.starts_with("HTTP/1.1 405"), "{method} {path}: {head}");
            assert!(!head.contains("access-control"), "{head}");
        }
    }
    let mut answers = std::collections::BTreeSet::new();
    for path in [
        "/".to_owned(),
        "//".to_owned(),
        format!("//{name}"),
        format!("/{name}//"),
        format!("/{name}/x"),
        "/%2e%2e".to_owned(),
        format!("/%2e%2e/{name}"),
        format!("/../{name}"),
        format!("/{name}%00"),
        format!("/{name}%20"),
        "/%ff%fe".to_owned(),
        "/%".to_owned(),
        format!("/{long}"),
        format!("/{}", "%41".repeat(2_700)),
    ] {
        let head = raw(&fleet, "POST", &path, &authorization).await?;
        let kept = head.lines().filter(|line| !line.starts_with("date:"));
        answers.insert(kept.collect::<Vec<_>>().join("\n"));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(answers.iter().all(|head| head.starts_with("HTTP/1.1 404")));
    assert!(tap.calls().is_empty(), "{:?}", tap.calls());
    Ok(())
}

#[tokio::test]
async fn a12_whatever_a_path_or_query_decodes_to_has_an_answer() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
    let name = linked.name.as_str();
    let every: String = (' '..='~')
        .chain(['\u{0}', '\n', '\u{e9}', '\u{fffd}', '\u{1f6a2}'])
        .collect();
    for path in [
        "".to_owned(),
        " ".to_owned(),
        "/..".to_owned(),
        format!("/../{name}"),
        format!("//{name}"),
        format!("/{name}?x#y"),
        format!("/{name}\u{0}"),
        "//evil.tld:99999/@".to_owned(),
        format!("/{every}"),
        format!("/{}", "\u{e9}".repeat(8_192)),
    ] {
        let mut event = url_event(&linked, &push());
        event["rawPath"] = json!(path);
        assert_eq!(status(&fleet, &event).await?, 404, "{path}");
    }
    for query in [
        every.clone(),
        "%".to_owned(),
        "%zz&=&&".to_owned(),
        format!("a={}", "x".repeat(8_192)),
    ] {
        let mut event = url_event(&linked, &push());
        event["rawQueryString"] = json!(query);
        assert_eq!(status(&fleet, &event).await?, 200, "{query}");
    }
    assert_eq!(fleet.instances_started(), 1);
    Ok(())
}

#[tokio::test]
async fn p10_a_body_is_decoded_where_it_is_base64_and_kept_as_it_came_where_it_is_not() -> Result<()>
{
    let bed = Bed::new()?;
    let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
    let text = push();
    for (body, encoded, outcome, kept) in [
        (text.clone(), false, "stored", text.clone()),
        (STANDARD.encode(&text), true, "stored", text.clone()),
        (
            "%%% no base64 %%%".to_owned(),
            true,
            "quarantined",
            "%%% no base64 %%%".to_owned(),
        ),
        ("eyJ".to_owned(), true, "quarantined", "eyJ".to_owned()),
        (text.clone(), true, "stored", text.clone()),
        (
            STANDARD.encode(&text),
            false,
            "quarantined",
            STANDARD.encode(&text),
        ),
    ] {
        let linked = bed.linked().await?;
        let mut event = url_event(&linked, "");
        event["body"] = json!(body);
        event["isBase64Encoded"] = json!(encoded);
        assert_eq!(status(&fleet, &event).await?, 200, "{body}");
        let log = bed.log_of(linked.name.as_str()).await?;
        assert_eq!(log.len(), 1, "{body}");
        assert_eq!(log[0]["outcome"], outcome, "{body}");
        assert_eq!(
            bed.delivery(&log[0]).await?["payload"],
            json!(kept),
            "{body}"
        );
    }
    assert_eq!(fleet.instances_started(), 1);
    Ok(())
}

#[tokio::test]
async fn p12_a_body_is_understood_whatever_type_it_is_sent_as() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
    let kinds = [
        "application/json",
        "APPLICATION/JSON; CHARSET=UTF-8",
        "application/x-www-form-urlencoded",
        "text/plain",
        "application/vnd.api+json",
        "\u{e9}",
        "",
    ];
    for kind in kinds {
        let request = http_client()
            .post(fleet.endpoint(linked.name.as_str()))
            .basic_auth("", Some(&linked.password))
            .header("content-type", kind)
            .body(push());
        assert_eq!(request.send().await?.status(), 200, "{kind}");
    }
    let log = bed.log_of(linked.name.as_str()).await?;
    assert_eq!(log.len(), kinds.len());
    assert!(log.iter().all(|row| row["outcome"] == "stored"), "{log:?}");
    Ok(())
}

#[tokio::test]
async fn planted_secrets_are_in_no_line_that_the_processes_write() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let canary = new_name("canary");
    let tap = tap_with(
        &bed,
        "PutItem",
        &[Fate::CutAnswer, Fate::Cut, Fate::Cut, Fate::Cut],
    )
    .await?;
    let options = FleetOptions {
        endpoint: Some(tap.url()),
        variables: vec![
            ("AWS_LAMBDA_LOG_LEVEL", "TRACE".to_owned()),
            ("RUST_LOG", "trace".to_owned()),
        ],
        ..FleetOptions::default()
    };
    let fleet = Fleet::start(&bed, options).await?;
    let endpoint = fleet.endpoint(linked.name.as_str());
    let mut statuses = Vec::new();
    for (password, body) in [
        (
            linked.password.clone(),
            json!({ "eventType": canary }).to_string(),
        ),
        (format!("{canary}-wrong"), "{}".to_owned()),
        (linked.password.clone(), format!("{{\"{canary}")),
        (linked.password.clone(), push().replace("platform", &canary)),
    ] {
        statuses.push(bed.stack.deliver(&endpoint, &password, body).await?.status);
    }
    let mut event = url_event(&linked, "");
    event["body"] = json!(canary);
    event["isBase64Encoded"] = json!(true);
    event["headers"]["x-canary"] = json!(canary);
    event["rawQueryString"] = json!(canary);
    statuses.push(status(&fleet, &event).await?);
    // And an event that is none.
    fleet
        .invoke(&json!({ "headers": { "authorization": basic(&canary) }, "body": canary }))
        .await;
    let log = fleet.end().await?.join("\n");
    assert!(
        statuses.contains(&200) && statuses.contains(&401),
        "{statuses:?}"
    );
    ensure!(log.contains("\"request\""), "nothing was logged");
    let (name, secret) = (basic(&canary), basic(&linked.password));
    for planted in [
        &canary,
        &linked.password,
        &name[6..].to_owned(),
        &secret[6..].to_owned(),
    ] {
        let line = log.lines().find(|line| line.contains(planted.as_str()));
        // Never shown, since it has a secret in it.
        assert!(
            line.is_none(),
            "a secret or a part of a payload is in a log line"
        );
    }
    Ok(())
}

/// The status of the function's answer to an event.
async fn status(fleet: &Fleet, event: &Value) -> Result<u16> {
    let outcome = fleet.invoke(event).await;
    let Outcome::Answered(answer) = outcome else {
        anyhow::bail!("{outcome:?}: {:?}", fleet.logs().last());
    };
    let answer: Value = serde_json::from_slice(&answer)?;
    let status = answer["statusCode"].as_u64().context("no status")?;
    Ok(u16::try_from(status)?)
}

/// The head of the answer to a request whose line goes out as it is written here, which no client library does.
async fn raw(fleet: &Fleet, method: &str, path: &str, authorization: &str) -> Result<String> {
    let address = fleet.url().strip_prefix("http://").context("no http")?;
    let mut connection = TcpStream::connect(address).await?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    let read = connection.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(20), read).await??;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, _) = answer.split_once("\r\n\r\n").context("no head")?;
    Ok(head.to_owned())
}
