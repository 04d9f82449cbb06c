//! `make demo`: the way of the seed page, step by step, on a local stack. Exits with 0 only if each step did what it should.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "saying what it does is what a demo is for"
)]

mod ending;
mod hooks;
mod log;
mod running;
mod setting_up;

use std::{
    process::ExitCode,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use integration_tests::{Answer, Executor, Function, Portal, Stack};
use reqwest::Method;
use serde_json::Value;

pub(crate) const NAME: &str = "acme";
pub(crate) const ORGANIZATION: &str = "tidewater";
pub(crate) const PROJECT: &str = "Harbor";
pub(crate) const STACK: &str = "harbor-prod";
/// How long the webhook may go on with what it has read of an integration on the local stack, and some.
pub(crate) const AT_MOST: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match demo().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a backtrace: what matters is which step did not do what it should.
            let reasons: Vec<String> = error.chain().map(ToString::to_string).collect();
            eprintln!("\nThe demo failed: {}", reasons.join(": "));
            ExitCode::FAILURE
        }
    }
}

async fn demo() -> Result<()> {
    let path = std::env::args().nth(1).context("usage: demo STACK_JSON")?;
    let stack = Stack::load(&path)?;
    let demo = Demo {
        portal: stack.portal(),
        stack,
    };
    demo.run().await
}

pub(crate) struct Demo {
    pub(crate) stack: Stack,
    pub(crate) portal: Portal,
}

/// What Azure DevOps is given.
pub(crate) struct Webhook {
    pub(crate) endpoint: String,
    pub(crate) password: String,
}

/// Says what comes now, with its number.
fn step(title: &str) {
    static STEPS: AtomicU8 = AtomicU8::new(1);
    println!("\n{}. {title}", STEPS.fetch_add(1, Ordering::Relaxed));
}

pub(crate) fn says(text: &str) {
    println!("   {text}");
}

impl Demo {
    async fn run(&self) -> Result<()> {
        println!(
            "Stackhook: Azure DevOps (simulated) and AWS (local), with the real functions behind their URLs."
        );
        step(
            "Set up: a wrong organization URL and a wrong token are refused, and nothing is stored",
        );
        self.refusals().await?;
        step("Set up: an organization URL and a personal access token");
        let webhook = self.set_up().await?;
        step("The repository picker shows what the token can see");
        let repository = self.pick().await?;
        step("A stack follows a repository chosen in the picker");
        self.follow(&repository).await?;
        step(
            "One call makes the five service hooks of a project, and takes over the one that a person made",
        );
        self.make_hooks(&webhook).await?;
        let mut executor = Executor::listens(&self.stack, "demo-executor").await?;
        step(
            "A push becomes a tracked run; an executor hears of it on the bus and reports; the commit shows how it went",
        );
        self.push(&mut executor).await?;
        step(
            "A pull request becomes a proposed run, and `/stackhook run` in a comment another one; its statuses lie on its iteration",
        );
        self.propose(&mut executor).await?;
        step(
            "A developer pushes, opens a pull request, comments, rewrites, completes it, tags, and deletes the branch",
        );
        self.work().await?;
        step("What was received, newest first, and what came of it");
        self.look(&webhook).await?;
        step(
            "The same delivery again is answered with 200 and stored once; strangers get 401; nonsense is kept aside",
        );
        self.odd(&webhook).await?;
        step("Hooks break and a push is lost: reconcile mends them, and finds the push");
        self.lose_and_find(&mut executor).await?;
        step(
            "Sent again: what a stack would do, what a range would do, and a new run where one is asked for",
        );
        self.send_again(&mut executor).await?;
        step(
            "A new token, tried before it takes the old one's place; a new password, which the hooks have before the old one ends",
        );
        let webhook = self.change(webhook).await?;
        step("Unlink: the preview, then the removal, with the hooks that are ours");
        self.unlink(&webhook).await?;
        step("The same name again: the old endpoint, a new password");
        self.again(&webhook).await?;
        println!("\nAll steps did what they should.");
        Ok(())
    }

    pub(crate) async fn call(
        &self,
        function: Function,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer> {
        self.stack.call(function, method, path, body.as_ref()).await
    }
}

pub(crate) fn shown(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub(crate) fn names(list: &Value) -> String {
    let names = list.as_array().map(|list| {
        list.iter()
            .map(|one| shown(&one["name"]))
            .collect::<Vec<_>>()
    });
    names.unwrap_or_default().join(", ")
}
