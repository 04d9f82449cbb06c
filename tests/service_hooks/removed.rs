//! Hooks that are removed, by themselves and with their integration.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Ears, HARBOR, SUBSCRIPTIONS, Site};
use crate::support::{
    Bed, Fate, Fleet, FleetOptions, Tap, azure_devops, get, json as body_of, now, parts, post,
    problem, send,
};

#[tokio::test]
async fn the_hooks_of_one_project_are_removed_and_a_persons_are_not() -> Result<()> {
    let site = Site::start().await?;
    site.make("Harbor").await?;
    site.make("Quay%20Works").await?;
    let form = json!({ "project": "Harbor", "eventType": "git.push", "url": site.endpoint(), "password": "p" });
    let theirs = site.control(Method::POST, SUBSCRIPTIONS, form).await?;
    // One is gone already, one cannot be deleted.
    let known = site.known().await?;
    let of_harbor: Vec<_> = known
        .iter()
        .filter(|it| it.project.name == "Harbor")
        .collect();
    let path = format!("{SUBSCRIPTIONS}/{}", of_harbor[0].id);
    site.control(Method::DELETE, &path, Value::Null).await?;
    site.fault(
        json!({ "kind": "status", "method": "DELETE", "path": of_harbor[1].id, "status": 403 }),
    )
    .await?;
    let removed = site
        .does("DELETE", "service-hooks/HARBOR", Value::Null)
        .await?;
    assert_eq!(removed["serviceHooksRemoved"], 4, "{removed}");
    let left = removed["serviceHooksLeft"].as_array().context("none")?;
    assert_eq!(left.len(), 1, "{removed}");
    assert_eq!(left[0]["subscription"], of_harbor[1].id.as_str());
    assert!(
        left[0]["why"]
            .as_str()
            .is_some_and(|why| why.contains("denies")),
        "{removed}"
    );
    site.no_faults().await?;
    let id = of_harbor[0].project.id.to_string();
    for expected in [1, 0] {
        let removed = site
            .does("DELETE", &format!("service-hooks/{id}"), Value::Null)
            .await?;
        assert_eq!(removed["serviceHooksRemoved"], expected, "{removed}");
        assert_eq!(removed["serviceHooksLeft"], json!([]));
    }
    let left = site.subscriptions().await?;
    assert_eq!(left.len(), 6, "{left:#?}");
    assert!(
        left.iter()
            .any(|it| it["id"] == theirs["subscriptions"][0]["id"])
    );
    let known = site.known().await?;
    assert_eq!(known.len(), 5);
    assert!(known.iter().all(|it| it.project.name == "Quay Works"));
    Ok(())
}

#[tokio::test]
async fn unlinking_deletes_exactly_our_hooks_and_410_takes_care_of_the_rest() -> Result<()> {
    let bed = Bed::new()?;
    let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
    let site = Site::with(bed, azure_devops().await?, fleet.url(), "good").await?;
    let ears = Ears::open().await?;
    site.make("Harbor").await?;
    site.make("Quay%20Works").await?;
    for url in [site.endpoint(), ears.url.clone()] {
        let form = json!({ "project": "Harbor", "eventType": "git.push", "url": url, "password": site.linked.password });
        site.control(Method::POST, SUBSCRIPTIONS, form).await?;
    }
    let unlink = site.bed.unlink().await;
    let path = format!("/integrations/{}", site.linked.name);
    let preview = body_of(unlink.handle(get(&path)).await)?;
    let would = preview["serviceHooks"].as_array().context("none")?;
    assert_eq!(would.len(), 10, "{preview}");
    assert!(
        would
            .iter()
            .all(|it| it["status"] == "enabled" && it["project"]["name"].is_string())
    );

    let done = site.unlink().await?;
    assert_eq!(
        (&done["status"], &done["serviceHooksRemoved"]),
        (&json!("unlinked"), &json!(10)),
        "{done}"
    );
    assert_eq!(done["serviceHooksLeft"], json!([]));
    assert_eq!(site.known().await?, []);
    let left = site.subscriptions().await?;
    assert_eq!(left.len(), 2, "{left:#?}");
    let again = site.unlink().await?;
    assert_eq!(
        (&again["serviceHooksRemoved"], &again["serviceHooksLeft"]),
        (&json!(0), &json!([]))
    );

    let push = json!({ "branch": "main", "files": { "a": "b" }, "message": "m" });
    site.control(Method::POST, &format!("{HARBOR}/pushes"), push)
        .await?;
    ensure!(site.azure_devops.settle(Duration::from_secs(20)).await);
    let endpoint = site.endpoint();
    let by_hand = site.azure_devops.subscriptions();
    let by_hand = by_hand
        .iter()
        .find(|it| it.url == endpoint)
        .context("gone")?;
    assert_eq!(by_hand.status, "disabledBySystem");
    Ok(())
}

