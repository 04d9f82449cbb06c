//! The two secrets of an integration in AWS Secrets Manager: the credential for Azure DevOps and the webhook
//! password.
//!
//! The function that faces the internet does not link this crate, and its role may read no secret.
//!
//! Names: `<prefix>/<integration>/personal-access-token` and `<prefix>/<integration>/webhook-password`, where the prefix is
//! `stackhook/<environment>`.

use std::time::Duration;

use aws_sdk_secretsmanager::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
    error::{ProvideErrorMetadata, SdkError},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::{Credential, IntegrationName, PersonalAccessToken, WebhookPassword};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

const CREDENTIAL: &str = "personal-access-token";
const PASSWORD: &str = "webhook-password";

/// How long one try of a call may take before the SDK gives it up and makes another.
const ATTEMPT: Duration = Duration::from_secs(5);
/// What took no longer than this was done at the first try: nothing of it is still on its way.
pub const AT_ONCE: Duration = Duration::from_secs(4);

/// The secrets of all integrations of one deployment.
#[derive(Clone, Debug)]
pub struct Secrets {
    client: Client,
    prefix: String,
    recovery_days: i64,
}

/// Why a secret could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretsError {
    /// Secrets Manager could not do it.
    #[error("Secrets Manager could not {doing}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// Whether Secrets Manager said itself that it would not. Else nothing is known: it may be done yet.
        is_refused: bool,
        /// What the SDK says of it; never a value.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The secret is not there, or is scheduled for deletion.
    #[error("the secret {0} is not there")]
    Missing(String),
    /// What is stored is not what this version writes.
    #[error("the secret {0} cannot be read")]
    Unreadable(String),
    /// The operating system gave no random bytes.
    #[error("no random bytes for a password: {0}")]
    Random(getrandom::Error),
}

/// The stored form of a credential.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum StoredCredential {
    PersonalAccessToken { token: String },
}

/// A new webhook password: 32 bytes from the operating system's generator, base64url, 43 characters without white space.
///
/// # Errors
///
/// [`SecretsError::Random`].
pub fn generate_password() -> Result<WebhookPassword, SecretsError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(SecretsError::Random)?;
    Ok(WebhookPassword::new(URL_SAFE_NO_PAD.encode(bytes)))
}

