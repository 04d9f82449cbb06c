//! The sitting: exchanges are recorded, each is judged, and nothing may have been left out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ado::Operation;
use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use integration_tests::Portal;
use serde_json::{Value, json};
use simulator::{Config, ROUTES, Simulator};

use crate::document::{Document, Template};
use crate::exceptions::{self, EXCEPTIONS, Exception};
use crate::judge::{Finding, judge};
use crate::recorder::{Caller, Exchange, Recorder};
use crate::{client, surface};

/// The folder with Microsoft's documents, where there is one.
#[expect(
    clippy::disallowed_methods,
    reason = "where the documents lie is told by the environment"
)]
fn specifications() -> Option<PathBuf> {
    std::env::var("OPENAPI_SPECS").ok().map(PathBuf::from)
}

#[expect(
    clippy::print_stderr,
    reason = "a test that judges says what, and that it did not"
)]
fn say(text: &str) {
    eprintln!("{text}");
}

/// Others' documents, which the project does not hold; the judge itself is tested either way. CI sets the variable, and
/// `make test` says when it is not set.
fn say_that_nothing_is_judged() {
    say("OPENAPI_SPECS is not set: no exchange with Azure DevOps is judged");
}

fn raw(folder: &Path) -> Result<BTreeMap<String, Value>> {
    ["core", "git", "serviceHooks"]
        .iter()
        .map(|name| {
            let file = folder.join(format!("{name}.json"));
            let text =
                std::fs::read_to_string(&file).with_context(|| format!("no {}", file.display()))?;
            // They begin with a byte order mark.
            Ok((
                (*name).to_owned(),
                serde_json::from_str(text.trim_start_matches('\u{feff}'))?,
            ))
        })
        .collect()
}

fn documents<'a>(
    raw: &BTreeMap<String, Value>,
    exceptions: impl IntoIterator<Item = &'a Exception>,
) -> Result<Vec<Document>> {
    let mut corrected = raw.clone();
    exceptions::correct(&mut corrected, exceptions)?;
    corrected.values().map(Document::read).collect()
}

/// All that our client asks, and all that the simulator serves.
async fn recorded() -> Result<Vec<Exchange>> {
    let simulator = Simulator::start(Config::default()).await?;
    let http = reqwest::Client::builder().no_proxy().build()?;
    let portal = Portal::new(http, simulator.url());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let receiver = format!("http://{}", listener.local_addr()?);
    let answers = Router::new()
        .route("/broken", post(async || StatusCode::INTERNAL_SERVER_ERROR))
        .fallback(async || "taken");
    tokio::spawn(async move { axum::serve(listener, answers).await });

    let of_client = Recorder::before(simulator.url(), Caller::Client).await?;
    client::goes_through_all(&simulator, &portal, &of_client.url, &receiver).await?;
    let of_test = Recorder::before(simulator.url(), Caller::Test).await?;
    surface::is_driven(&simulator, &portal, &of_test.url, &receiver).await?;
    Ok([of_client.exchanges(), of_test.exchanges()].concat())
}

/// Each finding once, not for each element of a list.
fn findings(documents: &[Document], exchanges: &[Exchange]) -> Vec<Finding> {
    let all = exchanges
        .iter()
        .flat_map(|it| judge(documents, it).findings);
    let mut distinct = BTreeMap::new();
    for finding in all {
        let place: String = finding.at.replace(|it: char| it.is_ascii_digit(), "");
        distinct
            .entry((finding.operation.clone(), place, finding.what.clone()))
            .or_insert(finding);
    }
    distinct.into_values().collect()
}

fn lines(lines: impl IntoIterator<Item = impl ToString>) -> String {
    lines
        .into_iter()
        .map(|it| format!("\n  {}", it.to_string()))
        .collect()
}

