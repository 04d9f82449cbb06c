//! The hooks of a project: made, taken over, mended and left, with every bad day of Azure DevOps on the way.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use domain::{HookStatus, ServiceHook, service_hook::EVENTS};
use jiff::SignedDuration;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Ears, HARBOR, SUBSCRIPTIONS, Site, call, counts, numbers};
use crate::support::{
    Bed, Fleet, FleetOptions, azure_devops, basic, json as body_of, now, portal, problem, send,
};

#[tokio::test]
async fn one_call_makes_the_five_hooks_of_a_project_and_another_makes_none() -> Result<()> {
    let ears = Ears::open().await?;
    let site = Site::on(azure_devops().await?, &ears.url).await?;
    let made = site.make("harbor").await?;
    assert_eq!(counts(&made), [5, 0, 0, 0], "{made}");
    assert_eq!(made["project"]["name"], "Harbor");
    assert_eq!(made["notes"], json!([]));
    let types: Vec<&str> = made["hooks"]
        .as_array()
        .context("no hooks")?
        .iter()
        .filter_map(|hook| hook["eventType"].as_str())
        .collect();
    let expected = EVENTS.map(|(event_type, _)| event_type.as_str().to_owned());
    assert_eq!(types, expected);
    site.is_well().await?;
    assert_eq!(site.subscriptions().await?.len(), 5, "no other project");
    let with = ears.sent_with(&site, &site.ours().await?).await?;
    assert_eq!(with, BTreeSet::from([basic(&site.linked.password)]));
    assert!(!made.to_string().contains(&site.linked.password));

    for project in ["Harbor", made["project"]["id"].as_str().context("no id")?] {
        site.forget_requests().await?;
        let again = site.make(project).await?;
        assert_eq!(counts(&again), [0, 0, 0, 5], "{again}");
        assert_eq!(site.writes(), [""; 0]);
    }
    site.is_well().await?;
    let (status, body) = site
        .call("PUT", "service-hooks/Nowhere", Value::Null)
        .await?;
    assert_eq!((status, problem(&body)), (404, "not-found"), "{body}");
    let nobody = call(
        &site.setup,
        "nobody-here",
        "PUT",
        "service-hooks/Harbor",
        &Value::Null,
    )
    .await?;
    assert_eq!(nobody.0, 404);
    assert_eq!(site.subscriptions().await?.len(), 5);
    Ok(())
}

#[tokio::test]
async fn the_hooks_of_an_integration_are_shown_by_project_as_they_were_last_seen() -> Result<()> {
    let site = Site::start().await?;
    let none = site.does("GET", "service-hooks", Value::Null).await?;
    assert_eq!(
        none,
        json!({ "integration": site.linked.name, "projects": [] })
    );
    site.make("Quay%20Works").await?;
    site.make("Harbor").await?;
    let mut ill = site.known().await?.remove(0);
    ill.health = ill
        .health
        .seen(HookStatus::OnProbation, vec!["url".to_owned()], now());
    ill.health.trouble = Some("denied".to_owned());
    let store = site.bed.store().await;
    store.keep_hook(&site.linked.name, &ill).await?;
    let until = now() + SignedDuration::from_mins(1);
    let mut progress = store
        .begin_pass(&site.linked.name, "n", until, now())
        .await?
        .context("busy")?
        .progress;
    progress.passed_at = Some("2026-11-25T08:00:00Z".parse()?);
    progress.last.calls = 17;
    progress.gap = Some(domain::progress::Gap {
        since: "2026-11-25T07:00:00Z".parse()?,
        until: "2026-11-25T07:30:00Z".parse()?,
        why: "a hook was on probation".to_owned(),
    });
    store
        .keep_progress(&site.linked.name, "n", &progress, true)
        .await?;

    let shown = site.does("GET", "service-hooks", Value::Null).await?;
    let projects = shown["projects"].as_array().context("no projects")?;
    let names: Vec<&Value> = projects.iter().map(|it| &it["project"]["name"]).collect();
    assert_eq!(names, ["Harbor", "Quay Works"]);
    let hooks: Vec<&Value> = projects
        .iter()
        .filter_map(|it| it["hooks"].as_array())
        .flatten()
        .collect();
    assert_eq!(hooks.len(), 10);
    for hook in hooks {
        let is_ill = hook["subscription"] == ill.id.as_str();
        assert_eq!(
            hook["status"],
            if is_ill { "onProbation" } else { "enabled" }
        );
        assert_eq!(
            hook["differs"],
            if is_ill { json!(["url"]) } else { json!([]) }
        );
        assert_eq!(
            hook["trouble"],
            if is_ill { json!("denied") } else { Value::Null }
        );
        assert_eq!(hook["owner"], "Ines Varga", "{hook}");
        assert!(
            hook["checkedAt"]
                .as_str()
                .is_some_and(|at| at.ends_with('Z')),
            "{hook}"
        );
        assert_eq!(hook.get("password").or(hook.get("told")), None, "{hook}");
    }
    assert_eq!(shown["lastPass"]["calls"], 17);
    assert_eq!(shown["lastPass"]["at"], "2026-11-25T08:00:00.000000Z");
    assert_eq!(shown["gap"]["why"], "a hook was on probation");
    Ok(())
}

