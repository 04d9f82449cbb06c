//! What the stacks have seen of a repository: kept by the store, noted by `dispatch` for each delivery, and begun when the first
//! stack is saved. And what else the care for an integration keeps.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use domain::{
    EventType, Guid, IntegrationName, Outcome, Progress, ServiceHook, StackName,
    outcome::OutcomeWord, service_hook::Health, stack::Reference,
};
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use simulator::Running;
use store::{
    DeliveryId, DeliveryKind, NewDelivery, OutcomeRecord, SeenPullRequest, SeenPush, Store,
    keys::{EventIdentity, seven_digits},
};

use crate::{
    stacks::{create, linked, patch, shown, unlink, wanted},
    support::{
        Bed, Fate, Linked, Tap, answer::INTERNAL_ERROR, azure_devops, dispatching::Dispatching,
        get, json as body_of, new_event, new_name, now, portal, problem, send,
    },
};

const MAIN: &str = "refs/heads/main";
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// An integration's name and a repository that no other test has.
fn place() -> Result<(IntegrationName, Guid)> {
    Ok((new_name("seen").parse()?, guid()?))
}

fn guid() -> Result<Guid> {
    Ok(uuid::Uuid::new_v4().to_string().parse()?)
}

fn refs(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A pull request as it was read at a moment.
fn pull_request(number: i64, status: &str, read_at: Timestamp) -> SeenPullRequest {
    SeenPullRequest {
        number,
        commits: vec!["1".repeat(40)],
        status: status.to_owned(),
        is_draft: false,
        target_ref: MAIN.to_owned(),
        read_at,
    }
}

// What the store keeps.

#[tokio::test]
async fn pushes_that_were_seen_are_listed_in_their_order_above_a_number() -> Result<()> {
    let store = Bed::new()?.store().await;
    let (name, repository) = place()?;
    let (other, elsewhere) = place()?;
    let saw = async |name, repository, push, refs: &[String]| {
        store.saw_push(name, repository, push, refs, now()).await
    };
    for push in [10, 9, 1_000, 100] {
        saw(&name, &repository, push, &refs(&[MAIN])).await?;
    }
    // Azure DevOps may tell of the refs of one push one by one; the same ones again, in whatever order, are the same.
    saw(
        &name,
        &repository,
        10,
        &refs(&["refs/tags/b", "refs/tags/a"]),
    )
    .await?;
    saw(
        &name,
        &repository,
        10,
        &refs(&["refs/tags/a", "refs/tags/b"]),
    )
    .await?;
    saw(&other, &repository, 11, &refs(&[MAIN])).await?;
    saw(&name, &elsewhere, 12, &refs(&[MAIN])).await?;

    let seen = store.pushes_seen(&name, &repository, 9).await?;
    let numbers: Vec<i64> = seen.iter().map(|push| push.push_id).collect();
    assert_eq!(numbers, [10, 10, 100, 1_000]);
    let of_ten: BTreeSet<&str> = seen[..2]
        .iter()
        .flat_map(|push| push.refs.iter().flatten())
        .map(String::as_str)
        .collect();
    assert_eq!(
        of_ten.into_iter().collect::<Vec<_>>(),
        [MAIN, "refs/tags/a", "refs/tags/b"]
    );
    let above = async |number| store.pushes_seen(&name, &repository, number).await;
    assert_eq!(above(-1).await?.len(), 5);
    assert_eq!(above(999).await?.len(), 1);
    assert_eq!(above(1_000).await?, []);
    assert_eq!(above(i64::MAX).await?, []);
    Ok(())
}

#[tokio::test]
async fn a_push_whose_refs_are_too_many_or_too_long_counts_as_seen_in_all_of_them() -> Result<()> {
    let store = Bed::new()?.store().await;
    let (name, repository) = place()?;
    let many =
        |count: usize| -> Vec<String> { (0..count).map(|n| format!("refs/heads/{n}")).collect() };
    let long = vec![format!("refs/heads/{}", "x".repeat(2_000)); 300];
    for (push, refs) in [(1, many(1_000)), (2, many(1_001)), (3, long), (4, many(0))] {
        store
            .saw_push(&name, &repository, push, &refs, now())
            .await?;
    }
    let seen = store.pushes_seen(&name, &repository, 0).await?;
    let push = |push_id, refs| SeenPush { push_id, refs };
    let expected = [
        push(1, Some(many(1_000))),
        push(2, None),
        push(3, None),
        push(4, Some(Vec::new())),
    ];
    assert_eq!(seen, expected);
    Ok(())
}

#[tokio::test]
async fn of_two_readings_of_a_pull_request_the_later_one_stays_whichever_is_written_first()
-> Result<()> {
    let store = Bed::new()?.store().await;
    let (name, repository) = place()?;
    let begun = now();
    let saw = async |number, status, read_at| {
        let seen = pull_request(number, status, read_at);
        store.saw_pull_request(&name, &repository, &seen).await
    };
    let status = async || -> Result<Vec<(i64, String)>> {
        let seen = store.pull_requests_seen(&name, &repository).await?;
        Ok(seen.into_iter().map(|it| (it.number, it.status)).collect())
    };
    let is = |number, status: &str| (number, status.to_owned());
    saw(10, "active", begun).await?;
    saw(9, "abandoned", begun + SECOND).await?;
    saw(9, "active", begun).await?;
    assert_eq!(status().await?, [is(9, "abandoned"), is(10, "active")]);
    saw(9, "completed", begun + SECOND * 2).await?;
    saw(10, "completed", begun).await?;
    assert_eq!(status().await?, [is(9, "completed"), is(10, "completed")]);
    // However little it is later.
    saw(10, "active", begun + SignedDuration::from_micros(1)).await?;
    saw(10, "abandoned", begun).await?;
    assert_eq!(status().await?[1], is(10, "active"));
    // Whole, as it was read.
    let whole = SeenPullRequest {
        commits: vec!["a".repeat(40), "b".repeat(40)],
        is_draft: true,
        target_ref: "refs/heads/release/1".to_owned(),
        ..pull_request(9, "active", begun + SECOND * 3)
    };
    store.saw_pull_request(&name, &repository, &whole).await?;
    let seen = store.pull_requests_seen(&name, &repository).await?;
    assert_eq!(seen[0].commits, whole.commits);
    assert!(seen[0].is_draft && seen[0].target_ref == whole.target_ref);
    assert_eq!(
        seen[0].read_at.as_microsecond(),
        whole.read_at.as_microsecond()
    );
    Ok(())
}

#[tokio::test]
async fn comparing_begins_once_with_more_pull_requests_than_a_batch_takes_and_moves_on()
-> Result<()> {
    let store = Bed::new()?.store().await;
    let (name, repository) = place()?;
    assert_eq!(store.compared(&name, &repository).await?, None);
    let all: Vec<SeenPullRequest> = (1..=60)
        .map(|it| pull_request(it, "active", now()))
        .collect();
    store
        .begin_with_pull_requests(&name, &repository, &all)
        .await?;
    store
        .begin_with_pull_requests(&name, &repository, &[])
        .await?;
    let numbers = async || -> Result<Vec<i64>> {
        let seen = store.pull_requests_seen(&name, &repository).await?;
        Ok(seen.into_iter().map(|it| it.number).collect())
    };
    assert_eq!(numbers().await?, (1..=60).collect::<Vec<i64>>());
    let gone: Vec<i64> = (3..=60).chain([100]).collect();
    store
        .forget_pull_requests(&name, &repository, &gone)
        .await?;
    assert_eq!(numbers().await?, [1, 2]);

    let set = async |push, only_first| {
        store
            .set_compared(&name, &repository, push, only_first, now())
            .await
    };
    assert!(set(7, true).await?);
    assert!(!set(8, true).await?, "it has begun");
    assert_eq!(store.compared(&name, &repository).await?, Some(7));
    assert!(set(9, false).await?);
    assert_eq!(store.compared(&name, &repository).await?, Some(9));
    let elsewhere = guid()?;
    assert_eq!(store.compared(&name, &elsewhere).await?, None);
    // Neither a push nor a pull request.
    assert_eq!(store.pushes_seen(&name, &repository, -1).await?, []);
    Ok(())
}

/// A delivery that says it was created at a moment, or does not say when, stored as received at another.
async fn stored(
    store: &Store,
    name: &IntegrationName,
    kind: DeliveryKind,
    (created, received): (Option<Timestamp>, Timestamp),
    recovered: bool,
) -> Result<DeliveryId> {
    let mut event = new_event("ado/git.push.json");
    event["createdDate"] = created.map_or(Value::Null, |at| seven_digits(at).into());
    let body = event.to_string();
    let identity = EventIdentity {
        created_date: created,
        event_type: "git.push",
        event_id: event["id"].as_str(),
    };
    let new = NewDelivery {
        id: DeliveryId::of_event(name, identity, body.as_bytes(), received),
        kind,
        received,
        retention: SignedDuration::from_hours(24),
        body: body.as_bytes(),
        reason: None,
        recovered,
    };
    store.record_delivery(&new).await?;
    Ok(new.id)
}

async fn decided(store: &Store, id: &DeliveryId, outcome: Outcome) -> Result<()> {
    let record = OutcomeRecord::new(outcome, None);
    let day = SignedDuration::from_hours(24);
    store.record_outcome(id, now(), &record, day, false).await?;
    Ok(())
}

#[tokio::test]
async fn what_has_no_outcome_is_found_whether_or_not_it_says_when_it_was_created() -> Result<()> {
    let store = Bed::new()?.store().await;
    let (name, _) = place()?;
    let (other, _) = place()?;
    // Across midnight, in the middle of a time that is looked at.
    let midnight: Timestamp = "2026-11-20T00:00:00Z".parse()?;
    let at = |minutes: i64| midnight + SignedDuration::from_mins(minutes);
    let event = DeliveryKind::Event;
    let dated = |minutes: i64| (Some(at(minutes)), at(minutes) + SECOND);
    let undated = |minutes: i64| (None, at(minutes));
    let mut expected = BTreeSet::new();
    // Enough of each that every shard of a day has some.
    for minutes in -30..30 {
        expected.insert(stored(&store, &name, event, dated(minutes), false).await?);
    }
    for minutes in [-20, 20] {
        expected.insert(stored(&store, &name, event, undated(minutes), false).await?);
        for word in [OutcomeWord::Parked, OutcomeWord::Ignored] {
            let done = stored(&store, &name, event, dated(minutes), false).await?;
            let undated = stored(&store, &name, event, undated(minutes), false).await?;
            for id in [done, undated] {
                let outcome = match word {
                    OutcomeWord::Parked => Outcome::parked("it", now()),
                    _ => Outcome::ignored("it", now()),
                };
                decided(&store, &id, outcome).await?;
            }
        }
        for kind in [DeliveryKind::Quarantined, DeliveryKind::Test] {
            stored(&store, &name, kind, dated(minutes), false).await?;
        }
    }
    // Outside of it, later than it, somebody else's.
    stored(&store, &name, event, dated(-61), false).await?;
    stored(&store, &name, event, dated(61), false).await?;
    stored(&store, &name, event, (None, at(61)), false).await?;
    stored(&store, &name, event, (Some(at(0)), at(61)), false).await?;
    stored(&store, &other, event, dated(0), false).await?;

    let found = store.undecided(&name, (at(-60), at(60))).await?;
    assert_eq!(found.len(), expected.len(), "each once");
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);

    let some = expected.first().context("none")?.clone();
    decided(&store, &some, Outcome::decided(Vec::new(), now())).await?;
    let left = store.undecided(&name, (at(-60), at(60))).await?;
    assert!(left.len() == expected.len() - 1 && !left.contains(&some));
    Ok(())
}

