//! Unlinking: the preview, the removal, its repetition, its continuation, and the same name again.

use anyhow::{Context, Result};
use serde_json::json;

use crate::support::{
    Bed, Fate, Tap, azure_devops, get, json as body_of, new_event, new_name, now, parts, post,
    problem, send,
};

#[tokio::test]
async fn the_preview_says_what_would_go_and_changes_nothing() -> Result<()> {
    let bed = Bed::new()?;
    let linked = bed.linked().await?;
    let app = bed.unlink().await;
    let path = format!("/integrations/{}", linked.name);
    let preview = body_of(app.handle(get(&path)).await)?;
    assert_eq!(preview["status"], "active");
    assert_eq!(preview["organization"], "tidewater");
    assert!(
        preview["wouldRemove"]
            .as_array()
            .is_some_and(|what| what.len() == 3)
    );
    let again = body_of(app.handle(get(&path)).await)?;
    assert_eq!(again, preview);
    Ok(())
}

#[tokio::test]
async fn unlinking_removes_both_secrets_leaves_the_tombstone_and_can_be_repeated() -> Result<()> {
    let (bed, azure_devops, name) = (Bed::new()?, azure_devops().await?, new_name("unlink"));
    let (setup, unlink, secrets) = (
        bed.setup(&azure_devops).await?,
        bed.unlink().await,
        bed.secrets().await,
    );
    let wanted = json!({ "name": name, "organizationUrl": azure_devops.organization_url(), "personalAccessToken": azure_devops.token("good") });
    let created = body_of(setup.handle(send("POST", "/integrations", &wanted)).await)?;
    let password = created["webhook"]["password"]
        .as_str()
        .context("no password")?
        .to_owned();
    let path = format!("/integrations/{name}");

    let first = body_of(unlink.handle(send("DELETE", &path, &json!({}))).await)?;
    assert_eq!(
        (first["status"].as_str(), first["secretsRemoved"].as_u64()),
        (Some("unlinked"), Some(2))
    );
    assert!(secrets.credential(&name.parse()?).await.is_err());
    assert!(secrets.password(&name.parse()?).await.is_err());
    let linked = crate::support::Linked {
        name: name.parse()?,
        password: password.clone(),
    };
    assert_eq!(post(&bed.webhook().await, &linked, "{}").await, 410);

    let second = body_of(unlink.handle(send("DELETE", &path, &json!({}))).await)?;
    assert_eq!(
        (second["status"].as_str(), second["secretsRemoved"].as_u64()),
        (Some("unlinked"), Some(0))
    );
    let (status, _) = parts(&setup.handle(get(&path)).await)?;
    assert_eq!(status, 404, "it is not shown any more");

    // The same name again, while its secrets are scheduled for deletion: the old endpoint, a new password.
    let again = body_of(setup.handle(send("POST", "/integrations", &wanted)).await)?;
    assert_eq!(again["webhook"]["endpoint"], created["webhook"]["endpoint"]);
    assert_ne!(again["webhook"]["password"], created["webhook"]["password"]);
    let new = crate::support::Linked {
        password: again["webhook"]["password"]
            .as_str()
            .context("no password")?
            .to_owned(),
        ..linked.clone()
    };
    let app = bed.webhook().await;
    assert_eq!(
        post(&app, &new, new_event("ado/git.push.json").to_string()).await,
        200
    );
    assert_eq!(post(&app, &linked, "{}").await, 401, "the old password");
    let webhook = body_of(setup.handle(get(&format!("{path}/webhook"))).await)?;
    assert_eq!(webhook["password"], again["webhook"]["password"]);
    assert_eq!(bed.log_of(&name).await?.len(), 1);
    Ok(())
}

