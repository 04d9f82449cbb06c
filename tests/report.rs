//! What Azure DevOps shows of a run, and what becomes of it where Azure DevOps does not take that.

use std::time::Duration;

use ado::{Ado, AdoClient, NewStatus, StatusState};
use anyhow::{Context, Result, ensure};
use aws_lambda_events::sqs::SqsEvent;
use domain::{
    Credential, Organization, PersonalAccessToken, Run, RunId, RunState, run::RunPullRequest,
};
use integration_tests::portal::Repository;
use jiff::SignedDuration;
use queues::Queue;
use report::{App, Queues};
use reqwest::Method;
use serde_json::{Value, json};
use simulator::Running;
use store::{NewRun, Report, Store};

use crate::{
    stacks::{control, unlink},
    support::{AwsStub, Bed, Linked, aws, azure_devops, http_client, new_name, now, portal},
};

const COME_AGAIN: &str = "AmazonSQS.ChangeMessageVisibility";
const SEND: &str = "AmazonSQS.SendMessage";
const OWN: &str = "http://queue.example/report";
const DEAD_LETTERS: &str = "http://queue.example/report-dead-letter";
const RETENTION: SignedDuration = SignedDuration::from_hours(24);
const ENOUGH: Duration = Duration::from_secs(60);

/// `report` between a simulator and the stack's tables, with queues that only keep what is asked of them.
struct Bench {
    bed: Bed,
    azure_devops: Running,
    store: Store,
    queues: AwsStub,
    linked: Linked,
    keyboard: Repository,
    app: App,
    /// Where all runs are.
    place: Value,
}

/// What SQS says of a message.
#[derive(Clone, Copy)]
struct Mail {
    receives: u32,
    age: SignedDuration,
}

const NEW: Mail = Mail {
    receives: 1,
    age: SignedDuration::ZERO,
};

impl Bench {
    async fn new() -> Result<Self> {
        let queues = AwsStub::start(|_, _| (200, json!({ "MessageId": "m" }))).await?;
        let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
        let linked = link(&bed, &azure_devops).await?;
        let app = app(&bed, &azure_devops, bed.store().await, &queues).await?;
        let url = format!(
            "{}/tidewater/Harbor/_apis/git/repositories/platform?api-version=7.1",
            azure_devops.url()
        );
        let repository = get(&azure_devops, &url).await?;
        let of = |it: &Value| json!({ "id": it["id"], "name": it["name"] });
        Ok(Self {
            store: bed.store().await,
            keyboard: portal(&azure_devops)?.keyboard("tidewater", "Harbor", "platform"),
            place: json!({ "project": of(&repository["project"]), "repository": of(&repository) }),
            bed,
            azure_devops,
            queues,
            linked,
            app,
        })
    }

    /// A queued run on a commit, of a stack of its own.
    async fn run(&self, commit: &str, pull_request: Option<RunPullRequest>) -> Result<Run> {
        let id = uuid::Uuid::new_v4();
        let mut run = json!({
            "id": id, "kind": "tracked", "state": "queued", "version": 1, "stack": new_name("stack"), "integration": self.linked.name,
            "commit": commit, "projectRoot": "prod", "trigger": "push", "reason": "why",
            "requestedAt": now(), "updatedAt": now(), "pullRequest": pull_request,
        });
        run["project"] = self.place["project"].clone();
        run["repository"] = self.place["repository"].clone();
        let run: Run = serde_json::from_value(run)?;
        self.keep(&run).await?;
        Ok(run)
    }

    async fn keep(&self, run: &Run) -> Result<()> {
        let new = NewRun {
            run: run.clone(),
            in_order_of: None,
        };
        self.store.add_runs(&[new], RETENTION).await?;
        Ok(())
    }

    /// The run goes on to a state.
    async fn goes_on(&self, run: &Run, state: RunState) -> Result<Run> {
        let next = run.stepped(state, now());
        self.store.change_run(&next, run.version, RETENTION).await?;
        Ok(next)
    }

    /// Hands over messages; gives the ids of those that are to come again.
    async fn receive(&self, mail: &[(&Run, Mail)]) -> Result<Vec<String>> {
        receive(&self.app, mail, ENOUGH).await
    }

