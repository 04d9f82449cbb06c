//! What Azure DevOps is called with, and what calls us. Never shown, logged or compared here: a secret has no `Display`, its
//! `Debug` is redacted, and it is exposed only where it is sent or stored.

use secrecy::{ExposeSecret, SecretString};

/// What an organization is called with. An enum, since personal access tokens are on their way out
/// (Microsoft Entra service principals come next).
#[derive(Clone, Debug)]
pub enum Credential {
    /// A personal access token of a user.
    PersonalAccessToken(PersonalAccessToken),
}

/// A personal access token (PAT).
#[derive(Clone, Debug)]
pub struct PersonalAccessToken(SecretString);

/// A text that cannot be a personal access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no personal access token: copy it once more from Azure DevOps, whole and without spaces (it has 84 characters, an older one 52)"
)]
pub struct InvalidPersonalAccessToken;

impl PersonalAccessToken {
    /// Takes a token as pasted: white space around it is dropped; what is left is 40 to 200 visible ASCII characters.
    ///
    /// Not stricter, since Azure DevOps has changed the form before (52 characters, now 84).
    ///
    /// # Errors
    ///
    /// [`InvalidPersonalAccessToken`], which does not repeat it.
    pub fn from_pasted(pasted: &SecretString) -> Result<Self, InvalidPersonalAccessToken> {
        let token = pasted.expose_secret().trim();
        let visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        if visible && (40..=200).contains(&token.len()) {
            Ok(Self(SecretString::from(token)))
        } else {
            Err(InvalidPersonalAccessToken)
        }
    }

    /// The token itself, for sending and storing.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// The password that Azure DevOps' service hooks are given: made by us, shown to the operator, kept as a digest.
#[derive(Clone, Debug)]
pub struct WebhookPassword(SecretString);

impl WebhookPassword {
    /// A password that was made or read back.
    #[must_use]
    pub fn new(password: String) -> Self {
        Self(SecretString::from(password))
    }

    /// The password itself, for showing to the operator and storing.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u4_a_pasted_token_is_trimmed_and_checked_softly() {
        let paste = |text: String| PersonalAccessToken::from_pasted(&SecretString::from(text));
        assert_eq!(
            paste(format!(" {}\n", "a".repeat(52)))
                .unwrap()
                .expose()
                .len(),
            52
        );
        assert!(paste("b".repeat(84)).is_ok());
        for bad in [
            String::new(),
            "a".repeat(39),
            "a".repeat(201),
            format!("{} {}", "a".repeat(30), "a".repeat(30)),
        ] {
            assert!(paste(bad).is_err());
        }
    }

    #[test]
    fn secrets_do_not_show_in_debug() {
        let secret = "planted-planted-planted-planted-planted-planted";
        let token = PersonalAccessToken::from_pasted(&SecretString::from(secret)).unwrap();
        assert!(!format!("{:?}", Credential::PersonalAccessToken(token)).contains("planted"));
        assert!(!format!("{:?}", WebhookPassword::new(secret.to_owned())).contains("planted"));
    }
}
