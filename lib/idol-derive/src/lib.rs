//! Derives for error enums and counted events.
