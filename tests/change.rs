//! `PATCH /integrations/{name}`: the token, the description, the labels.

use anyhow::{Context, Result};
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::{
    Bed, Linked, azure_devops, get, json as body_of, now, parts, portal, post, problem, send,
};

async fn patch(app: &setup::App, linked: &Linked, wanted: &Value) -> Result<(u16, Value)> {
    let path = format!("/integrations/{}", linked.name);
    parts(&app.handle(send("PATCH", &path, wanted)).await)
}

async fn shown(app: &setup::App, linked: &Linked) -> Result<Value> {
    body_of(
        app.handle(get(&format!("/integrations/{}", linked.name)))
            .await,
    )
}

/// Whether the token that is kept is `token`.
async fn keeps(bed: &Bed, linked: &Linked, token: &str) -> Result<bool> {
    let kept = bed.secrets().await.credential(&linked.name).await?;
    let domain::Credential::PersonalAccessToken(kept) = kept;
    let expected = domain::PersonalAccessToken::from_pasted(&SecretString::from(token.to_owned()))?;
    Ok(kept.expose() == expected.expose())
}

#[tokio::test]
async fn what_is_written_about_an_integration_can_be_changed_and_removed() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let setup = bed.setup(&azure_devops).await?;
    let linked = bed.set_up(&setup, &azure_devops).await?;
    let before = shown(&setup, &linked).await?;
    let wanted = json!({ "description": "the harbour", "labels": ["prod", "eu"], "personalAccessTokenExpiresOn": "2031-01-31" });
    let (status, changed) = patch(&setup, &linked, &wanted).await?;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed, shown(&setup, &linked).await?);
    for field in ["description", "labels", "personalAccessTokenExpiresOn"] {
        assert_eq!(changed[field], wanted[field], "{field}");
    }
    assert_eq!(changed["createdAt"], before["createdAt"]);
    assert_ne!(changed["updatedAt"], before["updatedAt"]);
    assert_eq!(changed["connection"], before["connection"]);

    let wanted =
        json!({ "description": null, "labels": null, "personalAccessTokenExpiresOn": null });
    let (status, changed) = patch(&setup, &linked, &wanted).await?;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed["labels"], json!([]));
    assert!(changed["description"].is_null() && changed["personalAccessTokenExpiresOn"].is_null());
    Ok(())
}

#[tokio::test]
async fn a_new_token_is_tried_before_it_takes_the_place_of_the_old_one() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let setup = bed.setup(&azure_devops).await?;
    let linked = bed.set_up(&setup, &azure_devops).await?;
    let (status, _) = patch(
        &setup,
        &linked,
        &json!({ "personalAccessTokenExpiresOn": "2031-01-31" }),
    )
    .await?;
    assert_eq!(status, 200);
    for (token, kind) in [
        ("expired", "token-refused"),
        ("unknown", "token-refused"),
        ("withoutScope", "token-lacks-scope"),
        ("otherOrganization", "token-refused"),
    ] {
        let wanted = json!({ "personalAccessToken": azure_devops.token(token) });
        let before = shown(&setup, &linked).await?;
        let (status, body) = patch(&setup, &linked, &wanted).await?;
        assert_eq!((status, problem(&body)), (422, kind), "{token}: {body}");
        assert!(keeps(&bed, &linked, azure_devops.token("good")).await?);
        assert_eq!(shown(&setup, &linked).await?, before, "{token}");
    }
    let wanted = json!({ "personalAccessToken": format!(" {}\n", azure_devops.token("older")) });
    let (status, changed) = patch(&setup, &linked, &wanted).await?;
    assert_eq!(status, 200, "{changed}");
    assert!(keeps(&bed, &linked, azure_devops.token("older")).await?);
    assert_eq!(
        changed["notifications"],
        json!(["Connecting to Azure DevOps succeeded"])
    );
    assert!(
        changed["personalAccessTokenExpiresOn"].is_null(),
        "the old token's day says nothing of the new one"
    );
    assert_eq!(changed["connection"]["status"], "succeeded");
    assert_eq!(post(&bed.webhook().await, &linked, "{}").await, 200);
    Ok(())
}

#[tokio::test]
async fn a_failed_connection_is_mended_by_a_new_token() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let setup = bed.setup(&azure_devops).await?;
    let linked = bed.set_up(&setup, &azure_devops).await?;
    portal(&azure_devops)?
        .control(reqwest::Method::POST, "tokens/good/expire", Value::Null)
        .await?;
    let verify = format!("/integrations/{}/verification", linked.name);
    let (status, _) = parts(&setup.handle(send("POST", &verify, &json!({}))).await)?;
    assert_eq!(status, 422);
    assert_eq!(
        shown(&setup, &linked).await?["connection"]["status"],
        "failed"
    );
    let wanted = json!({ "personalAccessToken": azure_devops.token("older") });
    let (status, changed) = patch(&setup, &linked, &wanted).await?;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(changed["connection"]["status"], "succeeded");
    assert!(changed["connection"]["failure"].is_null());
    Ok(())
}