#[tokio::test]
async fn of_two_who_make_hooks_at_once_one_gets_409_and_there_are_five() -> Result<()> {
    let site = Site::start().await?;
    let put = || site.call("PUT", "service-hooks/Harbor", Value::Null);
    let (one, other) = tokio::join!(put(), put());
    let mut answers = [one?, other?];
    answers.sort_by_key(|(status, _)| *status);
    let [(first, _), (second, refusal)] = &answers;
    assert_eq!((*first, *second), (200, 409), "{refusal}");
    assert_eq!(problem(refusal), "in-progress");
    site.is_well().await
}

#[tokio::test]
async fn hooks_that_a_person_made_to_our_endpoint_are_taken_over_and_others_left_alone()
-> Result<()> {
    let ears = Ears::open().await?;
    let site = Site::on(azure_devops().await?, &ears.url).await?;
    let by_hand = async |project: &str, url: &str, more: Value| -> Result<Value> {
        let mut form = json!({ "project": project, "url": url, "password": "wrong" });
        for (name, value) in more.as_object().context("no form")? {
            form[name] = value.clone();
        }
        site.control(Method::POST, SUBSCRIPTIONS, form).await
    };
    let endpoint = site.endpoint();
    let shouted = format!("{}/{}/", ears.url, site.linked.name.as_str().to_uppercase());
    by_hand(
        "Harbor",
        &shouted,
        json!({ "username": "somebody", "author": "Milo Brandt" }),
    )
    .await?;
    let others = [
        ("Harbor", "http://127.0.0.1:9/another".to_owned()),
        ("Harbor", format!("{endpoint}-two")),
        ("Quay Works", endpoint.clone()),
    ];
    for (project, url) in &others {
        by_hand(project, url, json!({})).await?;
    }
    let is_other = |it: &Value| {
        others
            .iter()
            .any(|(_, url)| it["consumerInputs"]["url"] == url.as_str())
    };
    let others_of = |all: Vec<Value>| -> Vec<Value> { all.into_iter().filter(is_other).collect() };
    let before = others_of(site.subscriptions().await?);
    assert_eq!(before.len(), 15);

    let made = site.make("Harbor").await?;
    assert_eq!(counts(&made), [0, 0, 5, 0], "{made}");
    let all = site.subscriptions().await?;
    let harbor = made["project"]["id"].as_str().context("no id")?;
    let ours: Vec<Value> = all
        .iter()
        .filter(|it| it["publisherInputs"]["projectId"] == harbor)
        .filter(|it| it["consumerInputs"]["url"] == endpoint.as_str())
        .cloned()
        .collect();
    assert_eq!(ours.len(), 5);
    for hook in &ours {
        assert_eq!(hook["consumerInputs"].get("basicAuthUsername"), None);
        assert_eq!(hook["createdBy"]["displayName"], "Milo Brandt");
    }
    let with = ears.sent_with(&site, &ours).await?;
    assert_eq!(with, BTreeSet::from([basic(&site.linked.password)]));
    let known = site.known().await?;
    assert!(known.iter().all(|hook| hook.taken_over), "{known:?}");
    assert_eq!(known.len(), 5);
    let after: Vec<Value> = others_of(all)
        .into_iter()
        .filter(|it| {
            it["publisherInputs"]["projectId"] != harbor
                || it["consumerInputs"]["url"] != endpoint.as_str()
        })
        .collect();
    assert_eq!(after, before, "byte for byte");

    // A second set of a person's stays theirs.
    by_hand("Harbor", &endpoint, json!({})).await?;
    let again = site.make("Harbor").await?;
    assert_eq!(counts(&again), [0, 0, 0, 5], "{again}");
    let notes = again["notes"].as_array().context("no notes")?;
    assert_eq!(notes.len(), 5, "{again}");
    let is_told = |note: &Value| {
        note.as_str()
            .is_some_and(|it| it.contains("a person made it"))
    };
    assert!(notes.iter().all(is_told), "{again}");
    assert_eq!(site.subscriptions().await?.len(), 25);
    Ok(())
}

