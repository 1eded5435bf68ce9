//! The binary of a task for a board: the few lines around its library.

/// Makes the crate the binary of a task that runs `$main`, an expression that
/// never ends. What app.toml says of the task is in the module `image`, from
/// the file that `build/image` names in `SOTTO_TASK`.
#[macro_export]
macro_rules! task {
    ($main:expr) => {
        include!(env!("SOTTO_TASK"));

        /// What the build says of the task.
        #[unsafe(no_mangle)]
        pub static SOTTO_TASK: $crate::Tables =
            $crate::Tables { slots: image::SLOTS, notifies: image::NOTIFIES };

        // Part of its caller, as is all that leads to a task's loop: Humility takes a
        // return address to be in the caller, and behind a call that never returns
        // there is another function.
        #[inline(always)]
        #[unsafe(no_mangle)]
        fn sotto_main() -> ! {
            $main
        }

        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::abort(info)
        }
    };
}