#[tokio::test]
async fn u8_of_two_people_who_edit_what_they_have_read_the_second_is_told() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let setup = bed.setup(&azure_devops).await?;
    let linked = bed.set_up(&setup, &azure_devops).await?;
    let read = shown(&setup, &linked).await?["updatedAt"].clone();
    let mine = json!({ "description": "mine", "updatedAt": read });
    let (status, changed) = patch(&setup, &linked, &mine).await?;
    assert_eq!(status, 200, "{changed}");
    let token = azure_devops.token("older");
    for theirs in [
        json!({ "description": "theirs", "updatedAt": read }),
        json!({ "personalAccessToken": token, "updatedAt": read }),
    ] {
        let (status, body) = patch(&setup, &linked, &theirs).await?;
        assert_eq!((status, problem(&body)), (409, "changed-since"), "{body}");
    }
    assert_eq!(shown(&setup, &linked).await?["description"], "mine");
    assert!(keeps(&bed, &linked, azure_devops.token("good")).await?);
    let again = json!({ "description": "theirs", "updatedAt": changed["updatedAt"] });
    let (status, body) = patch(&setup, &linked, &again).await?;
    assert_eq!(status, 200, "{body}");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_changed_is_refused_by_name() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let setup = bed.setup(&azure_devops).await?;
    let linked = bed.set_up(&setup, &azure_devops).await?;
    let before = azure_devops.requests().len();
    for (wanted, status, field) in [
        (json!({}), 400, None),
        (json!({ "updatedAt": "2026-11-23T12:00:00Z" }), 400, None),
        (json!({ "name": "other" }), 400, Some("name")),
        (
            json!({ "organizationUrl": "https://dev.azure.com/x" }),
            400,
            Some("organizationUrl"),
        ),
        (
            json!({ "description": "x".repeat(1_001) }),
            422,
            Some("description"),
        ),
        (json!({ "labels": [""] }), 422, Some("labels")),
        (
            json!({ "personalAccessToken": null, "description": "x" }),
            422,
            Some("personalAccessToken"),
        ),
        (
            json!({ "personalAccessToken": "short" }),
            422,
            Some("personalAccessToken"),
        ),
        (
            json!({ "personalAccessTokenExpiresOn": "2020-01-01" }),
            422,
            Some("personalAccessTokenExpiresOn"),
        ),
    ] {
        let (got, body) = patch(&setup, &linked, &wanted).await?;
        assert_eq!(got, status, "{wanted}: {body}");
        assert_eq!(body["field"].as_str(), field, "{wanted}: {body}");
    }
    assert_eq!(azure_devops.requests().len(), before, "no call was made");
    let nobody = Linked {
        name: crate::support::new_name("nobody").parse()?,
        ..linked.clone()
    };
    let (status, body) = patch(&setup, &nobody, &json!({ "description": "x" })).await?;
    assert_eq!((status, problem(&body)), (404, "not-found"));

    // Neither while it is being unlinked, nor when it is.
    bed.store()
        .await
        .begin_unlink(&linked.name, "one", now())
        .await?;
    let wanted = json!({ "description": "x", "personalAccessToken": azure_devops.token("older") });
    let (status, body) = patch(&setup, &linked, &wanted).await?;
    assert_eq!((status, problem(&body)), (409, "in-progress"), "{body}");
    body_of(
        bed.unlink()
            .await
            .handle(send(
                "DELETE",
                &format!("/integrations/{}", linked.name),
                &json!({}),
            ))
            .await,
    )
    .context("unlinking goes on")?;
    let (status, body) = patch(&setup, &linked, &wanted).await?;
    assert_eq!((status, problem(&body)), (404, "not-found"));
    Ok(())
}

#[tokio::test]
async fn a_token_that_was_tried_for_an_earlier_life_of_the_name_is_not_written() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let setup = bed.setup(&azure_devops).await?;
    let linked = bed.set_up(&setup, &azure_devops).await?;
    // Trying the token takes so long that the name is unlinked and set up again meanwhile.
    let slow = json!({ "kind": "latency", "milliseconds": 8_000, "times": 1 });
    portal(&azure_devops)?
        .control(reqwest::Method::POST, "faults", slow)
        .await?;
    let wanted = json!({ "personalAccessToken": azure_devops.token("older") });
    let meanwhile = async {
        // Its call is on its way, and meets the fault before ours do.
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let path = format!("/integrations/{}", linked.name);
        body_of(
            bed.unlink()
                .await
                .handle(send("DELETE", &path, &json!({})))
                .await,
        )?;
        bed.two_minutes_pass(linked.name.as_str()).await?;
        bed.set_up_as(&setup, &azure_devops, linked.name.as_str())
            .await
    };
    let (patched, again) = tokio::join!(patch(&setup, &linked, &wanted), meanwhile);
    let (again, (status, body)) = (again?, patched?);
    assert_eq!((status, problem(&body)), (409, "changed-since"), "{body}");
    assert!(keeps(&bed, &again, azure_devops.token("good")).await?);
    Ok(())
}

#[tokio::test]
async fn a_try_that_took_long_does_not_hide_what_a_later_one_found() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let setup = bed.setup(&azure_devops).await?;
    let linked = bed.set_up(&setup, &azure_devops).await?;
    let before = shown(&setup, &linked).await?;
    let failed = |seconds| domain::Connection {
        connected_as: "Ines Varga".to_owned(),
        checked_at: now() + jiff::SignedDuration::from_secs(seconds),
        failure: Some("the token has expired".to_owned()),
    };
    let store = bed.store().await;
    assert!(!store.record_connection(&linked.name, &failed(-60)).await?);
    assert_eq!(shown(&setup, &linked).await?, before);
    assert!(store.record_connection(&linked.name, &failed(1)).await?);
    let after = shown(&setup, &linked).await?;
    assert_eq!(after["connection"]["status"], "failed");
    assert_eq!(after["updatedAt"], before["updatedAt"], "it is no change");
    Ok(())
}