#[tokio::test]
async fn whatever_a_person_has_edited_of_a_hook_is_mended() -> Result<()> {
    let ears = Ears::open().await?;
    let site = Site::on(azure_devops().await?, &ears.url).await?;
    site.make("Harbor").await?;
    let repository = {
        let url = "tidewater/Harbor/_apis/git/repositories?api-version=7.1";
        let portal = portal(&site.azure_devops)?;
        let shown = portal.shows(site.azure_devops.token("good"), url).await?;
        let all = shown["value"].as_array().context("none")?.clone();
        all.first().context("none")?["id"].clone()
    };
    let (push, updated) = ("git.push", "git.pullrequest.updated");
    let (merged, created) = ("git.pullrequest.merged", "git.pullrequest.created");
    let comment = "ms.vss-code.git-pullrequest-comment-event";
    let nothing = || json!({});
    for (event_type, publisher, consumer, more) in [
        (
            push,
            json!({ "repository": repository }),
            nothing(),
            nothing(),
        ),
        (push, json!({ "branch": "main" }), nothing(), nothing()),
        (
            created,
            json!({ "pullrequestCreatedBy": "x" }),
            nothing(),
            nothing(),
        ),
        (
            updated,
            json!({ "notificationType": "PushNotification" }),
            nothing(),
            nothing(),
        ),
        (
            merged,
            json!({ "mergeResult": "Conflicts" }),
            nothing(),
            nothing(),
        ),
        (
            push,
            nothing(),
            json!({ "url": "http://127.0.0.1:9/elsewhere" }),
            nothing(),
        ),
        (
            push,
            nothing(),
            json!({ "resourceDetailsToSend": "minimal" }),
            nothing(),
        ),
        (
            push,
            nothing(),
            json!({ "messagesToSend": "none" }),
            nothing(),
        ),
        (
            push,
            nothing(),
            json!({ "acceptUntrustedCerts": "true" }),
            nothing(),
        ),
        (
            comment,
            nothing(),
            nothing(),
            json!({ "resourceVersion": "1.0" }),
        ),
        (push, nothing(), nothing(), json!({ "eventType": created })),
    ] {
        let what = format!("{event_type} {publisher} {consumer} {more}");
        let hook = site.one_of_ours(event_type).await?;
        site.edit(&hook, publisher, consumer, more).await?;
        let made = site.make("Harbor").await?;
        assert_eq!(counts(&made), [0, 1, 0, 4], "{what}: {made}");
        site.is_well().await.context(what)?;
    }
    // Nobody's wish, and nothing to mend.
    let hook = site.one_of_ours(push).await?;
    site.edit(
        &hook,
        json!({ "branch": "" }),
        json!({ "basicAuthUsername": "somebody" }),
        nothing(),
    )
    .await?;
    let made = site.make("Harbor").await?;
    assert_eq!(counts(&made), [0, 0, 0, 5], "{made}");
    // A hook that a person deleted is made again.
    let id = hook["id"].as_str().context("no id")?;
    let path = format!("{SUBSCRIPTIONS}/{id}");
    site.control(Method::DELETE, &path, Value::Null).await?;
    let made = site.make("Harbor").await?;
    assert_eq!(counts(&made), [1, 0, 0, 4], "{made}");
    site.is_well().await?;
    // And a whole project of them.
    let with = ears.sent_with(&site, &site.ours().await?).await?;
    assert_eq!(with, BTreeSet::from([basic(&site.linked.password)]));
    Ok(())
}