#[tokio::test]
async fn a_pass_is_one_callers_alone_until_it_ends_by_itself_or_is_given_up() -> Result<()> {
    let store = Bed::new()?.store().await;
    let (name, _) = place()?;
    let begun = now();
    let until = begun + SECOND * 60;
    let begin = async |nonce, at| {
        let begun = store.begin_pass(&name, nonce, at + SECOND * 60, at).await;
        begun.map(|begun| begun.map(|begun| begun.progress))
    };
    assert_eq!(begin("one", begun).await?, Some(Progress::default()));
    assert_eq!(begin("two", begun + SECOND).await?, None);
    assert_eq!(begin("two", until).await?, None, "until then, and then too");
    let progress = |at| Progress {
        passed_at: Some(at),
        ..Progress::default()
    };
    let keep = async |nonce, at, ends| store.keep_progress(&name, nonce, &progress(at), ends).await;
    assert!(!keep("two", begun, false).await?, "it is not theirs");
    assert!(keep("one", begun, false).await?);
    // Its process died: it ends by itself, and what was kept of it goes on.
    let later = until + SECOND;
    assert_eq!(begin("two", later).await?, Some(progress(begun)));
    assert!(!keep("one", later, true).await?, "it is somebody else's");
    assert_eq!(store.progress(&name).await?, progress(begun));
    assert!(keep("two", later, true).await?);
    assert_eq!(begin("three", later).await?, Some(progress(later)));
    // Of many at once one.
    let all = (0..20).map(|it| {
        let (store, name, at) = (store.clone(), name.clone(), later + SECOND * 120);
        async move {
            let nonce = format!("of-many-{it}");
            store.begin_pass(&name, &nonce, at + SECOND, at).await
        }
    });
    let all = futures::future::try_join_all(all).await?;
    assert_eq!(all.into_iter().flatten().count(), 1);
    store.forget_progress(&name).await?;
    assert_eq!(store.progress(&name).await?, Progress::default());
    Ok(())
}

