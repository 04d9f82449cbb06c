//! What the code is made of: the function that faces the internet must not even link what could read a secret.

use std::process::Command;

use anyhow::{Result, ensure};

fn packages_of(function: &str) -> Result<String> {
    let tree = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--offline",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--package",
            function,
        ])
        .output()?;
    ensure!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    Ok(String::from_utf8(tree.stdout)?)
}

#[test]
fn webhook_links_neither_secrets_manager_nor_a_client_of_azure_devops() -> Result<()> {
    let packages = packages_of("webhook")?;
    for forbidden in [
        "aws-sdk-secretsmanager ",
        "secrets ",
        "ado ",
        "reqwest ",
        "azure_",
    ] {
        let found = packages.lines().find(|line| line.starts_with(forbidden));
        assert_eq!(found, None, "webhook links {forbidden}");
    }
    Ok(())
}

#[test]
fn webhook_links_of_ours_only_what_the_design_lets_it() -> Result<()> {
    let packages = packages_of("webhook")?;
    let mut ours: Vec<&str> = packages
        .lines()
        .filter(|line| line.contains("/functions/"))
        .filter_map(|line| line.split(' ').next())
        .collect();
    ours.sort_unstable();
    ours.dedup();
    assert_eq!(ours, ["domain", "edge", "envelope", "store", "webhook"]);
    Ok(())
}

#[test]
fn one_tls_stack_is_linked_anywhere() -> Result<()> {
    for function in [
        "setup",
        "webhook",
        "deliveries",
        "stacks",
        "unlink",
        "dispatch",
        "announce",
        "report",
        "reconcile",
        "runs",
        "tail",
        "console",
    ] {
        let packages = packages_of(function)?;
        let name_and_version = |line: &'_ str| line.trim_end_matches(" (*)").to_owned();
        let mut stacks: Vec<String> = packages
            .lines()
            .filter(|line| line.starts_with("rustls v"))
            .map(name_and_version)
            .collect();
        stacks.sort_unstable();
        stacks.dedup();
        assert_eq!(stacks.len(), 1, "{function}: {stacks:?}");
        assert!(
            !packages
                .lines()
                .any(|line| line.starts_with("openssl-sys ") || line.starts_with("native-tls ")),
            "{function}"
        );
    }
    Ok(())
}

#[test]
fn the_domain_knows_no_aws_http_or_json() -> Result<()> {
    let packages = packages_of("domain")?;
    for forbidden in [
        "aws-",
        "http ",
        "hyper ",
        "serde_json ",
        "tokio ",
        "reqwest ",
    ] {
        assert!(
            !packages.lines().any(|line| line.starts_with(forbidden)),
            "domain links {forbidden}"
        );
    }
    Ok(())
}
