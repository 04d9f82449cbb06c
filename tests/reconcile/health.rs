//! Hooks that do not send: what is kept and told of them, what is mended and what is left, and that a pass stops where it must.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use domain::{HookStatus, PasswordDigest, ServiceHook};
use jiff::{SignedDuration, Timestamp};
use reconcile::Trigger;
use reqwest::Method;
use serde_json::{Value, json};
use store::Lease;

use crate::support::{
    caring::{Caring, pass_of},
    http_client, json as body_of, new_name, now, schemas, send,
};

const PUSH: &str = "git.push";
const FAILING: &str = "Service Hook Failing";
/// What the schedule sends.
const SCHEDULED: Trigger = Trigger::Scheduled(Value::Null);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// A person's call about the organization.
async fn by_hand(caring: &Caring, method: Method, path: &str, body: Value) -> Result<Value> {
    let path = format!("organizations/tidewater/{path}");
    caring.control(method, &path, body).await
}

/// Gives a hook a status, as Azure DevOps or a person does.
async fn becomes(caring: &Caring, hook: &str, status: &str) -> Result<()> {
    let path = format!("subscriptions/{hook}");
    by_hand(caring, Method::PATCH, &path, json!({ "status": status })).await?;
    Ok(())
}

async fn is_deleted(caring: &Caring, hook: &str) -> Result<()> {
    let path = format!("subscriptions/{hook}");
    by_hand(caring, Method::DELETE, &path, Value::Null).await?;
    Ok(())
}

pub(super) async fn fault(caring: &Caring, fault: Value) -> Result<()> {
    caring.control(Method::POST, "faults", fault).await?;
    Ok(())
}

pub(super) async fn no_faults(caring: &Caring) -> Result<()> {
    caring
        .control(Method::DELETE, "faults", Value::Null)
        .await?;
    Ok(())
}

/// Another token, as a person pastes it.
async fn token_becomes(caring: &Caring, kind: &str) -> Result<()> {
    let path = format!("/integrations/{}", caring.linked.name);
    let change = json!({ "personalAccessToken": caring.azure_devops.token(kind) });
    body_of(caring.setup.handle(send("PATCH", &path, &change)).await)?;
    Ok(())
}

/// What is kept of the hook for pushes.
async fn kept(caring: &Caring) -> Result<ServiceHook> {
    let hooks = caring.store.hooks_of(&caring.linked.name).await?;
    let found = hooks
        .into_iter()
        .find(|hook| hook.event_type.as_str() == PUSH);
    found.context("there is no hook for pushes")
}

/// The statuses of the hooks that are sent to us, by what they tell of.
fn statuses(caring: &Caring) -> Vec<(&'static str, &'static str)> {
    let name = caring.linked.name.as_str();
    let all = caring.azure_devops.subscriptions().into_iter();
    let ours = all.filter(|it| it.url.ends_with(name));
    let mut statuses: Vec<_> = ours.map(|it| (it.event_type, it.status)).collect();
    statuses.sort_unstable();
    statuses
}

/// There is one hook for each event, and each of them sends.
fn all_is_well(caring: &Caring) -> Result<()> {
    let statuses = statuses(caring);
    let events: BTreeSet<_> = statuses.iter().map(|(event, _)| event).collect();
    let are_enabled = statuses.iter().all(|(_, status)| *status == "enabled");
    ensure!(
        are_enabled && events.len() == 5 && statuses.len() == 5,
        "{statuses:?}"
    );
    Ok(())
}

/// Something is pushed; the id of its event, where Azure DevOps had somebody to send it to.
async fn pushed(caring: &Caring) -> Result<String> {
    let file = format!("prod/{}.tf", new_name("file"));
    let pushed = caring.push("main", json!({ file: "x\n" })).await?;
    caring.settle().await?;
    let id = pushed["events"][0]["id"].as_str();
    Ok(id
        .with_context(|| format!("no event: {pushed}"))?
        .to_owned())
}

/// Whether an event reached us by itself.
async fn has_arrived(caring: &Caring, event: &str) -> Result<bool> {
    let log = caring.bed.log_of(caring.linked.name.as_str()).await?;
    let of_event = log.iter().find(|row| row["eventId"] == event);
    Ok(of_event.is_some_and(|row| row["recovered"] != true))
}

/// What is pushed now reaches us.
async fn a_push_arrives(caring: &Caring) -> Result<()> {
    let event = pushed(caring).await?;
    ensure!(has_arrived(caring, &event).await?, "the push has not come");
    Ok(())
}

/// How many runs each of the commits of a stack has.
async fn commits(caring: &Caring, stack: &domain::StackName) -> Result<Vec<String>> {
    caring.dispatch().await?;
    let runs = caring.runs(stack).await?;
    let mut commits: Vec<String> = runs.into_iter().map(|run| run.commit).collect();
    commits.sort_unstable();
    Ok(commits)
}

/// What the bus was told of hooks, valid by its schema.
fn failings(caring: &Caring) -> Vec<Value> {
    let told = caring.told(FAILING);
    for detail in &told {
        assert_eq!(schemas::faults(FAILING, detail), [""; 0], "{detail}");
    }
    told
}