#[tokio::test]
async fn a_hook_that_was_forgotten_meanwhile_is_not_brought_back_by_what_is_known_of_it()
-> Result<()> {
    let store = Bed::new()?.store().await;
    let (name, _) = place()?;
    let hook = |taken_over| -> Result<ServiceHook> {
        Ok(ServiceHook {
            id: "6f1d7d5c-0d0e-4b66-a6a4-2f2b8f1c0a11".parse()?,
            project: Reference {
                id: guid()?,
                name: "Harbor".to_owned(),
            },
            event_type: EventType::GitPush,
            since: "2026-11-25T08:00:00Z".parse()?,
            taken_over,
            unwanted: false,
            password: None,
            health: Health::enabled("2026-11-25T08:00:00Z".parse()?, None),
        })
    };
    let (one, other) = (hook(false)?, hook(true)?);
    assert!(!store.keep_hook_if_there(&name, &one).await?);
    assert_eq!(store.hooks_of(&name).await?, []);
    store.keep_hook(&name, &one).await?;
    assert!(store.keep_hook_if_there(&name, &other).await?);
    assert_eq!(store.hooks_of(&name).await?, std::slice::from_ref(&other));
    store.forget_hook(&name, &one.id).await?;
    store.forget_hook(&name, &one.id).await?;
    assert!(!store.keep_hook_if_there(&name, &other).await?);
    assert_eq!(store.hooks_of(&name).await?, []);
    Ok(())
}