    /// Hands over a new message about a run, which must be over then.
    async fn told(&self, run: &Run) -> Result<()> {
        let again = self.receive(&[(run, NEW)]).await?;
        ensure!(again.is_empty(), "{again:?}");
        Ok(())
    }

    async fn report_of(&self, run: &Run) -> Result<Option<Report>> {
        Ok(self.store.report_of(&run.id).await?)
    }

    async fn refusal_of(&self, run: &Run) -> Result<String> {
        let report = self.report_of(run).await?.context("no report")?;
        report.refusal.context("no refusal")
    }

    /// The statuses of a run's stack that stand at a place of the repository, the first one first.
    async fn statuses(&self, run: &Run, place: &str) -> Result<Vec<Value>> {
        let url = format!(
            "{}/tidewater/Harbor/_apis/git/repositories/platform/{place}/statuses?api-version=7.1",
            self.azure_devops.url()
        );
        let shown = get(&self.azure_devops, &url).await?;
        let all = shown["value"].as_array().context("no list")?.iter();
        let of_commit = run.pull_request.is_some() && place.starts_with("commits/");
        let name = match of_commit {
            true => format!("{}/proposed", run.stack),
            false => run.stack.to_string(),
        };
        let context = json!({ "genre": "stackhook", "name": name });
        let own = all.filter(|it| it["context"] == context);
        Ok(own.cloned().collect())
    }

    /// The states that stand at the run's commit.
    async fn at_commit(&self, run: &Run) -> Result<Vec<Value>> {
        let all = self
            .statuses(run, &format!("commits/{}", run.commit))
            .await?;
        Ok(all.iter().map(|it| it["state"].clone()).collect())
    }

    /// The states that stand at the run's pull request, with their iterations.
    async fn at_pull_request(&self, run: &Run) -> Result<Vec<(Value, Value)>> {
        let number = run.pull_request.as_ref().context("no pull request")?.number;
        let all = self
            .statuses(run, &format!("pullRequests/{number}"))
            .await?;
        let of = |it: &Value| (it["state"].clone(), it["iterationId"].clone());
        Ok(all.iter().map(of).collect())
    }

    fn client(&self) -> Result<AdoClient> {
        let url = self.azure_devops.url();
        let organization = Organization::from_pasted_url(&format!("{url}/tidewater"), url)?;
        let token = PersonalAccessToken::from_pasted(&self.azure_devops.token("good").into())?;
        let credential = Credential::PersonalAccessToken(token);
        Ok(Ado::new()?.organization(&organization, &credential)?)
    }

    async fn push(&self, branch: &str) -> Result<String> {
        let file = format!("prod/{}.tf", new_name("file"));
        let push = json!({ "branch": branch, "files": { file: "#" } });
        let made = self.keyboard.push(push).await?;
        let head = made["push"]["refUpdates"][0]["newObjectId"].as_str();
        Ok(head.context("no head")?.to_owned())
    }

    async fn open(&self, wanted: Value) -> Result<RunPullRequest> {
        let made = self
            .keyboard
            .call(Method::POST, "pullRequests", wanted)
            .await?;
        let number = made["pullRequest"]["pullRequestId"].as_i64();
        Ok(RunPullRequest {
            number: number.context("no number")?,
            title: None,
            source_ref: None,
            target_ref: None,
            is_fork: false,
            supports_iterations: Some(true),
        })
    }

    async fn fault(&self, fault: Value) -> Result<()> {
        control(&self.azure_devops, Method::POST, "faults", fault).await?;
        Ok(())
    }

    async fn all_is_well(&self) -> Result<()> {
        control(&self.azure_devops, Method::DELETE, "faults", Value::Null).await?;
        Ok(())
    }
}

/// An integration whose token is kept, without setting it up.
async fn link(bed: &Bed, azure_devops: &Running) -> Result<Linked> {
    let linked = bed.linked().await?;
    let token = PersonalAccessToken::from_pasted(&azure_devops.token("good").into())?;
    let credential = Credential::PersonalAccessToken(token);
    bed.secrets()
        .await
        .keep_credential(&linked.name, &credential)
        .await?;
    Ok(linked)
}

