//! Bodies that others captured, and ours: every one is stored, comes back byte for byte, and is told in words.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::support::{Bed, delivery};

/// Stores every JSON file of a folder; gives what each is told as.
async fn told(folder: PathBuf) -> Result<BTreeMap<String, Value>> {
    let bed = Bed::new()?;
    let mut told = BTreeMap::new();
    let files =
        std::fs::read_dir(&folder).with_context(|| format!("no folder {}", folder.display()))?;
    for file in files {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let (name, body) = (
            path.file_name()
                .context("no name")?
                .to_string_lossy()
                .into_owned(),
            std::fs::read(&path)?,
        );
        let linked = bed.linked().await?;
        let answer = bed
            .webhook()
            .await
            .handle(delivery(&linked, body.clone()))
            .await;
        ensure!(
            answer.status() == 200,
            "{name} was answered {}",
            answer.status()
        );
        let log = bed.log_of(linked.name.as_str()).await?;
        ensure!(log.len() == 1, "{name} is there {} times", log.len());
        let whole = bed.delivery(&log[0]).await?;
        ensure!(
            whole["payload"].as_str().map(str::as_bytes) == Some(body.as_slice()),
            "{name} did not come back as it went"
        );
        ensure!(
            whole["summary"]
                .as_str()
                .is_some_and(|words| words.len() > 20),
            "{name} is not told in words"
        );
        told.insert(name, whole);
    }
    Ok(told)
}

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "where the corpus lies is told by the environment"
)]
async fn every_payload_of_the_corpus_is_stored_and_told_in_words() -> Result<()> {
    let Ok(folder) = std::env::var("PAYLOAD_CORPUS") else {
        // Others' data, which the project does not hold; our own samples are tested either way. CI sets it, and `make test`
        // says when it is not set.
        say_that_only_our_samples_are_run();
        return Ok(());
    };
    let told = told(folder.into()).await?;
    ensure!(!told.is_empty(), "PAYLOAD_CORPUS has no payloads");
    for (file, delivery) in &told {
        let known = delivery["eventType"]
            .as_str()
            .is_some_and(|kind| kind.starts_with("git.") || kind.starts_with("ms.vss-code."));
        if known && delivery["outcome"] != "quarantined" {
            let words = delivery["summary"].as_str().unwrap_or_default();
            assert!(!words.contains("Somebody pushed"), "{file}: {words}");
        } else {
            assert_eq!(delivery["outcome"], "quarantined", "{file}: {delivery}");
            assert!(delivery["reason"].is_string(), "{file}");
        }
    }
    Ok(())
}

#[expect(
    clippy::print_stderr,
    reason = "a test that has nothing to run against says so"
)]
pub(crate) fn say_that_only_our_samples_are_run() {
    eprintln!("PAYLOAD_CORPUS is not set: only the samples of events/ are run");
}

#[tokio::test]
async fn our_samples_are_told_as_these_words() -> Result<()> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../events/ado");
    let told = told(folder).await?;
    let words: BTreeMap<&str, String> = told
        .iter()
        .map(|(file, delivery)| {
            let outcome = delivery["outcome"].as_str().unwrap_or_default();
            let summary = delivery["summary"].as_str().unwrap_or_default();
            (file.as_str(), format!("{outcome}: {summary}"))
        })
        .collect();
    insta::assert_json_snapshot!(words);
    Ok(())
}
