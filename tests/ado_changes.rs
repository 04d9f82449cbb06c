//! What our client reads of a repository's changes and where it reports, against the simulator alone: it needs no local stack.

use ado::{Ado, AdoClient, AdoError, Change, Changes, NewStatus, Since, StatusState, Version};
use anyhow::{Context, Result};
use domain::{Credential, Organization, PersonalAccessToken};
use integration_tests::Portal;
use integration_tests::portal::Repository;
use reqwest::Method;
use serde_json::{Map, Value, json};
use simulator::{Config, Running, Simulator};

pub(crate) const PROJECT: &str = "Harbor";
pub(crate) const REPOSITORY: &str = "platform";
const UNKNOWN: &str = "0123456789012345678901234567890123456789";

/// A simulator, somebody who pushes to it, and our client of it.
pub(crate) struct Bed {
    pub(crate) simulator: Running,
    pub(crate) portal: Portal,
    pub(crate) keyboard: Repository,
    pub(crate) client: AdoClient,
}

impl Bed {
    pub(crate) async fn new() -> Result<Self> {
        let simulator = Simulator::start(Config::default()).await?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        let portal = Portal::new(http, simulator.url());
        let client = client_of(&simulator, &Ado::new()?, "good")?;
        Ok(Self {
            keyboard: portal.keyboard("tidewater", PROJECT, REPOSITORY),
            simulator,
            portal,
            client,
        })
    }

    /// Pushes; gives the head before and after.
    pub(crate) async fn push(&self, push: Value) -> Result<(String, String)> {
        let made = self.keyboard.push(push).await?;
        let update = &made["push"]["refUpdates"][0];
        let id = |name: &str| update[name].as_str().map(str::to_owned);
        Ok((
            id("oldObjectId").context("no old id")?,
            id("newObjectId").context("no new id")?,
        ))
    }

    async fn changes(
        &self,
        base: Version<'_>,
        target: Version<'_>,
        since: Since,
    ) -> Result<Changes, AdoError> {
        self.client
            .changes(PROJECT, REPOSITORY, base, target, since)
            .await
    }

    async fn pushed(&self, push: &(String, String)) -> Result<Changes, AdoError> {
        self.changes(
            Version::Commit(&push.0),
            Version::Commit(&push.1),
            Since::Base,
        )
        .await
    }

    pub(crate) async fn open(&self, wanted: Value) -> Result<i64> {
        let made = self
            .keyboard
            .call(Method::POST, "pullRequests", wanted)
            .await?;
        made["pullRequest"]["pullRequestId"]
            .as_i64()
            .context("no number")
    }

    /// The statuses that stand at a place of the repository, as the service shows them.
    async fn statuses(&self, place: &str) -> Result<Vec<Value>> {
        let url = format!(
            "{}/tidewater/{PROJECT}/_apis/git/repositories/{REPOSITORY}/{place}/statuses?api-version=7.1",
            self.simulator.url()
        );
        let shown: Value = reqwest::Client::builder()
            .no_proxy()
            .build()?
            .get(url)
            .basic_auth("", Some(self.simulator.token("good")))
            .send()
            .await?
            .json()
            .await?;
        Ok(shown["value"].as_array().context("no list")?.clone())
    }
}

/// Our client, with a token of this kind.
pub(crate) fn client_of(simulator: &Running, ado: &Ado, token: &str) -> Result<AdoClient> {
    let url = simulator.url();
    let organization = Organization::from_pasted_url(&format!("{url}/tidewater"), url)?;
    let token = PersonalAccessToken::from_pasted(&simulator.token(token).into())?;
    Ok(ado.organization(&organization, &Credential::PersonalAccessToken(token))?)
}

fn files(changes: &Changes) -> Vec<&str> {
    let files = changes.changes.iter().filter(|it| !it.is_folder);
    files.map(|it| it.path.as_str()).collect()
}

const fn status(state: StatusState) -> NewStatus<'static> {
    NewStatus {
        state,
        description: "Waiting for its turn",
        target_url: Some("https://example.org/runs/1"),
        genre: "stackhook",
        name: "prod",
    }
}

#[tokio::test]
async fn a_moved_file_has_both_paths_and_its_folders_are_told_from_it() -> Result<()> {
    let bed = Bed::new().await?;
    bed.push(json!({ "branch": "main", "files": { "prod/moved.tf": "# the same" } }))
        .await?;
    let push = bed
        .push(json!({ "branch": "main", "files": { "prod/moved.tf": null, "depot/moved.tf": "# the same" } }))
        .await?;
    let found = bed.pushed(&push).await?;
    assert!(found.is_complete);
    let change = |path: &str, original: Option<&str>, is_folder, is_edit| Change {
        path: path.to_owned(),
        original_path: original.map(str::to_owned),
        is_folder,
        is_edit,
    };
    assert_eq!(
        found.changes,
        [
            change("depot", None, true, false),
            change("depot/moved.tf", Some("prod/moved.tf"), false, false),
            change("prod", None, true, true),
            change("prod/moved.tf", None, false, false),
        ]
    );
    // Where the service sees no move, both paths are still there.
    bed.simulator.assume("renamesAreDetected", false)?;
    let found = bed.pushed(&push).await?;
    assert_eq!(files(&found), ["depot/moved.tf", "prod/moved.tf"]);
    Ok(())
}

