//! The service hooks of a project: the five subscriptions that send its events to our endpoint. How they have to look, and how
//! they are made, mended and removed.
