//! Changing the webhook password without a delivery being refused.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::{Context, Result, ensure};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::support::{
    Bed, Fate, Linked, Tap, answer::INTERNAL_ERROR, azure_devops, get, json as body_of, new_event,
    now, parts, post, problem, send,
};

fn push() -> String {
    new_event("ado/git.push.json").to_string()
}

async fn rotate(app: &setup::App, linked: &Linked, wanted: &Value) -> Result<(u16, Value)> {
    let path = format!("/integrations/{}/webhook/rotation", linked.name);
    parts(&app.handle(send("POST", &path, wanted)).await)
}

/// The integration with the password that an answer gave.
fn with_password_of(linked: &Linked, answer: &Value) -> Result<Linked> {
    Ok(Linked {
        password: answer["password"].as_str().context("no password")?.into(),
        ..linked.clone()
    })
}

async fn shown_password(app: &setup::App, linked: &Linked) -> Result<Value> {
    let path = format!("/integrations/{}/webhook", linked.name);
    body_of(app.handle(get(&path)).await)
}

/// Until when the password before counts, as it is shown with the password and without; `None` where nothing is shown of it.
async fn shown_end(app: &setup::App, linked: &Linked) -> Result<Option<Value>> {
    let with_it = shown_password(app, linked).await?;
    let path = format!("/integrations/{}", linked.name);
    let without = body_of(app.handle(get(&path)).await)?;
    let end = |shown: &Value| shown.get("previousPasswordValidUntil").cloned();
    ensure!(end(&with_it) == end(&without), "{without}");
    Ok(end(&with_it))
}

#[tokio::test]
async fn a_rotation_gives_a_new_password_and_the_old_one_counts_until_its_grace_is_over()
-> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let setup = bed.setup(&azure_devops).await?;
    let linked = bed.set_up(&setup, &azure_devops).await?;
    let warm = bed.webhook().await;
    assert_eq!(post(&warm, &linked, push()).await, 200);
    assert_eq!(shown_end(&setup, &linked).await?, None);

    let (status, answer) = rotate(&setup, &linked, &json!({})).await?;
    assert_eq!(status, 200, "{answer}");
    let new = with_password_of(&linked, &answer)?;
    assert_ne!(new.password, linked.password);
    let until: Timestamp = answer["previousPasswordValidUntil"]
        .as_str()
        .context("no end")?
        .parse()?;
    let a_day_from_now = now() + SignedDuration::from_hours(24);
    assert!((a_day_from_now.duration_since(until)).abs() < SignedDuration::from_mins(1));
    let shown = shown_end(&setup, &linked).await?;
    assert_eq!(shown, Some(answer["previousPasswordValidUntil"].clone()));

    // The instance that is warm has read the old digest alone.
    assert_eq!(post(&warm, &new, push()).await, 200);
    assert_eq!(post(&warm, &linked, push()).await, 200);
    let shown = shown_password(&setup, &linked).await?;
    assert_eq!(shown["password"], answer["password"]);
    assert_eq!(shown["endpoint"], answer["endpoint"]);
    Ok(())
}

#[tokio::test]
async fn a8_after_the_grace_the_old_password_is_refused_like_any_other() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let setup = bed.setup(&azure_devops).await?;
    let linked = bed.set_up(&setup, &azure_devops).await?;
    let (status, body) = rotate(&setup, &linked, &json!({ "graceHours": 0 })).await?;
    assert_eq!((status, problem(&body)), (422, "invalid-field"), "{body}");
    assert_eq!(body["field"], "graceHours");
    let (status, answer) =
        rotate(&setup, &linked, &json!({ "graceHours": 0, "force": true })).await?;
    assert_eq!(status, 200, "{answer}");
    let app = bed.webhook().await;
    assert_eq!(post(&app, &linked, push()).await, 401);
    let new = with_password_of(&linked, &answer)?;
    assert_eq!(post(&app, &new, push()).await, 200);
    assert_eq!(shown_end(&setup, &linked).await?, None, "one counts");
    Ok(())
}