#[tokio::test]
async fn what_our_client_sends_and_the_simulator_answers_fits_microsofts_documents() -> Result<()> {
    let exchanges = recorded().await?;
    let unseen = unseen(&exchanges);
    assert!(
        unseen.is_empty(),
        "never asked with success:{}",
        lines(unseen)
    );
    let Some(folder) = specifications() else {
        say_that_nothing_is_judged();
        return Ok(());
    };
    let documents = documents(&raw(&folder)?, EXCEPTIONS)?;
    let operations: BTreeSet<String> = exchanges
        .iter()
        .filter_map(|it| judge(&documents, it).operation)
        .collect();
    let of_client = exchanges
        .iter()
        .filter(|it| it.caller == Caller::Client)
        .count();
    say(&format!(
        "judged {} operations in {} exchanges, {of_client} of them our client's, with {} exceptions",
        operations.len(),
        exchanges.len(),
        EXCEPTIONS.len(),
    ));
    let findings = findings(&documents, &exchanges);
    assert!(
        findings.is_empty(),
        "{} findings:{}",
        findings.len(),
        lines(findings)
    );
    Ok(())
}

/// What our client can call or the simulator serves, and no exchange shows with a successful answer.
fn unseen(exchanges: &[Exchange]) -> Vec<String> {
    let optional = BTreeSet::from(["project".to_owned()]);
    let is_seen = |method: &str, path: &str, caller: Option<Caller>| {
        let template = Template::new(path, &optional);
        exchanges.iter().any(|it| {
            caller.is_none_or(|caller| it.caller == caller)
                && it.method == method
                && (200..300).contains(&it.status)
                && it.status != 203
                && template.values(&it.path).is_some()
        })
    };
    let ours = Operation::ALL.iter().filter_map(|it| {
        let path = format!("/{{organization}}/{}", it.path());
        let seen = is_seen(it.method().as_str(), &path, Some(Caller::Client));
        (!seen).then(|| format!("our client: {it:?}"))
    });
    let served = ROUTES.iter().filter_map(|route| {
        let (method, path) = route.split_once(' ')?;
        (!is_seen(method, path, None)).then(|| format!("the simulator: {route}"))
    });
    ours.chain(served).collect()
}

#[tokio::test]
async fn no_exception_is_idle() -> Result<()> {
    let Some(folder) = specifications() else {
        say_that_nothing_is_judged();
        return Ok(());
    };
    let (raw, exchanges) = (raw(&folder)?, recorded().await?);
    for left_out in EXCEPTIONS {
        let others = EXCEPTIONS.iter().filter(|it| !std::ptr::eq(*it, left_out));
        let without = findings(&documents(&raw, others)?, &exchanges);
        assert!(
            !without.is_empty(),
            "not needed: {} {} ({})",
            left_out.document,
            left_out.at,
            left_out.because
        );
    }
    Ok(())
}

/// What no schema is held against is not judged: a field that nobody knows must be found in each answer that has one.
#[tokio::test]
async fn an_unknown_field_is_found_in_every_answer_that_is_recorded() -> Result<()> {
    let Some(folder) = specifications() else {
        say_that_nothing_is_judged();
        return Ok(());
    };
    let documents = documents(&raw(&folder)?, EXCEPTIONS)?;
    let mut planted = 0;
    for mut exchange in recorded().await?.into_iter().filter(|it| it.status < 300) {
        let Ok(mut answer) = serde_json::from_slice::<Value>(&exchange.answer) else {
            continue;
        };
        let place = match answer["value"].as_array().map(Vec::is_empty) {
            Some(false) => &mut answer["value"][0],
            _ => &mut answer,
        };
        place["planted"] = json!("by this test");
        exchange.answer = answer.to_string().into();
        let findings = judge(&documents, &exchange).findings;
        let found = findings.iter().any(|it| it.what.contains("'planted'"));
        assert!(
            found,
            "{} {} takes anything: {findings:?}",
            exchange.method, exchange.path
        );
        planted += 1;
    }
    ensure!(planted > 50, "only {planted} answers with a body");
    Ok(())
}
