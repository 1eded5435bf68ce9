//! Handles, tickets and the tables that check them.
