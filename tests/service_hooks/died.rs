//! Whatever has to do with hooks, ended at each of its calls of AWS and of Azure DevOps, and what the next call makes of it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use super::{Site, call, counts, setup_at};
use crate::support::{Fate, Linked, Tap, json as body_of, new_event, post, send};

/// The doors to AWS and to Azure DevOps, of which the `call`th call dies: before it goes out, or when it was done.
struct Doors {
    aws: Tap,
    azure_devops: Tap,
}

impl Doors {
    async fn at(site: &Site, call: usize, done: bool) -> Result<Self> {
        let calls = Arc::new(AtomicUsize::new(0));
        let judge = || {
            let calls = Arc::clone(&calls);
            move |_: &str, _| {
                let is_it = calls.fetch_add(1, Ordering::SeqCst) + 1 == call;
                match (is_it, done) {
                    (false, _) => Fate::Pass,
                    (true, false) => Fate::Hang,
                    (true, true) => Fate::HangAnswer,
                }
            }
        };
        Ok(Self {
            aws: Tap::on(&site.bed.stack.description.endpoint_url, judge()).await?,
            azure_devops: Tap::on(site.azure_devops.url(), judge()).await?,
        })
    }

    /// The answer of `work`; `None` where it died.
    async fn dying<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            answer = work => Some(answer),
            () = self.aws.held(1) => None,
            () = self.azure_devops.held(1) => None,
        }
    }
}

/// Lets `dies` die at each call that it makes; gives how often it died.
async fn walk<F: Future<Output = Result<bool>>>(
    most: usize,
    dies: impl Fn(usize, bool) -> F,
) -> Result<usize> {
    let deaths = (1..=most).flat_map(|call| [(call, false), (call, true)]);
    let died = deaths.map(|(call, done)| {
        let dies = dies(call, done);
        async move {
            dies.await
                .with_context(|| format!("call {call}, done: {done}"))
        }
    });
    // More at once than that is too much for the local AWS.
    let died: Vec<bool> = stream::iter(died).buffer_unordered(8).try_collect().await?;
    Ok(died.into_iter().filter(|died| *died).count())
}

async fn making_dies(call_number: usize, done: bool) -> Result<bool> {
    let site = Site::start().await?;
    let name = site.linked.name.as_str();
    let doors = Doors::at(&site, call_number, done).await?;
    let rest = "service-hooks/Harbor";
    let dying = setup_at(
        &site.bed,
        &doors.azure_devops.url(),
        &site.webhook_url,
        &doors.aws.url(),
    )
    .await?;
    let answer = doors
        .dying(call(&dying, name, "PUT", rest, &Value::Null))
        .await;
    if let Some(answer) = answer {
        let (status, body) = answer?;
        ensure!((status, counts(&body)) == (200, [5, 0, 0, 0]), "{body}");
        return Ok(false);
    }
    site.bed.two_minutes_pass(name).await?;
    let made = site.make("Harbor").await?;
    let [created, mended, taken_over, unchanged] = counts(&made);
    ensure!(
        created + taken_over + unchanged == 5 && mended == 0,
        "{made}"
    );
    ensure!(taken_over <= 1, "the one that was not kept: {made}");
    ensure!(made["notes"] == json!([]), "{made}");
    site.is_well().await?;
    ensure!(counts(&site.make("Harbor").await?) == [0, 0, 0, 5]);
    Ok(true)
}

#[tokio::test]
async fn making_hooks_that_dies_at_any_call_is_finished_by_the_next_and_doubles_none() -> Result<()>
{
    // A look, the lease, the token, the project, the password, what is known, the listing, five times a hook made and kept,
    // the lease's end.
    let died = walk(20, making_dies).await?;
    ensure!((35..=38).contains(&died), "{died}");
    Ok(())
}

/// A hook on probation that no PUT takes off it, so that another takes its place.
async fn replacing_dies(call_number: usize, done: bool) -> Result<bool> {
    let site = Site::start().await?;
    let name = site.linked.name.as_str();
    site.make("Harbor").await?;
    site.azure_devops.assume("putEndsProbation", false)?;
    let ill = site.one_of_ours("git.push").await?;
    site.set_status(ill["id"].as_str().context("no id")?, "onProbation")
        .await?;
    let doors = Doors::at(&site, call_number, done).await?;
    let dying = setup_at(
        &site.bed,
        &doors.azure_devops.url(),
        &site.webhook_url,
        &doors.aws.url(),
    )
    .await?;
    let answer = doors
        .dying(call(
            &dying,
            name,
            "PUT",
            "service-hooks/Harbor",
            &Value::Null,
        ))
        .await;
    if let Some(answer) = answer {
        let (status, body) = answer?;
        ensure!((status, counts(&body)) == (200, [1, 0, 0, 4]), "{body}");
        return Ok(false);
    }
    site.bed.two_minutes_pass(name).await?;
    site.make("Harbor").await?;
    site.is_well().await?;
    ensure!(counts(&site.make("Harbor").await?) == [0, 0, 0, 5]);
    Ok(true)
}

