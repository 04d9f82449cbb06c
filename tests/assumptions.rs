//! What is only assumed of Azure DevOps, both ways: no answer of ours may depend on it.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    day,
    support::{Bed, azure_devops, new_name, parts, portal, problem, send},
    support::{Fleet, FleetOptions},
};

/// Of what is sent, and when: a day is lived with all of them the other way round.
const OF_THE_SENDER: [&str; 16] = [
    "branchFilterHoldsBackTags",
    "draftAndRetargetAreStatusUpdates",
    "forcedIsMarked",
    "idHeadersAreSent",
    "missingSwitchMeansMinimal",
    "multiRefPushIsOneEvent",
    "noConnectionIsTransient",
    "noneLeavesKeys",
    "overlapsShareCreatedDate",
    "probationKeepsWaiting",
    "probationLosesEvents",
    "probationRetryIsOneAttempt",
    "retriesKeepCreatedDate",
    "retriesUseCurrentInputs",
    "timeoutIsTransient",
    "waitingReadsPending",
];
/// Those of them that an event's key is made of.
const OF_THE_KEY: [&str; 2] = ["overlapsShareCreatedDate", "retriesKeepCreatedDate"];
/// Of how a connection is refused.
const OF_REFUSALS: [&str; 4] = [
    "expiredTokenGetsJson",
    "hiddenRepositoriesAre404",
    "invalidTokenGetsSignInPage",
    "unknownOrganizationIs404",
];
/// Of a hook without a user name.
const OF_THE_USER_NAME: &str = "blankUserSendsBasic";
/// Of the statuses of pull requests: `report.rs` has it both ways.
const OF_STATUSES: &str = "policyNeedsIteration";
/// Of what moved in a diff: `dispatch.rs` has it both ways.
const OF_DIFFS: &str = "renamesAreDetected";
/// Of subscriptions that are made and mended: `service_hooks.rs` has them both ways.
const OF_HOOKS: [&str; 6] = [
    "codeReadMakesHooks",
    "putEndsInactivity",
    "putEndsProbation",
    "putKeepsMaskedPassword",
    "restoringKeepsRetry",
    "returnEndsInactivity",
];

#[tokio::test]
async fn every_assumption_is_tested_both_ways() -> Result<()> {
    let known: BTreeSet<&str> = azure_devops().await?.assumptions().into_keys().collect();
    let mut listed: Vec<&str> = [OF_THE_SENDER.as_slice(), &OF_REFUSALS, &OF_HOOKS].concat();
    listed.extend([OF_THE_USER_NAME, OF_STATUSES, OF_DIFFS]);
    assert_eq!(listed.len(), known.len());
    assert_eq!(listed.into_iter().collect::<BTreeSet<_>>(), known);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_every_assumption_about_the_sender_the_other_way_round_nothing_is_lost() -> Result<()>
{
    let all: Vec<(&str, bool)> = OF_THE_SENDER.map(|name| (name, false)).to_vec();
    let stored = day::live(200, &all).await?;
    let twice = stored.values().filter(|times| **times > 1).count();
    ensure!(
        twice > 10,
        "{twice}: the overlapping hook has dates of its own now"
    );

    let but_the_key = all
        .into_iter()
        .filter(|(name, _)| !OF_THE_KEY.contains(name));
    let stored = day::live(200, &but_the_key.collect::<Vec<_>>()).await?;
    let twice: Vec<_> = stored.iter().filter(|(_, times)| **times > 1).collect();
    ensure!(twice.is_empty(), "{twice:?}");
    Ok(())
}

#[tokio::test]
async fn a_refused_connection_is_told_whichever_way_azure_devops_refuses_it() -> Result<()> {
    let bed = Bed::new()?;
    for holds in [true, false] {
        let azure_devops = azure_devops().await?;
        for name in OF_REFUSALS {
            azure_devops.assume(name, holds)?;
        }
        let app = bed.setup(&azure_devops).await?;
        let no_organization = if holds {
            "organization-not-found"
        } else {
            // Nothing tells it from a token that is refused.
            "token-refused"
        };
        for (token, organization, expected) in [
            ("unknown", "tidewater", "token-refused"),
            ("expired", "tidewater", "token-refused"),
            ("withoutPermission", "tidewater", "token-lacks-scope"),
            ("good", "no-such-organization", no_organization),
        ] {
            let wanted = json!({
                "name": new_name("assumed"),
                "organizationUrl": format!("{}/{organization}", azure_devops.url()),
                "personalAccessToken": azure_devops.token(token),
            });
            let answer = app.handle(send("POST", "/integrations", &wanted)).await;
            let (status, body) = parts(&answer)?;
            assert_eq!(
                (status, problem(&body)),
                (422, expected),
                "{token}, {holds}: {body}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_hook_that_needs_a_user_name_to_send_its_password_may_have_any() -> Result<()> {
    let bed = Bed::new()?;
    for (holds, username) in [
        (true, None),
        (true, Some("anybody")),
        (false, Some("anybody")),
    ] {
        let azure_devops = azure_devops().await?;
        azure_devops.assume(OF_THE_USER_NAME, holds)?;
        let linked = bed.linked().await?;
        let portal = portal(&azure_devops)?;
        let keyboard = portal.repository("tidewater", "Named", "platform").await?;
        let fleet = Fleet::start(&bed, FleetOptions::default()).await?;
        let url = fleet.endpoint(linked.name.as_str());
        let mut form = json!({ "project": "Named", "url": url, "password": linked.password });
        if let Some(username) = username {
            form["username"] = json!(username);
        }
        let path = "organizations/tidewater/subscriptions";
        portal.control(Method::POST, path, form).await?;
        keyboard
            .push(json!({ "branch": "main", "files": { "a": "b" }, "message": "m" }))
            .await?;
        portal.settle().await?;
        let hooks: Vec<Value> = portal.hooks_to("tidewater", &url).await?;
        let hook = hooks.first().context("no hook")?;
        let case = format!("{holds} {username:?}");
        assert_eq!(hook["status"], "enabled", "{case}");
        assert_eq!(bed.log_of(linked.name.as_str()).await?.len(), 1, "{case}");
    }
    Ok(())
}
