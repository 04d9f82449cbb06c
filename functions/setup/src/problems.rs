//! What only setting up and changing can meet, as the caller is told it.

use edge::{Problem, ProblemKind};

/// Somebody else holds the lease.
pub(crate) fn being_changed() -> Problem {
    Problem::new(
        ProblemKind::InProgress,
        "somebody is changing this integration's token, password or service hooks right now: look again in two minutes",
    )
}

/// The lease ran out before the work was done.
pub(crate) fn lease_lost() -> Problem {
    Problem::new(
        ProblemKind::InProgress,
        "this took too long, and somebody else has begun to change the integration or to unlink it: look at it, and try again",
    )
}

/// The organization is not there.
pub(crate) fn no_such_organization() -> Problem {
    Problem::new(
        ProblemKind::OrganizationNotFound,
        "Azure DevOps has no organization of this name: compare the URL with the one in your browser.",
    )
    .at("organizationUrl")
}
