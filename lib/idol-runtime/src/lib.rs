//! What generated IPC servers and clients run on.