#[tokio::test]
async fn a_delivery_that_was_found_again_is_shown_so_and_no_other_is() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let store = bed.store().await;
    let mut ids = Vec::new();
    for recovered in [false, true] {
        let at = now();
        let kind = DeliveryKind::Event;
        let times = (Some(at), at);
        ids.push(stored(&store, &linked.name, kind, times, recovered).await?);
    }
    let log = bed.log_of(linked.name.as_str()).await?;
    let of = |id: &DeliveryId| {
        let row = log.iter().find(|row| row["id"] == id.to_string());
        row.context("it is not listed")
    };
    assert_eq!(of(&ids[0])?.get("recovered"), None);
    assert_eq!(of(&ids[1])?["recovered"], true);
    for (id, shown) in [(&ids[0], None), (&ids[1], Some(&json!(true)))] {
        let one = body_of(
            bed.deliveries()
                .await
                .handle(get(&format!("/deliveries/{id}")))
                .await,
        )?;
        assert_eq!(one.get("recovered"), shown, "{one}");
    }
    Ok(())
}

// What `dispatch` notes.

/// The repository that a stack follows.
async fn repository_of(store: &Store, stack: &StackName) -> Result<Guid> {
    let stack = store.stack(stack).await?.context("no stack")?;
    Ok(stack.repository.id)
}

impl Dispatching {
    async fn pushes_seen(&self, stack: &StackName) -> Result<Vec<SeenPush>> {
        let repository = repository_of(&self.store, stack).await?;
        let (name, all) = (&self.linked.name, -1);
        Ok(self.store.pushes_seen(name, &repository, all).await?)
    }

    /// A pull request as it was last seen; `None` where it never was.
    async fn saw(&self, stack: &StackName, number: i64) -> Result<Option<SeenPullRequest>> {
        let repository = repository_of(&self.store, stack).await?;
        let (store, name) = (&self.store, &self.linked.name);
        let all = store.pull_requests_seen(name, &repository).await?;
        Ok(all.into_iter().find(|seen| seen.number == number))
    }

    /// A pull request of a new branch that touches `prod/`; its number, and the commit it is at.
    async fn propose(&self, branch: &str, more: Value) -> Result<(i64, String)> {
        let files = json!({ "prod/p.tf": branch });
        self.push(json!({ "branch": branch, "from": "main", "files": files }))
            .await?;
        let mut new = json!({ "source": branch, "target": "main", "title": "t" });
        for (field, value) in more.as_object().context("no fields")? {
            new[field] = value.clone();
        }
        let opened = self.act(Method::POST, "pullRequests", new).await?;
        let opened = &opened["pullRequest"];
        let commit = opened["lastMergeSourceCommit"]["commitId"].as_str();
        Ok((
            opened["pullRequestId"].as_i64().context("no number")?,
            commit.context("no commit")?.to_owned(),
        ))
    }

    /// From now on Azure DevOps does not answer what has this in its path, or does again.
    async fn fails(&self, path: Option<&str>) -> Result<()> {
        match path {
            Some(path) => {
                let fault = json!({ "kind": "status", "path": path });
                self.control(Method::POST, "faults", fault).await?;
            }
            None => {
                self.control(Method::DELETE, "faults", Value::Null).await?;
            }
        }
        Ok(())
    }
}

fn push_id(body: &Value) -> Result<i64> {
    body["resource"]["pushId"].as_i64().context("no number")
}

