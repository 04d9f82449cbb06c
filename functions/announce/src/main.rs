//! The Lambda function `announce`.

fn main() {}
