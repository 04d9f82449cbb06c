//! DynamoDB's checksum of its answers, `x-amz-crc32`, which the SDK does not look at: an answer that was damaged on its way
//! must not be taken for "stored", or for "there is no such integration".

use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::AfterDeserializationInterceptorContextRef,
    },
    error::BoxError,
};
use flate2::Crc;

const CHECKSUM: &str = "x-amz-crc32";

/// Compares each answer with its checksum, where it has one.
#[derive(Debug)]
pub(crate) struct Checksum;

impl Intercept for Checksum {
    fn name(&self) -> &'static str {
        "Checksum"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response();
        let (Some(expected), Some(body)) =
            (response.headers().get(CHECKSUM), response.body().bytes())
        else {
            return Ok(());
        };
        if expected.parse() == Ok(crc32(body)) {
            Ok(())
        } else {
            Err(format!(
                "the answer of {} bytes does not fit its checksum",
                body.len()
            )
            .into())
        }
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_that_dynamodb_sends_with_an_empty_object() {
        // Of the answers in AWS' own examples of PutItem.
        assert_eq!(crc32(b"{}"), 2_745_614_147);
    }
}