#[tokio::test]
async fn a_hook_that_is_replaced_by_a_process_that_dies_at_any_call_is_there_once_in_the_end()
-> Result<()> {
    // As above without the making; one is written and kept, another made and kept, the first deleted and forgotten; four kept.
    let died = walk(20, replacing_dies).await?;
    ensure!((33..=37).contains(&died), "{died}");
    Ok(())
}

async fn rotation_dies(call_number: usize, done: bool) -> Result<bool> {
    let site = Site::start().await?;
    let name = site.linked.name.as_str();
    site.make("Harbor").await?;
    let doors = Doors::at(&site, call_number, done).await?;
    let dying = setup_at(
        &site.bed,
        &doors.azure_devops.url(),
        &site.webhook_url,
        &doors.aws.url(),
    )
    .await?;
    let answer = doors
        .dying(call(&dying, name, "POST", "webhook/rotation", &json!({})))
        .await;
    if let Some(answer) = answer {
        let (status, body) = answer?;
        ensure!(
            status == 200 && body["serviceHooks"]["updated"] == 5,
            "{body}"
        );
        return Ok(false);
    }
    // Whatever hooks have is taken.
    let event = || new_event("ado/git.push.json").to_string();
    ensure!(post(&site.bed.webhook().await, &site.linked, event()).await == 200);
    ensure!(
        post(
            &site.bed.webhook().await,
            &Linked {
                password: site.password().await?.expose().to_owned(),
                ..site.linked.clone()
            },
            event()
        )
        .await
            == 200
    );
    site.bed.two_minutes_pass(name).await?;
    let rotated = site.does("POST", "webhook/rotation", json!({})).await?;
    ensure!(rotated["serviceHooks"]["updated"] == 5, "{rotated}");
    ensure!(
        rotated["previousPasswordValidUntil"].is_string(),
        "{rotated}"
    );
    site.is_well().await?;
    Ok(true)
}

#[tokio::test]
async fn a_rotation_with_hooks_that_dies_at_any_call_is_finished_by_the_next() -> Result<()> {
    // A look, the lease, what is known, the new digest, the secret (create, write), the token, five times a hook read, written
    // and kept, the end of the old digest, the lease's end.
    let died = walk(26, rotation_dies).await?;
    ensure!((45..=50).contains(&died), "{died}");
    Ok(())
}

async fn unlinking_dies(call_number: usize, done: bool) -> Result<bool> {
    let site = Site::start().await?;
    site.make("Harbor").await?;
    let doors = Doors::at(&site, call_number, done).await?;
    let unlink = site
        .bed
        .unlink_of(&doors.azure_devops.url(), &doors.aws.url())
        .await;
    let path = format!("/integrations/{}", site.linked.name);
    let answer = doors
        .dying(unlink.handle(send("DELETE", &path, &json!({}))))
        .await;
    if let Some(answer) = answer {
        let done = body_of(answer)?;
        ensure!(done["serviceHooksRemoved"] == 5, "{done}");
        return Ok(false);
    }
    let finished = site.unlink().await?;
    ensure!(finished["status"] == "unlinked", "{finished}");
    ensure!(site.known().await?.is_empty());
    ensure!(
        site.subscriptions().await?.is_empty(),
        "the hooks go before the token"
    );
    ensure!(post(&site.bed.webhook().await, &site.linked, "{}").await == 410);
    Ok(true)
}

#[tokio::test]
async fn unlinking_with_hooks_that_dies_at_any_call_leaves_none_of_them() -> Result<()> {
    // The beginning, what is known, the token, five times a hook deleted and forgotten, two secrets, looks for stacks and for
    // runs, what was remembered of the care, the tombstone.
    let died = walk(21, unlinking_dies).await?;
    ensure!((35..=40).contains(&died), "{died}");
    Ok(())
}
