//! `POST /integrations/{name}/webhook/rotation`: a new webhook password, without a delivery being refused.
//!
//! The order is what keeps deliveries accepted: the new password counts, and every instance of the webhook has had the time
//! to look, before anybody can read it; then the service hooks are given it; and only when all of them have it the old one is
//! given its end, which is when its grace has passed. Whatever step it is cut off at, the
//! next call goes on from there; a password that nobody could read is forgotten then.

use std::time::Duration;

use domain::{
    Integration, IntegrationName, PasswordDigest, ServiceHook, WebhookPassword,
    password::{TooManyPasswords, with_end, with_new},
};
use edge::http::{Answer, moment};
use edge::{Problem, ProblemKind};
use hooks::{Given, NewPassword};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use lambda_http::Request;
use secrets::SecretsError;
use serde::Deserialize;
use serde_json::json;
use store::Leased;

use crate::{
    App,
    lease::{self, Held},
    note, problems,
    service_hooks::shown_left,
};

/// For how long a rotation that was cut off is gone on with. Later, its password may have been anywhere.
const RESUMED: SignedDuration = SignedDuration::from_mins(15);
/// For how many hours the previous password still counts where nothing is asked for, and at most.
const GRACE_HOURS: (u32, u32) = (24, 168);
/// The same, for where nothing can be asked for.
pub(crate) const GRACE: SignedDuration = SignedDuration::from_hours(GRACE_HOURS.0 as i64);

/// How long giving it to the service hooks may take: less than the lease lasts.
const GIVING: Duration = Duration::from_secs(45);
/// What is told where the old password goes on counting.
const KEPT: &str = "some service hooks could not be given the new password, so the previous one counts without an end: as soon as they have it, which each pass of reconcile tries, every 15 minutes as a rule, unless mending is off, it ends a day later; PUT …/service-hooks/{project} gives it to them now";
/// What is told where it does not.
const REFUSED: &str = "some service hooks could not be given the new password and are refused until they have it, which each pass of reconcile tries, every 15 minutes as a rule, unless mending is off; PUT …/service-hooks/{project} does it now";

/// The request's body; an empty one asks for what is usual.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RotationRequest {
    grace_hours: Option<u32>,
    force: Option<bool>,
}

/// The request, understood.
#[derive(Clone, Copy)]
struct Wanted {
    grace: SignedDuration,
    force: bool,
}

/// `POST /integrations/{name}/webhook/rotation`.
pub(crate) async fn rotation(app: &App, request: &Request, name: &str, now: Timestamp) -> Answer {
    let body: RotationRequest = edge::http::optional_body(request)?;
    let wanted = body.understood()?;
    let integration = app.active(name).await?;
    lease::held(app, &integration.name, now, async |leased, held| {
        rotate(app, leased, held, wanted, now).await
    })
    .await
}

async fn rotate(app: &App, leased: Leased, held: &Held, wanted: Wanted, now: Timestamp) -> Answer {
    let nonce = held.nonce();
    let integration = &leased.integration;
    let name = &integration.name;
    let hooks = app.store.hooks_of(name).await.map_err(Problem::ours)?;
    let (password, digests) = match written(app, &leased).await? {
        Some((password, since)) if !wanted.force && now.duration_since(since) <= RESUMED => {
            (password, leased.digests)
        }
        // A password that could be read is one like any other by now; with `force`, or where a hook has another, those before
        // it end with this rotation.
        Some((password, _)) => {
            let current = PasswordDigest::of(password.expose().as_bytes()).sha256;
            let digests = if wanted.force || !hooks::all_have(&hooks, &password) {
                leased.digests
            } else {
                with_end(&leased.digests, &current, now + wanted.grace, now)
            };
            begin(app, name, nonce, digests, wanted, now).await?
        }
        None => {
            let unread = leased.unfinished.map(|unfinished| unfinished.sha256);
            let mut digests = leased.digests;
            digests.retain(|digest| Some(digest.sha256) != unread);
            begin(app, name, nonce, digests, wanted, now).await?
        }
    };
    // Those that a person made keep the old one until a person changes them, which is what the grace is for.
    let given = give(app, integration, &password, hooks, now).await;
    if given.cut_off {
        held.leave();
    }
    let current = PasswordDigest::of(password.expose().as_bytes()).sha256;
    let is_at_once = wanted.force && wanted.grace.is_zero();
    let until = (given.failed.is_empty() || is_at_once).then(|| now + wanted.grace);
    let digests = match until {
        Some(until) => with_end(&digests, &current, until, now),
        None => digests,
    };
    let is_ours = app
        .store
        .end_rotation(name, nonce, &digests, now)
        .await
        .map_err(Problem::ours)?;
    if !is_ours {
        return Err(problems::lease_lost());
    }
    let failed = given.failed.iter();
    let mut body = json!({
        "endpoint": app.endpoint(name),
        "password": password.expose(),
        "previousPasswordValidUntil": until.map(moment),
        "serviceHooks": {
            "updated": given.updated.len(),
            "failed": failed.map(|(hook, why)| shown_left(hook, why)).collect::<Vec<_>>(),
        },
    });
    match (given.failed.is_empty(), until) {
        (true, _) => {}
        (false, None) => note(&mut body, KEPT),
        (false, Some(_)) => note(&mut body, REFUSED),
    }
    if given.cut_off {
        note(&mut body, lease::STAYS);
    }
    Ok((StatusCode::OK, body))
}