#[tokio::test]
async fn a_listing_that_lacks_a_hook_of_ours_makes_no_second_one() -> Result<()> {
    let site = Site::start().await?;
    site.make("Harbor").await?;
    // It sends the events of another project now, so the listing of its own does not have it.
    let hook = site.one_of_ours("git.push").await?;
    let quay = site.client().await?.project("Quay Works").await?;
    site.edit(&hook, json!({ "projectId": quay.id }), json!({}), json!({}))
        .await?;
    let made = site.make("Harbor").await?;
    assert_eq!(counts(&made), [0, 1, 0, 4], "{made}");
    site.is_well().await
}

#[tokio::test]
async fn a_hook_that_does_not_send_is_enabled_but_for_one_that_a_person_disabled_unless_asked()
-> Result<()> {
    let site = Site::start().await?;
    site.make("Harbor").await?;
    let id = site.one_of_ours("git.push").await?["id"].clone();
    let id = id.as_str().context("no id")?;
    for status in [
        "onProbation",
        "disabledBySystem",
        "disabledByInactiveIdentity",
        "disabledByUser",
    ] {
        site.set_status(id, status).await?;
        let healthy_at = |known: &[ServiceHook]| {
            let hook = known.iter().find(|hook| hook.id.as_str() == id);
            hook.map(|hook| (hook.health.healthy_at, hook.health.lost_since()))
        };
        let before = healthy_at(&site.known().await?);
        let cared = site.care().await?;
        if status == "disabledByUser" {
            assert_eq!(numbers(&cared), [0, 0, 0, 5], "{cared:?}");
            assert_eq!(cared.hooks[0].health.status, HookStatus::DisabledByUser);
            assert!(cared.notes[0].contains("disabled by a person"), "{cared:?}");
            let made = site.make("Harbor").await?;
            assert_eq!(counts(&made), [0, 1, 0, 4], "{made}");
        } else {
            assert_eq!(numbers(&cared), [0, 1, 0, 4], "{status}: {cared:?}");
        }
        site.is_well().await.context(status)?;
        // Nobody has looked for what was lost meanwhile: since when, is still known.
        let after = healthy_at(&site.known().await?);
        let (before, after) = (before.context("none")?.0, after.context("none")?);
        assert_eq!(after, (before, Some(before)), "{status}");
    }
    // A person's own that is disabled is none to take over unasked.
    let path = format!("{SUBSCRIPTIONS}/{id}");
    site.control(Method::DELETE, &path, Value::Null).await?;
    let form = json!({ "project": "Harbor", "eventType": "git.push", "url": site.endpoint(), "password": "p" });
    let made = site.control(Method::POST, SUBSCRIPTIONS, form).await?;
    let theirs = made["subscriptions"][0]["id"]
        .as_str()
        .context("none")?
        .to_owned();
    site.set_status(&theirs, "disabledByUser").await?;
    let cared = site.care().await?;
    assert_eq!(numbers(&cared), [1, 0, 0, 4], "{cared:?}");
    let all = site.ours().await?;
    let theirs = all.iter().find(|it| it["id"] == theirs.as_str());
    assert_eq!(theirs.context("it is gone")?["status"], "disabledByUser");
    Ok(())
}

