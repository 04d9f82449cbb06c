//! A changed run, or an understood delivery, becomes one event on the bus.