/// Gives the integration's service hooks the password.
async fn give(
    app: &App,
    integration: &Integration,
    password: &WebhookPassword,
    hooks: Vec<ServiceHook>,
    now: Timestamp,
) -> Given {
    if hooks.is_empty() {
        return Given::default();
    }
    let client = match app.client(integration).await {
        Ok(client) => client,
        Err(problem) => {
            let failed = hooks
                .into_iter()
                .map(|hook| (hook, problem.detail().to_owned()));
            return Given {
                failed: failed.collect(),
                ..Given::default()
            };
        }
    };
    let new = NewPassword {
        integration: &integration.name,
        endpoint: &app.endpoint(&integration.name),
        password,
    };
    let time = GIVING.min(app.hooks_within);
    hooks::give_password(&client, &app.store, &new, hooks, time, now).await
}

/// The new password of a rotation that was cut off after the secret was written, and when that one began.
async fn written(
    app: &App,
    leased: &Leased,
) -> Result<Option<(WebhookPassword, Timestamp)>, Problem> {
    let Some(unfinished) = leased.unfinished else {
        return Ok(None);
    };
    match app.secrets.password(&leased.integration.name).await {
        Ok(password) => {
            let sha256 = PasswordDigest::of(password.expose().as_bytes()).sha256;
            Ok((sha256 == unfinished.sha256).then_some((password, unfinished.since)))
        }
        Err(SecretsError::Missing(_) | SecretsError::Unreadable(_)) => Ok(None),
        Err(error) => Err(Problem::ours(error)),
    }
}

/// Makes a new password: first it counts, everywhere, and then it can be read.
async fn begin(
    app: &App,
    name: &IntegrationName,
    nonce: &str,
    kept: Vec<PasswordDigest>,
    wanted: Wanted,
    now: Timestamp,
) -> Result<(WebhookPassword, Vec<PasswordDigest>), Problem> {
    let password = secrets::generate_password().map_err(Problem::ours)?;
    let digest = PasswordDigest::of(password.expose().as_bytes());
    let digests = with_new(&kept, digest.clone(), now, wanted.force).map_err(too_many_passwords)?;
    let is_ours = app
        .store
        .begin_rotation(name, nonce, &digests, &digest.sha256, now)
        .await
        .map_err(Problem::ours)?;
    if !is_ours {
        return Err(problems::lease_lost());
    }
    // Instances of the webhook may have looked just before the new digest was there.
    tokio::time::sleep(app.config.lookup_rest).await;
    app.secrets
        .keep_password(name, &password)
        .await
        .map_err(Problem::ours)?;
    Ok((password, digests))
}

fn too_many_passwords(too_many: TooManyPasswords) -> Problem {
    let until = too_many.first_end.map_or(
        " until all service hooks have the newest".to_owned(),
        |end| format!(" (the first of them until {})", moment(end)),
    );
    Problem::new(
        ProblemKind::TooManyPasswords,
        format!(
            "{too_many}{until}: wait for that, or pass \"force\": true, which ends that one now"
        ),
    )
}

impl RotationRequest {
    fn understood(self) -> Result<Wanted, Problem> {
        let (usual, most) = GRACE_HOURS;
        let (hours, force) = (
            self.grace_hours.unwrap_or(usual),
            self.force.unwrap_or(false),
        );
        if hours > most {
            return Err(Problem::field(
                "graceHours",
                &format!("a number of hours from 0 to {most}"),
            ));
        }
        if hours == 0 && !force {
            return Err(Problem::field(
                "graceHours",
                &"0 makes Azure DevOps lose events until its service hooks have the new password: pass \"force\": true if the old one must not count any longer",
            ));
        }
        Ok(Wanted {
            grace: SignedDuration::from_hours(i64::from(hours)),
            force,
        })
    }
}