#[tokio::test]
async fn a_push_is_seen_with_all_its_refs_whatever_it_means_for_the_stacks() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    let commits = json!([{ "files": { "docs/x.md": "1" } }]);
    let updates = json!([{ "ref": "main", "commits": commits }, { "ref": "topic", "kind": "create" }, { "ref": "v9", "kind": "tag" }]);
    harbor.push(json!({ "refUpdates": updates })).await?;
    harbor.push(json!({ "delete": ["topic"] })).await?;
    let bodies = harbor.sent().await?;
    let ids = harbor.dispatched(&bodies).await?;
    assert!(harbor.runs(&stack).await?.is_empty(), "nothing touches it");
    let seen = harbor.pushes_seen(&stack).await?;
    let (mut told, mut kept) = (Vec::new(), Vec::new());
    for body in &bodies {
        let updates = body["resource"]["refUpdates"].as_array();
        for update in updates.context("no refs")? {
            let name = update["name"].as_str().context("no name")?;
            told.push((push_id(body)?, name.to_owned()));
        }
    }
    for push in seen {
        let refs = push.refs.context("they are few")?;
        kept.extend(refs.into_iter().map(|name| (push.push_id, name)));
    }
    told.sort();
    kept.sort();
    assert_eq!(told.len(), 4);
    assert_eq!(kept, told);
    // Once more it is the same.
    let again = harbor.records(&ids).await?;
    assert!(Dispatching::hand(&harbor.app, again).await?.is_empty());
    assert_eq!(
        harbor.pushes_seen(&stack).await?.len(),
        bodies.len(),
        "one of each event"
    );
    Ok(())
}

#[tokio::test]
async fn what_nobody_follows_is_not_noted() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({})).await?;
    harbor
        .control(
            Method::POST,
            "organizations/tidewater/projects/Harbor/repositories/website/pushes",
            json!({ "branch": "main", "files": { "a": "1" } }),
        )
        .await?;
    let bodies = harbor.sent().await?;
    let website: Guid = bodies[0]["resource"]["repository"]["id"]
        .as_str()
        .context("no repository")?
        .parse()?;
    let ids = harbor.dispatched(&bodies).await?;
    assert_eq!(
        harbor.outcome(&ids[0]).await?.outcome.word,
        OutcomeWord::Ignored
    );
    let name = &harbor.linked.name;
    assert_eq!(harbor.store.pushes_seen(name, &website, -1).await?, []);
    assert_eq!(harbor.pushes_seen(&stack).await?, []);
    Ok(())
}

#[tokio::test]
async fn a_push_is_seen_though_its_delivery_is_put_off_or_parked_and_a_pull_request_once_it_was_read()
-> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;

    // What changed cannot be asked: both were read, and are there to go on.
    harbor.fails(Some("/diffs")).await?;
    let (first, commit) = harbor.propose("fix/a", json!({})).await?;
    harbor
        .push(json!({ "branch": "main", "files": { "prod/n.tf": "1" } }))
        .await?;
    let bodies = harbor.sent().await?;
    let ids = harbor.dispatched(&bodies).await?;
    let mut put_off = 0;
    for id in &ids {
        put_off += usize::from(harbor.store.outcome(id).await?.is_none());
    }
    // Not the push of the source, which no stack tracks.
    assert!(put_off >= 3, "{put_off} of {}", ids.len());
    assert_eq!(harbor.pushes_seen(&stack).await?.len(), 2);
    let seen = harbor.saw(&stack, first).await?.context("not seen")?;
    assert_eq!(
        (seen.status.as_str(), seen.commits),
        ("active", vec![commit])
    );

    // Not even the pull request can be asked.
    harbor.fails(None).await?;
    harbor.fails(Some("/pullrequests")).await?;
    let (second, _) = harbor.propose("fix/b", json!({})).await?;
    let ids = harbor.dispatch().await?;
    assert!(ids.len() >= 2, "{ids:?}");
    assert_eq!(harbor.saw(&stack, second).await?, None);
    assert_eq!(harbor.pushes_seen(&stack).await?.len(), 3);
    harbor.fails(None).await?;
    for id in &ids {
        assert!(harbor.later(id, 1).await?.is_empty());
    }
    assert!(harbor.saw(&stack, second).await?.is_some());

    // The token is refused: parked.
    harbor
        .control(Method::POST, "tokens/good/expire", Value::Null)
        .await?;
    let (third, _) = harbor.propose("fix/c", json!({})).await?;
    harbor
        .push(json!({ "branch": "main", "files": { "prod/n.tf": "2" } }))
        .await?;
    let bodies = harbor.sent().await?;
    let ids = harbor.dispatched(&bodies).await?;
    let mut parked = 0;
    for id in &ids {
        let word = harbor.outcome(id).await?.outcome.word;
        parked += usize::from(word == OutcomeWord::Parked);
    }
    assert!(parked >= 3, "{parked} of {}", ids.len());
    assert_eq!(harbor.pushes_seen(&stack).await?.len(), 5);
    assert_eq!(harbor.saw(&stack, third).await?, None);
    harbor
        .control(Method::POST, "tokens/good/restore", Value::Null)
        .await?;
    for id in &ids {
        assert!(harbor.later(id, 0).await?.is_empty());
    }
    assert!(harbor.saw(&stack, third).await?.is_some());
    Ok(())
}