/// The calls that made, changed or deleted subscriptions.
fn writes(caring: &Caring) -> usize {
    let is_write = |method: &str, path: &str| match method {
        "POST" => path.contains("/hooks/subscriptions?"),
        "PUT" | "DELETE" => path.contains("/hooks/subscriptions/"),
        _ => false,
    };
    let requests = caring.azure_devops.requests();
    requests
        .iter()
        .filter(|it| is_write(&it.method, &it.path))
        .count()
}

#[tokio::test]
async fn each_state_is_kept_and_told_once_until_it_is_another() -> Result<()> {
    let caring = Caring::start().await?;
    let watching = caring.another(|settings| settings.mends = false).await?;
    let watch = || pass_of(&watching, &caring.linked, SCHEDULED, now());
    let hook = caring.hook(PUSH).await?;
    watch().await?;
    assert_eq!(failings(&caring).len(), 0, "all is well");

    let writes_before = writes(&caring);
    let states = [
        ("onProbation", HookStatus::OnProbation),
        ("disabledBySystem", HookStatus::DisabledBySystem),
        ("disabledByUser", HookStatus::DisabledByUser),
        (
            "disabledByInactiveIdentity",
            HookStatus::DisabledByInactiveIdentity,
        ),
        // Once more, after it was something else.
        ("onProbation", HookStatus::OnProbation),
    ];
    for (number, (word, status)) in states.into_iter().enumerate() {
        becomes(&caring, &hook, word).await?;
        for _ in 0..2 {
            let did = watch().await?;
            let is_stopped = status == HookStatus::DisabledByUser;
            let counted = if is_stopped { "stopped" } else { "failing" };
            assert_eq!(did["did"][counted], 1, "{did}");
            assert_eq!(failings(&caring).len(), number + 1, "{word}");
        }
        assert_eq!(kept(&caring).await?.health.status, status);
        let told = &failings(&caring)[number];
        assert_eq!(
            (&told["status"], &told["subscription"], &told["eventType"]),
            (&json!(word), &json!(hook), &json!(PUSH))
        );
        let reason = told["reason"].as_str().context("no reason")?;
        let is_left = reason.contains("mend_service_hooks is off") || word == "disabledByUser";
        assert!(is_left, "{reason}");
    }
    let shown = caring.hooks().await?.to_string();
    assert!(shown.contains("\"status\":\"onProbation\""), "{shown}");

    // Well again: nothing is told, and the same illness is told once more.
    becomes(&caring, &hook, "enabled").await?;
    watch().await?;
    let health = kept(&caring).await?.health;
    assert!(health.is_well() && health.owner.as_deref() == Some("Ines Varga"));
    assert_eq!(failings(&caring).len(), states.len());
    becomes(&caring, &hook, "onProbation").await?;
    watch().await?;
    assert_eq!(failings(&caring).len(), states.len() + 1);
    is_deleted(&caring, &hook).await?;
    for _ in 0..2 {
        let did = watch().await?;
        assert_eq!(did["did"]["missing"], 1, "{did}");
        assert_eq!(failings(&caring).len(), states.len() + 2);
    }
    assert_eq!(failings(&caring)[states.len() + 1]["status"], "missing");
    assert_eq!(writes(&caring), writes_before, "nothing is mended");
    Ok(())
}

/// A bad answer stops the hook for pushes, once for each way in which a PUT may work: a pass mends it each time.
async fn is_mended_after(
    status: u16,
    stopped: &'static str,
    other_ways: &[Option<&str>],
) -> Result<()> {
    let caring = Caring::start().await?;
    let stack = caring.stack(json!({ "projectRoot": "prod" })).await?;
    let mut expected = Vec::new();
    for other_way in other_ways {
        if let Some(name) = other_way {
            caring.azure_devops.assume(name, false)?;
        }
        caring.door.answers(Some(status));
        let lost = pushed(&caring).await?;
        expected.push(caring.tip("main").await?);
        caring.door.answers(None);
        assert!(statuses(&caring).contains(&(PUSH, stopped)));

        let did = caring.pass().await?;
        all_is_well(&caring).with_context(|| format!("{status}, {other_way:?}: {did}"))?;
        assert!(!has_arrived(&caring, &lost).await?);
        a_push_arrives(&caring).await?;
        expected.push(caring.tip("main").await?);
        let leap = "settle?timeoutMs=60000&leap=true&includeProbation=true";
        caring.control(Method::POST, leap, Value::Null).await?;
        all_is_well(&caring)?;
        let mut wanted = expected.clone();
        wanted.sort_unstable();
        assert_eq!(
            commits(&caring, &stack).await?,
            wanted,
            "{status}, {other_way:?}"
        );
        if let Some(name) = other_way {
            caring.azure_devops.assume(name, true)?;
        }
    }
    assert_eq!(failings(&caring).len(), other_ways.len());
    Ok(())
}

