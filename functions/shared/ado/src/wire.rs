//! Answers as Azure DevOps spells them, with the fields that are used; each may be absent.

use domain::moment;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::AdoError;

/// `{"count": n, "value": [...]}`
#[derive(Deserialize)]
pub(crate) struct List<T> {
    pub(crate) value: Vec<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConnectionData {
    pub(crate) authenticated_user: Option<AuthenticatedUser>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuthenticatedUser {
    pub(crate) id: Option<String>,
    pub(crate) provider_display_name: Option<String>,
    pub(crate) custom_display_name: Option<String>,
}

/// `IdentityRef`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Identity {
    pub(crate) display_name: Option<String>,
}

/// A date; what is none is absent.
pub(crate) fn date<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Value::deserialize(value)?.as_str().and_then(moment))
}

/// What a query found. Where the answer has nothing of what was found, it has to have something of the query, or it is none.
pub(crate) fn results<T>(found: Option<Vec<T>>, has_the_query: bool) -> Result<Vec<T>, AdoError> {
    match found {
        Some(found) => Ok(found),
        None if has_the_query => Ok(Vec::new()),
        None => Err(AdoError::Unexpected("it has no results".to_owned())),
    }
}

/// What an error's body says (facts 7), in either of two shapes: `message`, or `Message` within `value`.
#[derive(Default, Deserialize)]
pub(crate) struct ErrorBody {
    message: Option<String>,
    value: Option<ErrorValue>,
}

#[derive(Deserialize)]
struct ErrorValue {
    #[serde(rename = "Message")]
    message: Option<String>,
}

impl ErrorBody {
    pub(crate) fn into_message(self) -> String {
        let wrapped = self.value.and_then(|value| value.message);
        self.message.or(wrapped).unwrap_or_default()
    }
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// Its GUID, which stays when it is renamed.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What its owners say of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Repository {
    /// Its GUID, which stays when it is renamed.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The full name of its default branch's ref; absent while it is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_branch: Option<String>,
    /// Whether it is disabled: listed, but not to be read.
    #[serde(default)]
    pub is_disabled: bool,
    /// The project that it is in. Not passed on: who asks for repositories has named it.
    #[serde(skip_serializing)]
    pub project: Option<ProjectReference>,
    /// Where a person looks at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub web_url: Option<String>,
}

/// The project of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ProjectReference {
    /// Its GUID.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// A file or a directory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// Whether it is a directory.
    #[serde(default)]
    pub is_folder: bool,
}

/// A branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Branch {
    /// The full name of its ref, `refs/heads/…`.
    pub name: String,
    /// The commit at its head.
    pub object_id: String,
}
