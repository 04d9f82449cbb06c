//! TEMP
use ado::*;
use domain::*;
use store::*;
pub enum How {
    Asked,
    Mending,
}
pub struct Wanted<'a> {
    pub integration: &'a IntegrationName,
    pub project: &'a stack::Reference,
    pub endpoint: &'a str,
    pub password: &'a WebhookPassword,
}
pub struct Made;
impl Made {
    pub fn changed(&self) -> u32 {
        0
    }
}
#[derive(Debug, thiserror::Error)]
pub enum HooksError {
    #[error("x")]
    Ado(#[from] AdoError),
    #[error("x")]
    Store(#[from] StoreError),
}
pub async fn make(
    _: &AdoClient,
    _: &Store,
    _: &Wanted<'_>,
    _: How,
    _: jiff::Timestamp,
) -> std::result::Result<Made, HooksError> {
    Ok(Made)
}
pub fn differs(_: &Subscription, _: &EventType, _: &Guid, _: &str) -> Vec<String> {
    vec![]
}
pub async fn finish_rotation(
    _: &Store,
    _: &Leased,
    _: &str,
    _: &WebhookPassword,
    _: &[ServiceHook],
    _: jiff::Timestamp,
) -> std::result::Result<bool, StoreError> {
    Ok(false)
}
