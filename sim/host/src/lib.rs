//! The host architecture: tasks as coroutines on the real kernel core.
