//! The Lambda function `dispatch`.

fn main() {}
