//! The Lambda function `report`.

fn main() {}
