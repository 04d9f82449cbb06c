//! Runs shown, and the executor's reports of them: the only URL that an executor may call.
