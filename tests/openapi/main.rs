//! The outside judge: what our client sends and what the simulator answers, held against Microsoft's OpenAPI documents.
//! Client and simulator share no type, but one author; the documents are somebody else's.
//!
//! It needs no local stack, hence a binary of its own. The documents are no part of this repository: `OPENAPI_SPECS` is the
//! folder that has them.

mod client;
mod document;
mod exceptions;
mod judge;
#[cfg(test)]
mod planted;
mod recorder;
mod schema;
mod surface;
mod verdict;
