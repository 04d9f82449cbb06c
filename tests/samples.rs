//! The function URL events of `events/url`: each is one that Lambda could send, and reaches its route.

use anyhow::{Context, Result};
use lambda_http::{Request, RequestExt, request};

use crate::support::{Bed, azure_devops, parts, problem, sample_bytes};

fn event(file: &str) -> Result<Request> {
    let json = String::from_utf8(sample_bytes(&format!("url/{file}.json")))?;
    request::from_str(&json).with_context(|| format!("{file} is no function URL event"))
}

#[tokio::test]
async fn every_function_url_event_reaches_its_route() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let setup = bed.setup(&azure_devops).await?;
    let (status, body) = parts(&setup.handle(event("setup-create")?).await)?;
    // Everything in it is right but the token, which is an obvious fake.
    assert_eq!(
        (status, problem(&body), body["field"].as_str()),
        (422, "invalid-field", Some("personalAccessToken"))
    );
    let (status, body) = parts(&setup.handle(event("setup-list")?).await)?;
    assert_eq!(status, 200, "{body}");
    let (status, body) = parts(&setup.handle(event("setup-service-hooks")?).await)?;
    assert_eq!((status, problem(&body)), (404, "not-found"));
    let detail = body["detail"].as_str().unwrap_or_default();
    assert!(detail.starts_with("there is no integration"), "{detail}");
    let webhook = bed.webhook().await;
    for file in ["webhook-push", "webhook-push-base64"] {
        assert_eq!(webhook.handle(event(file)?).await.status(), 401, "{file}");
    }
    let (status, body) = parts(
        &bed.deliveries()
            .await
            .handle(event("deliveries-list")?)
            .await,
    )?;
    assert_eq!(status, 200, "{body}");
    let redelivery = event("deliveries-redelivery")?;
    let (status, body) = parts(&bed.deliveries().await.handle(redelivery).await)?;
    assert_eq!((status, problem(&body)), (404, "not-found"));
    let detail = body["detail"].as_str().unwrap_or_default();
    assert!(detail.starts_with("there is no such delivery"), "{detail}");
    let stacks = bed.stacks(&azure_devops).await?;
    let (status, body) = parts(&stacks.handle(event("stacks-list")?).await)?;
    assert_eq!(status, 200, "{body}");
    let runs = bed.runs().await;
    let (status, body) = parts(&runs.handle(event("runs-list")?).await)?;
    assert_eq!(status, 200, "{body}");
    for (app, file) in [("runs", "runs-patch"), ("stacks", "stacks-run")] {
        let answer = match app {
            "runs" => runs.handle(event(file)?).await,
            _ => stacks.handle(event(file)?).await,
        };
        let (status, body) = parts(&answer)?;
        assert_eq!((status, problem(&body)), (404, "not-found"), "{file}");
        let detail = body["detail"].as_str().unwrap_or_default();
        assert!(detail.starts_with("there is no s"), "its route: {detail}");
    }
    for file in ["unlink-preview", "unlink"] {
        let (status, body) = parts(&bed.unlink().await.handle(event(file)?).await)?;
        assert_eq!((status, problem(&body)), (404, "not-found"), "{file}");
    }
    Ok(())
}

#[test]
fn text_and_base64_are_the_same_delivery() -> Result<()> {
    let (text, base64) = (event("webhook-push")?, event("webhook-push-base64")?);
    assert_eq!(text.raw_http_path(), base64.raw_http_path());
    let (text, base64): (&[u8], &[u8]) = (text.body().as_ref(), base64.body().as_ref());
    assert!(text == base64 && !text.is_empty());
    Ok(())
}
