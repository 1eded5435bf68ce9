//! app.toml: the image's description, read and checked.
