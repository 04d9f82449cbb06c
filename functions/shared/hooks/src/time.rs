//! Work that has an end: what was not begun in time is safe to leave, what was cut off may still arrive.

use std::{fmt, future::Future};

use tokio::time::{Instant, timeout_at};

/// How far work was that was not done in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// It was not begun: nothing was sent.
    NotBegun,
    /// It was cut off: what was sent may still arrive, and nobody should do the same meanwhile.
    CutOff,
}

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotBegun => "there was no time left for it",
            Self::CutOff => {
                "the time was over while it was under way: what was sent may still arrive"
            }
        })
    }
}

/// Does `work` until `deadline`.
///
/// # Errors
///
/// [`Late`] where it is not done by then.
pub async fn in_time<T>(deadline: Instant, work: impl Future<Output = T>) -> Result<T, Late> {
    if Instant::now() >= deadline {
        return Err(Late::NotBegun);
    }
    let done = timeout_at(deadline, work).await;
    done.map_err(|_elapsed| Late::CutOff)
}
