//! Where a debugger finds what a task's server understands.

/// Leaves the text of an interface, `&[u8; N]`, in the task's file. Nothing of
/// it is loaded.
#[cfg(target_os = "none")]
#[macro_export]
macro_rules! idolatry {
    ($text:expr) => {
        #[used]
        #[unsafe(link_section = ".idolatry")]
        static IDOLATRY: [u8; $text.len()] = *$text;
    };
}

/// As on a board; a host's tasks have no file of their own.
#[cfg(not(target_os = "none"))]
#[macro_export]
macro_rules! idolatry {
    ($text:expr) => {};
}
