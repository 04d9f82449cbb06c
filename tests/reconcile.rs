//! `reconcile`: what it makes of hooks that do not send, and of events that never reached us. The simulator's hooks were made by
//! `setup` and reach a `webhook` in this process.

#[path = "reconcile/found.rs"]
mod found;
#[path = "reconcile/health.rs"]
mod health;
#[path = "reconcile/limits.rs"]
mod limits;
#[path = "reconcile/warned.rs"]
mod warned;