async fn app(bed: &Bed, azure_devops: &Running, store: Store, queues: &AwsStub) -> Result<App> {
    let config = queues.config().await;
    let queues = Queues {
        own: Queue::new(&config, OWN.to_owned()),
        dead_letters: Queue::new(&config, DEAD_LETTERS.to_owned()),
    };
    Ok(App::new(
        store,
        bed.secrets().await,
        Ado::with_patience(Duration::from_secs(2))?,
        azure_devops.url().to_owned(),
        queues,
        1,
    ))
}

async fn get(azure_devops: &Running, url: &str) -> Result<Value> {
    let asked = http_client()
        .get(url)
        .basic_auth("", Some(azure_devops.token("good")));
    Ok(asked.send().await?.json().await?)
}

/// A message as the rule of the bus makes it.
fn body(id: &RunId) -> String {
    json!({ "detail-type": "Run State Changed", "source": "stackhook", "detail": { "run": { "id": id, "state": "queued" } } })
        .to_string()
}

fn message(at: usize, body: &str, mail: Mail) -> Value {
    let sent = (now() - mail.age).as_millisecond();
    json!({
        "messageId": format!("m{at}"), "receiptHandle": format!("r{at}"), "body": body, "messageAttributes": {},
        "attributes": { "ApproximateReceiveCount": mail.receives.to_string(), "SentTimestamp": sent.to_string() },
    })
}

async fn receive(app: &App, mail: &[(&Run, Mail)], time_left: Duration) -> Result<Vec<String>> {
    let messages = mail.iter().enumerate();
    let messages: Vec<Value> = messages
        .map(|(at, (run, mail))| message(at, &body(&run.id), *mail))
        .collect();
    handle(app, messages, time_left).await
}

async fn handle(app: &App, messages: Vec<Value>, time_left: Duration) -> Result<Vec<String>> {
    let batch: SqsEvent = serde_json::from_value(json!({ "Records": messages }))?;
    let answer = app.handle(batch, time_left).await;
    let again = answer.batch_item_failures.into_iter();
    Ok(again.map(|it| it.item_identifier).collect())
}

#[tokio::test]
async fn a_pushed_runs_commit_shows_pending_and_then_how_it_ended() -> Result<()> {
    let bench = Bench::new().await?;
    let commit = bench.push("main").await?;
    for (end, shown) in [
        (RunState::Finished, "succeeded"),
        (RunState::Failed, "failed"),
        (RunState::Canceled, "error"),
    ] {
        let queued = bench.run(&commit, None).await?;
        bench.told(&queued).await?;
        assert_eq!(bench.at_commit(&queued).await?, ["pending"]);
        let running = bench.goes_on(&queued, RunState::Running).await?;
        bench.told(&running).await?;
        let mut ended = running.stepped(end, now());
        ended.description = Some("3 to add,\n0 to change".to_owned());
        ended.target_url = Some("https://logs.example/7".to_owned());
        bench
            .store
            .change_run(&ended, running.version, RETENTION)
            .await?;
        bench.told(&ended).await?;
        assert_eq!(
            bench.at_commit(&queued).await?,
            ["pending", "pending", shown]
        );
        let place = format!("commits/{commit}");
        let stand = bench.statuses(&queued, &place).await?;
        let said: Vec<&Value> = stand.iter().map(|it| &it["description"]).collect();
        assert_eq!(said, ["Queued", "Running", "3 to add, 0 to change"]);
        assert_eq!(stand[2]["targetUrl"], "https://logs.example/7");
        let report = bench.report_of(&queued).await?.context("no report")?;
        assert_eq!((report.version, report.state), (3, Some(end)));
        assert_eq!(report.refusal, None);
    }
    Ok(())
}

