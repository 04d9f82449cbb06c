//! What went wrong with an integration or with Azure DevOps, as the caller is told it.

use ado::AdoError;
use domain::Status;
use edge::{Problem, ProblemKind};

/// There is no integration of that name.
#[must_use]
pub fn no_such_integration() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "there is no integration of this name; GET /integrations on the setup function lists them",
    )
}

/// The integration is there, and cannot be used in this state.
#[must_use]
pub fn not_active(status: Status) -> Problem {
    let detail = match status {
        Status::Pending => {
            "setting this integration up was not finished: set it up once more under the same name, or unlink it"
        }
        _ => {
            "this integration is being unlinked: finish that (DELETE on the unlink function), then set it up again"
        }
    };
    Problem::new(ProblemKind::InProgress, detail)
}

/// A refusal of Azure DevOps, wherever it is met.
#[must_use]
pub fn of_azure_devops(error: AdoError) -> Problem {
    match error {
        AdoError::TokenRefused | AdoError::SignInPage => Problem::new(
            ProblemKind::TokenRefused,
            "Azure DevOps refuses the personal access token. It may be mistyped, expired, revoked, or made for another organization: make one for this organization and paste it whole.",
        )
        .at("personalAccessToken"),
        AdoError::TokenExpired => Problem::new(
            ProblemKind::TokenRefused,
            "The personal access token has expired: make a new one in Azure DevOps, with Code (Read & write).",
        )
        .at("personalAccessToken"),
        AdoError::Denied(message) => lacks_scope(&message),
        AdoError::NotFound(message) => Problem::new(
            ProblemKind::NotFound,
            with_message("Azure DevOps does not have this, or the token's user may not see it.", &message),
        ),
        AdoError::SlowDown { retry_after } => Problem::new(
            ProblemKind::AzureDevOpsSlowDown,
            match retry_after {
                Some(seconds) => format!("Azure DevOps asks to slow down: try again in {seconds} seconds."),
                None => "Azure DevOps asks to slow down: try again in a few minutes.".to_owned(),
            },
        )
        .retry_after(retry_after),
        AdoError::Spent => Problem::new(
            ProblemKind::AzureDevOpsSlowDown,
            "Azure DevOps was asked as often as it may be for now: try again in a few minutes.",
        ),
        AdoError::Unreachable(what) => Problem::new(
            ProblemKind::AzureDevOpsUnreachable,
            format!("Azure DevOps cannot be reached ({what}). Try again in a moment."),
        ),
        AdoError::Refused(message) => Problem::new(
            ProblemKind::AzureDevOpsUnexpected,
            with_message("Azure DevOps does not take what was asked of it.", &message),
        ),
        AdoError::Garbled(what) | AdoError::Unexpected(what) => Problem::new(
            ProblemKind::AzureDevOpsUnexpected,
            with_message("Azure DevOps gave an answer that is not understood; is the organization URL right?", &what),
        ),
    }
}

/// The token is good, and lacks the scope or its user the permission.
#[must_use]
pub fn lacks_scope(message: &str) -> Problem {
    let advice = "The personal access token needs the scope Code (Read & write), and its user at least Basic access to a project with repositories.";
    Problem::new(ProblemKind::TokenLacksScope, with_message(advice, message))
        .at("personalAccessToken")
}

/// Azure DevOps' own message, made harmless and put behind ours.
fn with_message(advice: &str, message: &str) -> String {
    if message.is_empty() {
        advice.to_owned()
    } else {
        format!(
            "{advice} Azure DevOps says: {}",
            domain::summary::plain(message)
        )
    }
}
