//! What this function refuses, as the caller is told it.

use edge::{Problem, ProblemKind};

/// There is no stack of that name.
pub(crate) fn no_such_stack() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        "there is no stack of this name; GET /stacks lists them",
    )
}

/// The name is taken.
pub(crate) fn name_taken() -> Problem {
    let detail = "there is a stack of this name already: take another name, or change that one";
    Problem::new(ProblemKind::NameTaken, detail).at("name")
}

/// It is not as the caller read it, or as this function did a moment ago.
pub(crate) fn changed_since() -> Problem {
    Problem::new(
        ProblemKind::ChangedSince,
        "somebody has changed this stack since you read it: read it again, and send your change with the new updatedAt",
    )
    .at("updatedAt")
}

/// It follows nothing, so there is nothing to run on.
pub(crate) fn detached() -> Problem {
    Problem::new(
        ProblemKind::StackDetached,
        "this stack is detached, since its integration was unlinked: attach it first, by PATCH with the name of the integration that it is to follow its repository by",
    )
}
