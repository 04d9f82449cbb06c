//! People, what they may do, and their personal access tokens.
//! Nothing here decides: `api::auth` does.

use uuid::Uuid;

use crate::ids::{guid_for, random_text};

/// A person (or a build account) of an organization.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) rights: Rights,
    /// Left, or may not do any more what their subscriptions need.
    pub(crate) is_inactive: bool,
}

/// What a person may do, apart from what their token's scopes let through (facts 5: the two are separate).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rights {
    pub(crate) sees_projects: bool,
    pub(crate) reads_code: bool,
    /// "Edit Subscriptions" and "Delete Subscriptions" of a project.
    pub(crate) edits_subscriptions: bool,
    /// May leave `projectId` out of a subscription.
    pub(crate) administers_collection: bool,
}

impl Rights {
    pub(crate) const COLLECTION_ADMINISTRATOR: Rights = Rights {
        sees_projects: true,
        reads_code: true,
        edits_subscriptions: true,
        administers_collection: true,
    };
    pub(crate) const PROJECT_ADMINISTRATOR: Rights = Rights {
        administers_collection: false,
        ..Self::COLLECTION_ADMINISTRATOR
    };
    pub(crate) const CONTRIBUTOR: Rights = Rights {
        edits_subscriptions: false,
        ..Self::PROJECT_ADMINISTRATOR
    };
    pub(crate) const STAKEHOLDER: Rights = Rights {
        reads_code: false,
        ..Self::CONTRIBUTOR
    };
    pub(crate) const STRANGER: Rights = Rights {
        sees_projects: false,
        ..Self::STAKEHOLDER
    };
}

impl Person {
    pub(crate) fn new(organization: &str, name: &str, rights: Rights) -> Self {
        let local = name.to_lowercase().replace(' ', ".");
        Self {
            id: guid_for(&format!("person/{organization}/{name}")),
            name: name.to_owned(),
            email: format!("{local}@{organization}.example"),
            rights,
            is_inactive: false,
        }
    }

    /// Exact id, name or address; `text` is in lower case.
    pub(crate) fn is_called(&self, text: &str) -> bool {
        self.id.to_string() == text
            || self.name.to_lowercase() == text
            || self.email.to_lowercase() == text
    }
}

/// What a token may be used for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Scope {
    /// `vso.code_write`, which holds all the others (facts 6.2).
    CodeWrite,
    /// `vso.code`.
    CodeRead,
    /// Something of another field: a valid token, but not for anything here.
    Packaging,
}

/// A personal access token.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    /// Its name in the ready file and in `/_control/tokens/{kind}`.
    pub(crate) kind: &'static str,
    pub(crate) value: String,
    pub(crate) person: Uuid,
    pub(crate) scope: Scope,
    pub(crate) expired: bool,
    pub(crate) revoked: bool,
}

const LETTERS_AND_DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE32: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";

/// A token of today's form: 84 characters with a fixed signature at 76..79 (facts 8).
pub(crate) fn new_token() -> String {
    let mut token = random_text(LETTERS_AND_DIGITS, 76);
    token.push_str("AZDO");
    token.push_str(&random_text(LETTERS_AND_DIGITS, 4));
    token
}

/// A token of the older form, which stays valid: 52 characters (facts 8).
pub(crate) fn new_older_token() -> String {
    random_text(BASE32, 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_two_forms_of_the_service() {
        let token = new_token();
        assert_eq!(token.len(), 84);
        assert_eq!(&token[76..80], "AZDO");
        assert_eq!(new_older_token().len(), 52);
        assert_ne!(new_token(), new_token());
    }
}
