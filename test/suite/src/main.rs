//! A task of the suite: the one that its feature says, or one that waits for
//! ever.

#![no_std]
#![no_main]

#[cfg(feature = "runner")]
userlib::task!({
    let mut serial = report::Serial::new(mmio::registers!(image::registers::UART0));
    let failed = suite::runner::run(&mut serial, image::FOREIGN.len());
    assert!(failed == 0, "{failed} cases failed");
    userlib::kipc::system_restart()
});

#[cfg(feature = "assistant")]
userlib::task!(suite::assistant::run());

#[cfg(feature = "subject")]
userlib::task!(suite::subject::run(&suite::subject::Subject { foreign: image::FOREIGN }));

// Not one of the suite: images that show what is left of a panic have it.
#[cfg(feature = "panicker")]
userlib::task!(panic!("the panicker gives up at {} ms", userlib::sys_get_timer().now));

#[cfg(not(any(
    feature = "runner",
    feature = "assistant",
    feature = "subject",
    feature = "panicker"
)))]
userlib::task!(loop {
    userlib::sys_recv_notification(0);
});
