//! Every test that needs a local stack, in one binary: one link, and with cargo-nextest one process a test.
//! A test that finds no stack fails with a hint. `ado_changes` and `ado_hooks` need none.

mod ado_changes;
mod ado_hooks;
mod alarms;
mod announce;
mod answers;
mod assumptions;
mod bodies;
mod by_hand;
mod cases;
mod change;
mod corpus;
mod crashes;
mod day;
mod delivery_log;
mod detaching;
mod dispatch;
mod dispatch_faults;
mod faults;
mod journey;
mod outcomes;
mod report;
mod rotation;
mod run_store;
mod runs;
mod samples;
mod schemas;
mod secrecy;
mod service_hooks;
mod setup;
mod stacks;
mod strangers;
mod structure;
mod support;
mod unlink;
mod waking;