#[tokio::test]
async fn unlinking_that_was_cut_off_is_finished_by_the_next_call() -> Result<()> {
    for cut_at in [
        "secretsmanager.DeleteSecret",
        "DynamoDB_20120810.UpdateItem",
    ] {
        let bed = Bed::new()?;
        let linked = bed.linked().await?;
        let path = format!("/integrations/{}", linked.name);
        // The secrets cannot be removed; or they can, and the tombstone cannot be written after the beginning was.
        let judge = move |call: &str, number: usize| {
            let spared = usize::from(cut_at.ends_with("UpdateItem"));
            if call == cut_at && number > spared {
                Fate::Cut
            } else {
                Fate::Pass
            }
        };
        let tap = Tap::on(&bed.stack.description.endpoint_url, judge).await?;
        let cut = bed.unlink_at(&tap.url()).await;
        let (status, body) = parts(&cut.handle(send("DELETE", &path, &json!({}))).await)?;
        assert_eq!(
            (status, problem(&body)),
            (503, "unavailable"),
            "{cut_at}: {body}"
        );
        let webhook = bed.webhook().await;
        let event = new_event("ado/git.push.json").to_string();
        assert_eq!(
            post(&webhook, &linked, event).await,
            200,
            "{cut_at}: still stored meanwhile"
        );
        let finished = body_of(
            bed.unlink()
                .await
                .handle(send("DELETE", &path, &json!({})))
                .await,
        )?;
        assert_eq!(finished["status"], "unlinked", "{cut_at}");
        assert_eq!(
            post(&bed.webhook().await, &linked, "{}").await,
            410,
            "{cut_at}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_name_that_is_being_unlinked_cannot_be_set_up_and_one_being_set_up_cannot_be_unlinked()
-> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let linked = bed.linked().await?;
    let store = bed.store().await;
    store.begin_unlink(&linked.name, "one", now()).await?;
    let wanted = json!({ "name": linked.name, "organizationUrl": azure_devops.organization_url(), "personalAccessToken": azure_devops.token("good") });
    let (status, body) = parts(
        &bed.setup(&azure_devops)
            .await?
            .handle(send("POST", "/integrations", &wanted))
            .await,
    )?;
    assert_eq!((status, problem(&body)), (409, "name-taken"), "{body}");

    let (name, organization) = (
        new_name("claimed").parse()?,
        domain::Organization::new("https://dev.azure.com", "tidewater".parse()?),
    );
    let claim = store::Claim {
        name: &name,
        nonce: "one",
        organization: &organization,
    };
    store.claim(&claim, now()).await?;
    let path = format!("/integrations/{name}");
    let (status, body) = parts(
        &bed.unlink()
            .await
            .handle(send("DELETE", &path, &json!({})))
            .await,
    )?;
    assert_eq!((status, problem(&body)), (409, "in-progress"), "{body}");
    Ok(())
}

#[tokio::test]
async fn a_claim_that_ran_out_can_be_taken_over_or_unlinked() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let (store, organization) = (
        bed.store().await,
        domain::Organization::new("https://dev.azure.com", "tidewater".parse()?),
    );
    let long_ago = now() - jiff::SignedDuration::from_mins(3);
    for take_over in [true, false] {
        let name: domain::IntegrationName = new_name("ran-out").parse()?;
        let claim = store::Claim {
            name: &name,
            nonce: "one",
            organization: &organization,
        };
        store.claim(&claim, long_ago).await?;
        let path = format!("/integrations/{name}");
        if take_over {
            let wanted = json!({ "name": name, "organizationUrl": azure_devops.organization_url(), "personalAccessToken": azure_devops.token("good") });
            let (status, body) = parts(
                &bed.setup(&azure_devops)
                    .await?
                    .handle(send("POST", "/integrations", &wanted))
                    .await,
            )?;
            assert_eq!(status, 201, "{body}");
        } else {
            let done = body_of(
                bed.unlink()
                    .await
                    .handle(send("DELETE", &path, &json!({})))
                    .await,
            )?;
            assert_eq!(done["status"], "unlinked");
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_name_is_404() -> Result<()> {
    let bed = Bed::new()?;
    for method in ["GET", "DELETE"] {
        let request = send(
            method,
            &format!("/integrations/{}", new_name("nobody")),
            &json!({}),
        );
        let (status, body) = parts(&bed.unlink().await.handle(request).await)?;
        assert_eq!((status, problem(&body)), (404, "not-found"), "{method}");
    }
    Ok(())
}
