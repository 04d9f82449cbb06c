//! Every call that the client makes, in one table: no URL is built from anything else, so that a test which goes through
//! the table has seen them all.

use reqwest::Method;

/// The variants, and a list of them that cannot lack one.
macro_rules! operations {
    ($($(#[$doc:meta])* $name:ident = $method:ident $path:literal $version:literal;)+) => {
        /// A call to Azure DevOps.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Operation { $($(#[$doc])* $name,)+ }

        impl Operation {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// Its HTTP method.
            #[must_use]
            pub const fn method(self) -> Method {
                match self { $(Self::$name => Method::$method,)+ }
            }

            /// Its path below the organization, with `{…}` for each thing that is named.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self { $(Self::$name => $path,)+ }
            }

            /// The REST version that it is asked in.
            pub(crate) const fn version(self) -> &'static str {
                match self { $(Self::$name => $version,)+ }
            }
        }
    };
}

operations! {
    /// Who the credential is. It never left preview.
    ConnectionData = GET "_apis/connectionData" "7.1-preview";
    /// The projects that the credential can see.
    Projects = GET "_apis/projects" "7.1";
    /// A project, by its name or GUID.
    Project = GET "_apis/projects/{project}" "7.1";
    /// The repositories of a project.
    Repositories = GET "{project}/_apis/git/repositories" "7.1";
    /// The refs of a repository, of which the client asks for branches.
    Refs = GET "{project}/_apis/git/repositories/{repository}/refs" "7.1";
    /// Files and directories of a repository, of which the client asks for one.
    Items = GET "{project}/_apis/git/repositories/{repository}/items" "7.1";
    /// What differs between two versions of a repository.
    Diffs = GET "{project}/_apis/git/repositories/{repository}/diffs/commits" "7.1";
    /// A commit of a repository.
    Commit = GET "{project}/_apis/git/repositories/{repository}/commits/{commit}" "7.1";
    /// A status for a commit.
    CommitStatus = POST "{project}/_apis/git/repositories/{repository}/commits/{commit}/statuses" "7.1";
    /// A pull request of a repository.
    PullRequest = GET "{project}/_apis/git/repositories/{repository}/pullRequests/{number}" "7.1";
    /// The iterations of a pull request.
    Iterations = GET "{project}/_apis/git/repositories/{repository}/pullRequests/{number}/iterations" "7.1";
    /// A status for a pull request.
    PullRequestStatus = POST "{project}/_apis/git/repositories/{repository}/pullRequests/{number}/statuses" "7.1";
    /// The pull requests of a repository.
    PullRequestsOfRepository = GET "{project}/_apis/git/repositories/{repository}/pullRequests" "7.1";
    /// The pull requests of a project.
    PullRequestsOfProject = GET "{project}/_apis/git/pullrequests" "7.1";
    /// The pushes of a repository.
    Pushes = GET "{project}/_apis/git/repositories/{repository}/pushes" "7.1";
    /// A subscription to make.
    CreateSubscription = POST "_apis/hooks/subscriptions" "7.1";
    /// A subscription.
    Subscription = GET "_apis/hooks/subscriptions/{subscription}" "7.1";
    /// A subscription as it should be.
    ReplaceSubscription = PUT "_apis/hooks/subscriptions/{subscription}" "7.1";
    /// A subscription that should be none.
    DeleteSubscription = DELETE "_apis/hooks/subscriptions/{subscription}" "7.1";
    /// The subscriptions that have such inputs.
    SubscriptionsQuery = POST "_apis/hooks/subscriptionsquery" "7.1";
    /// What subscriptions have sent.
    NotificationsQuery = POST "_apis/hooks/notificationsquery" "7.1";
}
