//! Ends the run: well when the client says so, badly when a task faults.

use core::fmt::Write;

use abi::FAULT_NOTIFICATION;
use mmio::Registers;
use report::Serial;
use userlib::{TaskId, kipc, sys_recv_open};

/// Supervises until one of the two happens.
pub fn run(uart: Registers) -> ! {
    let message = sys_recv_open(&mut [], FAULT_NOTIFICATION);
    if message.sender != TaskId::KERNEL {
        kipc::system_restart();
    }
    let mut text = [0; abi::PANIC_MESSAGE_MAX_LEN];
    if let Some(task) = kipc::find_faulted_task(1) {
        let task = task.get();
        let state = kipc::read_task_status(task);
        let said = kipc::read_panic_message(task, &mut text).unwrap_or_default();
        let said = core::str::from_utf8(said).unwrap_or_default();
        // The serial port takes everything.
        let _ = writeln!(Serial::new(uart), "task {task}: {state:?} {said}");
    }
    panic!("a task faulted");
}