#[tokio::test]
async fn k4_no_delivery_is_refused_while_the_password_changes_under_a_burst() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let setup = bed.setup(&azure_devops).await?;
    let linked = bed.set_up(&setup, &azure_devops).await?;
    // A young password is shown only when every instance takes it.
    shown_password(&setup, &linked).await?;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut senders = tokio::task::JoinSet::new();
    let current = Arc::new(std::sync::Mutex::new(linked.clone()));
    for _ in 0..4 {
        let app = bed.webhook().await;
        let (is_over, current, old) = (Arc::clone(&is_over), Arc::clone(&current), linked.clone());
        let setup = bed.setup(&azure_devops).await?;
        senders.spawn(async move {
            let mut answers = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                // So that the instance has looked at the record a moment ago, as often as it may.
                let wrong = Linked {
                    password: "wrong".to_owned(),
                    ..old.clone()
                };
                assert_eq!(post(&app, &wrong, "{}").await, 401);
                // A hook that has the newest password, one that still has the oldest, and one that has what is shown now.
                let newest = current.lock().expect("no sender panics").clone();
                let shown = shown_password(&setup, &old).await.expect("it is active");
                let shown = with_password_of(&old, &shown).expect("it has one");
                for sender in [&newest, &old, &shown] {
                    answers.push(post(&app, sender, push()).await.as_u16());
                }
            }
            answers
        });
    }
    for _ in 0..2 {
        let (status, answer) = rotate(&setup, &linked, &json!({ "graceHours": 1 })).await?;
        assert_eq!(status, 200, "{answer}");
        *current.lock().expect("no sender panics") = with_password_of(&linked, &answer)?;
    }
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    is_over.store(true, Ordering::Relaxed);
    let answers: Vec<u16> = senders.join_all().await.into_iter().flatten().collect();
    assert!(answers.len() > 50, "{}", answers.len());
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    Ok(())
}

#[tokio::test]
async fn of_two_people_who_rotate_at_once_one_gets_200_and_one_409() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let setup = bed.setup(&azure_devops).await?;
    let linked = bed.set_up(&setup, &azure_devops).await?;
    let wanted = json!({});
    let (one, other) = tokio::join!(
        rotate(&setup, &linked, &wanted),
        rotate(&setup, &linked, &wanted)
    );
    let mut answers = [one?, other?];
    answers.sort_by_key(|(status, _)| *status);
    let [(first, answer), (second, refusal)] = answers;
    assert_eq!((first, second), (200, 409), "{answer} {refusal}");
    assert_eq!(problem(&refusal), "in-progress");
    let shown = shown_password(&setup, &linked).await?;
    assert_eq!(shown["password"], answer["password"]);
    Ok(())
}

#[tokio::test]
async fn a_fifth_password_is_refused_and_takes_force() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let setup = bed.setup(&azure_devops).await?;
    let linked = bed.set_up(&setup, &azure_devops).await?;
    for _ in 0..3 {
        let (status, answer) = rotate(&setup, &linked, &json!({})).await?;
        assert_eq!(status, 200, "{answer}");
    }
    let (status, body) = rotate(&setup, &linked, &json!({})).await?;
    assert_eq!((status, problem(&body)), (409, "too-many-passwords"));
    assert!(
        body["detail"]
            .as_str()
            .is_some_and(|what| what.contains("20")),
        "it says until when: {body}"
    );
    let shown = shown_password(&setup, &linked).await?;
    let current = with_password_of(&linked, &shown)?;
    let app = bed.webhook().await;
    assert_eq!(post(&app, &linked, push()).await, 200, "the oldest of four");
    assert_eq!(post(&app, &current, push()).await, 200);

    let (status, answer) = rotate(&setup, &linked, &json!({ "force": true })).await?;
    assert_eq!(status, 200, "{answer}");
    let app = bed.webhook().await;
    assert_eq!(post(&app, &linked, push()).await, 401, "it made room");
    assert_eq!(post(&app, &current, push()).await, 200);
    let newest = with_password_of(&linked, &answer)?;
    assert_eq!(post(&app, &newest, push()).await, 200);
    Ok(())
}

