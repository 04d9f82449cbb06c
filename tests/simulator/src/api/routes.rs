//! Every operation that the simulator serves, and how a request is known to be one of them.
//! Handlers are reached through this table alone, so a test that goes through it has seen the whole REST surface.

use axum::http::Method;

/// Method and path of each operation; `{…}` is a name or a number. The project before git's `_apis` may be left out, but
/// not where all pull requests of one are asked for.
pub const ROUTES: &[&str] = &[
    "GET /{organization}/_apis/connectionData",
    "GET /{organization}/_apis/projects",
    "GET /{organization}/_apis/projects/{projectId}",
    "GET /{organization}/_apis/hooks/subscriptions",
    "POST /{organization}/_apis/hooks/subscriptions",
    "GET /{organization}/_apis/hooks/subscriptions/{subscriptionId}",
    "PUT /{organization}/_apis/hooks/subscriptions/{subscriptionId}",
    "DELETE /{organization}/_apis/hooks/subscriptions/{subscriptionId}",
    "GET /{organization}/_apis/hooks/subscriptions/{subscriptionId}/notifications",
    "GET /{organization}/_apis/hooks/subscriptions/{subscriptionId}/notifications/{notificationId}",
    "POST /{organization}/_apis/hooks/notificationsquery",
    "POST /{organization}/_apis/hooks/subscriptionsquery",
    "POST /{organization}/_apis/hooks/testnotifications",
    "GET /{organization}/{project}/_apis/git/pullrequests",
    "GET /{organization}/{project}/_apis/git/pullrequests/{pullRequestId}",
    "GET /{organization}/{project}/_apis/git/repositories",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/commits",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/commits/{commitId}",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/commits/{commitId}/changes",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/commits/{commitId}/statuses",
    "POST /{organization}/{project}/_apis/git/repositories/{repositoryId}/commits/{commitId}/statuses",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/diffs/commits",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/items",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/pullRequests",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/pullRequests/{pullRequestId}",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/pullRequests/{pullRequestId}/commits",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/pullRequests/{pullRequestId}/iterations",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/pullRequests/{pullRequestId}/iterations/{iterationId}",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/pullRequests/{pullRequestId}/iterations/{iterationId}/statuses",
    "POST /{organization}/{project}/_apis/git/repositories/{repositoryId}/pullRequests/{pullRequestId}/iterations/{iterationId}/statuses",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/pullRequests/{pullRequestId}/statuses",
    "POST /{organization}/{project}/_apis/git/repositories/{repositoryId}/pullRequests/{pullRequestId}/statuses",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/pullRequests/{pullRequestId}/threads",
    "POST /{organization}/{project}/_apis/git/repositories/{repositoryId}/pullRequests/{pullRequestId}/threads",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/pullRequests/{pullRequestId}/threads/{threadId}",
    "POST /{organization}/{project}/_apis/git/repositories/{repositoryId}/pullRequests/{pullRequestId}/threads/{threadId}/comments",
    "PATCH /{organization}/{project}/_apis/git/repositories/{repositoryId}/pullRequests/{pullRequestId}/threads/{threadId}/comments/{commentId}",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/pushes",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/pushes/{pushId}",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/pushes/{pushId}/commits",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/refs",
    "GET /{organization}/{project}/_apis/git/repositories/{repositoryId}/stats/branches",
];

/// What the table says of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Known {
    Operation,
    /// The path is known, with other methods.
    Path,
    Nothing,
}

/// Looks a request up.
pub(crate) fn look_up(method: &Method, segments: &[String]) -> Known {
    let mut known = Known::Nothing;
    for (its_method, path) in ROUTES.iter().filter_map(|it| it.split_once(' ')) {
        if fits(path, segments) {
            if its_method == method.as_str() {
                return Known::Operation;
            }
            known = Known::Path;
        }
    }
    known
}

/// The one operation of git that needs its project.
const OF_A_PROJECT: &str = "/{organization}/{project}/_apis/git/pullrequests";

fn fits(path: &str, segments: &[String]) -> bool {
    let whole: Vec<&str> = path.split('/').skip(1).collect();
    let kept = |it: &&str| *it != "{project}" || path == OF_A_PROJECT;
    let without_project: Vec<&str> = whole.iter().copied().filter(kept).collect();
    [whole, without_project].iter().any(|parts| {
        parts.len() == segments.len()
            && parts
                .iter()
                .zip(segments)
                .all(|(part, segment)| part.starts_with('{') || part.eq_ignore_ascii_case(segment))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look_up(method: Method, path: &str) -> Known {
        let segments: Vec<String> = path.split('/').map(str::to_owned).collect();
        super::look_up(&method, &segments)
    }

    #[test]
    fn a_project_stands_before_git_alone_and_may_mostly_be_left_out() {
        for path in [
            "acme/Harbor/_apis/git/repositories",
            "acme/_apis/git/repositories",
        ] {
            assert_eq!(look_up(Method::GET, path), Known::Operation, "{path}");
        }
        for path in ["acme/Harbor/_apis/projects", "acme/_apis/git/pullrequests"] {
            assert_eq!(look_up(Method::GET, path), Known::Nothing, "{path}");
        }
    }

    #[test]
    fn an_unknown_method_is_told_from_an_unknown_path() {
        assert_eq!(look_up(Method::POST, "acme/_apis/projects"), Known::Path);
        assert_eq!(look_up(Method::GET, "acme/_apis/teams"), Known::Nothing);
    }
}
