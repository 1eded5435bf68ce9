//! The player: plays a WAV over the host path or asks for a route.