#[tokio::test]
async fn more_changes_than_one_page_has_are_all_read() -> Result<()> {
    let bed = Bed::new().await?;
    // The second count, with its folder, fills two pages: only an empty third one ends them.
    for (folder, count) in [("many", 2_345), ("full", 1_999)] {
        let files: Map<String, Value> = (0..count)
            .map(|number| (format!("{folder}/{number:04}.tf"), json!("#")))
            .collect();
        let push = bed
            .push(json!({ "branch": "main", "files": files }))
            .await?;
        let found = bed.pushed(&push).await?;
        assert!(found.is_complete, "{count}");
        let expected: Vec<&String> = files.keys().collect();
        assert_eq!(self::files(&found), expected, "{count}");
    }
    Ok(())
}

#[tokio::test]
async fn more_changes_than_are_read_are_said_not_to_be_all() -> Result<()> {
    let bed = Bed::new().await?;
    let files: Map<String, Value> = (0..20_001)
        .map(|number| (format!("many/{number:05}.tf"), json!("#")))
        .collect();
    let push = bed
        .push(json!({ "branch": "main", "files": files }))
        .await?;
    let found = bed.pushed(&push).await?;
    assert_eq!((found.changes.len(), found.is_complete), (20_000, false));
    Ok(())
}

#[tokio::test]
async fn a_forced_push_is_compared_from_old_to_new() -> Result<()> {
    let bed = Bed::new().await?;
    bed.push(json!({ "branch": "main", "files": { "prod/lost.tf": "#", "prod/kept.tf": "# 1" } }))
        .await?;
    let push = bed
        .push(json!({ "branch": "main", "force": true, "files": { "prod/kept.tf": "# 2" } }))
        .await?;
    let found = bed.pushed(&push).await?;
    // What the push threw away is a change, though no new commit of it says so.
    assert_eq!(files(&found), ["prod/kept.tf", "prod/lost.tf"]);
    Ok(())
}

#[tokio::test]
async fn a_pull_request_is_compared_since_the_last_commit_that_both_have() -> Result<()> {
    let bed = Bed::new().await?;
    bed.keyboard
        .push(json!({ "branch": "feature/ours", "from": "main", "files": { "prod/ours.tf": "#" } }))
        .await?;
    bed.push(json!({ "branch": "main", "files": { "staging/theirs.tf": "#" } }))
        .await?;
    let (main, ours) = (Version::Branch("main"), Version::Branch("feature/ours"));
    let since_common = bed.changes(main, ours, Since::CommonCommit).await?;
    assert_eq!(files(&since_common), ["prod/ours.tf"]);
    let since_base = bed.changes(main, ours, Since::Base).await?;
    assert_eq!(files(&since_base), ["prod/ours.tf", "staging/theirs.tf"]);
    Ok(())
}

#[tokio::test]
async fn a_version_that_is_not_there_is_not_found() -> Result<()> {
    let bed = Bed::new().await?;
    let main = Version::Branch("main");
    for absent in [
        Version::Commit(UNKNOWN),
        Version::Commit("0000000000000000000000000000000000000000"),
        Version::Branch("nowhere"),
    ] {
        for (base, target) in [(absent, main), (main, absent)] {
            let error = bed.changes(base, target, Since::Base).await.unwrap_err();
            assert!(matches!(error, AdoError::NotFound(_)), "{error:?}");
            assert!(!error.is_passing() && !error.is_about_the_token());
        }
    }
    let commit = bed.client.commit(PROJECT, REPOSITORY, UNKNOWN).await?;
    assert_eq!(commit, None);
    Ok(())
}