#[tokio::test]
async fn a_pull_requests_status_stands_at_the_iteration_of_the_runs_commit() -> Result<()> {
    let bench = Bench::new().await?;
    // A policy may want the iteration, or not: that is only assumed of Azure DevOps.
    for (needs_iteration, branch) in [(false, "feature/gangway"), (true, "feature/buoys")] {
        bench
            .azure_devops
            .assume("policyNeedsIteration", needs_iteration)?;
        if needs_iteration {
            let branch =
                json!({ "branch": branch, "from": "main", "files": { "prod/new.tf": "#" } });
            bench.keyboard.push(branch).await?;
        }
        let pull_request = bench.open(json!({ "source": branch })).await?;
        let first = bench.push(branch).await?;
        let first = bench.run(&first, Some(pull_request.clone())).await?;
        bench.told(&first).await?;
        assert_eq!(
            bench.at_pull_request(&first).await?,
            [(json!("pending"), json!(2))]
        );
        let second = bench.push(branch).await?;
        let second = bench.run(&second, Some(pull_request)).await?;
        bench.told(&second).await?;
        // The second push does not move what is said of the first.
        let first = bench.goes_on(&first, RunState::Finished).await?;
        bench.told(&first).await?;
        let stand = bench.at_pull_request(&first).await?;
        assert_eq!(stand[1], (json!("succeeded"), json!(2)));
        assert_eq!(
            bench.at_pull_request(&second).await?,
            [(json!("pending"), json!(3))]
        );
        assert_eq!(bench.at_commit(&first).await?, ["pending", "succeeded"]);
        assert_eq!(bench.at_commit(&second).await?, ["pending"]);
        let report = bench.report_of(&second).await?.context("no report")?;
        assert_eq!((report.iteration, report.refusal), (Some(3), None));
    }
    Ok(())
}

#[tokio::test]
async fn an_iteration_that_is_not_there_is_waited_for_and_then_done_without() -> Result<()> {
    let bench = Bench::new().await?;
    let pull_request = bench.open(json!({ "source": "feature/gangway" })).await?;
    // A commit that is in none of its iterations.
    let commit = bench.push("main").await?;
    let run = bench.run(&commit, Some(pull_request.clone())).await?;
    assert_eq!(bench.receive(&[(&run, NEW)]).await?, ["m0"]);
    assert_eq!(bench.at_commit(&run).await?, Vec::<Value>::new());
    let late = Mail {
        receives: 9,
        age: SignedDuration::from_mins(11),
    };
    assert_eq!(bench.receive(&[(&run, late)]).await?, Vec::<String>::new());
    assert_eq!(
        bench.at_pull_request(&run).await?,
        [(json!("pending"), Value::Null)]
    );
    // Where a policy wants it, the run says that, and its commit shows the state all the same.
    bench.azure_devops.assume("policyNeedsIteration", true)?;
    let run = bench.run(&commit, Some(pull_request)).await?;
    assert_eq!(bench.receive(&[(&run, late)]).await?, Vec::<String>::new());
    assert_eq!(bench.at_commit(&run).await?, ["pending"]);
    assert_eq!(bench.at_pull_request(&run).await?, []);
    let refusal = bench.refusal_of(&run).await?;
    assert!(refusal.contains("pull request"), "{refusal}");
    assert!(refusal.contains("posted on iteration"), "{refusal}");
    Ok(())
}

#[tokio::test]
async fn a_pull_request_without_iterations_gets_its_status_without_one() -> Result<()> {
    let bench = Bench::new().await?;
    let mut pull_request = bench.open(json!({ "source": "feature/gangway" })).await?;
    let change = json!({ "supportsIterations": false });
    let path = format!("pullRequests/{}", pull_request.number);
    bench.keyboard.call(Method::PATCH, &path, change).await?;
    pull_request.supports_iterations = Some(false);
    let commit = bench.push("feature/gangway").await?;
    let run = bench.run(&commit, Some(pull_request)).await?;
    bench.told(&run).await?;
    assert_eq!(
        bench.at_pull_request(&run).await?,
        [(json!("pending"), Value::Null)]
    );
    Ok(())
}