#[tokio::test]
async fn where_the_token_cannot_be_read_for_a_moment_nothing_is_removed_and_the_next_call_goes_on()
-> Result<()> {
    let site = Site::start().await?;
    site.make("Harbor").await?;
    let read = |call: &str, _: usize| match call {
        "secretsmanager.GetSecretValue" => Fate::Cut,
        _ => Fate::Pass,
    };
    let tap = Tap::on(&site.bed.stack.description.endpoint_url, read).await?;
    let unlink = site
        .bed
        .unlink_of(site.azure_devops.url(), &tap.url())
        .await;
    let path = format!("/integrations/{}", site.linked.name);
    let tried = unlink.handle(send("DELETE", &path, &Value::Null)).await;
    let (status, body) = parts(&tried)?;
    assert_eq!((status, problem(&body)), (503, "unavailable"), "{body}");
    assert!(tried.headers().contains_key("retry-after"));
    assert_eq!(tap.calls().get("secretsmanager.DeleteSecret"), None);
    assert_eq!(site.ours().await?.len(), 5);
    assert_eq!(site.known().await?.len(), 5);
    let webhook = site.bed.webhook().await;
    assert_eq!(post(&webhook, &site.linked, "{}").await, 200);
    let unlinked = site.unlink().await?;
    assert_eq!(
        (&unlinked["status"], &unlinked["serviceHooksRemoved"]),
        (&json!("unlinked"), &json!(5)),
        "{unlinked}"
    );
    assert_eq!(unlinked["secretsRemoved"], 2);
    assert_eq!(site.ours().await?, [Value::Null; 0]);
    Ok(())
}

#[tokio::test]
async fn reading_the_token_counts_towards_the_time_that_unlinking_has_for_hooks() -> Result<()> {
    let site = Site::start().await?;
    site.make("Harbor").await?;
    // Either would have had the time alone.
    let two = Duration::from_secs(2);
    let read = move |call: &str, _: usize| match call {
        "secretsmanager.GetSecretValue" => Fate::Delay(two),
        _ => Fate::Pass,
    };
    let slow = json!({ "kind": "latency", "method": "DELETE", "milliseconds": 2_000 });
    site.fault(slow).await?;
    let tap = Tap::on(&site.bed.stack.description.endpoint_url, read).await?;
    let unlink = site
        .bed
        .unlink_of(site.azure_devops.url(), &tap.url())
        .await
        .with_hooks_within(Duration::from_millis(3_500));
    let path = format!("/integrations/{}", site.linked.name);
    let unlinked = body_of(unlink.handle(send("DELETE", &path, &Value::Null)).await)?;
    assert_eq!(unlinked["serviceHooksRemoved"], 0, "{unlinked}");
    let left = unlinked["serviceHooksLeft"].as_array().context("none")?;
    assert_eq!(left.len(), 5, "{unlinked}");
    assert_eq!(unlinked["status"], "unlinked");
    Ok(())
}

#[tokio::test]
async fn unlinking_goes_on_whatever_azure_devops_does_and_names_what_it_leaves() -> Result<()> {
    for (fault, token, why) in [
        (json!({ "kind": "status", "method": "DELETE" }), None, "503"),
        (
            json!({ "kind": "drop", "method": "DELETE" }),
            None,
            "cannot be reached",
        ),
        (
            json!({ "kind": "hang", "method": "DELETE" }),
            None,
            "no answer in time",
        ),
        (
            json!({ "kind": "tooManyRequests", "method": "DELETE" }),
            None,
            "slow down",
        ),
        (
            json!({ "kind": "status", "method": "DELETE", "status": 403 }),
            None,
            "denies",
        ),
        (Value::Null, Some("tokens/good/expire"), "expired"),
        (Value::Null, Some("tokens/good/revoke"), "token"),
    ] {
        let site = Site::start().await?;
        site.make("Harbor").await?;
        if let Some(path) = token {
            site.control(Method::POST, path, Value::Null).await?;
        } else {
            site.fault(fault.clone()).await?;
        }
        let store = site.bed.store().await;
        let until = now() + SignedDuration::from_mins(1);
        store
            .begin_pass(&site.linked.name, "n", until, now())
            .await?
            .context("busy")?;
        let done = site.unlink().await?;
        let case = format!("{fault} {token:?}: {done}");
        assert_eq!(done["status"], "unlinked", "{case}");
        assert_eq!(
            (&done["serviceHooksRemoved"], &done["secretsRemoved"]),
            (&json!(0), &json!(2)),
            "{case}"
        );
        let left = done["serviceHooksLeft"].as_array().context("none")?;
        assert_eq!(left.len(), 5, "{case}");
        for hook in left {
            assert!(
                hook["why"].as_str().is_some_and(|it| it.contains(why)),
                "{case}"
            );
            assert_eq!(hook["project"]["name"], "Harbor", "{case}");
        }
        assert!(
            done["reminder"]
                .as_str()
                .is_some_and(|it| it.contains("410")),
            "{case}"
        );
        assert_eq!(site.known().await?, [], "{case}");
        let again = store
            .begin_pass(&site.linked.name, "m", until, now())
            .await?;
        assert!(
            again.is_some(),
            "how far the care had got is forgotten, too: {case}"
        );
        assert_eq!(
            post(&site.bed.webhook().await, &site.linked, "{}").await,
            410,
            "{case}"
        );
        assert_eq!(site.subscriptions().await?.len(), 5, "{case}");
    }
    Ok(())
}
