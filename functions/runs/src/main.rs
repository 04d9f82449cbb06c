//! The Lambda function `runs`.

fn main() {}