#[tokio::test]
async fn a_forks_commit_is_left_alone_and_its_pull_request_is_not() -> Result<()> {
    let bench = Bench::new().await?;
    let fork = json!({ "name": "platform.asha", "forkOf": "platform" });
    let repositories = "organizations/tidewater/projects/Harbor/repositories";
    control(&bench.azure_devops, Method::POST, repositories, fork).await?;
    let theirs = portal(&bench.azure_devops)?.keyboard("tidewater", "Harbor", "platform.asha");
    let push = json!({ "branch": "feature/theirs", "from": "main", "files": { "prod/x.tf": "#" } });
    let made = theirs.push(push).await?;
    let head = made["push"]["refUpdates"][0]["newObjectId"].as_str();
    let head = head.context("no head")?;
    let opened = json!({ "source": "feature/theirs", "fork": "platform.asha" });
    let pull_request = RunPullRequest {
        is_fork: true,
        ..bench.open(opened).await?
    };
    let run = bench.run(head, Some(pull_request)).await?;
    bench.told(&run).await?;
    assert_eq!(
        bench.at_pull_request(&run).await?,
        [(json!("pending"), json!(1))]
    );
    let asked = bench.azure_devops.requests();
    let of_commits = asked
        .iter()
        .filter(|it| it.path.contains("/commits/") && it.method == "POST");
    assert_eq!(of_commits.count(), 0);
    Ok(())
}

#[tokio::test]
async fn what_is_denied_is_shown_on_the_run_and_not_tried_again() -> Result<()> {
    let bench = Bench::new().await?;
    let run = bench.run(&bench.push("main").await?, None).await?;
    let denied = json!({ "kind": "status", "status": 403, "path": "/statuses" });
    bench.fault(denied).await?;
    bench.told(&run).await?;
    let report = bench.report_of(&run).await?.context("no report")?;
    assert_eq!((report.version, report.state), (1, None));
    let refusal = bench.refusal_of(&run).await?;
    assert!(refusal.contains("denies access"), "{refusal}");
    bench.all_is_well().await?;
    // The same message once more.
    bench.told(&run).await?;
    assert_eq!(bench.at_commit(&run).await?, Vec::<Value>::new());
    // What is said of it next is tried anew.
    let run = bench.goes_on(&run, RunState::Running).await?;
    bench.told(&run).await?;
    assert_eq!(bench.at_commit(&run).await?, ["pending"]);
    let report = bench.report_of(&run).await?.context("no report")?;
    assert_eq!((report.version, report.refusal), (2, None));
    Ok(())
}

#[tokio::test]
async fn what_passes_is_waited_out_and_told_when_it_is_over() -> Result<()> {
    let bench = Bench::new().await?;
    let commit = bench.push("main").await?;
    let asked_to_wait = json!({ "kind": "tooManyRequests", "retryAfterSeconds": 100 });
    // The fault, and the waits in seconds that may follow it.
    for (fault, waits) in [
        (asked_to_wait, 100..=125),
        (json!({ "kind": "status" }), 15..=18),
        (json!({ "kind": "signInPage" }), 15..=18),
        (json!({ "kind": "drop" }), 15..=18),
        (json!({ "kind": "hang" }), 15..=18),
    ] {
        let run = bench.run(&commit, None).await?;
        let before = bench.queues.asked(COME_AGAIN).len();
        bench.fault(fault.clone()).await?;
        assert_eq!(bench.receive(&[(&run, NEW)]).await?, ["m0"], "{fault}");
        bench.all_is_well().await?;
        let asked = bench.queues.asked(COME_AGAIN).split_off(before);
        assert_eq!(asked.len(), 1, "{fault}");
        assert_eq!(asked[0]["QueueUrl"], OWN);
        assert_eq!(asked[0]["ReceiptHandle"], "r0");
        let wait = asked[0]["VisibilityTimeout"].as_i64().context("no wait")?;
        assert!(waits.contains(&wait), "{fault}: {wait}");
        assert_eq!(bench.report_of(&run).await?, None, "{fault}");
        let again = Mail { receives: 2, ..NEW };
        let left = bench.receive(&[(&run, again)]).await?;
        assert_eq!(left, Vec::<String>::new(), "{fault}");
        let shown = bench.at_commit(&run).await?;
        assert_eq!(shown.last(), Some(&json!("pending")), "{fault}");
    }
    assert_eq!(bench.queues.asked(SEND), Vec::<Value>::new());
    Ok(())
}

