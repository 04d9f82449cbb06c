//! The simulator, driven over HTTP as the product and a test would drive it.

#[cfg(test)]
mod assumptions;
#[cfg(test)]
mod control;
#[cfg(test)]
mod day;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod events;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod history;
#[cfg(test)]
mod probation;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod sending;
#[cfg(test)]
mod shapes;
