//! The pushes of a repository, the latest first, and what each did to its refs: what a hook should have told. It never compares
//! or keeps any.
//!
//! Sources: Microsoft's `git.json` (`GitPush`, `GitRefUpdate`), facts 4.2.

use jiff::Timestamp;
use serde::Deserialize;

use crate::{AdoClient, AdoError, Operation, wire};

/// A push.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "PushView")]
pub struct Push {
    /// Its number. Numbers grow, and are not without gaps.
    pub id: i64,
    /// When it was.
    pub date: Option<Timestamp>,
    /// The name of the person who pushed.
    pub pushed_by: Option<String>,
    /// What became of refs by it.
    pub ref_updates: Vec<PushedRef>,
}

/// A ref, before and after a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedRef {
    /// Its full name.
    pub name: String,
    /// The commit it pointed to, forty hexadecimal digits; all zeros where it did not exist.
    pub old: Option<String>,
    /// The commit it points to; all zeros where it is gone.
    pub new: Option<String>,
}

impl AdoClient {
    /// Up to `most` pushes of a repository, the latest first, after `skip` that are later still. A push while they are paged
    /// moves them: who pages has to expect one twice.
    ///
    /// # Errors
    ///
    /// [`AdoError`].
    pub async fn pushes(
        &self,
        project: &str,
        repository: &str,
        most: u32,
        skip: u32,
    ) -> Result<Vec<Push>, AdoError> {
        let (most, skip) = (most.to_string(), skip.to_string());
        let query = [
            ("searchCriteria.includeRefUpdates", "true"),
            ("$top", most.as_str()),
            ("$skip", skip.as_str()),
        ];
        let page = self
            .page(Operation::Pushes, &[project, repository], &query)
            .await?;
        Ok(page.items)
    }
}

/// `GitPush`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PushView {
    push_id: Option<i64>,
    #[serde(default, deserialize_with = "wire::date")]
    date: Option<Timestamp>,
    pushed_by: Option<wire::Identity>,
    ref_updates: Option<Vec<RefUpdateView>>,
}

/// `GitRefUpdate`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefUpdateView {
    name: Option<String>,
    old_object_id: Option<String>,
    new_object_id: Option<String>,
}

impl TryFrom<PushView> for Push {
    type Error = &'static str;

    fn try_from(view: PushView) -> Result<Self, Self::Error> {
        Ok(Self {
            // Left out of a list, it would be lost, and the list look like the last one.
            id: view.push_id.ok_or("a push without its number")?,
            date: view.date,
            pushed_by: view.pushed_by.and_then(|it| it.display_name),
            ref_updates: view
                .ref_updates
                .unwrap_or_default()
                .into_iter()
                .filter_map(RefUpdateView::pushed_ref)
                .collect(),
        })
    }
}

impl RefUpdateView {
    /// Nothing can be said of one without its name.
    fn pushed_ref(self) -> Option<PushedRef> {
        Some(PushedRef {
            name: self.name?,
            old: self.old_object_id,
            new: self.new_object_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(view: Value) -> Result<Push, serde_json::Error> {
        serde_json::from_value(view)
    }

    #[test]
    fn every_field_of_a_push_but_its_number_may_be_absent_or_null() {
        for view in [
            json!({ "pushId": 7 }),
            json!({ "pushId": 7, "date": null, "pushedBy": null, "refUpdates": null }),
            json!({ "pushId": 7, "date": "yesterday", "pushedBy": {}, "refUpdates": [{}] }),
        ] {
            let bare = Push {
                id: 7,
                date: None,
                pushed_by: None,
                ref_updates: Vec::new(),
            };
            assert_eq!(read(view).unwrap(), bare);
        }
        assert!(read(json!({ "date": null })).is_err());
    }

    #[test]
    fn what_a_push_did_is_told_of_each_ref() {
        let push = read(json!({
            "pushId": 7,
            "date": "2026-12-01T10:00:00",
            "pushedBy": { "displayName": "Asha Rao" },
            "refUpdates": [{ "name": "refs/heads/a", "oldObjectId": "0", "newObjectId": "1" }, { "name": "refs/heads/b" }],
        }))
        .unwrap();
        let pushed = |name: &str, old: Option<&str>, new: Option<&str>| PushedRef {
            name: name.to_owned(),
            old: old.map(str::to_owned),
            new: new.map(str::to_owned),
        };
        assert_eq!(
            push.ref_updates,
            [
                pushed("refs/heads/a", Some("0"), Some("1")),
                pushed("refs/heads/b", None, None)
            ]
        );
        assert_eq!(push.date, "2026-12-01T10:00:00Z".parse().ok());
        assert_eq!(push.pushed_by.as_deref(), Some("Asha Rao"));
    }
}