#[tokio::test]
async fn a_pull_request_is_seen_as_it_was_read_for_each_of_its_events_and_comments() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    let begun = now();
    let (number, first) = harbor.propose("fix/p", json!({ "draft": true })).await?;
    let path = format!("pullRequests/{number}");
    harbor.dispatch().await?;
    let seen = async |harbor: &Dispatching| -> Result<SeenPullRequest> {
        harbor.saw(&stack, number).await?.context("not seen")
    };
    let draft = seen(&harbor).await?;
    assert!(draft.is_draft && draft.status == "active", "{draft:?}");
    assert_eq!(draft.commits, std::slice::from_ref(&first));
    assert_eq!(draft.target_ref, MAIN);
    assert!(draft.read_at >= begun - SECOND && draft.read_at <= now());

    let change = async |harbor: &Dispatching, change: Value| -> Result<()> {
        harbor.act(Method::PATCH, &path, change).await.map(drop)
    };
    change(&harbor, json!({ "draft": false })).await?;
    harbor.dispatch().await?;
    assert!(!seen(&harbor).await?.is_draft);
    let pushed = harbor
        .push(json!({ "branch": "fix/p", "files": { "prod/p.tf": "again" } }))
        .await?;
    harbor.dispatch().await?;
    let head = pushed["push"]["refUpdates"][0]["newObjectId"].clone();
    let commits = seen(&harbor).await?.commits;
    assert_eq!(json!(commits.first()), head, "what it is at");
    assert!(!commits.contains(&first), "and not where it was");

    change(&harbor, json!({ "target": "develop" })).await?;
    harbor.dispatch().await?;
    assert_eq!(seen(&harbor).await?.target_ref, "refs/heads/develop");

    // Its only delivery is a comment; the others of it were lost.
    change(&harbor, json!({ "target": "main" })).await?;
    harbor.sent().await?;
    let before = seen(&harbor).await?;
    assert_eq!(before.target_ref, "refs/heads/develop");
    let comment = async |harbor: &Dispatching, content: &str| -> Result<()> {
        let comment = json!({ "content": content });
        let path = format!("{path}/comments");
        harbor.act(Method::POST, &path, comment).await.map(drop)
    };
    comment(&harbor, "Looks good").await?;
    harbor.dispatch().await?;
    assert_eq!(seen(&harbor).await?, before, "it asks for nothing");
    comment(&harbor, "/stackhook run").await?;
    harbor.dispatch().await?;
    let now_seen = seen(&harbor).await?;
    assert_eq!(now_seen.target_ref, MAIN);
    assert!(now_seen.read_at > before.read_at);

    change(&harbor, json!({ "status": "abandoned" })).await?;
    harbor.dispatch().await?;
    assert_eq!(seen(&harbor).await?.status, "abandoned");
    Ok(())
}

#[tokio::test]
async fn a_push_that_cannot_be_noted_has_no_outcome_and_comes_again() -> Result<()> {
    let mut harbor = Dispatching::start().await?;
    let stack = harbor.stack(json!({ "projectRoot": "prod" })).await?;
    harbor
        .push(json!({ "branch": "main", "files": { "docs/x.md": "1" } }))
        .await?;
    let bodies = harbor.sent().await?;
    let ids = harbor.stored(&bodies).await?;
    let records = harbor.records(&ids).await?;
    // The note is the first item that is put, and is tried three times.
    let endpoint = &harbor.bed.stack.description.endpoint_url;
    let tap = Tap::on(endpoint, |call, number| {
        if call.ends_with(".PutItem") && number <= 3 {
            Fate::Answer(INTERNAL_ERROR)
        } else {
            Fate::Pass
        }
    })
    .await?;
    let app = harbor.app_at(&tap.url()).await?;
    let failed = Dispatching::hand(&app, records.clone()).await?;
    assert_eq!(failed.len(), 1);
    assert_eq!(tap.count("PutItem"), 3);
    assert!(harbor.store.outcome(&ids[0]).await?.is_none());
    assert!(Dispatching::hand(&app, records).await?.is_empty());
    assert_eq!(tap.count("PutItem"), 5, "the note, and the outcome");
    assert_eq!(harbor.pushes_seen(&stack).await?.len(), 1);
    Ok(())
}

// Where comparing begins.

struct Quay {
    bed: Bed,
    azure_devops: Running,
    app: stacks::App,
    linked: Linked,
    store: Store,
}

impl Quay {
    async fn new() -> Result<Self> {
        let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
        let (app, linked) = linked(&bed, &azure_devops).await?;
        let store = bed.store().await;
        Ok(Self {
            bed,
            azure_devops,
            app,
            linked,
            store,
        })
    }