/// A receiver that refuses puts a hook on probation; a PUT ends that, or it does not. What is still to be retried comes again,
/// or it does not.
#[tokio::test]
async fn a_hook_on_probation_sends_again_whether_a_put_ends_that_or_not() -> Result<()> {
    for (holds, keeps_retry) in [(true, true), (false, true), (true, false), (false, false)] {
        let bed = Bed::new()?;
        let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
        let simulator = azure_devops().await?;
        simulator.assume("putEndsProbation", holds)?;
        simulator.assume("restoringKeepsRetry", keeps_retry)?;
        let site = Site::with(bed, simulator, fleet.url(), "good").await?;
        site.make("Harbor").await?;
        let hook = site.one_of_ours("git.push").await?;
        let id = hook["id"].as_str().context("no id")?.parse()?;
        site.azure_devops.set_password(id, "wrong").await?;
        let push = json!({ "branch": "main", "files": { "prod/a.tf": "#" }, "message": "m" });
        let path = format!("{HARBOR}/pushes");
        site.control(Method::POST, &path, push.clone()).await?;
        ensure!(site.azure_devops.settle(Duration::from_secs(20)).await);
        assert_eq!(site.one_of_ours("git.push").await?["status"], "onProbation");

        let cared = site.care().await?;
        let expected = if holds { [0, 1, 0, 4] } else { [1, 0, 0, 4] };
        assert_eq!(numbers(&cared), expected, "{holds}: {cared:?}");
        site.is_well().await?;
        let is_same = site.one_of_ours("git.push").await?["id"] == hook["id"];
        assert_eq!(is_same, holds);
        let lost_since = site
            .known()
            .await?
            .iter()
            .filter_map(|it| it.health.lost_since())
            .count();
        assert_eq!(lost_since, 1, "what takes its place inherits the gap");

        site.control(
            Method::POST,
            &path,
            json!({ "branch": "main", "files": { "prod/b.tf": "#" }, "message": "m" }),
        )
        .await?;
        ensure!(site.azure_devops.run_out(Duration::from_secs(30)).await);
        site.is_well().await?;
        let pushes = site.bed.log_of(site.linked.name.as_str()).await?;
        let pushes = pushes
            .iter()
            .filter(|it| it["eventType"] == "git.push")
            .count();
        // The hook that was deleted takes along what it has not sent: that is what is looked for afterwards.
        let expected = if holds && keeps_retry { 2 } else { 1 };
        assert_eq!(pushes, expected, "{holds} {keeps_retry}");
    }
    Ok(())
}

