//! Client side of the supervisor.