    /// Something happens in a repository of `Harbor`.
    async fn act(&self, repository: &str, path: &str, body: Value) -> Result<Value> {
        let at = format!("organizations/tidewater/projects/Harbor/repositories/{repository}");
        portal(&self.azure_devops)?
            .control(Method::POST, &format!("{at}{path}"), body)
            .await
    }

    /// A push to a branch; its number.
    async fn push(&self, repository: &str) -> Result<i64> {
        let file = json!({ "prod/n.tf": uuid::Uuid::new_v4() });
        let push = json!({ "branch": "main", "files": file });
        let pushed = self.act(repository, "/pushes", push).await?;
        pushed["push"]["pushId"].as_i64().context("no number")
    }

    /// A pull request; its number.
    async fn open(&self, source: &str) -> Result<i64> {
        let new = json!({ "source": source, "target": "main", "title": "t" });
        let opened = self.act("platform", "/pullRequests", new).await?;
        let number = opened["pullRequest"]["pullRequestId"].as_i64();
        number.context("no number")
    }

    /// Saves a stack; the repository that it follows.
    async fn stack(&self, name: &str, repository: &str) -> Result<Guid> {
        let mut wanted = wanted(name, &self.linked);
        wanted["repository"] = json!(repository);
        let (status, body) = create(&self.app, &wanted).await?;
        ensure!(status == 201, "{status}: {body}");
        repository_of(&self.store, &name.parse()?).await
    }

    async fn compared(&self, repository: &Guid) -> Result<Option<i64>> {
        let (store, name) = (&self.store, &self.linked.name);
        Ok(store.compared(name, repository).await?)
    }

    /// The numbers of the pull requests that were seen, with their status.
    async fn open_seen(&self, repository: &Guid) -> Result<Vec<(i64, String)>> {
        let (store, name) = (&self.store, &self.linked.name);
        let seen = store.pull_requests_seen(name, repository).await?;
        Ok(seen.into_iter().map(|it| (it.number, it.status)).collect())
    }

    /// How often Azure DevOps was asked for pushes and for pull requests.
    fn asked(&self) -> (usize, usize) {
        let requests = self.azure_devops.requests();
        let of = |what: &str| {
            let is_it = |path: &str| path.to_lowercase().contains(what);
            requests.iter().filter(|it| is_it(&it.path)).count()
        };
        (of("/pushes"), of("/pullrequests"))
    }
}

fn active(number: i64) -> (i64, String) {
    (number, "active".to_owned())
}

#[tokio::test]
async fn the_first_stack_of_a_repository_begins_with_its_newest_push_and_its_open_pull_requests()
-> Result<()> {
    let quay = Quay::new().await?;
    let closed = quay.open("feature/fog-horn").await?;
    let at = format!(
        "organizations/tidewater/projects/Harbor/repositories/platform/pullRequests/{closed}"
    );
    portal(&quay.azure_devops)?
        .control(Method::PATCH, &at, json!({ "status": "abandoned" }))
        .await?;
    let open = quay.open("feature/gangway").await?;
    let newest = quay.push("platform").await?;
    // Of another repository: its numbers are of the same row.
    let of_website = quay.push("website").await?;

    let repository = quay.stack(&new_name("first"), "platform").await?;
    assert_eq!(quay.compared(&repository).await?, Some(newest));
    let (store, name) = (&quay.store, &quay.linked.name);
    let seen = store.pull_requests_seen(name, &repository).await?;
    let [seen] = seen.as_slice() else {
        panic!("{seen:?}")
    };
    assert_eq!((seen.number, seen.status.as_str()), (open, "active"));
    assert!(!seen.is_draft && seen.target_ref == MAIN);
    assert!(seen.commits.len() == 1 && seen.commits[0].len() == 40);
    assert_eq!(quay.asked(), (1, 1));

    // It is begun once: what has come since is what may be missing.
    quay.push("platform").await?;
    quay.open("feature/berth-plan").await?;
    let second = new_name("second");
    quay.stack(&second, "platform").await?;
    patch(&quay.app, &second, &json!({ "branch": "develop" })).await?;
    assert_eq!(
        shown(&quay.app, &second).await?["branch"],
        "refs/heads/develop"
    );
    assert_eq!(quay.asked(), (1, 1));
    assert_eq!(quay.compared(&repository).await?, Some(newest));
    assert_eq!(quay.open_seen(&repository).await?, [active(open)]);

    // A stack that moves to a repository is its first one, too.
    let moved = json!({ "repository": "website", "branch": "main" });
    let (status, body) = patch(&quay.app, &second, &moved).await?;
    assert_eq!(status, 200, "{body}");
    let website = repository_of(&quay.store, &second.parse()?).await?;
    assert_ne!(website, repository);
    assert_eq!(quay.compared(&website).await?, Some(of_website));
    assert_eq!(quay.open_seen(&website).await?, []);
    assert_eq!(quay.asked(), (2, 2));
    Ok(())
}