#[tokio::test]
async fn an_expired_token_is_waited_for_and_another_one_taken() -> Result<()> {
    let bench = Bench::new().await?;
    let run = bench.run(&bench.push("main").await?, None).await?;
    for kind in ["expired", "unknown"] {
        let token = PersonalAccessToken::from_pasted(&bench.azure_devops.token(kind).into())?;
        let credential = Credential::PersonalAccessToken(token);
        let secrets = bench.bed.secrets().await;
        secrets
            .keep_credential(&bench.linked.name, &credential)
            .await?;
        assert_eq!(bench.receive(&[(&run, NEW)]).await?, ["m0"], "{kind}");
        assert_eq!(bench.report_of(&run).await?, None, "{kind}");
    }
    let token = PersonalAccessToken::from_pasted(&bench.azure_devops.token("good").into())?;
    let credential = Credential::PersonalAccessToken(token);
    let secrets = bench.bed.secrets().await;
    secrets
        .keep_credential(&bench.linked.name, &credential)
        .await?;
    bench.told(&run).await?;
    assert_eq!(bench.at_commit(&run).await?, ["pending"]);
    Ok(())
}

#[tokio::test]
async fn after_twelve_hours_it_is_shown_on_the_run_and_handed_to_a_person() -> Result<()> {
    let bench = Bench::new().await?;
    let run = bench.run(&bench.push("main").await?, None).await?;
    bench.fault(json!({ "kind": "status" })).await?;
    let old = |minutes| Mail {
        receives: 50,
        age: SignedDuration::from_mins(minutes),
    };
    assert_eq!(bench.receive(&[(&run, old(12 * 60 - 5))]).await?, ["m0"]);
    assert_eq!(bench.queues.asked(SEND), Vec::<Value>::new());
    let left = bench.receive(&[(&run, old(12 * 60 + 5))]).await?;
    assert_eq!(left, Vec::<String>::new());
    let refusal = bench.refusal_of(&run).await?;
    assert!(refusal.contains("twelve hours"), "{refusal}");
    assert!(refusal.contains("503"), "{refusal}");
    let sent = bench.queues.asked(SEND);
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["QueueUrl"], DEAD_LETTERS);
    assert_eq!(sent[0]["MessageBody"], body(&run.id).as_str());
    Ok(())
}

#[tokio::test]
async fn what_another_message_has_told_is_not_given_up() -> Result<()> {
    let bench = Bench::new().await?;
    let run = bench.run(&bench.push("main").await?, None).await?;
    bench.told(&run).await?;
    bench.fault(json!({ "kind": "status" })).await?;
    let old = Mail {
        receives: 50,
        age: SignedDuration::from_hours(13),
    };
    let left = bench.receive(&[(&run, old)]).await?;
    assert_eq!(left, Vec::<String>::new());
    let report = bench.report_of(&run).await?.context("no report")?;
    assert_eq!(
        (report.state, report.refusal),
        (Some(RunState::Queued), None)
    );
    Ok(())
}

#[tokio::test]
async fn late_and_doubled_messages_change_nothing() -> Result<()> {
    let bench = Bench::new().await?;
    let queued = bench.run(&bench.push("main").await?, None).await?;
    let finished = bench.goes_on(&queued, RunState::Finished).await?;
    // All three at once: two of the first change, one of the second.
    let mail = [(&queued, NEW), (&queued, NEW), (&finished, NEW)];
    assert_eq!(bench.receive(&mail).await?, Vec::<String>::new());
    assert_eq!(bench.at_commit(&queued).await?, ["succeeded"]);
    let late = Mail {
        age: SignedDuration::from_hours(3),
        ..NEW
    };
    let asked = bench.azure_devops.requests().len();
    assert_eq!(
        bench.receive(&[(&queued, late)]).await?,
        Vec::<String>::new()
    );
    assert_eq!(bench.azure_devops.requests().len(), asked);
    Ok(())
}

#[tokio::test]
async fn a_message_that_comes_again_tells_what_is_so_by_now() -> Result<()> {
    let bench = Bench::new().await?;
    let queued = bench.run(&bench.push("main").await?, None).await?;
    bench.fault(json!({ "kind": "hang" })).await?;
    assert_eq!(bench.receive(&[(&queued, NEW)]).await?, ["m0"]);
    bench.all_is_well().await?;
    let finished = bench.goes_on(&queued, RunState::Finished).await?;
    bench.told(&finished).await?;
    // What was sent first, and had no answer in time, arrives only now.
    let client = bench.client()?;
    let late = NewStatus {
        state: StatusState::Pending,
        description: "Queued",
        target_url: None,
        genre: "stackhook",
        name: queued.stack.as_str(),
    };
    client
        .set_commit_status("Harbor", "platform", &queued.commit, &late)
        .await?;
    let again = Mail { receives: 2, ..NEW };
    let left = bench.receive(&[(&queued, again)]).await?;
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(
        bench.at_commit(&queued).await?,
        ["succeeded", "pending", "succeeded"]
    );
    Ok(())
}

