//! What stacks have seen of a repository before anything was missed: where comparing it begins.