#[tokio::test]
async fn where_no_stack_is_left_or_linked_comparing_begins_anew_with_the_next() -> Result<()> {
    let quay = Quay::new().await?;
    let (one, other) = (
        quay.open("feature/gangway").await?,
        quay.open("feature/fog-horn").await?,
    );
    let name = new_name("short-lived");
    let repository = quay.stack(&name, "platform").await?;
    assert_eq!(
        quay.open_seen(&repository).await?,
        [active(one), active(other)]
    );
    let deleted = send("DELETE", &format!("/stacks/{name}"), &json!({}));
    assert_eq!(quay.app.handle(deleted).await.status(), 200);
    // Nobody follows it: nothing of this is missing later.
    let at =
        format!("organizations/tidewater/projects/Harbor/repositories/platform/pullRequests/{one}");
    portal(&quay.azure_devops)?
        .control(Method::PATCH, &at, json!({ "status": "abandoned" }))
        .await?;
    let third = quay.open("feature/berth-plan").await?;
    let newest = quay.push("platform").await?;
    let name = new_name("next");
    quay.stack(&name, "platform").await?;
    assert_eq!(quay.compared(&repository).await?, Some(newest));
    assert_eq!(
        quay.open_seen(&repository).await?,
        [active(other), active(third)]
    );

    // The same for one that was detached, and is attached again under the name.
    unlink(&quay.bed, &quay.linked).await?;
    quay.bed.two_minutes_pass(quay.linked.name.as_str()).await?;
    let newest = quay.push("platform").await?;
    let setup = quay.bed.setup(&quay.azure_devops).await?;
    let again = quay.linked.name.as_str();
    quay.bed
        .set_up_as(&setup, &quay.azure_devops, again)
        .await?;
    assert_ne!(quay.compared(&repository).await?, Some(newest));
    let (status, body) = patch(&quay.app, &name, &json!({ "integration": again })).await?;
    assert_eq!(status, 200, "{body}");
    assert_eq!(quay.compared(&repository).await?, Some(newest));
    Ok(())
}

#[tokio::test]
async fn a_repository_that_nobody_ever_pushed_to_begins_with_its_first_push() -> Result<()> {
    let quay = Quay::new().await?;
    let fork = json!({ "name": "platform.asha", "forkOf": "platform" });
    quay.act("", "", fork).await?;
    let repository = quay.stack(&new_name("fork"), "platform.asha").await?;
    assert_eq!(quay.compared(&repository).await?, Some(0));
    assert!(quay.push("platform.asha").await? > 0);
    Ok(())
}

#[tokio::test]
async fn of_more_open_pull_requests_than_a_page_has_all_are_seen() -> Result<()> {
    let quay = Quay::new().await?;
    let branch = |number| format!("many/{number}");
    let updates: Vec<Value> = (0..130)
        .map(|number| {
            let files = json!({ (format!("prod/{number}.tf")): "1" });
            json!({ "ref": branch(number), "kind": "create", "from": "main", "commits": [{ "files": files }] })
        })
        .collect();
    quay.act("platform", "/pushes", json!({ "refUpdates": updates }))
        .await?;
    let mut numbers = Vec::new();
    for number in 0..130 {
        numbers.push(active(quay.open(&branch(number)).await?));
    }
    let repository = quay.stack(&new_name("many"), "platform").await?;
    assert_eq!(quay.open_seen(&repository).await?, numbers);
    assert_eq!(quay.asked(), (1, 2));
    Ok(())
}

#[tokio::test]
async fn where_azure_devops_fails_while_comparing_begins_nothing_is_stored_and_it_is_said()
-> Result<()> {
    let quay = Quay::new().await?;
    let name = new_name("unlucky");
    for path in ["/pushes", "/pullrequests"] {
        for (fault, kind) in [
            (json!({ "kind": "status" }), "azure-devops-unreachable"),
            (
                json!({ "kind": "tooManyRequests", "retryAfterSeconds": 7 }),
                "azure-devops-slow-down",
            ),
        ] {
            let mut fault = fault;
            fault["path"] = json!(path);
            let control = portal(&quay.azure_devops)?;
            control
                .control(Method::POST, "faults", fault.clone())
                .await?;
            let (got, body) = create(&quay.app, &wanted(&name, &quay.linked)).await?;
            assert_eq!((got, problem(&body)), (422, kind), "{fault}: {body}");
            control
                .control(Method::DELETE, "faults", Value::Null)
                .await?;
            assert!(quay.store.stack(&name.parse()?).await?.is_none());
        }
    }
    // Neither has comparing begun: the next one, which is saved, begins with what is there then.
    let newest = quay.push("platform").await?;
    let repository = quay.stack(&name, "platform").await?;
    assert_eq!(quay.compared(&repository).await?, Some(newest));
    Ok(())
}