#[tokio::test]
async fn a_probation_is_mended_and_what_it_lost_runs_once_whatever_a_put_does() -> Result<()> {
    let other_ways = [None, Some("putEndsProbation"), Some("restoringKeepsRetry")];
    is_mended_after(500, "onProbation", &other_ways).await
}

#[tokio::test]
async fn what_azure_devops_has_disabled_is_mended_and_what_it_lost_runs_once() -> Result<()> {
    let other_ways = [None, Some("putKeepsMaskedPassword")];
    is_mended_after(410, "disabledBySystem", &other_ways).await
}

async fn what_a_person_has_disabled_is_left_until_enabled(by_put: bool) -> Result<()> {
    let caring = Caring::start().await?;
    let stack = caring.stack(json!({ "projectRoot": "prod" })).await?;
    let hook = caring.hook(PUSH).await?;
    caring.pass().await?;
    becomes(&caring, &hook, "disabledByUser").await?;
    for _ in 0..2 {
        let file = format!("prod/{}.tf", new_name("unwanted"));
        caring.push("main", json!({ file: "x\n" })).await?;
        let did = caring.pass().await?;
        assert_eq!(did["did"]["found"], 0, "{did}");
        assert_eq!(did["gap"], Value::Null, "what is wanted is no gap");
        assert!(statuses(&caring).contains(&(PUSH, "disabledByUser")));
    }
    assert_eq!(failings(&caring).len(), 1, "told once");
    assert_eq!(
        kept(&caring).await?.health.status,
        HookStatus::DisabledByUser
    );
    // A day later all is compared, which finds none of it either; and some happens after that.
    let did = caring
        .pass_at(now() + SignedDuration::from_hours(25))
        .await?;
    assert_eq!(did["did"]["found"], 0, "{did}");
    caring
        .push("main", json!({ "prod/last.tf": format!("{by_put}\n") }))
        .await?;

    if by_put {
        caring.make_hooks("Harbor").await?;
    } else {
        becomes(&caring, &hook, "enabled").await?;
    }
    a_push_arrives(&caring).await?;
    let wanted = caring.tip("main").await?;
    for _ in 0..2 {
        let did = caring.pass().await?;
        assert_eq!(did["did"]["found"], 0, "{by_put}: {did}");
    }
    assert_eq!(commits(&caring, &stack).await?, [wanted], "{by_put}");
    assert_eq!(failings(&caring).len(), 1, "of one that is well nothing");
    Ok(())
}

#[tokio::test]
async fn what_a_person_has_disabled_is_left_and_nothing_is_found_in_its_place() -> Result<()> {
    what_a_person_has_disabled_is_left_until_enabled(false).await
}

#[tokio::test]
async fn nor_is_it_where_a_person_asks_for_the_hooks_again() -> Result<()> {
    what_a_person_has_disabled_is_left_until_enabled(true).await
}

/// Whoever made the hooks leaves; the token goes with them, and somebody else's takes its place.
async fn the_owner_leaves(put_ends_inactivity: bool) -> Result<()> {
    let caring = Caring::start().await?;
    caring
        .azure_devops
        .assume("putEndsInactivity", put_ends_inactivity)?;
    let stack = caring.stack(json!({ "projectRoot": "prod" })).await?;
    caring.pass().await?;
    let gone = json!({ "inactive": true });
    by_hand(&caring, Method::PATCH, "people/Ines%20Varga", gone).await?;
    let did = caring.pass().await?;
    assert_eq!(caring.told("Connection Failing").len(), 1, "{did}");
    caring
        .push("main", json!({ "prod/lost.tf": "x\n" }))
        .await?;
    token_becomes(&caring, "projectAdministrator").await?;
    let did = caring.pass().await?;
    all_is_well(&caring).with_context(|| did.to_string())?;
    let told = failings(&caring);
    assert_eq!(told.len(), 5, "{told:?}");
    for detail in &told {
        assert_eq!(detail["status"], "disabledByInactiveIdentity");
    }
    let owner = kept(&caring).await?.health.owner;
    let expected = if put_ends_inactivity {
        "Ines Varga"
    } else {
        "Milo Brandt"
    };
    assert_eq!(owner.as_deref(), Some(expected));
    a_push_arrives(&caring).await?;
    let runs = commits(&caring, &stack).await?;
    assert_eq!(
        runs.len(),
        2,
        "what was pushed meanwhile is found: {runs:?}"
    );
    caring.pass().await?;
    assert_eq!(failings(&caring).len(), 5);
    Ok(())
}

#[tokio::test]
async fn hooks_whose_owner_has_left_are_enabled_with_another_persons_token() -> Result<()> {
    the_owner_leaves(true).await
}

#[tokio::test]
async fn hooks_that_nobody_else_can_enable_are_made_anew_with_another_persons_token() -> Result<()>
{
    the_owner_leaves(false).await
}

