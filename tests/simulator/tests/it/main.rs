//! The simulator, driven over HTTP as the product and a test would drive it.

#[cfg(test)]
mod control;
#[cfg(test)]
mod delivery;
#[cfg(test)]
mod events;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod rest;
#[cfg(test)]
mod shapes;
