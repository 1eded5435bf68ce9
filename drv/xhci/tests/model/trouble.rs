//! Unplugging, deaths, and commands that do not end.
