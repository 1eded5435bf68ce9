//! System calls and task slots, as tasks use them.
