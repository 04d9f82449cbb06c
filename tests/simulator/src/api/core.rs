//! `connectionData` and projects (facts 6.1, 6.2).

use serde_json::{Value, json};

use super::auth::{ANONYMOUS, Caller};
use super::{Answer, Call, USUAL_PAGE};
use crate::reply::Reply;
use crate::state::{Organization, Project, World};
use crate::views;

pub(crate) fn answer(world: &World, call: &Call<'_>, resource: &[&str]) -> Answer {
    let organization = call.organization(world)?;
    match resource {
        ["connectiondata"] => Ok(Reply::ok(connection_data(organization, &call.caller))),
        ["projects"] => projects(organization, call),
        ["projects", project] => {
            needs_projects(&call.caller)?;
            let found = visible_project(organization, &call.caller, project)?;
            Ok(Reply::ok(full_project(organization, found)))
        }
        _ => Err(call.no_such_route()),
    }
}

fn connection_data(organization: &Organization, caller: &Caller) -> Value {
    let user = match caller {
        Caller::Anonymous => user(
            &ANONYMOUS.to_string(),
            "Anonymous",
            "Anonymous",
            "anonymous",
        ),
        Caller::Person(person, _) => user(
            &person.id.to_string(),
            &person.name,
            &person.email,
            &views::descriptor(person.id),
        ),
    };
    json!({
        "authenticatedUser": user,
        "authorizedUser": user,
        "instanceId": organization.collection,
        "deploymentId": crate::ids::guid_for("deployment"),
        "deploymentType": "hosted",
        "locationServiceData": {
            "serviceOwner": "00025394-6065-48ca-87d9-7f5672854ef7",
            "defaultAccessMappingMoniker": "PublicAccessMapping",
            "lastChangeId": 1,
            "lastChangeId64": 1,
        },
    })
}

fn user(id: &str, name: &str, account: &str, subject: &str) -> Value {
    json!({
        "id": id,
        "descriptor": format!("Microsoft.IdentityModel.Claims.ClaimsIdentity;{account}"),
        "subjectDescriptor": subject,
        "providerDisplayName": name,
        "isActive": true,
        "properties": { "Account": { "$type": "System.String", "$value": account } },
        "resourceVersion": 2,
        "metaTypeId": 0,
    })
}

/// `vso.profile` or `vso.project`; of the scopes there are here those of code hold it.
fn needs_projects(caller: &Caller) -> Result<(), Reply> {
    match caller {
        Caller::Anonymous => Ok(()),
        Caller::Person(..) => caller.needs_code().map(|_| ()),
    }
}

fn projects(organization: &Organization, call: &Call<'_>) -> Answer {
    needs_projects(&call.caller)?;
    let request = call.request;
    let state = request
        .query("stateFilter")
        .unwrap_or("wellFormed")
        .to_lowercase();
    let all: Vec<&Project> = match state.as_str() {
        "wellformed" | "all" | "unchanged" => {
            visible_projects(organization, &call.caller).collect()
        }
        "deleting" | "new" | "createpending" | "deleted" => Vec::new(),
        _ => {
            let message = format!("The value '{state}' is not valid for 'stateFilter'.");
            return Err(Reply::framework_error(400, &message));
        }
    };
    let top = request.number("$top")?.unwrap_or(USUAL_PAGE);
    let from = request
        .number("continuationToken")?
        .or(request.number("$skip")?)
        .unwrap_or(0);
    let end = from.saturating_add(top);
    let more = end < all.len() && top > 0;
    let shown = super::page(all, from, top)
        .into_iter()
        .map(|it| views::project(organization, it))
        .collect();
    let reply = Reply::ok(views::list(shown));
    Ok(if more {
        reply.with("X-MS-ContinuationToken", end.to_string())
    } else {
        reply
    })
}

/// The projects a caller sees: all or none here, and the public ones for everybody.
fn visible_projects<'a>(
    organization: &'a Organization,
    caller: &'a Caller,
) -> impl Iterator<Item = &'a Project> {
    organization.projects.iter().filter(move |it| match caller {
        Caller::Anonymous => it.public,
        Caller::Person(person, _) => it.public || person.rights.sees_projects,
    })
}

/// A project by id or name, if the caller may know of it.
pub(crate) fn visible_project<'a>(
    organization: &'a Organization,
    caller: &'a Caller,
    text: &str,
) -> Result<&'a Project, Reply> {
    visible_projects(organization, caller)
        .find(|it| crate::state::is_called(it.id, &it.name, text))
        .ok_or_else(|| {
            let message = format!(
                "TF200016: The following project does not exist: {text}. Verify that the name of the project is correct and that the project exists on the specified Azure DevOps Server."
            );
            Reply::error(404, "ProjectDoesNotExistWithNameException", &message)
        })
}

fn full_project(organization: &Organization, project: &Project) -> Value {
    let view = views::project(organization, project);
    let url = view["url"].clone();
    let team = crate::ids::guid_for(&format!("team/{}", project.id));
    views::extended(
        view,
        json!({
            "_links": {
                "self": { "href": url },
                "collection": { "href": format!("{}/_apis/projectCollections/{}", organization.url, organization.collection) },
                "web": { "href": format!("{}/{}", organization.url, views::encode(&project.name)) },
            },
            "defaultTeam": {
                "id": team,
                "name": format!("{} Team", project.name),
                "url": format!("{}/_apis/projects/{}/teams/{team}", organization.url, project.id),
            },
        }),
    )
}