#[tokio::test]
async fn what_overtakes_a_newer_state_on_its_way_is_put_right() -> Result<()> {
    let bench = Bench::new().await?;
    let queued = bench.run(&bench.push("main").await?, None).await?;
    // The first status is a while on its way.
    bench
        .fault(json!({ "kind": "latency", "path": "/statuses", "times": 1, "milliseconds": 1_500 }))
        .await?;
    let mail = [(&queued, NEW)];
    let first = bench.receive(&mail);
    let second = async {
        // A fault that has struck as often as it should is gone: the first status has been sent then.
        loop {
            let left = control(&bench.azure_devops, Method::GET, "faults", Value::Null).await?;
            if left["faults"].as_array().is_some_and(Vec::is_empty) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let finished = bench.goes_on(&queued, RunState::Finished).await?;
        bench.told(&finished).await
    };
    let (first, second) = tokio::join!(first, second);
    second?;
    assert_eq!(first?, Vec::<String>::new());
    let shown = bench.at_commit(&queued).await?;
    assert_eq!(shown.last(), Some(&json!("succeeded")), "{shown:?}");
    Ok(())
}

#[tokio::test]
async fn a_superseded_run_and_one_that_is_gone_are_not_told() -> Result<()> {
    let bench = Bench::new().await?;
    let commit = bench.push("main").await?;
    let mut superseded = bench.run(&commit, None).await?;
    superseded.id = uuid::Uuid::new_v4().to_string().parse()?;
    superseded.state = RunState::Superseded;
    bench.keep(&superseded).await?;
    let mut gone = superseded.clone();
    gone.id = uuid::Uuid::new_v4().to_string().parse()?;
    let asked = bench.azure_devops.requests().len();
    let mail = [(&superseded, NEW), (&gone, NEW)];
    assert_eq!(bench.receive(&mail).await?, Vec::<String>::new());
    assert_eq!(bench.azure_devops.requests().len(), asked);
    assert_eq!(bench.report_of(&superseded).await?, None);
    Ok(())
}

#[tokio::test]
async fn a_run_of_an_unlinked_integration_says_so() -> Result<()> {
    let bench = Bench::new().await?;
    let run = bench.run(&bench.push("main").await?, None).await?;
    unlink(&bench.bed, &bench.linked).await?;
    bench.told(&run).await?;
    let refusal = bench.refusal_of(&run).await?;
    assert_eq!(refusal, "the integration was unlinked");
    Ok(())
}

#[tokio::test]
async fn what_one_run_waits_for_holds_up_no_other() -> Result<()> {
    let bench = Bench::new().await?;
    let slow = bench.run(&bench.push("main").await?, None).await?;
    let quick = bench.run(&bench.push("develop").await?, None).await?;
    let hangs = json!({ "kind": "hang", "path": format!("/commits/{}", slow.commit) });
    bench.fault(hangs).await?;
    let mail = [(&slow, NEW), (&quick, NEW), (&slow, NEW)];
    let mut again = bench.receive(&mail).await?;
    again.sort_unstable();
    assert_eq!(again, ["m0", "m2"]);
    assert_eq!(bench.at_commit(&quick).await?, ["pending"]);
    Ok(())
}

#[tokio::test]
async fn what_there_is_no_time_for_comes_again() -> Result<()> {
    let bench = Bench::new().await?;
    let run = bench.run(&bench.push("main").await?, None).await?;
    let again = receive(&bench.app, &[(&run, NEW)], Duration::from_secs(1)).await?;
    assert_eq!(again, ["m0"]);
    assert_eq!(bench.report_of(&run).await?, None);
    Ok(())
}

#[tokio::test]
async fn where_the_table_cannot_be_read_the_message_comes_again() -> Result<()> {
    let bench = Bench::new().await?;
    let run = bench.run(&bench.push("main").await?, None).await?;
    let nowhere = bench.bed.store_at("http://127.0.0.1:9").await;
    let app = app(&bench.bed, &bench.azure_devops, nowhere, &bench.queues).await?;
    assert_eq!(receive(&app, &[(&run, NEW)], ENOUGH).await?, ["m0"]);
    assert_eq!(bench.report_of(&run).await?, None);
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_read_is_handed_to_a_person_or_comes_again() -> Result<()> {
    let bench = Bench::new().await?;
    let torn = message(0, "{\"detail\":", NEW);
    let left = handle(&bench.app, vec![torn.clone()], ENOUGH).await?;
    assert_eq!(left, Vec::<String>::new());
    assert_eq!(bench.queues.asked(SEND)[0]["MessageBody"], "{\"detail\":");
    let broken = AwsStub::start(|_, _| (500, json!({ "__type": "InternalError" }))).await?;
    let store = bench.bed.store().await;
    let app = app(&bench.bed, &bench.azure_devops, store, &broken).await?;
    assert_eq!(handle(&app, vec![torn], ENOUGH).await?, ["m0"]);
    Ok(())
}

#[tokio::test]
async fn a_real_queue_brings_a_message_again_and_has_what_was_given_up() -> Result<()> {
    let bench = Bench::new().await?;
    let stack = &bench.bed.stack;
    let queue = async |visibility: &str| -> Result<String> {
        let attributes = json!({ "VisibilityTimeout": visibility });
        let asked = json!({ "QueueName": new_name("report"), "Attributes": attributes });
        let made = aws(stack, "sqs", "AmazonSQS.CreateQueue", asked).await?;
        Ok(made["QueueUrl"].as_str().context("no queue")?.to_owned())
    };
    // Longer than any test takes: only what was asked for brings a message back.
    let (own, dead_letters) = (queue("3600").await?, queue("3600").await?);
    let receive_one = async |queue: &str| -> Result<Value> {
        for _ in 0..30 {
            let asked =
                json!({ "QueueUrl": queue, "WaitTimeSeconds": 1, "AttributeNames": ["All"] });
            let told = aws(stack, "sqs", "AmazonSQS.ReceiveMessage", asked).await?;
            if let Some(message) = told["Messages"].get(0) {
                return Ok(json!({
                    "messageId": message["MessageId"], "receiptHandle": message["ReceiptHandle"], "body": message["Body"],
                    "attributes": message["Attributes"], "messageAttributes": {},
                }));
            }
        }
        anyhow::bail!("nothing came out of {queue}")
    };
    let config = bench.bed.aws_at(&stack.description.endpoint_url).await;
    let app = App::new(
        bench.bed.store().await,
        bench.bed.secrets().await,
        Ado::new()?,
        bench.azure_devops.url().to_owned(),
        Queues {
            own: Queue::new(&config, own.clone()),
            dead_letters: Queue::new(&config, dead_letters.clone()),
        },
        1,
    );
    let run = bench.run(&bench.push("main").await?, None).await?;
    let sent = json!({ "QueueUrl": own, "MessageBody": body(&run.id) });
    aws(stack, "sqs", "AmazonSQS.SendMessage", sent).await?;
    let slow = json!({ "kind": "tooManyRequests", "retryAfterSeconds": 1 });
    bench.fault(slow).await?;
    let first = receive_one(&own).await?;
    assert_eq!(handle(&app, vec![first.clone()], ENOUGH).await?.len(), 1);
    let mut second = receive_one(&own).await?;
    assert_eq!(second["messageId"], first["messageId"]);
    assert_eq!(second["attributes"]["ApproximateReceiveCount"], "2");
    let thirteen_hours_ago = now() - SignedDuration::from_hours(13);
    second["attributes"]["SentTimestamp"] = json!(thirteen_hours_ago.as_millisecond().to_string());
    assert_eq!(handle(&app, vec![second], ENOUGH).await?.len(), 0);
    let given_up = receive_one(&dead_letters).await?;
    assert_eq!(given_up["body"], body(&run.id).as_str());
    Ok(())
}
