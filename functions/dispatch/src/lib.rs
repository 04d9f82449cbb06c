//! What each delivery means for each stack: one decision a stack, with its reason, and the runs that follow.