#[tokio::test]
async fn grace_hours_that_cannot_be_are_refused_and_change_nothing() -> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let setup = bed.setup(&azure_devops).await?;
    let linked = bed.set_up(&setup, &azure_devops).await?;
    for (wanted, status, field) in [
        (json!({ "graceHours": 169 }), 422, "graceHours"),
        (json!({ "graceHours": -1 }), 400, "graceHours"),
        (json!({ "graceHours": "1" }), 400, "graceHours"),
        (json!({ "grace": 1 }), 400, "grace"),
    ] {
        let (got, body) = rotate(&setup, &linked, &wanted).await?;
        assert_eq!(got, status, "{wanted}: {body}");
        assert_eq!(body["field"], field, "{wanted}");
    }
    let shown = shown_password(&setup, &linked).await?;
    assert_eq!(shown["password"], linked.password.as_str());
    let nobody = Linked {
        name: crate::support::new_name("nobody").parse()?,
        ..linked
    };
    let (status, body) = rotate(&setup, &nobody, &json!({})).await?;
    assert_eq!((status, problem(&body)), (404, "not-found"));
    Ok(())
}

#[tokio::test]
async fn a_password_that_was_just_made_is_taken_by_an_instance_that_has_just_looked_in_vain()
-> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let (setup, app) = (bed.setup(&azure_devops).await?, bed.webhook().await);
    let name = crate::support::new_name("vain");
    let stranger = Linked {
        name: name.parse()?,
        password: "wrong".to_owned(),
    };
    // A new name, and then the same over its tombstone.
    for _ in 0..2 {
        let strangers = async {
            loop {
                assert_eq!(post(&app, &stranger, "{}").await, 401);
                let shown = shown_password(&setup, &stranger).await;
                if let Ok(shown) = shown {
                    return with_password_of(&stranger, &shown);
                }
            }
        };
        let (made, shown) = tokio::join!(bed.set_up_as(&setup, &azure_devops, &name), strangers);
        let (made, shown) = (made?, shown?);
        assert_eq!(made.password, shown.password);
        assert_eq!(post(&app, &shown, push()).await, 200);
        let unlink = send("DELETE", &format!("/integrations/{name}"), &json!({}));
        body_of(bed.unlink().await.handle(unlink).await)?;
        assert_eq!(post(&bed.webhook().await, &made, push()).await, 410);
    }
    Ok(())
}

#[tokio::test]
async fn a_rotation_that_was_cut_off_is_gone_on_with_unless_the_password_has_to_be_another()
-> Result<()> {
    let (bed, azure_devops) = (Bed::new()?, azure_devops().await?);
    let setup = bed.setup(&azure_devops).await?;
    for (wanted, is_same) in [
        (json!({}), true),
        (json!({ "graceHours": 0, "force": true }), false),
    ] {
        let linked = bed.set_up(&setup, &azure_devops).await?;
        // It ends when the secret is written.
        let is_written = AtomicBool::new(false);
        let fails = Tap::on(&bed.stack.description.endpoint_url, move |call, _| {
            if call == "secretsmanager.PutSecretValue" {
                is_written.store(true, Ordering::Relaxed);
            }
            if call.ends_with("UpdateItem") && is_written.load(Ordering::Relaxed) {
                Fate::Answer(INTERNAL_ERROR)
            } else {
                Fate::Pass
            }
        })
        .await?;
        let cut = bed.setup_at(&azure_devops, &fails.url()).await?;
        let (status, body) = rotate(&cut, &linked, &json!({})).await?;
        assert_eq!((status, problem(&body)), (503, "unavailable"), "{body}");
        let shown = with_password_of(&linked, &shown_password(&setup, &linked).await?)?;
        assert_ne!(shown.password, linked.password);
        assert_eq!(post(&bed.webhook().await, &shown, push()).await, 200);
        // Hooks made by hand may have the one before as long as nobody was told this one.
        assert_eq!(shown_end(&setup, &linked).await?, Some(Value::Null));

        let (status, body) = rotate(&setup, &linked, &wanted).await?;
        assert_eq!(
            (status, problem(&body)),
            (409, "in-progress"),
            "for two minutes"
        );
        bed.two_minutes_pass(linked.name.as_str()).await?;
        let (status, answer) = rotate(&setup, &linked, &wanted).await?;
        assert_eq!(status, 200, "{answer}");
        let new = with_password_of(&linked, &answer)?;
        assert_eq!(new.password == shown.password, is_same);
        let app = bed.webhook().await;
        assert_eq!(post(&app, &new, push()).await, 200);
        let of_the_old = if is_same { 200 } else { 401 };
        assert_eq!(post(&app, &linked, push()).await, of_the_old);
    }
    Ok(())
}