#[tokio::test]
async fn a_status_of_a_pull_request_stands_at_its_iteration() -> Result<()> {
    let bed = Bed::new().await?;
    let number = bed
        .open(json!({ "source": "feature/gangway", "draft": true }))
        .await?;
    let (_, head) = bed
        .push(json!({ "branch": "feature/gangway", "files": { "prod/gangway.tf": "#" } }))
        .await?;
    let found = bed.client.pull_request(PROJECT, REPOSITORY, number).await?;
    assert_eq!(found.source_commit.as_ref(), Some(&head));
    assert_eq!(
        found.source_ref.as_deref(),
        Some("refs/heads/feature/gangway")
    );
    assert_eq!(found.target_ref.as_deref(), Some("refs/heads/main"));
    assert_eq!(found.status.as_deref(), Some("active"));
    assert!(found.is_draft && !found.is_fork);
    let iterations = bed.client.iterations(PROJECT, REPOSITORY, number).await?;
    let of_head = iterations
        .iter()
        .find(|it| it.source_commit.as_ref() == Some(&head));
    let iteration = of_head.map(|it| it.id);
    assert_eq!(iteration, Some(2));

    bed.simulator.assume("policyNeedsIteration", true)?;
    let post = async |iteration, state| {
        let status = status(state);
        bed.client
            .set_pull_request_status(PROJECT, REPOSITORY, number, iteration, &status)
            .await
    };
    let error = post(None, StatusState::Pending).await.unwrap_err();
    assert!(matches!(error, AdoError::Denied(_)), "{error:?}");
    post(iteration, StatusState::Pending).await?;
    post(iteration, StatusState::NotApplicable).await?;
    bed.client
        .set_commit_status(PROJECT, REPOSITORY, &head, &status(StatusState::Error))
        .await?;
    let stand = bed.statuses(&format!("pullRequests/{number}")).await?;
    let stand: Vec<(&Value, &Value)> = stand
        .iter()
        .map(|it| (&it["state"], &it["iterationId"]))
        .collect();
    assert_eq!(
        stand,
        [
            (&json!("pending"), &json!(2)),
            (&json!("notApplicable"), &json!(2))
        ]
    );
    let stand = bed.statuses(&format!("commits/{head}")).await?;
    assert_eq!(stand[0]["state"], "error");
    assert_eq!(
        stand[0]["context"],
        json!({ "genre": "stackhook", "name": "prod" })
    );
    Ok(())
}

#[tokio::test]
async fn a_pull_request_without_iterations_says_so_and_takes_a_status_of_none() -> Result<()> {
    let bed = Bed::new().await?;
    let number = bed.open(json!({ "source": "feature/gangway" })).await?;
    bed.keyboard
        .call(
            Method::PATCH,
            &format!("pullRequests/{number}"),
            json!({ "supportsIterations": false }),
        )
        .await?;
    let found = bed.client.pull_request(PROJECT, REPOSITORY, number).await?;
    assert_eq!(found.supports_iterations, Some(false));
    let status = status(StatusState::Succeeded);
    let post = async |iteration| {
        bed.client
            .set_pull_request_status(PROJECT, REPOSITORY, number, iteration, &status)
            .await
    };
    let error = post(Some(1)).await.unwrap_err();
    assert!(matches!(error, AdoError::Refused(_)), "{error:?}");
    assert!(!error.is_passing());
    post(None).await?;
    Ok(())
}

#[tokio::test]
async fn what_passes_is_told_from_what_is_about_the_token() -> Result<()> {
    let bed = Bed::new().await?;
    let client = client_of(
        &bed.simulator,
        &Ado::with_patience(std::time::Duration::from_millis(300))?,
        "good",
    )?;
    // The fault; whether it passes and whether it is about the token, of a question and of a status; for how long to wait.
    let passes = (true, false);
    let token = (false, true);
    for (fault, question, report, wait) in [
        (json!({ "kind": "hang" }), passes, Some(passes), None),
        (json!({ "kind": "drop" }), passes, Some(passes), None),
        // The status was taken.
        (json!({ "kind": "cutOff" }), passes, None, None),
        (
            json!({ "kind": "tooManyRequests", "retryAfterSeconds": 9 }),
            passes,
            Some(passes),
            Some(9),
        ),
        (json!({ "kind": "status" }), passes, Some(passes), None),
        (
            json!({ "kind": "status", "status": 409 }),
            (false, false),
            Some((false, false)),
            None,
        ),
        (json!({ "kind": "signInPage" }), token, Some(token), None),
        (json!({ "kind": "redirect" }), token, Some(token), None),
        (json!({ "kind": "notJson" }), token, Some(token), None),
    ] {
        bed.portal
            .control(Method::POST, "faults", fault.clone())
            .await?;
        let kind = |error: &AdoError| (error.is_passing(), error.is_about_the_token());
        let asked = client.commit(PROJECT, REPOSITORY, UNKNOWN).await;
        let error = asked.unwrap_err();
        assert_eq!(kind(&error), question, "{fault}: {error:?}");
        assert_eq!(error.retry_after(), wait, "{fault}: {error:?}");
        let status = status(StatusState::Pending);
        let told = client
            .set_commit_status(PROJECT, REPOSITORY, UNKNOWN, &status)
            .await;
        assert_eq!(told.as_ref().err().map(kind), report, "{fault}: {told:?}");
        bed.portal
            .control(Method::DELETE, "faults", Value::Null)
            .await?;
    }
    Ok(())
}