#[tokio::test]
async fn an_owner_who_comes_back_finds_the_hooks_sending_soon() -> Result<()> {
    for return_ends_inactivity in [false, true] {
        let caring = Caring::start().await?;
        caring
            .azure_devops
            .assume("returnEndsInactivity", return_ends_inactivity)?;
        for inactive in [true, false] {
            let change = json!({ "inactive": inactive });
            by_hand(&caring, Method::PATCH, "people/Ines%20Varga", change).await?;
        }
        let writes_before = writes(&caring);
        caring.pass().await?;
        all_is_well(&caring)?;
        let (told, written) = if return_ends_inactivity {
            (0, 0)
        } else {
            (5, 5)
        };
        assert_eq!(failings(&caring).len(), told);
        assert_eq!(writes(&caring) - writes_before, written);
        a_push_arrives(&caring).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_hook_that_a_person_deletes_is_told_and_made_again() -> Result<()> {
    let caring = Caring::start().await?;
    let hook = caring.hook(PUSH).await?;
    is_deleted(&caring, &hook).await?;
    let did = caring.pass().await?;
    assert_eq!(
        (&did["did"]["mended"], &did["did"]["failing"]),
        (&json!(1), &json!(1))
    );
    all_is_well(&caring)?;
    let told = failings(&caring);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (&told[0]["status"], &told[0]["subscription"]),
        (&json!("missing"), &json!(hook))
    );
    assert_ne!(caring.hook(PUSH).await?, hook);
    a_push_arrives(&caring).await?;
    caring.pass().await?;
    all_is_well(&caring)?;
    assert_eq!(failings(&caring).len(), 1);
    assert_eq!(caring.store.hooks_of(&caring.linked.name).await?.len(), 5);
    Ok(())
}

/// Hooks for these events are as if making them had been cut off before they were.
async fn were_never_made(caring: &Caring, events: [&str; 2]) -> Result<()> {
    for event in events {
        let hook = caring.hook(event).await?;
        is_deleted(caring, &hook).await?;
        let (store, name) = (&caring.store, &caring.linked.name);
        store.forget_hook(name, &hook.parse()?).await?;
    }
    Ok(())
}

/// A person's `DELETE …/service-hooks/Harbor`.
async fn are_removed(caring: &Caring) -> Result<Value> {
    let path = format!("/integrations/{}/service-hooks/Harbor", caring.linked.name);
    body_of(caring.setup.handle(send("DELETE", &path, &json!({}))).await)
}

#[tokio::test]
async fn hooks_of_a_project_that_were_not_all_made_are_told_and_made_and_what_they_lost_runs()
-> Result<()> {
    let caring = Caring::start().await?;
    let stack = caring.stack(json!({ "projectRoot": "prod" })).await?;
    caring.pass().await?;
    let shown = caring.hooks().await?;
    assert_eq!(shown["projects"][0]["missingEvents"], json!([]), "{shown}");
    let missing = [PUSH, "git.pullrequest.updated"];
    were_never_made(&caring, missing).await?;
    caring
        .push("main", json!({ "prod/lost.tf": "x\n" }))
        .await?;
    let shown = caring.hooks().await?;
    assert_eq!(shown["projects"][0]["missingEvents"], json!(missing));
    // Whoever makes them may be at it.
    let did = caring.pass().await?;
    let count = |did: &Value, what: &str| did["did"][what].as_u64();
    assert_eq!(count(&did, "missing"), Some(0), "{did}");
    assert_eq!(statuses(&caring).len(), 3, "{did}");

    let later = now() + MINUTE * 3;
    let watching = caring.another(|settings| settings.mends = false).await?;
    let did = pass_of(&watching, &caring.linked, SCHEDULED, later).await?;
    assert_eq!(count(&did, "missing"), Some(2), "{did}");
    assert_eq!(statuses(&caring).len(), 3, "nothing is made: {did}");
    assert_eq!(count(&did, "found"), Some(1), "it is a gap: {did}");
    // Where the token may not make them, all the same.
    token_becomes(&caring, "withoutHooks").await?;
    let did = caring.pass_at(later).await?;
    assert_eq!(count(&did, "missing"), Some(2), "{did}");
    assert_eq!(statuses(&caring).len(), 3, "{did}");
    token_becomes(&caring, "good").await?;
    let did = caring.pass_at(later).await?;
    assert_eq!(
        (count(&did, "missing"), count(&did, "mended")),
        (Some(2), Some(2)),
        "{did}"
    );
    all_is_well(&caring)?;
    let did = caring.pass_at(later).await?;
    assert_eq!(
        (count(&did, "missing"), count(&did, "mended")),
        (Some(0), Some(0)),
        "{did}"
    );
    let tip = caring.tip("main").await?;
    assert_eq!(commits(&caring, &stack).await?, [tip]);
    a_push_arrives(&caring).await?;
    assert_eq!(failings(&caring).len(), 0, "no hook fails");
    Ok(())
}

#[tokio::test]
async fn hooks_that_a_person_removed_in_part_or_whole_are_not_made_again() -> Result<()> {
    let caring = Caring::start().await?;
    let hook = caring.hook(PUSH).await?;
    let path = format!("/hooks/subscriptions/{hook}");
    fault(
        &caring,
        json!({ "kind": "status", "path": path, "status": 503 }),
    )
    .await?;
    let answer = are_removed(&caring).await?;
    assert_eq!(answer["serviceHooksRemoved"], 4, "{answer}");
    no_faults(&caring).await?;
    for (minutes, left) in [(3, 1), (6, 0)] {
        let did = caring.pass_at(now() + MINUTE * minutes).await?;
        assert_eq!(did["did"]["missing"], 0, "{did}");
        assert_eq!(statuses(&caring).len(), left, "{did}");
        are_removed(&caring).await?;
    }
    // One that was left is wanted again once a person asks for it.
    caring.make_hooks("Harbor").await?;
    all_is_well(&caring)?;
    fault(
        &caring,
        json!({ "kind": "status", "path": "/hooks/subscriptions/", "status": 503 }),
    )
    .await?;
    let answer = are_removed(&caring).await?;
    assert_eq!(answer["serviceHooksRemoved"], 0, "{answer}");
    no_faults(&caring).await?;
    caring.make_hooks("Harbor").await?;
    were_never_made(&caring, [PUSH, "git.pullrequest.updated"]).await?;
    let did = caring.pass_at(now() + MINUTE * 3).await?;
    assert_eq!(did["did"]["missing"], 2, "{did}");
    all_is_well(&caring)
}

/// A hook as Azure DevOps shows it to a person.
async fn read(caring: &Caring, hook: &str) -> Result<Value> {
    rest(caring, Method::GET, hook, Value::Null).await
}

/// A person's own call of the REST API, with a token of theirs.
async fn rest(caring: &Caring, method: Method, hook: &str, body: Value) -> Result<Value> {
    let base = caring.azure_devops.url();
    let url = format!("{base}/tidewater/_apis/hooks/subscriptions/{hook}?api-version=7.1");
    let token = caring.azure_devops.token("projectAdministrator");
    let basic = STANDARD.encode(format!(":{token}"));
    let mut request = http_client()
        .request(method, url)
        .header("authorization", format!("Basic {basic}"));
    if !body.is_null() {
        request = request.json(&body);
    }
    Ok(request.send().await?.error_for_status()?.json().await?)
}

#[tokio::test]
async fn what_somebody_edits_in_a_hook_is_put_back_with_the_real_password() -> Result<()> {
    let caring = Caring::start().await?;
    let hook = caring.hook(PUSH).await?;
    let before = read(&caring, &hook).await?;
    let cases = [
        ("/consumerInputs/url", "http://127.0.0.1:9/elsewhere", "url"),
        (
            "/consumerInputs/resourceDetailsToSend",
            "minimal",
            "resourceDetailsToSend",
        ),
        ("/publisherInputs/branch", "develop", "branch"),
        (
            "/consumerInputs/httpHeaders",
            "Authorization: Basic eDp5",
            "httpHeaders",
        ),
        ("/resourceVersion", "2.0", "resourceVersion"),
    ];
    for (number, (pointer, value, what)) in cases.into_iter().enumerate() {
        // Saved at the portal, the asterisks may take the place of the password.
        caring
            .azure_devops
            .assume("putKeepsMaskedPassword", number % 2 == 0)?;
        let mut edited = before.clone();
        let (parent, field) = pointer.rsplit_once('/').context("no field")?;
        let parent = edited.pointer_mut(parent).context("no parent")?;
        parent[field] = json!(value);
        rest(&caring, Method::PUT, &hook, edited).await?;
        let did = caring.pass().await?;
        assert_eq!(did["did"]["mended"], 1, "{what}: {did}");
        let told = failings(&caring);
        assert_eq!(told.len(), number + 1, "{what}: {told:?}");
        let reason = told[number]["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(&format!("changed ({what})")), "{reason}");
        let after = read(&caring, &hook).await?;
        for same in ["consumerInputs", "resourceVersion", "status", "eventType"] {
            assert_eq!(after[same], before[same], "{what}");
        }
        assert_eq!(
            after["publisherInputs"]["branch"]
                .as_str()
                .unwrap_or_default(),
            "",
            "{what}"
        );
        all_is_well(&caring)?;
        a_push_arrives(&caring).await?;
    }
    Ok(())
}

#[tokio::test]
async fn with_a_token_that_may_not_edit_hooks_they_are_shown_failing_and_all_else_works()
-> Result<()> {
    let caring = Caring::start().await?;
    let stack = caring.stack(json!({ "projectRoot": "prod" })).await?;
    caring.pass().await?;
    token_becomes(&caring, "withoutHooks").await?;
    caring.door.answers(Some(500));
    pushed(&caring).await?;
    // This one is lost on Azure DevOps' side.
    caring
        .push("main", json!({ "prod/lost.tf": "x\n" }))
        .await?;
    caring.door.answers(None);
    is_deleted(&caring, &caring.hook("git.pullrequest.created").await?).await?;
    let before = statuses(&caring);
    let did = caring.pass().await?;
    assert_eq!(
        statuses(&caring),
        before,
        "nothing is made, and nothing mended"
    );
    assert_eq!(
        (&did["did"]["failing"], &did["did"]["mended"]),
        (&json!(2), &json!(0)),
        "{did}"
    );
    assert_eq!(did["did"]["unfinished"], false, "{did}");
    let health = kept(&caring).await?.health;
    assert_eq!(health.status, HookStatus::OnProbation);
    let trouble = health.trouble.context("no trouble")?;
    assert!(trouble.contains("\"Edit subscriptions\""), "{trouble}");
    assert!(
        caring
            .hooks()
            .await?
            .to_string()
            .contains("Edit subscriptions")
    );
    assert_eq!(failings(&caring).len(), 2);
    let tip = caring.tip("main").await?;
    assert!(
        commits(&caring, &stack).await?.contains(&tip),
        "found by comparing"
    );

    // Once somebody may, all is mended.
    token_becomes(&caring, "good").await?;
    caring.pass().await?;
    all_is_well(&caring)?;
    assert_eq!(kept(&caring).await?.health.trouble, None);
    Ok(())
}

#[tokio::test]
async fn where_nothing_can_be_read_or_listed_nothing_is_made_and_the_next_pass_goes_on()
-> Result<()> {
    let caring = Caring::start().await?;
    let one = "/hooks/subscriptions/";
    let listing = "/hooks/subscriptionsquery";
    for (number, fault_of_it) in [
        json!({ "kind": "status", "path": one, "status": 503 }),
        json!({ "kind": "drop", "path": one }),
        json!({ "kind": "cutOff", "path": one }),
        json!({ "kind": "status", "path": listing, "status": 503 }),
        json!({ "kind": "notJson", "path": listing }),
        json!({ "kind": "drop", "path": listing }),
        json!({ "kind": "tooManyRequests", "path": listing, "retryAfterSeconds": 0 }),
    ]
    .into_iter()
    .enumerate()
    {
        let hook = caring.hook(PUSH).await?;
        is_deleted(&caring, &hook).await?;
        let before = (writes(&caring), statuses(&caring));
        fault(&caring, fault_of_it.clone()).await?;
        let did = caring.pass().await?;
        assert_eq!(did["did"]["unfinished"], true, "{fault_of_it}: {did}");
        assert_eq!(
            (writes(&caring), statuses(&caring)),
            before,
            "{fault_of_it}"
        );
        assert_eq!(caring.hook(PUSH).await?, hook, "{fault_of_it}");
        no_faults(&caring).await?;
        let did = caring.pass().await?;
        all_is_well(&caring).with_context(|| format!("{fault_of_it}: {did}"))?;
        assert_eq!(failings(&caring).len(), number + 1, "{fault_of_it}");
    }
    Ok(())
}

#[tokio::test]
async fn a_pass_that_gets_no_answer_ends_in_time_and_the_next_goes_on() -> Result<()> {
    let caring = Caring::start().await?;
    is_deleted(&caring, &caring.hook(PUSH).await?).await?;
    fault(
        &caring,
        json!({ "kind": "hang", "path": "/hooks/subscriptionsquery" }),
    )
    .await?;
    let (app, name) = (&caring.reconcile, &caring.linked.name);
    let short = Duration::from_secs(3);
    let did = app.pass_over(name, SCHEDULED, short, now()).await?;
    let did = did.context("no pass")?;
    assert_eq!(did["did"]["unfinished"], true, "{did}");
    assert_eq!(did["did"]["failing"], 1, "{did}");
    assert_eq!(failings(&caring).len(), 1);
    no_faults(&caring).await?;
    // What was sent last may still arrive, so the lease that was held is let end by itself.
    caring.pass().await?;
    assert_eq!(statuses(&caring).len(), 4);
    caring.bed.two_minutes_pass(name.as_str()).await?;
    caring.pass().await?;
    all_is_well(&caring)
}

#[tokio::test]
async fn nothing_is_called_before_azure_devops_wants_to_be_called_again() -> Result<()> {
    let caring = Caring::start().await?;
    let hook = caring.hook(PUSH).await?;
    becomes(&caring, &hook, "disabledBySystem").await?;
    let path = format!("/hooks/subscriptions/{hook}");
    let slow =
        json!({ "kind": "tooManyRequests", "path": path, "times": 1, "retryAfterSeconds": 600 });
    fault(&caring, slow).await?;
    let begun = now();
    let did = caring.pass_at(begun).await?;
    assert_eq!(did["did"]["unfinished"], true, "{did}");
    let calls = || caring.azure_devops.requests().len();
    let before = calls();
    for minutes in [1, 9] {
        let did = caring.pass_at(begun + MINUTE * minutes).await?;
        assert_eq!(did["did"]["calls"], 0, "{did}");
        assert_eq!(did["did"]["hooks"], 5, "what is known is still told: {did}");
    }
    assert_eq!(calls(), before);
    caring.pass_at(begun + MINUTE * 11).await?;
    all_is_well(&caring)
}

#[tokio::test]
async fn what_somebody_is_changing_is_left_to_the_next_pass() -> Result<()> {
    let caring = Caring::start().await?;
    let hook = caring.hook(PUSH).await?;
    becomes(&caring, &hook, "disabledBySystem").await?;
    let (store, name) = (&caring.store, &caring.linked.name);
    let lease = store.lease(name, "somebody", now()).await?;
    assert!(matches!(lease, Lease::Yes(_)));
    let before = writes(&caring);
    let did = caring.pass().await?;
    assert_eq!(
        (&did["did"]["unfinished"], &did["did"]["failing"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(writes(&caring), before);
    assert_eq!(failings(&caring).len(), 1, "told all the same");
    let still = store.lease(name, "another", now()).await?;
    assert!(matches!(still, Lease::Busy), "the lease is not touched");
    store.release(name, "somebody").await?;
    caring.pass().await?;
    all_is_well(&caring)?;
    let free = store.lease(name, "another", now()).await?;
    assert!(matches!(free, Lease::Yes(_)), "nor kept");
    Ok(())
}

#[tokio::test]
async fn while_a_gap_lasts_all_of_the_history_is_read_once_a_day() -> Result<()> {
    let caring = Caring::start().await?;
    let watching = caring.another(|settings| settings.mends = false).await?;
    caring.door.answers(Some(410));
    pushed(&caring).await?;
    caring.door.answers(None);
    let begun = now();
    let mut failed = Vec::new();
    // Each of them compares, since the hook is disabled.
    for pass in 0..11 {
        let at = begun + SignedDuration::from_hours(20) * pass;
        let did = pass_of(&watching, &caring.linked, SCHEDULED, at).await?;
        let progress = caring.store.progress(&caring.linked.name).await?;
        assert_eq!(progress.compared_at, Some(at), "{did}");
        caring.dispatch().await?;
        failed.push(kept(&caring).await?.health.failed_notifications);
    }
    // All is read in every other pass. The first of those after seven days tells that none has failed since.
    assert_eq!(failed, [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0]);
    Ok(())
}

/// Before what a rotation was cut off.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Before {
    Secret,
    Hooks,
    End,
}

/// A rotation that is cut off; gives the password that it began with.
async fn a_rotation_is(cut_off: Before, caring: &Caring) -> Result<domain::WebhookPassword> {
    let (store, name) = (&caring.store, &caring.linked.name);
    let Lease::Yes(leased) = store.lease(name, "rotation", now()).await? else {
        anyhow::bail!("there is no lease");
    };
    let password = secrets::generate_password()?;
    let digest = PasswordDigest::of(password.expose().as_bytes());
    let sha256 = digest.sha256;
    let digests = domain::password::with_new(&leased.digests, digest, now(), false)?;
    store
        .begin_rotation(name, "rotation", &digests, &sha256, now())
        .await?;
    if cut_off != Before::Secret {
        caring
            .bed
            .secrets()
            .await
            .keep_password(name, &password)
            .await?;
    }
    store.release(name, "rotation").await?;
    if cut_off == Before::End {
        caring.make_hooks("Harbor").await?;
    }
    Ok(password)
}

/// Whether a password counts at a moment.
async fn counts(caring: &Caring, password: &str, at: Timestamp) -> Result<bool> {
    let record = caring.store.webhook_record(&caring.linked.name).await?;
    let passwords = record.context("no record")?.passwords;
    let digest = PasswordDigest::of(password.as_bytes());
    Ok(passwords.matches(&digest.sha256, at))
}

/// Its caller was told that it failed, and nobody has put the new password into hooks made by hand.
#[tokio::test]
async fn a_rotation_that_was_cut_off_gives_hooks_its_password_and_ends_none_until_it_is_called_again()
-> Result<()> {
    for cut_off in [Before::Hooks, Before::End] {
        let caring = Caring::start().await?;
        let stopped = caring.hook("git.pullrequest.updated").await?;
        becomes(&caring, &stopped, "disabledByUser").await?;
        let old = caring.linked.password.clone();
        let password = a_rotation_is(cut_off, &caring).await?;
        if cut_off == Before::End {
            // Making them has enabled it.
            becomes(&caring, &stopped, "disabledByUser").await?;
        }
        caring.pass().await?;
        let tag = hooks::tag(&password);
        for hook in caring.store.hooks_of(&caring.linked.name).await? {
            assert_eq!(hook.password.as_deref(), Some(tag.as_str()), "{cut_off:?}");
        }
        let hour = SignedDuration::from_hours(1);
        for counting in [&old, password.expose()] {
            let month = now() + hour * 24 * 30;
            assert!(counts(&caring, counting, month).await?, "{cut_off:?}");
        }
        a_push_arrives(&caring).await?;
        // What a person has stopped has it too, and stays as it was.
        assert_eq!(read(&caring, &stopped).await?["status"], "disabledByUser");
        let before = writes(&caring);
        let did = caring.pass().await?;
        assert_eq!(writes(&caring), before, "nothing is left to do");
        assert_eq!(did["did"]["unfinished"], false, "{did}");

        // The same call again tells the password, and only then the one before has an end.

        let path = format!("/integrations/{}/webhook/rotation", caring.linked.name);
        let rotated = body_of(caring.setup.handle(send("POST", &path, &json!({}))).await)?;
        assert_eq!(rotated["password"], password.expose());
        let begun = now();
        assert!(counts(&caring, &old, begun + hour * 23).await?);
        assert!(!counts(&caring, &old, begun + hour * 25).await?);
        assert!(counts(&caring, password.expose(), begun + hour * 25).await?);
    }
    Ok(())
}

#[tokio::test]
async fn a_password_that_nobody_could_read_is_given_to_no_hook_and_ends_none() -> Result<()> {
    let caring = Caring::start().await?;
    a_rotation_is(Before::Secret, &caring).await?;
    let before = writes(&caring);
    let did = caring.pass().await?;
    assert_eq!(did["did"]["unfinished"], false, "{did}");
    assert_eq!(writes(&caring), before);
    let day = SignedDuration::from_hours(48);
    assert!(counts(&caring, &caring.linked.password, now() + day).await?);
    a_push_arrives(&caring).await
}

#[tokio::test]
async fn hooks_that_were_removed_during_a_pass_do_not_come_back() -> Result<()> {
    let caring = Caring::start().await?;
    let (store, name) = (&caring.store, &caring.linked.name);
    is_deleted(&caring, &caring.hook(PUSH).await?).await?;
    // Between looking and mending.
    let slow = json!({ "kind": "latency", "path": "/hooks/notificationsquery", "times": 1, "milliseconds": 1500 });
    fault(&caring, slow).await?;
    let removing = async {
        while failings(&caring).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for hook in store.hooks_of(name).await? {
            let id = hook.id.as_str();
            if hook.event_type.as_str() != PUSH {
                is_deleted(&caring, id).await?;
            }
            store.forget_hook(name, &hook.id).await?;
        }
        anyhow::Ok(())
    };
    let (did, removed) = tokio::join!(caring.pass(), removing);
    removed?;
    let did = did?;
    assert_eq!(statuses(&caring), [], "{did}");
    assert_eq!(store.hooks_of(name).await?, []);
    Ok(())
}

#[tokio::test]
async fn where_there_are_more_hooks_than_a_pass_may_look_at_all_are_looked_at_in_turn() -> Result<()>
{
    let caring = Caring::start().await?;
    caring.make_hooks("Quay Works").await?;
    // Half of the calls are for looking: six of the ten hooks.
    let modest = caring
        .another(|settings| (settings.most_calls, settings.mends) = (12, false))
        .await?;
    for hook in caring.azure_devops.subscriptions() {
        becomes(&caring, &hook.id.to_string(), "disabledBySystem").await?;
    }
    for (pass, seen, looked_at) in [(1, 6, 6), (2, 10, 4), (3, 10, 6)] {
        let at = now();
        let did = pass_of(&modest, &caring.linked, SCHEDULED, at).await?;
        assert_eq!(did["did"]["failing"], seen, "pass {pass}: {did}");
        assert_eq!(did["did"]["unfinished"], looked_at == 6, "{did}");
        let calls = did["did"]["calls"].as_u64().context("no calls")?;
        assert!(calls <= 12, "{did}");
        let hooks = caring.store.hooks_of(&caring.linked.name).await?;
        let looked = hooks.iter().filter(|hook| hook.health.checked_at == at);
        assert_eq!(looked.count(), looked_at, "pass {pass}");
        assert_eq!(failings(&caring).len(), seen, "pass {pass}");
    }
    Ok(())
}

/// A pass that ends in the middle keeps what it has found out: the hook is well by then, and does not tell any more.
#[tokio::test]
async fn a_gap_is_known_to_the_next_pass_even_if_this_one_dies_right_after_looking() -> Result<()> {
    let caring = Caring::start().await?;
    let stack = caring.stack(json!({ "projectRoot": "prod" })).await?;
    caring.pass().await?;
    let hook = caring.hook(PUSH).await?;
    becomes(&caring, &hook, "disabledBySystem").await?;
    let watching = caring.another(|settings| settings.mends = false).await?;
    pass_of(&watching, &caring.linked, SCHEDULED, now()).await?;
    caring
        .push("main", json!({ "prod/lost.tf": "x\n" }))
        .await?;
    becomes(&caring, &hook, "enabled").await?;
    let path = "/hooks/notificationsquery";
    fault(&caring, json!({ "kind": "hang", "path": path })).await?;
    let dying = pass_of(&caring.reconcile, &caring.linked, SCHEDULED, now());
    let ended = tokio::time::timeout(Duration::from_secs(2), dying).await;
    assert!(ended.is_err(), "it is still at it");
    assert!(kept(&caring).await?.health.is_well());
    no_faults(&caring).await?;

    let later = now() + MINUTE * 15;
    caring.pass_at(later).await?;
    let tip = caring.tip("main").await?;
    assert_eq!(commits(&caring, &stack).await?, [tip]);
    Ok(())
}