impl Secrets {
    /// The secrets under `prefix`; removed ones can be restored for `recovery_days` (7 to 30, as Secrets Manager has it; 0: not at all).
    #[must_use]
    pub fn new(config: &aws_config::SdkConfig, prefix: String, recovery_days: i64) -> Self {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(Duration::from_secs(15))
            .build();
        let config = aws_sdk_secretsmanager::config::Builder::from(config)
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(200)))
            .build();
        Self {
            client: Client::from_conf(config),
            prefix,
            recovery_days,
        }
    }

    /// Keeps a credential, in place of an earlier one.
    ///
    /// # Errors
    ///
    /// [`SecretsError::Unavailable`].
    pub async fn keep_credential(
        &self,
        name: &IntegrationName,
        credential: &Credential,
    ) -> Result<(), SecretsError> {
        let Credential::PersonalAccessToken(token) = credential;
        let stored = StoredCredential::PersonalAccessToken {
            token: token.expose().to_owned(),
        };
        let secret = self.secret(name, CREDENTIAL);
        let json = serde_json::to_string(&stored)
            .map_err(|_unlikely| SecretsError::Unreadable(secret.clone()))?;
        self.keep(&secret, &json).await
    }

    /// The credential of an integration.
    ///
    /// # Errors
    ///
    /// [`SecretsError`].
    pub async fn credential(&self, name: &IntegrationName) -> Result<Credential, SecretsError> {
        let secret = self.secret(name, CREDENTIAL);
        let value = self.read(&secret).await?;
        let unreadable = || SecretsError::Unreadable(secret.clone());
        let StoredCredential::PersonalAccessToken { token } =
            serde_json::from_str(&value).map_err(|_may_show_it| unreadable())?;
        let token = PersonalAccessToken::from_pasted(&SecretString::from(token))
            .map_err(|_form| unreadable())?;
        Ok(Credential::PersonalAccessToken(token))
    }

    /// Keeps a webhook password, in place of an earlier one.
    ///
    /// # Errors
    ///
    /// [`SecretsError::Unavailable`].
    pub async fn keep_password(
        &self,
        name: &IntegrationName,
        password: &WebhookPassword,
    ) -> Result<(), SecretsError> {
        self.keep(&self.secret(name, PASSWORD), password.expose())
            .await
    }

    /// The webhook password of an integration.
    ///
    /// # Errors
    ///
    /// [`SecretsError`].
    pub async fn password(&self, name: &IntegrationName) -> Result<WebhookPassword, SecretsError> {
        Ok(WebhookPassword::new(
            self.read(&self.secret(name, PASSWORD)).await?,
        ))
    }

    /// Removes both secrets of an integration; says how many of them were still there. Doing it again is no error.
    ///
    /// # Errors
    ///
    /// [`SecretsError::Unavailable`].
    pub async fn remove(&self, name: &IntegrationName) -> Result<usize, SecretsError> {
        let mut removed = 0;
        for kind in [CREDENTIAL, PASSWORD] {
            let delete = self
                .client
                .delete_secret()
                .secret_id(self.secret(name, kind));
            let delete = match self.recovery_days {
                0 => delete.force_delete_without_recovery(true),
                days => delete.recovery_window_in_days(days),
            };
            match delete.send().await {
                Ok(_) => removed += 1,
                Err(error) if is_gone(&error) => {}
                Err(error) => return Err(unavailable("remove a secret", error)),
            }
        }
        Ok(removed)
    }

    /// Creates a secret, or writes a new value to one that exists; one that is scheduled for deletion is restored first.
    async fn keep(&self, secret: &str, value: &str) -> Result<(), SecretsError> {
        let created = self
            .client
            .create_secret()
            .name(secret)
            .secret_string(value)
            .send()
            .await;
        match created {
            Ok(_) => return Ok(()),
            // AWS answers InvalidRequestException for a name that is scheduled for deletion.
            Err(error)
                if matches!(
                    code(&error),
                    Some("ResourceExistsException" | "InvalidRequestException")
                ) => {}
            Err(error) => return Err(unavailable("create a secret", error)),
        }
        match self.write(secret, value).await {
            Err(error) if code(&error) == Some("InvalidRequestException") => {}
            Err(error) => return Err(unavailable("write a secret", error)),
            Ok(()) => return Ok(()),
        }
        match self.client.restore_secret().secret_id(secret).send().await {
            // The answer to an earlier try was lost: it is not scheduled for deletion any more.
            Err(error) if code(&error) == Some("InvalidRequestException") => {}
            restored => {
                restored.map_err(|error| unavailable("restore a secret", error))?;
            }
        }
        self.write(secret, value)
            .await
            .map_err(|error| unavailable("write a secret", error))
    }

    async fn write(
        &self,
        secret: &str,
        value: &str,
    ) -> Result<
        (),
        SdkError<aws_sdk_secretsmanager::operation::put_secret_value::PutSecretValueError>,
    > {
        self.client
            .put_secret_value()
            .secret_id(secret)
            .secret_string(value)
            .send()
            .await
            .map(|_| ())
    }

    async fn read(&self, secret: &str) -> Result<String, SecretsError> {
        match self
            .client
            .get_secret_value()
            .secret_id(secret)
            .send()
            .await
        {
            Ok(answer) => answer
                .secret_string
                .ok_or_else(|| SecretsError::Unreadable(secret.to_owned())),
            Err(error)
                if matches!(
                    code(&error),
                    Some("ResourceNotFoundException" | "InvalidRequestException")
                ) =>
            {
                Err(SecretsError::Missing(secret.to_owned()))
            }
            Err(error) => Err(unavailable("read a secret", error)),
        }
    }

    fn secret(&self, name: &IntegrationName, kind: &str) -> String {
        format!("{}/{name}/{kind}", self.prefix)
    }
}

fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<&str> {
    error
        .as_service_error()
        .and_then(ProvideErrorMetadata::code)
}

/// Whether a secret is not there, or scheduled for deletion already, which AWS says in more than one way. The one thing else
/// that has the same code here is a replica in another region, which stands in the way of a deletion: then it is not gone.
fn is_gone<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let message = error
        .as_service_error()
        .and_then(ProvideErrorMetadata::message)
        .unwrap_or_default();
    match code(error) {
        Some("ResourceNotFoundException") => true,
        Some("InvalidRequestException") => !message.contains("replica"),
        _ => false,
    }
}

fn unavailable<E>(doing: &'static str, error: SdkError<E>) -> SecretsError
where
    E: std::error::Error + Send + Sync + 'static,
{
    SecretsError::Unavailable {
        doing,
        is_refused: error
            .raw_response()
            .is_some_and(|response| response.status().is_client_error()),
        source: Box::new(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_new_each_time_and_fit_azure_devops() {
        let (one, two) = (generate_password().unwrap(), generate_password().unwrap());
        assert_ne!(one.expose(), two.expose());
        assert_eq!(one.expose().len(), 43);
        assert!(
            one.expose()
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        );
    }
}
