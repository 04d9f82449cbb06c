//! `make bench-loss`: what is lost on a day with troubles, with Stackhook and with a receiver that answers as others do.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table is what a bench is for"
)]

use std::{process::ExitCode, time::Instant};

use anyhow::{Context, Result, ensure};
use integration_tests::{
    Stack,
    loss::{self, Schedule, clock},
};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> ExitCode {
    match bench().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nThe bench failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn bench() -> Result<()> {
    let path = std::env::args().nth(1);
    let stack = Stack::load(&path.context("usage: bench_loss STACK_JSON")?)?;
    let schedule = Schedule::day();
    println!(
        "\nA day of {} hours. What goes wrong:",
        schedule.seconds / 3_600
    );
    for (second, trouble) in schedule.troubles() {
        println!("  {}  {trouble}", clock(second));
    }
    println!("\nAssumed of Azure DevOps (tests/README.md has the switches):");
    for (name, holds) in loss::relied_on().await? {
        println!("  {name}: {holds}");
    }
    let begun = Instant::now();
    let (ours, alone, peer) = tokio::try_join!(
        loss::with_stackhook(&stack, &schedule, true),
        loss::with_stackhook(&stack, &schedule, false),
        loss::with_a_peer(&schedule)
    )?;
    let happened = [&ours, &alone, &peer].map(|it| it.happened);
    ensure!(happened == [peer.happened; 3], "not the same day");
    let columns = [
        ("Stackhook", &ours),
        ("without reconcile", &alone),
        ("a receiver that answers as others do", &peer),
    ];
    println!("\n{}", loss::table(&columns));
    println!("\n{}", ours.passes);
    println!(
        "\n{} hooks each; {} s.",
        ours.hooks,
        begun.elapsed().as_secs()
    );
    Ok(())
}
