//! Hooks that are given another password, and what becomes of the one before.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use domain::PasswordDigest;
use hooks::Finished;
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};
use store::Lease;

use super::{Ears, HARBOR, SUBSCRIPTIONS, Site, call, create_with, numbers, setup_at};
use crate::support::{
    Bed, Fleet, FleetOptions, Linked, azure_devops, basic, new_event, new_name, now, post, problem,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn k4_a_rotation_gives_the_hooks_the_new_password_and_no_delivery_is_refused_meanwhile()
-> Result<()> {
    let bed = Bed::new()?;
    let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
    let site = Site::with(bed, azure_devops().await?, fleet.url(), "good").await?;
    site.make("Harbor").await?;
    let is_over = AtomicBool::new(false);
    let pushes = async {
        let mut pushed = 0;
        while !is_over.load(Ordering::Relaxed) {
            let file = format!("prod/{pushed}.tf");
            let push = json!({ "branch": "main", "files": { file: "#" }, "message": "m" });
            site.control(Method::POST, &format!("{HARBOR}/pushes"), push)
                .await?;
            pushed += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(pushed)
    };
    let rotations = async {
        for _ in 0..2 {
            let rotated = site
                .does("POST", "webhook/rotation", json!({ "graceHours": 1 }))
                .await?;
            ensure!(
                rotated["serviceHooks"] == json!({ "updated": 5, "failed": [] }),
                "{rotated}"
            );
            ensure!(
                rotated["previousPasswordValidUntil"].is_string(),
                "{rotated}"
            );
        }
        is_over.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    let (pushed, rotated) = tokio::join!(pushes, rotations);
    rotated?;
    let pushed = pushed?;
    ensure!(pushed > 20, "{pushed}");
    ensure!(site.azure_devops.run_out(Duration::from_secs(60)).await);
    let answers: Vec<Option<u16>> = site
        .azure_devops
        .deliveries()
        .iter()
        .map(|it| it.status)
        .collect();
    ensure!(
        answers.iter().all(|status| *status == Some(200)),
        "{answers:?}"
    );
    assert_eq!(
        site.bed.log_of(site.linked.name.as_str()).await?.len(),
        pushed
    );
    site.is_well().await?;

    // At once: they have the new one before the old one ends.
    let wanted = json!({ "graceHours": 0, "force": true });
    let rotated = site.does("POST", "webhook/rotation", wanted).await?;
    assert_eq!(rotated["serviceHooks"]["updated"], 5);
    site.control(
        Method::POST,
        &format!("{HARBOR}/pushes"),
        json!({ "branch": "main", "files": { "x": "#" }, "message": "m" }),
    )
    .await?;
    ensure!(site.azure_devops.run_out(Duration::from_secs(60)).await);
    site.is_well().await?;
    assert_eq!(
        site.bed.log_of(site.linked.name.as_str()).await?.len(),
        pushed + 1
    );
    Ok(())
}

#[tokio::test]
async fn a_hook_that_cannot_be_given_the_password_keeps_the_old_one_valid_until_it_has_it()
-> Result<()> {
    let ears = Ears::open().await?;
    let site = Site::on(azure_devops().await?, &ears.url).await?;
    site.make("Harbor").await?;
    let stuck = site.one_of_ours("git.push").await?;
    let id = stuck["id"].as_str().context("no id")?;
    let disabled = site.one_of_ours("git.pullrequest.created").await?;
    site.set_status(disabled["id"].as_str().context("no id")?, "disabledByUser")
        .await?;
    let deleted = site.one_of_ours("git.pullrequest.merged").await?;
    let path = format!(
        "{SUBSCRIPTIONS}/{}",
        deleted["id"].as_str().context("no id")?
    );
    site.control(Method::DELETE, &path, Value::Null).await?;
    site.fault(json!({ "kind": "status", "method": "PUT", "path": id }))
        .await?;

    let rotated = site.does("POST", "webhook/rotation", Value::Null).await?;
    assert_eq!(
        rotated["previousPasswordValidUntil"],
        Value::Null,
        "{rotated}"
    );
    assert_eq!(rotated["serviceHooks"]["updated"], 4, "{rotated}");
    let failed = rotated["serviceHooks"]["failed"]
        .as_array()
        .context("none")?;
    assert_eq!(failed.len(), 1, "{rotated}");
    assert_eq!(
        (&failed[0]["subscription"], &failed[0]["eventType"]),
        (&stuck["id"], &json!("git.push"))
    );
    assert!(
        failed[0]["why"]
            .as_str()
            .is_some_and(|why| why.contains("503")),
        "{rotated}"
    );
    assert!(
        rotated["notes"]
            .to_string()
            .contains("counts without an end"),
        "{rotated}"
    );
    let new = basic(rotated["password"].as_str().context("none")?);
    let old = basic(&site.linked.password);
    let ours = site.ours().await?;
    assert_eq!(
        ears.sent_with(&site, &ours).await?,
        BTreeSet::from([new.clone(), old])
    );
    let is_left = ours
        .iter()
        .find(|it| it["id"] == disabled["id"])
        .context("gone")?;
    assert_eq!(is_left["status"], "disabledByUser", "and has the new one");

    // A second rotation is a rotation like any other, and does not end the oldest, either.
    let again = site.does("POST", "webhook/rotation", Value::Null).await?;
    assert_eq!(again["previousPasswordValidUntil"], Value::Null, "{again}");
    let password = site.password().await?;
    let (store, grace) = (site.bed.store().await, SignedDuration::from_hours(24));
    let finish = async || -> Result<Finished> {
        let nonce = new_name("lease");
        let (leased, hooks) = (site.leased(&nonce).await?, site.known().await?);
        assert!(leased.unfinished.is_none());
        let finished =
            hooks::finish_rotation(&store, &password, &leased, &nonce, &hooks, grace, now())
                .await?;
        store.release(&site.linked.name, &nonce).await?;
        Ok(finished)
    };
    let webhook = site.bed.webhook().await;
    let event = || new_event("ado/git.push.json").to_string();
    assert_eq!(finish().await?, Finished::NotYet);
    assert_eq!(post(&webhook, &site.linked, event()).await, 200);
    // Whoever cares for the hooks gives it to the last one, and finishes.
    site.no_faults().await?;
    let cared = site.care().await?;
    assert_eq!(
        numbers(&cared),
        [1, 1, 0, 3],
        "the deleted, the stuck one: {cared:?}"
    );
    let Finished::Now(end) = finish().await? else {
        anyhow::bail!("it is not finished");
    };
    assert!(end.duration_since(now()) > SignedDuration::from_hours(23));
    assert_eq!(finish().await?, Finished::Already);
    let digests = site.leased("look").await?.digests;
    let open: Vec<_> = digests
        .iter()
        .filter(|digest| digest.ends.is_none())
        .collect();
    assert_eq!(open, [&PasswordDigest::of(password.expose().as_bytes())]);
    Ok(())
}

/// Whether the old and the new password of a rotation count at a moment.
async fn counting(site: &Site, old: &str, at: jiff::Timestamp) -> Result<[bool; 2]> {
    let store = site.bed.store().await;
    let record = store.webhook_record(&site.linked.name).await?;
    let passwords = record.context("no record")?.passwords;
    let new = site.password().await?;
    let of = |password: &str| {
        let digest = PasswordDigest::of(password.as_bytes());
        passwords.matches(&digest.sha256, at)
    };
    Ok([of(old), of(new.expose())])
}

#[tokio::test]
async fn a_rotation_that_did_not_reach_all_hooks_ends_once_a_person_has_made_or_removed_them()
-> Result<()> {
    for (method, project) in [("PUT", "Harbor"), ("DELETE", "Harbor")] {
        let site = Site::start().await?;
        site.make("Harbor").await?;
        site.make("Quay%20Works").await?;
        let stuck = site.one_of_ours("git.push").await?;
        let id = stuck["id"].as_str().context("no id")?;
        site.fault(json!({ "kind": "status", "method": "PUT", "path": id }))
            .await?;
        let rotated = site.does("POST", "webhook/rotation", json!({})).await?;
        assert_eq!(rotated["serviceHooks"]["updated"], 9, "{rotated}");
        assert_eq!(rotated["previousPasswordValidUntil"], Value::Null);
        let old = site.linked.password.clone();
        let month = now() + SignedDuration::from_hours(24 * 30);
        // What leaves that hook as it was ends nothing.
        let of_both = if stuck["publisherInputs"]["projectId"] == site.harbor().await?.id.as_str() {
            ["Quay%20Works", "Harbor"]
        } else {
            ["Harbor", "Quay%20Works"]
        };
        let other = site
            .does(method, &format!("service-hooks/{}", of_both[0]), json!({}))
            .await?;
        assert_eq!(other.get("previousPasswordValidUntil"), None, "{project}");
        assert_eq!(counting(&site, &old, month).await?, [true; 2]);
        site.no_faults().await?;
        let done = site
            .does(method, &format!("service-hooks/{}", of_both[1]), json!({}))
            .await?;
        let until = done["previousPasswordValidUntil"].as_str();
        let until: jiff::Timestamp = until.with_context(|| format!("{done}"))?.parse()?;
        let hour = SignedDuration::from_hours(1);
        assert!((hour * 23..hour * 25).contains(&until.duration_since(now())));
        assert_eq!(counting(&site, &old, until - hour).await?, [true; 2]);
        assert_eq!(counting(&site, &old, until + hour).await?, [false, true]);
        // It is ended once.
        let again = site
            .does(method, &format!("service-hooks/{}", of_both[1]), json!({}))
            .await?;
        assert_eq!(again.get("previousPasswordValidUntil"), None, "{again}");
    }
    Ok(())
}

#[tokio::test]
async fn a_rotation_that_was_cut_off_is_not_ended_by_making_or_removing_hooks() -> Result<()> {
    let site = Site::start().await?;
    let (store, name) = (site.bed.store().await, &site.linked.name);
    let leased = site.leased("rotation").await?;
    let password = secrets::generate_password()?;
    let digest = PasswordDigest::of(password.expose().as_bytes());
    let sha256 = digest.sha256;
    let digests = domain::password::with_new(&leased.digests, digest, now(), false)?;
    let began = store.begin_rotation(name, "rotation", &digests, &sha256, now());
    ensure!(began.await?);
    let secrets = site.bed.secrets().await;
    secrets.keep_password(name, &password).await?;
    store.release(name, "rotation").await?;
    let month = now() + SignedDuration::from_hours(24 * 30);
    for method in ["PUT", "DELETE"] {
        let done = site.does(method, "service-hooks/Harbor", json!({})).await?;
        assert_eq!(done.get("previousPasswordValidUntil"), None, "{done}");
        let both = counting(&site, &site.linked.password, month).await?;
        assert_eq!(both, [true; 2], "{method}");
    }
    // Whoever calls it again is told the password, and until when the one before counts.
    let rotated = site.does("POST", "webhook/rotation", json!({})).await?;
    assert_eq!(rotated["password"], password.expose());
    assert!(rotated["previousPasswordValidUntil"].is_string());
    let both = counting(&site, &site.linked.password, month).await?;
    assert_eq!(both, [false, true]);
    Ok(())
}

#[tokio::test]
async fn where_time_is_over_while_hooks_are_written_nobody_may_follow_at_once() -> Result<()> {
    let hurry = Duration::from_millis(1_500);
    let mut site = Site::start().await?;
    site.make("Harbor").await?;
    let endpoint = site.bed.stack.description.endpoint_url.clone();
    let hurried = setup_at(
        &site.bed,
        site.azure_devops.url(),
        &site.webhook_url,
        &endpoint,
    );
    site.setup = hurried.await?.with_hooks_within(hurry);
    let store = site.bed.store().await;
    let slow = |method: &str| json!({ "kind": "latency", "method": method, "path": "/hooks/subscriptions/", "milliseconds": 2_500 });
    for (method, rest, of) in [
        ("POST", "webhook/rotation", "PUT"),
        ("DELETE", "service-hooks/Harbor", "DELETE"),
    ] {
        site.fault(slow(of)).await?;
        let done = site.does(method, rest, json!({})).await?;
        site.no_faults().await?;
        let failed = done["serviceHooks"].get("failed");
        let failed = failed.unwrap_or(&done["serviceHooksLeft"]).to_string();
        assert!(failed.contains("may still arrive"), "{done}");
        assert!(failed.contains("no time left"), "{done}");
        assert!(done["notes"].to_string().contains("two minutes"), "{done}");
        for (method, rest) in [
            ("PUT", "service-hooks/Harbor"),
            ("POST", "webhook/rotation"),
        ] {
            let (status, body) = site.call(method, rest, json!({})).await?;
            assert_eq!((status, problem(&body)), (409, "in-progress"), "{body}");
        }
        // The two minutes are over.
        let later = now() + SignedDuration::from_mins(3);
        let free = store.lease(&site.linked.name, "later", later).await?;
        assert!(matches!(free, Lease::Yes(_)), "{free:?}");
        store.release(&site.linked.name, "later").await?;
    }

    let slow = json!({ "kind": "latency", "method": "POST", "path": "/hooks/subscriptions?", "milliseconds": 2_500 });
    site.fault(slow).await?;
    let name = new_name("hurried");
    let (status, body) = create_with(&site, &name, "good", json!(["Harbor"])).await?;
    assert_eq!(status, 201, "{body}");
    let failed = body["serviceHooks"]["failed"].to_string();
    assert!(failed.contains("may still arrive"), "{body}");
    assert!(body["notes"].to_string().contains("two minutes"), "{body}");
    site.no_faults().await?;
    let rest = "service-hooks/Harbor";
    let (status, body) = call(&site.setup, &name, "PUT", rest, &Value::Null).await?;
    assert_eq!((status, problem(&body)), (409, "in-progress"), "{body}");
    Ok(())
}

#[tokio::test]
async fn a_rotation_with_a_token_that_is_dead_goes_on_and_the_old_password_counts_unless_forced()
-> Result<()> {
    let site = Site::start().await?;
    site.make("Harbor").await?;
    site.control(Method::POST, "tokens/good/expire", Value::Null)
        .await?;
    let rotated = site
        .does(
            "POST",
            "webhook/rotation",
            json!({ "graceHours": 0, "force": true }),
        )
        .await?;
    assert_eq!(rotated["serviceHooks"]["updated"], 0);
    assert_eq!(
        rotated["serviceHooks"]["failed"].as_array().map(Vec::len),
        Some(5)
    );
    assert!(
        rotated["previousPasswordValidUntil"].is_string(),
        "{rotated}"
    );
    assert!(
        rotated["notes"].to_string().contains("are refused until"),
        "{rotated}"
    );
    let webhook = site.bed.webhook().await;
    assert_eq!(post(&webhook, &site.linked, "{}").await, 401);

    let newest = Linked {
        password: rotated["password"].as_str().context("none")?.to_owned(),
        ..site.linked.clone()
    };
    let rotated = site.does("POST", "webhook/rotation", Value::Null).await?;
    assert_eq!(
        rotated["previousPasswordValidUntil"],
        Value::Null,
        "{rotated}"
    );
    assert_eq!(post(&webhook, &newest, "{}").await, 200);
    Ok(())
}