#[tokio::test]
async fn the_hooks_of_somebody_who_left_send_again_whether_a_put_ends_that_or_not() -> Result<()> {
    for (put_ends, return_ends) in [(true, false), (false, false), (true, true), (false, true)] {
        let site = Site::start().await?;
        site.azure_devops.assume("putEndsInactivity", put_ends)?;
        site.azure_devops
            .assume("returnEndsInactivity", return_ends)?;
        let form = json!({ "project": "Harbor", "url": site.endpoint(), "password": "p", "author": "Milo Brandt" });
        site.control(Method::POST, SUBSCRIPTIONS, form).await?;
        assert_eq!(counts(&site.make("Harbor").await?), [0, 0, 5, 0]);
        let milo = "organizations/tidewater/people/Milo%20Brandt";
        site.control(Method::PATCH, milo, json!({ "inactive": true }))
            .await?;
        let cared = site.care().await?;
        let expected = if put_ends { [0, 5, 0, 0] } else { [5, 0, 0, 0] };
        assert_eq!(numbers(&cared), expected, "{put_ends}: {cared:?}");
        site.is_well().await?;
        let owner = if put_ends {
            "Milo Brandt"
        } else {
            "Ines Varga"
        };
        for hook in site.known().await? {
            assert_eq!(hook.health.owner.as_deref(), Some(owner));
        }
        // Back again: nothing of that is doubled.
        site.control(Method::PATCH, milo, json!({ "inactive": false }))
            .await?;
        let cared = site.care().await?;
        assert_eq!(numbers(&cared), [0, 0, 0, 5], "{cared:?}");
        site.is_well().await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_hook_that_was_written_back_with_asterisks_sends_our_password_again() -> Result<()> {
    for keeps in [true, false] {
        let bed = Bed::new()?;
        let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
        let simulator = azure_devops().await?;
        simulator.assume("putKeepsMaskedPassword", keeps)?;
        let site = Site::with(bed, simulator, fleet.url(), "good").await?;
        site.make("Harbor").await?;
        let hook = site.one_of_ours("git.push").await?;
        // Nothing can be seen of it until it is refused.
        site.edit(&hook, json!({}), json!({}), json!({})).await?;
        assert_eq!(numbers(&site.care().await?), [0, 0, 0, 5]);
        let path = format!("{HARBOR}/pushes");
        let push = |file: &str| json!({ "branch": "main", "files": { file: "#" }, "message": "m" });
        site.control(Method::POST, &path, push("a")).await?;
        ensure!(site.azure_devops.settle(Duration::from_secs(20)).await);
        let mended = if keeps { [0, 0, 0, 5] } else { [0, 1, 0, 4] };
        assert_eq!(numbers(&site.care().await?), mended, "{keeps}");
        site.control(Method::POST, &path, push("b")).await?;
        ensure!(site.azure_devops.run_out(Duration::from_secs(30)).await);
        let statuses: Vec<Option<u16>> = {
            let attempts = site.azure_devops.deliveries().into_iter();
            let pushes = attempts.filter(|it| it.event_type == "git.push");
            pushes.map(|it| it.status).collect()
        };
        assert_eq!(statuses.last(), Some(&Some(200)), "{statuses:?}");
        assert_eq!(statuses.contains(&Some(401)), !keeps, "{statuses:?}");
        site.is_well().await?;
    }
    Ok(())
}

#[tokio::test]
async fn where_the_listing_fails_in_any_way_nothing_is_made() -> Result<()> {
    let site = Site::start().await?;
    for (fault, expected) in [
        (json!({ "kind": "status" }), "azure-devops-unreachable"),
        (
            json!({ "kind": "tooManyRequests" }),
            "azure-devops-slow-down",
        ),
        (json!({ "kind": "signInPage" }), "token-refused"),
        (json!({ "kind": "redirect" }), "token-refused"),
        (json!({ "kind": "notJson" }), "token-refused"),
        (json!({ "kind": "cutOff" }), "azure-devops-unexpected"),
        (json!({ "kind": "drop" }), "azure-devops-unreachable"),
        (json!({ "kind": "hang" }), "azure-devops-unreachable"),
        (
            json!({ "kind": "status", "status": 403 }),
            "service-hooks-denied",
        ),
    ] {
        let mut fault = fault;
        fault["path"] = json!("subscriptionsquery");
        site.fault(fault.clone()).await?;
        let (status, body) = site
            .call("PUT", "service-hooks/Harbor", Value::Null)
            .await?;
        assert_eq!((status, problem(&body)), (422, expected), "{fault}: {body}");
        site.no_faults().await?;
    }
    assert_eq!(site.writes(), [""; 0]);
    assert_eq!(site.subscriptions().await?.len(), 0);
    assert_eq!(counts(&site.make("Harbor").await?), [5, 0, 0, 0]);
    site.is_well().await
}

#[tokio::test]
async fn what_fails_in_the_middle_is_gone_on_with() -> Result<()> {
    let site = Site::start().await?;
    // The third of the five.
    site.fault(json!({ "kind": "status", "method": "POST", "path": "_apis/hooks/subscriptions?", "every": 3, "times": 1 }))
        .await?;
    let (status, body) = site
        .call("PUT", "service-hooks/Harbor", Value::Null)
        .await?;
    assert_eq!(
        (status, problem(&body)),
        (422, "azure-devops-unreachable"),
        "{body}"
    );
    assert_eq!(site.ours().await?.len(), 2);
    site.no_faults().await?;
    let made = site.make("Harbor").await?;
    assert_eq!(counts(&made), [3, 0, 0, 2], "{made}");
    site.is_well().await
}

#[tokio::test]
async fn a_token_whose_user_may_not_edit_hooks_gets_the_steps_to_do_it_by_hand() -> Result<()> {
    let simulator = azure_devops().await?;
    let site = Site::with(
        Bed::new()?,
        simulator,
        "http://127.0.0.1:9/nobody",
        "withoutHooks",
    )
    .await?;
    let (status, body) = site
        .call("PUT", "service-hooks/Harbor", Value::Null)
        .await?;
    assert_eq!(
        (status, problem(&body)),
        (422, "service-hooks-denied"),
        "{body}"
    );
    let detail = body["detail"].as_str().context("no detail")?;
    assert!(
        detail.contains("\"Edit subscriptions\"") && detail.contains("Project Administrators"),
        "{detail}"
    );
    let steps = &body["manualSteps"];
    assert_eq!(steps["endpoint"], site.endpoint());
    let password = format!("GET /integrations/{}/webhook shows it", site.linked.name);
    assert_eq!(steps["password"], password);
    assert!(
        steps["steps"]
            .as_array()
            .is_some_and(|steps| steps.len() == 5)
    );
    assert!(!body.to_string().contains(&site.linked.password));
    // A person follows them; everything else works.
    for one in steps["subscriptions"].as_array().context("none")? {
        let form = json!({
            "project": "Harbor", "eventType": one["eventType"], "resourceVersion": one["resourceVersion"],
            "url": steps["endpoint"], "password": site.linked.password,
            "resourceDetailsToSend": "all", "messagesToSend": "all", "detailedMessagesToSend": "all",
        });
        site.control(Method::POST, SUBSCRIPTIONS, form).await?;
    }
    site.does("POST", "verification", Value::Null).await?;
    site.does("GET", "projects/Harbor/repositories", Value::Null)
        .await?;
    let (status, body) = site
        .call("PUT", "service-hooks/Harbor", Value::Null)
        .await?;
    assert_eq!(
        (status, problem(&body)),
        (422, "service-hooks-denied"),
        "{body}"
    );
    let hooks = site.does("GET", "service-hooks", Value::Null).await?;
    assert_eq!(hooks["projects"], json!([]));
    // With a token that may, they are ours.
    let path = format!("/integrations/{}", site.linked.name);
    let token = json!({ "personalAccessToken": site.azure_devops.token("projectAdministrator") });
    body_of(site.setup.handle(send("PATCH", &path, &token)).await)?;
    let made = site.make("Harbor").await?;
    assert_eq!(counts(&made), [0, 0, 5, 0], "{made}");
    site.is_well().await
}

#[tokio::test]
async fn a_token_that_may_only_read_makes_hooks_where_azure_devops_lets_it() -> Result<()> {
    for holds in [true, false] {
        let simulator = azure_devops().await?;
        simulator.assume("codeReadMakesHooks", holds)?;
        let site = Site::with(
            Bed::new()?,
            simulator,
            "http://127.0.0.1:9/nobody",
            "readOnly",
        )
        .await?;
        let (status, body) = site
            .call("PUT", "service-hooks/Harbor", Value::Null)
            .await?;
        if holds {
            assert_eq!((status, counts(&body)), (200, [5, 0, 0, 0]), "{body}");
            site.is_well().await?;
        } else {
            assert_eq!(
                (status, problem(&body)),
                (422, "service-hooks-denied"),
                "{body}"
            );
            let detail = body["detail"].as_str().context("no detail")?;
            assert!(detail.contains("Code (Read & write)"), "{detail}");
            assert!(body["manualSteps"]["steps"].is_array());
            assert_eq!(site.subscriptions().await?.len(), 0);
        }
    }
    Ok(())
}
