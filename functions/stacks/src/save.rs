//! What follows a save: whether the integration was unlinked meanwhile, and the answer.

use domain::{Integration, Stack, Status};
use edge::{Problem, http::Answer};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::{App, problems, show};

/// The answer to a save, with what a person should know.
///
/// A stack that was linked while its integration was being unlinked may have come too late to be detached with the others. So
/// the integration is looked at once more, after the write: either it is still what it was, and unlinking will find the stack,
/// or the stack is detached here.
pub(crate) async fn saved(
    app: &App,
    status: StatusCode,
    stack: Stack,
    linked_to: Option<&Integration>,
    notes: &[String],
    now: Timestamp,
) -> Answer {
    let mut stack = stack;
    if let Some(before) = linked_to {
        let integration = app
            .store
            .integration(&before.name)
            .await
            .map_err(Problem::ours)?;
        let is_the_same = integration
            .is_some_and(|it| it.status == Status::Active && it.created_at == before.created_at);
        if !is_the_same {
            // Another moment than the one just written, so that whoever has read that one is refused.
            let now = now.max(stack.updated_at + SignedDuration::from_micros(1));
            app.store
                .detach(&stack.name, &before.name, now)
                .await
                .map_err(Problem::ours)?;
            let name = stack.name;
            let now_is = app.store.stack(&name).await.map_err(Problem::ours)?;
            stack = now_is.ok_or_else(problems::no_such_stack)?;
        }
    }
    let mut body = show::shown(&stack);
    if !notes.is_empty() {
        body["notes"] = json!(notes);
    }
    Ok((status, body))
}
