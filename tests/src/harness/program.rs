//! The program that a fleet runs, and the environment variables that Lambda and infra/ give it.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};

use super::FleetOptions;
use crate::{
    Stack,
    in_process::{REST_SECONDS, RETENTION_DAYS},
};

/// The function's time-out; infra/functions.tf sets it, and a test compares.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// The function's memory, in MB; likewise.
pub const MEMORY: u32 = 256;
const NAME: &str = "stackhook-harness-webhook";

/// The program, and everything that its process gets.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    /// The whole environment, but `AWS_LAMBDA_RUNTIME_API`.
    pub(crate) variables: Vec<(String, String)>,
    /// How long an invocation may take; then the process is killed.
    pub(crate) timeout: Duration,
    pub(crate) function_arn: String,
}

impl Program {
    /// The webhook with what Lambda sets for `provided.al2023`, and the variables of infra/functions.tf.
    pub(crate) fn webhook(stack: &Stack, options: &FleetOptions) -> Result<Self> {
        let description = &stack.description;
        let (region, tables) = (description.region.clone(), stack.scratch());
        let endpoint = options.endpoint.clone();
        let set = [
            ("AWS_LAMBDA_FUNCTION_NAME", NAME.to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", MEMORY.to_string()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand".to_owned()),
            ("AWS_LAMBDA_LOG_FORMAT", "JSON".to_owned()),
            ("AWS_LAMBDA_LOG_LEVEL", "INFO".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{NAME}")),
            (
                "AWS_LAMBDA_LOG_STREAM_NAME",
                "2026/11/23/[$LATEST]0123456789abcdef0123456789abcdef".to_owned(),
            ),
            ("AWS_REGION", region.clone()),
            ("AWS_DEFAULT_REGION", region.clone()),
            ("AWS_ACCESS_KEY_ID", description.admin.access_key_id.clone()),
            (
                "AWS_SECRET_ACCESS_KEY",
                description.admin.secret_access_key.clone(),
            ),
            ("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR".to_owned()),
            ("AWS_XRAY_DAEMON_ADDRESS", "169.254.79.129:2000".to_owned()),
            ("LAMBDA_TASK_ROOT", "/var/task".to_owned()),
            ("LAMBDA_RUNTIME_DIR", "/var/runtime".to_owned()),
            ("LANG", "en_US.UTF-8".to_owned()),
            ("PATH", "/usr/local/bin:/usr/bin/:/bin:/opt/bin".to_owned()),
            ("TZ", ":UTC".to_owned()),
            ("_HANDLER", "bootstrap".to_owned()),
            ("INTEGRATIONS_TABLE", tables.integrations),
            ("EVENTS_TABLE", tables.events),
            ("EVENT_RETENTION_DAYS", RETENTION_DAYS.to_string()),
            (
                "INTEGRATION_CACHE_SECONDS",
                options.cache_seconds.to_string(),
            ),
            ("LOOKUP_REST_SECONDS", REST_SECONDS.to_string()),
            // The one thing that Lambda does not set.
            (
                "AWS_ENDPOINT_URL",
                endpoint.unwrap_or_else(|| description.endpoint_url.clone()),
            ),
        ];
        let mut variables: BTreeMap<&str, String> = set.into();
        variables.extend(options.variables.iter().cloned());
        Ok(Self {
            path: binary()?,
            variables: variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
            timeout: TIMEOUT,
            function_arn: format!("arn:aws:lambda:{region}:000000000000:function:{NAME}"),
        })
    }
}

/// The function as cargo builds it.
#[expect(
    clippy::disallowed_methods,
    reason = "tests are no function: edge::config is not for them"
)]
fn binary() -> Result<PathBuf> {
    let folder = match std::env::var("STACKHOOK_PROGRAMS") {
        Ok(folder) => PathBuf::from(folder),
        // Beside the folder `deps`, where this test lies.
        Err(_unset) => {
            let test = std::env::current_exe()?;
            let folder = test.ancestors().nth(2).map(PathBuf::from);
            folder.context("a test that lies in no folder")?
        }
    };
    let path = folder.join("webhook");
    ensure!(
        path.is_file(),
        "{} is not there: `make test` builds it, or `cargo build --package webhook`",
        path.display()
    );
    Ok(path)
}
